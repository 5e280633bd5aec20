# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The variables of the role ``hotplug``, as inventories, playbooks and surveys give them, checked and brought to their types."""

from __future__ import annotations

DOCUMENTATION = r"""
name: hotplug_input
short_description: Check and convert the variables of the role hotplug
version_added: 1.0.0
author:
  - The vmops.qemu authors
description:
  - Brings the variables of the role P(vmops.qemu.hotplug#role) to their types. A survey sends text only, so that booleans,
    numbers and whole lists can be text. An empty text and V(null) mean not set.
  - The role uses this filter itself. It is of use to you only if you check variables before you call the role.
positional: _input
options:
  _input:
    description: The variables by name. Those that are not in it are not checked.
    type: dict
    required: true
  names:
    description: Names of all variables that are set and look like variables of the role, to find misspelt ones.
    type: list
    elements: str
    default: []
"""

EXAMPLES = r"""
- name: Refuse what the role would refuse
  ansible.builtin.assert:
    that: checked.problems == []
    fail_msg: "{{ checked.problems | join(' ') }}"
  vars:
    checked: "{{ {'hotplug_blockdevs': survey_disks} | vmops.qemu.hotplug_input }}"
"""

RETURN = r"""
_value:
  description: The checked variables and the problems.
  type: dict
  contains:
    data:
      description: The variables that are set, with their values. Secrets are among them, so do not show it.
      type: dict
    connection:
      description: Those that are options of the connection to the VM, by their names there.
      type: dict
    hardware:
      description:
        - Those that are options of M(vmops.qemu.qmp_hotplug) or of its connection, by their names there.
        - Secrets are among them, so do not show it.
      type: dict
    entries:
      description:
        - The items of all lists without their secrets. Each has C(variable), C(index), C(kind), C(id), C(named) and C(state), and
          of its options C(driver), C(attach) and C(type) where they are set.
      type: list
      elements: dict
    problems:
      description: A sentence for each mistake. Empty when the role can work with the variables.
      type: list
      elements: str
    warnings:
      description: A sentence for each variable that the role does not know.
      type: list
      elements: str
"""

import difflib
import functools
import re
from pathlib import Path
from typing import Any, Callable, Iterable, Mapping

import yaml
from ansible.module_utils.common.yaml import yaml_load
from ansible.module_utils.parsing.convert_bool import boolean

from ansible_collections.vmops.qemu.plugins.module_utils._ansible.connection import OPTIONS as CONNECTION
from ansible_collections.vmops.qemu.plugins.module_utils._ansible.options.hotplug import ITEMS

_SPECS = Path(__file__).parents[2] / "roles" / "hotplug" / "meta" / "argument_specs.yml"
_SCALARS = {
    "hotplug_port": "int",
    "hotplug_allow_plaintext": "bool",
    "hotplug_connect_timeout": "float",
    "hotplug_timeout": "float",
    "hotplug_cpus": "int",
    "hotplug_tls": "dict",
}
"""Types of the variables that the role's argument spec lets through as they are, because Ansible would refuse an empty text."""
_LISTS = {f"hotplug_{name}": items for name, items in ITEMS.items()}
_OTHER_NAMES = {"hotplug_hosts", "hotplug_report"}
"""Variables beside the role's own: what the playbook reads, and what the role leaves."""
_OF_THE_ROLE = {"hotplug_strategy", "hotplug_persist"}
"""Variables that are not options of qmp_hotplug."""
_SYNONYMS = {
    "disk": "blockdev",
    "drive": "blockdev",
    "volume": "blockdev",
    "nic": "netdev",
    "network": "netdev",
    "interface": "netdev",
    "vcpu": "cpu",
    "ram": "memory",
    "dimm": "memory",
    "serial_port": "chardev",
    "qmp": "socket",
}
_EMPTY_COUNTS = {"romfile"}
"""Options for which an empty text is a value of its own: no option ROM."""
_PUBLIC = ("driver", "attach", "type")


