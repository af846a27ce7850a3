# SPDX-License-Identifier: GPL-3.0-or-later
"""Requeue jobs that were cut off, on a real PostgreSQL: what becomes of each job, and what is remembered."""

from __future__ import annotations

import datetime
import importlib.util
import json
import sys
from pathlib import Path
from typing import Any

import psycopg
import pytest
import yaml

FILE = Path(__file__).resolve().parents[4] / "roles/gmt_client/files/requeue.py"
spec = importlib.util.spec_from_file_location("requeue", FILE)
assert spec and spec.loader
requeue = importlib.util.module_from_spec(spec)
spec.loader.exec_module(requeue)


class Machine:
    """A machine with its config.yml and its memory, at a jobs DB."""

    def __init__(self, db: Any, folder: Path, machine_id: int = 1) -> None:
        self.db = db
        self.id = machine_id
        self.memory = folder / "cuts.json"
        self.config = folder / "config.yml"
        db.sql("INSERT INTO machines (id, description) VALUES (%s, 'x') ON CONFLICT DO NOTHING", machine_id)
        self.write_config()

    def write_config(self, **changes: Any) -> None:
        login = self.db.login
        postgresql = {
            "host": login["login_unix_socket"],
            "port": login["login_port"],
            "user": login["login_user"],
            "dbname": login["login_db"],
            "password": "none is asked for",
        }
        config = {"postgresql": {**postgresql, **changes}, "machine": {"id": self.id}}
        self.config.write_text(yaml.safe_dump(config), encoding="utf8")

    def boot(self, monkeypatch: pytest.MonkeyPatch) -> int:
        monkeypatch.setattr(sys, "argv", ["requeue", str(self.config), str(self.memory)])
        return requeue.main()

    def cuts(self) -> dict[str, list[str]]:
        return json.loads(self.memory.read_text(encoding="utf8"))


@pytest.fixture
def machine(jobs_db: Any, tmp_path: Path) -> Machine:
    return Machine(jobs_db, tmp_path)


