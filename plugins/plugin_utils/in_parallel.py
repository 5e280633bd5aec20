# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ask many VMs at the same time, and return in bounded time even if some of them never answer."""

from __future__ import annotations

import queue
import threading
import time
from typing import Callable, Sequence, TypeVar

Question = TypeVar("Question")
Answer = TypeVar("Answer")

AT_ONCE = 256
"""Threads. Each one waits most of the time and has at most two file descriptors, of which a process may have 1024."""
GRACE_SECONDS = 2.0
"""What is left for answers that arrive at the last moment."""


def ask_all(ask: Callable[[Question], Answer], questions: Sequence[Question], seconds: float) -> dict[int, Answer]:
    """The answers, by the index of their question. *seconds*: the time in which *ask* returns, unless the system hangs.

    A thread that hangs, such as in the resolver of host names, is abandoned, and its answer is missing in the result. So are
    questions that no thread was free for. *ask* must not raise.
    """
    pending: queue.SimpleQueue[int] = queue.SimpleQueue()
    answered: queue.SimpleQueue[tuple[int, Answer]] = queue.SimpleQueue()
    for index in range(len(questions)):
        pending.put(index)
    rounds = -(-len(questions) // AT_ONCE)
    deadline = time.monotonic() + rounds * seconds + GRACE_SECONDS

    def work() -> None:
        while time.monotonic() < deadline:
            try:
                index = pending.get_nowait()
            except queue.Empty:
                return
            answered.put((index, ask(questions[index])))

    for _number in range(min(AT_ONCE, len(questions))):
        try:
            threading.Thread(target=work, daemon=True).start()  # a daemon: it cannot keep Ansible from ending
        except RuntimeError:  # the system allows no more threads: those that there are do the work
            break
    answers: dict[int, Answer] = {}
    while len(answers) < len(questions):
        try:
            index, answer = answered.get(timeout=max(0.0, deadline - time.monotonic()))
        except queue.Empty:
            break
        answers[index] = answer
    return answers
