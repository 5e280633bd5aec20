#!/usr/bin/python
# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

from ansible_collections.vmops.qemu.plugins.module_utils._ansible import module
from ansible_collections.vmops.qemu.plugins.module_utils._ansible.options.hotplug import OPERATION


def main() -> None:
    module.main(OPERATION)


if __name__ == "__main__":
    main()
