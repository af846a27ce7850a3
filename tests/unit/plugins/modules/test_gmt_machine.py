# SPDX-License-Identifier: GPL-3.0-or-later
"""gmt_machine on a real PostgreSQL: check mode, the tables, a real run, the tables, both again."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psycopg
import pytest

from ansible_collections.greenlab.cluster.plugins.module_utils import _jobs_db
from ansible_collections.greenlab.cluster.plugins.modules import gmt_machine

SEED = "Development machine for testing"
DELL = {"id": 1, "description": "Dell R640"}
PI = {"id": 2, "description": "Raspberry Pi 5"}


def run(db: Any, *machines: dict[str, Any], check: bool = False, **options: Any) -> dict[str, Any]:
    params = db.options(gmt_machine.argument_spec(), machines=list(machines), **options)
    return gmt_machine.run(params, check_mode=check)


def check_and_run(db: Any, *machines: dict[str, Any], **options: Any) -> dict[str, Any]:
    """Run in check mode and for real, then both again; both must tell the same and write only what they say."""
    before = db.everything()
    foretold = run(db, *machines, check=True, **options)
    assert db.everything() == before, "check mode wrote something"
    result = run(db, *machines, **options)
    assert foretold == result
    after = db.everything(locks=True)
    assert (db.everything() != before) == result["changed"]

    again = run(db, *machines, check=True, **options)
    assert not again["changed"]
    again = run(db, *machines, **options)
    assert not again["changed"]
    assert again["diff"] == {"before": {}, "after": {}}
    assert again["machines"] == result["machines"]
    assert db.everything(locks=True) == after, "a run that changes nothing wrote or locked a row"
    return result


def refused(db: Any, *machines: dict[str, Any], **options: Any) -> str:
    """Return the error; nothing may have been written."""
    before = db.everything()
    messages = []
    for check in (True, False):
        with pytest.raises(_jobs_db.JobsDBError) as error:
            run(db, *machines, check=check, **options)
        messages.append(str(error.value))
        assert db.everything() == before
    assert messages[0] == messages[1], "check mode and a real run disagree"
    return messages[0]


# Registering ----------------------------------------------------------------------------------------------------------


def test_new_machines_are_registered(any_jobs_db: Any) -> None:
    result = check_and_run(any_jobs_db, PI, dict(DELL, available=False))
    rows = [dict(DELL, available=False), dict(PI, available=True)]
    assert result["changed"]
    assert result["machines"] == rows
    assert any_jobs_db.machines() == [(1, "Dell R640", False), (2, "Raspberry Pi 5", True)]
    assert result["diff"]["after"]["machines"] == rows


def test_users_may_use_the_machines_and_keep_their_other_capabilities(jobs_db: Any) -> None:
    jobs_db.sql(
        "INSERT INTO users (name, token, capabilities) VALUES"
        """ ('ada', 'a', '{"api": {"quotas": {"/v1/job": 5}}, "machines": [77, 2]}'),"""
        """ ('bob', 'b', '{"api": {}, "machines": null}'), ('eve', 'e', '{"x": 1}')"""
    )
    result = check_and_run(jobs_db, {"id": 7, "description": "Pi 7"}, PI, users=["ada", "bob"])
    assert jobs_db.machines_of("ada") == [77, 2, 7]
    assert jobs_db.machines_of("bob") == [2, 7]
    assert jobs_db.machines_of("DEFAULT") == [1]
    assert jobs_db.sql("SELECT capabilities - 'machines' AS rest FROM users WHERE name = 'ada'") == [
        {"rest": {"api": {"quotas": {"/v1/job": 5}}}}
    ]
    assert jobs_db.sql("SELECT capabilities FROM users WHERE name = 'eve'") == [{"capabilities": {"x": 1}}]
    assert result["diff"]["before"]["users"] == [
        {"name": "ada", "machines": [77, 2]},
        {"name": "bob", "machines": None},
    ]
    assert result["diff"]["after"]["users"] == [
        {"name": "ada", "machines": [77, 2, 7]},
        {"name": "bob", "machines": [2, 7]},
    ]


def test_capabilities_without_the_list_get_one(jobs_db: Any) -> None:
    jobs_db.sql("""UPDATE users SET capabilities = '{"user": {}}' WHERE name = 'DEFAULT'""")
    check_and_run(jobs_db, PI)
    assert jobs_db.sql("SELECT capabilities FROM users WHERE name = 'DEFAULT'") == [
        {"capabilities": {"user": {}, "machines": [2]}}
    ]


def test_no_users(jobs_db: Any) -> None:
    check_and_run(jobs_db, PI, users=[])
    assert jobs_db.machines_of("DEFAULT") == [1]


def test_unknown_and_broken_users_are_an_error(jobs_db: Any) -> None:
    jobs_db.sql("""INSERT INTO users (name, token, capabilities) VALUES ('ada', 'a', '{"machines": {"2": true}}')""")
    message = refused(jobs_db, PI, users=["ada", "nobody"])
    assert "User 'nobody' is not in the users table" in message
    assert "User 'ada' has broken capabilities: 'machines' must be a list of ids, but is {'2': True}" in message


def test_available_is_only_changed_when_it_is_given(any_jobs_db: Any) -> None:
    run(any_jobs_db, PI)
    any_jobs_db.sql("UPDATE machines SET available = false WHERE id = 2")
    assert not check_and_run(any_jobs_db, PI)["changed"]
    assert check_and_run(any_jobs_db, dict(PI, description="Pi"), takeover=True)["machines"][0]["available"] is False
    assert check_and_run(any_jobs_db, dict(PI, description="Pi", available=True))["changed"]
    assert (2, "Pi", True) in any_jobs_db.machines()


def test_next_row_without_an_id_does_not_collide(any_jobs_db: Any) -> None:
    result = check_and_run(any_jobs_db, dict(PI, id=9))
    assert result["diff"]["after"]["sequence"] == 9
    assert any_jobs_db.sql("INSERT INTO machines (description) VALUES ('by hand') RETURNING id") == [{"id": 10}]
    # A smaller id does not move the sequence back.
    assert "sequence" not in check_and_run(any_jobs_db, dict(PI, id=3, description="Pi 3"))["diff"]["after"]


def test_sequence_alone_is_a_change(any_jobs_db: Any) -> None:
    """GMT's own client registers with an explicit id and leaves the sequence behind."""
    run(any_jobs_db, PI)
    any_jobs_db.sql("INSERT INTO machines (id, description) VALUES (50, 'came by itself')")
    result = check_and_run(any_jobs_db, PI)
    assert result["diff"] == {"before": {"sequence": 2}, "after": {"sequence": 50}}


