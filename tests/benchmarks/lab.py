# SPDX-License-Identifier: GPL-3.0-or-later
"""What the benchmarks share: a cluster of lab nodes, and what a program costs here and on the nodes."""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import re
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).resolve().parents[2]
SUBREAPER = 36  # PR_SET_CHILD_SUBREAPER of prctl(2)
SETTLE = 1.0  # seconds after a run in which the nodes end the sessions that it opened


class Cost(NamedTuple):
    """Seconds by the clock, of CPU on the control node, on all machines and on the server; peak memory here in MB."""

    wall: float
    control: float
    nodes: float
    server: float = 0.0
    memory: float = 0.0


class Cluster:
    """A lab of one server and some machines, told apart from other labs by its name."""

    def __init__(self, folder: Path, machines: int, name: str = "bench") -> None:
        self.folder = folder
        self.outputs: list[str] = []  # what the last programs printed
        self.name = os.environ.get("GREENLAB_LAB") or name
        self.machines = [f"machine{number}" for number in range(1, machines + 1)]
        octets = {machine: 20 + number for number, machine in enumerate(self.machines, start=1)}
        self.octets = {"upstream": 2, "server": 10, **octets}
        # An inventory elsewhere does not know where the checkout is.
        self.lab_variables = self.variables = json.dumps({"lab_checkout": str(ROOT), "lab_last_octets": self.octets})
        hosts = {
            machine: {
                "ansible_host": f"{{{{ lab_prefix }}}}.{octet}",
                "gmt_machine_id": octet - 20,
                "gmt_machine_description": f"Bench {machine}",
            }
            for machine, octet in octets.items()
        }
        # The lab's wake host is not created here, and would be waited for: let the server answer for it.
        server = {"ansible_host": "{{ lab_prefix }}.{{ lab_last_octets.server }}"}
        groups = {
            "jobs_db": {"hosts": {"server": server}},
            "machines": {"hosts": hosts},
            "wake_host": {"hosts": {"pi": server}},
        }
        self.lab_inventory = self.inventory = folder / "inventory/hosts.json"
        self.inventory.parent.mkdir(exist_ok=True)
        self.inventory.write_text(json.dumps(groups), encoding="utf8")
        shared = self.inventory.parent / "group_vars"
        if not shared.is_symlink():
            shared.symlink_to(ROOT / "inventories/lab/group_vars")
        self.environment = {
            **os.environ,
            "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"),
            "GREENLAB_LAB": self.name,
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        }

    def spell_out(self, prefix: str) -> None:
        """Go on with an inventory as an operator writes it (inventories/example); the lab's is full of templates."""
        folder = ROOT / ".lab" / self.name
        unknown = "-o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR"
        groups = json.loads(self.lab_inventory.read_text(encoding="utf8"))
        for group in groups.values():
            for host, variables in group["hosts"].items():
                octet = self.octets.get(host, self.octets["server"])
                # One that has no node is contacted by nobody.
                variables["ansible_host"] = f"{prefix}.{octet}" if octet < 255 else f"192.0.2.{octet}"
        groups["all"] = {
            "vars": {
                "ansible_user": "operator",
                "ansible_python_interpreter": "/usr/bin/python3",
                "ansible_ssh_private_key_file": str(folder / "id_ed25519"),
                "ansible_ssh_common_args": unknown,
                "ansible_control_path_dir": str(folder / "ssh"),
                "gmt_release": "v4.1",
                "gmt_repo": f"git://{prefix}.2/gmt.git",
                "gmt_submodules": [],
                "gmt_db_host": "{{ hostvars[groups['jobs_db'] | first].ansible_host }}",
                "gmt_db_password": "{{ vault_gmt_db_password }}",
                "vault_gmt_db_password": "for-the-lab-only",
                "jobs_db_networks": [f"{prefix}.0/24"],
                "verify_skip": ["docker_daemon", "steal_time", "guest_time"],
                "status_page": str(folder / "status.html"),
            }
        }
        self.inventory = self.folder / "operator/hosts.json"
        self.inventory.parent.mkdir(exist_ok=True)
        self.inventory.write_text(json.dumps(groups), encoding="utf8")
        self.variables = "{}"

    def command(self, program: str, *arguments: str, limit: list[str] | None = None) -> list[str]:
        """Return the command that runs a program of Ansible's on these hosts, on all if none are given."""
        hosts = ",".join(limit or ["server", *self.machines])
        return [
            program,
            f"--inventory={self.inventory}",
            f"--extra-vars={self.variables}",
            f"--limit={hosts}",
            *arguments,
        ]

    def lab(self, playbook: str, *arguments: str, limit: list[str] | None = None) -> None:
        """Run one of the lab's own playbooks: create, fresh or destroy."""
        program, _inventory, _variables, *rest = self.command(
            "ansible-playbook", f"tests/lab/{playbook}.yml", *arguments, limit=limit
        )
        lab = [f"--inventory={self.lab_inventory}", f"--extra-vars={self.lab_variables}"]
        run_all([[program, *lab, *rest]], self.environment)

    def ansible(self, program: str, *arguments: str, limit: list[str] | None = None) -> Cost:
        """Run a program of Ansible's and return what it cost; show its output when it fails."""
        return self.cost([self.command(program, *arguments, limit=limit)])

    def cost(self, commands: list[list[str]], cold: bool = False, machines: list[str] | None = None) -> Cost:
        """Run commands side by side, and return what they cost together, here and on these machines, else on all.

        Where it is to be a cold run, no connection is left for the next one, and what ends after it is counted.
        """
        counted = ["server", *(machines or self.machines)]
        pids = {host: pid for host, pid in self.pids().items() if host in counted}
        begin = used(pids)
        with adopted_orphans() if cold else contextlib.nullcontext():
            wall, memory, self.outputs = run_all(commands, self.environment)
        control = children_cpu()
        time.sleep(SETTLE if cold else 0)
        end = used(pids)
        server = end.server - begin.server
        return Cost(wall, control - begin.control, end.nodes - begin.nodes, server, memory)

    def pids(self) -> dict[str, int]:
        """Return the first process of each node that runs."""
        label = f"label=greenlab.lab={self.name}"
        listed = subprocess.check_output(["podman", "ps", f"--filter={label}", "--format=json"], text=True)
        return {row["Labels"]["greenlab.node"]: row["Pid"] for row in json.loads(listed)}


