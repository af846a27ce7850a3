# SPDX-License-Identifier: GPL-3.0-or-later
"""What a machine is made of is told as GMT's checks read it, and a changed part is named."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from ansible_collections.greenlab.cluster.plugins.module_utils._quiet_baseline import drift, measure, usb_names

CPU = "devices/system/cpu"
LSMEM = "Memory block size:       128M\nTotal online memory:    31.9G\nTotal offline memory:      0B\n"
LSUSB = """\
Bus 002 Device 001: ID 1d6b:0003 Linux Foundation 3.0 root hub
Bus 001 Device 004: ID 046d:c52b Logitech, Inc. Unifying Receiver
Bus 001 Device 001: ID 1d6b:0002 Linux Foundation 2.0 root hub
"""
LSPCI = "00:00.0 Host bridge: Intel Corporation 8th Gen Core (rev 08)\n00:1f.6 Ethernet controller: Intel I219-LM\n"


def answers(**texts: str) -> Callable[[Sequence[str]], str]:
    return lambda command: {"lsmem": LSMEM, "lsusb": LSUSB, "lspci": LSPCI, **texts}.get(command[0], "")


@pytest.fixture
def sysfs(tmp_path: Path) -> Path:
    rapl = "devices/virtual/powercap/intel-rapl/intel-rapl:0"
    for name, value in {
        f"{CPU}/online": "0-3,6",
        f"{CPU}/smt/active": "0",
        f"{CPU}/intel_pstate/no_turbo": "1",
        f"{CPU}/cpufreq/policy0/scaling_governor": "performance",
        f"{CPU}/cpufreq/policy0/scaling_driver": "intel_pstate",
        f"{CPU}/cpufreq/policy0/scaling_min_freq": "3200000",
        f"{CPU}/cpufreq/policy0/scaling_max_freq": "3200000",
        f"{rapl}/name": "package-0",
        f"{rapl}/constraint_0_name": "long_term",
        f"{rapl}/constraint_0_power_limit_uw": "35000000",
        f"{rapl}/constraint_1_name": "short_term",
        f"{rapl}/constraint_1_power_limit_uw": "35000000",
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(f"{value}\n", encoding="ascii")
    return tmp_path


def test_a_tuned_machine(sysfs: Path) -> None:
    found, left_out = measure(answers(), sysfs)
    assert left_out == {}
    assert found == {
        "cpu_cores": 5,
        "dram_gb": 32,
        "usb_devices": ["046d:c52b", "1d6b:0002", "1d6b:0003"],
        "pci_devices": ["Ethernet controller: Intel I219-LM", "Host bridge: Intel Corporation 8th Gen Core (rev 08)"],
        "cpu_governor": "performance",
        "cpu_scaling_driver": "intel_pstate",
        "cpu_smt": False,
        "cpu_turbo_boost": False,
        "cpu_frequency_mhz": 3200,
        "rapl_power_capping": {"package": 35},
    }
    # As the tool's own checks compare: an entry of the list is a part of the line.
    assert all(any(entry in line for entry in found["usb_devices"]) for line in LSUSB.splitlines())
    assert all(any(entry in line for entry in found["pci_devices"]) for line in LSPCI.splitlines())


def test_a_virtual_machine_has_reasons(tmp_path: Path) -> None:
    (tmp_path / CPU).mkdir(parents=True)
    (tmp_path / CPU / "online").write_text("0\n", encoding="ascii")
    found, left_out = measure(answers(lsmem="", lsusb="", lspci=""), tmp_path)
    assert found == {
        "cpu_cores": 1, "cpu_governor": False, "cpu_scaling_driver": False, "cpu_smt": False, "cpu_turbo_boost": False}
    assert sorted(left_out) == ["cpu_frequency_mhz", "dram_gb", "pci_devices", "rapl_power_capping", "usb_devices"]


def test_what_varies_is_left_out(sysfs: Path) -> None:
    policy = sysfs / CPU / "cpufreq/policy1"
    policy.mkdir()
    (policy / "scaling_governor").write_text("powersave\n", encoding="ascii")
    (policy / "scaling_min_freq").write_text("800000\n", encoding="ascii")
    (sysfs / "devices/virtual/powercap/intel-rapl/intel-rapl:0/constraint_1_power_limit_uw").write_text("40000000\n")
    _found, left_out = measure(answers(), sysfs)
    assert left_out["cpu_governor"] == "processors differ: performance, powersave"
    assert {"cpu_frequency_mhz", "rapl_power_capping"} < set(left_out)


def test_drift_names_the_part(sysfs: Path) -> None:
    expected, _left_out = measure(answers(), sysfs)
    assert drift(expected, copy.deepcopy(expected), {}) == []
    (sysfs / CPU / "smt/active").write_text("1\n", encoding="ascii")
    run = answers(
        lsmem=LSMEM.replace("31.9", "15.6"),
        lsusb=LSUSB.replace("046d:c52b Logitech, Inc. Unifying Receiver", "0781:5567 SanDisk Corp. Cruzer Blade"),
        lspci="",
    )
    assert drift(expected, measure(run, sysfs)[0], usb_names(run)) == [
        "dram_gb is 16, was 32",
        "usb_devices: 0781:5567 (SanDisk Corp. Cruzer Blade) is new",
        "usb_devices: 046d:c52b is gone",
        "pci_devices: Ethernet controller: Intel I219-LM is gone",
        "pci_devices: Host bridge: Intel Corporation 8th Gen Core (rev 08) is gone",
        "cpu_smt is True, was False",
    ]
    assert drift({"cpu_cores": 4, "dram_gb": 8}, {"cpu_cores": 4}, {}) == ["dram_gb is not told any more, was 8"]
