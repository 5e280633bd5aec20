# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Dataclasses that are completed at their first instance are those of the standard library."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from dataclasses import FrozenInstanceError, field, replace
from typing import Any, Tuple

import pytest

from ansible_collections.vmops.qemu.plugins.module_utils._vm.lazy import dataclass


def classes() -> Tuple[Any, Any, Any]:
    """Three classes without an instance yet: one, one that adds members, and one below that adds none."""

    @dataclass(frozen=True)
    class Base:
        name: str
        about: list[str] = field(default_factory=list, compare=False)

    @dataclass(frozen=True)
    class More(Base):
        size: int = 5

    class Below(More):
        pass

    return Base, More, Below


def test_an_instance_is_that_of_a_dataclass() -> None:
    base, more, _below = classes()
    one = more("a", ["x"])
    assert (one.name, one.about, one.size) == ("a", ["x"], 5)
    assert one == more("a", []) != more("b")
    assert base("a") == base("a", ["x"])
    assert replace(one, size=7).size == more("a", size=7).size == 7
    with pytest.raises(FrozenInstanceError):
        one.name = "b"
    with pytest.raises(TypeError, match="unexpected"):
        base("a", colour="red")


def test_a_class_below_is_complete_before_those_that_it_inherits_from_have_an_instance() -> None:
    _base, _more, below = classes()
    assert below("a", size=1).about == []


def test_the_first_instances_may_be_made_at_the_same_time() -> None:
    with ThreadPoolExecutor(8) as pool:
        for _time in range(50):
            more = classes()[1]
            start = threading.Barrier(8)

            def make(number: int, more: Any = more, start: threading.Barrier = start) -> Any:
                start.wait()
                return more(str(number)).name

            assert list(pool.map(make, range(8))) == [str(number) for number in range(8)]
