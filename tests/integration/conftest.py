# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fixtures of the integration tests."""

from __future__ import annotations

from pathlib import Path

import pytest

from ansible_collections.vmops.qemu.tests.support.fixtures import free_port, session_vm, vm
from ansible_collections.vmops.qemu.tests.support.playbooks import Playbooks

__all__ = ["free_port", "session_vm", "vm"]


@pytest.fixture
def playbooks(tmp_path: Path) -> Playbooks:
    return Playbooks(tmp_path)
