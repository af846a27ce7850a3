# SPDX-License-Identifier: GPL-3.0-or-later
"""Role gmt's check of the interpreter, before anything is changed: one run of ansible-playbook on four hosts."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from ansible_collections.greenlab import cluster

pytestmark = pytest.mark.slow  # a run of ansible-playbook

COLLECTIONS = Path(next(iter(cluster.__path__))).parents[2]
REAL = "/usr/bin/python3"

# Says what Ubuntu 22.04's interpreter says of itself; everything else about it is real.
OLD = f"""#!/bin/sh
exec {REAL} -c "import platform; platform.python_version = lambda: '3.10.12'; $2"
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """Return what the check says of each host."""
    folder = tmp_path_factory.mktemp("python")
    old = folder / "old"
    old.write_text(OLD)
    old.chmod(0o755)
    missing = str(folder / "missing")
    hosts = {
        "jammy": {"gmt_python": str(old)},
        "jammy_older_release": {"gmt_python": str(old), "gmt_release": "v2.3"},
        "missing": {"gmt_python": missing},
        "missing_with_packages": {"gmt_python": missing, "gmt_packages_extra": ["python3.11"]},
    }
    common = {
        "ansible_connection": "local",
        "ansible_python_interpreter": sys.executable,
        "gmt_release": "v4.1",
        "gmt_repo": "nowhere",
    }
    (folder / "hosts.json").write_text(json.dumps({"all": {"hosts": hosts, "vars": common}}))
    role = {"name": "greenlab.cluster.gmt", "tasks_from": "validate"}
    play = {"hosts": "all", "gather_facts": False, "tasks": [{"ansible.builtin.include_role": role}]}
    (folder / "play.yml").write_text(yaml.safe_dump([play]))
    done = subprocess.run(
        [Path(sys.executable).parent / "ansible-playbook", "-i", folder / "hosts.json", folder / "play.yml"],
        env={
            **os.environ,
            "ANSIBLE_COLLECTIONS_PATH": str(COLLECTIONS),
            "ANSIBLE_STDOUT_CALLBACK": "ansible.builtin.oneline",
            "ANSIBLE_NOCOLOR": "1",
        },
        cwd=folder,
        capture_output=True,
        text=True,
        check=False,
    )
    return done.stdout


def failure(run: str, host: str) -> str:
    return "".join(line for line in run.splitlines() if line.startswith(f"{host} | FAILED!"))


def test_a_too_old_interpreter_is_refused_with_its_remedy(run):
    said = failure(run, "jammy")
    assert "is Python 3.10.12, and v4.1 needs 3.11 or newer" in said
    assert "gmt_packages_extra: [python3.11, python3.11-venv]" in said
    assert "set gmt_python: /usr/bin/python3.11" in said


def test_the_same_interpreter_does_for_an_older_release(run):
    assert "jammy_older_release | " in run
    assert not failure(run, "jammy_older_release")


def test_a_missing_interpreter_is_refused(run):
    assert "missing cannot run gmt_python" in failure(run, "missing")


def test_a_missing_interpreter_may_come_with_packages(run):
    assert "missing_with_packages | " in run
    assert not failure(run, "missing_with_packages")
