# SPDX-License-Identifier: GPL-3.0-or-later
"""What the role quiet_os takes from default installations of Ubuntu, and what it never takes.

Its own defaults, variables and tasks are read and filled in by Ansible; the machine is a list in the folder quiet_os.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import yaml

from ansible_collections.greenlab.cluster.plugins.module_utils import _quiet

LISTS = Path(__file__).with_name("quiet_os")

TABLE = yaml.safe_load((LISTS / "nop_linux.yml").read_text(encoding="utf8"))


@dataclass
class Ubuntu:
    """A machine that answers from a list of what it has, and what the role says of it."""

    root: Path
    has: dict[str, Any]
    role: Any

    def run(self, command: Sequence[str]) -> str:
        if "list-unit-files" in command:
            units = self.has["units" if "--system" in command else "user_units"]
            wanted = next(word for word in command if word.startswith("--type=")).removeprefix("--type=").split(",")
            states = {name: state for name, state in units.items() if name.split(".")[-1] in wanted}
            return "".join(f"{name} {state} enabled\n" for name, state in states.items())
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
        return Ubuntu(self.root, {**self.has, **changes}, self.role)

    def decide(self, **settings: Any) -> Any:
        """Look with what the role hands to the module, and return the role with what was found."""
        role = self.role(**settings)
        task = role.task("look.yml", "List what would disturb a measurement")
        asked = role.fill(task["greenlab.cluster.gmt_quiet_info"])
        keep = asked.pop("timers_keep")
        return self.role(**settings, __quiet_os_found=_quiet.look(self.run, self.root, keep=keep, **asked))

    def would_run(self, names: Sequence[str], kind: str, where: str = "units") -> list[str]:
        there = [f"{name}.{kind}" for name in names]
        return sorted(name for name in there if self.has[where].get(name) == "enabled")


@pytest.fixture
def role(read_role: Callable[..., Any]) -> Callable[..., Any]:
    return lambda **given: read_role("quiet_os", **{"__quiet_os_old": {}, **given})


@pytest.fixture(params=["ubuntu-22.04-server", "ubuntu-24.04-server", "ubuntu-24.04-desktop"])
def ubuntu(request: pytest.FixtureRequest, tmp_path: Path, role: Any) -> Ubuntu:
    for path in (
        "usr/lib/systemd/system/timers.target.wants/systemd-tmpfiles-clean.timer",
        "etc/cron.d/e2scrub_all",
        "etc/update-motd.d/50-motd-news",
    ):
        (tmp_path / path).parent.mkdir(parents=True)
        (tmp_path / path).touch()
    (tmp_path / "proc").mkdir()
    swaps = "Filename Type Size Used Priority\n/swap.img file 4194300 0 -2\n"
    (tmp_path / "proc/swaps").write_text(swaps, encoding="utf8")
    return Ubuntu(tmp_path, yaml.safe_load((LISTS / f"{request.param}.yml").read_text(encoding="utf8")), role)


def test_every_unit_of_the_table_goes_and_none_that_the_machine_needs(ubuntu: Ubuntu) -> None:
    role = ubuntu.decide()
    units = {unit["name"]: unit["action"] for unit in role["__quiet_os_units"]}
    off = ubuntu.would_run(TABLE["timers_off"], "timer") + ubuntu.would_run(TABLE["services_off"], "service")
    assert len(off) > 5
    assert {name: units.get(name) for name in off} == dict.fromkeys(off, "disable")
    assert {name: units.get(name) for name in TABLE["masked"]} == dict.fromkeys(TABLE["masked"], "mask")
    assert not set(units).intersection(TABLE["needed_units"])
    # And every other timer, since GMT warns of each.
    timers = {name for name, state in ubuntu.has["units"].items() if name.endswith(".timer") and state != "disabled"}
    assert {name for name in units if name.endswith(".timer")} == timers
    everybodys = [unit["name"] for unit in role["__quiet_os_globals"]]
    assert everybodys == ubuntu.would_run(TABLE["user_timers_off"], "timer", "user_units")


def test_every_package_of_the_table_goes_or_is_kept(ubuntu: Ubuntu) -> None:
    found = ubuntu.decide()["__quiet_os_found"]
    assert found["packages"] == sorted(set(TABLE["packages_removed"]).intersection(ubuntu.has["packages"]))
    assert not set(found["packages"]).intersection(TABLE["packages_kept"] + TABLE["needed_packages"])


def test_the_role_knows_every_package_of_the_table(role: Any) -> None:
    assert {*role()["quiet_os_packages"], "snapd"} == set(TABLE["packages_removed"])


def test_nothing_that_the_machine_needs_is_left_for_autoremove(ubuntu: Ubuntu) -> None:
    needed = set(TABLE["needed_packages"]).intersection(ubuntu.has["orphans"])
    spared = ubuntu.decide()["__quiet_os_spared"]
    assert needed
    assert needed <= set(spared)
    assert not set(spared).intersection({"libnetplan0", "libnetplan1", "python3-distupgrade", "yelp"})
    assert ubuntu.but(packages=TABLE["needed_packages"]).decide()["__quiet_os_spared"] == []  # nothing goes


@pytest.mark.parametrize("package", [*TABLE["needed_packages"], "docker-ce", "linux-image-6.8.0-31-generic"])
def test_the_role_stops_before_apt_takes_along_what_the_machine_needs(ubuntu: Ubuntu, package: str) -> None:
    check = ("validate.yml", "Check that no package takes along what the machine needs")
    assert ubuntu.decide().passes(*check)
    assert not ubuntu.but(along=[*ubuntu.has["along"], package]).decide().passes(*check)


def test_what_absent_needs_is_written_down_once(ubuntu: Ubuntu, role: Any) -> None:
    decided = ubuntu.decide()
    found, before = decided["__quiet_os_found"], decided["__quiet_os_before"]
    assert set(before["packages"]) == {*found["packages"], *ubuntu.has["along"]}
    assert before["spared"] == decided["__quiet_os_spared"]
    assert before["snaps"] == found["snaps"]
    assert set(before["units"]) == {unit["name"] for unit in decided["__quiet_os_units"]}
    gone = found | dict.fromkeys(["timers", "services", "masks", "packages", "also_removed", "orphans", "snaps"], [])
    assert role(__quiet_os_old=before, __quiet_os_found=gone)["__quiet_os_before"] == before


def test_channels_of_snaps_are_those_that_snap_install_takes(ubuntu: Ubuntu) -> None:
    for snap in ubuntu.decide()["__quiet_os_snaps_off"]:
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
    assert ubuntu.decide(**off)["__quiet_os_todo"] == []
    assert not any(ubuntu.decide(**off)["__quiet_os_before"].values())
    todo = ubuntu.decide(**{**off, f"quiet_os_{switch}": True})["__quiet_os_todo"]
    assert goes in [one["name"] if isinstance(one, dict) else one for one in todo]
    todo = ubuntu.decide(**{f"quiet_os_{switch}": False})["__quiet_os_todo"]
    assert goes not in [one["name"] if isinstance(one, dict) else one for one in todo]


def dogs(**values: tuple[int, bool]) -> dict[str, Any]:
    return {"watchdogs": [{"name": name, "value": value, "writable": may} for name, (value, may) in values.items()]}


def test_all_watchdogs_are_written_down_once_one_barks(role: Any) -> None:
    found = role(__quiet_os_found=dogs(watchdog=(1, True), nmi_watchdog=(0, True), soft_watchdog=(1, True)))
    assert [dog["name"] for dog in found["__quiet_os_barking"]] == ["watchdog", "soft_watchdog"]
    assert [(dog["name"], dog["value"]) for dog in found["__quiet_os_dogs"]] == [
        ("watchdog", 1), ("nmi_watchdog", 0), ("soft_watchdog", 1)]
    assert role(__quiet_os_found=dogs(watchdog=(0, True), nmi_watchdog=(0, True)))["__quiet_os_dogs"] == []
    assert role(__quiet_os_found=dogs(watchdog=(1, False)))["__quiet_os_tied"] == ["watchdog"]


def test_the_watchdog_that_switches_the_others_is_restored_first(role: Any) -> None:
    undone = role(__quiet_os_old={"watchdogs": {"nmi_watchdog": 0, "soft_watchdog": 1, "watchdog": 1}})
    loop = undone.task("restore_parts.yml", "Switch the kernel's watchdogs back on")["loop"]
    assert undone.fill(loop) == ["watchdog", "nmi_watchdog", "soft_watchdog"]


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
def test_swap_goes_out_of_fstab_and_comes_back(role: Any, tmp_path: Path, line: str) -> None:
    others = ["# /old none swap sw 0 0", "UUID=2 / ext4 defaults 0 1", "swap /srv/swap ext4 rw 0 2", "tmpfs /tmp tmpfs"]
    text = "\n".join([*others[:2], "", line, "", *others[2:], ""])
    quiet_os = role()
    away = quiet_os.fill(quiet_os.task("swap.yml", "Take swap out of fstab")["ansible.builtin.replace"])
    back = quiet_os.fill(quiet_os.task("restore_parts.yml", "Put swap back into fstab")["ansible.builtin.replace"])
    (tmp_path / "etc").mkdir()
    fstab = tmp_path / "etc/fstab"
    fstab.write_text(text, encoding="utf8")
    assert _quiet.fstab_swaps(tmp_path) == [line]
    without = re.sub(away["regexp"], away["replace"], text, flags=re.MULTILINE)  # as the module does
    fstab.write_text(without, encoding="utf8")
    assert _quiet.fstab_swaps(tmp_path) == []
    assert [row for row in without.splitlines() if "greenlab" not in row] == [*others[:2], "", "", *others[2:]]
    assert re.sub(back["regexp"], "", without, flags=re.MULTILINE) == text
