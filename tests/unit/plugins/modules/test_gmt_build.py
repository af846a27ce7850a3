# SPDX-License-Identifier: GPL-3.0-or-later
"""gmt_build on a real PostgreSQL, with the table that the role jobs_db lays."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.testing import patch_module_args

from ansible_collections.greenlab.cluster.plugins.module_utils import _jobs_db
from ansible_collections.greenlab.cluster.plugins.modules import gmt_build, gmt_build_info, gmt_machine

HOLDS_SQL = Path(__file__).resolve().parents[4] / "roles/jobs_db/files/holds.sql"
ONE = {"id": 1, "parts": {"gmt_release": "aa", "collection": "bb"}}
TWO = {"id": 2, "parts": {"gmt_release": "cc"}, "changelog": "changed gmt_release"}


@pytest.fixture
def db(postgres: Any, any_jobs_db: Any) -> Any:
    postgres.psql("-v", "version=test", db=f"'{any_jobs_db.name}'", stdin=HOLDS_SQL.read_text(encoding="utf8"))
    any_jobs_db.sql("INSERT INTO machines (id, description) VALUES (1, 'one'), (2, 'two') ON CONFLICT DO NOTHING")
    return any_jobs_db


def run(db: Any, *machines: dict[str, Any], state: str = "done", check: bool = False) -> dict[str, Any]:
    options = db.options(gmt_build.argument_spec(), state=state, machines=list(machines))
    return gmt_build.run(options, check_mode=check)


def parts(db: Any) -> dict[int, Any]:
    return {
        row["id"]: row["parts"] for row in gmt_build_info.run(db.options(gmt_build_info.argument_spec()))["machines"]
    }


def test_what_is_done_is_remembered(db: Any) -> None:
    assert run(db, ONE, check=True)["changed"]
    assert parts(db) == {}
    assert run(db, ONE, TWO)["changed"]
    assert parts(db) == {1: ONE["parts"], 2: TWO["parts"]}
    again = run(db, ONE)
    assert not again["changed"]
    assert again["diff"]["before"] == again["diff"]["after"]


def test_a_build_that_is_cut_off_is_not_believed(db: Any) -> None:
    run(db, ONE, TWO)
    run(db, {"id": 1}, state="begun")
    assert parts(db) == {1: {}, 2: TWO["parts"]}


def test_researchers_are_told_what_changed(db: Any) -> None:
    run(db, ONE, TWO, check=True)
    run(db, ONE, TWO)
    if db.sql("SELECT to_regclass('cluster_changelog') IS NOT NULL AS found")[0]["found"]:
        rows = db.sql("SELECT message, machine_id FROM cluster_changelog")
        assert rows == [{"message": "changed gmt_release", "machine_id": 2}]


def test_a_client_is_asked_to_validate_itself_again(db: Any) -> None:
    run(db, {"id": 1, "revalidate": True}, {"id": 2}, state="begun")
    if db.sql("SELECT FROM pg_attribute WHERE attrelid = 'machines'::regclass AND attname = 'needs_revalidation'"):
        assert db.sql("SELECT id FROM machines WHERE needs_revalidation") == [{"id": 1}]


@pytest.mark.parametrize(
    ("machines", "part"),
    [(({"id": 1},), "Machine 1 has no 'parts'"), ((dict(ONE, changelog="\0"),), "NUL")],
)
def test_bad_input_is_refused(db: Any, machines: Any, part: str) -> None:
    with pytest.raises(_jobs_db.JobsDBError, match=part):
        run(db, *machines)
    assert parts(db) == {}


def test_main_prints_the_result_or_the_error(db: Any, capsys: Any) -> None:
    def call(**options: Any) -> Any:
        with patch_module_args({**db.login, **options}), pytest.raises(SystemExit):
            gmt_build.main()
        return json.loads(capsys.readouterr().out)

    assert call(state="done", machines=[ONE])["machines"][0]["parts"] == ONE["parts"]
    assert "has no 'parts'" in call(state="done", machines=[{"id": 1}])["msg"]


def test_registering_tells_the_builds_of_the_machines_in_the_list(db: Any) -> None:
    run(db, ONE)

    def builds_known_to(*machines: Any) -> Any:
        options = db.options(gmt_machine.argument_spec(), machines=list(machines), takeover=True, users=[])
        return gmt_machine.run(options)["builds"]

    two = {"id": 2, "description": "another"}
    assert builds_known_to(two) == []
    known = gmt_build_info.run(db.options(gmt_build_info.argument_spec()))["machines"]
    assert [row["id"] for row in known] == [1]
    assert builds_known_to({"id": 1, "description": "one"}, two) == known
