# SPDX-License-Identifier: GPL-3.0-or-later
"""What the role quiet_os takes from default installations of Ubuntu, and what it never takes.

Its own defaults, variables and tasks are read and filled in by Ansible; the machine is a list in the folder quiet_os.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar

from ansible_collections.greenlab.cluster.plugins.module_utils import _quiet

ROLE = Path(__file__).resolve().parents[4] / "roles/quiet_os"
LISTS = Path(__file__).with_name("quiet_os")

# The table of "NOP Linux" as GMT's documentation has it (2026-07-24), by what the role does with each item.
TIMERS_OFF = """
    launchpadlib-cache-clean apt-daily apt-daily-upgrade dpkg-db-backup e2scrub_all fstrim motd-news anacron fwupd-refresh
    logrotate ua-timer man-db sysstat-collect sysstat-summary snapd.snap-repair
""".split()
USER_TIMERS_OFF = ["launchpadlib-cache-clean", "snap.firmware-updater.firmware-notifier", "systemd-tmpfiles-clean"]
SERVICES_OFF = """
    wpa_supplicant e2scrub_reap tinyproxy smartd systemd-timesyncd power-profiles-daemon thermald anacron cron
""".split()
MASKED = ["systemd-tmpfiles-clean.timer", "systemd-journal-flush.service", "swap.target"]
PACKAGES_REMOVED = """
    apport bluez bluez-obexd cloud-init command-not-found lxd-agent-loader lxd-installer mdadm modemmanager motd-news-config
    multipath-tools needrestart networkd-dispatcher open-iscsi packagekit python3-update-manager snapd unattended-upgrades
    update-notifier-common
""".split()
# They run only when somebody calls them, or the tool calls them; cron is stopped.
PACKAGES_KEPT = """
    apport-symptoms cloud-guest-utils cron cryptsetup cryptsetup-bin cryptsetup-initramfs curl gdisk pastebinit squashfs-tools
    ssh-import-id wget xauth
""".split()

NEEDED_UNITS = """
    ssh.service ssh.socket sshd.service NetworkManager.service systemd-networkd.service systemd-resolved.service
    systemd-udevd.service dbus.service
""".split()
NEEDED_PACKAGES = """
    apt ca-certificates curl dbus git grub-pc iproute2 linux-generic linux-image-generic netplan-generator netplan.io
    network-manager openssh-server python3 python3-apt sudo systemd systemd-resolved systemd-timesyncd udev wget
""".split()


@dataclass
class Ubuntu:
    """A machine that answers from a list of what it has."""

    root: Path
    has: dict[str, Any]

    def run(self, command: Sequence[str]) -> str:
        if "list-unit-files" in command:
            units = self.has["units" if "--system" in command else "user_units"]
            wanted = next(word for word in command if word.startswith("--type=")).removeprefix("--type=").split(",")
            return "".join(f"{name} {state} enabled\n" for name, state in units.items() if name.split(".")[-1] in wanted)
        if "list-units" in command and "--system" in command:
            on = [name for name, state in self.has["units"].items() if state == "enabled"]
            return "".join(f"{name} loaded active running x\n" for name in on)
        if command[0] == "dpkg-query":
            return "".join(f"{name} installed\n" for name in self.has["packages"])
        if command[0] == "apt-get":
            gone = [*command[command.index("remove") + 1 :], *self.has["along"]]
            gone += self.has["orphans"] if "--auto-remove" in command else []
            return "".join(f"Remv {name} [1]\n" for name in gone)
        return self.has["snaps"] if command[0] == "snap" else ""

    def but(self, **changes: Any) -> Ubuntu:
        return Ubuntu(self.root, {**self.has, **changes})

    def would_run(self, names: Sequence[str], kind: str, where: str = "units") -> list[str]:
        there = [f"{name}.{kind}" for name in names]
        return sorted(name for name in there if self.has[where].get(name) == "enabled")


@pytest.fixture(params=["ubuntu-22.04-server", "ubuntu-24.04-server", "ubuntu-24.04-desktop"])
def ubuntu(request: pytest.FixtureRequest, tmp_path: Path) -> Ubuntu:
    for path in (
        "usr/lib/systemd/system/timers.target.wants/systemd-tmpfiles-clean.timer",
        "etc/cron.d/e2scrub_all",
        "etc/update-motd.d/50-motd-news",
    ):
        (tmp_path / path).parent.mkdir(parents=True)
        (tmp_path / path).touch()
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc/swaps").write_text("Filename Type Size Used Priority\n/swap.img file 4194300 0 -2\n")
    return Ubuntu(tmp_path, yaml.safe_load((LISTS / f"{request.param}.yml").read_text(encoding="utf8")))


class Role:
    """The role's variables, filled in by Ansible when they are asked for."""

    def __init__(self, **given: Any) -> None:
        self.loader = DataLoader()
        self.variables: dict[str, Any] = {}
        for file in ("defaults/main.yml", "vars/main.yml"):
            self.variables |= self.loader.load_from_file(str(ROLE / file), trusted_as_template=True)
        self.variables |= {"__quiet_os_old": {}, **given}

    def fill(self, value: Any) -> Any:
        return Templar(self.loader, self.variables).template(value)

    def __getitem__(self, name: str) -> Any:
        return self.fill(self.variables[name])

    def task(self, file: str, name: str) -> dict[str, Any]:
        tasks = self.loader.load_from_file(str(ROLE / "tasks" / file), trusted_as_template=True)
        return next(task for task in tasks if task["name"] == name)

    def passes(self, file: str, name: str) -> bool:
        """Tell whether an assertion holds."""
        task = self.task(file, name)
        templar = Templar(self.loader, self.variables | task.get("vars", {}))
        return templar.evaluate_conditional(task["ansible.builtin.assert"]["that"])


