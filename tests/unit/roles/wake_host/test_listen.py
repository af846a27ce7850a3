# SPDX-License-Identifier: GPL-3.0-or-later
"""From the INSERT to the run, with a real PostgreSQL and the trigger of role jobs_db: told, not told, cut off."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

import psycopg
import pytest
import yaml
from greenlab_wake import jobs

from ansible_collections.greenlab.cluster.plugins.plugin_utils import _releases

CHECKOUT = Path(__file__).resolve().parents[4]
GMT = CHECKOUT / "tests/gmt"
JOBS_DB = CHECKOUT / "roles/jobs_db"
PROGRAM = CHECKOUT / "roles/wake_host/files/program"
ADD = {
    "v4.1": "INSERT INTO jobs (type, state, name, url, branch, filename, machine_id, user_id)"
    " VALUES (%s, %s, 'a', 'b', 'c', 'd', %s, 1) RETURNING id",
    "v0.16": "INSERT INTO jobs (type, running, failed, machine_id) VALUES (%s, %s = 'RUNNING', false, %s) RETURNING id",
}


class JobsDB:
    """A jobs DB of a release, with machines 1 and 2, and the trigger."""

    def __init__(self, postgres, release):
        self.postgres, self.name = postgres, f"notify-{release}"
        self.add_sql = ADD[release]
        self.kind = "run" if release == "v4.1" else "project"
        self.dsn = postgres.load_gmt(GMT / release / "docker/structure.sql", self.name)
        self.connect()
        self.sql("DELETE FROM jobs; DELETE FROM machines")
        self.sql("INSERT INTO machines (id, description, available) VALUES (1, 'one', true), (2, 'two', true)")

    def connect(self):
        self.connection = psycopg.connect(self.dsn, autocommit=True)

    def sql(self, *statement):
        cursor = self.connection.execute(*statement)
        return cursor.fetchall() if cursor.description else []

    def script(self, name):
        self.postgres.psql("-v", "version=1", db=self.name, stdin=(JOBS_DB / "files" / name).read_text())

    def add(self, state="WAITING", machine=1, kind=""):
        return self.sql(self.add_sql, [kind or self.kind, state, machine])[0][0]

    def told(self, what):
        """Return what listeners hear of while something is done."""
        with psycopg.connect(self.dsn, autocommit=True) as listener:
            listener.execute("LISTEN greenlab_jobs")
            what()
            listener.execute("SELECT 1")
            return [json.loads(notify.payload) for notify in listener.notifies(timeout=0.1)]


@pytest.fixture(params=["v4.1", "v0.16"])
def any_db(request, postgres):
    db = JobsDB(postgres, request.param)
    db.script("notify.sql")
    yield db
    db.connection.close()


@pytest.fixture
def db(postgres):
    db = JobsDB(postgres, "v4.1")
    db.script("notify.sql")
    yield db
    db.connection.close()


# the trigger ----------------------------------------------------------------------------------------------------------


def test_a_job_that_waits_is_told_with_its_machine(any_db):
    assert any_db.told(lambda: any_db.add(machine=2)) == [{"machine_id": 2}]
    assert any_db.told(lambda: any_db.add(state="RUNNING")) == []
    assert any_db.told(lambda: any_db.add(kind="email")) == []


def test_a_job_for_any_machine_is_told_in_the_first_release(postgres):
    db = JobsDB(postgres, "v0.16")
    db.script("notify.sql")
    assert db.told(lambda: db.add(machine=None)) == [{"machine_id": None}]
    db.connection.close()


def test_a_job_that_waits_again_is_told(db):
    job = db.add(state="RUNNING")
    assert db.told(lambda: db.sql("UPDATE jobs SET state = 'WAITING' WHERE id = %s", [job])) == [{"machine_id": 1}]
    assert db.told(lambda: db.sql("UPDATE jobs SET state = 'FINISHED' WHERE id = %s", [job])) == []


def test_a_thousand_jobs_of_a_transaction_are_one_for_each_machine(db):
    def many():
        with db.connection.transaction():
            for number in range(1000):
                db.add(machine=1 + number % 2)

    assert db.told(many) == [{"machine_id": 1}, {"machine_id": 2}]


def test_nothing_is_told_of_a_machine_on_hold_before_its_release(db):
    db.script("holds.sql")
    db.sql("INSERT INTO greenlab.holds (machine_id, owner, reason, was_available) VALUES (1, 'ada', 'fan', true)")
    assert db.told(db.add) == []
    db.sql("UPDATE greenlab.holds SET released_at = now()")
    assert db.told(lambda: db.sql("UPDATE jobs SET state = 'WAITING' WHERE state = 'PAUSED'")) == [{"machine_id": 1}]


def test_what_is_rolled_back_is_not_told(db):
    def regret():
        with pytest.raises(ZeroDivisionError), db.connection.transaction():
            db.add()
            raise ZeroDivisionError

    assert db.told(regret) == []


def test_a_migration_may_change_the_columns(db):
    """As 2026_06_24_jobs_delete_cancelled.sql does with state; a trigger that names a column forbids it."""
    db.sql("ALTER TABLE jobs ALTER state DROP DEFAULT, ALTER state TYPE text")
    assert db.told(db.add) == [{"machine_id": 1}]


def test_the_trigger_can_be_laid_again_and_removed(db):
    db.script("notify.sql")
    assert db.told(db.add) == [{"machine_id": 1}]
    tasks = yaml.safe_load((JOBS_DB / "tasks/notify.yml").read_text())
    db.sql(tasks[-1]["community.postgresql.postgresql_query"]["query"])
    assert db.told(db.add) == []


# the login of the wake host -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("release", ["v4.1", "v0.16"])
def test_the_wake_hosts_login_can_ask_and_nothing_else(postgres, release):
    db = JobsDB(postgres, release)
    postgres.grant(db.name, "wake")
    db.add()
    login = {"PGHOST": postgres.host, "PGPORT": str(postgres.port), "PGUSER": "wake", "PGDATABASE": db.name}
    queue = {"source": "db", "environment": login, "timeout": 5, "conditions": _releases.merged(release)["queue"]}
    assert jobs.ask(queue, [])[1].waiting == 1
    with psycopg.connect(db.dsn.replace("user=postgres", "user=wake"), autocommit=True) as wake:
        for forbidden in (
            "SELECT * FROM jobs", "SELECT * FROM machines", "DELETE FROM jobs", "INSERT INTO jobs DEFAULT VALUES",
            "UPDATE jobs SET machine_id = 2", "UPDATE machines SET available = true",
        ):  # fmt: skip
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                wake.execute(forbidden)
    db.connection.close()
    postgres.drop_db(db.name)


# the service ----------------------------------------------------------------------------------------------------------


class Service:
    """The listener as systemd starts it, with a program that notes when it was started."""

    def __init__(self, folder, postgres, db):
        self.runs_file, self.output, self.hold = folder / "runs", folder / "output", folder / "hold"
        program = folder / "program"
        stay = f"while [ -e {self.hold} ] && kill -0 $PPID; do sleep 0.05; done"
        program.write_text(f"#!/bin/sh\necho $(date +%s.%N) $@ >>{self.runs_file}\n{stay}\n")
        program.chmod(0o755)
        config = {"machines": [], "listen": {"timeout": 5, "environment": {
            "PGHOST": postgres.host, "PGPORT": str(postgres.port), "PGUSER": postgres.user, "PGDATABASE": db.name,
        }}}  # fmt: skip
        (folder / "config.json").write_text(json.dumps(config))
        argv = [sys.executable, "-I", "-OO", PROGRAM, "--config", folder / "config.json", "--listen", program]
        with self.output.open("w") as output:
            self.process = subprocess.Popen(argv, stdout=output, stderr=subprocess.STDOUT)

    def runs(self):
        return self.runs_file.read_text().splitlines() if self.runs_file.exists() else []

    def wait(self, condition, seconds=20):
        end = time.monotonic() + seconds
        while not condition():
            assert time.monotonic() < end, (self.runs(), self.output.read_text())
            time.sleep(0.01)


@pytest.fixture
def service(tmp_path, postgres):
    services = []

    def start(db, **more):
        services.append(Service(tmp_path, postgres, db, **more))
        return services[-1]

    yield start
    for one in services:
        one.process.terminate()
        one.process.wait()


def test_a_job_starts_a_run_at_once(service, db):
    s = service(db)
    s.wait(lambda: len(s.runs()) == 1)  # for what was missed
    assert s.output.read_text() == "Listening to the jobs DB.\n"
    time.sleep(1)
    inserted = time.time()
    db.add()
    s.wait(lambda: len(s.runs()) == 2)
    started, *arguments = s.runs()[1].split()
    assert arguments == ["--take-over"]
    assert 0 < float(started) - inserted < 5  # some 10 ms on a computer with nothing else to do


def test_many_jobs_are_few_runs_and_the_last_is_not_lost(service, db, tmp_path):
    (tmp_path / "hold").touch()
    s = service(db)
    s.wait(lambda: len(s.runs()) == 1)
    for _number in range(50):
        db.add()
    s.wait(lambda: len(s.runs()) == 2)
    db.add()  # two are going on
    time.sleep(1.2)
    assert len(s.runs()) == 2
    s.hold.unlink()
    s.wait(lambda: len(s.runs()) == 3)


def test_a_jobs_db_that_goes_away_is_said_once_and_asked_again(service, db, postgres):
    s = service(db)
    s.wait(lambda: len(s.runs()) == 1)
    db.connection.close()
    postgres.restart()
    s.wait(lambda: len(s.runs()) == 2)
    db.connect()
    time.sleep(1)
    db.add()
    s.wait(lambda: len(s.runs()) == 3)
    said = s.output.read_text().splitlines()
    assert len(said) == 3
    assert said[0] == said[2] == "Listening to the jobs DB."
    assert said[1].startswith("The jobs DB cannot be listened to, the timer goes on: ")


def test_a_jobs_db_that_does_not_tell_is_said(service, postgres):
    silent = JobsDB(postgres, "v4.1")
    s = service(silent)
    s.wait(lambda: len(s.runs()) == 1)
    assert s.output.read_text() == "The jobs DB does not tell of new jobs (jobs_db_notify); the timer finds them.\n"
    silent.connection.close()


def test_no_jobs_db_is_said_once(service, db, postgres):
    db.connection.close()
    postgres.drop_db(db.name)
    s = service(db)
    time.sleep(2.5)  # it tries twice
    assert s.process.poll() is None
    assert s.runs() == []
    assert s.output.read_text().count("cannot be listened to") == 1
    db.connection = psycopg.connect(postgres.dsn())


def test_without_the_library_it_names_the_package(tmp_path):
    (tmp_path / "config.json").write_text('{"machines": [], "listen": {"timeout": 5, "environment": {}}}')
    argv = [sys.executable, "-I", "-S", PROGRAM, "--config", tmp_path / "config.json", "--listen", "x"]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    assert (done.returncode, "install the package python3-psycopg2" in done.stderr) == (2, True), done.stderr
