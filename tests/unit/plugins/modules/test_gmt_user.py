# SPDX-License-Identifier: GPL-3.0-or-later
"""gmt_user on a real PostgreSQL: check mode, the tables, a real run, the tables, both again."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import types
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.greenlab.cluster.plugins.module_utils import _jobs_db
from ansible_collections.greenlab.cluster.plugins.module_utils._users import stored_token
from ansible_collections.greenlab.cluster.plugins.modules import gmt_job, gmt_user

TOKEN = "hunter2-$(touch_x)-'secret"
ADA = {"name": "ada", "token": TOKEN}


def run(db: Any, *users: dict[str, Any], check: bool = False, **options: Any) -> dict[str, Any]:
    return gmt_user.run(db.options(gmt_user.argument_spec(), users=list(users), **options), check_mode=check)


def everything(db: Any) -> dict[str, Any]:
    return {**db.everything(), "ids": db.sql("SELECT last_value, is_called FROM users_id_seq")}


def check_and_run(db: Any, *users: dict[str, Any], **options: Any) -> dict[str, Any]:
    """Run in check mode and for real, then both again; both must tell the same and write only what they say."""
    before = everything(db)
    foretold = run(db, *users, check=True, **options)
    assert everything(db) == before, "check mode wrote something"
    result = run(db, *users, **options)
    for user in result["users"]:
        assert set(user) == {"id", "name", "enabled", "capabilities"}
    for job in [*foretold.get("waiting_jobs", []), *result.get("waiting_jobs", [])]:
        del job["age"], job["unchanged_for"]
    assert foretold == result
    assert TOKEN not in json.dumps(result)
    assert stored_token(TOKEN) not in json.dumps(result)
    after = everything(db)
    assert (after != before) == result["changed"]
    for check in (True, False):
        again = run(db, *users, check=check, **options)
        assert not again["changed"]
        assert again["diff"] == {"before": {}, "after": {}}
        assert again["users"] == result["users"]
        assert everything(db) == after, "a run that changes nothing wrote a row"
    return result


def refused(db: Any, *users: dict[str, Any], **options: Any) -> str:
    """Return the error; nothing may have been written."""
    before = everything(db)
    messages = []
    for check in (True, False):
        with pytest.raises(_jobs_db.JobsDBError) as error:
            run(db, *users, check=check, **options)
        messages.append(str(error.value))
        assert everything(db) == before
    assert messages[0] == messages[1], "check mode and a real run disagree"
    return messages[0]


def row(db: Any, name: str) -> dict[str, Any]:
    return db.sql("SELECT id, token, capabilities FROM users WHERE name = %s", name)[0]


# Creating and changing ------------------------------------------------------------------------------------------------


def test_new_user_may_do_nothing_but_be_measured(jobs_db: Any) -> None:
    result = check_and_run(jobs_db, ADA)
    ada = row(jobs_db, "ada")
    assert ada["token"] == stored_token(TOKEN)
    capabilities = ada["capabilities"]
    assert result["users"] == [{"id": ada["id"], "name": "ada", "enabled": True, "capabilities": capabilities}]
    assert capabilities["machines"] == capabilities["api"]["routes"] == []
    assert capabilities["user"] == {"is_super_user": False, "visible_users": [ada["id"]], "updateable_settings": []}
    assert capabilities["jobs"]["schedule_modes"] == ["one-off"]
    # Nothing that GMT's own default user has is missing, so that no client stumbles; DEFAULT itself is untouched.
    default = row(jobs_db, "DEFAULT")["capabilities"]
    assert default["user"]["is_super_user"]
    assert set(default) <= set(capabilities)
    assert set(default["measurement"]) <= set(capabilities["measurement"])
    assert result["diff"]["before"] == {"users": []}
    # Jobs may be submitted once there is a machine.
    check_and_run(jobs_db, {"name": "ada", "machines": [1]})
    job = {"name": "a", "url": "u", "branch": "b", "filename": "f", "machine_id": 1, "user": "ada"}
    assert gmt_job.run(jobs_db.options(gmt_job.argument_spec(), jobs=[job]))["changed"]


def test_what_is_given_is_merged(jobs_db: Any) -> None:
    jobs_db.sql(
        "INSERT INTO machines (id, description) VALUES (2, 'Pi'), (3, 'Pi 3');"
        """ INSERT INTO users (name, token, capabilities) VALUES ('eve', 'e', '{"machines": [77, 2], "x": 1,"""
        """ "api": {"routes": ["/b"], "quotas": {"/b": 3}}, "measurement": {"quotas": {"2": 10}, "y": [1]}}')"""
    )
    result = check_and_run(
        jobs_db,
        {
            "name": "eve",
            "machines": [3, 2],
            "routes": ["/a", "/b"],
            "api_quotas": {"/b": 100, "/a": 5},
            "measurement_quotas": {2: 3600, "3": "60"},
            "visible_users": ["eve", "DEFAULT"],
            "capabilities": {"measurement": {"y": [2], "total_duration": 60}, "api": {"routes": ["/c"]}, "x": None},
        },
    )
    eve = row(jobs_db, "eve")
    assert eve["token"] == "e"
    assert eve["capabilities"] == {
        "machines": [77, 2, 3],
        "api": {"routes": ["/b", "/c", "/a"], "quotas": {"/b": 3, "/a": 5}},
        "measurement": {"quotas": {"2": 10, "3": 60}, "y": [1, 2], "total_duration": 60},
        "user": {"visible_users": [eve["id"], 1]},
    }
    before, after = result["diff"]["before"]["users"], result["diff"]["after"]["users"]
    assert [user["name"] for user in before + after] == ["eve", "eve"]
    assert before[0]["capabilities"]["machines"] == [77, 2]
    assert (before[0]["token"], after[0]["token"]) == ("(kept)", "(kept)")