class _Mistake(ValueError):
    """A sentence about one value, without the value where it can be a secret."""


class _Loader(yaml.SafeLoader):
    """YAML as in its version 1.2: ``no`` and ``on`` are text, and so is a MAC address or a date."""

    yaml_implicit_resolvers: dict[str, Any] = {}


_Loader.add_implicit_resolver("tag:yaml.org,2002:null", re.compile(r"^(?:~|null|Null|NULL|)$"), ["~", "n", "N", ""])
_Loader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$"), list("tTfF"))
_Loader.add_implicit_resolver("tag:yaml.org,2002:int", re.compile(r"^-?(?:0|[1-9][0-9]*)$"), list("-0123456789"))
_Loader.add_implicit_resolver("tag:yaml.org,2002:float", re.compile(r"^-?(?:0|[1-9][0-9]*)\.[0-9]+$"), list("-0123456789"))


def hotplug_input(variables: Mapping[str, Any], names: Iterable[str] = ()) -> dict[str, Any]:
    """See DOCUMENTATION."""
    if not isinstance(variables, Mapping):
        raise TypeError("hotplug_input needs a dictionary of variables.")
    specs = _specs()
    found: dict[str, Any] = {"data": {}, "entries": [], "problems": [], "warnings": list(_unknown(names, specs))}
    for name, given in variables.items():
        try:
            value = _plain(given)
            if name in _LISTS:
                found["data"][name], entries = _items(name, value, specs[name]["options"], found["problems"])
                found["entries"] += entries
            elif not _empty(value):
                found["data"][name] = _scalar(name, value, specs.get(name, {}))
        except _Mistake as mistake:
            found["problems"].append(str(mistake))
    found["problems"] += _twice(found["entries"])
    found["hardware"] = {
        name[len("hotplug_") :]: value
        for name, value in found["data"].items()
        if name not in _OF_THE_ROLE and value not in ([], {})
    }
    found["connection"] = {name: value for name, value in found["hardware"].items() if name in CONNECTION}
    return found


@functools.lru_cache(maxsize=None)
def _specs() -> dict[str, Any]:
    options = yaml_load(_SPECS.read_text(encoding="utf-8"))["argument_specs"]["main"]["options"]
    return dict(options)


def _plain(value: Any) -> Any:
    """A copy of *value* in Python's own types: not the text of a template engine, not a vaulted value."""
    if isinstance(value, Mapping):
        return {str(name): _plain(one) for name, one in value.items()}
    if isinstance(value, (list, tuple, set)):
        return [_plain(one) for one in value]
    if value is None or isinstance(value, (bool, int, float)):
        return value
    return str(value)


def _empty(value: Any) -> bool:
    return value is None or isinstance(value, str) and not value.strip()


def _parsed(name: str, text: str, what: str) -> Any:
    try:
        return yaml.load(text, Loader=_Loader)  # noqa: S506 - a safe loader, with fewer types
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        where = f" It breaks off at line {mark.line + 1}, column {mark.column + 1}." if mark else ""
        raise _Mistake(f"{name} is text that is not YAML or JSON.{where} Give {what}.") from None
    except (ValueError, RecursionError):
        raise _Mistake(f"{name} is text that is not YAML or JSON. Give {what}.") from None


def _scalar(name: str, value: Any, spec: Mapping[str, Any]) -> Any:
    return _typed(name, value, {**spec, "type": _SCALARS.get(name, spec.get("type", "str"))})


