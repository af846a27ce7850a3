# SPDX-License-Identifier: GPL-3.0-or-later
"""Each check both ways: a machine on which all are well, then one thing spoilt, and exactly that check fails."""

from __future__ import annotations

import copy
import hashlib
import json
import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from ansible_collections.greenlab.cluster.plugins.module_utils import _verify
from ansible_collections.greenlab.cluster.plugins.module_utils._helpers import with_a_variable
from ansible_collections.greenlab.cluster.plugins.module_utils._verify_cluster import ALWAYS, OWN
from ansible_collections.greenlab.cluster.plugins.module_utils._verify_facts import PROBE
from ansible_collections.greenlab.cluster.plugins.module_utils._verify_machine import Done, Machine, run_command
from ansible_collections.greenlab.cluster.plugins.module_utils._verify_tool import CHECKS
from ansible_collections.greenlab.cluster.plugins.modules import gmt_verify
from ansible_collections.greenlab.cluster.plugins.plugin_utils import _releases

DOCS = Path(__file__).resolve().parents[4] / "docs/verify.md"
GMT = "/opt/green-metrics-tool"
UNIT = "green-coding-client.service"
UNIT_FILE = f"/etc/systemd/user/{UNIT}"
CPU = "/sys/devices/system/cpu"
RAPL = "/sys/devices/virtual/powercap/intel-rapl/intel-rapl:0"
PYTHON = f"{GMT}/venv/bin/python3"
COMMIT = "a67c0647a4f6313ac2acb8243d9a24afe8c20b21"
OURS = "   0: 0B00D50A:0016 0100D50A:A0EC 01 00000000:00000000 00:00000000 00000000     0        0 111 1"

CONFIG: dict[str, Any] = {
    "machine": {
        "id": 7,
        "base_temperature_chip": "coretemp",
        "base_temperature_feature": "Package id 0",
        "base_temperature_value": 40,
        "host_reserved_cpus": 1,
        "host_reserved_memory": 4 * 1024**3,
        "rapl_power_capping": {"package": 35, "dram": 10, "psys": 65},
        "docker_registry_url": "https://mirror.example.org",
        "cpu_cores": 4,
        "dram_gb": 8,
        "usb_devices": ["Linux Foundation"],
        "pci_devices": ["Host bridge"],
        "cpu_governor": "performance",
        "cpu_smt": False,
        "cpu_turbo_boost": False,
        "cpu_frequency_mhz": 3000,
        "cpu_scaling_driver": "intel_pstate",
    },
    "measurement": {
        "metric_providers": {
            "linux": {"psu_energy_ac_mcp_machine.provider.Mcp": {"sampling_rate": 99}},
            "common": {"network_io.provider.Io": None},
        }
    },
    "cluster": {"client": {"shutdown_on_job_no": "poweroff"}},
}
MEMINFO = "MemTotal: 8000000 kB\nMemAvailable:    7000000 kB\nSwapTotal:             0 kB\n"
STAT = "cpu  100 0 100 800 0 0 0 0 0 0\ncpu0 1 2 3\n"
SHOW = {
    "ActiveState": "active",
    "SubState": "running",
    "UnitFileState": "enabled",
    "FragmentPath": f"/etc/xdg/systemd/user/{UNIT}",  # as Debian's systemd says it
    "DropInPaths": "",
    "NeedDaemonReload": "no",
    "MainPID": "77",
    "Environment": "DOCKER_HOST=unix:///run/user/1/docker.sock",
}
DOCKER = {
    "NCPU": 4,
    "MemTotal": 8 * 1024**3,
    "SecurityOptions": ["name=seccomp", "name=rootless"],
    "RegistryConfig": {"Mirrors": ["https://mirror.example.org/"]},
}
PROBED = {"encoding": ["utf-8", "utf-8"], "config": CONFIG, "db_name": "the DB", "row": ["Machine 7"]}
NTP = "Id=systemd-timesyncd.service\nLoadState=loaded\nActiveState=inactive\n"
SUDO = "gc ALL=(root) NOPASSWD: "
HELPERS = "/usr/local/bin/green-metrics-tool"


