# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Fixtures of the tests of Event-Driven Ansible."""

from __future__ import annotations

from ansible_collections.vmops.qemu.tests.support.fixtures import make_vm
from ansible_collections.vmops.qemu.tests.support.tls import authority, port, tls

__all__ = ["authority", "make_vm", "port", "tls"]
