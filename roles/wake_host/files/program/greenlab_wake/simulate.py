# Copyright (c) 2026, the greenlab.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""``greenlab-wake simulate``: what each way of waking would cost. Reads what it is given, contacts nobody."""

from __future__ import annotations

import argparse
import csv
import json
import math
import os
import sys
import typing as t
from dataclasses import asdict, fields, replace
from datetime import datetime, timezone
from pathlib import Path

from . import model, picture
from .windows import daily, sunshine

START = 1735689600.0  # 2025-01-01 00:00 UTC, when made-up jobs begin
STEP = 300  # seconds; windows are looked at this often
# What judges a window, what it must have, and what it has if that is not given.
WINDOWS: dict[str, tuple[t.Any, tuple[str, ...], dict[str, t.Any]]] = {
    "daily": (daily, ("at",), {"minutes": 60}),
    "sun": (sunshine, ("above", "latitude", "longitude"), {"fallback_hours": 2}),
}
NOON = {"kind": "daily", "at": "11:00", "minutes": 240}
COLUMNS = ("arrival", "duration")
WRONG = 2


class BadInput(ValueError):
    """The text says what is wrong."""


# --- what comes in ---------------------------------------------------------------------------------------------------


def when(text: str) -> float:
    """Read a time: seconds, or a date as ISO 8601 has it, in UTC unless it says otherwise."""
    try:
        return float(text)
    except ValueError:
        at = datetime.fromisoformat(text.strip().replace("Z", "+00:00"))
        return (at if at.tzinfo else at.replace(tzinfo=timezone.utc)).timestamp()


def read_trace(lines: t.Iterable[str]) -> dict[str, model.Jobs]:
    """Return the jobs of each machine; without a column machine, all are of one."""
    rows = csv.DictReader(lines)
    if not set(COLUMNS) <= set(rows.fieldnames or ()):
        raise BadInput("the trace's first line must name its columns: arrival,duration or arrival,duration,machine")
    machines: dict[str, model.Jobs] = {}
    for number, row in enumerate(rows, 2):
        try:
            arrival, duration = when(row["arrival"]), float(row["duration"])
        except (TypeError, ValueError):
            raise BadInput(f"line {number} of the trace: {row!r} is not a time and a number of seconds") from None
        if duration < 0 or math.isnan(duration):
            raise BadInput(f"line {number} of the trace: a job cannot last {duration} s")
        machines.setdefault(row.get("machine") or "machine", []).append((arrival, duration))
    if not machines:
        raise BadInput("the trace has no jobs")
    return {name: sorted(jobs) for name, jobs in sorted(machines.items())}


def read_window(text: str) -> dict[str, t.Any]:
    """Read a window as the inventory has it, in JSON."""
    try:
        window: dict[str, t.Any] = dict(json.loads(text))
        needed = WINDOWS[window["kind"]][1]
    except (KeyError, TypeError, ValueError):
        raise BadInput(
            f"--window {text}: write JSON such as {json.dumps(NOON)}; kind: {' or '.join(WINDOWS)}"
        ) from None
    for key in needed:
        if key not in window:
            raise BadInput(f"--window {text}: {key} is missing")
    return window


def intervals(given: list[dict[str, t.Any]], begin: float, end: float) -> tuple[tuple[float, float], ...]:
    """Return when any of the windows is open, to five minutes."""
    judges = [(WINDOWS[window["kind"]][0], {**WINDOWS[window["kind"]][2], **window}) for window in given]
    found: list[tuple[float, float]] = []
    opened = None
    at = begin - begin % STEP
    while at <= end:
        if any(judge(window, at)[0] for judge, window in judges):
            opened = at if opened is None else opened
        elif opened is not None:
            found.append((opened, at))
            opened = None
        at += STEP
    return (*found, (opened, at)) if opened is not None else tuple(found)


def policies(given: list[dict[str, t.Any]], begin: float, end: float) -> tuple[model.Policy, ...]:
    """Return what is compared."""
    deadline = min(window.get("deadline", 24) for window in given) * 3600
    # Jobs may wait beyond the end.
    open_at = intervals(given, begin, end + deadline)
    return (
        model.Policy("always on", always_on=True),
        model.Policy("15 minutes", 900),
        model.Policy("1 minute", 60),
        model.Policy("event"),
        model.Policy("windows", 60, windows=open_at, deadline=deadline),
    )


def read_powers(path: str, names: list[str]) -> dict[str, dict[str, float]]:
    """Return what some machines have of their own."""
    own = json.loads(Path(path).read_text(encoding="utf8"))
    for name, values in own.items() if isinstance(own, dict) else [("", {})]:
        if name not in names:
            raise BadInput(f"{path}: there is no machine {name!r}")
        for key, value in values.items() if isinstance(values, dict) else [("", 0)]:
            if key not in powers() or not isinstance(value, (int, float)):
                raise BadInput(f"{path}: {name}: {key!r}: write one of {', '.join(powers())}, and a number")
    return t.cast("dict[str, dict[str, float]]", own)


