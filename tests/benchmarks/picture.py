# SPDX-License-Identifier: GPL-3.0-or-later
"""The benchmark's plot: what each way costs, for each number of machines. One SVG file that needs no other."""

from __future__ import annotations

from math import log10
from typing import NamedTuple
from xml.sax.saxutils import escape

WIDTH, ROW, TOP, GAP = 760, 24, 56, 20
WALL, CPU = 200, 490  # left edges
SPAN = 190  # of each scale
SCALE = (0.1, 1, 10, 100, 1000)
STYLE = (
    "text{font:13px sans-serif;fill:#222}.small{font-size:11px;fill:#666}.head{font-weight:bold}.grid{stroke:#ddd}"
    ".wall{fill:#3f7d58}.nodes{fill:#c98b2b}"
)


class Bar(NamedTuple):
    """One way, with one number of machines."""

    group: str
    name: str
    wall: float
    nodes: float


def svg(title: str, bars: list[Bar]) -> str:
    """Draw seconds by the clock and CPU seconds of the machines, both on a logarithmic scale."""
    groups = list(dict.fromkeys(way.group for way in bars))
    longest = max(value for way in bars for value in (way.wall, way.nodes))
    height = TOP + ROW * len(bars) + (ROW + GAP) * len(groups)
    out = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" role="img">',
        f"<title>{escape(title)}</title>",
        f"<style>{STYLE}</style>",
        f'<rect width="{WIDTH}" height="{height}" fill="#fff"/>',
        f'<text x="{WALL}" y="20">Seconds by the clock, logarithmic</text>',
        f'<text x="{CPU}" y="20">CPU seconds on the machines, logarithmic</text>',
    ]
    for seconds in (mark for mark in SCALE if mark <= longest):
        for left in (WALL, CPU):
            x = left + along(seconds, longest)
            out.append(f'<line class="grid" x1="{x:.1f}" x2="{x:.1f}" y1="{TOP - 8}" y2="{height - 8}"/>')
            out.append(f'<text class="small" x="{x:.1f}" y="{TOP - 14}" text-anchor="middle">{seconds:g}</text>')
    y = TOP
    for group in groups:
        out.append(f'<text class="head" x="12" y="{y + 15}">{escape(group)}</text>')
        y += ROW
        for way in (way for way in bars if way.group == group):
            out.append(f'<text x="{WALL - 10}" y="{y + 14}" text-anchor="end">{escape(way.name)}</text>')
            for left, kind, seconds in ((WALL, "wall", way.wall), (CPU, "nodes", way.nodes)):
                width = along(seconds, longest)
                out.append(f'<rect class="{kind}" x="{left}" y="{y + 2}" width="{width:.1f}" height="16"/>')
                out.append(f'<text class="small" x="{left + width + 5:.1f}" y="{y + 14}">{short(seconds)}</text>')
            y += ROW
        y += GAP
    return "\n".join([*out, "</svg>\n"])


def along(seconds: float, longest: float) -> float:
    """Return how far from the left a time stands: logarithmic, from a hundredth of a second."""
    return SPAN * log10(max(1.0, seconds * 100)) / log10(longest * 100)


def short(seconds: float) -> str:
    """Return a number with as many digits as mean something."""
    return f"{seconds:.2f}" if seconds < 10 else f"{seconds:.1f}" if seconds < 100 else f"{seconds:.0f}"
