# Copyright (c) 2026, the greenlab.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The simulator's plot: for each policy its energy, and how long jobs wait. One SVG file that needs no other."""

from __future__ import annotations

import typing as t
from math import log10
from xml.sax.saxutils import escape

WIDTH, ROW, TOP = 760, 44, 56
ENERGY, WAIT = 110, 420  # left edges
SPAN = 230  # of each scale
SCALE = ((1, "1 s"), (10, "10 s"), (60, "1 min"), (600, "10 min"), (3600, "1 h"), (36000, "10 h"), (360000, "100 h"))
STYLE = (
    "text{font:13px sans-serif;fill:#222}.small{font-size:11px;fill:#666}.grid{stroke:#ddd}"
    ".energy{fill:#3f7d58}.wait{fill:#c98b2b}.tail{stroke:#c98b2b;stroke-width:2}"
)


def svg(rows: list[dict[str, t.Any]]) -> str:
    """Draw the results."""
    most = max(row["kwh_a_month"] for row in rows) or 1.0
    longest = max(10.0, *(max(row["wait_mean"], row["wait_p95"]) for row in rows))
    height = TOP + ROW * len(rows) + 16
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img">',
        "<title>Energy and waiting times by policy</title>",
        f"<style>{STYLE}</style>",
        f'<rect width="{WIDTH}" height="{height}" fill="#fff"/>',
        f'<text x="{ENERGY}" y="20">kWh a month</text>',
        f'<text x="{WAIT}" y="20">Waiting time: mean (bar), 95 % of the jobs (line)</text>',
    ]
    for seconds, name in SCALE:
        if seconds <= longest:
            x = WAIT + along(seconds, longest)
            out.append(f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="{TOP - 8}" y2="{height - 8}"/>')
            out.append(f'<text class="small" x="{x:.1f}" y="{TOP - 14}" text-anchor="middle">{name}</text>')
    for number, row in enumerate(rows):
        y = TOP + ROW * number
        width = SPAN * row["kwh_a_month"] / most
        mean, tail = along(row["wait_mean"], longest), along(row["wait_p95"], longest)
        out += [
            f'<text x="{ENERGY - 10}" y="{y + 19}" text-anchor="end">{escape(row["policy"])}</text>',
            f'<rect class="energy" x="{ENERGY}" y="{y + 4}" width="{width:.1f}" height="20"/>',
            f'<text x="{ENERGY + width + 6:.1f}" y="{y + 19}">{row["kwh_a_month"]:.1f}</text>',
            f'<rect class="wait" x="{WAIT}" y="{y + 4}" width="{mean:.1f}" height="20"/>',
            f'<line class="tail" x1="{WAIT + tail:.1f}" x2="{WAIT + tail:.1f}" y1="{y}" y2="{y + 28}"/>',
            f'<text x="{WAIT + max(mean, tail) + 6:.1f}" y="{y + 19}">{row["wait_mean"]:.0f} s</text>',
        ]
    return "\n".join([*out, "</svg>"])


def along(seconds: float, longest: float) -> float:
    """Return how far from the left a time stands: logarithmic, from one second."""
    return SPAN * log10(max(1.0, seconds)) / log10(longest)
