# SPDX-License-Identifier: GPL-3.0-or-later
"""gmt_job on a real PostgreSQL: check mode, the tables, a real run, the tables, both again."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import psycopg
import pytest

from ansible_collections.greenlab.cluster.plugins.module_utils import _jobs_db
from ansible_collections.greenlab.cluster.plugins.modules import gmt_job, gmt_job_info, gmt_machine

SEED = "Development machine for testing"
APP = {"name": "App", "url": "https://example.org/app", "branch": "main", "filename": "usage_scenario.yml"}
JOB = {**APP, "machine_id": 1, "user": "DEFAULT"}

# What no two runs have in common.
TIMES = ("created_at", "updated_at", "age", "unchanged_for")


def run(db: Any, *jobs: dict[str, Any], check: bool = False, **options: Any) -> dict[str, Any]:
    params = db.options(gmt_job.argument_spec(), jobs=list(jobs), **options)
    return gmt_job.run(params, check_mode=check)


def timeless(result: dict[str, Any]) -> dict[str, Any]:
    return {**result, "jobs": [{k: v for k, v in job.items() if k not in TIMES} for job in result["jobs"]]}


def everything(db: Any) -> dict[str, Any]:
    return {**db.everything(), "ids": db.sql("SELECT last_value, is_called FROM jobs_id_seq")}


def check_and_run(db: Any, *jobs: dict[str, Any], **options: Any) -> dict[str, Any]:
    """Run in check mode and for real, then both again; both must tell the same and write only what they say."""
    before = everything(db)
    foretold = run(db, *jobs, check=True, **options)
    assert everything(db) == before, "check mode wrote something"
    result = run(db, *jobs, **options)
    assert timeless(foretold) == timeless(result)
    json.dumps(result)
    after = everything(db)
    assert (after != before) == result["changed"]

    for check in (True, False):
        again = run(db, *jobs, check=check, **options)
        assert not again["changed"]
        assert again["diff"] == {"before": {}, "after": {}}
        assert timeless(again)["jobs"] == timeless(result)["jobs"]
        assert everything(db) == after, "a run that changes nothing wrote a row"
    return result


def refused(db: Any, *jobs: dict[str, Any], **options: Any) -> str:
    """Return the error; nothing may have been written."""
    before = everything(db)
    messages = []
    for check in (True, False):
        with pytest.raises(_jobs_db.JobsDBError) as error:
            run(db, *jobs, check=check, **options)
        messages.append(str(error.value))
        assert everything(db) == before
    assert messages[0] == messages[1], "check mode and a real run disagree"
    return messages[0]


def jobs_of(db: Any) -> list[tuple[str, str]]:
    rows = db.sql("SELECT name, state::text AS state FROM jobs WHERE url NOT LIKE 'demo%' ORDER BY id")
    return [(row["name"], row["state"]) for row in rows]


def set_state(db: Any, job_id: int, state: str) -> None:
    db.sql("UPDATE jobs SET state = %s WHERE id = %s", state, job_id)


# Submitting -----------------------------------------------------------------------------------------------------------


def test_submitted_job_is_what_gmt_would_have_written(jobs_db: Any) -> None:
    result = check_and_run(
        jobs_db,
        {
            **JOB,
            "email": "ada@example.org",
            "commit_hash": "86d4733",
            "usage_scenario_variables": {"__GMT_VAR_X__": "$(touch x) ' \" ü"},
            "category_ids": [],
            "carbon_simulation": [{"intensity": 1}],
        },
    )
    assert result["changed"]
    (job,) = result["jobs"]
    assert result["changed_ids"] == [job["id"]]
    assert timeless(result)["jobs"] == [
        {
            **APP,
            "id": job["id"],
            "type": "run",
            "state": "WAITING",
            "commit_hash": "86d4733",
            "usage_scenario_variables": {"__GMT_VAR_X__": "$(touch x) ' \" ü"},
            "carbon_simulation": [{"intensity": 1}],
            "category_ids": [],
            "machine_id": 1,
            "machine_description": SEED,
            "user_id": 1,
            "user": "DEFAULT",
            "email": "ada@example.org",
            "run_id": None,
            "message": None,
        }
    ]
    assert job["created_at"].endswith("+00:00")
    assert job["age"] == 0
    assert result["diff"]["before"] == {"jobs": []}
    assert result["diff"]["after"]["jobs"][0]["url"] == APP["url"]


def test_what_is_not_given_keeps_the_column_default(jobs_db: Any) -> None:
    (job,) = check_and_run(jobs_db, JOB)["jobs"]
    assert job["usage_scenario_variables"] == job["carbon_simulation"] == {}
    assert job["category_ids"] is job["commit_hash"] is job["email"] is None


def test_machine_by_its_description(jobs_db: Any) -> None:
    by_description = {**APP, "machine_description": SEED, "user": "DEFAULT"}
    (job,) = check_and_run(jobs_db, by_description)["jobs"]
    assert job["machine_id"] == 1
    # The same job, whatever its machine is called by.
    assert not check_and_run(jobs_db, {**JOB, "machine_description": SEED})["changed"]


def test_many_jobs_keep_their_order(jobs_db: Any, statements: list[Any]) -> None:
    jobs = [{**JOB, "name": f"App {number}", "email": "a@b" if number % 2 else None} for number in range(300)]
    statements.clear()
    result = run(jobs_db, *jobs)
    assert len(statements) == 10  # settings, schema, turn, machines, users, twins, ids, two inserts, rows
    assert [job["name"] for job in result["jobs"]] == [job["name"] for job in jobs]
    assert [job["id"] for job in result["jobs"]] == result["changed_ids"]
    assert not run(jobs_db, *jobs)["changed"]


def test_only_what_is_missing_is_submitted(jobs_db: Any) -> None:
    first = run(jobs_db, JOB)["jobs"][0]
    result = check_and_run(jobs_db, {**JOB, "name": "Other"}, JOB)
    assert [job["name"] for job in result["jobs"]] == ["Other", "App"]
    assert result["jobs"][1]["id"] == first["id"]
    assert result["changed_ids"] == [result["jobs"][0]["id"]]


@pytest.mark.parametrize(
    ("state", "again"),
    [("WAITING", False), ("RUNNING", False), ("PAUSED", False), ("FINISHED", True), ("FAILED", True)],
)
def test_same_named_job_is_not_doubled_before_it_is_done(jobs_db: Any, state: str, again: bool) -> None:
    first = run(jobs_db, JOB)["jobs"][0]
    set_state(jobs_db, first["id"], state)
    assert check_and_run(jobs_db, JOB)["changed"] == again
    # Any other name, URL, branch or file is another job.
    for name in APP:
        assert check_and_run(jobs_db, {**JOB, name: f"{JOB[name]}2"})["changed"]


def test_duplicates_on_request(jobs_db: Any) -> None:
    assert "is the same as number 1" in refused(jobs_db, JOB, {**JOB})
    assert len(run(jobs_db, JOB, JOB, duplicate=True)["changed_ids"]) == 2
    before = everything(jobs_db)
    foretold = run(jobs_db, JOB, JOB, duplicate=True, check=True)
    assert everything(jobs_db) == before
    assert foretold["changed_ids"] == run(jobs_db, JOB, JOB, duplicate=True)["changed_ids"]
    assert len(jobs_of(jobs_db)) == 4
    # The oldest is the one that is there already.
    assert run(jobs_db, JOB)["jobs"][0]["id"] == foretold["changed_ids"][0] - 2


def test_machines_and_users_that_gmt_would_fail(jobs_db: Any) -> None:
    jobs_db.sql(
        "INSERT INTO machines (id, description, available) VALUES"
        " (2, 'retired', false), (3, 'twin', true), (4, 'twin', true), (5, 'others', true), (6, 'quota', true);"
        """ UPDATE users SET capabilities = '{"machines": [1, 2, 3, 4, 6], "measurement": {"quotas": {"6": 0}}}'"""
        " WHERE id = 1;"
        """ INSERT INTO users (name, token, capabilities) VALUES ('eve', 'e', '{"machines": [true, "1"]}')"""
    )
    message = refused(
        jobs_db,
        {**JOB, "machine_id": 2},
        {**JOB, "machine_id": 77},
        {**JOB, "machine_id": None, "machine_description": "nobody"},
        {**JOB, "machine_id": None, "machine_description": "twin"},
        {**JOB, "machine_id": 5},
        {**JOB, "machine_id": 6},
        {**JOB, "machine_description": "other"},
        {**JOB, "user": "nobody"},
        {**JOB, "user": "eve"},
        {**JOB, "user": None},
        {**JOB, "name": "Categories", "category_ids": [99, 98]},
    )
    for words in (
        "machine 2 ('retired') is not available, it is retired or on hold",
        "machine 77 is not registered",
        "no machine is registered as 'nobody'",
        "machines 3, 4 are all named 'twin'; give machine_id.",
        "user 'DEFAULT' may not use machine 5 ('others')",
        "user 'DEFAULT' has used up the quota for machine 6",
        f"machine 1 is '{SEED}', not 'other'",
        "user 'nobody' is not in the users table",
        "user 'eve' may not use machine 1",
        "'user' missing",
        "Categories 98, 99 are not in the categories table",
    ):
        assert words in message, words
    # A quota without a number is no limit.
    assert run(jobs_db, {**JOB, "machine_id": 3})["changed"]


def test_hostile_values_are_data(jobs_db: Any) -> None:
    hostile = "'; DROP TABLE jobs; -- {{ 7 * 7 }} $(touch x) %s"
    (job,) = check_and_run(jobs_db, {**JOB, **{name: f"{hostile} {name}" for name in APP}})["jobs"]
    assert {name: job[name] for name in APP} == {name: f"{hostile} {name}" for name in APP}
    message = refused(
        jobs_db,
        {**JOB, "name": "two\nlines"},
        {**JOB, "branch": "  "},
        {**JOB, "url": "x\0"},
        {**JOB, "filename": " a"},
        {**JOB, "usage_scenario_variables": {"x": "\0"}},
        {**JOB, "machine_id": 0},
        {**JOB, "url": "https://ada:secret@example.org/app"},
        {**JOB, "id": 4},
        {**APP, "name": None, "user": "DEFAULT"},
    )
    for words in (
        "'name' ('two\\nlines') holds a line break",
        "'branch' ('  ') is empty",
        "'url' ('x\\x00') holds",
        "'filename' (' a') begins or ends with a blank",
        "'usage_scenario_variables' holds a NUL",
        "'machine_id' must be a number from 1",
        "'url' holds a password",
        "a new job has no 'id' yet",
        "Job number 9 of the list: name, machine_id or machine_description missing; give it.",
    ):
        assert words in message, words
    assert "secret" not in message
    assert "'reason' is only for state: failed" in refused(jobs_db, JOB, reason="x")


# Moving ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("state", "sources"),
    [("cancelled", {"WAITING"}), ("waiting", {"RUNNING", "FAILED", "CANCELLED"}), ("failed", {"RUNNING"})],
)
def test_states_from_which_a_job_may_be_moved(jobs_db: Any, state: str, sources: set[str]) -> None:
    job_id = run(jobs_db, JOB)["jobs"][0]["id"]
    for source in ("WAITING", "RUNNING", "FINISHED", "FAILED", "CANCELLED", "PAUSED"):
        for selection in ({"id": job_id}, {**APP, "machine_id": 1}, {**APP, "id": job_id, "machine_description": SEED}):
            set_state(jobs_db, job_id, source)
            if source in sources or source == state.upper():
                result = check_and_run(jobs_db, selection, state=state)
                assert result["changed"] == (source in sources)
                assert [job["state"] for job in result["jobs"]] == [state.upper()]
                assert jobs_of(jobs_db) == [("App", state.upper())]
                if result["changed"]:
                    assert result["diff"]["before"]["jobs"][0]["state"] == source
                    assert result["diff"]["after"]["jobs"][0]["state"] == state.upper()
            else:
                message = refused(jobs_db, selection, state=state)
                assert f"job {job_id} is {source}, and can become {state.upper()} only from" in message
                assert ("Release its machine" in message) == (source == "PAUSED")


def test_message_of_a_failure_goes_when_the_job_is_queued_again(jobs_db: Any) -> None:
    job_id = run(jobs_db, JOB)["jobs"][0]["id"]
    set_state(jobs_db, job_id, "RUNNING")
    (job,) = check_and_run(jobs_db, {"id": job_id}, state="failed", reason="Power cut\n'at noon'")["jobs"]
    assert job["message"] == "Power cut\n'at noon'"
    assert check_and_run(jobs_db, {"id": job_id}, state="waiting")["jobs"][0]["message"] is None


def test_mails_are_moved_by_id_and_keep_their_text(jobs_db: Any) -> None:
    (mail,) = jobs_db.sql(
        "INSERT INTO jobs (type, state, name, message, user_id) VALUES ('email-simple', 'RUNNING', 'm', 'Dear', 1)"
        " RETURNING id"
    )
    (job,) = check_and_run(jobs_db, mail, state="waiting")["jobs"]
    assert (job["state"], job["message"], job["machine_id"]) == ("WAITING", "Dear", None)
    set_state(jobs_db, mail["id"], "RUNNING")
    assert check_and_run(jobs_db, mail, state="failed", reason="x")["jobs"][0]["message"] == "Dear"


def test_run_of_the_crash_does_not_stand_in_the_way(jobs_db: Any) -> None:
    """GMT lets a job have one run: with the old run's reference the next try would fail."""
    job_id = run(jobs_db, JOB)["jobs"][0]["id"]
    set_state(jobs_db, job_id, "RUNNING")
    add_run = (
        "INSERT INTO runs (job_id, uri, branch, filename, machine_id, user_id) VALUES (%s, 'u', 'b', 'f', 1, 1)"
        " RETURNING id"
    )
    (old,) = jobs_db.sql(add_run, job_id)
    check_and_run(jobs_db, {"id": job_id}, state="waiting")
    jobs_db.sql(add_run, job_id)
    assert jobs_db.sql("SELECT job_id FROM runs WHERE id = %s", old["id"]) == [{"job_id": None}]