def decide(ubuntu: Ubuntu, **settings: Any) -> Role:
    """Look at a machine with what the role hands to the module, and return the role with what was found."""
    role = Role(**settings)
    asked = role.fill(role.task("look.yml", "List what would disturb a measurement")["greenlab.cluster.gmt_quiet_info"])
    keep = asked.pop("timers_keep")
    return Role(**settings, __quiet_os_found=_quiet.look(ubuntu.run, ubuntu.root, keep=keep, **asked))


def test_every_unit_of_the_table_goes_and_none_that_the_machine_needs(ubuntu: Ubuntu) -> None:
    role = decide(ubuntu)
    units = {unit["name"]: unit["action"] for unit in role["__quiet_os_units"]}
    off = ubuntu.would_run(TIMERS_OFF, "timer") + ubuntu.would_run(SERVICES_OFF, "service")
    assert len(off) > 5
    assert {name: units.get(name) for name in off} == dict.fromkeys(off, "disable")
    assert {name: units.get(name) for name in MASKED} == dict.fromkeys(MASKED, "mask")
    assert not set(units).intersection(NEEDED_UNITS)
    # And every other timer, since GMT warns of each.
    timers = {name for name, state in ubuntu.has["units"].items() if name.endswith(".timer") and state != "disabled"}
    assert {name for name in units if name.endswith(".timer")} == timers
    assert [unit["name"] for unit in role["__quiet_os_globals"]] == ubuntu.would_run(USER_TIMERS_OFF, "timer", "user_units")


def test_every_package_of_the_table_goes_or_is_kept(ubuntu: Ubuntu) -> None:
    found = decide(ubuntu)["__quiet_os_found"]
    assert found["packages"] == sorted(set(PACKAGES_REMOVED).intersection(ubuntu.has["packages"]))
    assert not set(found["packages"]).intersection(PACKAGES_KEPT + NEEDED_PACKAGES)


def test_the_role_knows_every_package_of_the_table() -> None:
    assert {*Role()["quiet_os_packages"], "snapd"} == set(PACKAGES_REMOVED)


def test_nothing_that_the_machine_needs_is_left_for_autoremove(ubuntu: Ubuntu) -> None:
    needed = set(NEEDED_PACKAGES).intersection(ubuntu.has["orphans"])
    spared = decide(ubuntu)["__quiet_os_spared"]
    assert needed
    assert needed <= set(spared)
    assert not set(spared).intersection({"libnetplan0", "libnetplan1", "python3-distupgrade", "yelp"})
    assert decide(ubuntu.but(packages=NEEDED_PACKAGES))["__quiet_os_spared"] == []  # nothing goes, so nothing is left over


@pytest.mark.parametrize("package", [*NEEDED_PACKAGES, "docker-ce", "linux-image-6.8.0-31-generic", "systemd-sysv"])
def test_the_role_stops_before_apt_takes_along_what_the_machine_needs(ubuntu: Ubuntu, package: str) -> None:
    check = ("validate.yml", "Check that no package takes along what the machine needs")
    assert decide(ubuntu).passes(*check)
    assert not decide(ubuntu.but(along=[*ubuntu.has["along"], package])).passes(*check)


def test_what_absent_needs_is_written_down_once(ubuntu: Ubuntu) -> None:
    role = decide(ubuntu)
    found, before = role["__quiet_os_found"], role["__quiet_os_before"]
    assert set(before["packages"]) == {*found["packages"], *ubuntu.has["along"]}
    assert before["spared"] == role["__quiet_os_spared"]
    assert before["snaps"] == found["snaps"]
    assert set(before["units"]) == {unit["name"] for unit in role["__quiet_os_units"]}
    gone = {**found, "timers": [], "services": [], "masks": [], "packages": [], "also_removed": [], "orphans": [], "snaps": []}
    assert Role(__quiet_os_old=before, __quiet_os_found=gone)["__quiet_os_before"] == before


