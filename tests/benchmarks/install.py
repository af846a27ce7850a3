# SPDX-License-Identifier: GPL-3.0-or-later
"""How long a cluster takes to build.

    .venv/bin/python tests/benchmarks/install.py --machines 8 --rounds 3

From scratch, with wheels shared between the machines and with each machine for itself; and a second run against ping on
the same nodes. Takes new nodes for each way (the lab named by GREENLAB_LAB, else `bench`) and removes them in the end.
GMT_REPO measures the real tool instead of the stand-in. All nodes share this computer: compare figures of one run only.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
LAB = "inventories/lab"


class Cluster:
    """A lab of one server and some machines, told apart from other labs by its name."""

    def __init__(self, folder: Path, machines: int) -> None:
        self.folder = folder
        self.limit = ",".join(["server", *(f"machine{number}" for number in range(1, machines + 1))])
        octets = {f"machine{number}": 20 + number for number in range(1, machines + 1)}
        last_octets = {"upstream": 2, "server": 10, "pi": 20, **octets}
        # An inventory elsewhere does not know where the checkout is.
        self.variables = json.dumps({"lab_checkout": str(ROOT), "lab_last_octets": last_octets})
        hosts = {
            name: {
                "ansible_host": f"{{{{ lab_prefix }}}}.{octet}",
                "gmt_machine_id": octet - 20,
                "gmt_machine_description": f"Bench {name}",
            }
            for name, octet in octets.items()
        }
        self.inventory = folder / "machines.json"
        self.inventory.write_text(json.dumps({"machines": {"hosts": hosts}}), encoding="utf8")
        self.environment = {
            **os.environ,
            "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
            "GREENLAB_LAB": os.environ.get("GREENLAB_LAB") or "bench",
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        }

    def ansible(self, program: str, *arguments: str) -> Cost:
        """Run ansible on the lab and return what it cost; show its output when it fails."""
        command = [program, f"--inventory={LAB}", f"--inventory={self.inventory}", f"--extra-vars={self.variables}"]
        start, nodes, ours = time.monotonic(), self.nodes_cpu(), children_cpu()
        done = subprocess.run(
            [*command, f"--limit={self.limit}", *arguments],
            cwd=ROOT,
            env=self.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        if done.returncode:
            sys.exit(f"{program} {' '.join(arguments)} failed:\n{done.stdout[-4000:]}")
        return Cost(time.monotonic() - start, children_cpu() - ours, self.nodes_cpu() - nodes)

    def nodes_cpu(self) -> float:
        """Return the CPU seconds that the nodes have used since they were created."""
        label = f"label=greenlab.lab={self.environment['GREENLAB_LAB']}"
        names = subprocess.check_output(["podman", "ps", "--quiet", f"--filter={label}"], text=True).split()
        if not names:
            return 0.0
        stats = subprocess.check_output(["podman", "stats", "--no-stream", "--format={{.CPUNano}}", *names], text=True)
        return sum(map(int, stats.split())) / 1e9

    def build(self, wheels: Path | None) -> Cost:
        """Build the cluster, all machines at once, with wheels shared in a folder or each machine for itself."""
        options = ["--extra-vars=site_serial=100%", f"--extra-vars=gmt_wheels_dir={wheels or ''}"]
        return self.ansible("ansible-playbook", "playbooks/site.yml", *options)


class Cost(NamedTuple):
    """Seconds by the clock, of CPU on the control node, of CPU on all nodes together."""

    wall: float
    control: float
    nodes: float


def children_cpu() -> float:
    """Return the CPU seconds of the programs that were started from here and have ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def show(name: str, costs: list[Cost]) -> None:
    """Print a row of the table."""
    wall, control, nodes = (statistics.median(column) for column in zip(*costs, strict=True))
    print(f"{name:45} {wall:8.1f} {control:9.1f} {nodes:10.1f}", flush=True)


def measure(cluster: Cluster, rounds: int) -> None:
    """Print what each thing costs, as it becomes known."""
    shared = cluster.folder / "wheels"

    def from_scratch(words: str, wheels: Path | None) -> None:
        cluster.ansible("ansible-playbook", "tests/lab/fresh.yml")
        show(f"from scratch, {words}", [cluster.build(wheels)])

    from_scratch("each for itself", None)
    from_scratch("wheels shared, none there yet", shared)
    second, ping = [], []
    for _round in range(rounds):  # in turns, so that both meet the same load
        second.append(cluster.build(shared))
        ping.append(cluster.ansible("ansible", "all", "--module-name=ansible.builtin.ping"))
    show("second run", second)
    show("ansible all -m ping", ping)
    from_scratch("wheels shared, all there", shared)


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
        cluster.ansible("ansible-playbook", "tests/lab/destroy.yml")
    print(f"Load at the end: {os.getloadavg()[1]:.1f}")


if __name__ == "__main__":
    main()
