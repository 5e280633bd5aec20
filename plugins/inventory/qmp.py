# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The VMs whose monitors can be reached from this machine, as hosts of an inventory."""

from __future__ import annotations

DOCUMENTATION = r"""
name: qmp
short_description: QEMU VMs as inventory hosts, found by their QMP monitors
version_added: 1.0.0
author:
  - The vmops.qemu authors (@vmops)
description:
  - Makes an inventory host of each VM. The VMs are found by the sockets of their QMP monitors on this machine, and by the
    addresses of monitors on the network.
  - The name of a host is the name of the VM (C(-name)). If the VM has none or does not answer, it is the name of the socket's
    file without its suffix, or that of its directory if the file is called C(qmp) or C(monitor). On the network it is host and
    port.
  - All VMs are asked at the same time, up to 256 at once. The inventory takes as long as the slowest VM, and at most
    O(connect_timeout) and O(timeout) together.
  - A VM that does not answer stays in the inventory. It is in the group C(qmp_error) and has the variable C(qmp_error), a
    dictionary with C(error_code) and C(msg) as the modules return them. It has no facts. If its monitor serves another client,
    the error code is V(monitor_busy).
  - The source file has to be named C(qmp.yml), or a name that ends with C(.qmp.yml). The suffix C(.yaml) works as well.
extends_documentation_fragment:
  - ansible.builtin.constructed
  - ansible.builtin.inventory_cache
notes:
  - Each VM has the variables that lead to its monitor, C(qmp_socket), or C(qmp_host), C(qmp_port), C(qmp_tls) and
    C(qmp_allow_plaintext). The same are there as C(hotplug_socket) and so on for the role P(vmops.qemu.hotplug#role).
  - Each VM that answers has the facts C(qmp_name), C(qmp_uuid), C(qmp_status), C(qmp_machine), C(qmp_qemu_version),
    C(qmp_target) and C(qmp_accelerator), which are those of RV(vmops.qemu.qmp_info#module:vm).
  - All VMs are in the group C(qmp). Further groups are named after facts, such as C(qmp_status_running),
    C(qmp_machine_pc_q35_7_2) and C(qmp_qemu_version_7_2_22).
  - C(ansible_connection) is V(local) and C(ansible_python_interpreter) that of Ansible itself, because the sockets are on this
    machine. Set both with O(compose) if your plays use the guests.
  - Anybody who can start a QEMU chooses its name. In names of hosts, characters other than letters, digits, C(_), C(-) and C(.)
    become C(_). Names that have a meaning for Ansible, names that begin with C(qmp), and names of hosts and groups of sources
    that were read before get the prefix C(vm-). If several VMs have the same name, the address is appended to each of them.
    No value that comes from a VM is ever used as a template.
  - A VM with several sockets becomes several hosts if several of them match. Choose patterns that match one socket of each VM.
options:
  plugin:
    description: V(vmops.qemu.qmp), which marks the file as a source for this plugin.
    type: str
    required: true
    choices: [vmops.qemu.qmp]
  sockets:
    description:
      - Paths of QMP sockets, those in QEMU's C(-qmp unix:PATH,server=on,wait=off). They may contain the wildcards C(*), C(?) and
        C([…]), and C(**) for any directories. Files that are not sockets do not match a wildcard.
      - A relative path starts at the directory of the source file.
    type: list
    elements: str
    default: []
  addresses:
    description:
      - Monitors on the network, those in QEMU's C(-qmp tcp:HOST:PORT,server=on,wait=off).
      - Each has the options C(host), C(port), C(tls) and C(allow_plaintext) of the modules, such as
        O(vmops.qemu.qmp_info#module:tls). The files of C(tls) are on this machine.
    type: list
    elements: dict
    default: []
  connect_timeout:
    description: Seconds to wait for each monitor, because it serves one client at a time.
    type: float
    default: 5.0
  timeout:
    description: Seconds in which QEMU has to answer, at least 1.
    type: float
    default: 5.0
  strict:
    description:
      - Whether an error in O(compose), O(groups) or O(keyed_groups) makes the source invalid. Otherwise the variable or group is
        omitted.
      - VMs that do not answer are never checked strictly, because they have no facts.
"""

EXAMPLES = r"""
# vms.qmp.yml: all VMs of this machine
plugin: vmops.qemu.qmp
sockets:
  - /run/vm*/qmp.sock
---
# vms.qmp.yml: with a monitor on the network, own groups and a cache
plugin: vmops.qemu.qmp
sockets:
  - /srv/vms/**/qmp.sock
addresses:
  - host: hypervisor2.example.com
    port: 4444
    tls:
      ca_file: /etc/pki/qmp/ca.pem
      cert_file: /etc/pki/qmp/client.pem
      key_file: /etc/pki/qmp/client.key
groups:
  to_update: qmp_qemu_version is version('8.0', '<')
keyed_groups:
  - prefix: accelerator
    key: qmp_accelerator
cache: true
cache_plugin: ansible.builtin.jsonfile
cache_connection: /var/cache/ansible
cache_timeout: 60

# A playbook for this inventory:
# - name: Give each VM that answers a second disk
#   hosts: qmp:!qmp_error
#   gather_facts: false
#   module_defaults:
#     group/vmops.qemu.qmp:
#       socket: "{{ qmp_socket }}"
#   tasks:
#     - name: Plug the disk
#       vmops.qemu.qmp_blockdev:
#         id: data1
#         file: "/srv/images/{{ inventory_hostname }}-data1.qcow2"
#         format: qcow2
"""

