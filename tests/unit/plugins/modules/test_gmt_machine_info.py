# SPDX-License-Identifier: GPL-3.0-or-later
"""gmt_machine_info on a real PostgreSQL."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from ansible_collections.greenlab.cluster.plugins.module_utils._jobs_db import JobsDBError
from ansible_collections.greenlab.cluster.plugins.module_utils._machine_state import (
    SECONDS_UNTIL_UNKNOWN_IS_IDLE,
    STATE_OF_CODE,
    STATES,
    machine_state,
)
from ansible_collections.greenlab.cluster.plugins.modules import gmt_machine_info

EARLY, LATE = "2026-01-02T03:04:05+00:00", "2026-02-02T03:04:05.678901+00:00"
NOT_HELD = {"held_by": None, "held_for": None, "held_since": None}


def read(db: Any, **options: Any) -> list[dict[str, Any]]:
    """Read twice (the second time as check mode would: there is no difference); nothing may be written."""
    params = db.options(gmt_machine_info.argument_spec(), **options)
    before = db.everything(locks=True)
    result = gmt_machine_info.run(params)
    assert gmt_machine_info.run(params) == result
    assert db.everything(locks=True) == before
    assert not result["changed"]
    json.dumps(result)
    return result["machines"]


def add_machines(db: Any, *rows: tuple[int, str, bool]) -> None:
    for row in rows:
        db.sql("INSERT INTO machines (id, description, available) VALUES (%s, %s, %s)", *row)


def test_current_release(jobs_db: Any) -> None:
    # A server whose operator lives elsewhere still answers in UTC.
    jobs_db.sql(f"""ALTER DATABASE "{jobs_db.name}" SET timezone = 'America/New_York'""")
    add_machines(jobs_db, (2, "Pi", False), (3, "new", True))
    jobs_db.sql("INSERT INTO client_status (machine_id, status_code, created_at) VALUES (2, 'job_start', %s)", LATE)
    # Rows that came later but are older: a restored backup, a machine with a wrong clock.
    jobs_db.sql("INSERT INTO client_status (machine_id, status_code, created_at) VALUES (2, 'job_no', %s)", EARLY)
    jobs_db.sql("INSERT INTO client_status (machine_id, status_code, created_at) VALUES (1, 'warmup', %s)", LATE)
    jobs_db.sql(
        "UPDATE machines SET status_code = 'job_start', gmt_hash = '86d4733', current_temperature = 41,"
        " base_temperature = 38, needs_revalidation = true,"
        """ configuration = '{"cluster": {"client": {"shutdown_on_job_no": "suspend"}}}',"""
        " updated_at = %s WHERE id = 2",
        LATE,
    )
    jobs_db.sql(
        "INSERT INTO jobs (name, type, state, machine_id, user_id) VALUES"
        " ('a', 'run', 'WAITING', 2, 1), ('b', 'run', 'WAITING', 2, 1), ('{{ c }}', 'run', 'RUNNING', 2, 1),"
        " ('d', 'run', 'PAUSED', 2, 1), ('e', 'run', 'FAILED', 2, 1), ('f', 'email-simple', 'WAITING', 2, 1),"
        " ('g', 'run', 'WAITING', 1, 1)"
    )
    machines = read(jobs_db)
    assert [machine["id"] for machine in machines] == [1, 2, 3]
    assert machines[1] == {
        "id": 2,
        "description": "Pi",
        "available": False,
        "status_code": "job_start",
        "status_since": LATE,
        "last_status": "job_start",
        "state": "measuring",
        "jobs_waiting": 2,
        "jobs_running": 1,
        "running_job": {"id": jobs_db.sql("SELECT id FROM jobs WHERE state = 'RUNNING'")[0]["id"], "name": "{{ c }}"},
        "gmt_hash": "86d4733",
        "current_temperature": 41,
        "base_temperature": 38,
        "needs_revalidation": True,
        "shutdown_on_job_no": "suspend",
        **NOT_HELD,
        "updated_at": machines[1]["updated_at"],
    }
    assert machines[1]["updated_at"].endswith("+00:00")
    assert (machines[0]["last_status"], machines[0]["state"], machines[0]["jobs_waiting"]) == ("warmup", "transient", 1)
    assert machines[2] == {
        "id": 3,
        "description": "new",
        "available": True,
        "status_code": None,
        "status_since": None,
        "last_status": None,
        "state": "unknown",
        "jobs_waiting": 0,
        "jobs_running": 0,
        "running_job": None,
        "gmt_hash": None,
        "current_temperature": None,
        "base_temperature": None,
        "needs_revalidation": False,
        "shutdown_on_job_no": None,
        **NOT_HELD,
        "updated_at": None,
    }


def test_first_release(old_jobs_db: Any) -> None:
    add_machines(old_jobs_db, (1, "Dell", True), (2, "Pi", True))
    # Two rows of one moment: the later one counts.
    old_jobs_db.sql(
        "INSERT INTO client_status (machine_id, status_code, created_at) VALUES"
        f" (2, 'job_start', '{LATE}'), (2, 'job_no', '{LATE}'), (NULL, 'job_start', '{LATE}')"
    )
    old_jobs_db.sql(
        "INSERT INTO jobs (type, machine_id, failed, running, last_run) VALUES"
        " ('project', 2, false, false, NULL), ('project', 2, false, true, now()), ('project', 2, true, true, now()),"
        " ('project', 2, true, false, now()), ('email', 2, false, false, NULL), ('project', NULL, false, false, NULL)"
    )
    assert read(old_jobs_db) == [
        {
            "id": number,
            "description": description,
            "available": True,
            "status_code": None,
            "status_since": since,
            "last_status": status,
            "state": state,
            "jobs_waiting": waiting,
            "jobs_running": running,
            "running_job": {"id": 2, "name": None} if running else None,
            "gmt_hash": None,
            "current_temperature": None,
            "base_temperature": None,
            "needs_revalidation": None,
            "shutdown_on_job_no": None,
            **NOT_HELD,
            "updated_at": None,
        }
        for number, description, since, status, state, waiting, running in [
            (1, "Dell", None, None, "unknown", 0, 0),
            (2, "Pi", LATE, "job_no", "idle", 1, 1),
        ]
    ]


def test_filters(any_jobs_db: Any) -> None:
    any_jobs_db.sql("DELETE FROM jobs; DELETE FROM machines")
    add_machines(any_jobs_db, (1, "O'Hara's", True), (2, "Pi", False), (3, "Pi", False))

    def ids(**filters: Any) -> list[int]:
        return [machine["id"] for machine in read(any_jobs_db, **filters)]

    assert ids() == [1, 2, 3]
    assert ids(ids=[3, 1, 99999999999]) == [1, 3]
    assert ids(descriptions=["Pi"]) == [2, 3]
    assert ids(descriptions=["O'Hara's", "nobody"]) == [1]
    assert ids(ids=[1, 2], descriptions=["Pi"]) == [2]
    assert ids(ids=[]) == []
    assert ids(descriptions=[]) == []


def test_thousands_of_machines_are_four_statements(jobs_db: Any, statements: list[Any]) -> None:
    """Also right after a mass registration, when the planner knows nothing of the rows yet."""
    jobs_db.sql(
        "INSERT INTO machines (id, description) SELECT n, 'Machine ' || n FROM generate_series(2, 5000) AS n;"
        " INSERT INTO client_status (machine_id, status_code)"
        " SELECT n, 'job_no' FROM generate_series(1, 5000) AS n, generate_series(1, 3);"
        " INSERT INTO jobs (type, machine_id, user_id) SELECT 'run', n, 1 FROM generate_series(1, 5000) AS n"
    )
    statements.clear()
    began = time.monotonic()
    machines = gmt_machine_info.run(jobs_db.options(gmt_machine_info.argument_spec()))["machines"]
    assert time.monotonic() - began < 2
    assert len(machines) == 5000
    assert {(machine["state"], machine["jobs_waiting"]) for machine in machines} == {("idle", 1)}
    assert len(statements) == 4  # settings, schema, whether there are holds, rows


def test_states() -> None:
    """Every code that a release writes has a state; nothing else has."""
    codes = (
        "job_no job_start job_error job_end job_interrupt cooldown warmup reboot cleanup_start cleanup_stop cleanup_end"
        " maintenance_start maintenance_end maintenance_error"
        " measurement_control_start measurement_control_end measurement_control_error"
    )
    by_state: dict[str, list[str]] = {}
    for code in codes.split():
        by_state.setdefault(machine_state(code), []).append(code)
    assert by_state["measuring"] == ["job_start", "measurement_control_start"]
    assert by_state["idle"] == ["job_no", "job_interrupt", "maintenance_error", "measurement_control_error"]
    assert set(codes.split()) == set(STATE_OF_CODE)
    assert "unknown" not in by_state
    assert machine_state(None) == machine_state("") == machine_state("tea_break") == "unknown"
    assert set(by_state) < set(STATES)


@pytest.mark.parametrize("code", [*STATE_OF_CODE, "tea_break", None])
def test_what_a_state_becomes_with_time(code: str | None) -> None:
    """What is known stays what it is, but for an error; what is not known keeps a machine busy for two hours."""
    fresh, old = machine_state(code, 0), machine_state(code, SECONDS_UNTIL_UNKNOWN_IS_IDLE)
    assert (old == fresh) is (code not in ("tea_break", "job_error"))
    assert machine_state(code, SECONDS_UNTIL_UNKNOWN_IS_IDLE - 1) == (old if code == "job_error" else fresh)
    assert old == "idle" or code not in ("tea_break", "job_error")


def test_filters_by_state_and_age(any_jobs_db: Any) -> None:
    any_jobs_db.sql("DELETE FROM jobs; DELETE FROM machines")
    add_machines(any_jobs_db, (1, "idle", True), (2, "stuck", True), (3, "new", True), (4, "measures", True))
    any_jobs_db.sql(
        "INSERT INTO client_status (machine_id, status_code, created_at) VALUES"
        " (1, 'job_no', now() - interval '3 days'), (2, 'job_start', now() - interval '2 days'),"
        " (4, 'job_no', now() - interval '9 days'), (4, 'job_start', now())"
    )

    def ids(**filters: Any) -> list[int]:
        return [machine["id"] for machine in read(any_jobs_db, **filters)]

    assert ids(states=["measuring"]) == [2, 4]
    assert ids(states=["unknown", "idle"]) == [1, 3]
    assert ids(states=[]) == []
    assert ids(older_than="1d") == [1, 2]
    assert ids(older_than="60h") == [1]
    assert ids(states=["measuring"], older_than="86400", ids=[2, 4]) == [2]
    with pytest.raises(JobsDBError, match="older_than: 'x' is no time"):
        ids(older_than="x")