def test_empty_list(any_jobs_db: Any) -> None:
    run(any_jobs_db, PI)
    assert check_and_run(any_jobs_db)["machines"] == []


def test_thousand_machines_are_a_few_statements_and_no_write_the_second_time(
    jobs_db: Any, statements: list[Any]
) -> None:
    machines = [{"id": number, "description": f"Machine {number}"} for number in range(1, 1001)]
    statements.clear()
    began = time.monotonic()
    result = run(jobs_db, *machines)
    seconds = time.monotonic() - began
    assert len(result["machines"]) == 1000
    assert len(statements) <= 12
    assert jobs_db.machines_of("DEFAULT") == list(range(1, 1001))
    assert seconds < 5
    before = jobs_db.everything(locks=True)
    assert not run(jobs_db, *machines)["changed"]
    assert jobs_db.everything(locks=True) == before


# What is refused ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("machines", "message"),
    [
        ([{"id": 0, "description": "x"}], "Machine 0 ('x'): the id must be an integer from 1 to 1024"),
        ([{"id": 1025, "description": "x"}], "Machine 1025 ('x'): the id must be an integer from 1 to 1024"),
        ([{"id": True, "description": "x"}], "Machine True ('x'): the id must be an integer from 1 to 1024"),
        ([{"id": 1, "description": "x"}, {"id": 1, "description": "y"}], "Id 1 is given twice in the list"),
        (
            [{"id": 1, "description": "x"}, {"id": 2, "description": "x"}],
            "Machines 1 and 2 have the same description 'x'",
        ),
        ([{"id": 1}], "Machine 1 has no description"),
        ([{"id": 1, "description": ""}], "Machine 1: the description '' is empty"),
        ([{"id": 1, "description": " "}], "Machine 1: the description ' ' is empty"),
        ([{"id": 1, "description": "x "}], "Machine 1: the description 'x ' begins or ends with a blank"),
        ([{"id": 1, "description": "x\ny"}], r"Machine 1: the description 'x\ny' holds a line break"),
        ([{"id": 1, "description": "x\0"}], r"Machine 1: the description 'x\x00' holds a line break"),
        ([{"id": 1, "description": "x\u2028y"}], r"the description 'x\u2028y' holds a line break"),
        ([{"id": 1, "description": "x\udc80"}], r"the description 'x\udc80' holds a line break"),
    ],
)
def test_lists_that_contradict_themselves(any_jobs_db: Any, machines: list[dict[str, Any]], message: str) -> None:
    assert message in refused(any_jobs_db, *machines)


