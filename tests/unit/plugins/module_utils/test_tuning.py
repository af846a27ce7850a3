# SPDX-License-Identifier: GPL-3.0-or-later
"""Switches are thrown in an order that leads to the goal, on copies of what sysfs looks like on real hardware."""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from ansible_collections.greenlab.cluster.plugins.module_utils import _tuning
from ansible_collections.greenlab.cluster.plugins.module_utils._tuning import OPERATIONS, TuningError, reset, show, tune

CPU = "devices/system/cpu"
POLICY = {
    "scaling_driver": "intel_pstate",
    "scaling_governor": "powersave",
    "scaling_available_governors": "performance powersave",
    "scaling_min_freq": "800000",
    "scaling_max_freq": "3600000",
    "cpuinfo_min_freq": "800000",
    "cpuinfo_max_freq": "3600000",
    "base_frequency": "3200000",
}
ROLE = Path(__file__).resolve().parents[4] / "roles/machine_tuning"
SWITCHES = ("smt", "turbo", "governor", "frequency", "max_c_state")
# What GMT's documentation means by the two words, switch by switch; the role's README names its pages.
PROFILES: dict[str, dict[str, Any]] = {
    "none": {},
    "benchmarking": dict(zip(SWITCHES, (False, False, "performance", "base", "C1"), strict=True)),
    "profiling": dict(zip(SWITCHES, (True, True, "dynamic", "any", "any"), strict=True)),
    "no_turbo": {"turbo": False},
}
BENCHMARKING = PROFILES["benchmarking"]


def make(root: Path, files: dict[str, str]) -> Path:
    for name, value in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(f"{value}\n", encoding="ascii")
    return root


@pytest.fixture
def intel(tmp_path: Path) -> Path:
    """An Intel desktop with two cores of two threads each, as a kernel with intel_pstate shows it."""
    files = {f"{CPU}/smt/control": "on", f"{CPU}/intel_pstate/no_turbo": "0"}
    for cpu in range(4):
        files |= {f"{CPU}/cpufreq/policy{cpu}/{name}": value for name, value in POLICY.items()}
        for state, name in enumerate(("POLL", "C1", "C1E", "C6")):
            files[f"{CPU}/cpu{cpu}/cpuidle/state{state}/name"] = name
            files[f"{CPU}/cpu{cpu}/cpuidle/state{state}/disable"] = "0"
    package = "devices/virtual/powercap/intel-rapl/intel-rapl:0"
    files |= {
        f"{package}/name": "package-0",
        f"{package}/constraint_0_name": "long_term",
        f"{package}/constraint_0_power_limit_uw": "65000000",
        f"{package}/constraint_1_name": "short_term",
        f"{package}/constraint_1_power_limit_uw": "81250000",
        f"{package}/constraint_2_name": "peak_power",
        f"{package}/constraint_2_power_limit_uw": "90000000",
        f"{package}/intel-rapl:0:1/name": "dram",
        f"{package}/intel-rapl:0:1/constraint_0_name": "long_term",
        f"{package}/intel-rapl:0:1/constraint_0_power_limit_uw": "0",
    }
    return make(tmp_path / "intel", files)


@pytest.fixture
def pi(tmp_path: Path) -> Path:
    """A Raspberry Pi: frequency scaling, no turbo switch, no threads, no caps, no idle states."""
    policy = {
        **POLICY,
        "scaling_driver": "cpufreq-dt",
        "scaling_available_governors": "powersave schedutil ondemand performance",
        "scaling_governor": "ondemand",
    }
    del policy["base_frequency"]
    files = {f"{CPU}/smt/control": "notimplemented"}
    files |= {f"{CPU}/cpufreq/policy0/{name}": value for name, value in policy.items()}
    return make(tmp_path / "pi", files)


@pytest.fixture
def no_writes(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, str]]:
    seen: list[tuple[str, str]] = []
    monkeypatch.setattr(_tuning, "write", lambda file, value: seen.append((str(file), value)))
    return seen


def held(root: Path, pattern: str) -> list[str]:
    return [file.read_text(encoding="ascii").strip() for file in sorted(root.glob(pattern))]


