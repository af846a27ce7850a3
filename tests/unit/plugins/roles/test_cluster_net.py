# SPDX-License-Identifier: GPL-3.0-or-later
"""A change of the network is taken back unless it is confirmed. Real managers do it on nodes (molecule)."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path
from typing import Any

import pytest

FILE = Path(__file__).resolve().parents[4] / "roles/cluster_net/files/cluster_net.py"
spec = importlib.util.spec_from_file_location("cluster_net", FILE)
assert spec and spec.loader
cluster_net = importlib.util.module_from_spec(spec)
spec.loader.exec_module(cluster_net)

INTERFACES = """\
# This file describes the network interfaces available on your system
source /etc/network/interfaces.d/*

auto lo
iface lo inet loopback

# The primary network interface
allow-hotplug eth0 eth1
iface eth0 inet dhcp
    # of the office
    mtu 1500

iface eth0 inet6 auto
auto eth1
iface eth1 inet static
    address 192.0.2.7/24
"""


class TestInterfaces:
    def test_only_what_is_said_of_the_card_becomes_a_comment(self) -> None:
        mark = cluster_net.MARK
        assert cluster_net.without_card(INTERFACES, "eth0") == INTERFACES.replace(
            "allow-hotplug eth0 eth1\n", f"{mark}allow-hotplug eth0 eth1\nallow-hotplug eth1\n"
        ).replace("iface eth0 inet dhcp\n", f"{mark}iface eth0 inet dhcp\n").replace(
            "    mtu 1500\n", f"{mark}    mtu 1500\n"
        ).replace("iface eth0 inet6 auto\n", f"{mark}iface eth0 inet6 auto\n")

    @pytest.mark.parametrize("card", ["eth0", "eth1", "eth2", "lo"])
    def test_the_way_back_is_exact(self, card: str) -> None:
        without = cluster_net.without_card(INTERFACES, card)
        assert not cluster_net.has_stanza(without, card)
        assert cluster_net.without_card(without, card) == without
        assert cluster_net.with_card(without) == INTERFACES

    def test_what_others_wrote_meanwhile_stays(self) -> None:
        without = cluster_net.without_card(INTERFACES, "eth0") + "\niface eth9 inet dhcp\n"
        assert cluster_net.with_card(without) == INTERFACES + "\niface eth9 inet dhcp\n"

    def test_names_are_compared_as_a_whole(self) -> None:
        text = "auto eth0:1\niface eth0:1 inet dhcp\n"
        assert cluster_net.without_card(text, "eth0") == text
        assert not cluster_net.has_stanza(text, "eth0")


class Node:
    """A node whose commands are played: a card, its address, and a manager that obeys its file."""

    def __init__(self, root: Path, manager: str) -> None:
        self.root = root
        self.manager = manager
        self.card = ["10.0.0.5/24"]
        self.timers: list[list[str]] = []
        self.broken = False

    @property
    def own(self) -> Path:
        return cluster_net.FILES[self.manager]

    def call(self, *argv: str, check: bool = True) -> str:
        if argv[:3] == ("ip", "-json", "address"):
            pairs = [card.split("/") for card in self.card]
            info = [{"family": "inet", "local": ip, "prefixlen": int(length)} for ip, length in pairs]
            lo = {"ifname": "lo", "flags": ["LOOPBACK"], "addr_info": []}
            return json.dumps([lo, {"ifname": "eth1", "flags": ["UP"], "addr_info": info}])
        if argv[:4] == ("ip", "-json", "-4", "route"):
            return "[]"
        if argv[0] == "systemd-run":
            self.timers.append(list(argv))
        elif argv[:2] == ("systemctl", "stop"):
            self.timers.clear()
        elif argv[0] in ("networkctl", "ifup") or argv[:3] == ("nmcli", "connection", "up"):
            self._set_up(check)
        elif argv[:3] == ("ip", "address", "add"):
            self.card.append(argv[3])
        elif argv[:3] == ("ip", "address", "delete"):
            self.card = [address for address in self.card if address != argv[3]]
        elif argv[:3] == ("ip", "address", "flush"):
            self.card = []
        return ""

    def _set_up(self, check: bool) -> None:
        if self.own.exists():
            if self.broken and check:
                raise cluster_net.Refused("the manager does not like it")
            self.card = [*self.card, self.own.read_text(encoding="utf8").strip()]
            self.card = list(dict.fromkeys(self.card))


@pytest.fixture(params=["networkmanager", "networkd", "ifupdown"])
def node(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Node:
    monkeypatch.setattr(cluster_net, "STATE", tmp_path / "state")
    files = {manager: tmp_path / manager / "own" for manager in cluster_net.FILES}
    monkeypatch.setattr(cluster_net, "FILES", files)
    monkeypatch.setattr(cluster_net, "INTERFACES", tmp_path / "interfaces")
    (tmp_path / "interfaces").write_text(INTERFACES, encoding="utf8")
    (tmp_path / "interfaces").chmod(0o644)
    played = Node(tmp_path, request.param)
    monkeypatch.setattr(cluster_net, "call", played.call)
    monkeypatch.setattr(cluster_net, "promote", lambda _interface: None)
    monkeypatch.setattr(cluster_net.time, "sleep", lambda _seconds: None)
    return played


def change(node: Node, address: str | None) -> None:
    cluster_net.apply(node.manager, "eth1", f"{address}\n" if address else None, address or "10.0.0.5/24", 60)


def files_of(root: Path) -> dict[str, str]:
    found = [path for path in sorted(root.rglob("*")) if path.is_file() and "state" not in path.parts]
    return {str(path.relative_to(root)): path.read_text(encoding="utf8") for path in found}


class TestChange:
    def test_a_confirmed_change_stays(self, node: Node) -> None:
        change(node, "10.0.0.9/24")
        assert node.card == ["10.0.0.9/24"]
        assert "--on-active=60" in node.timers[0]
        cluster_net.confirm()
        assert node.timers == []
        cluster_net.rollback()
        assert node.card == ["10.0.0.9/24"]

    @pytest.mark.parametrize("boot", [False, True])
    def test_a_change_that_nobody_confirms_is_taken_back(self, node: Node, boot: bool) -> None:
        before = files_of(node.root)
        change(node, "10.9.9.9/24")
        assert files_of(node.root) != before
        cluster_net.rollback(boot)
        assert files_of(node.root) == before
        assert node.card == (["10.9.9.9/24"] if boot else ["10.0.0.5/24"]), "at boot the manager comes later"
        with pytest.raises(cluster_net.Refused, match="nothing to confirm"):
            cluster_net.confirm()

    def test_the_second_change_goes_back_to_the_first(self, node: Node) -> None:
        change(node, "10.0.0.9/24")
        cluster_net.confirm()
        change(node, "10.9.9.9/24")
        cluster_net.rollback()
        assert node.own.read_text(encoding="utf8") == "10.0.0.9/24\n"
        assert node.card == ["10.0.0.9/24"]

    def test_a_manager_that_refuses_is_taken_back_at_once(self, node: Node) -> None:
        before = files_of(node.root)
        node.broken = True
        with pytest.raises(cluster_net.Refused, match=r"does not like it\. The old network is back"):
            change(node, "10.0.0.9/24")
        assert files_of(node.root) == before
        assert node.card == ["10.0.0.5/24"]

    def test_without_the_address_nothing_is_confirmed(self, node: Node) -> None:
        change(node, "10.0.0.9/24")
        node.card = ["10.0.0.8/24"]
        with pytest.raises(cluster_net.Refused, match=r"eth1 has not got 10\.0\.0\.9/24"):
            cluster_net.confirm()
        node.card = ["10.0.0.9/24", "10.0.0.8/24"]
        with pytest.raises(cluster_net.Refused, match="or not only that"):
            cluster_net.confirm()
        assert node.timers, "the timer must go on"

    def test_one_change_at_a_time(self, node: Node) -> None:
        change(node, "10.0.0.9/24")
        with pytest.raises(cluster_net.Refused, match="neither confirmed nor taken back"):
            change(node, "10.0.0.10/24")

    def test_the_card_is_given_back_with_what_it_had(self, node: Node) -> None:
        before = files_of(node.root)
        for address in ("10.0.0.9/24", "10.0.0.10/24", None):
            change(node, address)
            cluster_net.confirm()
        assert node.card == ["10.0.0.5/24"]
        assert files_of(node.root) == before

    def test_secrets_of_networkmanager_stay_its_own(self, node: Node) -> None:
        change(node, "10.0.0.9/24")
        assert node.own.stat().st_mode & 0o777 == (0o600 if node.manager == "networkmanager" else 0o644)


class TestLook:
    def test_the_card_is_the_one_in_the_network(self, node: Node) -> None:
        assert cluster_net.look("10.0.0.0/24", "")["interface"] == "eth1"
        assert cluster_net.look("10.1.0.0/24", "")["interface"] is None
        assert cluster_net.look(None, "eth1")["interface"] == "eth1"
        assert cluster_net.look(None, "eth7")["candidates"] == []

    @pytest.mark.parametrize(
        ("says", "manager"),
        [
            ({"nmcli": "lo:unmanaged\neth1:connected\n"}, "networkmanager"),
            ({"nmcli": "eth1:unmanaged\n", "stanza": True}, "ifupdown"),
            ({"networkctl": "3 eth1 ether routable configured", "systemd-networkd.service": "active"}, "networkd"),
            ({"networkctl": "3 eth1 ether routable unmanaged", "systemd-networkd.service": "active"}, "networkd"),
            ({"systemd-networkd.service": "active", "networking.service": "active"}, None),
            ({"networking.service": "active"}, "ifupdown"),
            ({}, None),
        ],
    )
    def test_who_manages_a_card(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, says: dict[str, Any], manager: str | None
    ) -> None:
        monkeypatch.setattr(cluster_net, "INTERFACES", tmp_path / "interfaces")
        if says.get("stanza"):
            (tmp_path / "interfaces").write_text(INTERFACES, encoding="utf8")

        def call(*argv: str, check: bool = True) -> str:
            assert not check, "what is not installed is no error"
            return says.get(argv[2] if argv[0] == "systemctl" else argv[0], "")

        monkeypatch.setattr(cluster_net, "call", call)
        assert cluster_net.manager_of("eth1") == manager
