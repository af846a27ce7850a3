# SPDX-License-Identifier: GPL-3.0-or-later
"""How long a cluster takes to build.

    .venv/bin/python tests/benchmarks/install.py --machines 8 --rounds 3

From scratch, with release and Python environment shared between the machines, and with each machine for itself; and a
second run against ping on the same nodes. Takes new nodes for each way (the lab named by GREENLAB_LAB, else `bench`)
and removes them in the end.
GMT_REPO measures the real tool instead of the stand-in. All nodes share this computer: compare figures of one run only.
"""

from __future__ import annotations

import argparse
import os
import statistics
import tempfile
from pathlib import Path

from lab import Cluster, Cost


def build(cluster: Cluster, archives: Path | None) -> Cost:
    """Build the cluster, all machines at once, with archives shared in a folder or each machine for itself."""
    options = ["--extra-vars=site_serial=100%", f"--extra-vars=gmt_archives_dir={archives or ''}"]
    return cluster.ansible("ansible-playbook", "playbooks/site.yml", *options)


def show(name: str, costs: list[Cost]) -> None:
    """Print a row of the table."""
    wall, control, nodes, server, _memory = (statistics.median(column) for column in zip(*costs, strict=True))
    print(f"{name:45} {wall:8.1f} {control:9.1f} {nodes + server:10.1f}", flush=True)


def measure(cluster: Cluster, rounds: int) -> None:
    """Print what each thing costs, as it becomes known."""
    shared = cluster.folder / "archives"

    def from_scratch(words: str, archives: Path | None) -> None:
        cluster.lab("fresh")
        show(f"from scratch, {words}", [build(cluster, archives)])

    from_scratch("each for itself", None)
    from_scratch("archives shared, none there yet", shared)
    second, ping = [], []
    for _round in range(rounds):  # in turns, so that both meet the same load
        second.append(build(cluster, shared))
        ping.append(cluster.ansible("ansible", "all", "--module-name=ansible.builtin.ping"))
    show("second run", second)
    show("ansible all -m ping", ping)
    from_scratch("archives shared, all there", shared)


def main() -> None:
    """Measure and print a table."""
    parser = argparse.ArgumentParser(description="Measure how long a cluster takes to build.")
    parser.add_argument("--machines", type=int, default=8)
    parser.add_argument("--rounds", type=int, default=3, help="of the second run and of ping")
    options = parser.parse_args()
    tool = os.environ.get("GMT_REPO", "the stand-in")
    print(f"{options.machines} machines and a server on {os.cpu_count()} cores; {tool}")
    print(f"{'medians, in seconds':45} {'wall':>8} {'CPU here':>9} {'CPU nodes':>10}", flush=True)
    with tempfile.TemporaryDirectory() as folder:
        cluster = Cluster(Path(folder), options.machines)
        measure(cluster, options.rounds)
        cluster.lab("destroy")
    print(f"Load at the end: {os.getloadavg()[1]:.1f}")


if __name__ == "__main__":
    main()