def _items(name: str, value: Any, options: Mapping[str, Any], problems: list[str]) -> tuple[list[Any], list[dict[str, Any]]]:
    """The items of a list, and what may be shown of each. Mistakes are added to *problems*."""
    what = f"a list, each item of which has the options of vmops.qemu.{_LISTS[name].module}"
    if isinstance(value, str):
        value = _parsed(name, value, what)
    if _empty(value):
        return [], []
    if not isinstance(value, list):
        raise _Mistake(f"{name} is {_kind(value)}, not a list. Give {what}.")
    items: list[Any] = []
    entries = []
    for index, one in enumerate(value):
        items.append({})
        where = f"{name}[{index}]"
        try:
            if not isinstance(one, dict):
                raise _Mistake(f"{where} is {_kind(one)}. Give options, such as id.")
            where += _named(where, one)
            items[-1] = item = _options(where, one, options)
        except _Mistake as mistake:
            problems.append(str(mistake))
            continue
        entries.append(
            {
                "variable": name,
                "index": index,
                "kind": _LISTS[name].kind.result,
                "id": item.get("id", "memory"),
                "named": "id" in item,
                "state": item.get("state", "present"),
                **{option: item[option] for option in _PUBLIC if option in item},
            }
        )
    return items, entries


def _options(where: str, given: Mapping[str, Any], specs: Mapping[str, Any]) -> dict[str, Any]:
    """The options of an item that are set, each of its type."""
    for name in given:
        if name not in specs:
            name = _without_value(name)
            raise _Mistake(f"{where}: {name} is not an option.{_did_you_mean(name, specs)}")
    values = {
        name: _typed(f"{where}: {name}", value, specs[name])
        for name, value in given.items()
        if not _empty(value) or (value == "" and name in _EMPTY_COUNTS)
    }
    missing = [name for name, spec in specs.items() if spec.get("required") and name not in values]
    if "id" in specs and not {"id", "total"} & set(values) and not missing:
        missing = ["id or total"]
    if missing:
        raise _Mistake(f"{where}: missing required arguments: {', '.join(missing)}.")
    if any(isinstance(value, _NotSet) for value in values.values()):
        values = {name: value for name, value in values.items() if not isinstance(value, _NotSet)}
    return values


def _named(where: str, item: Mapping[str, Any]) -> str:
    """The id of an item for a message. Raises _Mistake for one that swallowed another option, which may be a secret."""
    if _empty(item.get("id")):
        return ""
    if not re.fullmatch(r"[^\s:]+", str(item["id"])):
        raise _Mistake(
            f"{where}: the id has a space or a colon in it. Check that a space follows each colon, and that each "
            "option is on a line of its own."
        )
    return f" ({item['id']})"


def _without_value(name: str) -> str:
    """The name of an option, cut where a missing space has made its value a part of it."""
    return re.split(r"[\s:=]", name)[0]


class _NotSet:
    """The value of an option that has only empty values in it."""


def _typed(name: str, value: Any, spec: Mapping[str, Any]) -> Any:
    convert = _TYPES.get(spec.get("type", "str"))
    if convert is None:
        return value
    value = convert(name, value, spec)
    choices = spec.get("choices")
    if choices:
        if value not in choices and value in ("True", "False"):  # YAML 1.1 reads on and off so
            value = {"True": "on", "False": "off"}[value]
        if value not in choices:
            raise _Mistake(f"{name} is {value!r}. It can be {', '.join(choices)}.")
    return value


def _shown(value: Any, spec: Mapping[str, Any]) -> str:
    return _kind(value) if spec.get("no_log") or isinstance(value, (dict, list)) else repr(value)


def _kind(value: Any) -> str:
    return {dict: "a dictionary", list: "a list", str: "text", bool: "a boolean", int: "a number", float: "a number"}.get(
        type(value), "empty"
    )


def _text(name: str, value: Any, spec: Mapping[str, Any]) -> str:
    if isinstance(value, (dict, list)):
        raise _Mistake(f"{name} is {_kind(value)}. Give text.")
    return str(value)


def _bool(name: str, value: Any, spec: Mapping[str, Any]) -> bool:
    try:
        return bool(boolean(value))
    except TypeError:
        raise _Mistake(f"{name} is {_shown(value, spec)}. Give true or false.") from None