import functools
import glob
import os
import re
import stat
import sys
from typing import Any, Iterable, Mapping

from ansible.errors import AnsibleParserError
from ansible.inventory.group import to_safe_group_name
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible.plugins.inventory import BaseInventoryPlugin, Cacheable, Constructable
from ansible.utils.unsafe_proxy import wrap_var

from ansible_collections.vmops.qemu.plugins.module_utils._ansible import connection, failure
from ansible_collections.vmops.qemu.plugins.module_utils._ansible.options.info import INFORMATION
from ansible_collections.vmops.qemu.plugins.module_utils._ansible.run import run
from ansible_collections.vmops.qemu.plugins.module_utils._vm.errors import InvalidOption
from ansible_collections.vmops.qemu.plugins.module_utils.qmp import TcpAddress, make_printable, printable
from ansible_collections.vmops.qemu.plugins.plugin_utils.host_names import RESERVED_PREFIX, Candidate, host_names
from ansible_collections.vmops.qemu.plugins.plugin_utils.in_parallel import ask_all
from ansible_collections.vmops.qemu.plugins.plugin_utils.plain import plain

_FILE = re.compile(r"(?:.*\.)?qmp\.ya?ml\Z")
_ADDRESS = ("host", "port", "tls", "allow_plaintext")
_GROUPED_BY = ("status", "machine", "qemu_version")
_SHARED_NAMES = ("qmp", "monitor")
"""Names of sockets that are in a directory for each VM."""
_ALL_NONE = dict.fromkeys(connection.OPTIONS)

Found = dict[str, Any]
"""A VM as it is cached: ``options`` of its connection, and ``facts`` or ``error``, and ``warnings``."""


class InventoryModule(BaseInventoryPlugin, Constructable, Cacheable):
    """The plugin, as Ansible loads it."""

    NAME = "vmops.qemu.qmp"
    inventory: Any  # InventoryData, as soon as there is something to parse

    def verify_file(self, path: str) -> bool:
        return bool(super().verify_file(path) and _FILE.match(os.path.basename(path)))

    def parse(self, inventory: Any, loader: Any, path: str, cache: bool = True) -> None:
        super().parse(inventory, loader, path, cache)
        self._read_config_data(path)
        times = {name: float(self.get_option(name)) for name in ("connect_timeout", "timeout")}
        try:
            connection.check_values(times)
        except InvalidOption as error:
            raise AnsibleParserError(f"{path}: {error}") from None
        self._populate(self._found(path, cache, times))

    def _found(self, path: str, cache: bool, times: Mapping[str, float]) -> list[Found]:
        """The VMs, from the cache if it has them for the same options."""
        uses_cache = bool(self.get_option("cache"))
        options = plain({name: self.get_option(name) for name in ("sockets", "addresses")})
        key = self.get_cache_key(path) if uses_cache else ""
        if uses_cache and cache:
            cached = self._cache.get(key) or {}
            if isinstance(cached, Mapping) and cached.get("options") == options:
                return list(cached["vms"])
        found = find(list(monitors(options["sockets"], options["addresses"], path)), times)
        if uses_cache:
            self._cache[key] = {"options": options, "vms": found}
        return found

    def _populate(self, vms: list[Found]) -> None:
        taken = {*self.inventory.hosts, *self.inventory.groups}
        names = host_names([Candidate(name_of(vm), address_of(vm["options"])) for vm in vms], taken)
        for name, vm in zip(names, vms):
            for warning in vm["warnings"]:
                self.display.warning(f"{name}: {warning}")
            self._add(name, vm)
        silent = sum("error" in vm for vm in vms)
        if silent:
            self.display.warning(f"{silent} of {len(vms)} VMs did not answer. They are in the group {RESERVED_PREFIX}_error.")

    def _add(self, name: str, vm: Found) -> None:
        facts = vm.get("facts", {})
        options = vm["options"]
        variables = {
            "ansible_connection": "local",
            "ansible_python_interpreter": sys.executable,
            **{f"hotplug_{option}": value for option, value in options.items()},
            **{f"{RESERVED_PREFIX}_{option}": value for option, value in [*options.items(), *facts.items()]},
            **({f"{RESERVED_PREFIX}_error": vm["error"]} if "error" in vm else {}),
        }
        self.inventory.add_host(name, group=self.inventory.add_group(RESERVED_PREFIX))
        for variable, value in variables.items():
            self.inventory.set_variable(name, variable, wrap_var(value))
        for group in groups_of(facts) if facts else [f"{RESERVED_PREFIX}_error"]:
            self.inventory.add_host(name, group=self.inventory.add_group(group))
        strict = bool(self.get_option("strict")) and bool(facts)
        known = self.inventory.get_host(name).get_vars()
        self._set_composite_vars(self.get_option("compose"), known, name, strict=strict)
        known = self.inventory.get_host(name).get_vars()
        self._add_host_to_composed_groups(self.get_option("groups"), known, name, strict=strict)
        self._add_host_to_keyed_groups(self.get_option("keyed_groups"), known, name, strict=strict)


