# SPDX-License-Identifier: GPL-3.0-or-later
"""How fast the jobs DB is written and read: one call for all machines against one for each, and the memory it takes.

    .venv/bin/python tests/benchmarks/jobs_db.py --machines 1000 --rounds 3

Needs PostgreSQL's server programs, and starts a server of its own. It shares this computer with what asks it, so
compare figures of one run only.
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
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tests/unit"))

import conftest  # noqa: E402  the tests' own server; it makes the collection importable, too

STRUCTURE = ROOT / "tests/gmt/v4.1/docker/structure.sql"

# What an operator would write who knows the table.
ONE_BY_ONE = """
    INSERT INTO machines (id, description, available) VALUES (%(id)s, %(description)s, true)
    ON CONFLICT (id) DO UPDATE SET description = excluded.description
"""

CROWD = """
    INSERT INTO machines (id, description, available)
        SELECT n, 'Machine ' || n, true FROM generate_series(2, 5000) AS n;
    INSERT INTO jobs (type, state, name, machine_id, user_id)
        SELECT 'run', (ARRAY['WAITING', 'RUNNING', 'FINISHED', 'FAILED'])[1 + n % 4]::job_state, 'Job ' || n,
            1 + n % 5000, 1
        FROM generate_series(1, 100000) AS n;
    INSERT INTO client_status (status_code, machine_id, created_at)
        SELECT 'job_no', 1 + n % 5000, now() - n * interval '1 second' FROM generate_series(1, 100000) AS n;
    ANALYZE
"""


class Bench:
    """A jobs DB in a server of our own, and the ways to ask it."""

    def __init__(self, server: Any, folder: Path) -> None:
        self.server = server
        self.folder = folder
        self.fresh()

    def fresh(self) -> None:
        """Begin with a new release's tables and their seed rows."""
        self.server.load_gmt(STRUCTURE, "bench")

    def login(self) -> dict[str, Any]:
        return {"login_unix_socket": self.server.host, "login_port": self.server.port, "login_db": "bench"}

    def play(self, *tasks: dict[str, Any]) -> float:
        """Run a playbook with these tasks on this computer, as an operator would, and return its seconds."""
        playbook = self.folder / "play.yml"
        play = {"hosts": "localhost", "connection": "local", "gather_facts": False, "tasks": list(tasks)}
        playbook.write_text(json.dumps([play]), encoding="utf8")
        environment = dict(os.environ, ANSIBLE_CONFIG=str(ROOT / "ansible.cfg"), ANSIBLE_HOME=str(self.folder))
        command = [Path(sys.executable).parent / "ansible-playbook", "-i", "localhost,"]
        command += ["-e", f"ansible_python_interpreter={sys.executable}", playbook]
        began = time.monotonic()
        done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, encoding="utf8", check=False)
        seconds = time.monotonic() - began
        if done.returncode:
            sys.exit(f"The playbook failed:\n{(done.stdout + done.stderr)[-4000:]}")
        return seconds

    def registered(self) -> int:
        return int(
            self.server.psql("-c", "SELECT count(*) FROM machines WHERE description LIKE 'Machine %'", db="bench")
        )

    def module(self, name: str, **options: Any) -> tuple[float, float]:
        """Run a module in a process of its own; return its seconds and its peak memory in MB."""
        command = [sys.executable, __file__, "--child", name, json.dumps({**self.login(), **options})]
        done = subprocess.run(command, capture_output=True, encoding="utf8", check=True)
        seconds, megabytes = json.loads(done.stderr.splitlines()[-1])
        return seconds, megabytes


def child(name: str, options: dict[str, Any]) -> None:
    """Run the module's main() as Ansible does, and say what it took; its result goes to stdout."""
    from ansible.module_utils.testing import patch_module_args

    began = time.monotonic()
    module = __import__(f"ansible_collections.greenlab.cluster.plugins.modules.{name}", fromlist=["main"])
    try:
        with patch_module_args(options):
            module.main()
    except SystemExit as end:
        if end.code not in (None, 0):
            raise
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps([time.monotonic() - began, used]), file=sys.stderr)


def register(bench: Bench, count: int, rounds: int) -> None:
    """Register machines in one call and in one call for each, in turns, so that both meet the same load."""
    machines = [{"id": number, "description": f"Machine {number}"} for number in range(1, count + 1)]
    at_once = {"greenlab.cluster.gmt_machine": {"machines": machines, "takeover": True, **bench.login()}}
    query = {
        "query": ONE_BY_ONE,
        "named_args": {"id": "{{ item.id }}", "description": "{{ item.description }}"},
        "login_db": "bench",
        "login_unix_socket": bench.server.host,
        "login_port": bench.server.port,
        "login_user": bench.server.user,
    }
    one_by_one = {"community.postgresql.postgresql_query": query, "loop": machines}
    seconds: dict[str, list[float]] = {"one call": [], "a call for each": [], "one call, nothing to change": []}
    for _round in range(rounds):
        for name, task in (("one call", at_once), ("a call for each", one_by_one)):
            bench.fresh()
            seconds[name].append(bench.play(task))
            if bench.registered() != count:
                sys.exit(f"{name}: {bench.registered()} machines are registered, not {count}.")
        bench.play(at_once)  # the users' list, which the other way leaves out
        seconds["one call, nothing to change"].append(bench.play(at_once))
    for name, values in seconds.items():
        print(f"{count} machines, {name:29} {show(values)} s")
    ratios = [many / one for one, many in zip(seconds["one call"], seconds["a call for each"], strict=True)]
    print(f"{count} machines, ratio of the first two {show(ratios)}")


def read(bench: Bench, rounds: int) -> None:
    """Read 5,000 machines with 100,000 jobs and statuses; compare with a module that reads one machine."""
    bench.fresh()
    bench.server.psql("-c", CROWD, db="bench")
    all_of_them, one = [], []
    for _round in range(rounds):
        all_of_them.append(bench.module("gmt_machine_info"))
        one.append(bench.module("gmt_machine_info", ids=[1]))
    seconds, memory = zip(*all_of_them, strict=True)
    print(
        f"gmt_machine_info, 5000 machines, 100000 jobs: {show(list(seconds))} s, the process from its start to its end"
    )
    print(f"gmt_machine_info, rows a second: {show([5000 / value for value in seconds])}")
    print(f"gmt_machine_info, peak memory: {show(list(memory))} MB; with one machine {show([mb for _s, mb in one])} MB")


def write_memory(bench: Bench) -> None:
    bench.fresh()
    machines = [{"id": number, "description": f"Machine {number}"} for number in range(1, 1001)]
    _seconds, memory = bench.module("gmt_machine", machines=machines, takeover=True)
    print(f"gmt_machine, 1000 machines, peak memory: {memory:.0f} MB")


def show(values: list[float]) -> str:
    return f"{statistics.median(values):.3g} ({', '.join(f'{value:.3g}' for value in values)})"


def main() -> None:
    """Measure and print; the median first, then each round."""
    parser = argparse.ArgumentParser(description="Measure how fast the jobs DB is written and read.")
    parser.add_argument("--machines", type=int, default=1000, help="to register, up to 1024")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--child", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        child(options.child[0], json.loads(options.child[1]))
        return
    print(f"{os.cpu_count()} cores, load {os.getloadavg()[0]:.1f} at the beginning")
    with conftest.running_postgres() as server, tempfile.TemporaryDirectory() as folder:
        bench = Bench(server, Path(folder))
        read(bench, options.rounds)
        write_memory(bench)
        register(bench, options.machines, options.rounds)
    print(f"load {os.getloadavg()[0]:.1f} at the end")


if __name__ == "__main__":
    main()
