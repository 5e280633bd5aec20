# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The variables of the role, as playbooks, inventories and surveys give them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml

from ansible_collections.vmops.qemu.plugins.filter.hotplug_input import FilterModule, hotplug_input

SPECS = yaml.safe_load((Path(__file__).parents[4] / "roles/hotplug/meta/argument_specs.yml").read_text(encoding="utf-8"))
LISTS = {
    name: spec["options"]
    for name, spec in SPECS["argument_specs"]["main"]["options"].items()
    if "options" in spec and name != "hotplug_tls"
}
SCALARS = {
    "hotplug_port": ("4444", 4444),
    "hotplug_cpus": ("3", 3),
    "hotplug_timeout": ("2.5", 2.5),
    "hotplug_connect_timeout": ("7", 7.0),
    "hotplug_allow_plaintext": ("false", False),
}
OPTIONS = [(variable, name, spec) for variable, options in LISTS.items() for name, spec in options.items()]
OPTIONS += [
    (variable, f"{name}.{sub}", subspec)
    for variable, name, spec in list(OPTIONS)
    for sub, subspec in spec.get("options", {}).items()
]


def checked(variable: str, value: Any) -> dict[str, Any]:
    return hotplug_input({variable: value})


def item_with(name: str, value: Any) -> dict[str, Any]:
    outer, _dot, inner = name.partition(".")
    return {"id": "a", outer: {inner: value} if inner else value}


def value_of(found: dict[str, Any], variable: str, name: str) -> Any:
    item = found["data"][variable][0]
    for part in name.split("."):
        item = item[part]
    return item


def test_the_filter_has_its_name() -> None:
    assert FilterModule().filters() == {"hotplug_input": hotplug_input}


@pytest.mark.parametrize(("variable", "name", "spec"), OPTIONS, ids=[f"{one[0]}-{one[1]}" for one in OPTIONS])
@pytest.mark.parametrize("empty", ["", "  ", None])
def test_an_empty_option_is_not_set(variable: str, name: str, spec: dict[str, Any], empty: Any) -> None:
    found = checked(variable, [item_with(name, empty)])
    if spec.get("required"):
        assert found["problems"] == [f"{variable}[0]: missing required arguments: {name}."]
    elif name == "id":
        assert found["problems"] == ["hotplug_memory[0]: missing required arguments: id or total."]
    elif name == "romfile" and empty == "":
        assert value_of(found, variable, name) == empty
    else:
        outer, _dot, inner = name.partition(".")
        assert found["problems"] == [] and found["data"][variable] == [{"id": "a", outer: {}} if inner else {"id": "a"}]


TYPED = [one for one in OPTIONS if one[2]["type"] in ("int", "bool", "float")]


@pytest.mark.parametrize(("variable", "name", "spec"), TYPED, ids=[f"{one[0]}-{one[1]}" for one in TYPED])
def test_numbers_and_booleans_can_be_text(variable: str, name: str, spec: dict[str, Any]) -> None:
    for text, value in (
        (("7", 7), (" 12 ", 12))
        if spec["type"] == "int"
        else (("false", False), ("no", False), ("0", False), ("True", True), ("yes", True), ("on", True))
    ):
        found = checked(variable, [item_with(name, text)])
        assert found["problems"] == [] and value_of(found, variable, name) is value, text
    found = checked(variable, [item_with(name, "many")])
    assert (
        found["problems"]
        == [f"{variable}[0] (a): {name} is 'many'. Give " + ("a whole number." if spec["type"] == "int" else "true or false.")]
        or "." in name
    ), found
    assert "many" in found["problems"][0] and name.split(".")[-1] in found["problems"][0]


@pytest.mark.parametrize("variable", SCALARS)
def test_scalar_variables_can_be_text_or_empty(variable: str) -> None:
    text, value = SCALARS[variable]
    assert checked(variable, text)["data"] == {variable: value}
    assert checked(variable, value)["data"] == {variable: value}
    for empty in ("", " ", None):
        assert checked(variable, empty) == {
            "data": {},
            "entries": [],
            "problems": [],
            "warnings": [],
            "hardware": {},
            "connection": {},
        }
    (problem,) = checked(variable, "many")["problems"]
    assert problem.startswith(f"{variable} is 'many'. Give ")