def test_selection_by_fields(jobs_db: Any) -> None:
    first, second = run(jobs_db, JOB, JOB, duplicate=True)["changed_ids"]
    selection = {**APP, "machine_description": SEED}
    message = refused(jobs_db, selection, state="cancelled")
    assert f"several jobs are the same, {first} (WAITING), {second} (WAITING); select one by its id." in message
    # The unfinished one counts, older or newer.
    set_state(jobs_db, second, "FINISHED")
    assert check_and_run(jobs_db, selection, state="cancelled")["changed_ids"] == [first]
    # A newer job that came to its end is not the one that was cancelled.
    assert f"job {second} is FINISHED" in refused(jobs_db, selection, state="waiting")
    set_state(jobs_db, second, "FAILED")
    assert check_and_run(jobs_db, selection, state="waiting")["changed_ids"] == [second]


def test_selection_that_is_wrong(jobs_db: Any) -> None:
    job_id = run(jobs_db, JOB)["jobs"][0]["id"]
    message = refused(
        jobs_db,
        {"id": job_id, "name": "Other", "machine_description": "nobody", "user": "ada"},
        {"id": 9999},
        {**APP, "branch": "other", "machine_id": 1},
        {**APP, "machine_id": 7},
        state="cancelled",
    )
    for words in (
        f"it is job {job_id} with name 'App', not 'Other'",
        f"machine_description '{SEED}', not 'nobody'",
        "user 'DEFAULT', not 'ada'",
        "Job 9999: there is no such job",
        "number 3 of the list): there is no such job",
        "machine 7 is not registered",
    ):
        assert words in message, words
    assert "is twice in the list" in refused(jobs_db, {"id": job_id}, {**APP, "machine_id": 1}, state="cancelled")
    assert "commit_hash cannot be changed" in refused(jobs_db, {"id": job_id, "commit_hash": "x"}, state="cancelled")
    assert "or select the job by its id" in refused(jobs_db, {"name": "App"}, state="cancelled")
    assert "'reason' holds a NUL" in refused(jobs_db, {"id": job_id}, state="failed", reason="\0")


