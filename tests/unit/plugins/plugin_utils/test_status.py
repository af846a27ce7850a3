# SPDX-License-Identifier: GPL-3.0-or-later
"""What each machine does and did, and the table of it."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest
from ansible.errors import AnsibleFilterError

from ansible_collections.greenlab.cluster.plugins.filter.status_page import status_page
from ansible_collections.greenlab.cluster.plugins.filter.status_table import status_table
from ansible_collections.greenlab.cluster.plugins.plugin_utils import _status

SINCE, UNTIL = "2026-11-21T00:00:00+00:00", "2026-11-21T10:00:00+00:00"
HOUR = 3600
COMMIT, OTHER_COMMIT = "86d4733" + "0" * 33, "0bf6f41" + "0" * 33


def variables(number: int = 1, **more: Any) -> dict[str, Any]:
    return {"gmt_machine_id": number, "gmt_machine_description": f"Machine {number}", "gmt_release": "v4.1", **more}


def row(number: int = 1, **more: Any) -> dict[str, Any]:
    return {
        "id": number,
        "description": f"Machine {number}",
        "last_status": "job_no",
        "jobs_waiting": 0,
        "jobs_running": 0,
        "running_job": None,
        "gmt_hash": COMMIT,
        "current_temperature": None,
        "base_temperature": None,
        "shutdown_on_job_no": None,
        "held_by": None,
        "held_for": None,
        "held_since": None,
        **more,
    }


def history(*changes: str, holds: list[dict[str, Any]] | None = None) -> dict[str, Any]:
    machines = [{"id": number, "changes": text} for number, text in enumerate(changes, 1)]
    return {"since": SINCE, "until": UNTIL, "machines": machines, "holds": holds or []}


def hold(held_at: str, released_at: str | None = None) -> dict[str, Any]:
    return {"machine_id": 1, "owner": "ada", "reason": "fan", "held_at": held_at, "released_at": released_at}


def wake_log(*events: tuple[str, str], number: int = 1) -> str:
    return "".join(
        json.dumps({"at": f"2026-11-21T{at}:00Z", "event": event, "machine_id": number, "machine": "m"}) + "\n"
        for at, event in events
    )


def machine(changes: str, log: str = "", holds: list[dict[str, Any]] | None = None, **more: Any) -> _status.Machine:
    """Return the machine of a cluster of one; `more` are host variables."""
    hosts = {"machine1": variables(**more)}
    return _status.read(list(hosts), hosts, [row()], history(changes, holds=holds), log).machines[0]


def spans(*args: Any, **more: Any) -> list[tuple[float, float, str]]:
    return [tuple(span) for span in machine(*args, **more).spans]


# --- what a machine did ----------------------------------------------------------------------------------------------


def test_changes_become_spans_that_cover_the_window() -> None:
    assert spans("-60:idle 600:measuring 700:transient 700:failed") == [
        (-60, 600, "idle"),
        (600, 700, "measuring"),
        (700, 10 * HOUR, "failed"),
    ]
    assert spans("600:transient") == [(0, 600, "unknown"), (600, 10 * HOUR, "preparing")]
    assert spans("") == [(0, 10 * HOUR, "unknown")]


@pytest.mark.parametrize("shutdown", ["suspend", "poweroff", True])
def test_sleep_is_assumed_a_minute_after_the_queue_was_empty(shutdown: Any) -> None:
    assert spans("0:idle 600:measuring 700:idle", gmt_shutdown_on_job_no=shutdown) == [
        (0, 60, "idle"),
        (60, 600, "asleep"),
        (600, 700, "measuring"),
        (700, 760, "idle"),
        (760, 10 * HOUR, "asleep"),
    ]
    assert spans("0:idle 60:measuring", gmt_shutdown_on_job_no=shutdown)[0] == (0, 60, "idle")


@pytest.mark.parametrize(
    ("said", "wanted", "state"),
    [
        ("suspend", "no", "asleep"),
        ("false", "suspend", "idle"),
        (None, "poweroff", "asleep"),
        (None, False, "idle"),
        (None, None, "idle"),
    ],
)
def test_what_the_client_says_of_itself_counts_more_than_the_inventory(said: Any, wanted: Any, state: str) -> None:
    hosts = {"machine1": variables(**({} if wanted is None else {"gmt_shutdown_on_job_no": wanted}))}
    rows = [row(shutdown_on_job_no=said)]
    assert _status.read(list(hosts), hosts, rows, history("0:idle")).machines[0].state == state


def test_the_wake_host_knows_better() -> None:
    log = wake_log(("02:00", "asleep"), ("05:00", "waking"), ("05:01", "woken"), ("07:00", "failed"))
    seen = [
        (0, 2 * HOUR, "idle"),
        (2 * HOUR, 5 * HOUR + 60, "asleep"),
        (5 * HOUR + 60, 7 * HOUR, "idle"),
        (7 * HOUR, 10 * HOUR, "failed"),
    ]
    assert spans("0:idle", log) == seen
    assert spans("0:idle", log, gmt_shutdown_on_job_no="suspend") == seen
    # It did not see this machine fall asleep.
    assert spans("0:idle", wake_log(("05:00", "woken")), gmt_shutdown_on_job_no="suspend") == [
        (0, 60, "idle"),
        (60, 5 * HOUR, "asleep"),
        (5 * HOUR, 10 * HOUR, "idle"),
    ]


def test_what_the_client_does_is_not_the_wake_hosts_affair() -> None:
    assert spans("0:measuring 3600:idle", wake_log(("00:30", "asleep")))[0] == (0, HOUR, "measuring")
    assert spans("0:idle", wake_log(("01:00", "asleep"), number=2)) == [(0, 10 * HOUR, "idle")]


def test_lines_that_nobody_understands_are_passed_over() -> None:
    noise = '{"event": "queue"}\nnull\n[1]\n{"event": "asleep", "machine_id": 1, "at": "yesterday"}\n'
    noise += '{"event": "asleep", "machine_id": [1], "at": "2026-11-21T00:30:00Z"}\n'
    noise += '{"event": "asleep", "machine_id": 1, "at": "2026-11-21T00:30:00"}\n'
    assert spans("0:idle", noise + wake_log(("01:00", "asleep")) + '{"at": "2026-11-21T02:00:00Z", "ev') == [
        (0, HOUR, "idle"),
        (HOUR, 10 * HOUR, "asleep"),
    ]


def test_a_hold_covers_all_but_measurements() -> None:
    held = [hold("2026-11-20T23:00:00+00:00", "2026-11-21T01:00:00+00:00"), hold("2026-11-21T02:00:00+00:00")]
    changes = f"-60:idle {2 * HOUR + 600}:measuring {3 * HOUR}:transient {3 * HOUR + 60}:idle"
    assert spans(changes, holds=held) == [
        (-60, HOUR, "held"),
        (HOUR, 2 * HOUR, "idle"),
        (2 * HOUR, 2 * HOUR + 600, "held"),
        (2 * HOUR + 600, 3 * HOUR, "measuring"),
        (3 * HOUR, 10 * HOUR, "held"),
    ]
    assert spans("", holds=held[1:]) == [(0, 2 * HOUR, "unknown"), (2 * HOUR, 10 * HOUR, "held")]


def test_without_an_answer_of_the_jobs_db_nothing_is_known() -> None:
    hosts = {"machine1": variables()}
    cluster = _status.read(list(hosts), hosts, [], {"failed": True})
    assert cluster.machines[0].state == "unknown"
    assert cluster.machines[0].since is None
    assert cluster.window.seconds == 0


# --- what is known of it now -----------------------------------------------------------------------------------------


def now(rows: list[dict[str, Any]], changes: str = "0:idle", **more: Any) -> _status.Machine:
    hosts = {"machine1": variables(**more)}
    return _status.read(list(hosts), hosts, rows, history(changes)).machines[0]


def test_jobs_that_cron_starts_write_no_status() -> None:
    assert now([row(jobs_running=1)], "").state == "measuring"
    assert now([row(jobs_running=0)], "").state == "unknown"


def test_temperature() -> None:
    assert now([row(current_temperature=38, base_temperature=40)]).temperature == "38/40 °C"
    assert now([row(current_temperature=38)]).temperature == "38 °C"
    assert now([row(base_temperature=40)]).temperature is None


def test_release_is_the_wanted_one_and_the_commit_that_runs() -> None:
    assert now([row()]).release == "v4.1 86d4733"
    assert now([row()], gmt_version=COMMIT).release == "86d4733"
    assert now([row()], gmt_version="my-branch").release == "my-branch 86d4733"
    assert now([row(gmt_hash=None)]).release is None
    assert not now([row()]).needs_validation
    assert now([row(needs_revalidation=True)]).needs_validation


def test_drift_of_a_commit_is_exact() -> None:
    assert now([row()], gmt_version=COMMIT).drift == ()
    assert now([row()], gmt_version=OTHER_COMMIT).drift == ("wanted 0bf6f41",)
    assert now([row(gmt_hash=None)], gmt_version=OTHER_COMMIT).drift == ()


def test_drift_of_a_tag_is_a_comparison_with_the_others() -> None:
    def drift(*commits: str | None) -> list[bool]:
        hosts = {f"machine{number}": variables(number) for number in range(1, len(commits) + 1)}
        rows = [row(number, gmt_hash=commit) for number, commit in enumerate(commits, 1)]
        found = {machine.host: machine for machine in _status.read(list(hosts), hosts, rows, history()).machines}
        return ["other commit" in found[host].drift for host in hosts]

    assert drift("a", "a", "b", None) == [False, False, True, False]
    assert drift("a", "b") == [True, True]
    assert drift("a", None) == [False, False]


def test_drift_of_name_and_service() -> None:
    assert now([row(description="Other")], gmt_client_state="failed").drift == ("other name", "client failed")
    assert now([row()], gmt_client_state="active").drift == ()
    assert now([]).drift == ("not registered",)
    assert now([]).description == "Machine 1"


@pytest.mark.parametrize(
    ("changes", "more", "problem"),
    [
        ("0:failed", {"last_status": "job_error"}, "failed (job_error)"),
        ("0:idle", {"jobs_running": 1}, "a job is RUNNING, and the client is not: left behind by a crash?"),
        ("", {"last_status": None}, "its client never reported"),
        ("", {"last_status": "tea_break"}, "its client reports tea_break, which this collection does not know"),
        (
            "-86400:measuring",
            {"status_since": "2026-11-20T11:00:00+01:00"},
            "no report since 2026-11-20 10:00: without power, or hung?",
        ),
        (
            "0:idle",
            {"held_by": "ada", "held_for": "fan", "held_since": "2026-11-21T03:00:00+01:00"},
            "held by ada since 2026-11-21 02:00",
        ),
    ],
)
def test_problems(changes: str, more: dict[str, Any], problem: str) -> None:
    assert now([row(**more)], changes).problems == (problem,)


def test_a_machine_that_works_or_sleeps_is_no_problem() -> None:
    assert now([row(jobs_running=1)], "0:measuring").problems == ()
    assert now([row()]).problems == ()
    assert now([row(status_since="2026-11-20T10:00:01+00:00")], "0:measuring").problems == ()  # a long job
    assert now([row(status_since="2026-10-01T00:00:00+00:00")], "0:idle").problems == ()  # nothing to report
    assert machine("0:idle", wake_log(("05:00", "failed"))).problems == ("did not wake up",)


def test_what_needs_attention_comes_first_and_the_page_has_the_order_of_the_table() -> None:
    """By severity, then by the longest queue; the others by state, then by queue; then as in the inventory."""
    old = "2026-11-01T00:00:00+00:00"
    held = {"held_by": "ada", "held_for": "fan", "held_since": SINCE}
    machines: dict[str, tuple[str, dict[str, Any] | None]] = {
        "idle": ("0:idle", {}),
        "measuring": ("0:measuring", {}),
        "measuring-with-queue": ("0:measuring", {"jobs_waiting": 2}),
        "measuring-too": ("0:measuring", {}),
        "drifted": ("0:idle", {"description": "Other", "jobs_waiting": 99}),
        "held": ("0:idle", held),
        "held-with-queue": ("0:measuring", {**held, "jobs_waiting": 1}),
        "silent": ("", {"last_status": None}),
        "not-registered": ("", None),
        "stale": ("-60:measuring", {"status_since": old}),
        "crashed": ("0:idle", {"jobs_running": 1, "jobs_waiting": 3}),
        "unreachable": ("0:failed", {}),
        "failed": ("0:failed", {"last_status": "job_error"}),
        "failed-with-queue": ("0:failed", {"last_status": "job_error", "jobs_waiting": 12}),
        "failed-and-held": ("0:failed", {**held, "last_status": "job_error", "jobs_waiting": 9}),
    }
    hosts = {host: variables(number) for number, host in enumerate(machines, 1)}
    rows = [row(number, **more) for number, (_changes, more) in enumerate(machines.values(), 1) if more is not None]
    arguments = list(hosts), hosts, rows, history(*(changes for changes, _more in machines.values()))
    order = ["failed-with-queue", "failed-and-held", "failed", "unreachable", "crashed", "stale", "silent"]
    order += ["not-registered", "held-with-queue", "held", "drifted"]
    order += ["measuring-with-queue", "measuring", "measuring-too", "idle"]
    assert [line.split()[0] for line in status_table(*arguments)[2:]] == order
    text = status_page(*arguments)
    assert re.findall(r'<th scope="row">([a-z-]+) ', text) == order
    assert "Needs attention (11)" in text
    assert "<b>failed (job_error); held by ada since 2026-11-21 00:00</b>" in text


def test_saved_watts() -> None:
    assert now([row()]).saved_watts is None
    assert now([row()], status_idle_watts=18).saved_watts is None
    assert now([row()], status_idle_watts="18", status_sleep_watts=1.5).saved_watts == 16.5


@pytest.mark.parametrize(
    ("watts", "message"),
    [
        (("a lot", 1), "machine1: status_idle_watts is 'a lot'. Write what the machine draws"),
        ((18, -1), "machine1: status_sleep_watts is -1. Write"),
        ((True, 1), "machine1: status_idle_watts is True. Write"),
        ((float("nan"), 1), "machine1: status_idle_watts is nan. Write"),
        ((1, None), "machine1: status_sleep_watts is None. Write"),
        ((1, 18), r"machine1: status_idle_watts \(1\) is less than status_sleep_watts \(18\)"),
    ],
)
@pytest.mark.parametrize("show", [status_page, status_table])
def test_bad_watts_are_an_error_that_names_host_and_value(show: Any, watts: tuple[Any, Any], message: str) -> None:
    hosts = {"machine1": variables(status_idle_watts=watts[0], status_sleep_watts=watts[1])}
    with pytest.raises(AnsibleFilterError, match=message):
        show(list(hosts), hosts, [row()], history("0:idle"))


# --- as a table ------------------------------------------------------------------------------------------------------


def test_table_shows_what_is_known_and_a_dash_for_what_is_not() -> None:
    hosts = {"machine1": variables(), "machine2": variables(2)}
    rows = [row(jobs_waiting=3, running_job={"id": 4711, "name": "App 1.0"}, jobs_running=1, current_temperature=38)]
    assert status_table(list(hosts), hosts, rows, history("3600:measuring", "")) == [
        "machine   state      since (UTC)       job           queue  hold  release       temperature  drift",
        "--------  ---------  ----------------  ------------  -----  ----  ------------  -----------  --------------",
        "machine2  unknown    -                 -             -      -     -             -            not registered",
        "machine1  measuring  2026-11-21 01:00  4711 App 1.0  3      -     v4.1 86d4733  38 °C        -",
    ]


def test_a_full_table_fits_a_terminal_of_120_columns() -> None:
    long = "x" * 300
    hosts = {"machine1": variables(gmt_client_state="inactive", gmt_version=OTHER_COMMIT), "machine2": variables(2)}
    rows = [
        row(
            number,
            description=long,
            running_job={"id": 123456, "name": long},
            jobs_waiting=99,
            current_temperature=100,
            base_temperature=100,
            held_by=long,
            held_for=long,
            held_since=SINCE,
        )
        for number in (1, 2)
    ]
    lines = status_table(list(hosts), hosts, rows, history("0:measuring", "0:transient"))
    assert max(map(len, lines)) <= 120
    assert "123456 xxxxxxxx…" in lines[2]
    assert lines[2].endswith("wanted 0bf6f4…")


def test_a_text_of_the_jobs_db_stays_in_its_cell() -> None:
    hostile = "a\n\x1b[31mb\u202ec\u2028d"
    hosts = {"machine1": variables()}
    lines = status_table(list(hosts), hosts, [row(running_job={"id": 1, "name": hostile})], history("0:measuring"))
    assert len(lines) == 3
    assert "1 a��[31mb�c�d" in lines[2]