def test_all_problems_are_told_at_once(jobs_db: Any) -> None:
    message = refused(jobs_db, {"id": 0, "description": "x"}, {"id": 3, "description": ""}, {"id": 4})
    assert all(part in message for part in ("Machine 0", "Machine 3", "Machine 4"))
    message = refused(jobs_db, *({"id": number + 2000, "description": f"x{number}"} for number in range(30)))
    assert message.endswith("… and 10 more.")


@pytest.mark.parametrize(
    "description",
    [
        "O'Hara's \"best\" machine",
        "$(touch x) `touch x` ; rm -rf /",
        "'); DROP TABLE machines; --",
        "%s %(id)s {id} {{ id }}",
        "\\ \\n \\u0000 E'\\x00'",
        "Rechner in Köln, 中文, 🐢",
        "x" * 10000,
    ],
)
def test_hostile_descriptions_are_only_text(any_jobs_db: Any, description: str) -> None:
    check_and_run(any_jobs_db, dict(PI, description=description))
    assert (2, description, True) in any_jobs_db.machines()
    assert "is registered as" in refused(any_jobs_db, PI)
    assert check_and_run(any_jobs_db, dict(PI, description=description), state="retired")["changed"]


def test_description_of_another_row(any_jobs_db: Any) -> None:
    run(any_jobs_db, PI)
    message = refused(any_jobs_db, dict(PI, id=3), takeover=True)
    assert "Machine 3 cannot be named 'Raspberry Pi 5': machine 2 has that description." in message
    run(any_jobs_db, PI, state="retired")
    assert "machine 2 (not available) has that description" in refused(any_jobs_db, dict(PI, id=3))


def test_takeover(any_jobs_db: Any) -> None:
    run(any_jobs_db, PI)
    new = dict(PI, description="Pi of Ada")
    message = refused(any_jobs_db, new)
    assert "Machine 2 is registered as 'Raspberry Pi 5', not as 'Pi of Ada'." in message
    assert "takeover: true" in message
    result = check_and_run(any_jobs_db, new, takeover=True)
    assert result["diff"] == {
        "before": {"machines": [dict(PI, available=True)]},
        "after": {"machines": [dict(new, available=True)]},
    }


def test_two_machines_swap_their_names(any_jobs_db: Any) -> None:
    run(any_jobs_db, PI, {"id": 3, "description": "Pi 3"})
    check_and_run(any_jobs_db, dict(PI, id=3), {"id": 2, "description": "Pi 3"}, takeover=True)
    assert any_jobs_db.machines()[-2:] == [(2, "Pi 3", True), (3, "Raspberry Pi 5", True)]


# GMT's own machine 1 --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("seed", gmt_machine.SEED_DESCRIPTIONS)
def test_seed_row_needs_no_takeover(jobs_db: Any, seed: str) -> None:
    assert jobs_db.machines() == [(1, SEED, True)]
    jobs_db.sql("UPDATE machines SET description = %s", seed)
    result = check_and_run(jobs_db, DELL)
    assert result["diff"]["before"]["machines"] == [{"id": 1, "description": seed, "available": True}]
    assert jobs_db.machines() == [(1, "Dell R640", True)]


