# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Assertions in what the tests share show their values, as those of tests do."""

from __future__ import annotations

import pytest

pytest.register_assert_rewrite("ansible_collections.vmops.qemu.tests.support")
