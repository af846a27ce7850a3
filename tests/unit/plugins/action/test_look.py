# SPDX-License-Identifier: GPL-3.0-or-later
"""The plays of site.yml that find out what would change and look at the rest: a real jobs DB, local hosts."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from ansible_collections.greenlab.cluster.plugins.modules import gmt_build, gmt_hold

ROOT = Path(__file__).resolve().parents[4]
HOLDS_SQL = ROOT / "roles/jobs_db/files/holds.sql"
pytestmark = pytest.mark.slow  # each test is a run of ansible-playbook
NAMES = ["one", "two", "three", "four"]
PLAYS = ["Find out which machines would change", "Look whether the others are still as they were built"]


@pytest.fixture
def db(postgres: Any, jobs_db: Any) -> Any:
    postgres.psql("-v", "version=test", db=f"'{jobs_db.name}'", stdin=HOLDS_SQL.read_text(encoding="utf8"))
    rows = ", ".join(f"({number}, '{name}')" for number, name in enumerate(NAMES, start=1))
    jobs_db.sql(f"INSERT INTO machines (id, description) VALUES {rows} ON CONFLICT DO NOTHING")
    return jobs_db


def site(db: Any, folder: Path, **variables: Any) -> dict[str, Any]:
    """Run the plays, and return what they keep: the facts of localhost, and of each host what became of it."""
    common = {
        "ansible_connection": "local",
        "ansible_python_interpreter": sys.executable,
        "ansible_become": False,
        "gmt_release": "v4.1",
        "gmt_repo": "git://127.0.0.1:1/gmt.git",
        **variables,
    }
    machines = {name: {"gmt_machine_id": number} for number, name in enumerate(NAMES, start=1)}
    groups = {"jobs_db": {"hosts": {"server": {}}}, "machines": {"hosts": machines}}
    (folder / "hosts.json").write_text(json.dumps({"all": {"vars": common, "children": groups}}))
    plays = [play for play in yaml.safe_load((ROOT / "playbooks/site.yml").read_text()) if play["name"] in PLAYS]
    for play in plays:
        play["module_defaults"] = {"group/greenlab.cluster.gmt": db.login}
        play["tasks"] = [
            {"ansible.builtin.import_tasks": str(ROOT / f"playbooks/tasks/{name}.yml")} for name in ["plan"]
        ]
    plays[1]["tasks"] = [{"ansible.builtin.import_tasks": str(ROOT / "playbooks/tasks/look.yml")}]
    kept = (
        "{{ {'local': hostvars['localhost'].site_plan, 'work': hostvars['localhost'].site_work,"
        " 'left': groups['machines'] | greenlab.cluster.site_left(hostvars)} | to_json }}"
    )
    write = {"ansible.builtin.copy": {"content": kept, "dest": str(folder / "kept.json"), "mode": "0600"}}
    plays.append({"name": "Keep", "hosts": "server", "gather_facts": False, "tasks": [write]})
    (folder / "play.yml").write_text(yaml.safe_dump(plays))
    command = [Path(sys.executable).parent / "ansible-playbook", "-i", folder / "hosts.json", folder / "play.yml"]
    environment = {**os.environ, "USER": "ada"}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads((folder / "kept.json").read_text())


def held(db: Any) -> list[tuple[int, str]]:
    rows = db.sql("SELECT machine_id, owner FROM greenlab.holds WHERE released_at IS NULL ORDER BY machine_id")
    return [(row["machine_id"], row["owner"]) for row in rows]


def test_who_would_change_is_worked_on_and_who_would_not_is_looked_at(db: Any, tmp_path: Path):
    first = site(db, tmp_path, site_look=True)
    assert first["work"] == NAMES  # nothing is known of any
    built = [{"id": one["id"], "parts": one["parts"]} for one in first["local"]["hosts"].values()]
    gmt_build.run(db.options(gmt_build.argument_spec(), machines=built[1:]))

    assert site(db, tmp_path)["work"] == ["one"]  # the others are not even asked
    assert held(db) == []

    somebody = {"ids": [2], "owner": "somebody", "reason": "a new fan"}
    gmt_hold.run(db.options(gmt_hold.argument_spec(), **somebody))
    db.sql("INSERT INTO client_status (status_code, machine_id) VALUES ('job_start', 3)")
    looked = site(db, tmp_path, site_look=True)
    # four has no manifest that could be believed, on this computer.
    assert looked["work"] == ["one", "four"]
    assert [line.split(". ")[0] for line in looked["left"]] == [
        "two: left alone, because it is held by somebody (a new fan)",
        "three: left alone, because its last status is job_start",
    ]
    assert held(db) == [(2, "somebody")]


def test_all_are_worked_on_when_that_is_wanted(db: Any, tmp_path: Path):
    first = site(db, tmp_path)
    built = [{"id": one["id"], "parts": one["parts"]} for one in first["local"]["hosts"].values()]
    gmt_build.run(db.options(gmt_build.argument_spec(), machines=built))
    assert site(db, tmp_path)["work"] == []
    assert site(db, tmp_path, site_full=True, site_look=True)["work"] == NAMES
    assert site(db, tmp_path, machine_parts=["docker"])["local"]["hosts"]["two"]["changes"] == [
        "machine_parts",
        "role docker",
    ]


def test_a_git_server_that_cannot_be_read_changes_no_machine(db: Any, tmp_path: Path):
    repo = tmp_path / "gmt.git"
    git = ["git", "-c", "user.name=ada", "-c", "user.email=ada@example.org", "-C", repo]
    subprocess.run(["git", "init", "--quiet", "--initial-branch=main", repo], check=True)

    def commit() -> None:
        subprocess.run([*git, "commit", "--quiet", "--allow-empty", "--message=more"], check=True)

    def work(**variables: Any) -> Any:
        return site(db, tmp_path, gmt_repo=str(repo), gmt_version="main", **variables)["work"]

    commit()
    built = site(db, tmp_path, gmt_repo=str(repo), gmt_version="main")["local"]["hosts"]
    rows = [{"id": one["id"], "parts": one["parts"]} for one in built.values()]
    gmt_build.run(db.options(gmt_build.argument_spec(), machines=rows))
    assert work() == []
    repo.rename(tmp_path / "moved.git")
    assert work() == []
    (tmp_path / "moved.git").rename(repo)
    commit()
    assert work() == NAMES


def test_each_clone_has_an_end():
    for file in ROOT.glob("roles/*/tasks/*.yml"):
        for task in yaml.safe_load(file.read_text()) or []:
            argv = task.get("ansible.builtin.command", {}).get("argv", [])
            if "ansible.builtin.git" in task or ("git" in argv and "submodule" in argv):
                assert task.get("timeout"), f"{file}: {task['name']}"