@pytest.mark.parametrize(
    ("table", "statement"),
    [
        (
            "jobs",
            "INSERT INTO jobs (type, url, branch, filename, machine_id, user_id) VALUES ('run', 'u', 'b', 'f', 1, 1)",
        ),
        ("jobs", "INSERT INTO jobs (type, machine_id, user_id) VALUES ('run', 1, 1)"),
        (
            "runs",
            "INSERT INTO runs (uri, branch, filename, machine_id, user_id) VALUES ('u', 'b', 'f', 1, 1)",
        ),
        ("client_status", "INSERT INTO client_status (status_code, machine_id) VALUES ('job_no', 1)"),
    ],
)
def test_seed_row_that_was_used_is_not_renamed_silently(jobs_db: Any, table: str, statement: str) -> None:
    jobs_db.sql(statement)
    message = refused(jobs_db, DELL)
    assert f"Machine 1 is registered as '{SEED}' and was used (rows in {table}), not as 'Dell R640'." in message
    assert check_and_run(jobs_db, DELL, takeover=True)["changed"]


def test_seed_text_on_another_id_is_an_ordinary_name(jobs_db: Any) -> None:
    jobs_db.sql("UPDATE machines SET description = 'mine'")
    run(jobs_db, {"id": 5, "description": SEED})
    assert "Machine 5 is registered as" in refused(jobs_db, {"id": 5, "description": "other"})


# Retiring -------------------------------------------------------------------------------------------------------------


def test_retire(jobs_db: Any) -> None:
    jobs_db.sql(
        "INSERT INTO users (name, token, capabilities) VALUES"
        """ ('ada', 'a', '{"machines": [9, 2, 5, 2]}'), ('bob', 'b', '{"machines": "all"}'), ('eve', 'e', '[2]')"""
    )
    run(jobs_db, DELL, PI)
    jobs_db.sql(
        "INSERT INTO jobs (type, state, name, url, machine_id, user_id) VALUES"
        " ('run', 'WAITING', 'waits', 'https://a', 2, 1), ('run', 'RUNNING', 'runs', 'u', 2, 1),"
        " ('run', 'WAITING', 'of another', 'u', 1, 1), ('email-simple', 'WAITING', 'mail', 'u', 2, 1)"
    )
    jobs = jobs_db.sql("SELECT * FROM jobs ORDER BY id")
    waiting = next(job["id"] for job in jobs if job["name"] == "waits")
    result = check_and_run(jobs_db, {"id": 2}, state="retired")
    assert result["machines"] == [dict(PI, available=False)]
    assert result["waiting_jobs"] == [
        {"id": waiting, "machine_id": 2, "type": "run", "name": "waits", "url": "https://a"}
    ]
    assert jobs_db.machines() == [(1, "Dell R640", True), (2, "Raspberry Pi 5", False)]
    assert jobs_db.machines_of("DEFAULT") == [1]
    assert jobs_db.machines_of("ada") == [9, 5]
    assert jobs_db.sql("SELECT * FROM jobs ORDER BY id") == jobs
    assert result["diff"] == {
        "before": {
            "machines": [dict(PI, available=True)],
            "users": [{"name": "DEFAULT", "machines": [1, 2]}, {"name": "ada", "machines": [9, 2, 5, 2]}],
        },
        "after": {
            "machines": [dict(PI, available=False)],
            "users": [{"name": "DEFAULT", "machines": [1]}, {"name": "ada", "machines": [9, 5]}],
        },
    }


def test_retire_on_the_first_release(old_jobs_db: Any) -> None:
    run(old_jobs_db, DELL, PI)
    old_jobs_db.sql(
        "INSERT INTO jobs (type, machine_id, failed, running) VALUES"
        " ('project', 2, false, false), ('project', 2, true, false), ('project', 2, false, true),"
        " ('email', 2, false, false), ('project', NULL, false, false)"
    )
    result = check_and_run(old_jobs_db, PI, state="retired")
    assert result["waiting_jobs"] == [{"id": 1, "machine_id": 2, "type": "project", "project_id": None}]
    assert old_jobs_db.machines() == [(1, "Dell R640", True), (2, "Raspberry Pi 5", False)]