def nothing(_before: Any) -> None:
    pass


def test_benchmarking_on_intel_and_back(intel: Path) -> None:
    noted: dict[str, str] = {}
    before = {str(file): file.read_text(encoding="ascii").strip() for file in intel.rglob("*") if file.is_file()}
    tune(intel, BENCHMARKING, noted.update)
    assert held(intel, f"{CPU}/smt/control") == ["off"]
    assert held(intel, f"{CPU}/intel_pstate/no_turbo") == ["1"]
    assert held(intel, f"{CPU}/cpufreq/policy*/scaling_governor") == ["performance"] * 4
    assert held(intel, f"{CPU}/cpufreq/policy*/scaling_m*_freq") == ["3200000"] * 8
    assert held(intel, f"{CPU}/cpu*/cpuidle/state*/disable") == ["0", "0", "1", "1"] * 4
    again = tune(intel, BENCHMARKING, lambda _before: pytest.fail("a second run writes"))
    assert not any(one.after or one.missing for one in again)

    reset(intel, noted)
    assert before == {file: Path(file).read_text(encoding="ascii").strip() for file in before}


def test_profiles_are_what_gmt_calls_so() -> None:
    variables = yaml.safe_load((ROLE / "vars/main.yml").read_text(encoding="utf8"))
    assert variables["__machine_tuning_profiles"] == PROFILES
    option = yaml.safe_load((ROLE / "meta/argument_specs.yml").read_text(encoding="utf8"))["argument_specs"]["main"][
        "options"
    ]["machine_tuning_profile"]
    assert set(option["choices"]) == set(PROFILES)
    assert option["default"] == "benchmarking"


def test_the_table_of_profiles_is_what_the_role_does() -> None:
    text = (ROLE / "README.md").read_text(encoding="utf8").partition("## Profiles\n")[2]
    rows = [[cell.strip(" `") for cell in row.split("|")[1:-1]] for row in text.split("\n\n")[1].splitlines()]
    heads, switches = rows[0], rows[2:]
    assert [row[0] for row in switches] == [one.name for one in OPERATIONS if not one.name.startswith("rapl_")]
    words = {True: "on", False: "off", None: "as it is"}
    for column, profile in enumerate(heads[1:-1], start=1):
        said = {row[0]: row[column] for row in switches}
        wanted = {name: PROFILES[profile].get(name) for name in said}
        assert said == {name: words.get(value, value) for name, value in wanted.items()}
    assert set(heads[1:-1]) == set(PROFILES) - {"none"}


def test_profiling_takes_back_what_benchmarking_did(intel: Path) -> None:
    before = {file: file.read_text(encoding="ascii").strip() for file in intel.rglob("*") if file.is_file()}
    tune(intel, BENCHMARKING, nothing)
    tune(intel, PROFILES["profiling"], nothing)
    assert {file: file.read_text(encoding="ascii").strip() for file in before} == before
    assert not any(one.after or one.missing for one in tune(intel, PROFILES["profiling"], nothing))


@pytest.mark.parametrize(("wanted", "disabled"), [("C0", "0111"), ("c1", "0011"), ("C1E", "0001"), ("any", "0000")])
def test_idle_states_up_to_one(intel: Path, wanted: str, disabled: str) -> None:
    tune(intel, {"max_c_state": wanted}, nothing)
    assert "".join(held(intel, f"{CPU}/cpu3/cpuidle/state*/disable")) == disabled


@pytest.mark.parametrize("names", [("POLL", "C1_ACPI", "C2_ACPI"), ("POLL", "C1E", "C6"), ("WFI", "cpu-sleep")])
def test_c1_has_other_names_elsewhere(tmp_path: Path, names: tuple[str, ...]) -> None:
    for state, name in enumerate(names):
        folder = f"{CPU}/cpu0/cpuidle/state{state}"
        make(tmp_path, {f"{folder}/name": name, f"{folder}/disable": "0"})
    (outcome,) = tune(tmp_path, {"max_c_state": "C1"}, nothing)
    assert not outcome.missing
    assert held(tmp_path, f"{CPU}/cpu0/cpuidle/state*/disable") == ["0"] * (len(names) - 1) + ["1"]
    assert f"no idle state C9, only {names[0].lower()}, " in tune(tmp_path, {"max_c_state": "C9"}, nothing)[0].missing