def test_quotas_are_refilled_only_on_request(jobs_db: Any) -> None:
    quota = {"name": "ada", "measurement_quotas": {1: 3600}}
    check_and_run(jobs_db, {**ADA, **quota})
    jobs_db.sql(
        "UPDATE users SET capabilities = jsonb_set(capabilities, '{measurement,quotas,1}', '5') WHERE name = 'ada'"
    )
    assert not check_and_run(jobs_db, quota)["changed"]
    check_and_run(jobs_db, quota, refill=True)
    assert row(jobs_db, "ada")["capabilities"]["measurement"]["quotas"] == {"1": 3600}
    check_and_run(jobs_db, {"name": "ada", "measurement_quotas": {1: None}})
    assert row(jobs_db, "ada")["capabilities"]["measurement"]["quotas"] == {}


def test_exact_lists_take_away(jobs_db: Any) -> None:
    check_and_run(jobs_db, {**ADA, "machines": [1], "routes": ["/a", "/b"], "visible_users": ["DEFAULT"]})
    check_and_run(jobs_db, {"name": "ada", "routes": ["/b"], "visible_users": []}, exact=True)
    ada = row(jobs_db, "ada")
    assert ada["capabilities"]["api"]["routes"] == ["/b"]
    assert ada["capabilities"]["user"]["visible_users"] == [ada["id"]]
    assert ada["capabilities"]["machines"] == [1]


def test_users_of_one_call_may_see_each_other(jobs_db: Any) -> None:
    result = check_and_run(
        jobs_db, {**ADA, "visible_users": ["bob"]}, {"name": "bob", "token": "b", "visible_users": ["ada"]}
    )
    ada, bob = (user["id"] for user in result["users"])
    assert [user["capabilities"]["user"]["visible_users"] for user in result["users"]] == [[ada, bob], [bob, ada]]


def test_token_is_written_when_it_differs(jobs_db: Any) -> None:
    run(jobs_db, ADA)
    assert not check_and_run(jobs_db, ADA)["changed"]
    result = check_and_run(jobs_db, {"name": "ada", "token": "another"})
    assert row(jobs_db, "ada")["token"] == stored_token("another")
    assert result["diff"]["before"]["users"][0]["token"] == "(old)"
    assert result["diff"]["after"]["users"][0]["token"] == "(new)"


def test_token_that_everybody_has_is_a_warning(jobs_db: Any) -> None:
    (warning,) = check_and_run(jobs_db, {"name": "DEFAULT", "token": "DEFAULT"})["warnings"]
    assert "Whoever sends no token to GMT's API is user 'DEFAULT'" in warning
    assert check_and_run(jobs_db, {"name": "DEFAULT", "token": TOKEN})["warnings"] == []
    assert row(jobs_db, "DEFAULT")["token"] == stored_token(TOKEN)