def test_retired_machine_comes_back_only_when_asked(jobs_db: Any) -> None:
    run(jobs_db, PI)
    run(jobs_db, PI, state="retired")
    assert check_and_run(jobs_db, PI)["machines"] == [dict(PI, available=False)]
    assert check_and_run(jobs_db, dict(PI, available=True))["machines"] == [dict(PI, available=True)]
    assert jobs_db.machines_of("DEFAULT") == [1, 2]


def test_retire_protects_from_the_wrong_machine(any_jobs_db: Any) -> None:
    run(any_jobs_db, PI)
    message = refused(any_jobs_db, dict(PI, description="Dell"), state="retired")
    assert "Machine 2 is registered as 'Raspberry Pi 5', not as 'Dell'; correct the id" in message
    message = refused(any_jobs_db, dict(PI, available=True), state="retired")
    assert "Machine 2 cannot be retired and available" in message


def test_retire_what_is_not_there(any_jobs_db: Any) -> None:
    result = check_and_run(any_jobs_db, {"id": 2000}, {"id": 7}, state="retired")
    assert not result["changed"]
    assert result["machines"] == []
    assert result["warnings"] == ["No machine is registered with id 7, 2000: there was nothing to retire."]


# Several at once ------------------------------------------------------------------------------------------------------


def test_two_operators_register_overlapping_machines(any_jobs_db: Any, in_threads: Any) -> None:
    """One wins whole, the other is told who holds which name; never half of each, never a name twice."""
    for first in range(10, 60, 10):

        def machines(operator: str, name: int, first: int = first) -> list[dict[str, Any]]:
            return [
                {"id": first + 1, "description": f"{operator} {first + 1}"},
                {"id": first + name, "description": f"shared {first}"},
            ]

        ada, bob = machines("ada", 2), machines("bob", 3)
        results = in_threads(lambda ada=ada: run(any_jobs_db, *ada), lambda bob=bob: run(any_jobs_db, *bob))
        errors = [result for result in results if isinstance(result, Exception)]
        assert len(errors) == 1, results
        assert isinstance(errors[0], _jobs_db.JobsDBError)
        winner = ada if isinstance(results[1], Exception) else bob
        rows = [row for row in any_jobs_db.machines() if first < row[0] < first + 10]
        assert rows == [(machine["id"], machine["description"], True) for machine in winner]
        assert f"Machine {first + 1} is registered as {winner[0]['description']!r}" in str(errors[0])
        assert f"machine {winner[1]['id']} has that description" in str(errors[0])


def test_two_operators_register_the_same_machines(jobs_db: Any, in_threads: Any) -> None:
    machines = [{"id": number, "description": f"Machine {number}"} for number in range(1, 201)]
    results = in_threads(*[lambda: run(jobs_db, *machines)] * 4)
    assert sorted(result["changed"] for result in results) == [False, False, False, True]
    assert jobs_db.machines_of("DEFAULT") == list(range(1, 201))


def test_clients_are_not_kept_waiting(jobs_db: Any) -> None:
    """While a registration is open, clients write their status and, for rows that did not change, their machine."""
    run(jobs_db, DELL, PI)
    params = jobs_db.options(gmt_machine.argument_spec(), machines=[DELL, dict(PI, available=False)])
    with _jobs_db.transaction(params) as connection:
        schema = _jobs_db.read_schema(connection, params)
        result = gmt_machine.register(connection, schema, params["machines"], ["DEFAULT"], takeover=False, commit=True)
        assert result["changed"]
        jobs_db.sql(
            "SET lock_timeout = '2s'; INSERT INTO client_status (status_code, machine_id) VALUES ('job_start', 2),"
            " ('job_start', 1); UPDATE machines SET status_code = 'job_start' WHERE id = 1"
        )


def test_forgotten_session_is_an_error_not_a_hang(jobs_db: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_jobs_db, "LOCK_TIMEOUT_SECONDS", 1)
    with psycopg.connect(jobs_db.dsn) as other:
        other.execute("SELECT pg_advisory_xact_lock(%s)", [_jobs_db.LOCK_KEY])
        message = refused(jobs_db, PI)
    assert "has held a lock" in message
    assert "for 1 seconds" in message


