# SPDX-License-Identifier: GPL-3.0-or-later
"""What disturbs a measurement is found on Debian and Ubuntu, and what the machine needs is not."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.greenlab.cluster.plugins.module_utils import _quiet

# Of an Ubuntu 24.04 server; columns as systemctl prints them.
UNIT_FILES = """\
apt-daily.timer                 enabled   enabled
fstrim.timer                    disabled  enabled
greenlab-jobs-db-backup.timer   enabled   enabled
motd-news.timer                 enabled   enabled
run-u12.timer                   transient -
snapd.snap-repair.timer         enabled   enabled
systemd-tmpfiles-clean.timer    static    -
ssh.service                     enabled   enabled
thermald.service                enabled   enabled
smartd.service                  alias     -
smartmontools.service           enabled   enabled
systemd-journal-flush.service   static    -
wpa_supplicant.service          enabled   enabled
swap.target                     static    -
"""
UNITS = """\
apt-daily.timer              loaded active   waiting Daily apt download activities
systemd-tmpfiles-clean.timer loaded active   waiting Daily Cleanup of Temporary Directories
thermald.service             loaded inactive dead    Thermal Daemon Service
swap.target                  loaded active   active  Swaps
"""
PACKAGES = "apt installed\nbluez config-files\ncloud-init installed\nmdadm installed\nopenssh-server installed\n"
SNAPS = """\
Name      Version        Rev    Tracking       Publisher   Notes
core22    20240111       1122   latest/stable/… canonical** base
code      1.9            5      latest/stable  vscode**    classic
lxd       5.21.1-d46c406 28460  5.21/stable    canonical** -
snapd     2.62           21465  latest/stable  canonical** snapd
"""
WANTED = ["smartd.service", "smartmontools.service", "thermald.service", "wpa_supplicant.service", "absent.service"]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for path, text in {
        "usr/lib/systemd/system/timers.target.wants/systemd-tmpfiles-clean.timer": "",
        "etc/crontab": "17 * * * * root x\n",
        "etc/cron.d/.placeholder": "",
        "var/spool/cron/crontabs/gc": "* * * * * x\n",
        "etc/update-motd.d/50-motd-news": "#!/bin/sh\n",
        "etc/fstab": "# UUID=1 none swap sw 0 0\nUUID=2 / ext4 defaults 0 1\n/swap.img none swap sw 0 0\n",
        "proc/swaps": "Filename Type Size Used Priority\n/swap.img file 4194300 0 -2\n/dev/zram0 partition 1 0 5\n",
        "proc/sys/kernel/watchdog": "1\n",
        "proc/sys/kernel/soft_watchdog": "0\n",
        "proc/net/route": "Iface\tDestination\tGateway\nenp1s0\t00000000\t0101A8C0\n",
    }.items():
        (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / path).write_text(text, encoding="utf8")
    return tmp_path


@pytest.fixture
def run() -> Callable[[Sequence[str]], str]:
    answers = {
        ("systemctl", "--system", "list-unit-files"): UNIT_FILES,
        ("systemctl", "--system", "list-units"): UNITS,
        ("systemctl", "--system", "list-timers"): "- - - - apt-daily.timer apt-daily.service\n",
        ("systemctl", "--global", "list-unit-files"): "launchpadlib-cache-clean.timer enabled enabled\n",
        ("dpkg-query", "--show"): PACKAGES,
        ("snap", "list"): SNAPS,
        ("apt-get", "--simulate"): "Remv cloud-init [24]\nRemv ubuntu-server [1]\n",
    }

    def answer(command: Sequence[str]) -> str:
        return next((text for words, text in answers.items() if tuple(command[: len(words)]) == words), "")

    return answer


def look(run: Any, root: Path, **wishes: Sequence[str]) -> dict[str, Any]:
    given = {
        "keep": ["greenlab-*"],
        "services": WANTED,
        "masks": ["systemd-journal-flush.service", "swap.target"],
        "packages": ["bluez", "cloud-init", "mdadm"],
    }
    return _quiet.look(run, root, **{**given, **wishes})


def names(units: list[Any]) -> list[tuple[str, str]]:
    return [(unit["name"], unit["action"]) for unit in units]


def test_ubuntu(run: Any, root: Path) -> None:
    found = look(run, root)
    assert names(found["timers"]) == [
        ("apt-daily.timer", "disable"),
        ("motd-news.timer", "disable"),
        ("snapd.snap-repair.timer", "disable"),
        ("systemd-tmpfiles-clean.timer", "mask"),
    ]
    assert names(found["services"]) == [
        ("smartmontools.service", "disable"), ("thermald.service", "disable"), ("wpa_supplicant.service", "disable")]
    assert names(found["masks"]) == [("swap.target", "mask"), ("systemd-journal-flush.service", "mask")]
    assert not any(unit["active"] for unit in found["masks"])  # swap.target is masked, not stopped
    assert names(found["global_timers"]) == [("launchpadlib-cache-clean.timer", "disable")]
    assert found["listed_timers"] == ["apt-daily.timer"]
    assert found["packages"] == ["cloud-init", "mdadm"]
    assert found["also_removed"] == ["ubuntu-server"]
    assert [snap["name"] for snap in found["snaps"]] == ["code", "lxd", "core22", "snapd"]
    channels = [snap["channel"] for snap in found["snaps"]]
    assert channels == ["latest/stable", "5.21/stable", "latest/stable", "latest/stable"]
    assert [snap["classic"] for snap in found["snaps"]] == [True, False, False, False]
    assert found["cron_files"] == ["/etc/cron.d/.placeholder", "/etc/crontab", "/var/spool/cron/crontabs/gc"]
    assert found["motd_files"] == ["/etc/update-motd.d/50-motd-news"]
    assert found["swaps"] == ["/swap.img", "/dev/zram0"]
    assert found["fstab_swaps"] == ["/swap.img none swap sw 0 0"]
    assert [(dog["name"], dog["value"]) for dog in found["watchdogs"]] == [("watchdog", 1), ("soft_watchdog", 0)]
    assert found["services_in_use"] == {}
    assert not found["container"]


def test_a_masked_timer_is_done_only_when_nothing_pulls_it_in(root: Path) -> None:
    def run(command: Sequence[str]) -> str:
        return "systemd-tmpfiles-clean.timer masked enabled\n" if "list-unit-files" in command else ""

    link = "etc/systemd/system/timers.target.wants/systemd-tmpfiles-clean.timer"
    assert look(run, root)["timers"][0]["links"] == [f"/{link}"]
    (root / link).parent.mkdir(parents=True)
    (root / link).symlink_to("/dev/null")
    assert look(run, root)["timers"] == []


@pytest.mark.parametrize(
    ("path", "text", "package"),
    [
        ("sys/block/dm-0/dm/uuid", "CRYPT-LUKS2-5a-root", "cryptsetup-initramfs"),
        ("sys/block/dm-0/dm/uuid", "mpath-3600", "multipath-tools"),
        ("proc/mdstat", "Personalities : [raid1]\nmd0 : active raid1 sda1[0] sdb1[1]\n", "mdadm"),
        ("sys/class/iscsi_session/session1/state", "LOGGED_IN", "open-iscsi"),
        ("etc/networkd-dispatcher/routable.d/50-x", "", "networkd-dispatcher"),
        ("sys/class/net/wwan0/mtu", "1500", "modemmanager"),
    ],
)
def test_what_the_machine_stands_on_stays(run: Any, root: Path, path: str, text: str, package: str) -> None:
    (root / path).parent.mkdir(parents=True, exist_ok=True)
    (root / path).write_text(text, encoding="utf8")

    def all_there(command: Sequence[str]) -> str:
        return f"{package} installed\nbluez installed\n" if command[0] == "dpkg-query" else run(command)

    found = look(all_there, root, packages=[package, "bluez"])
    assert found["packages"] == ["bluez"]
    assert list(found["packages_in_use"]) == [package]


def test_a_machine_that_is_online_by_radio_keeps_its_radio(run: Any, root: Path) -> None:
    (root / "sys/class/net/enp1s0/wireless").mkdir(parents=True)
    found = look(run, root)
    assert found["services_in_use"] == {"wpa_supplicant.service": "the machine is online by radio"}
    assert "wpa_supplicant.service" not in dict(names(found["services"]))


def test_a_machine_that_is_online_by_radio_and_ipv6_alone_keeps_its_radio(run: Any, root: Path) -> None:
    (root / "sys/class/net/wlp2s0/wireless").mkdir(parents=True)
    (root / "proc/net/ipv6_route").write_text(
        f"{'0' * 32} 00 {'0' * 32} 00 fe80{'0' * 27}1 00000400 00000001 00000000 00450003   wlp2s0\n"
        f"{'0' * 32} 00 {'0' * 32} 00 {'0' * 32} ffffffff 00000001 00000000 00200200       lo\n",
        encoding="utf8",
    )
    assert look(run, root)["services_in_use"]


def test_a_wire_that_asks_for_a_login_keeps_its_supplicant(run: Any, root: Path) -> None:
    keyfile = root / "etc/NetworkManager/system-connections/office.nmconnection"
    keyfile.parent.mkdir(parents=True)
    keyfile.write_text("[connection]\ntype=ethernet\n[802-1x]\neap=tls;\n", encoding="utf8")
    found = look(run, root)
    assert found["services_in_use"] == {"wpa_supplicant.service": "a network asks for a login (802.1X)"}
    assert "wpa_supplicant.service" not in dict(names(found["services"]))
    assert look(run, root, services=["thermald.service"])["services_in_use"] == {}


def test_what_snaps_have_mounted_is_found_the_innermost_first(run: Any, root: Path) -> None:
    (root / "proc/self").mkdir()
    (root / "proc/self/mounts").write_text(
        "/dev/vda1 / ext4 rw 0 0\n/dev/vda1 /var/snap/firefox/common/host-hunspell ext4 ro 0 0\n"
        "tmpfs /var/snap/firefox/common/host-hunspell/a\\040b tmpfs rw 0 0\n"
        "/dev/loop0 /snap/core22/1 squashfs ro 0 0\n",
        encoding="utf8",
    )
    assert look(run, root)["snap_mounts"] == [
        "/var/snap/firefox/common/host-hunspell/a b", "/var/snap/firefox/common/host-hunspell"]


def test_timers_of_accounts(root: Path) -> None:
    (root / "run/user/1001/systemd/private").mkdir(parents=True)
    own = root / "home/gc/.config/systemd/user/timers.target.wants"
    own.mkdir(parents=True)
    (own / "tick.timer").symlink_to("../tick.timer")

    def run(command: Sequence[str]) -> str:
        return {
            "id": "gc\n",
            "getent": "gc:x:1001:1001::/home/gc:/bin/bash\n",
            "systemctl": "cache-clean.timer loaded active waiting x\n" if "--machine=gc@" in command else "",
        }.get(command[0], "")

    assert look(run, root)["account_timers"] == [
        {"user": "gc", "uid": 1001, "name": "cache-clean.timer", "own": False, "active": True},
        {"user": "gc", "uid": 1001, "name": "tick.timer", "own": True, "active": False},
    ]