def test_all_or_nothing(jobs_db: Any) -> None:
    first, second = run(jobs_db, JOB, {**JOB, "name": "Other"})["changed_ids"]
    set_state(jobs_db, second, "RUNNING")
    assert f"job {second} is RUNNING" in refused(jobs_db, {"id": first}, {"id": second}, state="cancelled")
    set_state(jobs_db, second, "WAITING")
    assert check_and_run(jobs_db, {"id": second}, {"id": first}, state="cancelled")["changed_ids"] == [first, second]


def test_queueing_for_a_machine_on_hold_is_a_warning(jobs_db: Any) -> None:
    job_id = run(jobs_db, JOB)["jobs"][0]["id"]
    set_state(jobs_db, job_id, "RUNNING")
    jobs_db.sql("UPDATE machines SET available = false")
    (warning,) = run(jobs_db, {"id": job_id}, state="waiting")["warnings"]
    assert f"Job {job_id} waits for machine 1 ('{SEED}'), which is not available" in warning


# Several at once ------------------------------------------------------------------------------------------------------


def test_two_submitters_of_the_same_job(jobs_db: Any, in_threads: Any) -> None:
    for number in range(5):
        results = in_threads(*[lambda number=number: run(jobs_db, {**JOB, "name": f"App {number}"})] * 4)
        assert sorted(result["changed"] for result in results) == [False, False, False, True]
        assert len({result["jobs"][0]["id"] for result in results}) == 1
    assert len(jobs_of(jobs_db)) == 5


