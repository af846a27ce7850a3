# SPDX-License-Identifier: GPL-3.0-or-later
"""Playbook register in real runs of ansible-playbook, on a jobs DB of the test's own instead of the server's."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytestmark = pytest.mark.slow  # each run is one of ansible-playbook

ROOT = Path(__file__).resolve().parents[4]
BIN = Path(sys.executable).parent


def test_with_limit_only_those_machines_are_registered(jobs_db: Any, tmp_path: Path) -> None:
    machines = {
        f"machine{number}": {"gmt_machine_id": number, "gmt_machine_description": f"Box {number}"}
        for number in (2, 3, 4)
    }
    local = {
        "ansible_connection": "local",
        "ansible_become": False,
        "ansible_python_interpreter": sys.executable,
        "gmt_db_port": jobs_db.login["login_port"],
        "gmt_db_name": jobs_db.name,
    }
    groups = {"all": {"vars": local}, "jobs_db": {"hosts": {"server": {}}}, "machines": {"hosts": machines}}
    (tmp_path / "hosts.json").write_text(json.dumps(groups), encoding="utf8")
    playbook = (ROOT / "playbooks/register.yml").read_text(encoding="utf8")
    assert "/var/run/postgresql" in playbook
    (tmp_path / "register.yml").write_text(
        playbook.replace("/var/run/postgresql", jobs_db.login["login_unix_socket"]), encoding="utf8"
    )

    shutil.copy(ROOT / "playbooks/inventory.yml", tmp_path)

    def run(*limit: str) -> str:
        done = subprocess.run(
            [str(BIN / "ansible-playbook"), "-i", str(tmp_path / "hosts.json"), str(tmp_path / "register.yml"), *limit],
            # Whom the server lets in without a password; on a real one it is the user that the task becomes.
            env={**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "PGUSER": jobs_db.login["login_user"]},
            cwd=ROOT,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return " ".join(done.stdout.split())

    seed = [row for row in jobs_db.machines() if row[0] == 1]
    assert "2 of 3 machines are in this run, and have their rows in the jobs DB; some are new" in run(
        "--limit=machine2,machine4"
    )
    assert jobs_db.machines() == [*seed, (2, "Box 2", True), (4, "Box 4", True)]
    assert "3 of 3 machines are in this run" in run()
    assert jobs_db.machines() == [*seed, *((number, f"Box {number}", True) for number in (2, 3, 4))]
    assert "none was changed" in run()
