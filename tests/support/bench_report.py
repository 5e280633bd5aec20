# Copyright (c) 2026 The vmops.qemu authors
# GNU General Public License v3.0+ (see COPYING or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The measured rows as a table for docs/performance.md, and as a plot."""

from __future__ import annotations

import html
from typing import Any, Mapping

Report = Mapping[str, Any]
"""What docs/performance.json has: when, where and with what the rows were measured, and the rows."""

_HEIGHT = 24  # pixels of a bar
_NAMES = 700  # pixels of the longest name
_TARGET = 200  # pixels of a bar that just meets its target
_COLOURS = {"met": "#2a7", "missed": "#c33"}


def table(report: Report) -> str:
    """The table in Markdown, with what the numbers depend on."""
    lines = [
        "| row | at most | measured | floor | ours | peer |",
        "|---|---|---|---|---|---|",
        *(
            f"| {row['name']} | {row['target']:g} | {row['value']:.2f}{'' if row['verdict'] == 'met' else ' (missed)'} "
            f"| {'' if row.get('floor') is None else format(row['floor'], '.2f')} "
            f"| {_quantity(row['ours'], row['unit'])} | {_quantity(row['peer'], row['unit'])} |"
            for row in report["rows"]
        ),
    ]
    about = (
        f"Measured on {report['date']} with QEMU {report['qemu']}, ansible-core {report['ansible_core']} and Python "
        f"{report['python']} on {report['processors']} processors. The load average was {report['load'][0]:.1f} before and "
        f"{report['load'][1]:.1f} after."
    )
    return "\n".join([*lines, "", about, ""])


def _quantity(value: float | None, unit: str) -> str:
    if value is None:
        return "–"
    if unit != "s":
        return f"{value:.0f} {unit}" if value >= 100 else f"{value:.2f} {unit}"
    return f"{value:.1f} s" if value >= 1 else f"{value * 1000:.1f} ms"


def plot(report: Report) -> str:
    """A bar for each row, as an SVG image: how much of its target it takes. The dashed line is the target."""
    bars = []
    for number, row in enumerate(report["rows"]):
        top = number * _HEIGHT
        share = min(row["value"] / row["target"], 2.0)
        text = html.escape(f"{row['name']} ({row['value']:.2f}, target {row['target']:g})")
        bars.append(
            f'<text x="0" y="{top + 15}">{text}</text><rect x="{_NAMES}" y="{top + 4}" width="{share * _TARGET:.0f}" '
            f'height="{_HEIGHT - 8}" fill="{_COLOURS[row["verdict"]]}"/>'
        )
    height, line = len(bars) * _HEIGHT, _NAMES + _TARGET
    style = 'font-family="sans-serif" font-size="12"'
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{_NAMES + 2 * _TARGET}" height="{height}" {style}>{"".join(bars)}'
        f'<line x1="{line}" y1="0" x2="{line}" y2="{height}" stroke="black" stroke-dasharray="4"/></svg>\n'
    )
