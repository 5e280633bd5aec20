# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Names of inventory hosts, whatever the VMs are called."""

from __future__ import annotations

import re

import pytest

from ansible_collections.vmops.qemu.plugins.plugin_utils.host_names import Candidate, host_names, safe_name


def names(*candidates: tuple[str, str], taken: tuple[str, ...] = ()) -> list[str]:
    return host_names([Candidate(*one) for one in candidates], taken)


def test_a_vm_has_its_own_name() -> None:
    assert names(("web-1.example", "/a"), ("Büro", "/b"), ("db_1", "/c")) == ["web-1.example", "Büro", "db_1"]


@pytest.mark.parametrize(
    "name",
    ["{{ lookup('pipe', 'id') }}", "{% raw %}", "../x", "/etc/passwd", "..", ".", "-oProxyCommand=id", "a[1:3]", "!b", "&c", "~d"]
    + ["a,b", "a:b", "a b", "\x1b[2J", "a\nb", "\u202eabc", "\ud800", "", "x" * 5000, "*", "a;b", "$(id)", "\x00"],
)
def test_no_name_is_a_template_a_pattern_an_option_or_a_path(name: str) -> None:
    assert re.fullmatch(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}", safe_name(name)), safe_name(name)


@pytest.mark.parametrize("name", ["all", "ALL", "ungrouped", "localhost", "Localhost4", "127.0.0.1", "::1", "qmp", "qmp_error"])
def test_a_name_with_a_meaning_for_ansible_gets_a_prefix(name: str) -> None:
    assert names((name, "/a"))[0].startswith("vm-")


def test_a_name_that_the_inventory_has_gets_a_prefix() -> None:
    assert names(("db", "/a"), taken=("db",)) == ["vm-db"]
    assert names(("db", "/run/a.sock"), taken=("db", "vm-db")) == ["vm-db-run_a.sock"]


def test_vms_of_one_name_all_get_their_addresses() -> None:
    assert names(("db", "/run/a/qmp.sock"), ("db", "/run/b/qmp.sock"), ("c", "/c")) == [
        "db-run_a_qmp.sock",
        "db-run_b_qmp.sock",
        "c",
    ]


def test_no_two_vms_get_one_name_however_they_are_called() -> None:
    found = names(("db", "/a"), ("DB", "/a"), ("db-a", "/x"), ("db-a-2", "/y"), ("d b", "/a"), ("d/b", "/a"), ("d_b-a", "/z"))
    assert len({name.lower() for name in found}) == len(found)
    assert found[2:4] == ["db-a", "db-a-2"] and found[6] == "d_b-a", "who is alone keeps its name"
