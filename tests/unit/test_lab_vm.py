# SPDX-License-Identifier: GPL-3.0-or-later
"""What an emulated computer of the lab is made of, and what its mains do."""

from __future__ import annotations

import io
import json
import socket
import sys
import tarfile
import threading
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lab/vm"))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "lab"))

import vm
from image import SUITES, packages
from power import switch

from ansible_collections.greenlab.cluster.plugins.plugin_utils._releases import NEWEST_KNOWN, merged

LAB = Path(__file__).resolve().parents[1] / "lab"

NODE = {
    "name": "machine1",
    "memory": 3072,
    "cpus": 2,
    "disk": "12G",
    "accelerator": "tcg",
    "cards": [
        {"card": "eth0", "mac": "02:00:0a:d5:0b:0b", "address": "10.213.11.11"},
        {"card": "eth1", "mac": "02:00:0a:d6:0b:0b", "address": "10.214.11.11"},
    ],
    "gateway": "10.213.11.1",
    "hosts": "10.213.11.10 server\n",
    "key": "ssh-ed25519 AAAA lab",
    "time_server": "10.213.11.3",
}


def after(words: list[str], option: str) -> list[str]:
    """Return the values of an option, in order."""
    return [value for word, value in zip(words, words[1:], strict=False) if word == option]


def test_the_computer_has_the_size_and_the_cards_of_its_node():
    words = vm.command(NODE)
    assert after(words, "-m") == ["3072"]
    assert after(words, "-smp") == ["2"]
    cards = [word for word in after(words, "-device") if "mac=" in word]
    assert [card.rpartition("mac=")[2] for card in cards] == ["02:00:0a:d5:0b:0b", "02:00:0a:d6:0b:0b"]
    assert [word.split(",")[:3] for word in after(words, "-netdev")] == [
        ["tap", "id=net0", "ifname=tap0"],
        ["tap", "id=net1", "ifname=tap1"],
    ]


@pytest.mark.parametrize(("name", "wanted"), [("kvm", ["kvm"]), ("tcg", ["tcg,thread=multi"])])
def test_a_processor_that_boots_no_guest_is_emulated(name, wanted):
    assert after(vm.command({**NODE, "accelerator": name}), "-accel") == wanted


def test_only_the_first_card_leads_out():
    files = vm.files(NODE, "nameserver 192.0.2.1\n")
    first, second = (files[f"etc/systemd/network/10-{card}.network"] for card in ("eth0", "eth1"))
    assert "MACAddress=02:00:0a:d5:0b:0b" in first.splitlines()
    assert "Address=10.213.11.11/24" in first.splitlines()
    assert "Gateway=10.213.11.1" in first.splitlines()
    assert "Gateway" not in second
    private = vm.files({**NODE, "gateway": ""}, "")
    assert "Gateway" not in private["etc/systemd/network/10-eth0.network"]


def test_the_operator_owns_the_key_and_root_the_rest():
    with tarfile.open(fileobj=io.BytesIO(vm.archive(vm.files(NODE, "")))) as tar:
        members = {member.name: member for member in tar}
        key = tar.extractfile("home/operator/.ssh/authorized_keys").read().decode()
    assert key == "ssh-ed25519 AAAA lab\n"
    assert {name for name, member in members.items() if member.uname != "root"} == {
        "home/operator/.ssh",
        "home/operator/.ssh/authorized_keys",
    }
    assert members["home/operator/.ssh"].mode == 0o700


@pytest.mark.parametrize(
    ("state", "kind", "wanted"),
    [
        ("exited", "container", ["start", "node"]),
        ("exited", "vm", ["start", "node"]),
        ("running", "container", []),
        ("running", "vm", ["exec", "node", "/usr/local/lib/lab/vm", "ask", "system_wakeup"]),
        ("created", "vm", []),
    ],
)
def test_a_packet_switches_on_what_is_off_and_wakes_what_may_sleep(state, kind, wanted):
    assert switch({"Names": ["node"], "State": state, "Labels": {"greenlab.kind": kind}}) == wanted


def test_events_are_no_answer(tmp_path):
    """The emulator tells of a suspend or a wake whenever it happens, also before it answers."""
    path = str(tmp_path / "qmp")
    heard = []

    def emulator(server: socket.socket) -> None:
        connection, _address = server.accept()
        with connection, connection.makefile("rw") as lines:
            for said in ('{"QMP": {}}', '{"event": "SUSPEND"}'):
                lines.write(said + "\n")
            lines.flush()
            for answer in ({"return": {}}, {"event": "WAKEUP"}, {"return": {"status": "running"}}):
                if "return" in answer:
                    heard.append(json.loads(lines.readline())["execute"])
                lines.write(json.dumps(answer) + "\n")
                lines.flush()

    with socket.socket(socket.AF_UNIX) as server:
        server.bind(path)
        server.listen()
        thread = threading.Thread(target=emulator, args=[server])
        thread.start()
        assert vm.ask("query-status", path) == {"return": {"status": "running"}}
        thread.join()
    assert heard == ["qmp_capabilities", "query-status"]


@pytest.mark.parametrize("suite", SUITES)
def test_the_disk_has_what_the_tool_needs_installed(suite):
    """Installing it takes minutes under emulation."""
    traits = merged(NEWEST_KNOWN)
    listed = packages((LAB / "image/packages").read_text() + (LAB / "vm/packages").read_text(), suite)
    assert {*traits["packages"], *traits["provider_packages"]} <= {*listed}
