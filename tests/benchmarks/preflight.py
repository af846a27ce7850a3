# SPDX-License-Identifier: GPL-3.0-or-later
"""How long playbook preflight takes for a large cluster, and whether it still names every fault.

    .venv/bin/python tests/benchmarks/preflight.py --machines 1000 --rounds 5

The machines have the group variables of inventories/example, each an address, number, name and MAC address of its own.
One round is without a fault and one with two. Exit status 1 where a fault is not named, or a machine was not looked at.
The figures are those of the whole `ansible-playbook` process with its children.
"""

from __future__ import annotations

import argparse
import os
import re
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent
FAULTS = {"machine500": {"gmt_machine_id": "one"}, "machine777": {"wake_target_mac": "02:00:00:00:00:03"}}
NAMED = ("machine500: gmt_machine_id = 'one' is not an integer", "machine3, machine777: wake_target_mac")


def write_inventory(folder: Path, machines: int, faults: dict[str, dict[str, str]]) -> None:
    """Write a cluster of many machines with the example's group variables."""
    shutil.copytree(ROOT / "inventories/example/group_vars", folder / "group_vars")
    vault = folder / "group_vars/all/vault.yml"
    vault.write_text(re.sub(r": *\"\"", ": not-a-secret", vault.read_text(encoding="utf8")), encoding="utf8")
    main = folder / "group_vars/all/main.yml"
    main.write_text(main.read_text(encoding="utf8").replace("192.0.2.0/24", "10.0.0.0/8"), encoding="utf8")
    hosts = {
        f"machine{number}": {
            "ansible_host": f"10.0.{number >> 8}.{number & 255}",
            "gmt_machine_id": number,
            "gmt_machine_description": f"Machine {number}",
            "wake_target_mac": f"02:00:00:00:{number >> 8:02x}:{number & 255:02x}",
            **faults.get(f"machine{number}", {}),
        }
        for number in range(1, machines + 1)
    }
    groups = {"jobs_db": {"hosts": {"server": {"ansible_host": "10.1.1.10"}}}, "machines": {"hosts": hosts}}
    (folder / "hosts.yml").write_text(yaml.safe_dump(groups), encoding="utf8")


def run(folder: Path) -> tuple[float, float, str]:
    """Return seconds on the clock, seconds of processor time, and what preflight prints."""
    environment = {**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "PATH": f"{BIN}:{os.environ['PATH']}"}
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    command = ["ansible-playbook", f"--inventory={folder}", "playbooks/preflight.yml"]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, check=False)
    seconds, after = time.monotonic() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return seconds, cpu, re.sub(r"\s+", " ", done.stdout + done.stderr)


def main() -> None:
    """Measure, and check each answer."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--machines", type=int, default=1000, help="at least 777, which has a fault (default: 1000)")
    parser.add_argument("--rounds", type=int, default=5)
    args = parser.parse_args()
    figures: dict[str, list[tuple[float, float]]] = {}
    with tempfile.TemporaryDirectory(prefix="greenlab-preflight-") as home:
        for title, faults in (("without a fault", {}), ("with two faults", FAULTS)):
            folder = Path(home) / title.replace(" ", "-")
            folder.mkdir()
            write_inventory(folder, args.machines, faults)
            for _dummy in range(args.rounds):
                seconds, cpu, said = run(folder)
                wanted = NAMED if faults else (f"{args.machines + 1} hosts looked at",)
                if missing := [part for part in wanted if part not in said]:
                    sys.exit(f"{title}: not said: {'; '.join(missing)}\n{said[-3000:]}")
                figures.setdefault(title, []).append((seconds, cpu))
    load = os.getloadavg()[0]
    print(
        f"{args.machines} machines, {os.cpu_count()} processors, load {load:.0f} at the end, {args.rounds} rounds each"
    )
    for title, rounds in figures.items():
        clock, cpu = zip(*rounds, strict=True)
        spread = f"{min(clock):.1f} to {max(clock):.1f}"
        print(f"{title}: {statistics.median(clock):.1f} s ({spread}), processor time {statistics.median(cpu):.1f} s")


if __name__ == "__main__":
    main()
