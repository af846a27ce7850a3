# SPDX-License-Identifier: GPL-3.0-or-later
"""Stands for upstream's ScenarioRunner: a measurement that sleeps instead of running containers."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from enum import IntEnum
from pathlib import Path

from lib import db, repo_info
from lib.global_config import ROOT, config

ROOT_BIN = Path("/usr/local/bin/green-metrics-tool")
DEFAULT_HOSTS = ("green-coding-postgres-container", "test-green-coding-postgres-container")


class Status(IntEnum):
    INFO = 1
    WARN = 2
    ERROR = 3


class ConfigurationCheckError(Exception):
    """The machine, not the job, is wrong: the job may wait for better times."""

    def __init__(self, message: str, status: Status) -> None:
        super().__init__(message)
        self.status = status


def memory(key: str) -> int:
    """Return bytes of memory; upstream asks docker for MemTotal, which says the same."""
    return int(re.search(rf"^{key}: +(\d+) kB", Path("/proc/meminfo").read_text(), re.M)[1]) * 1024


def assignable_memory() -> int:
    """Return what containers may have."""
    return memory("MemTotal") - int(config()["machine"]["host_reserved_memory"])


def duration(filename: str) -> float:
    """Return how long (s) a job with this file name takes; raise for fail.yml."""
    name = Path(filename).name
    if name == "fail.yml":
        raise RuntimeError("The usage scenario fail.yml fails")
    match = re.fullmatch(r"sleep-(\d+(?:\.\d+)?)\.yml", name)
    return float(match.group(1)) if match else 1.0


def drop_caches() -> None:
    subprocess.run(["sync"], check=True)
    command = ["sudo", str(Path("/usr/sbin/sysctl").resolve(strict=True)), "-w", "vm.drop_caches=3"]
    done = subprocess.run(command, capture_output=True, encoding="utf8")
    # Upstream fails on any error. In a container the kernel may say no to root, but sudo must have said yes.
    if done.returncode != 0:
        if done.stderr.startswith("sudo:"):
            raise RuntimeError(f"Could not drop caches: {done.stderr}")
        print(f"The kernel refused to drop caches: {done.stderr}", file=sys.stderr)


def root_checks() -> None:
    """Run the checks that need root; without the script, or refused by sudo, upstream takes them as passed."""
    script = ROOT_BIN / "system_checks_root.py"
    if not script.exists():
        return
    # Upstream asks for the venv's interpreter here and for the system's one in hardware_info().
    command = ["sudo", str(Path(sys.executable).resolve()), "-I", "-B", "-S", str(script)]
    done = subprocess.run(command, capture_output=True, encoding="utf8")
    print("Root checks:", done.stdout.strip() or f"skipped: {done.stderr.strip()}")


def hardware_info() -> dict:
    python = Path("/usr/bin/python3").resolve(strict=True)
    script = (ROOT_BIN / "hardware_info_root.py").resolve(strict=True)
    command = ["sudo", str(python), "-I", "-B", "-S", str(script)]
    return json.loads(subprocess.run(command, stdout=subprocess.PIPE, cwd=ROOT, check=True).stdout)


def register_machine() -> int:
    """Write this machine into the database, like upstream only now, at the start of a run; return its id."""
    machine = config()["machine"]
    if not isinstance(machine.get("id"), int) or not machine.get("description"):
        raise RuntimeError("You must set machine id and machine description")
    db.query(
        """INSERT INTO machines (id, description, available) VALUES (%s, %s, true)
           ON CONFLICT (id) DO UPDATE SET description = excluded.description""",
        (machine["id"], machine["description"]),
    )
    return machine["id"]


class ScenarioRunner:
    """One run. `threshold` is the Status from which a failed check aborts; `use_sudo` is off with --testing."""

    def __init__(
        self, *, name, uri, branch, filename, user_id, job_id=None, threshold=Status.ERROR, full_docker_prune, use_sudo
    ) -> None:
        if full_docker_prune and config()["postgresql"]["host"] in DEFAULT_HOSTS:
            raise ValueError("full_docker_prune would remove the database container itself; set postgresql.host")
        self.row = {
            "job_id": job_id,
            "name": name,
            "uri": uri,
            "branch": branch,
            "filename": filename,
            "user_id": user_id,
        }
        self.threshold = threshold
        self.full_docker_prune = full_docker_prune
        self.use_sudo = use_sudo
        self.run_id = None
        self.seconds = 0

    def check_system(self) -> None:
        """Of upstream's many checks, two warnings: a checkout that is not clean, and too little memory reserved."""
        found = {
            "The GMT directory contains untracked or changed files": repo_info.is_dirty(),
            "OOM risk: reserve more memory (host_reserved_memory)": assignable_memory() > memory("MemAvailable"),
        }
        for message in (message for message, is_so in found.items() if is_so):
            if self.threshold <= Status.WARN:
                raise ConfigurationCheckError(message, Status.WARN)
            print(f"WARN: {message}")
        if self.use_sudo:
            root_checks()

    def create_run(self, machine_id: int) -> None:
        machine = config()["machine"]
        if int(machine["host_reserved_cpus"]) < 1:
            raise ValueError(f"host_reserved_cpus must be 1 at least, not {machine['host_reserved_cpus']}")
        measurement = {"providers": config()["measurement"]["metric_providers"], "machine": machine}
        if self.full_docker_prune:
            measurement["whitelist"] = config()["measurement"]["full_docker_prune_whitelist"]
        row = {
            **self.row,
            "machine_id": machine_id,
            "machine_specs": json.dumps(hardware_info() if self.use_sudo else {}),
            "measurement_config": json.dumps(measurement),
            "gmt_hash": repo_info.get_repo_info(ROOT)[0],
        }
        columns, values = ", ".join(row), ", ".join(f"%({column})s" for column in row)
        self.run_id = db.fetch_one(f"INSERT INTO runs ({columns}) VALUES ({values}) RETURNING id", row)["id"]

    def store_result(self, start: int, end: int) -> None:
        """Write a row into each table that a real run may write, so that missing rights are noticed."""
        phases = json.dumps([{"name": "[RUNTIME]", "start": start, "end": end}])
        db.query(
            "UPDATE runs SET start_measurement = %s, end_measurement = %s, phases = %s, logs = '{}' WHERE id = %s",
            (start, end, phases, self.run_id),
        )
        metric = db.fetch_one(
            """INSERT INTO measurement_metrics (run_id, metric, detail_name, unit)
               VALUES (%s, 'standin', '[SYSTEM]', 'us') RETURNING id""",
            (self.run_id,),
        )
        db.query(
            "INSERT INTO measurement_values (measurement_metric_id, value, time) VALUES (%s, %s, %s)",
            (metric["id"], end - start, end),
        )
        # As upstream's statistics: a subquery without a name, which PostgreSQL reads since version 16.
        total = db.fetch_one(
            "SELECT sum(value) AS value FROM (SELECT value FROM measurement_values WHERE measurement_metric_id = %s)",
            (metric["id"],),
        )
        db.query(
            """INSERT INTO phase_stats (run_id, metric, detail_name, phase, value, type, unit)
               VALUES (%s, 'standin', '[SYSTEM]', '004_[RUNTIME]', %s, 'TOTAL', 'us')""",
            (self.run_id, total["value"]),
        )
        db.query("INSERT INTO notes (run_id, detail_name, note, time) VALUES (%s, '', 'slept', %s)", (self.run_id, end))
        db.query("INSERT INTO warnings (run_id, message) VALUES (%s, 'This is a stand-in')", (self.run_id,))
        db.query(
            "INSERT INTO network_intercepts (run_id, time, connection_type, protocol) VALUES (%s, %s, 'none', 'none')",
            (self.run_id, end),
        )

    def report_optimizations(self) -> None:
        """As upstream's reporters: read the finished run as the web API does, and write what could be better."""
        for table in ("warnings", "network_intercepts", "notes", "phase_stats", "measurement_metrics"):
            db.fetch_all(f"SELECT * FROM {table} WHERE run_id = %s", (self.run_id,))
        db.fetch_all(
            """SELECT * FROM measurement_values v JOIN measurement_metrics m ON m.id = v.measurement_metric_id
               WHERE m.run_id = %s""",
            (self.run_id,),
        )
        db.fetch_one(
            """SELECT r.name, m.description,
                      (SELECT array_agg(c.name) FROM categories c WHERE c.id = ANY(r.category_ids)) AS categories
               FROM runs r LEFT JOIN machines m ON m.id = r.machine_id WHERE r.id = %s""",
            (self.run_id,),
        )
        db.fetch_one(
            "INSERT INTO optimizations (run_id, title, description) VALUES (%s, 'stand-in', 'none') RETURNING id",
            (self.run_id,),
        )

    def run(self) -> None:
        try:
            if self.use_sudo:
                drop_caches()
            self.check_system()
            self.create_run(register_machine())
            start = time.time_ns() // 1000
            time.sleep(duration(self.row["filename"]))
            end = time.time_ns() // 1000
            self.seconds = (end - start) // 1_000_000
            self.store_result(start, end)
        except BaseException:  # Ctrl-C, too
            if self.run_id is not None:
                db.query("UPDATE runs SET failed = true WHERE id = %s", (self.run_id,))
            raise
