# SPDX-License-Identifier: GPL-3.0-or-later
"""The magic packet's bytes, and where it goes on a host with two network interfaces."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from greenlab_wake import packet

PROGRAM = Path(packet.__file__).parents[1]
MAC = bytes.fromhex("020000abcdef")


@pytest.mark.parametrize("mac", ["02:00:00:ab:cd:ef", "02-00-00-AB-CD-EF", "020000abcdef"])
def test_102_bytes(mac):
    assert packet.magic_packet(mac) == b"\xff\xff\xff\xff\xff\xff" + MAC * 16
    assert len(packet.magic_packet(mac)) == 102


@pytest.mark.parametrize(
    ("password", "length", "end"),
    [("01:02:03:04", 106, b"\1\2\3\4"), ("01:02:03:04:05:06", 108, b"\1\2\3\4\5\6")],
)
def test_secureon(password, length, end):
    made = packet.magic_packet("02:00:00:ab:cd:ef", password)
    assert (len(made), made[102:]) == (length, end)


@pytest.mark.parametrize("mac", ["", "02:00:00:ab:cd", "02:00:00:ab:cd:ef:01", "zz:00:00:ab:cd:ef"])
def test_a_wrong_address_is_an_error(mac):
    with pytest.raises(ValueError, match="bytes|non-hexadecimal"):
        packet.magic_packet(mac)


@pytest.mark.parametrize("password", ["01", "01:02:03:04:05", "01:02:03:04:05:06:07"])
def test_a_wrong_password_is_an_error(password):
    with pytest.raises(ValueError, match="not 4 or 6"):
        packet.magic_packet("02:00:00:ab:cd:ef", password)


# A host of its own with two network cards, each with its cable's other end beside it; prints what leaves where.
TWO_CARDS = """
import json, socket, subprocess, sys
sys.path.insert(0, sys.argv[1])
from greenlab_wake import packet

def ip(line):
    subprocess.run(["ip", *line.split()], check=True)

ip("link set lo up")
ends = {}
for card, network in (("lan0", "198.51.100"), ("lan1", "203.0.113")):
    ip(f"link add {card} type veth peer name far-{card}")
    ip(f"address add {network}.1/24 brd + dev {card}")
    for name in (card, f"far-{card}"):
        ip(f"link set {name} up")
    ends[card] = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3))
    ends[card].bind((f"far-{card}", 0))
    ends[card].settimeout(0.3)
ip("route add default via 198.51.100.254 dev lan0")

def frames(card, wanted):
    found = []
    while True:
        try:
            frame = ends[card].recv(2000)
        except TimeoutError:
            return found
        if wanted in frame:
            found.append(frame)

results = []
for number, options in enumerate(json.loads(sys.argv[2]), start=1):
    made = packet.magic_packet(f"02:00:00:00:00:{number:02x}")
    where = packet.send(made, **options)
    for card in ends:
        for frame in frames(card, made):
            # Ethernet 14 bytes, IP 20, UDP 8
            results.append([number, card, where, frame[:6].hex(), frame[42:].hex(), int.from_bytes(frame[36:38], "big"),
                            socket.inet_ntoa(frame[30:34])])
print(json.dumps(results))
"""


def test_the_packet_leaves_by_the_machines_own_network():
    asked = [
        {"address": "203.0.113.7"},  # found by the way to the machine
        {"address": "198.51.100.7"},
        {"address": "198.51.100.7", "interface": "lan1"},  # as told
        {"address": "name.invalid", "broadcast": "203.0.113.255", "port": 7},
    ]
    command = ["unshare", "--net", "--map-root-user", sys.executable, "-c", TWO_CARDS, str(PROGRAM), json.dumps(asked)]
    done = subprocess.run(command, capture_output=True, encoding="utf8", check=False)
    if "unshare: " in done.stderr or "Operation not permitted" in done.stderr:
        pytest.skip("network namespaces are not to be had here")
    assert done.returncode == 0, done.stderr
    everybody = "ff" * 6

    def made(number):
        return packet.magic_packet(f"02:00:00:00:00:{number:02x}").hex()

    assert json.loads(done.stdout) == [
        [1, "lan1", "203.0.113.255 lan1", everybody, made(1), 9, "203.0.113.255"],
        [2, "lan0", "198.51.100.255 lan0", everybody, made(2), 9, "198.51.100.255"],
        [3, "lan1", "203.0.113.255 lan1", everybody, made(3), 9, "203.0.113.255"],
        [4, "lan1", "203.0.113.255", everybody, made(4), 7, "203.0.113.255"],
    ]


def test_an_interface_that_does_not_exist_is_an_error():
    with pytest.raises(OSError, match="No such device"):
        packet.send(b"", address="192.0.2.1", interface="nowhere0")
