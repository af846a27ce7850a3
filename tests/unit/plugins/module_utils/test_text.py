# SPDX-License-Identifier: GPL-3.0-or-later
"""What operators write."""

from __future__ import annotations

import pytest

from ansible_collections.greenlab.cluster.plugins.module_utils._text import flaw_of_line, flaw_of_text, seconds


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("90", 90),
        ("0", 0),
        (" 90s ", 90),
        ("15m", 900),
        ("2H", 7200),
        ("14d", 1209600),
        ("1w", 604800),
        ("1h30m", 5400),
    ],
)
def test_times(text: str, expected: int) -> None:
    assert seconds(text) == expected


@pytest.mark.parametrize("text", ["", "h", "-1", "1.5h", "1 h", "1h 30m", "1h30", "1y", "٣m", "1e3", "1h;", "9999999w"])
def test_what_is_no_time(text: str) -> None:
    with pytest.raises(ValueError, match="is no time|more than a hundred years"):
        seconds(text)


def test_texts() -> None:
    assert flaw_of_line("Raspberry Pi 5 ($(touch x), ü, 树莓派)") is None
    for text in ("", " ", "a\nb", "a\0", "\u2028", " a", "a\t", "\ud800"):
        assert flaw_of_line(text), text
    assert flaw_of_text("a\nb\tc") is None
    for text in ("a\0", "\ud800"):
        assert flaw_of_text(text), text
