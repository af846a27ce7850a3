# SPDX-License-Identifier: GPL-3.0-or-later
"""The goals: each a ratio of two figures of one run, at most so much; and the two that need runs of their own."""

from __future__ import annotations

import json
import shlex
import statistics
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, NamedTuple

from lab import Cluster, Cost
from picture import short

if TYPE_CHECKING:
    from converge import Bench, Log


class Goal(NamedTuple):
    """A figure, and the figure that it is divided by: kind, way, and what of its cost."""

    number: str
    words: str
    most: float
    over: tuple[str, str, int, str]
    under: tuple[str, str, int, str]


# site.yml asks the jobs DB and contacts no machine; with a look it contacts each, once. Goals are those of the look.
US, WITHOUT = "look", "site"
GOALS = [
    Goal("1", "converged, 1 machine: wall ÷ limit", 8, ("converged", US, 1, "wall"), ("converged", "limit", 1, "wall")),
    Goal("2", "converged: CPU ÷ all roles", 0.10, ("converged", US, 1, "cpu"), ("converged", "full", 1, "cpu")),
    Goal("3", "converged: wall ÷ pyinfra", 0.35, ("converged", US, 1, "wall"), ("converged", "pyinfra", 1, "wall")),
    Goal("4", "converged: wall ÷ script", 0.5, ("converged", US, 1, "wall"), ("converged", "shell", 1, "wall")),
    Goal(
        "5",
        "converged: machine's CPU ÷ limit's",
        4.5,
        ("converged", US, 1, "nodes"),
        ("converged", "limit", 1, "nodes"),
    ),
    Goal("6", "8 machines: wall ÷ 8 limits", 4.5, ("converged", US, 8, "wall"), ("converged", "limit", 8, "wall")),
    Goal("7", "8 new machines: wall ÷ pyinfra", 1.0, ("first", "site", 8, "wall"), ("first", "pyinfra", 8, "wall")),
    Goal(
        "8",
        "environment: CPU a machine ÷ pip install",
        0.15,
        ("wheels", "ours", 1, "nodes"),
        ("wheels", "pip", 1, "nodes"),
    ),
    Goal("10", "one of 1,000: wall ÷ one of 3", 1.2, ("one", US, 1000, "wall"), ("one", US, 3, "wall")),
]


def figure(runs: list[dict[str, Any]], kind: str, way: str, machines: int, what: str) -> float | None:
    """Return the median of what one way took; `cpu` is all of it, here, on the machines and on the server."""
    found = [run for run in runs if (run["kind"], run["way"], run["machines"]) == (kind, way, machines)]
    if not found:
        return None
    names = ("control", "nodes", "server") if what == "cpu" else (what,)
    return statistics.median(sum(run[name] for name in names) for run in found)


def table(kept: dict[str, Any]) -> None:
    """Print how far each goal is met by a run that looks at the machines, and what the ratio is without a look."""
    print("\n| # | goal | at most | measured | | without a look |")
    print("|---|---|---|---|---|---|")
    for goal in GOALS:
        over, under = figure(kept["runs"], *goal.over), figure(kept["runs"], *goal.under)
        without = [figure(kept["runs"], kind, WITHOUT if way == US else way, *rest)
                   for kind, way, *rest in (goal.over, goal.under)]
        if over is None or under is None or under <= 0:
            print(f"| {goal.number} | {goal.words} | {goal.most:g} | not measured | | |")
        else:
            ratio = over / under
            figures = f"{goal.words} ({short(over)} ÷ {short(under)})"
            word = "met" if ratio <= goal.most else "not met"
            other = f"{without[0] / without[1]:.2f}" if goal.over[1] == US and all(without) else ""
            print(f"| {goal.number} | {figures} | {goal.most:g} | {ratio:.2f} | {word} | {other} |")
    print("\n".join(["", *kept["about"]["notes"]]))


def one(bench: Bench, log: Log, rounds: int, late: Callable[[], bool]) -> None:
    """Build one machine that would not change, in a cluster of three and in one of a thousand, in turns."""
    clusters = {}
    for size in (3, 1000):
        folder = bench.cluster.folder / str(size)
        folder.mkdir(exist_ok=True)
        clusters[size] = Cluster(folder, size)
        clusters[size].spell_out(bench.prefix)
    machine = bench.cluster.machines[:1]
    # Its machine may be another build.
    clusters[3].cost([clusters[3].command("ansible-playbook", *bench.site_options(machine), limit=machine)])
    for number in range(1, rounds + 1):
        for size, cluster in clusters.items():
            if late():
                return
            for way, more in (("site", []), ("look", ["--extra-vars=site_look=true"])):
                command = cluster.command("ansible-playbook", *bench.site_options(machine, *more), limit=machine)
                log.add("one", way, size, number, cluster.cost([command], cold=True, machines=machine))


def wheels(bench: Bench, log: Log, rounds: int, machines: list[str], late: Callable[[], bool]) -> None:
    """Make the machines' Python environments anew, ours and by pip from a wheelhouse; count what is downloaded.

    Ours is what all roles cost with the environments to be made, less what they cost with nothing to do.
    """
    at = bench.state["shared"]
    stamp = f"{at['dir']}/venv/greenlab"
    settings = f"[global]\nindex-url = {at['wheels']}simple/\ntrusted-host = {at['wheels_host']}\n"
    bench.on(machines, f"printf %s {shlex.quote(settings)} >/etc/pip.conf")
    pip = (
        "sudo sh -c 'python3 -m venv /var/tmp/pip && /var/tmp/pip/bin/pip install --quiet --no-cache-dir --no-index"
        f" --disable-pip-version-check --find-links /var/tmp/wheels {' '.join(at['requirements'])}'"
    )
    for number in range(1, rounds + 1):
        if late():
            break
        archives = json.dumps({"gmt_archives_dir": str(bench.folder / f"archives-{number}")})
        full = bench.site(machines, "--extra-vars=site_full=true", f"--extra-vars={archives}")
        bench.on(machines, f"rm {stamp}")
        bench.served.fetched.clear()
        bench.cluster.cost(full)
        fetched = bench.served.fetched
        figures = f"{len(fetched)} downloads of {len(set(fetched))} files"
        log.note(f"Wheels for {len(machines)} machines, round {number}: {figures}")
        idle = bench.cluster.cost(full, cold=True, machines=machines)
        bench.on(machines, f"rm {stamp}")
        busy = bench.cluster.cost(full, cold=True, machines=machines)
        each = [(after - before) / len(machines) for before, after in zip(idle, busy, strict=True)]
        log.add("wheels", "ours", 1, number, Cost(*each))
        for machine in machines:
            bench.copy(bench.served.folder, machine, "/var/tmp/wheels")
        cost = bench.cluster.cost(bench.logins(machines, pip), cold=True, machines=machines)
        log.add("wheels", "pip", 1, number, Cost(*(value / len(machines) for value in cost)))
        bench.on(machines, "rm -rf /var/tmp/pip /var/tmp/wheels")
    bench.on(machines, "rm /etc/pip.conf")