def monitors(sockets: Iterable[str], addresses: list[Any], path: str) -> Iterable[dict[str, Any]]:
    """The connection options of each VM of the source at *path*. Raises AnsibleParserError for options that are not valid."""
    if not sockets and not addresses:
        raise AnsibleParserError(f"{path} names no monitor: set sockets, such as [/run/vm*/qmp.sock], or addresses.")
    directory = os.path.dirname(os.path.abspath(path))
    files = [file for pattern in sockets for file in _files(os.path.join(directory, os.path.expanduser(pattern)))]
    yield from ({"socket": file} for file in dict.fromkeys(files))
    spec = {name: {**connection.OPTIONS[name], "required": name in ("host", "port")} for name in _ADDRESS}
    for number, given in enumerate(addresses):
        if not isinstance(given, dict):
            raise AnsibleParserError(f"{path}: addresses[{number}] is not a dictionary: set its host and port.")
        checked = ArgumentSpecValidator(spec).validate(given)
        if checked.error_messages:
            raise AnsibleParserError(f"{path}: addresses[{number}]: {' '.join(checked.error_messages)}")
        yield _set(checked.validated_parameters)


def _files(pattern: str) -> list[str]:
    """The sockets that match; a path without a wildcard is always one, so that a missing VM is noticed."""
    if not glob.has_magic(pattern):
        return [os.path.normpath(pattern)]
    return sorted(file for file in glob.glob(pattern, recursive=True) if _is_socket(file))


def _is_socket(file: str) -> bool:
    try:
        return stat.S_ISSOCK(os.stat(file).st_mode)
    except OSError:
        return False


def _set(options: Mapping[str, Any]) -> dict[str, Any]:
    """The options that are set, and of their suboptions as well."""
    return {
        name: _set(value) if isinstance(value, Mapping) else value
        for name, value in options.items()
        if value not in (None, False)
    }


def find(options: list[dict[str, Any]], times: Mapping[str, float]) -> list[Found]:
    """The VMs at these addresses, in the same order."""
    seconds = times["connect_timeout"] + max(connection.LEAST_SECONDS, times["timeout"])
    answers = ask_all(functools.partial(ask, times=times), options, seconds)
    late = failure.of_error(OSError("The VM did not answer in time."), "connect_failed").result
    return [answers.get(number) or _without_answer(one, late, []) for number, one in enumerate(options)]


def ask(options: dict[str, Any], times: Mapping[str, float]) -> Found:
    """The VM at one address."""
    warnings: list[str] = []
    try:
        path = str(options.get("socket", ""))
        if path != printable(path):
            raise failure.invalid("The name of this socket contains characters that control a terminal: rename it.")
        params = {**_ALL_NONE, "allow_plaintext": False, **options, **times, "gather_subset": ["vm"]}
        if params["tls"]:
            params["tls"] = {**dict.fromkeys(connection.OPTIONS["tls"]["options"]), **params["tls"]}
        facts = run(INFORMATION, params, False, warnings.append)["vm"]
    except failure.Failure as error:
        return _without_answer(options, error.result, warnings)
    found = {"options": options, "facts": facts, "warnings": warnings}
    make_printable(found)
    return found


def _without_answer(options: dict[str, Any], result: Mapping[str, Any], warnings: list[str]) -> Found:
    error = {name: result[name] for name in ("error_code", "msg")}
    found = {"options": options, "error": error, "warnings": warnings}
    make_printable(found)
    return found


def groups_of(facts: Mapping[str, Any]) -> list[str]:
    """The groups of a VM that answers."""
    return [
        str(to_safe_group_name(f"{RESERVED_PREFIX}_{name}_{facts[name]}"[:200], force=True, silent=True)) for name in _GROUPED_BY
    ]


def name_of(vm: Found) -> str:
    """The name of the VM, or a name for it."""
    name = vm.get("facts", {}).get("name")
    options = vm["options"]
    if name:
        return str(name)
    if "socket" not in options:
        return address_of(options)
    directory, file = os.path.split(str(options["socket"]))
    stem = os.path.splitext(file)[0]
    return os.path.basename(directory) if stem in _SHARED_NAMES and directory != "/" else stem


def address_of(options: Mapping[str, Any]) -> str:
    """The address of a monitor as text."""
    return str(options["socket"]) if "socket" in options else str(TcpAddress(options["host"], options["port"]))
