# Copyright (c) 2026, the greenlab.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What wakes an idle machine: counters of /proc, read at moments apart and subtracted."""

from __future__ import annotations

import os
import re
import typing as t
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from statistics import median

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

# Rows of /proc/interrupts that stand for the timer of a processor: x86, ARM.
_TIMER = re.compile(r"LOC\b|.*\barch_timer\b")
_SWITCHES = re.compile(r"^voluntary_ctxt_switches:\s*(\d+)", re.MULTILINE)
_NAME = re.compile(r"^Name:\s*(.*)", re.MULTILINE)
_PARENT = re.compile(r"^PPid:\s*(\d+)", re.MULTILINE)

Who = tuple[str, str]


@dataclass(frozen=True)
class Moment:
    """All counters at one moment."""

    seconds: float
    context_switches: int
    interrupts: int
    forks: int
    by_source: dict[str, int]
    # How often each thread went to sleep, by its number; each sleep but the last has ended by a wake-up.
    sleeps: dict[int, int]
    owners: dict[int, Who]


def read_moment(root: Path, seconds: float, without: set[int]) -> Moment:
    """Read all counters; leave out the processes that do the counting."""
    stat = dict(line.split(maxsplit=1) for line in _text(root / "proc/stat").splitlines() if " " in line)
    sleeps: dict[int, int] = {}
    owners: dict[int, Who] = {}
    for process in _processes(root):
        if int(process.name) in without:
            continue
        unit = _unit(_text(process / "cgroup"))
        for thread in _numbered(process / "task"):
            status = _text(thread / "status")
            switches = _SWITCHES.search(status)
            if switches:
                sleeps[int(thread.name)] = int(switches[1])
                owners[int(thread.name)] = (_first(_NAME, status), unit)
    return Moment(
        seconds=seconds,
        context_switches=int(stat.get("ctxt", "0")),
        interrupts=int(stat.get("intr", "0").split()[0]),
        forks=int(stat.get("processes", "0")),
        by_source=_by_source(_text(root / "proc/interrupts")),
        sleeps=sleeps,
        owners=owners,
    )


def _processes(root: Path) -> list[Path]:
    return _numbered(root / "proc")


def _numbered(folder: Path) -> list[Path]:
    try:
        return [folder / name for name in os.listdir(folder) if name.isdigit()]
    except OSError:
        return []  # it has ended meanwhile


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf8", errors="replace")
    except OSError:
        return ""


def _first(pattern: re.Pattern[str], text: str) -> str:
    match = pattern.search(text)
    return match[1] if match else ""


def _unit(cgroup: str) -> str:
    """Return the innermost unit of a process, as its control groups name it; empty for threads of the kernel."""
    units = re.findall(r"[^/\n:]+\.(?:service|scope)(?=/|$)", cgroup, re.MULTILINE)
    return units[-1] if units else ""


def _by_source(text: str) -> dict[str, int]:
    lines = text.splitlines()
    processors = len(lines[0].split()) if lines else 0
    counts: dict[str, int] = {}
    for line in lines[1:]:
        name, _colon, rest = line.partition(":")
        words = rest.split()
        numbers = [int(word) for word in words[:processors] if word.isdigit()]
        label = " ".join([name.strip(), *words[len(numbers) :]])
        counts[label] = sum(numbers)
    return counts


def ancestors(root: Path, pid: int) -> set[int]:
    """Return a process and those that started it: ssh, sudo and the module itself."""
    found: set[int] = set()
    while pid > 1 and pid not in found:
        found.add(pid)
        pid = int(_first(_PARENT, _text(root / f"proc/{pid}/status")) or 0)
    return found


def measure(
    root: Path, windows: int, seconds: float, now: Callable[[], float], sleep: Callable[[float], None]
) -> dict[str, t.Any]:
    """Count over some windows of time and return the medians, and who woke up how often."""
    without = ancestors(root, os.getpid())
    moments = [read_moment(root, now(), without)]
    for _window in range(windows):
        sleep(seconds)
        moments.append(read_moment(root, now(), without))
    return summarize(moments)


def summarize(moments: Sequence[Moment]) -> dict[str, t.Any]:
    """Return rates a second: medians of the windows between the moments, and totals by source over all of them."""
    windows = list(zip(moments, moments[1:]))
    wakes = [Counter(dict(_wakes(before, after))) for before, after in windows]
    total = moments[-1].seconds - moments[0].seconds

    def middle(count: Callable[[Moment, Moment], int]) -> float:
        return round(median(count(b, a) / (a.seconds - b.seconds) for b, a in windows), 2)

    return {
        "seconds": round(total, 1),
        "wakeups": round(
            median(sum(woken.values()) / (a.seconds - b.seconds) for woken, (b, a) in zip(wakes, windows)), 2
        ),
        "context_switches": middle(lambda b, a: a.context_switches - b.context_switches),
        "interrupts": middle(lambda b, a: a.interrupts - b.interrupts),
        "timer_interrupts": middle(lambda b, a: _timer(a) - _timer(b)),
        "forks": middle(lambda b, a: a.forks - b.forks),
        "who": [
            {"name": name, "unit": unit, "wakeups": round(count / total, 2)}
            for (name, unit), count in sum(wakes, Counter()).most_common()
        ],
        "sources": [
            {"name": name, "interrupts": round(count / total, 2)}
            for name, count in _grown(moments[0].by_source, moments[-1].by_source).most_common()
        ],
    }


def _wakes(before: Moment, after: Moment) -> Iterator[tuple[Who, int]]:
    counts: Counter[Who] = Counter()
    for thread, sleeps in after.sleeps.items():
        # A number that now belongs to another program counts from zero, as a new one does.
        same = before.owners.get(thread) == after.owners[thread]
        counts[after.owners[thread]] += max(0, sleeps - (before.sleeps[thread] if same else 0))
    return iter((who, count) for who, count in counts.items() if count)


def _timer(moment: Moment) -> int:
    return sum(count for name, count in moment.by_source.items() if _TIMER.match(name))


def _grown(before: dict[str, int], after: dict[str, int]) -> Counter[str]:
    return Counter({name: count - before.get(name, 0) for name, count in after.items() if count > before.get(name, 0)})
