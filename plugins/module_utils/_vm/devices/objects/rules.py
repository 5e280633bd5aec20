# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What QEMU requires of an object beyond its schema: ranges, combinations, and other objects that must exist.

QEMU refuses most violations when the object is added, but some make it abort: memory of nearly 2^64 bytes, too many queues of a
crypto device, and every colo-compare that it refuses.
"""

from __future__ import annotations

from typing import Any, Callable, Mapping

from ...errors import InvalidOption
from ...model.hardware import Hardware
from ...model.references import refuse_missing_chardev, refuse_missing_netdev, refuse_missing_objects

SECRET = "data"
_LIMIT_MAX = 10**15  # QEMU: THROTTLE_VALUE_MAX
_POSITIVE = {
    "interval",
    "expired_scan_cycle",
    "max_queue_size",
    "compare_timeout",
    "maxlen",
    "queues",
    "size",
    "prealloc-threads",
    "hugetlbsize",
}
_MOST = {
    "interval": 1 << 32,
    "expired_scan_cycle": 1 << 32,
    "max_queue_size": 1 << 32,
    "maxlen": 1 << 32,
    "prealloc-threads": 1 << 32,
    "thread-pool-min": 1 << 31,
    "thread-pool-max": 1 << 31,
    "queues": 65,
    "poll-weight": 64,
    "throttle-bps": _LIMIT_MAX + 1,
    "throttle-ops": _LIMIT_MAX + 1,
}
"""The first number that is too large. It is 2^63 for the properties that are not listed."""


def is_set(name: str, value: Any) -> bool:
    """Whether a property with this reported value was set: no text, and 0 where it is not allowed, mean that it was not."""
    return not (value == "" or value == 0 and name in _POSITIVE)


def check_rules(hardware: Hardware, qom_type: str, properties: Mapping[str, Any]) -> None:
    """Raise InvalidOption for an object that QEMU would refuse. Its *properties* have the right types already."""
    for name, value in properties.items():
        if isinstance(value, int) and not isinstance(value, bool):
            _check_number(qom_type, name, value)
    for prefix, rule in _RULES.items():
        if qom_type.startswith(prefix):
            rule(hardware, qom_type, properties)
    refuse_missing_objects(hardware, "properties", properties)


def _check_number(qom_type: str, name: str, value: int) -> None:
    least, limit = int(name in _POSITIVE), _MOST.get(name, 1 << 63)
    if not least <= value < limit:
        raise InvalidOption(f"properties.{name} is {value}. For a {qom_type} set a number from {least} to {limit - 1}.")


def _check_limits(_hardware: Hardware, _qom_type: str, properties: Mapping[str, Any]) -> None:
    """QEMU's ``throttle_is_valid``. Its old properties, such as ``x-iops-total``, count like the limits of that name."""
    old = {name[len("x-") :]: value for name, value in properties.items() if name.startswith("x-")}
    limits = {**old, **properties.get("limits", {})}

    def value(name: str) -> int:
        return int(limits.get(name, 1 if name.endswith("-max-length") else 0))

    def refuse(name: str, why: str) -> None:
        raise InvalidOption(f"properties.limits.{name} is {value(name)}, {why}.")

    for name in limits:
        most = (1 << 32) - 1 if name.endswith("-max-length") else _LIMIT_MAX
        if name != "iops-size" and not 0 <= value(name) <= most or not 0 <= value(name) < 1 << 63:
            refuse(name, f"which is not from 0 to {most}")
    for unit in ("bps", "iops"):
        for ending in ("", "-max"):
            split = [f"{unit}-{side}{ending}" for side in ("read", "write") if value(f"{unit}-{side}{ending}")]
            if value(f"{unit}-total{ending}") and split:
                refuse(
                    f"{unit}-total{ending}", f"and {split[0]} is {value(split[0])}. Set the total, or reads and writes, not both"
                )
        for side in ("total", "read", "write"):
            rate, burst, length = (f"{unit}-{side}{ending}" for ending in ("", "-max", "-max-length"))
            if value(length) == 0:
                refuse(length, "and has to be 1 second or more")
            if value(length) > 1 and not value(burst):
                refuse(length, f"which needs {burst}")
            if value(burst) and not value(rate):
                refuse(burst, f"which needs {rate}")
            if value(burst) and value(burst) < value(rate):
                refuse(burst, f"which is less than {rate}, {value(rate)}")
            if value(burst) and value(length) > _LIMIT_MAX // value(burst):
                refuse(length, f"which is too long for {burst}, {value(burst)}")
    if value("iops-size") and not any(value(f"iops-{side}") for side in ("total", "read", "write")):
        refuse("iops-size", "which needs iops-total, iops-read or iops-write")


