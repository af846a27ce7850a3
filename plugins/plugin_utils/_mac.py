# Copyright (c) 2026, the greenlab.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One idea of what a MAC address is, for the filter and for preflight."""

from __future__ import annotations

import re

_FORM = re.compile(r"[0-9a-f]{12}|[0-9a-f]{2}(?::[0-9a-f]{2}){5}|[0-9a-f]{2}(?:-[0-9a-f]{2}){5}", re.ASCII)


def normalise_mac(value: object) -> str:
    """Return the address in lower case with colons, for example C(aa:bb:cc:dd:ee:ff).

    Accepted are six pairs of hexadecimal digits, joined by C(:), by C(-) or by nothing.

    A multicast address (lowest bit of the first byte set; broadcast is one of them) and the all-zero address
    are refused: IEEE 802 gives neither to a network card, so a magic packet for it wakes nobody.

    :raises ValueError: the message says what is wrong and what to write, but does not repeat the value.
    """
    if not isinstance(value, str):
        # YAML 1.1 reads 10:20:30:40:50:12 as a number to the base of 60, and 001122334455 as a number.
        raise ValueError("is not text, so it is no MAC address. Put quotes around the address.")
    text = str(value).strip().lower()
    if not _FORM.fullmatch(text):
        raise ValueError("is not a MAC address. Write six pairs of hexadecimal digits, such as '52:54:00:12:34:56'.")
    digits = re.sub("[^0-9a-f]", "", text)
    if int(digits, 16) == 0:
        raise ValueError("is the all-zero MAC address, which no network card has. Write the card's own address.")
    if int(digits[:2], 16) & 1:
        raise ValueError(
            "is a multicast MAC address (the lowest bit of its first byte is set), which no network card has. "
            "Write the card's own address."
        )
    return ":".join(digits[i : i + 2] for i in range(0, 12, 2))
