# SPDX-License-Identifier: GPL-3.0-or-later
"""gmt_history_info on a real PostgreSQL."""

from __future__ import annotations

import json
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.greenlab.cluster.plugins.module_utils._jobs_db import JobsDBError
from ansible_collections.greenlab.cluster.plugins.module_utils._machine_state import STATE_OF_CODE
from ansible_collections.greenlab.cluster.plugins.modules import gmt_history_info

HOLDS_SQL = Path(gmt_history_info.__file__).parents[2] / "roles/jobs_db/files/holds.sql"
WEEK = 7 * 86400


def read(db: Any, **options: Any) -> dict[str, Any]:
    """Read; nothing may be written."""
    before = db.everything(locks=True)
    result = gmt_history_info.run(db.options(gmt_history_info.argument_spec(), **options))
    assert db.everything(locks=True) == before
    assert not result["changed"]
    json.dumps(result)
    return result


def changes(db: Any, **options: Any) -> dict[int, str]:
    return {machine["id"]: machine["changes"] for machine in read(db, **options)["machines"]}


def add(db: Any, machine_id: int, *rows: tuple[int, str]) -> None:
    """Add rows of client_status that are so many seconds old; half a second apart from a whole one."""
    for age, code in rows:
        db.sql(
            "INSERT INTO client_status (machine_id, status_code, created_at)"
            " VALUES (%s, %s, now() - make_interval(secs => %s + 0.5))",
            machine_id,
            code,
            age,
        )


def seconds(text: str, window: int = WEEK) -> list[tuple[int, str]]:
    """Return (age in seconds, state) of each change."""
    pairs = [change.split(":") for change in text.split()]
    return [(window - int(start), state) for start, state in pairs]


@pytest.fixture
def machines(any_jobs_db: Any) -> Any:
    any_jobs_db.sql("DELETE FROM jobs; DELETE FROM client_status; DELETE FROM machines")
    any_jobs_db.sql("INSERT INTO machines (id, description) VALUES (1, 'a'), (2, 'b'), (3, 'c')")
    return any_jobs_db


def close_to(found: list[tuple[int, str]], wanted: list[tuple[int, str]]) -> bool:
    """Compare, and forgive the seconds that the test itself takes."""
    return [state for _age, state in found] == [state for _age, state in wanted] and all(
        -1 <= age - expected < 20 for (age, _state), (expected, _wanted) in zip(found, wanted)
    )


def test_changes_of_state(machines: Any) -> None:
    add(machines, 1, (3600, "job_no"), (3000, "job_start"), (2000, "job_end"), (1999, "maintenance_start"))
    # Neighbours of one state are one change; an error is a failure, whether the client sleeps it off or not.
    add(machines, 1, (1900, "maintenance_end"), (1800, "job_no"), (900, "job_start"), (800, "job_error"))
    add(machines, 3, (100, "maintenance_error"), (50, "a_code_of_tomorrow"))
    found = changes(machines)
    assert list(found) == [1, 2, 3]
    assert close_to(
        seconds(found[1]),
        [
            (3600, "idle"),
            (3000, "measuring"),
            (2000, "transient"),
            (1800, "idle"),
            (900, "measuring"),
            (800, "failed"),
        ],
    )
    assert found[2] == ""
    assert close_to(seconds(found[3]), [(100, "failed"), (50, "unknown")])


def test_the_state_at_the_begin_of_the_window_is_known(machines: Any) -> None:
    add(machines, 1, (9 * 86400, "job_start"), (8 * 86400, "job_no"), (10, "job_start"))
    # Rows that were written later and are older (a restored backup) do not hide the newer one.
    add(machines, 1, (12 * 86400, "job_start"))
    add(machines, 2, (30 * 86400, "job_no"))
    found = changes(machines)
    assert close_to(seconds(found[1]), [(8 * 86400, "idle"), (10, "measuring")])
    assert found[1].startswith("-86400:idle ") or found[1].startswith("-86401:idle ")
    assert close_to(seconds(found[2]), [(30 * 86400, "idle")])
    # With one that is long enough all is in it.
    assert close_to(
        seconds(changes(machines, window="13d")[1], 13 * 86400),
        [(12 * 86400, "measuring"), (8 * 86400, "idle"), (10, "measuring")],
    )


