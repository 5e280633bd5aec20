# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Give ``ansible-test --venv`` the pip installer that it would download.

ansible-test sets up its virtual environments with a script from its cache, if the cache has one for the version of pip that it
needs. ``get_pip.py`` beside this file does the same with Python's own ensurepip.
"""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import ansible_test

INSTALLER = Path(__file__).with_name("get_pip.py")


def main() -> None:
    source = (Path(ansible_test.__path__[0]) / "_internal/python_requirements.py").read_text()
    cache = Path.home() / ".ansible/test/cache"
    cache.mkdir(parents=True, exist_ok=True)
    for version in set(re.findall(r"""\bpip=['"]([\d.]+)['"]""", source)):
        script = cache / f"get_pip_{version.replace('.', '_')}.py"
        if not script.exists():
            shutil.copyfile(INSTALLER, script)


if __name__ == "__main__":
    main()