def test_channels_of_snaps_are_those_that_snap_install_takes(ubuntu: Ubuntu) -> None:
    for snap in decide(ubuntu)["__quiet_os_snaps_off"]:
        assert re.fullmatch(r"[\w.]+/stable", snap["channel"])


@pytest.mark.parametrize(
    ("switch", "goes"),
    [
        ("timers", "motd-news.timer"),
        ("cron", "/etc/cron.d/e2scrub_all"),
        ("cron", "cron.service"),
        ("motd", "/etc/update-motd.d/50-motd-news"),
        ("ntp", "systemd-timesyncd.service"),
        ("swap", "/swap.img"),
        ("swap", "swap.target"),
        ("journal_flush", "systemd-journal-flush.service"),
    ],
)
def test_each_switch_is_for_its_group_alone(ubuntu: Ubuntu, switch: str, goes: str) -> None:
    switches = ["timers", "user_timers", "snaps", "cron", "motd", "ntp", "swap", "watchdogs", "journal_flush"]
    off = {f"quiet_os_{name}": False for name in switches} | {"quiet_os_services": [], "quiet_os_packages": []}
    assert decide(ubuntu, **off)["__quiet_os_todo"] == []
    assert not any(decide(ubuntu, **off)["__quiet_os_before"].values())
    todo = decide(ubuntu, **{**off, f"quiet_os_{switch}": True})["__quiet_os_todo"]
    assert goes in [one["name"] if isinstance(one, dict) else one for one in todo]
    todo = decide(ubuntu, **{f"quiet_os_{switch}": False})["__quiet_os_todo"]
    assert goes not in [one["name"] if isinstance(one, dict) else one for one in todo]


def dogs(**values: tuple[int, bool]) -> dict[str, Any]:
    return {"watchdogs": [{"name": name, "value": value, "writable": may} for name, (value, may) in values.items()]}


def test_all_watchdogs_are_written_down_once_one_barks() -> None:
    role = Role(__quiet_os_found=dogs(watchdog=(1, True), nmi_watchdog=(0, True), soft_watchdog=(1, True)))
    assert [dog["name"] for dog in role["__quiet_os_barking"]] == ["watchdog", "soft_watchdog"]
    assert [(dog["name"], dog["value"]) for dog in role["__quiet_os_dogs"]] == [
        ("watchdog", 1), ("nmi_watchdog", 0), ("soft_watchdog", 1)]
    assert Role(__quiet_os_found=dogs(watchdog=(0, True), nmi_watchdog=(0, True)))["__quiet_os_dogs"] == []
    assert Role(__quiet_os_found=dogs(watchdog=(1, False)))["__quiet_os_tied"] == ["watchdog"]


def test_the_watchdog_that_switches_the_others_is_restored_first() -> None:
    role = Role(__quiet_os_old={"watchdogs": {"nmi_watchdog": 0, "soft_watchdog": 1, "watchdog": 1}})
    loop = role.task("restore_parts.yml", "Switch the kernel's watchdogs back on")["loop"]
    assert role.fill(loop) == ["watchdog", "nmi_watchdog", "soft_watchdog"]


@pytest.mark.parametrize(
    "line",
    [
        "/swap.img none swap sw 0 0",
        "/swap.img\tnone\tswap\tsw\t0\t0",
        "UUID=0a1b none swap sw,pri=5 0 0",
        "LABEL=swap none swap",
        "  /dev/mapper/vg-swap none swap defaults 0 0",
        "/dev/zram0 none swap defaults 0 0",
    ],
)
def test_swap_goes_out_of_fstab_and_comes_back(tmp_path: Path, line: str) -> None:
    others = ["# /old none swap sw 0 0", "UUID=2 / ext4 defaults 0 1", "swap /srv/swap ext4 rw 0 2", "tmpfs /tmp tmpfs rw 0 0"]
    text = "\n".join([*others[:2], "", line, "", *others[2:], ""])
    role = Role()
    away = role.fill(role.task("swap.yml", "Take swap out of fstab")["ansible.builtin.replace"])
    back = role.fill(role.task("restore_parts.yml", "Put swap back into fstab")["ansible.builtin.replace"])
    (tmp_path / "etc").mkdir()
    fstab = tmp_path / "etc/fstab"
    fstab.write_text(text, encoding="utf8")
    assert _quiet.fstab_swaps(tmp_path) == [line]
    without = re.sub(away["regexp"], away["replace"], text, flags=re.MULTILINE)  # as the module does
    fstab.write_text(without, encoding="utf8")
    assert _quiet.fstab_swaps(tmp_path) == []
    assert [row for row in without.splitlines() if "greenlab" not in row] == [*others[:2], "", "", *others[2:]]
    assert re.sub(back["regexp"], "", without, flags=re.MULTILINE) == text
