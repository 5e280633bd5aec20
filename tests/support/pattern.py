# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The pattern hotplug_vm, as its definition says."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

PATTERN = Path(__file__).parents[2] / "extensions/patterns/hotplug_vm"
DEFINITION: dict[str, Any] = json.loads((PATTERN / "meta/pattern.json").read_text(encoding="utf-8"))
RESOURCES: dict[str, Any] = DEFINITION["aap_resources"]
TEMPLATES: dict[str, dict[str, Any]] = {Path(one["playbook"]).stem: one for one in RESOURCES["controller_job_templates"]}
"""The job templates by the name of their playbook."""
