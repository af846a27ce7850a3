# SPDX-License-Identifier: GPL-3.0-or-later
"""What each play of ours must say, so that it leaves no trace on a machine."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from ansible_collections.greenlab import cluster

PLAYBOOKS = Path(__file__).resolve().parents[2] / "playbooks"
PLAYS = [
    pytest.param(play, id=f"{file.stem}: {play['name']}")
    for file in sorted(PLAYBOOKS.glob("*.yml"))
    for play in yaml.safe_load(file.read_text(encoding="utf8"))
    if "hosts" in play
]
# Actions that contact no host.
CHECKS = {"greenlab.cluster.preflight", "greenlab.cluster.inventory_sources"}
LOCAL = {"debug", "fail", "assert", "include_tasks", "meta", "set_fact"}


def contacts(play: dict) -> bool:
    """Tell whether a play contacts a host: it has roles, or a task that does more than show and check."""
    tasks = [task for part in ("pre_tasks", "tasks", "post_tasks") for task in play.get(part, [])]
    used = {
        key.removeprefix("ansible.builtin.") for task in tasks if task.get("delegate_to") != "localhost" for key in task
    }
    return (
        "roles" in play
        or bool(used & {"block", "import_tasks", "import_role", "include_role"})
        or any("." in key and key not in LOCAL and key not in CHECKS for key in used)
    )


@pytest.mark.parametrize("play", PLAYS)
def test_a_play_that_contacts_hosts_writes_no_files_and_no_journal_there(play: dict):
    if contacts(play):
        assert play["vars"]["ansible_pipelining"] is True
        assert play["vars"]["ansible_no_target_syslog"] is True


@pytest.mark.slow
def test_a_cluster_without_a_wake_host_wakes_nobody_and_goes_on(tmp_path: Path):
    play = {
        "hosts": "machine1",
        "gather_facts": False,
        "tasks": [{"ansible.builtin.include_tasks": str(PLAYBOOKS / "tasks/wake.yml")}],
    }
    (tmp_path / "play.yml").write_text(yaml.safe_dump([play]), encoding="utf8")
    known = {"ansible_connection": "local", "wake_target_mac": "02:00:00:00:00:01"}
    done = subprocess.run(
        [
            Path(sys.executable).parent / "ansible-playbook",
            *("-i", "machine1,", "-e", json.dumps(known)),
            tmp_path / "play.yml",
        ],
        env={
            **{key: value for key, value in os.environ.items() if key != "ANSIBLE_CONFIG"},
            "ANSIBLE_COLLECTIONS_PATH": str(Path(next(iter(cluster.__path__))).parents[2]),
            "ANSIBLE_NOCOLOR": "1",
        },
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "skipped=2" in done.stdout