@pytest.mark.parametrize("variable", ["hotplug_socket", "hotplug_host", "hotplug_tls", *LISTS])
@pytest.mark.parametrize("empty", ["", " \n", None])
def test_an_empty_variable_is_not_set(variable: str, empty: Any) -> None:
    found = checked(variable, empty)
    assert found["problems"] == [] and found["entries"] == [] and not found["data"].get(variable)


@pytest.mark.parametrize("variable", LISTS)
@pytest.mark.parametrize("write", [json.dumps, yaml.safe_dump, lambda items: yaml.safe_dump(items, default_flow_style=True)])
def test_a_list_can_be_text(variable: str, write: Any) -> None:
    items = [{"id": "a"}, {"id": "b", "state": "absent"}]
    assert checked(variable, write(items)) == checked(variable, items)
    assert checked(variable, items)["data"] == {variable: items}


def test_text_keeps_macs_addresses_dates_and_words_as_they_are_written() -> None:
    text = "- id: n1\n  type: tap\n  mac: 52:54:00:00:00:01\n  script: no\n  addr: 0x5\n  ifname: 2026-01-01\n  queues: 4"
    assert checked("hotplug_netdevs", text)["data"]["hotplug_netdevs"] == [
        {
            "id": "n1",
            "type": "tap",
            "mac": "52:54:00:00:00:01",
            "script": "no",
            "addr": "0x5",
            "ifname": "2026-01-01",
            "queues": 4,
        }
    ]


@pytest.mark.parametrize(
    "text", ["- id: a\n  file: [", "{", "- id: 'a", "\t- id: a", "- !!python/name:os.system x", "- &a [*a", "\x00"]
)
def test_text_that_does_not_parse_is_one_sentence_that_names_the_variable_and_shows_nothing_of_it(text: str) -> None:
    (problem,) = checked("hotplug_blockdevs", f"{text}\n# hunter2")["problems"]
    assert problem.startswith("hotplug_blockdevs is text that is not YAML or JSON.") and "hunter2" not in problem
    assert problem.endswith("Give a list, each item of which has the options of vmops.qemu.qmp_blockdev.")


@pytest.mark.parametrize(
    ("value", "kind"), [({"id": "a"}, "a dictionary"), ("id: a", "a dictionary"), ("words", "text"), (3, "a number")]
)
def test_a_list_that_is_not_a_list_is_refused(value: Any, kind: str) -> None:
    (problem,) = checked("hotplug_blockdevs", value)["problems"]
    assert problem.startswith(f"hotplug_blockdevs is {kind}, not a list. Give a list")


@pytest.mark.parametrize(
    ("item", "problem"),
    [
        ({"file": "/a"}, "hotplug_blockdevs[0]: missing required arguments: id."),
        ({"id": "a", "fille": "/a"}, "hotplug_blockdevs[0] (a): fille is not an option. Did you mean file?"),
        (
            {"id": "a", "passphrase:hunter2": None},
            "hotplug_blockdevs[0] (a): passphrase is not an option. Did you mean passphrase?",
        ),
        ({"id": "a", "limits": {"ipos": 1}}, "hotplug_blockdevs[0] (a): limits: ipos is not an option. Did you mean iops?"),
        ({"id": "a", "state": "gone"}, "hotplug_blockdevs[0] (a): state is 'gone'. It can be present, absent."),
        ({"id": "a", "passphrase": {"hunter2": "hunter2"}}, "hotplug_blockdevs[0] (a): passphrase is a dictionary. Give text."),
        ({"id": "a", "passphrase": ["hunter2"]}, "hotplug_blockdevs[0] (a): passphrase is a list. Give text."),
        (
            {"id": "a", "backend_secrets": "hunter2"},
            "hotplug_blockdevs[0] (a): backend_secrets is text. Give options and their values, such as {name: value}.",
        ),
        (
            {"id": "a", "backend_secrets": ["hunter2"]},
            "hotplug_blockdevs[0] (a): backend_secrets is a list. Give options and their values, such as {name: value}.",
        ),
        ("passphrase=hunter2", "hotplug_blockdevs[0] is text. Give options, such as id."),
        (None, "hotplug_blockdevs[0] is empty. Give options, such as id."),
    ],
)
def test_a_wrong_item_is_named_with_the_mistake_and_without_a_secret(item: Any, problem: str) -> None:
    assert checked("hotplug_blockdevs", [item])["problems"] == [problem]
    assert "hunter2" not in json.dumps(checked("hotplug_blockdevs", [item])["problems"])