def test_client_that_registers_itself_at_this_moment(any_jobs_db: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A GMT client takes no lock; its row is neither overwritten nor overlooked."""
    conflicts = gmt_machine._conflicts

    def meanwhile(*args: Any) -> list[str]:
        any_jobs_db.sql("INSERT INTO machines (id, description) VALUES (2, 'by a client')")
        return conflicts(*args)

    monkeypatch.setattr(gmt_machine, "_conflicts", meanwhile)
    with pytest.raises(_jobs_db.JobsDBError, match=r"Machine 2 was registered as 'by a client' by somebody else"):
        run(any_jobs_db, PI, {"id": 3, "description": "Pi 3"})
    assert [row[:2] for row in any_jobs_db.machines() if row[0] > 1] == [(2, "by a client")]


# Rights and real releases ---------------------------------------------------------------------------------------------


def test_missing_privilege_names_table_and_remedy(postgres: Any, jobs_db: Any) -> None:
    jobs_db.sql(
        "DROP ROLE IF EXISTS reader; CREATE ROLE reader LOGIN;"
        " GRANT SELECT ON machines, users, jobs, runs, client_status, watchlist TO reader"
    )
    message = refused(jobs_db, PI, login_user="reader")
    assert "User 'reader' lacks a privilege" in message
    assert "permission denied for table machines" in message
    jobs_db.sql("DROP OWNED BY reader; DROP ROLE reader")


@pytest.mark.parametrize(
    "release", ["v0.16", "v0.18", "v0.19", "v0.22", "v1.0", "v1.4.0", "v2.3", "v2.6", "v3.0", "v4.1", "main"]
)
def test_real_schemas(release: str, real_jobs_db: Any) -> None:
    db = real_jobs_db(release)
    result = check_and_run(db, DELL, PI)
    assert result["changed"]
    assert db.machines() == [(1, "Dell R640", True), (2, "Raspberry Pi 5", True)]
    result = check_and_run(db, PI, state="retired")
    assert result["changed"]
    assert result["waiting_jobs"] == []


@pytest.mark.slow
def test_as_a_task_with_module_defaults(jobs_db: Any, tmp_path: Path) -> None:
    """The module as Ansible runs it: check mode, diff, action group, password hidden."""
    login = dict(jobs_db.login, login_password="hunter2-secret")
    task = {"greenlab.cluster.gmt_machine": {"machines": [PI]}, "register": "result"}
    info = {"greenlab.cluster.gmt_machine_info": {"descriptions": ["Raspberry Pi 5"]}, "register": "read"}
    play = [
        {
            "hosts": "localhost",
            "gather_facts": False,
            "module_defaults": {"group/greenlab.cluster.gmt": login},
            "tasks": [
                dict(task, check_mode=True),
                {"ansible.builtin.assert": {"that": ["result is changed", "result.diff.after.machines | length == 1"]}},
                dict(info),
                {"ansible.builtin.assert": {"that": ["read.machines == []"]}},
                dict(task),
                {"ansible.builtin.assert": {"that": ["result is changed"]}},
                dict(task),
                {"ansible.builtin.assert": {"that": ["result is not changed"]}},
                dict(info),
                {
                    "ansible.builtin.assert": {
                        "that": ["read.machines[0].id == 2", "read.machines[0].state == 'unknown'"]
                    }
                },
            ],
        }
    ]
    playbook = tmp_path / "play.yml"
    playbook.write_text(json.dumps(play), encoding="utf8")
    collections = Path(gmt_machine.__file__).parents[5]
    environment = dict(os.environ, ANSIBLE_COLLECTIONS_PATH=str(collections), ANSIBLE_HOME=str(tmp_path))
    command = [
        str(Path(sys.executable).parent / "ansible-playbook"),
        "-i",
        "localhost,",
        "-c",
        "local",
        "--diff",
        "-vvv",
    ]
    command += ["-e", f"ansible_python_interpreter={sys.executable}", str(playbook)]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, encoding="utf8", check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "hunter2" not in done.stdout
    assert jobs_db.machines() == [(1, SEED, True), (2, "Raspberry Pi 5", True)]