def read_case(options: argparse.Namespace) -> model.Case:
    """Make a case of the command line."""
    machine = replace(
        model.STATES[options.state],
        **{name: value for name in powers() if (value := getattr(options, name)) is not None},
    )
    given: tuple[model.Jobs, ...] = ()
    names = [f"machine{number + 1}" for number in range(options.machines)]
    begin, end = START, START + options.days * model.DAY
    if options.trace:
        content = sys.stdin.read() if options.trace == "-" else Path(options.trace).read_text(encoding="utf8")
        trace = read_trace(content.splitlines())
        names, given = list(trace), tuple(trace.values())
        begin = min(jobs[0][0] for jobs in given)
        end = max(arrival + duration for jobs in given for arrival, duration in jobs)
    own = read_powers(options.powers, names) if options.powers else {}
    return model.Case(
        policies=policies([read_window(text) for text in options.window] or [NOON], begin, end),
        machines=tuple(replace(machine, **own.get(name, {})) for name in names),
        begin=begin, end=end, given=given,
        seed=options.seed, per_day=options.jobs_per_day, mean=options.mean, cv=options.cv,
    )  # fmt: skip


def powers() -> list[str]:
    """Return the names of a machine's powers and times."""
    return [each.name for each in fields(model.Machine)]


# --- what goes out ---------------------------------------------------------------------------------------------------


def results(case: model.Case, tallies: list[model.Tally]) -> list[dict[str, t.Any]]:
    """Return a row for each policy, of all machines together."""
    rows = []
    for policy, tally in zip(case.policies, tallies):
        jobs = sum(tally.waits.values())
        months = tally.seconds / len(case.machines) / model.MONTH
        rows.append({
            "policy": policy.name,
            "jobs": jobs,
            "kwh_a_month": tally.wh / 1000 / months,
            "saved_percent": 100 * (1 - tally.wh / tally.seconds / (tallies[0].wh / tallies[0].seconds)),
            "wakes_a_month": tally.wakes / months,
            "wait_mean": tally.waited / jobs if jobs else 0.0,
            "wait_p95": tally.percentile(0.95),
        })  # fmt: skip
    return rows


def table(rows: list[dict[str, t.Any]]) -> str:
    """Return the rows for people."""
    lines = [f"{'policy':<12}{'kWh/month':>11}{'saved':>8}{'wakes/month':>13}{'mean wait':>11}{'95 %':>9}"]
    lines += [
        f"{row['policy']:<12}{row['kwh_a_month']:>11.1f}{row['saved_percent']:>6.0f} %{row['wakes_a_month']:>13.0f}"
        f"{row['wait_mean']:>9.0f} s{row['wait_p95']:>7.0f} s"
        for row in rows
    ]
    return "\n".join(lines)


def parse(argv: list[str]) -> argparse.Namespace:
    """Read the command line."""
    parser = argparse.ArgumentParser(
        prog="greenlab-wake simulate", description="Tell what ways of waking machines cost: energy and waiting."
    )
    jobs = parser.add_argument_group("jobs")
    jobs.add_argument("--trace", metavar="FILE", help="CSV with arrival, duration and, if need be, machine; - reads it")
    jobs.add_argument("--jobs-per-day", type=float, default=10, help="at random, of each machine (10)")
    jobs.add_argument("--mean", type=float, default=900, help="seconds that a job lasts (900)")
    jobs.add_argument("--cv", type=float, default=0.7, help="their standard deviation by their mean (0.7)")
    jobs.add_argument("--days", type=float, default=365, help="how long (365)")
    jobs.add_argument("--machines", type=int, default=1, help="how many (1)")
    jobs.add_argument("--seed", type=int, default=1, help="another one gives other jobs (1)")
    parser.add_argument(
        "--window", action="append", default=[], metavar="JSON", help=f"as in wake_target_windows ({json.dumps(NOON)})"
    )
    machine = parser.add_argument_group("machine, where it differs from the state's estimates")
    machine.add_argument("--state", choices=model.STATES, default="suspend", help="what it does without jobs (suspend)")
    machine.add_argument("--powers", metavar="FILE", help='JSON, for some machines: {"machine1": {"idle_watts": 20}}')
    for name in powers():
        machine.add_argument(f"--{name.replace('_', '-')}", type=float, metavar="N")
    parser.add_argument("--format", choices=["table", "json", "svg"], default="table")
    parser.add_argument("--processes", type=int, default=os.cpu_count() or 1, help="how many at once (one a processor)")
    options = parser.parse_args(argv)
    for name in ("jobs_per_day", "mean", "days", "machines", "processes"):
        if not getattr(options, name) > 0:
            parser.error(f"--{name.replace('_', '-')} must be more than 0")
    return options


def main(argv: list[str]) -> int:
    """Start the simulator."""
    options = parse(argv)
    try:
        case = read_case(options)
    except (OSError, ValueError) as error:
        print(f"greenlab-wake simulate: {error}", file=sys.stderr)
        return WRONG
    rows = results(case, model.simulate(case, options.processes))
    if options.format == "json":
        print(json.dumps({"machine": asdict(case.machines[0]), "machines": len(case.machines), "policies": rows}))
    else:
        print(picture.svg(rows) if options.format == "svg" else table(rows))
    return 0