def test_what_is_wrong_is_told_at_once(jobs_db: Any) -> None:
    message = refused(
        jobs_db,
        {"name": "new"},
        {"name": "ada", "token": "two words"},
        {"name": "ada", "token": "ü"},
        {"name": "two\nlines", "token": "x"},
        {"name": "bob", "token": "x"},
        {"name": "[GMT-SYSTEM]", "token": ""},
        {"name": "eve", "token": "e", "api_quotas": {"/a": -1, "/b": True, "/c": "x"}},
        {"name": "joe", "token": "j", "measurement_quotas": {"Pi": 5}},
        {"name": "nul", "token": "n", "routes": ["\0"]},
    )
    for words in (
        "User 'ada': the token must be printable ASCII",
        "User 'ada' is twice in the list",
        "The name 'two\\nlines' holds a line break",
        "Users 'two\\nlines' and 'bob' have the same token",
        "User '[GMT-SYSTEM]' is GMT's own",
        "api_quotas: /a must be a number of calls, 0 or more, or null, not -1",
        "api_quotas: /b must be",
        "api_quotas: /c must be",
        "measurement_quotas: 'Pi' is not the id of a machine",
        "User 'nul': an option holds a NUL",
    ):
        assert words in message, words
    jobs_db.sql("""INSERT INTO users (name, token, capabilities) VALUES ('odd', 'o', '{"machines": {"2": true}}')""")
    message = refused(
        jobs_db,
        {"name": "new", "machines": [1, 9], "measurement_quotas": {8: 1}},
        {**ADA, "visible_users": ["nobody"]},
        {"name": "bob", "token": "DEFAULT"},
        {"name": "odd", "machines": [1]},
        {"name": "eve", "token": "e", "capabilities": {"api": {"routes": "/a"}}},
    )
    for words in (
        "User 'new' is new and has no token",
        "User 'new': machine 8 is not registered",
        "User 'new': machine 9 is not registered",
        "'nobody' of visible_users is not in the users table",
        "The token of user 'bob' is that of user 'DEFAULT' already",
        "User 'odd' has broken capabilities: machines must be a list of machine ids, but is {'2': True}",
        "User 'eve': api.routes must be a list of routes, but is '/a'; correct the options.",
    ):
        assert words in message, words
    jobs_db.sql("UPDATE users SET name = 'renamed' WHERE id = 0")
    assert "User 0 is GMT's own" in refused(jobs_db, {"name": "renamed"}, state="disabled")


def test_hostile_names_are_data(jobs_db: Any) -> None:
    name = "'; DROP TABLE users; -- {{ 7 * 7 }} %s $(touch x)"
    check_and_run(jobs_db, {"name": name, "token": TOKEN, "routes": [name], "capabilities": {name: name}})
    assert row(jobs_db, name)["capabilities"][name] == name


# Disabling ------------------------------------------------------------------------------------------------------------


def test_disabled_user_cannot_log_in_nor_be_measured(jobs_db: Any) -> None:
    run(jobs_db, {**ADA, "machines": [1], "routes": ["/a"], "api_quotas": {"/a": 5}})
    job = {"name": "a", "url": "u", "branch": "b", "filename": "f", "machine_id": 1, "user": "ada"}
    job_id = gmt_job.run(jobs_db.options(gmt_job.argument_spec(), jobs=[job]))["changed_ids"][0]
    kept = row(jobs_db, "ada")["capabilities"]
    result = check_and_run(jobs_db, {**ADA, "machines": [1]}, {"name": "nobody"}, state="disabled")
    ada = row(jobs_db, "ada")
    assert ada["token"] == f"disabled {ada['id']}"
    assert ada["capabilities"] == {**kept, "machines": [], "api": {"quotas": {"/a": 5}, "routes": []}}
    assert [user["enabled"] for user in result["users"]] == [False]
    assert [waiting["id"] for waiting in result["waiting_jobs"]] == [job_id]
    assert result["warnings"] == ["There is no user 'nobody': there was nothing to disable."]
    assert "User 'ada' is disabled; give it a token to bring it back." in refused(jobs_db, {"name": "ada"})
    assert check_and_run(jobs_db, ADA)["users"][0]["enabled"]


def test_default_user_is_closed(jobs_db: Any) -> None:
    check_and_run(jobs_db, {"name": "DEFAULT"}, state="disabled")
    assert row(jobs_db, "DEFAULT")["token"] == "disabled 1"


# Several at once, releases --------------------------------------------------------------------------------------------


def test_two_operators_create_the_same_user(jobs_db: Any, in_threads: Any) -> None:
    results = in_threads(*[lambda: run(jobs_db, ADA)] * 4)
    assert sorted(result["changed"] for result in results) == [False, False, False, True]


def test_quota_that_is_counted_at_this_moment(jobs_db: Any, in_threads: Any) -> None:
    """A change to one part of the capabilities never takes back another one."""
    run(jobs_db, {**ADA, "api_quotas": {"/a": 1000}})
    count = (
        "UPDATE users SET capabilities = jsonb_set(capabilities, '{api,quotas,/a}',"
        " to_jsonb((capabilities #>> '{api,quotas,/a}')::int - 1)) WHERE name = 'ada'"
    )

    def deduct() -> None:
        for _number in range(20):
            jobs_db.sql(count)

    def grant() -> None:
        for number in range(20):
            run(jobs_db, {"name": "ada", "routes": [f"/{number}"]})

    assert in_threads(deduct, grant) == [None, None]
    api = row(jobs_db, "ada")["capabilities"]["api"]
    assert api["quotas"] == {"/a": 980}
    assert len(api["routes"]) == 20