@pytest.mark.parametrize(
    ("driver", "offered", "now", "wanted"),
    [
        ("intel_pstate", "performance powersave", "performance", "powersave"),
        ("amd-pstate-epp", "performance powersave", "powersave", "powersave"),
        ("acpi-cpufreq", "conservative ondemand performance schedutil", "performance", "schedutil"),
        ("acpi-cpufreq", "conservative ondemand performance schedutil", "ondemand", "ondemand"),
        ("acpi-cpufreq", "performance powersave", "performance", ""),  # its powersave is the lowest frequency
    ],
)
def test_a_dynamic_governor_follows_the_load(tmp_path: Path, driver: str, offered: str, now: str, wanted: str) -> None:
    policy = {"scaling_driver": driver, "scaling_available_governors": offered, "scaling_governor": now}
    make(tmp_path, {f"{CPU}/cpufreq/policy0/{name}": value for name, value in policy.items()})
    (outcome,) = tune(tmp_path, {"governor": "dynamic"}, nothing)
    assert held(tmp_path, f"{CPU}/cpufreq/policy0/scaling_governor") == [wanted or now]
    assert bool(outcome.missing) == (not wanted)


def test_turbo_that_the_firmware_forbids_is_missing(intel: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    make(intel, {f"{CPU}/intel_pstate/no_turbo": "1"})

    def refuse(file: Path, *_rest: Any, **_options: Any) -> int:
        raise PermissionError(errno.EPERM, "Operation not permitted", str(file))

    monkeypatch.setattr(Path, "write_text", refuse)
    (outcome,) = tune(intel, {"turbo": True}, nothing)
    assert "no_turbo does not take '0': Operation not permitted" in outcome.missing


def test_a_switch_is_aimed_only_when_its_turn_comes(intel: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = _tuning.write

    def kernel(file: Path, value: str) -> None:
        real(file, value)
        if file.parts[-2:] == ("smt", "control") and value == "off":
            for cpu in (2, 3):
                shutil.rmtree(intel / CPU / f"cpufreq/policy{cpu}")
                shutil.rmtree(intel / CPU / f"cpu{cpu}")

    monkeypatch.setattr(_tuning, "write", kernel)
    outcomes = {one.name: one for one in tune(intel, BENCHMARKING, nothing)}
    assert len(outcomes["governor"].after) == 2
    assert len(outcomes["max_c_state"].after) == 4


def test_a_lowest_frequency_is_never_above_the_highest(intel: Path, no_writes: list[tuple[str, str]]) -> None:
    for low, high, wanted in (("800000", "1000000", "3000"), ("3000000", "3600000", "1000")):
        make(intel, {f"{CPU}/cpufreq/policy0/scaling_min_freq": low, f"{CPU}/cpufreq/policy0/scaling_max_freq": high})
        no_writes.clear()
        with pytest.raises(TuningError, match="did not take"):  # since nothing is written
            tune(intel, {"frequency": wanted}, nothing)
        limits = {"scaling_min_freq": int(low), "scaling_max_freq": int(high)}
        for file, value in no_writes:
            if "policy0/" in file:
                limits[Path(file).name] = int(value)
                assert limits["scaling_min_freq"] <= limits["scaling_max_freq"]
        assert set(limits.values()) == {int(wanted) * 1000}


def test_caps_of_both_terms_are_equal_and_others_stay(intel: Path) -> None:
    outcomes = tune(intel, {"rapl_package": 35, "rapl_dram": 10, "rapl_psys": 60}, nothing)
    package = "devices/virtual/powercap/intel-rapl/intel-rapl:0"
    assert held(intel, f"{package}/constraint_*_power_limit_uw") == ["35000000", "35000000", "90000000"]
    assert held(intel, f"{package}/intel-rapl:0:1/constraint_0_power_limit_uw") == ["10000000"]
    assert [one.missing for one in outcomes[:2]] == ["", ""]
    assert "no power limit for psys" in outcomes[2].missing


def test_amd_boost(tmp_path: Path) -> None:
    root = make(tmp_path, {f"{CPU}/cpufreq/boost": "1"})
    tune(root, {"turbo": False}, nothing)
    assert held(root, f"{CPU}/cpufreq/boost") == ["0"]


def test_a_pi_does_what_it_can_and_says_what_it_cannot(pi: Path) -> None:
    outcomes = {one.name: one for one in tune(pi, {**BENCHMARKING, "rapl_package": 5}, nothing)}
    assert not outcomes["smt"].missing  # it has none, as wanted
    assert held(pi, f"{CPU}/cpufreq/policy0/scaling_governor") == ["performance"]
    assert "no switch for turbo" in outcomes["turbo"].missing
    assert "give a number of MHz" in outcomes["frequency"].missing
    assert "no control of idle states" in outcomes["max_c_state"].missing
    assert "no power limit for package" in outcomes["rapl_package"].missing
    assert "notimplemented" in tune(pi, {"smt": True}, nothing)[0].missing
    assert "only powersave, schedutil, ondemand" in tune(pi, {"governor": "conservative"}, nothing)[0].missing


def test_a_virtual_machine_has_nothing(tmp_path: Path) -> None:
    outcomes = tune(tmp_path, {**BENCHMARKING, "rapl_package": 5}, nothing)
    assert all(one.missing and not one.after for one in outcomes)
    assert all(one["missing"] and not one["files"] for one in show(tmp_path))


def test_a_container_cannot_write(intel: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "access", lambda _path, _mode: False)
    outcomes = tune(intel, {"turbo": False, "governor": "powersave"}, nothing)
    assert "cannot be written here" in outcomes[0].missing
    assert not outcomes[1].missing  # it is as wanted already


def test_check_changes_nothing_and_foretells(intel: Path, no_writes: list[tuple[str, str]]) -> None:
    (outcome,) = tune(intel, {"turbo": False}, lambda _before: pytest.fail("notes"), check=True)
    assert list(outcome.after.values()) == ["1"]
    assert no_writes == []


@pytest.mark.parametrize("wanted", ["400", "9000", "fast", "-1"])
def test_an_impossible_frequency_is_an_error_with_the_range(intel: Path, wanted: str) -> None:
    with pytest.raises(TuningError, match="not 'any', not 'base' and not from 800 to 3600 MHz"):
        tune(intel, {"frequency": wanted}, nothing)


def test_hardware_that_refuses_is_an_error_with_the_file(intel: Path, no_writes: list[Any]) -> None:
    with pytest.raises(TuningError, match=r"no_turbo holds '0', not '1'"):
        tune(intel, {"turbo": False}, nothing)
    assert len(no_writes) == 1


def test_the_order_has_reasons() -> None:
    assert [one.name for one in OPERATIONS][:4] == ["smt", "turbo", "governor", "frequency"]
    assert all(one.why for one in OPERATIONS)


def test_the_file_is_the_program_of_the_boot(intel: Path, tmp_path: Path) -> None:
    settings = tmp_path / "tuning.json"
    switches = {"turbo": False, "rapl_psys": 9}
    settings.write_text(json.dumps({"sysfs": str(intel), "switches": switches}), encoding="utf8")
    done = subprocess.run(
        [sys.executable, "-I", "-S", str(_tuning.__file__), str(settings)], capture_output=True, text=True, check=True
    )
    assert held(intel, f"{CPU}/intel_pstate/no_turbo") == ["1"]
    assert "rapl_psys: there is no power limit for psys" in done.stdout
    settings.write_text(json.dumps({"sysfs": str(intel), "switches": {"frequency": "1"}}), encoding="utf8")
    failed = subprocess.run(
        [sys.executable, "-I", "-S", str(_tuning.__file__), str(settings)], capture_output=True, text=True, check=False
    )
    assert failed.returncode == 1
    assert "from 800 to 3600 MHz" in failed.stderr
