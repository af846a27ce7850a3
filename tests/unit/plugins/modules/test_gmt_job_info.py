# SPDX-License-Identifier: GPL-3.0-or-later
"""gmt_job_info on a real PostgreSQL."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from ansible_collections.greenlab.cluster.plugins.module_utils import _jobs_db
from ansible_collections.greenlab.cluster.plugins.modules import gmt_job_info


def read(db: Any, **options: Any) -> list[dict[str, Any]]:
    """Read twice (the second time as check mode would: there is no difference); nothing may be written."""
    params = db.options(gmt_job_info.argument_spec(), **options)
    before = db.everything(locks=True)
    result = gmt_job_info.run(params)
    assert [job["id"] for job in gmt_job_info.run(params)["jobs"]] == [job["id"] for job in result["jobs"]]
    assert db.everything(locks=True) == before
    assert not result["changed"]
    json.dumps(result)
    return result["jobs"]


@pytest.fixture
def db(jobs_db: Any) -> Any:
    """Four jobs, submitted 1, 2, 3 and 4 hours ago; the oldest was changed a minute ago."""
    jobs_db.sql(
        """
        DELETE FROM jobs;
        INSERT INTO machines (id, description, available) VALUES (2, 'O''Hara''s', true);
        INSERT INTO users (name, token, capabilities) VALUES ('ada', 'a', '{}');
        INSERT INTO jobs (id, type, state, name, url, branch, filename, machine_id, user_id, created_at) VALUES
            (11, 'run', 'WAITING', 'App', 'https://me:token@host/app', 'main', 'f.yml', 1, 1, now() - interval '1 h'),
            (12, 'run', 'RUNNING', 'App', 'u', 'main', 'f.yml', 2, 2, now() - interval '2 h'),
            (13, 'email-simple', 'WAITING', 'Mail', NULL, NULL, NULL, NULL, 1, now() - interval '3 h'),
            (14, 'run', 'FAILED', 'Old', 'u', 'main', 'f.yml', 2, 1, now() - interval '4 h');
        UPDATE jobs SET updated_at = now() - interval '1 min' WHERE id = 14
        """
    )
    return jobs_db


def test_rows_are_typed(db: Any) -> None:
    mail = read(db, ids=[13])[0]
    assert mail["created_at"].endswith("+00:00")
    assert 10800 <= mail.pop("age") < 10860
    assert 10800 <= mail.pop("unchanged_for") < 10860
    del mail["created_at"]
    assert mail == {
        "id": 13,
        "type": "email-simple",
        "state": "WAITING",
        "name": "Mail",
        "url": None,
        "branch": None,
        "commit_hash": None,
        "filename": None,
        "usage_scenario_variables": {},
        "carbon_simulation": {},
        "category_ids": None,
        "machine_id": None,
        "machine_description": None,
        "user_id": 1,
        "user": "DEFAULT",
        "email": None,
        "run_id": None,
        "message": None,
        "updated_at": None,
    }
    job = read(db, ids=[12])[0]
    assert (job["machine_description"], job["user"]) == ("O'Hara's", "ada")


def test_passwords_in_urls_are_hidden(db: Any) -> None:
    assert read(db, ids=[11])[0]["url"] == "https://me:********@host/app"


def test_filters(db: Any) -> None:
    def ids(**filters: Any) -> list[int]:
        return [job["id"] for job in read(db, **filters)]

    assert ids() == [14, 13, 12, 11]
    assert ids(ids=[11, 13, 99999999999]) == [13, 11]
    assert ids(ids=[]) == []
    assert ids(machine_ids=[2]) == [14, 12]
    assert ids(machine_descriptions=["O'Hara's"]) == [14, 12]
    assert ids(states=["WAITING", "NOTIFIED"]) == [13, 11]
    assert ids(types=["run"]) == [14, 12, 11]
    assert ids(name="App") == [12, 11]
    assert ids(name="app' OR true --") == []
    assert ids(users=["ada"]) == [12]
    assert ids(older_than="2h") == [14, 13, 12]
    assert ids(newer_than="2h30m") == [12, 11]
    assert ids(older_than="5400", newer_than="9000s") == [12]
    assert ids(older_than="2h", age_of="change") == [13, 12]
    assert ids(newer_than="5m", age_of="change") == [14]
    assert ids(limit=2) == [14, 13]
    assert ids(states=["WAITING"], machine_ids=[1], types=["run"], limit=5) == [11]


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"limit": 0}, "limit is 0"),
        ({"older_than": "soon"}, "older_than: 'soon' is no time"),
        ({"newer_than": "200y"}, "newer_than: '200y' is no time"),
        ({"older_than": "9999999999w"}, "more than a hundred years"),
        ({"name": "\0"}, "name holds a NUL"),
        ({"users": ["\0"]}, "users holds a NUL"),
    ],
)
def test_filters_that_cannot_be_read(jobs_db: Any, options: dict[str, Any], words: str) -> None:
    with pytest.raises(_jobs_db.JobsDBError, match=words):
        gmt_job_info.run(jobs_db.options(gmt_job_info.argument_spec(), **options))


def test_jobs_of_the_first_release_are_an_error(old_jobs_db: Any) -> None:
    with pytest.raises(_jobs_db.JobsDBError, match=r"has the jobs of GMT v0\.18 or older"):
        read(old_jobs_db)


def test_broken_connection_is_tried_once_more(
    jobs_db: Any, monkeypatch: pytest.MonkeyPatch, statements: list[Any]
) -> None:
    monkeypatch.setattr(_jobs_db, "PAUSE_BEFORE_REPEATING_SECONDS", 0)
    read_jobs = gmt_job_info.read_jobs
    breaks = [True]

    def break_off(connection: Any, *args: Any) -> Any:
        if breaks.pop():
            jobs_db.sql("SELECT pg_terminate_backend(%s)", connection.info.backend_pid)
        return read_jobs(connection, *args)

    monkeypatch.setattr(gmt_job_info, "read_jobs", break_off)
    breaks[:] = [False, True]
    params = jobs_db.options(gmt_job_info.argument_spec())
    assert len(gmt_job_info.run(params)["jobs"]) == 1
    breaks[:] = [True, True, True]
    with pytest.raises(_jobs_db.ConnectionLost, match="repeating is safe"):
        gmt_job_info.run(params)
    assert breaks == [True]


@pytest.mark.slow
def test_a_hundred_thousand_jobs(jobs_db: Any, statements: list[Any]) -> None:
    jobs_db.sql(
        "INSERT INTO jobs (type, name, machine_id, user_id, created_at)"
        " SELECT 'run', 'Job ' || n, 1, 1, now() - n * interval '1 min' FROM generate_series(1, 100000) AS n"
    )
    statements.clear()
    began = time.monotonic()
    options = jobs_db.options(gmt_job_info.argument_spec(), older_than="1d", limit=100)
    assert len(gmt_job_info.run(options)["jobs"]) == 100
    assert time.monotonic() - began < 2
    assert len(statements) == 3  # settings, schema, rows