def used(pids: dict[str, int]) -> Cost:
    """Return the CPU seconds that our programs and the nodes have used until now."""
    nodes = {host: cgroup_cpu(pid) for host, pid in pids.items()}
    machines = sum(seconds for host, seconds in nodes.items() if host.startswith("machine"))
    return Cost(0, children_cpu(), machines, nodes.get("server", 0))


def cgroup_cpu(pid: int, root: Path = Path("/")) -> float:
    """Return the CPU seconds of the control group, version 1 or 2, that a container's first process is in."""
    lines = (root / f"proc/{pid}/cgroup").read_text(encoding="utf8").splitlines()
    groups = {kinds: path.lstrip("/") for _number, kinds, path in (line.split(":", 2) for line in lines)}
    for kinds, path in groups.items():
        if "cpuacct" in kinds.split(","):
            usage = root / "sys/fs/cgroup" / kinds / path / "cpuacct.usage"
            return int(usage.read_text(encoding="utf8")) / 1e9
    # The node's systemd moves itself into a group of its own below the container's.
    stat = root / "sys/fs/cgroup" / groups[""].removesuffix("/init.scope") / "cpu.stat"
    return int(re.search(r"^usage_usec (\d+)$", stat.read_text(encoding="utf8"), re.MULTILINE)[1]) / 1e6


@contextlib.contextmanager
def adopted_orphans() -> Iterator[None]:
    """End what programs leave running here, such as connections of ssh: its CPU counts, and the next run is cold.

    Nothing may be started in it that is to stay, as containers are.
    """
    prctl = ctypes.CDLL(None).prctl
    before = children()
    prctl(SUBREAPER, 1, 0, 0, 0)
    try:
        yield
    finally:
        prctl(SUBREAPER, 0, 0, 0, 0)
        for pid in children() - before:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGTERM)
            with contextlib.suppress(ChildProcessError):
                os.waitpid(pid, 0)


def children() -> set[int]:
    """Return our own processes that have not been waited for."""
    listed = (Path(f"/proc/self/task/{task}/children") for task in os.listdir("/proc/self/task"))
    return {int(pid) for file in listed for pid in file.read_text(encoding="utf8").split()}


def run_all(commands: list[list[str]], environment: dict[str, str]) -> tuple[float, float, list[str]]:
    """Run commands side by side; return seconds, the peak memory in MB of the largest process, and what they printed.

    Ends this program with their output where one fails.
    """
    start = time.monotonic()
    with contextlib.ExitStack() as stack:
        running = []
        for command in commands:
            output = stack.enter_context(tempfile.TemporaryFile())
            streams = {"stdin": subprocess.DEVNULL, "stdout": output, "stderr": subprocess.STDOUT}
            running.append((command, subprocess.Popen(command, cwd=ROOT, env=environment, **streams), output))
        memory, texts, wall = 0.0, [], 0.0
        for command, process, output in running:
            _pid, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
            wall = time.monotonic() - start
            memory = max(memory, usage.ru_maxrss / 1024)
            output.seek(0)
            texts.append(output.read().decode(errors="replace"))
            if process.returncode:
                sys.exit(f"{' '.join(command)[:300]} failed ({process.returncode}):\n{texts[-1][-6000:]}")
        return wall, memory, texts


def children_cpu() -> float:
    """Return the CPU seconds of the programs that were started from here and have ended."""
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime
