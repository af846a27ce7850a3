# SPDX-License-Identifier: GPL-3.0-or-later
"""What keeps a machine from its jobs DB is said before config.yml is written."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

TESTS = Path(__file__).resolve().parents[2]
SCRIPT = TESTS.parent / "roles/gmt/files/reach_jobs_db.py"


@pytest.fixture(scope="module")
def reach(postgres):
    """Run the script with a machine's number and the least version; return exit status and last line."""
    name = "reach"
    postgres.load_gmt(TESTS / "gmt/v4.1/docker/structure.sql", name)

    def run(machine: int, least: int) -> tuple[int, str]:
        db = {"host": postgres.host, "port": postgres.port, "dbname": name, "user": postgres.user, "password": "x"}
        config = {"postgresql": db, "machine": {"id": machine}}
        argv = [sys.executable, "-c", SCRIPT.read_text(), str(least)]
        done = subprocess.run(argv, input=json.dumps(config), capture_output=True, encoding="utf8", check=False)
        return done.returncode, done.stderr.strip()

    yield run
    postgres.drop_db(name)


def test_a_registered_machine_reaches_a_new_enough_one(reach):
    assert reach(1, 10) == (0, "")


def test_an_older_postgresql_is_named_with_what_is_needed(reach):
    status, said = reach(1, 99)
    assert status == 1
    assert "this release needs 99 or newer" in said


def test_a_machine_without_a_row_is_named_first(reach):
    assert "Machine 7 has no row" in reach(7, 99)[1]