def test_job_for_a_machine_that_is_retired_at_this_moment(jobs_db: Any, in_threads: Any) -> None:
    """Either the job is refused, or the one who retires the machine is told of it."""
    for number in range(2, 14):
        jobs_db.sql("INSERT INTO machines (id, description, available) VALUES (%s, %s, true)", number, f"M {number}")
        jobs_db.sql(
            "UPDATE users SET capabilities = jsonb_set(capabilities, '{machines}', %s) WHERE id = 1", f"[{number}]"
        )

        def retire(number: int = number) -> dict[str, Any]:
            spec = gmt_machine.argument_spec()
            return gmt_machine.run(jobs_db.options(spec, machines=[{"id": number}], state="retired"))

        def submit(number: int = number) -> dict[str, Any]:
            return run(jobs_db, {**JOB, "machine_id": number})

        calls = (retire, submit) if number % 2 else (submit, retire)
        results = dict(zip([call.__name__ for call in calls], in_threads(*calls)))
        waiting = [job["machine_id"] for job in results["retire"]["waiting_jobs"]]
        if isinstance(results["submit"], Exception):
            assert f"machine {number} ('M {number}') is not available" in str(results["submit"])
            assert waiting == []
        else:
            assert waiting == [number]


def test_job_for_a_machine_that_is_closed_by_hand(jobs_db: Any) -> None:
    """Whoever closes a machine without our lock is waited for, and his word counts."""
    with psycopg.connect(jobs_db.dsn) as other:
        other.execute("UPDATE machines SET available = false WHERE id = 1")
        failures: list[str] = []

        def submit() -> None:
            with pytest.raises(_jobs_db.JobsDBError) as error:
                run(jobs_db, JOB)
            failures.append(str(error.value))

        thread = threading.Thread(target=submit)
        thread.start()
        wait_for_a_lock(jobs_db)
        other.commit()
        thread.join()
    assert "is not available" in failures[0]
    assert jobs_of(jobs_db) == []


