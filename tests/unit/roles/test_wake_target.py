# SPDX-License-Identifier: GPL-3.0-or-later
"""What role wake_target makes of hardware that no test node has: cards, udev's files, NetworkManager, suspend, GRUB.

Each case is a host of one run of ansible-playbook; what the role would have read is given to it, and its own variables
and its template judge it.
"""

from __future__ import annotations

import base64
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

pytestmark = pytest.mark.slow  # a run of ansible-playbook

ROOT = Path(__file__).resolve().parents[3]
ROLE = ROOT / "roles/wake_target"
MAC = "52:54:00:12:34:ab"

# As Debian 12 and 13 have it.
DEFAULT_LINK = """[Match]
OriginalName=*

[Link]
NamePolicy=keep kernel database onboard slot path
AlternativeNamesPolicy=database onboard slot path
MACAddressPolicy=persistent
"""


def ethtool(can: str, does: str) -> dict[str, str]:
    """Return what ethtool prints of an Ethernet card, whose lines of speed are left out."""
    wake = f"\tSupports Wake-on: {can}\n\tWake-on: {does}\n" if can else ""
    return {"stdout": f"Settings for eno1:\n\tSupported ports: [ TP ]\n{wake}\tLink detected: yes\n"}


def card(name: str, mac: str = MAC, **more: str) -> dict[str, str]:
    return {"device": name, "macaddress": mac, "type": "ether", **more}


def encoded(text: str) -> dict[str, str]:
    return {"content": base64.b64encode(text.encode()).decode()}


ORDINARY: dict[str, Any] = {
    "wake_target_mac": "52-54-00-12-34-AB",
    "__wake_target_facts": {"ansible_facts": {"ansible_eno1": card("eno1", pciid="0000:00:1f.6"), "ansible_x": "y"}},
    "__wake_target_ethtool": ethtool("pumbg", "d"),
    "__wake_target_ethtool_address": {"stdout": f"Permanent address: {MAC}"},
    "__wake_target_udev": {"stdout": "ID_BUS=pci\nID_NET_LINK_FILE=/usr/lib/systemd/network/99-default.link\nX=y"},
    "__wake_target_nm": {"rc": 2},
    "__wake_target_nm_connection": {"skipped": True},
    "__wake_target_nm_says": {"skipped": True},
    "__wake_target_default_link": {"results": [{"failed": False}, encoded(DEFAULT_LINK)]},
    "__wake_target_mem_sleep": encoded("s2idle [deep]\n"),
    "__wake_target_has_grub": {"stat": {"exists": True}},
}
SECUREON = {"wake_target_driver_options": {"secureon": "00:11:22:33:44:55"}}
CASES: dict[str, dict[str, Any]] = {
    "ordinary": {},
    "awake": {"__wake_target_ethtool": ethtool("pumbg", "g")},
    "cannot": {"__wake_target_ethtool": ethtool("", "")},
    "no_packet": {"__wake_target_ethtool": ethtool("pum", "d")},
    "bridge": {
        "__wake_target_facts": {
            "ansible_facts": {
                "ansible_br0": {**card("br0"), "type": "bridge"},
                "ansible_eno1_100": card("eno1.100"),
                "ansible_eno1": card("eno1", pciid="0000:00:1f.6"),
                "ansible_eno2": card("eno2", "52:54:00:00:00:02", pciid="0000:02:00.0"),
            }
        }
    },
    "virtual": {"__wake_target_ethtool_address": {"stdout": "Permanent address: not set"}},
    "netplan": {"__wake_target_udev": {"stdout": "ID_NET_LINK_FILE=/run/systemd/network/10-netplan-eno1.link"}},
    "second_run": {"__wake_target_udev": {"stdout": "ID_NET_LINK_FILE=/etc/systemd/network/90-greenlab-wake.link"}},
    "masked_default": {"__wake_target_default_link": {"results": [encoded(""), encoded(DEFAULT_LINK)]}},
    "secureon": {**SECUREON, "__wake_target_ethtool": ethtool("pumbgs", "d")},
    "secureon_set": {**SECUREON, "__wake_target_ethtool": ethtool("pumbgs", "s")},
    "secureon_unknown": {**SECUREON},
    "nm": {"__wake_target_nm": {"stdout": "eno1:connected\nlo:unmanaged"}},
    "nm_not_this": {"__wake_target_nm": {"stdout": "eno1:unmanaged\nwlan0:connected"}},
    "nm_overrules": {
        "__wake_target_nm": {"stdout": "eno1:connected"},
        "__wake_target_nm_connection": {"stdout": "Wired 1"},
        "__wake_target_nm_says": {"stdout": "broadcast"},
    },
    "shallow": {"__wake_target_mem_sleep": encoded("[s2idle] deep\n")},
    "no_s3": {"__wake_target_mem_sleep": encoded("[s2idle]\n")},
    "no_suspend": {"__wake_target_mem_sleep": {"failed": False, "msg": "file not found"}},
    "no_grub": {"__wake_target_has_grub": {"stat": {"exists": False}}},
    "depth_as_it_is": {"wake_target_mem_sleep": "", "__wake_target_mem_sleep": encoded("[s2idle] deep\n")},
    "socket": {
        "wake_target_driver": "pdudaemon",
        "wake_target_mac": "",
        "__wake_target_facts": {},
        "__wake_target_ethtool": {},
    },
}
JUDGED = ("card", "file", "card_lacks", "suspend_lacks", "waits", "argument", "depth")


