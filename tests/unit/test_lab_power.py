# SPDX-License-Identifier: GPL-3.0-or-later
"""What the lab's network cards take for a magic packet, and what they do not."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lab"))

from power import payload, woken_by

MAC = bytes.fromhex("02000ad50b0c")
PACKET = b"\xff" * 6 + MAC * 16


def frame(data: bytes, to: bytes = b"\xff" * 6, protocol: int = 17, options: bytes = b"") -> bytes:
    """Return an Ethernet frame with an IPv4 packet, padded as short ones are."""
    ip = bytes([0x45 + len(options) // 4, 0, 0, 0, 0, 0, 0, 0, 64, protocol, 0, 0, *([10] * 8)]) + options
    udp = bytes([0, 9, 0, 9]) + (len(data) + 8).to_bytes(2, "big") + bytes(2)
    return to + MAC + b"\x08\x00" + ip + udp + data + bytes(7)


@pytest.mark.parametrize("data", [PACKET, b"before" + PACKET, PACKET + b"\1\2\3\4", PACKET + b"\1\2\3\4\5\6"])
def test_a_magic_packet_wakes_its_address(data):
    assert payload(frame(data)) == payload(frame(data, options=bytes(8))) == data
    assert woken_by(data) == "02:00:0a:d5:0b:0c"
    assert woken_by(payload(b"\xff" * 6 + MAC + b"\x08\x42" + data)) == "02:00:0a:d5:0b:0c"


@pytest.mark.parametrize(
    "data",
    [b"", b"\xff" * 6, PACKET[:-1], PACKET[1:], b"\xff" * 6 + MAC * 15, b"\xff" * 6 + MAC * 15 + MAC[::-1], MAC * 17],
)
def test_anything_less_wakes_nobody(data):
    assert woken_by(data) == ""


def test_only_broadcasts_reach_a_sleeping_card():
    assert payload(frame(PACKET, to=MAC)) == b""
    assert payload(frame(PACKET, protocol=6)) == b""
    assert payload(b"\xff" * 6 + MAC + b"\x86\xdd" + PACKET) == b""
