# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Give ``ansible-test --venv`` the pip installer that it would download.

It sets up each of its virtual environments with a script from its cache, if it finds one there for the version of pip that it
wants. Python's own ensurepip does as well.
"""

from __future__ import annotations

import re
from pathlib import Path

import ansible_test

SCRIPT = """\
import subprocess
import sys

wanted = [word for word in sys.argv[1:] if word not in ("--no-setuptools", "--no-wheel")]
subprocess.check_call([sys.executable, "-m", "ensurepip"])
subprocess.check_call([sys.executable, "-m", "pip", "install", *wanted])
"""


def main() -> None:
    source = (Path(ansible_test.__path__[0]) / "_internal/python_requirements.py").read_text()
    cache = Path.home() / ".ansible/test/cache"
    cache.mkdir(parents=True, exist_ok=True)
    for version in set(re.findall(r"""\bpip=['"]([\d.]+)['"]""", source)):
        script = cache / f"get_pip_{version.replace('.', '_')}.py"
        if not script.exists():
            script.write_text(SCRIPT)


if __name__ == "__main__":
    main()
