# SPDX-License-Identifier: GPL-3.0-or-later
"""Stands for upstream's runner.py: a measurement that sleeps instead of running containers."""

import json
import re
import subprocess
import sys
import time
from pathlib import Path

import db
from global_config import config

LIB = Path(__file__).resolve().parent
MEASUREMENT_KEYS = (
    "idle-time-start",
    "idle-time-end",
    "flow-process-runtime",
    "phase-transition-time",
    "metric-providers",
)


def duration(filename: str) -> float:
    """Return how long (s) a job with this file name takes; raise for fail.yml."""
    name = Path(filename or "").name
    if name == "fail.yml":
        raise RuntimeError("The usage scenario fail.yml fails")
    match = re.fullmatch(r"sleep-(\d+(?:\.\d+)?)\.yml", name)
    return float(match.group(1)) if match else 1.0


def register_machine() -> None:
    """Write this machine into the database; like upstream only now, at the start of a run."""
    machine = config()["machine"]
    if not isinstance(machine.get("id"), int) or not machine.get("description"):
        raise RuntimeError("You must set machine id and machine description")
    db.query(
        """INSERT INTO machines (id, description, available) VALUES (%s, %s, true)
           ON CONFLICT (id) DO UPDATE SET description = excluded.description""",
        (machine["id"], machine["description"]),
    )


def hardware_info() -> dict:
    command = ["sudo", sys.executable, str(LIB / "hardware_info_root.py")]
    return json.loads(subprocess.run(command, stdout=subprocess.PIPE, check=True).stdout)


def run(project_id, filename: str) -> None:
    """Measure one project and store a result in each table the real tool writes."""
    # Direct look-ups: a config.yml without one of these must fail the job, as it does upstream.
    measurement = {key: config()["measurement"][key] for key in MEASUREMENT_KEYS}
    register_machine()
    db.query(
        """UPDATE projects SET machine_id = %s, machine_specs = %s, measurement_config = %s, filename = %s,
                               last_run = now() WHERE id = %s""",
        (config()["machine"]["id"], json.dumps(hardware_info()), json.dumps(measurement), filename, project_id),
    )

    start = time.time_ns() // 1000
    time.sleep(duration(filename))
    end = time.time_ns() // 1000

    phases = [{"name": "[RUNTIME]", "start": start, "end": end}]
    db.query(
        "UPDATE projects SET start_measurement = %s, end_measurement = %s, phases = %s WHERE id = %s",
        (start, end, json.dumps(phases), project_id),
    )
    db.query(
        """INSERT INTO measurements (project_id, detail_name, metric, value, unit, time)
           VALUES (%s, '[SYSTEM]', 'standin', %s, 'us', %s)""",
        (project_id, end - start, end),
    )
    db.query("UPDATE measurements SET phase = '004_[RUNTIME]' WHERE project_id = %s AND time = %s", (project_id, end))
    db.query(
        """INSERT INTO phase_stats (project_id, metric, detail_name, phase, value, type, unit)
           VALUES (%s, 'standin', '[SYSTEM]', '004_[RUNTIME]', %s, 'TOTAL', 'us')""",
        (project_id, end - start),
    )
    db.query(
        "INSERT INTO notes (project_id, detail_name, note, time) VALUES (%s, 'stand-in', 'slept', %s)",
        (project_id, end),
    )