def test_rows_of_one_moment_come_in_the_order_in_which_they_were_written(machines: Any) -> None:
    for code in ("job_no", "job_start", "job_error"):
        machines.sql(
            "INSERT INTO client_status (machine_id, status_code, created_at) VALUES (1, %s, now()::date - 1)", code
        )
    assert [state for _age, state in seconds(changes(machines)[1])] == ["idle", "measuring", "failed"]


def test_rows_of_the_future_and_of_nobody_are_left_out(machines: Any) -> None:
    add(machines, 1, (100, "job_no"), (-3600, "job_start"))
    machines.sql("INSERT INTO client_status (machine_id, status_code) VALUES (NULL, 'job_start')")
    assert [state for _age, state in seconds(changes(machines)[1])] == ["idle"]


def test_every_code_of_gmt_has_a_state(machines: Any) -> None:
    for place, code in enumerate(STATE_OF_CODE):
        add(machines, 1, (1000 - place, code))
    states = {state for _age, state in seconds(changes(machines)[1])}
    assert states == {"idle", "measuring", "transient", "failed"}


def test_filter_and_window(machines: Any) -> None:
    # A server whose operator lives elsewhere still answers in UTC.
    machines.sql(f"""ALTER DATABASE "{machines.name}" SET timezone = 'America/New_York'""")
    assert list(changes(machines, ids=[3, 1, 99999999999])) == [1, 3]
    assert changes(machines, ids=[]) == {}
    result = read(machines, window="90m")
    since, until = (datetime.fromisoformat(result[name]) for name in ("since", "until"))
    assert until - since == timedelta(minutes=90)
    assert result["until"].endswith("+00:00")
    assert read(machines)["holds"] == []


@pytest.mark.parametrize(("window", "message"), [("x", "window: 'x' is no time"), ("59s", "less than a minute")])
def test_bad_window(jobs_db: Any, window: str, message: str) -> None:
    with pytest.raises(JobsDBError, match=message):
        gmt_history_info.run(jobs_db.options(gmt_history_info.argument_spec(), window=window))


def test_holds(machines: Any, postgres: Any) -> None:
    postgres.psql("-v", "version=test", db=f"'{machines.name}'", stdin=HOLDS_SQL.read_text(encoding="utf8"))
    machines.sql(
        "INSERT INTO greenlab.holds (machine_id, owner, reason, held_at, released_at, was_available) VALUES"
        " (1, 'ada', 'old', now() - interval '9 days', now() - interval '8 days', true),"
        " (1, 'ada', 'overlaps', now() - interval '8 days', now() - interval '6 days', true),"
        " (3, 'bob', E'<b>\\n{{ 1 }}', now() - interval '1 day', NULL, true)"
    )

    def holds_of(**options: Any) -> list[dict[str, Any]]:
        return gmt_history_info.run(machines.options(gmt_history_info.argument_spec(), **options))["holds"]

    holds = holds_of()
    assert [(hold["machine_id"], hold["owner"], hold["reason"]) for hold in holds] == [
        (1, "ada", "overlaps"),
        (3, "bob", "<b>\n{{ 1 }}"),
    ]
    assert holds[0]["released_at"].endswith("+00:00")
    assert holds[1]["released_at"] is None
    assert [hold["machine_id"] for hold in holds_of(ids=[1, 2])] == [1]


def test_any_number_of_machines_is_the_same_number_of_statements(jobs_db: Any, statements: list[Any]) -> None:
    """A thousand machines, a quarter of a million rows, and the planner knows nothing of them yet."""
    jobs_db.sql(
        "INSERT INTO machines (id, description) SELECT n, 'Machine ' || n FROM generate_series(2, 1000) AS n;"
        "INSERT INTO client_status (machine_id, status_code, created_at)"
        " SELECT n, (array['job_no', 'job_start', 'job_end', 'maintenance_start', 'maintenance_end'])[1 + k % 5],"
        " now() - make_interval(mins => 20 * k) FROM generate_series(1, 1000) AS n, generate_series(1, 250) AS k"
    )
    params = jobs_db.options(gmt_history_info.argument_spec())
    statements.clear()
    result = gmt_history_info.run(params)
    assert len(statements) == 5  # settings, schema, clock, changes, whether there are holds
    assert len(result["machines"]) == 1000
    assert all(len(machine["changes"].split()) == 150 for machine in result["machines"])
