# Copyright (c) 2026, the greenlab.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Wake-on-LAN: the magic packet, and the way out of this host to the machine."""

from __future__ import annotations

import contextlib
import fcntl
import socket
import struct

PORT = 9  # "discard"; the sleeping network card looks for the bytes and at no port
EVERYWHERE = "255.255.255.255"
# ioctl(2) requests, linux/sockios.h
GET_ADDRESS, GET_BROADCAST_ADDRESS = 0x8915, 0x8919


def as_bytes(text: str, *lengths: int) -> bytes:
    """Return the bytes of an address or password written in hexadecimal, with colons or dashes."""
    data = bytes.fromhex(text.replace(":", "").replace("-", ""))
    if len(data) not in lengths:
        raise ValueError(f"{text!r} has {len(data)} bytes, not {' or '.join(map(str, lengths))}")
    return data


def magic_packet(mac: str, secureon: str = "") -> bytes:
    """Return 6 bytes of 0xff, 16 times the address, and the SecureOn password (4 or 6 bytes) if there is one.

    AMD, "Magic Packet Technology", white paper 20213, 1995.
    """
    return b"\xff" * 6 + as_bytes(mac, 6) * 16 + (as_bytes(secureon, 4, 6) if secureon else b"")


def _ask_kernel(interface: str, request: int) -> str:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        answer = fcntl.ioctl(any_socket, request, struct.pack("256s", interface.encode()[:15]))
    return socket.inet_ntoa(answer[20:24])


def interface_towards(address: str) -> str:
    """Return the name of the network interface that leads to an address; empty if none does."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        try:
            any_socket.connect((address, PORT))  # sends nothing
        except OSError:
            return ""
        own = any_socket.getsockname()[0]
    for _index, name in socket.if_nameindex():
        with contextlib.suppress(OSError):  # an interface without an address
            if _ask_kernel(name, GET_ADDRESS) == own:
                return name
    return ""


def send(packet: bytes, *, address: str, interface: str = "", broadcast: str = "", port: int = PORT) -> str:
    """Broadcast a packet on the machine's own network; return where it went.

    Never unicast: a sleeping machine answers no ARP. 255.255.255.255 alone leaves by the default route only, which on a
    host with two interfaces may be the wrong one.
    """
    interface = interface or ("" if broadcast else interface_towards(address))
    broadcast = broadcast or (_ask_kernel(interface, GET_BROADCAST_ADDRESS) if interface else EVERYWHERE)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as out:
        out.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
        if interface:
            out.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, interface.encode())
        out.sendto(packet, (broadcast, port))
    return f"{broadcast} {interface}".strip()
