# SPDX-License-Identifier: GPL-3.0-or-later
"""Role jobs_db reads a plain dump that another server wrote: whole or not at all, a newer server's too."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.greenlab import cluster

COLLECTIONS = Path(next(iter(cluster.__path__))).parents[2]
STRUCTURE = Path(__file__).resolve().parents[2] / "gmt/v4.1/docker/structure.sql"
# PostgreSQL 17 and newer write it among the first lines of a dump, 15 and 16 do not know it.
NEWER = "SET transaction_timeout = 0;\n"
ROWS = """
DELETE FROM jobs; DELETE FROM machines;
INSERT INTO machines (id, description, available)
VALUES (7, E'Esprimo in the ''cellar''\\nSET transaction_timeout = 1;', true);
INSERT INTO jobs (type, state, name, url, branch, filename, machine_id, user_id)
SELECT 'run', 'FINISHED', 'by hand ' || n, 'https://example.org', 'main', 'x.yml', 7, 1
FROM generate_series(1, 50) AS n;
"""
LOOK = """
SELECT md5(string_agg(m::text, '|' ORDER BY id)) FROM machines m
UNION SELECT md5(string_agg(j::text, '|' ORDER BY id)) FROM jobs j
"""
COUNT = "SELECT count(*) FROM pg_tables WHERE schemaname = 'public'"


@pytest.fixture
def old(postgres: Any) -> Any:
    """A database that somebody made by hand, and its dump."""
    postgres.load_gmt(STRUCTURE, "by-hand")
    postgres.psql("--command", ROWS, db="by-hand")
    yield postgres
    postgres.drop_db("by-hand")


@pytest.fixture
def restore(postgres: Any, tmp_path: Path) -> Any:
    """Read a dump into an empty database as the role does, and return what Ansible says."""
    postgres.create_db("restored")

    def run(dump: str) -> subprocess.CompletedProcess[str]:
        file = tmp_path / "it's old.sql"
        file.write_text(dump)
        psql = [str(postgres.bin_dir / "psql"), "--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1"]
        psql += [f"--host={postgres.host}", f"--port={postgres.port}", f"--username={postgres.user}"]
        known = {
            "ansible_become": False,
            "ansible_connection": "local",
            "ansible_python_interpreter": sys.executable,
            "jobs_db_name": "by-hand",
            "__jobs_db_chosen": str(file),
            "__jobs_db_new_name": "restored",
            "__jobs_db_psql": [*psql, "--dbname=by-hand"],
        }
        role = Path(next(iter(cluster.__path__))) / "roles/jobs_db/tasks/restore_plain.yml"
        play = {"hosts": "localhost", "gather_facts": False, "tasks": [{"ansible.builtin.include_tasks": str(role)}]}
        (tmp_path / "play.yml").write_text(yaml.safe_dump([play]))
        return subprocess.run(
            [
                Path(sys.executable).parent / "ansible-playbook",
                "-i",
                "localhost,",
                "-e",
                json.dumps(known),
                tmp_path / "play.yml",
            ],
            env={**os.environ, "ANSIBLE_COLLECTIONS_PATH": str(COLLECTIONS), "ANSIBLE_NOCOLOR": "1"},
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )

    yield run
    postgres.drop_db("restored")


def dump(postgres: Any, *options: str) -> str:
    command = [postgres.bin_dir / "pg_dump", "--host", postgres.host, "--port", str(postgres.port), "--username"]
    command += [postgres.user, "--no-owner", "--no-acl", *options, "by-hand"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def tables(postgres: Any) -> str:
    return postgres.psql("-At", "--command", COUNT, db="restored")


def test_the_dump_of_a_newer_server_is_read_and_no_row_differs(old: Any, restore: Callable[[str], Any]) -> None:
    text = dump(old)
    done = restore(text.replace("SET lock_timeout", f"{NEWER}SET lock_timeout", 1))
    assert done.returncode == 0, done.stdout + done.stderr
    assert old.psql("-At", "--command", LOOK, db="restored") == old.psql("-At", "--command", LOOK, db="by-hand")


def test_a_dump_that_breaks_off_leaves_nothing(old: Any, restore: Callable[[str], Any]) -> None:
    text = dump(old)
    done = restore(text[: text.index("by hand 30")])
    assert done.returncode == 2
    assert tables(old).strip() == "0"


def test_a_dump_that_would_lead_into_another_database_is_refused(old: Any, restore: Callable[[str], Any]) -> None:
    done = restore(dump(old, "--create"))
    said = " ".join(done.stdout.split())
    assert done.returncode == 2
    assert "it would not stay in the database that it is read into. Dump it anew without --create" in said
    assert tables(old).strip() == "0"