def test_client_takes_the_job_at_this_moment(jobs_db: Any) -> None:
    job_id = run(jobs_db, JOB)["jobs"][0]["id"]
    with psycopg.connect(jobs_db.dsn) as client:
        client.execute("UPDATE jobs SET state = 'RUNNING' WHERE id = %s", [job_id])
        failures: list[str] = []

        def cancel() -> None:
            with pytest.raises(_jobs_db.JobsDBError) as error:
                run(jobs_db, {"id": job_id}, state="cancelled")
            failures.append(str(error.value))

        thread = threading.Thread(target=cancel)
        thread.start()
        wait_for_a_lock(jobs_db)
        client.commit()
        thread.join()
    assert f"job {job_id} is RUNNING, and can become CANCELLED only from WAITING" in failures[0]
    assert jobs_of(jobs_db) == [("App", "RUNNING")]


def wait_for_a_lock(db: Any) -> None:
    end = time.monotonic() + 10
    while not db.sql("SELECT 1 FROM pg_stat_activity WHERE datname = %s AND wait_event_type = 'Lock'", db.name):
        assert time.monotonic() < end, "nobody waits"
        time.sleep(0.02)


def test_forgotten_session_is_an_error_not_a_hang(jobs_db: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    job_id = run(jobs_db, JOB)["jobs"][0]["id"]
    monkeypatch.setattr(_jobs_db, "LOCK_TIMEOUT_SECONDS", 1)
    with psycopg.connect(jobs_db.dsn) as other:
        other.execute("SELECT FROM jobs WHERE id = %s FOR UPDATE", [job_id])
        assert "has held a lock" in refused(jobs_db, {"id": job_id}, state="cancelled")


def test_broken_connection_is_not_tried_again(jobs_db: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    insert = gmt_job._insert
    calls = []

    def break_off(connection: Any, *args: Any) -> None:
        insert(connection, *args)
        calls.append(1)
        jobs_db.sql("SELECT pg_terminate_backend(%s)", connection.info.backend_pid)

    monkeypatch.setattr(gmt_job, "_insert", break_off)
    for options, words in ({}, "repeating is safe"), ({"duplicate": True}, "repeating is not safe"):
        with pytest.raises(_jobs_db.ConnectionLost, match=words):
            run(jobs_db, JOB, **options)
    assert len(calls) == 2
    assert jobs_of(jobs_db) == []


# Releases -------------------------------------------------------------------------------------------------------------


def test_jobs_of_the_first_release_are_an_error(old_jobs_db: Any) -> None:
    for options in ({}, {"state": "cancelled"}):
        with pytest.raises(_jobs_db.JobsDBError, match=r"has the jobs of GMT v0\.18 or older"):
            run(old_jobs_db, JOB, **options)


def test_sequence_that_is_missing(jobs_db: Any) -> None:
    jobs_db.sql("ALTER TABLE jobs ALTER COLUMN id DROP IDENTITY")
    with pytest.raises(_jobs_db.JobsDBError, match=r"jobs\.id has no sequence"):
        run(jobs_db, JOB, check=True)


@pytest.mark.parametrize(
    "release", ["v0.19", "v0.22", "v0.24", "v1.0", "v1.4.0", "v2.0", "v2.6", "v3.0", "v4.0", "v4.1", "main"]
)
def test_real_schemas(release: str, real_jobs_db: Any) -> None:
    db = real_jobs_db(release)
    db.sql("INSERT INTO machines (id, description, available) VALUES (7, 'Pi', true)")
    with_users = bool(db.sql("SELECT 1 FROM pg_class WHERE relname = 'users'"))
    if with_users:
        db.sql("UPDATE users SET capabilities = jsonb_set(capabilities, '{machines}', '[7]') WHERE name = 'DEFAULT'")
    job = {**APP, "machine_description": "Pi", "user": "DEFAULT", "email": "a@b", "commit_hash": "86d4733"}
    result = check_and_run(db, {**job, "usage_scenario_variables": {"a": "b"}, "carbon_simulation": {"c": 1}})
    (row,) = result["jobs"]
    assert (row["state"], row["name"], row["machine_id"]) == ("WAITING", "App", 7)
    assert row["user"] == ("DEFAULT" if with_users else None)
    has = {
        column["name"]
        for column in db.sql(
            "SELECT attname AS name FROM pg_attribute WHERE attrelid = 'jobs'::regclass AND attnum > 0"
        )
    }
    assert row["type"] == ("run" if "type" in has else None)
    for column, value in ("commit_hash", "86d4733"), ("usage_scenario_variables", {"a": "b"}):
        assert row[column] == (value if column in has else None)
        assert any(column in warning for warning in result["warnings"]) == (column not in has)
    db.sql("UPDATE jobs SET state = 'RUNNING' WHERE id = %s", row["id"])
    (row,) = check_and_run(db, {"id": row["id"]}, state="failed", reason="why")["jobs"]
    assert row["message"] == ("why" if "message" in has else None)
    check_and_run(db, {"id": row["id"]}, state="waiting")
    check_and_run(db, {**APP, "machine_id": 7}, state="cancelled")
    read = gmt_job_info.run(db.options(gmt_job_info.argument_spec(), machine_descriptions=["Pi"], types=["run"]))
    assert [(job["id"], job["state"]) for job in read["jobs"]] == [(row["id"], "CANCELLED")]


@pytest.mark.slow
def test_as_a_task(jobs_db: Any, tmp_path: Path) -> None:
    """The modules as Ansible runs them: action group, check mode, diff, warnings."""
    play = [
        {
            "hosts": "localhost",
            "gather_facts": False,
            "module_defaults": {"group/greenlab.cluster.gmt": jobs_db.login},
            "tasks": [
                {"greenlab.cluster.gmt_job": {"jobs": [JOB]}, "register": "result", "check_mode": True},
                {"ansible.builtin.assert": {"that": ["result is changed", "result.diff.after.jobs | length == 1"]}},
                {"greenlab.cluster.gmt_job": {"jobs": [JOB]}, "register": "result"},
                {"greenlab.cluster.gmt_job_info": {"states": ["WAITING"]}, "register": "read"},
                {"ansible.builtin.assert": {"that": ["read.jobs[0].id == result.jobs[0].id"]}},
                {"greenlab.cluster.gmt_job": {"jobs": [{"id": "{{ read.jobs[0].id }}"}], "state": "cancelled"}},
                {
                    "greenlab.cluster.gmt_job": {"jobs": [{"id": 1}], "state": "cancelled"},
                    "register": "result",
                    "failed_when": "'is FINISHED' not in result.msg",
                },
            ],
        }
    ]
    playbook = tmp_path / "play.yml"
    playbook.write_text(json.dumps(play), encoding="utf8")
    collections = Path(gmt_job.__file__).parents[5]
    environment = dict(os.environ, ANSIBLE_COLLECTIONS_PATH=str(collections), ANSIBLE_HOME=str(tmp_path))
    command = [str(Path(sys.executable).parent / "ansible-playbook"), "-i", "localhost,", "-c", "local", "--diff"]
    command += ["-e", f"ansible_python_interpreter={sys.executable}", str(playbook)]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, encoding="utf8", check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert jobs_of(jobs_db) == [("App", "CANCELLED")]