def test_releases_without_users_are_an_error(old_jobs_db: Any) -> None:
    with pytest.raises(_jobs_db.JobsDBError, match=r"has no users table: GMT has users since v1\.0"):
        run(old_jobs_db, ADA)


@pytest.mark.parametrize("release", ["v1.0", "v1.1", "v1.4.0", "v2.0", "v2.3", "v2.6", "v3.0", "v4.0", "v4.1", "main"])
def test_real_schemas(release: str, real_jobs_db: Any) -> None:
    db = real_jobs_db(release)
    db.sql("INSERT INTO machines (id, description) VALUES (7, 'Pi')")
    check_and_run(db, {**ADA, "machines": [7], "measurement_quotas": {7: 60}, "api_quotas": {"/a": 2}})
    gmt_reads(release, row(db, "ada")["capabilities"])
    check_and_run(db, {"name": "ada"}, state="disabled")


def gmt_reads(release: str, capabilities: dict[str, Any]) -> None:
    """Ask the release's own lib/user.py, and look for each setting that its lib/job/run.py reads."""
    repository = os.environ["GMT_REPO"]
    show = ["git", "-C", repository, "show", f"{release}:lib/user.py"]
    source = subprocess.run(show, check=True, capture_output=True, encoding="utf8").stdout
    # Its database is not wanted here, nor its configuration.
    body = "\n".join(line for line in source.splitlines() if not line.startswith(("from lib", "import ")))
    module = types.ModuleType("user_of_gmt")
    module.__dict__.update(json=json, DB=None, SecureVariable=str, hashlib=None, uuid=None, faulthandler=None)
    exec(compile(body.partition("\nif __name__")[0], f"{release}:lib/user.py", "exec"), module.__dict__)
    user = object.__new__(module.__dict__["User"])
    user._capabilities = capabilities
    assert user.can_use_machine(7)
    assert not user.can_use_machine(1)
    assert not user.can_use_route("/v1/machines")
    assert user.can_schedule_job("one-off")
    assert user.has_api_quota("/a")
    assert user.has_measurement_quota(7)
    assert user.has_measurement_quota(1)
    if hasattr(user, "visible_users"):
        assert len(user.visible_users()) == 1
        assert not user.is_super_user()
    if hasattr(user, "can_change_setting"):
        assert not user.can_change_setting("measurement.total_duration")
    run_job = subprocess.run(
        ["git", "-C", repository, "show", f"{release}:lib/job/run.py"], check=True, capture_output=True, encoding="utf8"
    ).stdout
    for line in run_job.split("user._capabilities")[1:]:
        found: Any = capabilities
        for key in line[: line.index(",")].split("#")[0].replace('"', "'").split("'")[1::2]:
            found = found[key]


@pytest.mark.slow
def test_as_a_task(jobs_db: Any, tmp_path: Path) -> None:
    """The module as Ansible runs it: action group, diff, no token in any output."""
    play = [
        {
            "hosts": "localhost",
            "gather_facts": False,
            "module_defaults": {"group/greenlab.cluster.gmt": jobs_db.login},
            "tasks": [
                {"greenlab.cluster.gmt_user": {"users": [{**ADA, "machines": [1]}]}, "register": "result"},
                {"ansible.builtin.assert": {"that": ["result is changed", "result.users[0].name == 'ada'"]}},
                {"ansible.builtin.debug": {"var": "result"}},
                {"greenlab.cluster.gmt_user": {"users": [{"name": "nobody"}], "state": "disabled"}},
                {"greenlab.cluster.gmt_user": {"users": [{**ADA, "name": "x"}]}, "ignore_errors": True},
            ],
        }
    ]
    playbook = tmp_path / "play.yml"
    playbook.write_text(json.dumps(play), encoding="utf8")
    collections = Path(gmt_user.__file__).parents[5]
    environment = dict(os.environ, ANSIBLE_COLLECTIONS_PATH=str(collections), ANSIBLE_HOME=str(tmp_path))
    command = [str(Path(sys.executable).parent / "ansible-playbook"), "-i", "localhost,", "-c", "local", "--diff"]
    command += ["-vvv", "-e", f"ansible_python_interpreter={sys.executable}", str(playbook)]
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, encoding="utf8", check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    output = done.stdout + done.stderr
    assert "hunter2" not in output
    assert stored_token(TOKEN) not in output
    assert "is that of user 'ada' already" in output
    assert "There is no user 'nobody'" in output