@pytest.fixture
def boot(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> Any:
    return lambda: machine.boot(monkeypatch)


def new_job(db: Any, state: str = "RUNNING", machine: int = 1, kind: str = "run") -> int:
    """Add a job, with what the release demands of one."""
    known = {
        row["c"] for row in db.sql("SELECT column_name AS c FROM information_schema.columns WHERE table_name = 'jobs'")
    }
    values = {
        "type": kind,
        "name": "x",
        "url": "x",
        "branch": "x",
        "filename": "x",
        "machine_id": machine,
        "user_id": 1,
    }
    values = {name: value for name, value in values.items() if name in known}
    columns, marks = ", ".join(values), ", ".join(["%s"] * len(values))
    query = f"INSERT INTO jobs (state, {columns}) VALUES ('{state}', {marks}) RETURNING id"
    return db.sql(query, *values.values())[0]["id"]


def new_run(db: Any, job: int, *, ended: bool = False, statistics: bool = False, failed: bool = False) -> str:
    known = {
        row["c"] for row in db.sql("SELECT column_name AS c FROM information_schema.columns WHERE table_name = 'runs'")
    }
    values = {
        "job_id": job, "name": "x", "uri": "x", "branch": "x", "filename": "x", "machine_id": 1, "user_id": 1,
        "end_measurement": 2 if ended else None, "failed": failed,
    }  # fmt: skip
    values = {name: value for name, value in values.items() if name in known}
    columns, marks = ", ".join(values), ", ".join(["%s"] * len(values))
    run = db.sql(f"INSERT INTO runs ({columns}) VALUES ({marks}) RETURNING id", *values.values())[0]["id"]
    if statistics:
        db.sql(
            "INSERT INTO phase_stats (run_id, metric, detail_name, phase, value, type, unit)"
            " VALUES (%s, 'x', 'x', '004_[RUNTIME]', 1, 'TOTAL', 'us')",
            run,
        )
    return run


def state_of(db: Any, job: int) -> str:
    return db.sql("SELECT state::text AS state FROM jobs WHERE id = %s", job)[0]["state"]


def take(db: Any, job: int) -> None:
    """Let a client take a job, as the real one does."""
    db.sql("UPDATE jobs SET state = 'RUNNING' WHERE id = %s", job)


def test_an_orphan_waits_again_and_its_run_is_given_up(machine, boot, capsys):
    job = new_job(machine.db)
    run = new_run(machine.db, job)
    assert boot() == 0
    assert state_of(machine.db, job) == "WAITING"
    assert machine.db.sql("SELECT job_id, failed FROM runs WHERE id = %s", run) == [{"job_id": None, "failed": True}]
    assert len(machine.cuts()[str(job)]) == 1
    text = f"Job {job} was cut off on machine 1 by a power cut, a crash or a kill (try 1 of 3): it is WAITING now."
    assert machine.db.sql("SELECT title, message, level FROM system_logs") == [
        {"title": "Job was cut off", "message": text, "level": "warning"}
    ]
    assert capsys.readouterr().err == f"<4>{text}\n"


def test_only_running_measurements_of_this_machine_are_touched(machine, boot):
    machine.db.sql("INSERT INTO machines (id, description) VALUES (2, 'y')")
    kept = [new_job(machine.db, machine=2), new_job(machine.db, kind="email-simple")]
    kept += [new_job(machine.db, state) for state in ("WAITING", "PAUSED", "FINISHED", "FAILED", "CANCELLED")]
    before = machine.db.everything()
    assert boot() == 0
    assert machine.db.everything() == before
    assert not machine.memory.exists()
    job = new_job(machine.db)
    boot()
    assert state_of(machine.db, job) == "WAITING"
    assert machine.db.everything()["jobs"][: len(before["jobs"])] == before["jobs"]


def test_the_third_cut_fails_the_job_and_says_why(machine, boot, capsys):
    job = new_job(machine.db)
    for expected in ("WAITING", "WAITING", "FAILED"):
        take(machine.db, job)
        run = new_run(machine.db, job)
        assert boot() == 0
        assert state_of(machine.db, job) == expected
    row = machine.db.sql("SELECT message, updated_at FROM jobs WHERE id = %s", job)[0]
    assert row["message"].endswith("(try 3 of 3), and is not tried again.")
    assert machine.db.sql("SELECT job_id, failed FROM runs WHERE id = %s", run) == [{"job_id": job, "failed": True}]
    assert [row["level"] for row in machine.db.sql("SELECT level FROM system_logs ORDER BY id")] == [
        "warning", "warning", "error"
    ]  # fmt: skip
    assert capsys.readouterr().err.splitlines()[-1].startswith("<3>")


def test_a_failed_job_that_somebody_queues_again_has_all_its_tries(machine, boot):
    job = new_job(machine.db)
    for expected in ("WAITING", "WAITING", "FAILED", "WAITING", "WAITING", "FAILED"):
        take(machine.db, job)
        boot()
        assert state_of(machine.db, job) == expected


@pytest.mark.parametrize(
    ("run", "expected"),
    [
        ({"ended": True, "statistics": True}, "FINISHED"),
        ({"ended": True}, "WAITING"),
        ({"statistics": True}, "WAITING"),
        ({"ended": True, "statistics": True, "failed": True}, "WAITING"),
    ],
)
def test_a_job_that_was_measured_to_its_end_is_not_measured_again(machine, boot, run, expected):
    job = new_job(machine.db)
    run_id = new_run(machine.db, job, **run)
    boot()
    assert state_of(machine.db, job) == expected
    still = machine.db.sql("SELECT job_id FROM runs WHERE id = %s", run_id)[0]["job_id"]
    assert still == (job if expected == "FINISHED" else None)
    assert bool(machine.cuts()) == (expected == "WAITING")


def test_a_cut_before_the_commit_changes_nothing_and_counts_once(machine, boot, monkeypatch):
    job = new_job(machine.db)

    def cut(connection):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(psycopg.Connection, "commit", cut)
        for _try in range(5):
            with pytest.raises(KeyboardInterrupt):
                boot()
    assert state_of(machine.db, job) == "RUNNING"
    assert len(machine.cuts()[str(job)]) == 1
    assert boot() == 0
    assert state_of(machine.db, job) == "WAITING"
    assert len(machine.cuts()[str(job)]) == 1


def test_a_cut_while_the_memory_is_written_leaves_the_old_one(machine, boot, monkeypatch):
    job = new_job(machine.db)
    boot()
    old = machine.memory.read_bytes()
    take(machine.db, job)

    def cut(descriptor):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr("os.fsync", cut)
        with pytest.raises(KeyboardInterrupt):
            boot()
    assert machine.memory.read_bytes() == old
    assert state_of(machine.db, job) == "RUNNING"


@pytest.mark.parametrize("content", ["", "{", "[]", '{"1": 5}', "\x00\x00"])
def test_a_spoilt_memory_is_begun_anew(machine, boot, content, capsys):
    machine.memory.write_text(content, encoding="utf8")
    job = new_job(machine.db)
    assert boot() == 0
    assert len(machine.cuts()[str(job)]) == 1
    assert "is not what this program writes" in capsys.readouterr().err


def test_a_memory_that_cannot_be_written_keeps_the_client_from_starting(machine, boot, capsys):
    job = new_job(machine.db)
    machine.memory.with_suffix(".new").mkdir()
    assert boot() == 1
    assert state_of(machine.db, job) == "RUNNING"
    assert "could not be counted" in capsys.readouterr().err


def test_numbers_of_an_older_database_and_jobs_long_gone_do_not_count(machine, boot):
    job = new_job(machine.db)
    last_week = (datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(days=7)).isoformat()
    machine.memory.write_text(
        json.dumps({str(job): [last_week] * 2, "77": ["2020-01-01T00:00:00.000000+00:00"]}), encoding="utf8"
    )
    boot()
    assert state_of(machine.db, job) == "WAITING"
    assert {number: len(tries) for number, tries in machine.cuts().items()} == {str(job): 1}


def test_on_a_machine_that_is_held_the_job_is_paused(machine, boot, capsys):
    machine.db.sql("""
        CREATE FUNCTION hold() RETURNS trigger LANGUAGE plpgsql AS
        $$ BEGIN IF NEW.state = 'WAITING' THEN NEW.state := 'PAUSED'; END IF; RETURN NEW; END $$;
        CREATE TRIGGER hold BEFORE UPDATE ON jobs FOR EACH ROW EXECUTE FUNCTION hold()""")
    job = new_job(machine.db)
    assert boot() == 0
    assert state_of(machine.db, job) == "PAUSED"
    assert "it is PAUSED now" in capsys.readouterr().err


def test_while_the_jobs_db_is_away_the_client_is_not_started(machine, boot, capsys):
    machine.write_config(port=1)
    assert boot() == 75
    assert capsys.readouterr().err.startswith("<4>The jobs DB is away, systemd will try again: connection")


def test_a_locked_row_is_tried_again(machine, boot, monkeypatch):
    monkeypatch.setattr(requeue, "LOCK_SECONDS", "0.1")
    job = new_job(machine.db)
    with psycopg.connect(machine.db.dsn) as other:
        other.execute("SELECT FROM jobs WHERE id = %s FOR UPDATE", [job])
        assert boot() == 75
    assert boot() == 0


def test_without_the_right_to_do_it_the_client_starts_all_the_same(machine, boot, capsys):
    new_job(machine.db)
    machine.db.sql(
        "DROP ROLE IF EXISTS nobody; CREATE ROLE nobody LOGIN; GRANT SELECT ON ALL TABLES IN SCHEMA public TO nobody"
    )
    machine.write_config(user="nobody")
    assert boot() == 0
    assert capsys.readouterr().err.startswith("<3>Jobs that were cut off cannot be queued again: permission denied")
    machine.db.sql("DROP OWNED BY nobody; DROP ROLE nobody")


def test_the_flags_of_the_oldest_releases(old_jobs_db, tmp_path, monkeypatch):
    machine = Machine(old_jobs_db, tmp_path)
    db = old_jobs_db
    db.sql("INSERT INTO machines (id, description) VALUES (2, 'y')")
    projects = [
        row["id"]
        for row in db.sql("INSERT INTO projects (name, uri) SELECT 'x', 'y' FROM generate_series(1, 2) RETURNING id")
    ]

    def add(machine_id, project, **flags):
        values = {"machine_id": machine_id, "project_id": project, "type": "project", "running": True, **flags}
        query = f"INSERT INTO jobs ({', '.join(values)}) VALUES ({', '.join(['%s'] * len(values))}) RETURNING id"
        return db.sql(query, *values.values())[0]["id"]

    db.sql("INSERT INTO client_status (status_code, machine_id, project_id) VALUES ('job_start', 1, %s)", projects[0])
    mine, for_any = add(1, projects[0]), add(None, projects[0])
    others = [
        add(2, projects[0]),
        add(None, projects[1]),
        add(1, projects[0], type="email"),
        add(1, projects[0], failed=True),
    ]

    def flags(ids):
        return [
            (row["running"], row["failed"])
            for row in db.sql("SELECT running, failed FROM jobs WHERE id = ANY(%s) ORDER BY id", ids)
        ]

    for time, expected in ((1, (False, False)), (2, (False, False)), (3, (False, True))):
        when = datetime.datetime.now(datetime.timezone.utc) + datetime.timedelta(seconds=time)
        db.sql("UPDATE jobs SET running = true, last_run = %s WHERE id = ANY(%s)", when, [mine, for_any])
        assert machine.boot(monkeypatch) == 0
        assert flags([mine, for_any]) == [expected] * 2
    assert flags(others) == [(True, False)] * 3 + [(True, True)]


@pytest.mark.parametrize(
    "release", ["v0.19", "v0.21.1", "v0.24", "v1.0", "v1.4.0", "v2.0", "v2.6", "v3.0", "v4.0", "v4.1", "main"]
)
def test_real_releases(real_jobs_db, release, tmp_path, monkeypatch):
    db = real_jobs_db(release)
    machine = Machine(db, tmp_path)
    measured, cut = new_job(db), new_job(db)
    new_run(db, measured, ended=True, statistics=True)
    for expected in ("WAITING", "WAITING", "FAILED"):
        take(db, cut)
        new_run(db, cut)
        assert machine.boot(monkeypatch) == 0
        assert state_of(db, cut) == expected
    assert state_of(db, measured) == "FINISHED"