def _check_memory(_hardware: Hardware, qom_type: str, properties: Mapping[str, Any]) -> None:
    policy = properties.get("policy", "default")
    if bool(properties.get("host-nodes")) == (policy == "default"):
        raise InvalidOption(
            f"properties.policy is {policy!r}. A {qom_type} requires host-nodes with every policy except 'default', and has none "
            "with 'default'."
        )


def _check_secret(_hardware: Hardware, _qom_type: str, properties: Mapping[str, Any]) -> None:
    if (SECRET in properties) == bool(properties.get("file")):
        raise InvalidOption("A secret requires its content. Set either secret, or properties.file to the path of a file.")
    if bool(properties.get("keyid")) != bool(properties.get("iv")):
        raise InvalidOption("properties contains only one of keyid and iv. An encrypted secret requires both.")


def _check_pool(_hardware: Hardware, _qom_type: str, properties: Mapping[str, Any]) -> None:
    least, most = properties.get("thread-pool-min", 0), properties.get("thread-pool-max", 64)
    if not most or least > most:
        raise InvalidOption(
            f"properties.thread-pool-min is {least} and thread-pool-max is {most}. Set thread-pool-max to 1 or more, and not "
            "less than thread-pool-min."
        )


def _check_filter(hardware: Hardware, _qom_type: str, properties: Mapping[str, Any]) -> None:
    refuse_missing_netdev(hardware, "properties.netdev", properties.get("netdev", ""))
    if properties.get("status", "on") not in ("on", "off"):
        raise InvalidOption(f"properties.status is {properties['status']!r}. Set on or off.")
    position = str(properties.get("position", "tail"))
    if position not in ("head", "tail") and not position.startswith("id="):
        raise InvalidOption(f"properties.position is {position!r}. Set head, tail, or id= and the id of another filter.")
    _check_chardevs(hardware, properties, ("indev", "outdev"))


def _check_chardevs(hardware: Hardware, properties: Mapping[str, Any], names: tuple[str, ...]) -> None:
    for name in names:
        refuse_missing_chardev(hardware, f"properties.{name}", properties.get(name))


def _check_egd(hardware: Hardware, _qom_type: str, properties: Mapping[str, Any]) -> None:
    _check_chardevs(hardware, properties, ("chardev",))


def _check_compare(hardware: Hardware, _qom_type: str, properties: Mapping[str, Any]) -> None:
    ends = ("primary_in", "secondary_in", "outdev", "notify_dev")
    _check_chardevs(hardware, properties, ends)
    named = [properties[name] for name in ends if name in properties]
    others = [name for name in named if hardware.chardevs[name].type != "socket"]
    if others or len(set(named)) < len(named):
        raise InvalidOption(
            f"A colo-compare requires its own socket for each of {', '.join(ends)}. QEMU aborts with other character devices"
            f"{': ' + ', '.join(others) if others else ''}."
        )
    if hardware.objects.get(str(properties.get("iothread"))) != "iothread":
        raise InvalidOption(
            f"properties.iothread is {properties.get('iothread')!r}, but the VM has no such I/O thread. QEMU "
            "would abort. Add it first."
        )


def _check_affinity(_hardware: Hardware, _qom_type: str, properties: Mapping[str, Any]) -> None:
    for name in ("cpu-affinity", "node-affinity"):
        if properties.get(name) == []:
            raise InvalidOption(f"properties.{name} is empty. For a thread-context set one number or more.")


Rule = Callable[[Hardware, str, Mapping[str, Any]], None]
_RULES: dict[str, Rule] = {
    "throttle-group": _check_limits,
    "memory-backend-": _check_memory,
    "secret": _check_secret,
    "iothread": _check_pool,
    "main-loop": _check_pool,
    "filter-": _check_filter,
    "rng-egd": _check_egd,
    "colo-compare": _check_compare,
    "thread-context": _check_affinity,
}
