# SPDX-License-Identifier: GPL-3.0-or-later
"""How the control node's work grows with the cluster: preflight and fingerprints of 5,000 machines against 1,000.

    .venv/bin/python tests/benchmarks/scale.py --machines 1000 5000 --rounds 5

Contacts no host. The tasks are those of playbooks/preflight.yml and playbooks/tasks/plan.yml, without the question what
the jobs DB remembers; one number is changed, for the tool itself knows no machine with an id above 1,024. The inventory
is one file with a line for each machine, as the README shows it, and its reading counts.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import sys
import tempfile
from pathlib import Path
from typing import Any

import yaml
from lab import ROOT, children_cpu, run_all

SHARED = """
    gmt_release: v4.1
    gmt_repo: git://10.1.1.2/gmt.git
    gmt_submodules: []
    gmt_db_host: 10.1.1.1
    gmt_db_password: for-the-benchmark-only
    jobs_db_networks: [10.0.0.0/8]
"""


def write_inventory(file: Path, machines: int) -> None:
    """Write an inventory with a server and machines."""
    lines = ["all:", "  vars:", SHARED.strip("\n"), "jobs_db:", "  hosts:", "    server: {ansible_host: 10.1.1.1}"]
    lines += ["machines:", "  hosts:"]
    lines += [
        f"    machine{number}: {{ansible_host: 10.{number >> 16}.{number >> 8 & 255}.{number & 255},"
        f" gmt_machine_id: {number}, gmt_machine_description: Bench {number}}}"
        for number in range(1, machines + 1)
    ]
    file.write_text("\n".join(lines) + "\n", encoding="utf8")


def load(playbook: str) -> Any:
    return yaml.safe_load((ROOT / "playbooks" / playbook).read_text(encoding="utf8"))


def write_playbook(file: Path, machines: int) -> None:
    """Write a play that checks all hosts and one that compares what the machines would be built from."""
    preflight = [play for play in load("preflight.yml") if "hosts" in play]
    for task in preflight[0]["tasks"]:
        if "greenlab.cluster.preflight" in task:
            groups = task["greenlab.cluster.preflight"]["groups"]
            groups["machines"]["values"]["gmt_machine_id"]["max"] = machines
    plan = [task for task in load("tasks/plan.yml") if task.get("register") != "site_builds"]
    site = next(play for play in load("site.yml") if "plan.yml" in json.dumps(play))
    variables = {**site.get("vars", {}), "site_builds": {"machines": []}}
    compare = {"hosts": "machines", "gather_facts": False, "vars": variables, "tasks": plan}
    # What it includes is looked for beside it.
    tasks = file.parent / "tasks"
    if not tasks.exists():
        tasks.symlink_to(ROOT / "playbooks/tasks")
    file.write_text(json.dumps([*preflight, compare]), encoding="utf8")


def main() -> None:
    """Measure in turns and print; the median first, then each round."""
    parser = argparse.ArgumentParser(description="Measure how the control node's work grows with the cluster.")
    parser.add_argument("--machines", type=int, nargs="+", default=[1000, 5000])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--profile", type=Path, help="folder for a cProfile of each size, instead of figures")
    options = parser.parse_args()
    environment = {**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg")}
    program = [str(Path(sys.executable).parent / "ansible-playbook")]
    took: dict[int, list[tuple[float, float, float]]] = {size: [] for size in options.machines}
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} at the beginning", flush=True)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for number in range(1, 2 if options.profile else options.rounds + 1):
            for size in options.machines:
                write_inventory(folder / f"{size}.yml", size)
                write_playbook(folder / "play.yml", size)
                command = [*program, f"--inventory={folder / f'{size}.yml'}", str(folder / "play.yml")]
                if options.profile:
                    options.profile.mkdir(parents=True, exist_ok=True)
                    output = options.profile / f"{size}.prof"
                    command = [sys.executable, "-m", "cProfile", "-o", str(output), *command]
                before = children_cpu()
                wall, memory, _texts = run_all([command], environment)
                took[size].append((wall, children_cpu() - before, memory))
                print(f"round {number}: {size} machines, {describe(took[size][-1])}", flush=True)
    medians = {size: [statistics.median(column) for column in zip(*rows, strict=True)] for size, rows in took.items()}
    for size, (wall, cpu, memory) in medians.items():
        print(f"{size} machines: {describe((wall, cpu, memory))}; {cpu / size * 1000:.2f} ms of CPU a machine")
    small, large = min(medians), max(medians)
    print(f"CPU a machine, {large} ÷ {small}: {medians[large][1] / large / (medians[small][1] / small):.2f}")
    print(f"load {os.getloadavg()[0]:.1f} at the end")


def describe(took: tuple[float, float, float]) -> str:
    wall, cpu, memory = took
    return f"{wall:.1f} s, {cpu:.1f} CPU seconds, {memory:.0f} MB"


if __name__ == "__main__":
    main()