class Node:
    """A machine of files below a folder, and of commands that answer what they are told to."""

    def __init__(self, root: Path, release: str = "main") -> None:
        self.root = root
        self.params: dict[str, Any] = {
            name: option.get("default") for name, option in gmt_verify.ARGUMENT_SPEC.items()
        } | {"release": _releases.merged(release), "machine_id": 7}
        self.config = copy.deepcopy(CONFIG)
        self.probed: dict[str, Any] = {**PROBED, "config": self.config}
        self.docker: dict[str, Any] = copy.deepcopy(DOCKER)
        self.show = dict(SHOW)
        self.second_stat = STAT.replace("800", "810")
        self.said: dict[tuple[str, ...], Done] = {}
        self.asked: list[tuple[str, ...]] = []
        self.lay()

    def write(self, name: str, text: str, mode: int = 0o644) -> None:
        path = self.root / name.lstrip("/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        path.chmod(mode)

    def change(self, name: str, old: str, new: str) -> None:
        path = self.root / name.lstrip("/")
        assert old in path.read_text()
        path.write_text(path.read_text().replace(old, new))

    def link(self, name: str, target: str) -> None:
        path = self.root / name.lstrip("/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.unlink(missing_ok=True)
        path.symlink_to(target)

    def remove(self, name: str) -> None:
        path = self.root / name.lstrip("/")
        shutil.rmtree(path) if path.is_dir() else path.unlink()

    def say(self, *argv: str, rc: int = 0, out: str = "", err: str = "") -> None:
        self.said[argv] = Done(rc, out, err)

    def lay(self) -> None:
        self.write("/etc/passwd", f"root:x:0:0::/root:/bin/sh\ngc:x:{os.getuid()}:{os.getgid()}::/home/gc:/bin/sh\n")
        self.write("/etc/group", f"root:x:4294967294:\ngc:x:{os.getgid()}:\n")
        self.write(f"{GMT}/config.yml", "id: 7\n", 0o640)
        self.write(f"{GMT}/lib/db.py", "")
        for name in ("hardware_info_root", "maintenance", "system_checks_root"):
            self.write(f"{HELPERS}/{name}.py", name, 0o755)
        self.write(f"{GMT}/lib/hardware_info_root_original.py", "hardware_info_root")
        self.write(f"{GMT}/lib/system_checks_root.py", "system_checks_root")
        self.write(f"{GMT}/tools/cluster/maintenance_original.py", "maintenance")
        self.write("/var/lib/greenlab/gmt.json", json.dumps({"commit": COMMIT}))
        self.write("/usr/bin/python3.11", "")
        self.link("/usr/bin/python3", "python3.11")
        self.link(PYTHON, "../../../../usr/bin/python3")
        rules = [
            f"/usr/bin/python3.11 -I -B -S {HELPERS}/{rest}"
            for rest in (
                "maintenance.py",
                "maintenance.py --update-os-packages",
                "hardware_info_root.py",
                "hardware_info_root.py --read-rapl-energy-filtering",
                "system_checks_root.py",
            )
        ]
        rules += ["/usr/sbin/sysctl -w vm.drop_caches\\=3", "/usr/bin/systemctl poweroff"]
        self.write("/etc/sudoers.d/green-metrics-tool", "".join(f"{SUDO}{rule}\n" for rule in rules))
        hashes = "".join(
            f"{Path(path).name}={hashlib.sha256((self.root / path).read_bytes()).hexdigest()}\n"
            for path in (f"{GMT[1:]}/config.yml", "var/lib/greenlab/gmt.json")
        )
        self.write(UNIT_FILE, f"[Service]\nRestart=always\n\n[X-Greenlab]\n{hashes}")
        self.link("/etc/xdg/systemd/user", "../../systemd/user")
        self.write("/var/lib/systemd/linger/gc", "")
        self.link("/proc/77/fd/0", "/dev/null")
        self.write("/proc/77/stat", "77 (python3 (x) y) S 1 77")
        self.lay_hardware()
        self.lay_answers()

    def lay_hardware(self) -> None:
        self.write("/proc/meminfo", MEMINFO)
        self.write("/proc/stat", STAT)
        self.write("/proc/filesystems", "nodev\ttmpfs\n\text4\nnodev\toverlay\n")
        self.write("/proc/self/mounts", "/dev/sda1 / ext4 rw 0 0\ntmpfs /tmp tmpfs rw 0 0\n")
        self.write("/proc/cpuinfo", "cpu MHz\t\t: 2998.123\n" * 4)
        for name in ("watchdog", "nmi_watchdog", "soft_watchdog"):
            self.write(f"/proc/sys/kernel/{name}", "0\n")
        self.write("/proc/net/tcp", f"  sl  local_address rem_address   st\n{OURS}\n")
        # This process, the sudo that started it, and their sshd, which holds the connection.
        self.write("/proc/4242/stat", "4242 (python3) S 4241 1")
        self.write("/proc/4241/stat", "4241 (sshd: operator) S 1 1")
        self.link("/proc/4241/fd/5", "socket:[111]")
        self.write(f"{CPU}/online", "0-2,4\n")
        self.write(f"{CPU}/smt/active", "0\n")
        self.write(f"{CPU}/intel_pstate/no_turbo", "1\n")
        for number in (0, 1, 2, 4):
            self.write(f"{CPU}/cpu{number}/cpufreq/scaling_governor", "performance\n")
            self.write(f"{CPU}/cpu{number}/cpufreq/scaling_driver", "intel_pstate\n")
        self.lay_cap(RAPL, "package-0", long_term=35, short_term=35)
        self.lay_cap(f"{RAPL}/intel-rapl:0:0", "core", long_term=0)
        self.lay_cap(f"{RAPL}/intel-rapl:0:1", "dram", long_term=10)
        self.lay_cap(RAPL.replace(":0", ":1"), "psys", long_term=65)

    def lay_cap(self, folder: str, name: str, **watts: int) -> None:
        self.write(f"{folder}/name", f"{name}\n")
        for number, (term, limit) in enumerate(watts.items()):
            self.write(f"{folder}/constraint_{number}_name", f"{term}\n")
            self.write(f"{folder}/constraint_{number}_power_limit_uw", f"{limit}000000\n")

    def lay_answers(self) -> None:
        self.write("/usr/lib/systemd/ntp-units.d/80-systemd-timesync.list", "# units\nsystemd-timesyncd.service\n")
        self.say("systemctl", "show", "--property=Id,LoadState,ActiveState", out=NTP)
        self.say("systemctl", "list-timers", out="[]")
        self.say("systemctl", "--user", "list-timers", out="[]")
        self.say("git", out=f"# branch.oid {COMMIT}\n# branch.head (detached)\n")
        self.say("docker", "version")
        self.say("docker", "ps")
        self.say("journalctl", rc=1)
        self.say("visudo")
        self.say("who")
        self.say("lsmem", out="Memory block size: 128M\nTotal online memory:       7.6G\n")
        self.say("lsusb", out="Bus 001 Device 001: ID 1d6b:0002 Linux Foundation 2.0 root hub\n")
        self.say("lspci", out="00:00.0 Host bridge: Intel\n")
        self.say(f"{GMT}/metric_providers/lmsensors/metric-provider-binary", out="1700000000000000 3550 x\n")

    def run(self, argv: Any, account: Any = None, env: Any = None) -> Done:
        argv = tuple(argv)
        self.asked.append(argv)
        if argv[:2] == (PYTHON, "-c"):
            return self.said.get(argv[:1], Done(0, json.dumps(self.probed), ""))
        if argv[:2] == ("docker", "info"):
            return Done(0, json.dumps(self.docker), "")
        if "show" in argv and UNIT in argv:
            return self.said.get(("show",), Done(0, "".join(f"{k}={v}\n" for k, v in self.show.items()), ""))
        known = [said for said in self.said if argv[: len(said)] == said]
        return self.said[max(known, key=len)] if known else Done(127, "", f"{argv[0]}: No such file or directory")

    def verify(self) -> dict[str, dict[str, Any]]:
        def sleep(_seconds: float) -> None:
            self.write("/proc/stat", self.second_stat)

        machine = Machine(str(self.root), self.run, root_uid=os.getuid(), pid=4242)
        values = {name: self.params[name] for name in gmt_verify.Options._fields}
        values["scope"] = values["scope"] or self.params["release"]["service"]["scope"]
        facts = gmt_verify.Facts(machine, gmt_verify.Options(**values), sleep)
        return {record["check"]: record for record in _verify.verify(facts, self.params["skip"])}


@pytest.fixture
def node(tmp_path: Path) -> Node:
    return Node(tmp_path)


def failed(found: dict[str, dict[str, Any]]) -> dict[str, str]:
    return {name: record["value"] for name, record in found.items() if record["state"] == "failed"}


def test_machine_on_which_all_is_well(node: Node) -> None:
    found = node.verify()
    assert failed(found) == {}
    assert [name for name, record in found.items() if record["state"] == "skipped"] == []
    assert set(found) == set(CHECKS) | set(OWN)
    assert all(record["meaning"] and record["wanted"] for record in found.values())
    assert _verify.summary(list(found.values())) == {"error": 0, "warn": 0, "info": 0, "ok": len(found), "skipped": 0}
    json.dumps(found)


def machine(key: str, value: Any) -> Callable[[Node], None]:
    """Return what spoils a value of config.yml below machine."""
    return lambda node: node.config["machine"].update({key: value})


def write(name: str, text: str) -> Callable[[Node], None]:
    return lambda node: node.write(name, text)


def remove(name: str) -> Callable[[Node], None]:
    return lambda node: node.remove(name)


def both(*spoils: Callable[[Node], None]) -> Callable[[Node], None]:
    def spoil(node: Node) -> None:
        for each in spoils:
            each(node)

    return spoil


def change(name: str, old: str, new: str) -> Callable[[Node], None]:
    return lambda node: node.change(name, old, new)


def say(*argv: str, **done: Any) -> Callable[[Node], None]:
    return lambda node: node.say(*argv, **done)


# A helper as of v2.6 and later, which sudo may not survive.
CLEARS = "os.environ.clear()\nsubprocess.run(['/usr/bin/sudo', '/usr/bin/true'])\n"


def empties_its_environment(node: Node) -> None:
    node.write(f"{GMT}/tools/cluster/maintenance_original.py", CLEARS)
    node.write(f"{HELPERS}/maintenance.py", CLEARS)


def unit(**values: str) -> Callable[[Node], None]:
    return lambda node: node.show.update(values)


def docker(**values: Any) -> Callable[[Node], None]:
    return lambda node: node.docker.update(values)


def probed(**values: Any) -> Callable[[Node], None]:
    return lambda node: node.probed.update(values)


def providers(**linux: Any) -> Callable[[Node], None]:
    return lambda node: node.config["measurement"]["metric_providers"]["linux"].update(linux)


def journal(message: str, program: str, **more: str) -> Callable[[Node], None]:
    return say("journalctl", out=json.dumps({"MESSAGE": message, "SYSLOG_IDENTIFIER": program, **more}) + "\n")


def connection(local: int, remote: int, state: str = "01", inode: int = 999) -> Callable[[Node], None]:
    line = f"   1: 0B00D50A:{local:04X} 0100D50A:{remote:04X} {state} 0:0 0:0 0 0 0 {inode} 1\n"
    return change("/proc/net/tcp", f"{OURS}\n", f"{OURS}\n{line}")


def stat(before: str, after: str) -> Callable[[Node], None]:
    def spoil(node: Node) -> None:
        node.write("/proc/stat", f"cpu  {before}\n")
        node.second_stat = f"cpu  {after}\n"

    return spoil


def no_docker(node: Node) -> None:
    node.say("docker", "version", rc=1)
    node.say("docker", "ps", rc=1, err="Cannot connect to the Docker daemon\n")


SPOILT: list[tuple[str, Callable[[Node], None], str]] = [
    ("temperature", say(f"{GMT}/metric_providers/lmsensors/metric-provider-binary", out="1 4001 x\n"), "40.01 °C"),
    ("temperature", say(f"{GMT}/metric_providers/lmsensors/metric-provider-binary", out="1 3000 x\n"), "30.0 °C"),
    ("temperature", say(f"{GMT}/metric_providers/lmsensors/metric-provider-binary", rc=1, err="no chip"), "no chip"),
    (
        "gmt_dir_dirty",
        say("git", out=f"# branch.oid {COMMIT}\n? stray file\n1 .M N... 1 2 3 a b lib/db.py\n"),
        "lib/db.py",
    ),
    ("one_energy_and_scope_machine_provider", providers(psu_energy_dc_x_machine={}), "psu_energy_dc_x_machine"),
    ("largest_sampling_rate", providers(slow={"sampling_rate": 1001}), "1001 ms"),
    ("utf_encoding", probed(encoding=["ansi_x3.4-1968", "utf-8"]), "ansi"),
    ("tty_attached", lambda node: node.link("/proc/77/fd/0", "/dev/pts/3"), "/dev/pts/3"),
    (
        "free_memory",
        both(machine("host_reserved_memory", 7 * 1024**3), change("/proc/meminfo", "7000000", "2000000")),
        "1.9 GiB",
    ),
    (
        "cpu_utilization",
        lambda node: setattr(node, "second_stat", STAT.replace("800", "819").replace("100", "101", 1)),
        "5.0 %",
    ),
    ("docker_daemon", no_docker, "Cannot connect"),
    ("docker_host_env", unit(MainPID="0", Environment=""), "rootless"),
    ("docker_cpu_availability", docker(NCPU=3), "3"),
    ("assignable_cpus", machine("host_reserved_cpus", 4), "0 left"),
    ("assignable_cpus", machine("host_reserved_cpus", 0), "0 reserved"),
    ("assignable_memory", machine("host_reserved_memory", 8 * 1024**3), "0.0 GiB"),
    ("assignable_memory_oom", machine("host_reserved_memory", 0), "8.0 GiB"),
    ("containers_running", say("docker", "ps", out="web\ndb\n"), "web, db"),
    ("docker_registry_url", docker(RegistryConfig={"Mirrors": []}), "none"),
    ("docker_registry_url", machine("docker_registry_url", False), "https://mirror.example.org"),
    ("tmpfs_mount", change("/proc/self/mounts", "tmpfs /tmp tmpfs", "/dev/sda2 /tmp ext4"), "ext4"),
    (
        "ntp",
        say("systemctl", "show", "--property=Id,LoadState,ActiveState", out=NTP.replace("inactive", "active")),
        "systemd-timesyncd.service active",
    ),
    ("ntp", remove("/usr/lib/systemd/ntp-units.d"), "no time service"),
    (
        "ntp",
        say("systemctl", "show", "--property=Id,LoadState,ActiveState", out=NTP.replace("loaded", "not-found")),
        "no time service",
    ),
    ("swap_disabled", change("/proc/meminfo", "SwapTotal:             0", "SwapTotal:       2097152"), "2.0 GiB"),
    ("kernel_watchdog", write("/proc/sys/kernel/nmi_watchdog", "1\n"), "kernel.nmi_watchdog=1"),
    ("systemd_timers", say("systemctl", "list-timers", out='[{"unit": "fstrim.timer", "next": 1}]'), "fstrim.timer"),
    ("systemd_timers", say("systemctl", "--user", "list-timers", out='[{"unit": "x.timer", "next": 1}]'), "x.timer"),
    ("systemd_timers", say("systemctl", "--user", "list-timers", rc=1, err="no bus"), "user: no bus"),
    ("cron_files", write("/etc/cron.d/job", ""), "/etc/cron.d/job"),
    ("cron_files", write("/etc/crontab", ""), "/etc/crontab"),
    ("cron_files", write("/var/spool/cron/crontabs/gc", ""), "/var/spool/cron/crontabs/gc"),
    ("ssh_session", connection(22, 40000), "connection with 10.213.0.1:40000"),
    ("ssh_session", connection(40000, 22), "connection with 10.213.0.1:22"),
    ("ssh_session", say("who", out="gc  pts/0  2026-11-22 02:00 (192.0.2.1)\n"), "login of gc"),
    ("suspend", journal("Invoked with argv=['systemctl', 'suspend']", "ansible-command"), "ansible-command: Invoked"),
    ("suspend", journal("root : COMMAND=/usr/bin/grep suspend", "sudo"), "sudo: root"),
    ("suspend", say("journalctl", rc=1, err="Compiled without pattern matching support"), "without pattern matching"),
    ("steal_time", stat("9 2 3 4 5 6 7 8 0 0", "9 2 3 9 5 6 7 8 0 0"), "8 ticks"),
    ("guest_time", stat("9 2 3 4 5 6 7 0 2 1", "9 2 3 9 5 6 7 0 2 1"), "3 ticks"),
    ("rapl_power_capping_package", write(f"{RAPL}/constraint_1_power_limit_uw", "56000000\n"), "35 W, 56 W"),
    ("rapl_power_capping_dram", machine("rapl_power_capping", {"package": 35, "dram": 9, "psys": 65}), "10 W"),
    ("rapl_power_capping_psys", remove(RAPL.replace(":0", ":1")), "no psys limit found"),
    ("cpu_cores", machine("cpu_cores", 8), "4"),
    ("dram", machine("dram_gb", 16), "8 GB"),
    ("dram", say("lsmem", rc=1, err="lsmem: no memory"), "no memory"),
    ("usb_devices", say("lsusb", out="Bus 001 Device 002: ID 1234:5678 Stick\n"), "Stick"),
    ("pci_devices", say("lspci", rc=127, err="lspci: No such file or directory"), "No such file"),
    ("cpu_governor", write(f"{CPU}/cpu4/cpufreq/scaling_governor", "powersave\n"), "performance, powersave"),
    ("cpu_governor", machine("cpu_governor", False), "performance"),
    ("cpu_scaling_driver", machine("cpu_scaling_driver", "acpi-cpufreq"), "intel_pstate"),
    ("cpu_smt", write(f"{CPU}/smt/active", "1\n"), "on"),
    ("cpu_smt", both(remove(f"{CPU}/smt"), machine("cpu_smt", True)), "off"),
    ("cpu_turbo_boost", write(f"{CPU}/intel_pstate/no_turbo", "0\n"), "on"),
    (
        "cpu_turbo_boost",
        both(remove(f"{CPU}/intel_pstate"), write(f"{CPU}/cpufreq/boost", "1")),
        "on",
    ),
    ("cpu_frequency", change("/proc/cpuinfo", "2998.123", "3010.5"), "3010 MHz"),
    ("config_file", lambda node: (node.root / f"{GMT[1:]}/config.yml").chmod(0o644), "0644"),
    ("config_file", change("/etc/group", "gc:x:", "users:x:"), "root:users"),
    ("config_content", machine("id", 8), "machine.id 8"),
    ("machine_row", probed(row=None), "no row"),
    ("checkout", say("git", out="# branch.oid 0123abc\n"), "0123abc"),
    ("helpers", write(f"{HELPERS}/maintenance.py", "old"), "is not tools/cluster/maintenance_original.py"),
    ("helpers", lambda node: (node.root / HELPERS[1:]).chmod(0o777), "can be written by others"),
    ("helpers", remove(f"{HELPERS}/maintenance.py"), "is missing"),
    ("helpers", both(empties_its_environment, say("/usr/bin/env", rc=-11)), "which crashes it; run site again"),
    (
        "venv_python",
        both(write("/opt/python3.12", ""), lambda node: node.link(PYTHON, "/opt/python3.12")),
        "python3.12",
    ),
    ("sudoers", say("visudo", rc=1, err="/etc/sudoers.d/x:1:9: syntax error"), "syntax error"),
    (
        "sudo_rules",
        change("/etc/sudoers.d/green-metrics-tool", "python3.11", "python3.10"),
        "missing: /usr/bin/python3.11",
    ),
    ("sudo_rules", change("/etc/sudoers.d/green-metrics-tool", "poweroff", "reboot"), "/usr/bin/systemctl poweroff"),
    ("sudo_rules", change("/etc/sudoers.d/green-metrics-tool", "gc ALL", "#gc ALL"), "missing"),
    (
        "one_client",
        lambda node: node.write(f"/etc/systemd/system/{UNIT}", ""),
        f"/etc/systemd/system/{UNIT}, {UNIT_FILE}",
    ),
    ("client_unit", unit(UnitFileState="disabled"), "disabled"),
    ("client_unit", unit(DropInPaths="/etc/systemd/user/x.d/y.conf"), "y.conf"),
    ("client_unit", unit(NeedDaemonReload="yes"), "not reloaded"),
    ("client_unit", unit(FragmentPath="/home/gc/.config/systemd/user/x.service"), "/home/gc"),
    ("client_active", unit(ActiveState="activating", SubState="auto-restart"), "activating (auto-restart)"),
    ("client_paused", write("/proc/77/stat", "77 (python3) T 1 77"), "stopped"),
    ("linger", remove("/var/lib/systemd/linger/gc"), "off"),
    ("ansible_files", write("/home/gc/.ansible/tmp/ansible-tmp-1/AnsiballZ_copy.py", ""), "/home/gc/.ansible/tmp/"),
    ("ansible_files", write("/tmp/ansible_command_payload_x/y.zip", ""), "/tmp/ansible_command_payload_x"),
]


@pytest.mark.parametrize(("check", "spoil", "value"), SPOILT, ids=[f"{n}-{case[0]}" for n, case in enumerate(SPOILT)])
def test_one_fault_fails_one_check(node: Node, check: str, spoil: Callable[[Node], None], value: str) -> None:
    spoil(node)
    found = node.verify()
    assert list(failed(found)) == [check]
    assert value in found[check]["value"]


@pytest.mark.parametrize("status", [0, 1, 127, -11, 139])
def test_a_helper_with_a_variable_for_sudo_is_right(node: Node, status: int) -> None:
    """Whatever sudo does by now: the next run of site takes the line away."""
    empties_its_environment(node)
    node.write(f"{HELPERS}/maintenance.py", with_a_variable(CLEARS))
    node.say("/usr/bin/env", rc=status)
    assert failed(node.verify()) == {}


def test_every_check_was_seen_to_fail() -> None:
    elsewhere = {"db", "free_disk", "available_cpus", "client_fresh"}  # the tests below
    assert {case[0] for case in SPOILT} | elsewhere == set(CHECKS) | set(OWN)


def test_jobs_db_out_of_reach(node: Node) -> None:
    node.probed = {"encoding": ["utf-8", "utf-8"], "config": node.config, "db_name": "x", "db_flaw": "timeout expired"}
    found = node.verify()
    assert failed(found) == {"db": "timeout expired"}
    assert found["machine_row"]["state"] == "skipped"


def test_no_room_on_the_disk(node: Node) -> None:
    node.params["release"]["system_limits"]["free_disk"] = 2**60
    assert list(failed(node.verify())) == ["free_disk"]


def test_one_processor(node: Node) -> None:
    node.write(f"{CPU}/online", "0\n")
    node.docker["NCPU"] = 1
    assert list(failed(node.verify())) == ["assignable_cpus", "available_cpus", "cpu_cores"]


@pytest.mark.parametrize("name", [f"{GMT}/config.yml", "/var/lib/greenlab/gmt.json"])
def test_file_that_changed_since_the_client_started(node: Node, name: str) -> None:
    node.change(name, "a6" if "gmt.json" in name else "7", "a60" if "gmt.json" in name else "07")
    found = failed(node.verify())
    assert found["client_fresh"] == f"changed: {name}"


@pytest.mark.parametrize(
    "spoil",
    [
        journal("PM: suspend entry (deep)", "kernel"),
        journal("Reached target suspend.target - Suspend.", "systemd", UNIT="suspend.target"),
        journal("gc : PWD=/opt ; USER=root ; COMMAND=/usr/bin/systemctl suspend", "sudo"),
        journal("Suspend", "other"),  # the tool looks for small letters
        connection(22, 40000, state="06"),  # closed, in TIME_WAIT
        connection(5432, 40000),
        say("systemctl", "list-timers", out='[{"unit": "fstrim.timer", "next": null}]'),
        connection(22, 40000, inode=111),
        say("who", out="gc  pts/0  2026-11-22 02:00 (:0)\nroot  tty1  2026-11-22 02:00\n"),
        lambda node: node.link("/etc/cron.d", "/var"),
        write("/proc/self/mounts", "/dev/sda1 / ext4 rw 0 0\n"),
        say("systemctl", "show", "--property=Id,LoadState,ActiveState", out=NTP.replace("inactive", "failed")),
        machine("cpu_frequency_mhz", 2989),
        machine("host_reserved_memory", "4294967296"),
        change("/etc/sudoers.d/green-metrics-tool", "\\=", "="),
    ],
)
def test_what_is_no_fault(node: Node, spoil: Callable[[Node], None]) -> None:
    spoil(node)
    assert failed(node.verify()) == {}


def test_ssh_on_another_port(node: Node) -> None:
    node.write("/etc/ssh/sshd_config", "#Port 22\n  port 2222\n")
    connection(22, 40000)(node)
    assert failed(node.verify()) == {}
    node.write(
        "/proc/net/tcp6",
        "   1: " + "0" * 16 + "FFFF0000C0000201:08AE 0000000000000000FFFF00000102000A:1 01 0 0 0 0 0 5 1",
    )
    assert failed(node.verify()) == {"ssh_session": "connection with 10.0.2.1:1"}


def test_without_docker_only_docker_fails(node: Node) -> None:
    no_docker(node)
    found = node.verify()
    assert list(failed(found)) == ["docker_daemon"]
    assert found["assignable_cpus"] == {
        "check": "assignable_cpus",
        "origin": "tool",
        "severity": "ERROR",
        "state": "skipped",
        "value": "no docker daemon, see docker_daemon",
        "wanted": "",
        "meaning": "Processors left for containers.",
    }


def test_what_config_yml_does_not_ask_for_is_skipped(node: Node) -> None:
    node.config["machine"] = {"id": 7, "host_reserved_cpus": 1, "host_reserved_memory": 4 * 1024**3}
    found = node.verify()
    assert failed(found) == {}
    assert {name for name, record in found.items() if record["value"] == "not in config.yml"} == {
        "temperature",
        "docker_registry_url",
        "rapl_power_capping_package",
        "rapl_power_capping_dram",
        "rapl_power_capping_psys",
        "cpu_cores",
        "dram",
        "usb_devices",
        "pci_devices",
        "cpu_governor",
        "cpu_smt",
        "cpu_turbo_boost",
        "cpu_frequency",
        "cpu_scaling_driver",
    }


def test_skipped_by_name(node: Node) -> None:
    node.params["skip"] = ["swap_disabled"]
    node.change("/proc/meminfo", "SwapTotal:             0", "SwapTotal:       2097152")
    found = node.verify()
    assert failed(found) == {}
    assert found["swap_disabled"]["value"] == "by verify_skip"
    assert _verify.unknown_names(["swap_disabled", "sudoers", "swap"]) == ["swap"]


@pytest.mark.parametrize(
    ("mode", "unit_file", "crontab", "fine"),
    [
        ("client", True, False, True),
        ("client", True, True, False),
        ("cron", False, True, True),
        ("cron", True, True, False),
        ("cron", False, False, False),
        ("none", False, False, True),
        ("none", False, True, False),
    ],
)
def test_who_takes_the_jobs(node: Node, mode: str, unit_file: bool, crontab: bool, fine: bool) -> None:
    node.params["mode"] = mode
    if not unit_file:
        node.remove(UNIT_FILE)
        node.show["MainPID"] = "0"
    if crontab:
        node.write("/etc/cron.d/green-metrics-tool", "")
    found = node.verify()
    assert found["one_client"]["state"] == ("ok" if fine else "failed")
    assert (found["client_unit"]["state"] == "skipped") == (mode != "client")


def test_power_cap_without_a_short_term_limit(tmp_path: Path) -> None:
    """v4.0 wants both limits of each domain, v4.1 those that are there."""
    assert set(failed(Node(tmp_path / "a", "v4.0").verify())) == {"rapl_power_capping_dram", "rapl_power_capping_psys"}
    assert failed(Node(tmp_path / "b", "v4.1").verify()) == {}


def test_no_machine_at_all(tmp_path: Path) -> None:
    """A bare computer, as check mode meets it, gets a report without an accident."""
    node = Node(tmp_path / "node")
    bare = tmp_path / "bare"
    bare.mkdir()
    node.root, node.said = bare, {}
    node.say(PYTHON, rc=127, err="no such file")
    node.say("show", rc=1, err="no such account")
    found = node.verify()
    assert not [record for record in found.values() if "broke" in record["value"]]
    assert {"db", "config_file", "helpers", "client_active", "docker_daemon"} <= set(failed(found))


def test_a_unit_that_nobody_can_read_right(node: Node) -> None:
    """An unclosed quote makes every question as the client break, and the report is still whole."""
    node.show.update(MainPID="0", Environment="A='")
    found = node.verify()
    assert found["db"]["value"].startswith("the check broke: ValueError")
    assert found["swap_disabled"]["state"] == "ok"


def test_a_check_that_breaks_is_a_failed_one(node: Node) -> None:
    node.docker["NCPU"] = None
    found = node.verify()
    assert found["assignable_cpus"]["state"] == "failed"
    assert found["assignable_cpus"]["value"].startswith("the check broke: TypeError")


def test_nothing_is_asked_that_changes_something(node: Node) -> None:
    """The commands themselves: a new one has to be thought about here."""
    node.verify()
    programs = {" ".join(argv[:2]) for argv in node.asked if argv[0] != "systemctl"}
    assert programs == {
        f"{PYTHON} -c",
        "git --no-optional-locks",
        "docker version",
        "docker info",
        "docker ps",
        "visudo --check",
        "who",
        "journalctl --quiet",
        "lsmem --summary=only",
        "lsusb",
        "lspci",
        f"{GMT}/metric_providers/lmsensors/metric-provider-binary -c",
    }
    verbs = {
        next(word for word in argv[1:] if not word.startswith("-")) for argv in node.asked if argv[0] == "systemctl"
    }
    assert verbs == {"show", "list-timers"}


# Which release makes which check


@pytest.mark.parametrize(
    ("release", "of_tool"),
    [("v0.16", 0), ("v0.20", 0), ("v1.4", 10), ("v2.0", 10), ("v2.6", 22), ("v3.0", 22), ("v4.1", 39), ("main", 41)],
)
def test_number_of_checks(release: str, of_tool: int) -> None:
    planned = _verify.plan(_releases.merged(release))
    assert len([check for check in planned if check.origin == "tool"]) == of_tool
    names = [check.name for check in planned]
    assert len(names) == len(set(names))
    assert set(ALWAYS) | set(OWN) <= set(names)


REAL_GMT = Path(os.environ.get("GMT_REPO", "/nowhere"))
# Old checks that are not repeated, see docs/verify.md.
NOT_REPEATED = {"one_psu_provider", "energy_filtering"}


def real_source(release: str) -> str:
    if not REAL_GMT.is_dir():
        pytest.skip("GMT_REPO does not name a local copy of GMT's repository")
    command = ["git", "-C", str(REAL_GMT), "show", f"{release}:lib/system_checks.py"]
    done = subprocess.run(command, check=False, capture_output=True, encoding="utf8")
    if done.returncode:
        pytest.skip(f"{REAL_GMT} has no {release}")
    return done.stdout


TAGS = ["v0.21", "v0.21.1", "v0.22", "v0.23", "v0.24", "v0.25", "v1.0", "v1.1", "v1.3.0", "v1.4.0",
        "v2.0", "v2.1", "v2.2", "v2.3", "v2.4", "v2.5", "v2.6", "v3.0", "v4.0", "v4.1", "main"]  # fmt: skip


@pytest.mark.parametrize("release", TAGS)
def test_checks_and_limits_are_those_of_the_real_source(release: str) -> None:
    source = real_source(release)
    wanted = dict(re.findall(r"^\s+\(check_(\w+), Status\.(\w+), '", source, re.M))
    assert {name: severity for name, severity in wanted.items() if name not in NOT_REPEATED} == _releases.merged(
        release
    )["system_checks"]
    limits = _releases.merged(release)["system_limits"]
    for name in ("free_disk", "free_memory"):
        assert eval(re.findall(rf"'{name}':\s*([\d *]+)", source)[0]) == limits[name]
    if "one_energy_and_scope_machine_provider" in wanted:
        marks = re.findall(r'"([._]energy_?)" in provider and "(\S+)" in provider', source)
        assert [list(mark) for mark in marks] == [limits["energy_provider"]]


# What runs for real


def probe(config: Any, tmp_path: Path, name: str = "config.yml") -> tuple[dict[str, Any], str]:
    (tmp_path / "config.yml").write_text(yaml.safe_dump(config))
    done = run_command([sys.executable, "-c", PROBE, str(tmp_path / name)])
    assert done.rc == 0, done.err
    return json.loads(done.out), done.out


def test_probe_asks_a_real_jobs_db(jobs_db: Any, tmp_path: Path) -> None:
    login = {"host": jobs_db.login["login_unix_socket"], "port": jobs_db.login["login_port"], "dbname": jobs_db.name,
             "user": jobs_db.login["login_user"], "password": "top-secret"}  # fmt: skip
    config = {"postgresql": login, "machine": {"id": 1}, "smtp": {"password": "top-secret"}, "measurement": None}
    said, text = probe(config, tmp_path)
    assert said["row"] == [jobs_db.machines()[0][1]]
    assert said["config"]["machine"] == {"id": 1}
    assert said["encoding"] == ["utf-8", "utf-8"]
    assert "top-secret" not in text
    config["machine"]["id"] = 999
    assert probe(config, tmp_path)[0]["row"] is None
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))
        config["postgresql"] |= {"host": "127.0.0.1", "port": closed.getsockname()[1]}
        said, text = probe(config, tmp_path)
    assert "refused" in said["db_flaw"]
    assert "top-secret" not in text


