# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Dataclasses whose methods are generated when the first instance is made.

Python generates and compiles these methods for each dataclass, which takes 0.4 ms. A task has a few milliseconds to load what it
needs, and makes instances of few of the classes.
"""

from __future__ import annotations

import dataclasses
import threading
from typing import TYPE_CHECKING, Any, Callable

__all__ = ["dataclass"]

if TYPE_CHECKING:
    from dataclasses import dataclass
else:
    _pending: dict[type, Callable[[type], type]] = {}  # what completes each class
    _lock = threading.RLock()

    def dataclass(**options: Any) -> Callable[[type], type]:
        """The decorator of the standard library with these options, applied to a class at its first instance."""

        def postpone(cls: type) -> type:
            _pending[cls] = dataclasses.dataclass(**options)
            cls.__new__ = _new
            return cls

        return postpone

    def _new(cls: type, *_args: Any, **_members: Any) -> Any:
        if not _pending.keys().isdisjoint(cls.__mro__):
            with _lock:
                for one in reversed(cls.__mro__):  # a class inherits the members of those before it
                    if one in _pending:
                        _pending[one](one)
                        del _pending[one]
        return object.__new__(cls)
