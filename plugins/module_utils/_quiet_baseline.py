# Copyright (c) 2026, the greenlab.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a machine is made of, in the words of the tool's config.yml, and how two such descriptions differ."""

from __future__ import annotations

import math
import re
import typing as t

from ansible_collections.greenlab.cluster.plugins.module_utils._tuning import CPU, OPERATIONS, TuningError, read

if t.TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    Run = Callable[[Sequence[str]], str]


class LeftOut(Exception):
    """A value cannot be told, or the tool could not check it; says why."""


def _cores(_run: Run, root: Path) -> int:
    text = read(root / CPU / "online")
    spans = [span.partition("-") for span in text.split(",")]
    return sum(int(last or first) - int(first) + 1 for first, _dash, last in spans)


def _dram(run: Run, _root: Path) -> int:
    match = re.search(r"^Total online memory:\s*([\d.]+)G", run(["lsmem", "--summary=only"]), re.MULTILINE)
    if not match:
        raise LeftOut("lsmem does not tell the size of the memory in G, and the tool asks nobody else")
    return math.ceil(float(match[1]))


def usb_names(run: Run) -> dict[str, str]:
    """Return the names of the USB devices, by their vendor's and product's number."""
    return dict(re.findall(r"ID ([0-9a-f]{4}:[0-9a-f]{4}) ?(.*)", run(["lsusb"])))


def _usb(run: Run, _root: Path) -> list[str]:
    # Only the numbers: places change with every plug, names with every update of the list of names.
    return sorted(usb_names(run)) or _none("lsusb lists nothing")


def _pci(run: Run, _root: Path) -> list[str]:
    lines = (line.split(" ", 1)[1:] for line in run(["lspci"]).splitlines())
    return sorted({name for (name,) in filter(None, lines)}) or _none("lspci lists nothing")


def _none(reason: str) -> t.NoReturn:
    raise LeftOut(reason)


def _of_all_policies(file: str) -> Callable[[Run, Path], t.Any]:
    def value(_run: Run, root: Path) -> t.Any:
        found = {read(path) for path in root.glob(f"{CPU}/cpufreq/policy*/{file}")}
        if len(found) > 1:
            raise LeftOut(f"processors differ: {', '.join(sorted(found))}")
        return found.pop() if found else False

    return value


def _smt(_run: Run, root: Path) -> bool:
    active = root / CPU / "smt/active"
    return active.exists() and read(active) == "1"


def _turbo(_run: Run, root: Path) -> bool:
    files = [(root / CPU / "intel_pstate/no_turbo", "0"), (root / CPU / "cpufreq/boost", "1")]
    return next((read(file) == on for file, on in files if file.exists()), False)


def _frequency(_run: Run, root: Path) -> int:
    limits = {read(path) for path in root.glob(f"{CPU}/cpufreq/policy*/scaling_m[ai][xn]_freq")}
    if len(limits) != 1:
        raise LeftOut("the frequency is not fixed")
    return int(limits.pop()) // 1000


def _caps(_run: Run, root: Path) -> dict[str, int]:
    caps = {}
    for operation in OPERATIONS:
        if not operation.name.startswith("rapl_"):
            continue
        limits = set(operation.show(root).values())
        # The tool wants both limits equal, and knows whole watts.
        if len(limits) == 1 and int(min(limits)) and not int(min(limits)) % 1_000_000:
            caps[operation.name[len("rapl_") :]] = int(min(limits)) // 1_000_000
    return caps or _none("no domain has one power limit in whole watts for the long and the short term")


MEASURES: dict[str, Callable[[Run, Path], t.Any]] = {
    "cpu_cores": _cores,
    "dram_gb": _dram,
    "usb_devices": _usb,
    "pci_devices": _pci,
    "cpu_governor": _of_all_policies("scaling_governor"),
    "cpu_scaling_driver": _of_all_policies("scaling_driver"),
    "cpu_smt": _smt,
    "cpu_turbo_boost": _turbo,
    "cpu_frequency_mhz": _frequency,
    "rapl_power_capping": _caps,
}


def measure(run: Run, root: Path) -> tuple[dict[str, t.Any], dict[str, str]]:
    """Return what can be told, and why the rest cannot."""
    found: dict[str, t.Any] = {}
    left_out: dict[str, str] = {}
    for key, ask in MEASURES.items():
        try:
            found[key] = ask(run, root)
        except (LeftOut, TuningError) as reason:
            left_out[key] = str(reason)
    return found, left_out


def drift(expected: Mapping[str, t.Any], found: Mapping[str, t.Any], names: Mapping[str, str]) -> list[str]:
    """Return one sentence for each part that is not as expected; parts that were never written down are no drift."""
    lines = []
    for key, before in expected.items():
        now = found.get(key)
        if isinstance(before, list):
            there = now if isinstance(now, list) else []
            lines += [f"{key}: {_named(part, names)} is new" for part in there if part not in before]
            lines += [f"{key}: {_named(part, names)} is gone" for part in before if part not in there]
        elif now != before:
            lines.append(f"{key} is {'not told any more' if now is None else now}, was {before}")
    return lines


def _named(part: str, names: Mapping[str, str]) -> str:
    return f"{part} ({names[part]})" if names.get(part) else part