def test_probe_tells_what_is_wrong_with_config_yml(tmp_path: Path) -> None:
    assert "FileNotFoundError" in probe({}, tmp_path, "nothing.yml")[0]["config_flaw"]
    assert probe({"machine": {}}, tmp_path)[0]["config_flaw"] == "KeyError: 'postgresql'"


def test_commands_for_real() -> None:
    assert run_command(["no-such-program"]) == Done(127, "", "no-such-program: No such file or directory")
    script = "import os, sys; print(os.getcwd(), os.environ['X'], os.environ.get('LANG')); sys.exit(3)"
    assert run_command([sys.executable, "-c", script], None, {"X": "y"})[:2] == (3, "/ y None\n")
    # The client's environment is the client's, or the check of its encoding would say nothing.
    assert "LC_ALL" not in run_command(["env"], None, {"X": "y"}).out
    assert run_command([sys.executable, "-c", "raise SystemExit('one\\ntwo')"]).last_words == "two"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
def test_commands_run_as_the_account_and_none_of_roots_groups() -> None:
    nobody = Machine().account("nobody")
    assert nobody is not None
    assert run_command(["id", "-u"], nobody).out == f"{nobody.uid}\n"
    assert run_command(["id", "-G"], nobody).out == f"{nobody.gid}\n"


def test_every_check_is_documented() -> None:
    rows = re.findall(r"^\| `(\w+)` (\+ )?\| (\w+) \|", DOCS.read_text(encoding="utf8"), re.M)
    told = {(name, severity, bool(always)) for name, always, severity in rows if severity.isupper()}
    planned = _verify.plan(_releases.merged("main"))
    assert told == {(check.name, check.severity, check.name in ALWAYS) for check in planned}
