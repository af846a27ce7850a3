# Copyright (c) 2026, the greenlab.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What operators write: names on one line, and times such as 90 or 1h30m."""

from __future__ import annotations

import re
import unicodedata

_SECONDS_OF = {"": 1, "s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}

# More would not fit a PostgreSQL interval of seconds, and nobody waits for it.
MAX_SECONDS = 100 * 366 * 86400


def flaw_of_line(text: str) -> str | None:
    """Return what is wrong with a name that goes into tables, files and logs, or None."""
    if not text.strip():
        return "is empty; give it a name"
    # Line breaks would end up in config.yml, unit files and logs; NUL and lone surrogates PostgreSQL cannot store.
    if any(unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp") for character in text):
        return "holds a line break or another control character; write it as one line of text"
    if text != text.strip():
        return "begins or ends with a blank, which makes two names look alike; remove it"
    return None


def flaw_of_text(text: str) -> str | None:
    """Return what PostgreSQL cannot store of a text of any number of lines, or None."""
    if any(character == "\0" or unicodedata.category(character) == "Cs" for character in text):
        return "holds a NUL or half a character, which PostgreSQL cannot store; remove it"
    return None


def seconds(text: str) -> int:
    """Return the seconds of `90`, `90s`, `15m`, `2h`, `14d`, `1w` or `1h30m`; raise `ValueError` for anything else."""
    written = text.strip().lower()
    parts = re.findall(r"(\d+)([smhdw]?)", written, re.ASCII)
    units = [unit for _number, unit in parts]
    if not parts or "".join(number + unit for number, unit in parts) != written or ("" in units and len(units) > 1):
        raise ValueError(f"{text!r} is no time: write seconds (90), or numbers with s, m, h, d or w (15m, 1h30m, 14d)")
    total = sum(int(number) * _SECONDS_OF[unit] for number, unit in parts)
    if total > MAX_SECONDS:
        raise ValueError(f"{text!r} is more than a hundred years; write a shorter time")
    return total