def _int(name: str, value: Any, spec: Mapping[str, Any]) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, str) and re.fullmatch(r"\s*[-+]?[0-9]{1,20}(\.0+)?\s*", value):
        return int(value.split(".")[0])
    raise _Mistake(f"{name} is {_shown(value, spec)}. Give a whole number.")


def _float(name: str, value: Any, spec: Mapping[str, Any]) -> float:
    if isinstance(value, (int, float)) and not isinstance(value, bool):
        return float(value)
    if isinstance(value, str) and re.fullmatch(r"\s*[-+]?[0-9]{1,20}(\.[0-9]*)?\s*", value):
        return float(value)
    raise _Mistake(f"{name} is {_shown(value, spec)}. Give a number.")


def _dict(name: str, value: Any, spec: Mapping[str, Any]) -> Any:
    if isinstance(value, str):
        value = _pairs(value) or _parsed(name, value, "options and their values, such as {name: value}")
    if not isinstance(value, dict):
        raise _Mistake(f"{name} is {_kind(value)}. Give options and their values, such as {{name: value}}.")
    if spec.get("options"):
        return _options(name, value, spec["options"])
    if spec.get("no_log"):
        return {key: one for key, one in value.items() if not _empty(one)} or _NotSet()
    return value


def _pairs(text: str) -> dict[str, str]:
    """The short form ``a=1, b=2`` of a dictionary, empty where *text* is something else."""
    pairs = [pair.partition("=") for pair in text.split(",")]
    if not all(re.fullmatch(r"\s*[\w-]+", key) and equals for key, equals, _value in pairs):
        return {}
    return {key.strip(): value.strip() for key, _equals, value in pairs}


def _list(name: str, value: Any, spec: Mapping[str, Any]) -> list[Any]:
    if isinstance(value, str):
        value = _parsed(name, value, "a list") if value.strip().startswith(("[", "-")) else value.split(",")
    values = value if isinstance(value, list) else [value]
    return [_typed(name, one, {**spec, "type": spec.get("elements", "str")}) for one in values if not _empty(one)]


_TYPES: dict[str, Callable[[str, Any, Mapping[str, Any]], Any]] = {
    "str": _text,
    "path": _text,
    "bool": _bool,
    "int": _int,
    "float": _float,
    "dict": _dict,
    "list": _list,
}


def _twice(entries: Iterable[Mapping[str, Any]]) -> Iterable[str]:
    """Ids that are given more than once. Objects have names of their own, all other kinds share theirs."""
    where: dict[tuple[bool, str], list[str]] = {}
    for entry in entries:
        if entry["named"]:
            where.setdefault((entry["kind"] == "object", entry["id"]), []).append(f"{entry['variable']}[{entry['index']}]")
    return [
        f"The id {name} is used more than once, by {' and '.join(places)}. Give each item its own id."
        for (_object, name), places in where.items()
        if len(places) > 1
    ]


def _unknown(names: Iterable[str], specs: Mapping[str, Any]) -> Iterable[str]:
    known = {*specs, *_OTHER_NAMES}
    return [
        f"{name} is not a variable of this role and was ignored.{_did_you_mean(name, specs)}"
        for name in sorted(map(str, names))
        if name not in known
    ]


def _did_you_mean(name: str, known: Iterable[str]) -> str:
    """The nearest of the known names as a question, empty when none is near."""
    bare = re.sub(r"^hot_?plug_?", "", name.lower().replace("-", "_"))
    by_bare = {re.sub(r"^hotplug_", "", one): one for one in known}
    for word, meant in _SYNONYMS.items():
        if bare in (word, f"{word}s"):
            near = [one for one in by_bare if one in (meant, f"{meant}s")]
            if near:
                return f" Did you mean {by_bare[near[0]]}?"
    near = difflib.get_close_matches(bare, by_bare, n=1, cutoff=0.5)
    return f" Did you mean {by_bare[near[0]]}?" if near else ""


class FilterModule:
    """What Ansible looks for in the file of a filter."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        return {"hotplug_input": hotplug_input}
