# Copyright (c) 2026, the greenlab.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Switches of the hardware that decide how fast and how hungry a processor is, in the order in which to throw them.

Standard library only: the role machine_tuning installs this very file as the program that a machine runs at boot.
"""

from __future__ import annotations

import errno
import json
import os
import sys
import typing as t
from dataclasses import dataclass
from pathlib import Path

if t.TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    Targets = dict[Path, str]

CPU = "devices/system/cpu"
RAPL = "devices/virtual/powercap/intel-rapl"
_NO_SMT = ("notsupported", "notimplemented", "forceoff")
# Governors that follow the load, and drivers whose `powersave` does. Elsewhere it is the lowest frequency.
_FOLLOW_LOAD = ("schedutil", "ondemand", "conservative")
_SCALE_THEMSELVES = ("intel_pstate", "amd-pstate-epp")
# What drivers call an idle state. For C1, an ARM core has one that waits for an interrupt, and newer Intels have C1E.
_IDLE_NAMES = {"c0": ("poll",), "c1": ("c1", "c1_acpi", "wfi", "c1e")}


class Missing(Exception):
    """The machine lacks what an operation needs; says what."""


class TuningError(Exception):
    """A value is impossible, or the hardware did not take it; says which and where."""


class Refused(TuningError):
    """The kernel permits the value to nobody: the firmware forbids it, or the processor lacks it, as turbo."""


@dataclass(frozen=True)
class Operation:
    """One switch: which files it consists of, what they must hold, and why it stands where it stands."""

    name: str
    why: str
    files: Callable[[Path], list[Path]]
    aim: Callable[[Path, t.Any], Targets]

    def available(self, root: Path) -> str:
        """Return what is missing, or nothing."""
        try:
            files = self.files(root)
        except Missing as missing:
            return str(missing)
        locked = [file for file in files if not os.access(file, os.W_OK)]
        return f"{locked[0]} cannot be written here" if locked else ""

    def show(self, root: Path) -> dict[str, str]:
        """Return what the files hold, by path."""
        try:
            return {str(file): read(file) for file in self.files(root)}
        except Missing:
            return {}


def read(file: Path) -> str:
    """Return what a file of sysfs holds."""
    try:
        return file.read_text(encoding="ascii", errors="replace").strip()
    except OSError as error:
        raise TuningError(f"{file} cannot be read: {error.strerror}") from error


def write(file: Path, value: str) -> None:
    """Write a value and see that it is there."""
    try:
        file.write_text(value, encoding="ascii")
    except OSError as error:
        kind = Refused if error.errno == errno.EPERM else TuningError
        raise kind(f"{file} does not take {value!r}: {error.strerror}") from error


def _some(root: Path, pattern: str, what: str) -> list[Path]:
    found = sorted(root.glob(pattern))
    if not found:
        raise Missing(f"there is no {what} ({pattern})")
    return found


def _smt_files(root: Path) -> list[Path]:
    return _some(root, f"{CPU}/smt/control", "switch for simultaneous multithreading")


def _smt(root: Path, wanted: bool) -> Targets:
    (control,) = _smt_files(root)
    state = read(control)
    if state in _NO_SMT:
        if wanted:
            raise Missing(f"simultaneous multithreading is {state} ({control})")
        return {}
    return {control: "on" if wanted else "off"}


def _turbo_files(root: Path) -> list[Path]:
    files = [root / CPU / "intel_pstate/no_turbo", root / CPU / "cpufreq/boost"]
    found = [file for file in files if file.exists()]
    if not found:
        raise Missing(f"there is no switch for turbo ({files[0]}, {files[1]})")
    return found[:1]


def _turbo(root: Path, wanted: bool) -> Targets:
    (file,) = _turbo_files(root)
    return {file: str(int(not wanted if file.name == "no_turbo" else wanted))}


def _governor_files(root: Path) -> list[Path]:
    return _some(root, f"{CPU}/cpufreq/policy*/scaling_governor", "frequency scaling")


def _governor(root: Path, wanted: str) -> Targets:
    """Aim at a governor by name, or with `dynamic` at one that follows the load."""
    files = _governor_files(root)
    return {file: _follows_load(file) if wanted == "dynamic" else _offered(file, (wanted,)) for file in files}


def _offered(file: Path, wanted: tuple[str, ...]) -> str:
    offered = read(file.parent / "scaling_available_governors").split()
    for governor in wanted:
        if governor in offered:
            return governor
    raise Missing(f"there is no governor {' or '.join(wanted)}, only {', '.join(offered)} ({file.parent})")


def _follows_load(file: Path) -> str:
    if read(file.parent / "scaling_driver") in _SCALE_THEMSELVES:
        return _offered(file, ("powersave",))
    return _offered(file, tuple(sorted(_FOLLOW_LOAD, key=lambda name: name != read(file))))


def _frequency_files(root: Path) -> list[Path]:
    return _some(root, f"{CPU}/cpufreq/policy*/scaling_m[ai][xn]_freq", "frequency scaling")


def _frequency(root: Path, wanted: str) -> Targets:
    """Aim at `base`, the highest frequency without turbo, at a number of MHz, or with `any` at all that there are."""
    if wanted == "any":
        ends = {"scaling_min_freq": "cpuinfo_min_freq", "scaling_max_freq": "cpuinfo_max_freq"}
        return {file: read(file.with_name(ends[file.name])) for file in _frequency_files(root)}
    return {file: _kilohertz(file.parent, wanted) for file in _frequency_files(root)}


def _kilohertz(policy: Path, wanted: str) -> str:
    if wanted == "base":
        if not (policy / "base_frequency").exists():
            raise Missing(f"the base frequency is not told ({policy}/base_frequency); give a number of MHz")
        return read(policy / "base_frequency")
    lowest, highest = (int(read(policy / f"cpuinfo_{end}_freq")) for end in ("min", "max"))
    if not wanted.isdigit() or not lowest <= int(wanted) * 1000 <= highest:
        raise TuningError(
            f"frequency = {wanted!r} is not 'any', not 'base' and not from {lowest // 1000} to {highest // 1000} MHz"
            f" ({policy})"
        )
    return str(int(wanted) * 1000)


def _c_state_files(root: Path) -> list[Path]:
    return _some(root, f"{CPU}/cpu[0-9]*/cpuidle/state*/disable", "control of idle states")


def _c_states(root: Path, wanted: str) -> Targets:
    """Aim at the idle states up to the one of that name; with `any` at all."""
    files = _c_state_files(root)
    if wanted == "any":
        return dict.fromkeys(files, "0")
    names = _IDLE_NAMES.get(wanted.lower(), (wanted.lower(), f"{wanted.lower()}_acpi"))
    targets: Targets = {}
    for processor in sorted({file.parents[1] for file in files}):
        states = [file for file in files if file.parents[1] == processor]  # in the order of their depth
        called = [read(file.with_name("name")).lower() for file in states]
        deepest = next((place for place, name in enumerate(called) if name in names), None)
        if deepest is None:
            raise Missing(f"there is no idle state {wanted}, only {', '.join(called)} ({processor})")
        targets |= {file: str(int(place > deepest)) for place, file in enumerate(states)}
    return targets


def _rapl_files(kind: str) -> Callable[[Path], list[Path]]:
    def files(root: Path) -> list[Path]:
        found = [
            name.with_name(name.name.replace("_name", "_power_limit_uw"))
            for domain in sorted(root.glob(f"{RAPL}/**/name"))
            if read(domain).split("-")[0] == kind
            for name in sorted(domain.parent.glob("constraint_*_name"))
            if read(name) in ("long_term", "short_term")
        ]
        if not found:
            raise Missing(f"there is no power limit for {kind} ({RAPL})")
        return found

    return files


def _rapl(kind: str) -> Callable[[Path, int], Targets]:
    files = _rapl_files(kind)
    # The tool's check wants both limits to be equal.
    return lambda root, wanted: dict.fromkeys(files(root), str(wanted * 1_000_000))


OPERATIONS = (
    Operation("smt", "first: it takes processors away, and those that come back forget the rest", _smt_files, _smt),
    Operation("turbo", "before the frequency, whose highest value it changes", _turbo_files, _turbo),
    Operation("governor", "before the frequency, whose limits a new one may reset", _governor_files, _governor),
    Operation("frequency", "after all that moves its limits", _frequency_files, _frequency),
    Operation("max_c_state", "after SMT, for the processors that are left", _c_state_files, _c_states),
    *(
        Operation(f"rapl_{kind}", "last: a cap holds whatever the frequency is", _rapl_files(kind), _rapl(kind))
        for kind in ("package", "dram", "psys")
    ),
)


@dataclass
class Outcome:
    """What an operation did, or would do."""

    name: str
    why: str
    missing: str
    before: dict[str, str]
    after: dict[str, str]


def show(root: Path) -> list[dict[str, t.Any]]:
    """Return all operations with what the machine has for them, in their order."""
    return [
        {"name": one.name, "why": one.why, "missing": one.available(root), "files": one.show(root)}
        for one in OPERATIONS
    ]


def in_order(targets: Mapping[Path, str]) -> list[tuple[Path, str]]:
    """Return the writes that lead to the targets; a lowest frequency must never be above the highest."""
    lows = [file for file in targets if file.name == "scaling_min_freq"]
    first = [(file, read(file.with_name("cpuinfo_min_freq"))) for file in lows]
    rest = [(file, value) for file, value in targets.items() if file not in lows]
    return [*first, *rest, *((file, targets[file]) for file in lows)]


def throw(targets: Mapping[Path, str], note: Callable[[dict[str, str]], None], check: bool) -> tuple[t.Any, t.Any]:
    """Write what differs and read it again; return the files that differ, before and after."""
    differing = {file: value for file, value in targets.items() if read(file) != value}
    before = {str(file): read(file) for file in differing}
    if not differing or check:
        return before, {str(file): value for file, value in differing.items()}
    note(before)
    for file, value in in_order(differing):
        write(file, value)
    after = {file: read(file) for file in differing}
    wrong = [f"{file} holds {after[file]!r}, not {differing[file]!r}" for file in after if after[file] != targets[file]]
    if wrong:
        raise TuningError(f"The hardware did not take what was written: {'; '.join(wrong)}")
    return before, {str(file): value for file, value in after.items()}


def tune(
    root: Path, settings: Mapping[str, t.Any], note: Callable[[dict[str, str]], None], check: bool = False
) -> list[Outcome]:
    """Throw the wanted switches in order; `note` gets what files held before they are written."""
    outcomes = []
    for operation in OPERATIONS:
        wanted = settings.get(operation.name)
        if wanted is None:
            continue
        outcome = Outcome(operation.name, operation.why, "", {}, {})
        try:
            # Not before its turn: the switch before may have taken files away.
            targets = operation.aim(root, wanted)
            locked = operation.available(root) if any(read(file) != targets[file] for file in targets) else ""
            if locked:
                raise Missing(locked)
            outcome.before, outcome.after = throw(targets, note, check)
        except (Missing, Refused) as missing:
            outcome.missing = str(missing)
        outcomes.append(outcome)
    return outcomes


def reset(root: Path, noted: Mapping[str, str], check: bool = False) -> list[Outcome]:
    """Write back what files held before, in the same order: processors must be there again before they are set."""
    outcomes = []
    for operation in OPERATIONS:
        here = set(operation.show(root))
        targets = {Path(file): value for file, value in noted.items() if file in here}
        if targets:
            before, after = throw(targets, lambda _before: None, check)
            outcomes.append(Outcome(operation.name, operation.why, "", before, after))
    return outcomes


def main(arguments: list[str]) -> None:
    """Throw the switches that a file names, at boot; say what is missing, fail only where the hardware refuses."""
    settings = json.loads(Path(arguments[0]).read_text(encoding="utf8"))
    try:
        outcomes = tune(Path(settings["sysfs"]), settings["switches"], lambda _before: None)
    except TuningError as error:
        raise SystemExit(str(error)) from error
    for outcome in outcomes:
        sys.stdout.write(f"{outcome.name}: {outcome.missing or outcome.after or 'as wanted'}\n")


if __name__ == "__main__":
    main(sys.argv[1:])