@pytest.fixture(scope="module")
def judged(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, Any]]:
    """Return for each case the role's variables without their prefix, and the file for udev as `link`."""
    folder = tmp_path_factory.mktemp("wake_target")
    wanted = {name: f"{{{{ __wake_target_{name} }}}}" for name in JUDGED if name not in ("card", "file")}
    by_packet = "{{ %s if __wake_target_by_packet else '' }}"
    wanted.update({name: by_packet % f"__wake_target_{name}" for name in ("card", "file")})
    wanted["manager"] = by_packet % "__wake_target_nm_manages"
    wanted["link"] = by_packet % f"lookup('ansible.builtin.template', '{ROLE}/templates/wake.link.j2')"
    wanted["nm_conf"] = by_packet % f"lookup('ansible.builtin.template', '{ROLE}/templates/network_manager.conf.j2')"
    play = {
        "hosts": "all",
        "gather_facts": False,
        "connection": "local",
        "vars_files": [str(ROLE / "vars/main.yml")],
        "tasks": [
            {"ansible.builtin.set_fact": {"judged": wanted}},
            {
                "ansible.builtin.copy": {
                    "content": "{{ dict(ansible_play_hosts | zip(ansible_play_hosts"
                    " | map('extract', hostvars, 'judged'))) | to_json }}",
                    "dest": str(folder / "judged.json"),
                },
                "run_once": True,
            },
        ],
    }
    defaults = yaml.safe_load((ROLE / "defaults/main.yml").read_text(encoding="utf8"))
    interpreter = {"ansible_python_interpreter": sys.executable}
    hosts = {name: {**defaults, **ORDINARY, **case, **interpreter} for name, case in CASES.items()}
    (folder / "hosts.yml").write_text(json.dumps({"all": {"hosts": hosts}}), encoding="utf8")
    (folder / "play.yml").write_text(json.dumps([play]), encoding="utf8")
    done = subprocess.run(
        [Path(sys.executable).parent / "ansible-playbook", "-i", folder / "hosts.yml", folder / "play.yml"],
        cwd=ROOT, env={**os.environ, "ANSIBLE_FORKS": "4"}, capture_output=True, text=True, check=False, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    found: dict[str, dict[str, Any]] = json.loads((folder / "judged.json").read_text(encoding="utf8"))
    return found


def lines(text: str) -> list[str]:
    return [line for line in text.splitlines() if line and not line.startswith("#")]


def test_a_card_gets_a_file_of_its_own_and_keeps_its_name(judged: dict[str, dict[str, Any]]):
    case = judged["ordinary"]
    assert case["card"] == "eno1"
    assert case["file"] == "/etc/systemd/network/90-greenlab-wake.link"
    naming = DEFAULT_LINK.splitlines()[4:]
    assert lines(case["link"]) == ["[Match]", f"PermanentMACAddress={MAC}", "[Link]", *naming, "WakeOnLan=magic"]
    assert case["card_lacks"] == case["suspend_lacks"] == case["waits"] == []
    assert judged["second_run"] == case


def test_a_card_comes_before_what_else_has_its_address(judged: dict[str, dict[str, Any]]):
    assert judged["bridge"]["card"] == "eno1"


def test_a_card_without_a_permanent_address_is_matched_by_the_one_it_has(judged: dict[str, dict[str, Any]]):
    assert f"MACAddress={MAC}" in lines(judged["virtual"]["link"])


def test_where_no_default_names_cards_ours_does_not_either(judged: dict[str, dict[str, Any]]):
    assert lines(judged["masked_default"]["link"])[2:] == ["[Link]", "WakeOnLan=magic"]


def test_where_another_file_is_applied_ours_is_a_part_of_it(judged: dict[str, dict[str, Any]]):
    assert judged["netplan"]["file"] == "/etc/systemd/network/10-netplan-eno1.link.d/greenlab-wake.conf"
    assert lines(judged["netplan"]["link"]) == ["[Link]", "WakeOnLan=magic"]


@pytest.mark.parametrize(("case", "seen"), [("cannot", "nothing"), ("no_packet", "pum"), ("secureon_unknown", "pumbg")])
def test_a_card_that_cannot_wake_is_named_with_what_to_do(judged: dict[str, dict[str, Any]], case: str, seen: str):
    (text,) = judged[case]["card_lacks"]
    assert text.startswith("eno1 cannot be woken by a packet") and f"(Supports Wake-on: {seen})" in text
    assert ("with a password" in text) == (case == "secureon_unknown")
    assert "firmware" in text
    assert judged[case]["waits"] == []


def test_a_password_stands_in_a_file_of_its_own_and_waits_for_a_boot(judged: dict[str, dict[str, Any]]):
    case = judged["secureon"]
    assert lines(case["link"])[-2:] == ["WakeOnLan=secureon", "WakeOnLanPassword=/etc/greenlab/wake-secureon"]
    assert "00:11:22" not in case["link"]
    assert case["waits"] == ["the password of eno1"]
    assert judged["secureon_set"]["waits"] == []


def test_networkmanager_is_told_where_it_manages_the_card(judged: dict[str, dict[str, Any]]):
    assert lines(judged["nm"]["nm_conf"])[1:] == [f"match-device=mac:{MAC}", "ethernet.wake-on-lan=64"]
    assert lines(judged["secureon"]["nm_conf"])[-1] == "ethernet.wake-on-lan=32768"
    assert [name for name, case in judged.items() if case["manager"] is True] == ["nm", "nm_overrules"]


def test_a_connection_that_says_otherwise_is_named(judged: dict[str, dict[str, Any]]):
    (text,) = judged["nm_overrules"]["card_lacks"]
    assert '"Wired 1"' in text and "broadcast" in text
    assert judged["nm"]["card_lacks"] == []


def test_suspend_gets_deep_at_the_next_boot(judged: dict[str, dict[str, Any]]):
    case = judged["shallow"]
    assert (case["depth"], case["argument"], case["waits"]) == ("s2idle", True, ["suspend to be deep"])
    assert judged["ordinary"]["argument"] is True and judged["ordinary"]["waits"] == []
    assert judged["depth_as_it_is"]["argument"] is False and judged["depth_as_it_is"]["waits"] == []


@pytest.mark.parametrize(
    ("case", "seen"), [("no_s3", "[s2idle]"), ("no_suspend", "mem_sleep: none"), ("no_grub", "GRUB")]
)
def test_a_machine_that_cannot_suspend_deep_says_so_and_waits_for_nothing(
    judged: dict[str, dict[str, Any]], case: str, seen: str
):
    (text,) = judged[case]["suspend_lacks"]
    assert seen in text
    assert judged[case]["argument"] is False and judged[case]["waits"] == []


def test_a_machine_with_another_driver_needs_no_card(judged: dict[str, dict[str, Any]]):
    assert judged["socket"]["card_lacks"] == []
