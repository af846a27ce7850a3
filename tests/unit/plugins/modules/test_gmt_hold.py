# SPDX-License-Identifier: GPL-3.0-or-later
"""gmt_hold on a real PostgreSQL, with the table and the triggers that the role jobs_db lays."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path
from typing import Any

import psycopg
import pytest
from ansible.module_utils.testing import patch_module_args

from ansible_collections.greenlab.cluster.plugins.module_utils import _jobs_db
from ansible_collections.greenlab.cluster.plugins.module_utils._machine_state import STATE_OF_CODE
from ansible_collections.greenlab.cluster.plugins.modules import (
    gmt_hold,
    gmt_hold_info,
    gmt_machine,
    gmt_machine_info,
)

HOLDS_SQL = Path(__file__).resolve().parents[4] / "roles/jobs_db/files/holds.sql"

# How to write a waiting job, and what its state is, in each of the schemas.
ADD = {
    True: "INSERT INTO jobs (type, name, url, branch, filename, machine_id, user_id)"
    " VALUES ('run', 'n', 'u', 'b', 'f', %s, 1) RETURNING id",
    False: "INSERT INTO jobs (type, machine_id) VALUES ('project', %s) RETURNING id",
}
STATE = {True: "state::text", False: "CASE type WHEN 'project-paused' THEN 'PAUSED' ELSE 'WAITING' END"}


class Cluster:
    """Two machines that can be held."""

    def __init__(self, db: Any) -> None:
        self.db = db
        column = "SELECT attname FROM pg_attribute WHERE attrelid = 'jobs'::regclass AND attname = 'state'"
        self.has_state = bool(db.sql(column))
        db.sql("DELETE FROM jobs")
        db.sql(
            "INSERT INTO machines (id, description, available) VALUES (1, 'one', true), (2, 'two', true)"
            " ON CONFLICT (id) DO UPDATE SET available = true"
        )

    def add(self, machine_id: int | None = 1) -> int:
        return self.db.sql(ADD[self.has_state], machine_id)[0]["id"]

    def states(self) -> dict[int, str]:
        return {
            row["id"]: row["state"] for row in self.db.sql(f"SELECT id, {STATE[self.has_state]} AS state FROM jobs")
        }

    def available(self, machine_id: int = 1) -> bool:
        return self.db.sql("SELECT available FROM machines WHERE id = %s", machine_id)[0]["available"]

    def status(self, code: str, machine_id: int = 1) -> None:
        self.db.sql("INSERT INTO client_status (status_code, machine_id) VALUES (%s, %s)", code, machine_id)

    def rows(self) -> Any:
        tables = "jobs", "machines", "greenlab.holds"
        return [
            self.db.sql(f"SELECT ctid::text AS place, xmin::text AS writer, * FROM {name} ORDER BY 2, 1")
            for name in tables
        ]

    def run(self, check: bool = False, **options: Any) -> dict[str, Any]:
        options = {"settle": 0, "owner": "ada@office", **options}
        if options.get("state", "held") == "held":
            options = {"ids": [1], "reason": "new fan", **options}
        return gmt_hold.run(self.db.options(gmt_hold.argument_spec(), **options), check_mode=check)

    def held(self) -> list[dict[str, Any]]:
        return gmt_hold_info.run(self.db.options(gmt_hold_info.argument_spec()))["machines"]

    def check_and_run(self, **options: Any) -> dict[str, Any]:
        """Run in check mode and for real, then again; check mode must tell the same and write nothing."""

        def told(result: dict[str, Any]) -> Any:
            return [{**row, "since": None} for row in result["machines"]], result["changed_ids"]

        before = self.rows()
        foretold = self.run(check=True, **options)
        assert self.rows() == before
        result = self.run(**options)
        assert told(foretold) == told(result)
        after = self.rows()
        assert (after != before) == result["changed"]
        again = self.run(**options)
        assert not again["changed"]
        assert again["diff"] == {"before": {}, "after": {}}
        assert self.rows() == after
        return result


@pytest.fixture
def lay(postgres: Any) -> Any:
    def lay_holds(db: Any) -> Cluster:
        postgres.psql("-v", "version=test", db=f"'{db.name}'", stdin=HOLDS_SQL.read_text(encoding="utf8"))
        return Cluster(db)

    return lay_holds


@pytest.fixture
def cluster(lay: Any, jobs_db: Any) -> Cluster:
    return lay(jobs_db)


@pytest.fixture
def any_cluster(lay: Any, any_jobs_db: Any) -> Cluster:
    return lay(any_jobs_db)


def test_hold_pauses_what_waits_and_release_puts_it_back_in_order(any_cluster: Cluster) -> None:
    first, second, other = any_cluster.add(), any_cluster.add(), any_cluster.add(2)
    result = any_cluster.check_and_run()
    assert any_cluster.states() == {first: "PAUSED", second: "PAUSED", other: "WAITING"}
    assert not any_cluster.available()
    assert any_cluster.available(2)
    (row,) = result["machines"]
    assert row["jobs"] == [first, second]
    assert (row["owner"], row["reason"], row["held"], row["idle"]) == ("ada@office", "new fan", True, True)
    assert result["diff"]["after"]["holds"][0]["jobs"] == [first, second]

    result = any_cluster.check_and_run(state="released", ids=[1])
    assert any_cluster.states() == {first: "WAITING", second: "WAITING", other: "WAITING"}
    assert any_cluster.available()
    assert not result["machines"][0]["held"]
    assert result["changed_ids"] == [1]


def test_a_job_that_comes_during_the_hold_is_paused_too(any_cluster: Cluster) -> None:
    any_cluster.run()
    late = any_cluster.add()
    assert any_cluster.states() == {late: "PAUSED"}
    assert any_cluster.held()[0]["jobs"] == [late]
    any_cluster.run(state="released")
    assert any_cluster.states() == {late: "WAITING"}
    later = any_cluster.add()
    assert any_cluster.states() == {late: "WAITING", later: "WAITING"}


def test_a_job_that_the_client_gives_back_is_paused(cluster: Cluster) -> None:
    job = cluster.add()
    cluster.db.sql("UPDATE jobs SET state = 'RUNNING'")
    cluster.run()
    assert cluster.states() == {job: "RUNNING"}
    cluster.db.sql("UPDATE jobs SET state = 'WAITING'")
    assert cluster.states() == {job: "PAUSED"}
    cluster.run(state="released")
    assert cluster.states() == {job: "WAITING"}


def test_only_what_the_hold_paused_comes_back(cluster: Cluster) -> None:
    cancelled, mine, raced = cluster.add(), cluster.add(), cluster.add()
    cluster.db.sql("UPDATE jobs SET state = 'PAUSED' WHERE id = %s", mine)
    cluster.run()
    cluster.db.sql("UPDATE jobs SET state = 'CANCELLED' WHERE id = %s", cancelled)
    cluster.db.sql("UPDATE jobs SET state = 'FINISHED' WHERE id = %s", raced)
    cluster.run(state="released")
    assert cluster.states() == {cancelled: "CANCELLED", mine: "PAUSED", raced: "FINISHED"}


def test_mails_are_no_jobs_of_the_machine(cluster: Cluster) -> None:
    mail = "INSERT INTO jobs (type, name, machine_id, user_id) VALUES ('email-simple', 'n', 1, 1)"
    cluster.db.sql(mail)
    cluster.run()
    cluster.db.sql(mail)
    assert set(cluster.states().values()) == {"WAITING"}


def test_a_machine_that_was_not_available_stays_so(any_cluster: Cluster) -> None:
    any_cluster.db.sql("UPDATE machines SET available = false")
    any_cluster.run()
    any_cluster.run(state="released")
    assert not any_cluster.available()


@pytest.mark.parametrize("wanted", [True, False])
def test_what_others_set_during_the_hold_comes_with_the_release(cluster: Cluster, wanted: bool) -> None:
    cluster.db.sql("UPDATE machines SET available = %s", not wanted)
    cluster.run()
    cluster.db.sql("UPDATE machines SET available = %s", wanted)
    assert not cluster.available()
    cluster.run(state="released")
    assert cluster.available() == wanted


def test_a_machine_that_is_retired_during_the_hold_stays_retired(cluster: Cluster) -> None:
    cluster.run()
    options = cluster.db.options(gmt_machine.argument_spec(), machines=[{"id": 1}], state="retired")
    gmt_machine.run(options)
    cluster.run(state="released")
    assert not cluster.available()


def test_the_second_operator_is_told_who_holds_it(cluster: Cluster) -> None:
    cluster.run()
    before = cluster.rows()
    for state in ("held", "released"):
        with pytest.raises(_jobs_db.JobsDBError) as error:
            cluster.run(state=state, owner="bob@home", ids=[1, 2])
        assert "Machine 1 is held by ada@office since 20" in str(error.value)
        assert "(new fan)" in str(error.value)
        assert "Nothing was changed" in str(error.value)
    assert cluster.rows() == before

    result = cluster.run(owner="bob@home", ids=[1, 2], on_conflict="skip")
    assert [(row["id"], row["owner"]) for row in result["machines"]] == [(1, "ada@office"), (2, "bob@home")]
    assert result["changed_ids"] == [2]


def test_a_dead_operators_holds_are_shown_and_released(cluster: Cluster) -> None:
    jobs = [cluster.add(1), cluster.add(2)]
    cluster.run(ids=[1, 2])
    assert [row["id"] for row in cluster.held()] == [1, 2]
    assert cluster.run(state="released", owner="bob@home")["changed_ids"] == []
    assert cluster.run(state="released", owner=None, force=True)["changed_ids"] == [1, 2]
    assert cluster.held() == []
    assert cluster.states() == dict.fromkeys(jobs, "WAITING")


def test_release_without_ids_releases_the_owners_own(cluster: Cluster) -> None:
    cluster.run(ids=[1])
    cluster.run(ids=[2], owner="bob@home")
    assert cluster.run(state="released")["changed_ids"] == [1]
    assert [row["owner"] for row in cluster.held()] == ["bob@home"]


def test_a_job_for_any_machine_waits_for_the_last_release(lay: Any, old_jobs_db: Any) -> None:
    cluster = lay(old_jobs_db)
    job = cluster.add(None)
    cluster.run(ids=[1])
    cluster.run(ids=[2])
    late = cluster.add(None)
    cluster.run(state="released", ids=[1])
    assert cluster.states() == {job: "PAUSED", late: "PAUSED"}
    cluster.run(state="released", ids=[2])
    assert cluster.states() == {job: "WAITING", late: "WAITING"}


# Waiting --------------------------------------------------------------------------------------------------------------


def test_wait_ends_when_the_job_does(cluster: Cluster) -> None:
    job = cluster.add()
    cluster.status("job_start")
    cluster.db.sql("UPDATE jobs SET state = 'RUNNING'")

    def finish() -> None:
        with psycopg.connect(cluster.db.dsn, autocommit=True) as connection:
            connection.execute("UPDATE jobs SET state = 'FINISHED'")
            for code in ("job_end", "maintenance_start", "maintenance_end", "job_no"):
                connection.execute("INSERT INTO client_status (status_code, machine_id) VALUES (%s, 1)", [code])

    threading.Timer(1.5, finish).start()
    result = cluster.run(wait="20")
    assert cluster.states() == {job: "FINISHED"}
    assert result["machines"][0]["idle"]


def test_time_is_up_names_what_it_waits_for_and_keeps_the_hold(cluster: Cluster) -> None:
    cluster.status("measurement_control_start")
    (row,) = cluster.run(wait="1")["machines"]
    assert (row["held"], row["idle"], row["busy_with"]) == (True, False, "its last status is measurement_control_start")


def test_a_client_that_read_the_queue_just_before_is_seen(cluster: Cluster, monkeypatch: Any) -> None:
    """The client writes its start after the hold and after our first look; idle is only believed when it lasts."""
    cluster.add()
    cluster.status("job_no")
    looks = []
    sleep = time.sleep

    def first_look_is_over(seconds: float) -> None:
        if not looks:
            cluster.status("job_start")
            cluster.db.sql("UPDATE jobs SET state = 'RUNNING'")
        looks.append(seconds)
        sleep(0.1)

    monkeypatch.setattr(gmt_hold.time, "sleep", first_look_is_over)
    (row,) = cluster.run(wait="1", settle=1)["machines"]
    assert looks
    assert row["busy_with"] == "a job is RUNNING"


def test_clients_that_repeat_that_they_are_idle_are_idle(cluster: Cluster, monkeypatch: Any) -> None:
    """Old clients write a row each time they look. Nobody waits for a moment in which all of them are silent."""
    sleep, looks = time.sleep, []
    for machine_id in (1, 2):
        cluster.add(machine_id)

    def both_look_again(_seconds: float) -> None:
        cluster.status("job_no", machine_id=len(looks) % 2 + 1)
        looks.append(None)
        assert len(looks) < 100
        sleep(0.05)

    both_look_again(0)
    both_look_again(0)
    monkeypatch.setattr(gmt_hold.time, "sleep", both_look_again)
    rows = cluster.run(ids=[1, 2], wait="10", settle=1)["machines"]
    assert [row["idle"] for row in rows] == [True, True]


@pytest.mark.parametrize("seconds_ago", [0, 60])
def test_a_job_that_was_cancelled_just_now_may_have_been_read(
    cluster: Cluster, monkeypatch: Any, seconds_ago: int
) -> None:
    """Nothing waits at the hold; but the client may have read the job before, and then measures it."""
    job_id = cluster.add()
    cluster.status("job_no")
    cluster.db.sql("ALTER TABLE jobs DISABLE TRIGGER USER")
    cluster.db.sql(
        "UPDATE jobs SET state = 'CANCELLED', created_at = now() - interval '1 day',"
        " updated_at = now() - make_interval(secs => %s) WHERE id = %s",
        seconds_ago,
        job_id,
    )
    sleep, waits = time.sleep, []

    def wait(seconds: float) -> None:
        waits.append(seconds)
        sleep(0.05)

    monkeypatch.setattr(gmt_hold.time, "sleep", wait)
    cluster.run(settle=1)
    assert bool(waits) == (seconds_ago == 0)


def test_a_client_that_can_have_read_nothing_is_not_waited_for(cluster: Cluster, monkeypatch: Any) -> None:
    cluster.status("job_no")
    monkeypatch.setattr(gmt_hold.time, "sleep", lambda _seconds: pytest.fail("waited"))
    assert cluster.run(settle=60)["machines"][0]["idle"]


def test_a_paused_job_is_waited_for_whenever_it_was_written(cluster: Cluster, monkeypatch: Any) -> None:
    """A hold that had to wait for its turn wrote the job with the time at which its transaction began."""
    cluster.add()
    cluster.status("job_no")
    cluster.run()
    cluster.db.sql("ALTER TABLE jobs DISABLE TRIGGER USER")
    cluster.db.sql("UPDATE jobs SET created_at = now() - interval '1 day', updated_at = now() - interval '1 day'")

    def wait(_seconds: float) -> None:
        raise InterruptedError

    monkeypatch.setattr(gmt_hold.time, "sleep", wait)
    with pytest.raises(InterruptedError):
        cluster.run(settle=60)


def test_an_idle_machine_without_a_client_is_not_waited_for(cluster: Cluster, monkeypatch: Any) -> None:
    monkeypatch.setattr(gmt_hold.time, "sleep", lambda _seconds: pytest.fail("waited"))
    assert cluster.run(settle=60)["machines"][0]["idle"]


@pytest.mark.parametrize(("age", "idle"), [(0, False), (90, True)])
def test_a_client_sleeps_a_minute_after_an_error(cluster: Cluster, age: int, idle: bool) -> None:
    cluster.db.sql(
        "INSERT INTO client_status (status_code, machine_id, created_at)"
        " VALUES ('job_error', 1, now() - make_interval(secs => %s))",
        age,
    )
    assert cluster.run(check=True)["machines"][0]["idle"] == idle


@pytest.mark.parametrize("code", [*STATE_OF_CODE, "tea_break"])
def test_whatever_the_last_word_a_machine_that_was_stopped_is_idle_again(cluster: Cluster, code: str) -> None:
    """The last word of a machine that is off: known and idle at once, not known after two hours; a RUNNING job wins."""

    def busy_with(age: int) -> str | None:
        cluster.db.sql("DELETE FROM client_status")
        cluster.db.sql(
            "INSERT INTO client_status (status_code, machine_id, created_at)"
            " VALUES (%s, 1, now() - make_interval(secs => %s))",
            code,
            age,
        )
        return cluster.run(check=True)["machines"][0]["busy_with"]

    fresh, old = busy_with(0), busy_with(7200)
    if code == "tea_break":
        assert fresh == (
            "its last status is tea_break, which this collection does not know; without another one it counts as idle"
            " after 2 hours"
        )
        assert old is None
    else:
        assert fresh == (None if STATE_OF_CODE[code] == "idle" else f"its last status is {code}")
        assert old == (None if code == "job_error" else fresh)
    cluster.add()
    cluster.db.sql("UPDATE jobs SET state = 'RUNNING'")
    assert busy_with(0) == busy_with(7200) == "a job is RUNNING"


# At one moment --------------------------------------------------------------------------------------------------------


def test_a_job_that_is_being_written_does_not_slip_through(cluster: Cluster) -> None:
    with psycopg.connect(cluster.db.dsn) as writer:
        writer.execute(ADD[True].replace("%s", "1"))
        holding = threading.Thread(target=cluster.run)
        holding.start()
        time.sleep(0.5)
        assert holding.is_alive(), "the hold did not wait for the writer"
        writer.commit()
        holding.join()
    assert set(cluster.states().values()) == {"PAUSED"}


def test_two_operators_at_once_one_gets_it(cluster: Cluster, in_threads: Any) -> None:
    results = in_threads(
        lambda: cluster.run(ids=[1, 2]),
        lambda: cluster.run(ids=[2, 1], owner="bob@home"),
    )
    errors = [result for result in results if isinstance(result, Exception)]
    assert len(errors) == 1
    assert "is held by" in str(errors[0])
    assert len({row["owner"] for row in cluster.held()}) == 1


# Errors ---------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "part"),
    [
        ({"ids": None}, "'ids' is missing"),
        ({"reason": "two\nlines"}, "'reason' ('two\\nlines') holds a line break"),
        ({"wait": "soon"}, "'wait': 'soon' is no time"),
        ({"settle": -1}, "'settle' is -1"),
        ({"state": "released", "owner": None}, "'owner' is missing"),
        ({"ids": [1, 7]}, "No machine is registered with id 7."),
    ],
)
def test_bad_input_is_refused_with_a_remedy(cluster: Cluster, options: dict[str, Any], part: str) -> None:
    before = cluster.rows()
    with pytest.raises(_jobs_db.JobsDBError) as error:
        cluster.run(**options)
    assert part in str(error.value)
    assert cluster.rows() == before


def test_a_jobs_db_without_the_table_names_the_role(jobs_db: Any) -> None:
    params = jobs_db.options(gmt_hold_info.argument_spec(), ids=[1])
    with pytest.raises(_jobs_db.JobsDBError, match="has no table greenlab.holds"):
        gmt_hold_info.run(params)


def test_machine_info_tells_who_holds_it(cluster: Cluster) -> None:
    cluster.run()
    rows = gmt_machine_info.run(cluster.db.options(gmt_machine_info.argument_spec()))["machines"]
    assert [(row["held_by"], row["held_for"]) for row in rows if row["id"] in (1, 2)] == [
        ("ada@office", "new fan"),
        (None, None),
    ]


def test_the_client_needs_no_right_on_our_tables(cluster: Cluster) -> None:
    cluster.db.sql("DROP ROLE IF EXISTS hold_client")
    cluster.db.sql("CREATE ROLE hold_client")
    try:
        cluster.db.sql("GRANT SELECT, INSERT, UPDATE ON jobs TO hold_client")
        cluster.db.sql("GRANT SELECT ON categories TO hold_client; GRANT USAGE ON SEQUENCE jobs_id_seq TO hold_client")
        cluster.run()
        cluster.db.sql("SET ROLE hold_client")
        job = cluster.add()
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            cluster.db.sql("SELECT * FROM greenlab.holds")
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            cluster.db.sql("SELECT greenlab.note_held_job(1, 1)")
        cluster.db.sql("RESET ROLE")
        assert cluster.states() == {job: "PAUSED"}
    finally:
        cluster.db.sql("RESET ROLE; DROP OWNED BY hold_client; DROP ROLE hold_client")


def test_main_prints_the_result_or_the_error(cluster: Cluster, capsys: Any) -> None:
    def call(**options: Any) -> Any:
        with patch_module_args({**cluster.db.login, **options}), pytest.raises(SystemExit):
            gmt_hold.main()
        return json.loads(capsys.readouterr().out)

    result = call(ids=[1], owner="ada@office", reason="new fan", settle=0, _ansible_diff=True)
    assert (result["changed"], result["diff"]["before"]["holds"][0]["owner"]) == (True, None)
    assert "diff" not in call(ids=[1], owner="ada@office", reason="new fan", settle=0)
    assert "is held by ada@office" in call(ids=[1], owner="bob@home", reason="x")["msg"]