def test_an_id_that_swallowed_a_secret_is_not_shown() -> None:
    found = checked("hotplug_blockdevs", "- id: a\n  passphrase:hunter2")
    assert len(found["problems"]) == 1 and "hunter2" not in json.dumps(found["problems"] + found["entries"])


def test_an_id_is_used_once_but_objects_have_names_of_their_own() -> None:
    found = hotplug_input(
        {
            "hotplug_blockdevs": [{"id": "a"}, {"id": "b"}],
            "hotplug_netdevs": [{"id": "a"}],
            "hotplug_objects": [{"id": "b"}],
            "hotplug_memory": [{"total": "1G"}, {"total": "1G"}],
        }
    )
    assert found["problems"] == [
        "The id a is used more than once, by hotplug_blockdevs[0] and hotplug_netdevs[0]. Give each item its own id."
    ]


@pytest.mark.parametrize(
    ("name", "nearest"),
    [
        ("hotplug_blockdev", "hotplug_blockdevs"),
        ("hotplug_disks", "hotplug_blockdevs"),
        ("hotplug_nics", "hotplug_netdevs"),
        ("hotplug_vcpus", "hotplug_cpus"),
        ("hotplug_cpu", "hotplug_cpus"),
        ("hotplug_sockets", "hotplug_socket"),
        ("hot_plug_memory", "hotplug_memory"),
        ("Hotplug_Blockdevs", "hotplug_blockdevs"),
        ("hotplug_chardev", "hotplug_chardevs"),
        ("hotplug_dimms", "hotplug_memory"),
        ("hotplug_conect_timeout", "hotplug_connect_timeout"),
    ],
)
def test_a_misspelt_variable_is_warned_of_with_the_nearest_name(name: str, nearest: str) -> None:
    assert hotplug_input({}, [name, "hotplug_socket", "hotplug_hosts", "hotplug_report"])["warnings"] == [
        f"{name} is not a variable of this role and was ignored. Did you mean {nearest}?"
    ]


def test_no_secret_is_among_what_may_be_shown() -> None:
    found = hotplug_input(
        {
            "hotplug_blockdevs": [
                {
                    "id": "a",
                    "passphrase": "hunter2",
                    "backend_secrets": {"key-secret": "hunter2"},
                    "backend": {"driver": "https", "cookie": "hunter2"},
                }
            ],
            "hotplug_objects": [{"id": "s", "secret": "hunter2", "properties": {"data": "hunter2"}}],
        }
    )
    assert "hunter2" not in json.dumps([found["entries"], found["problems"]])
    assert found["data"]["hotplug_objects"][0]["secret"] == "hunter2"


@pytest.mark.parametrize(
    "secret", ["hunter2", "a\\b", "a\nb", "'\"`", "gr\u00fc\u00df\u20ac", "e", "1234", '{"a": 1}', "True", "{{ x }}"]
)
def test_a_secret_comes_through_unchanged(secret: str) -> None:
    items = [{"id": "a", "passphrase": secret}]
    for value in (items, json.dumps(items), yaml.safe_dump(items)):
        assert checked("hotplug_blockdevs", value)["data"]["hotplug_blockdevs"] == items
