# Copyright (c) 2026, the greenlab.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""IPv4 addresses and networks of the inventory: read in one place, with errors that say what to write."""

from __future__ import annotations

import ipaddress
import typing as t
from collections.abc import Sequence

# A network that may send work to a host is a lab's, never a part of the Internet.
WIDEST = 8


def read_address(value: t.Any) -> ipaddress.IPv4Address:
    """Return the address of a host.

    :raises ValueError: it is none; the text begins with a verb.
    """
    try:
        return ipaddress.IPv4Address(str(value))
    except ValueError as error:
        raise ValueError("is no IPv4 address. Write one such as 10.168.168.11, without a prefix.") from error


def read_network(value: t.Any) -> ipaddress.IPv4Network:
    """Return a network, or an address as a network of one.

    :raises ValueError: it is none, or has bits of a host in it; the text begins with a verb.
    """
    try:
        loose = ipaddress.IPv4Network(str(value), strict=False)
    except ValueError as error:
        raise ValueError("is no IPv4 network. Write one such as 10.168.168.0/24.") from error
    if "/" in str(value) and str(value).partition("/")[0] != str(loose.network_address):
        raise ValueError(f"is the address of a host, not of a network. Write {loose}.")
    return loose


def check_allowed(values: Sequence[t.Any]) -> str:
    """Return what is wrong with a list of networks that may send work, or an empty string."""
    for value in values:
        try:
            network = read_network(value)
        except ValueError as error:
            return f"has {value!r}, which {error}"
        if network.prefixlen < WIDEST:
            return (
                f"has {value!r}, so that half the Internet or more could run programs here. "
                "Name the cluster's own network, such as 10.168.168.0/24."
            )
    return ""
