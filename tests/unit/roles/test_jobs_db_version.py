# SPDX-License-Identifier: GPL-3.0-or-later
"""Role jobs_db refuses a PostgreSQL that is too old for the release before anything is changed: one run of Ansible."""

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
HERE, CANDIDATE = "pg_lsclusters", "apt-cache"


def clusters(*versions: str | int) -> dict[str, str]:
    """Return the answer of a server that has PostgreSQL, whatever apt has."""
    rows = [{"version": version, "cluster": "main"} for version in versions]
    return {HERE: json.dumps(rows), CANDIDATE: "postgresql:\n  Installed: (none)\n  Candidate: 99+1\n"}


def candidate(version: str) -> dict[str, str]:
    return {CANDIDATE: f"postgresql:\n  Installed: (none)\n  Candidate: {version}\n  Version table:\n"}


# Host: release, what its programs answer, the version that is refused (none: it is not).
HOSTS = {
    "bookworm_new": ("v4.1", candidate("15+248+deb12u1"), "15"),
    "bookworm_v40": ("v4.0", candidate("15+248+deb12u1"), "15"),
    "bookworm_laid": ("v4.1", clusters("15"), "15"),
    "bookworm_older_release": ("v3.0", clusters("15"), ""),
    "bookworm_v016": ("v0.16", candidate("15+248+deb12u1"), ""),
    "bookworm_main": ("main", clusters("15"), ""),
    "bullseye": ("v3.0", candidate("13+225"), "13"),
    "noble": ("v4.1", candidate("16+257build1.1"), ""),
    "trixie_new": ("v4.1", candidate("17+278"), ""),
    "trixie_laid": ("v4.1", clusters(17, 15), ""),  # its program writes numbers
    "pgdg": ("v4.1", clusters("18"), ""),
    "no_lists_yet": ("v4.1", candidate("(none)"), ""),
    "not_debian": ("v4.1", {}, ""),
}


@pytest.fixture(scope="module")
def run(tmp_path_factory) -> str:
    """Return what the check says of each host."""
    folder = tmp_path_factory.mktemp("postgresql")
    hosts = {}
    for host, (release, answers, _refused) in HOSTS.items():
        (folder / host).mkdir()
        for program, answer in {HERE: "", CANDIDATE: "", **answers}.items():
            file = folder / host / program
            file.write_text(f"#!/bin/sh\ncat <<'END'\n{answer}\nEND\n" if answer else "#!/bin/sh\nexit 1\n")
            file.chmod(0o755)
        hosts[host] = {"jobs_db_release": release, "programs": str(folder / host)}
    common = {"ansible_connection": "local", "ansible_python_interpreter": sys.executable, "jobs_db_repo": "nowhere"}
    (folder / "hosts.json").write_text(json.dumps({"all": {"hosts": hosts, "vars": common}}))
    role = {"name": "greenlab.cluster.jobs_db", "tasks_from": "version"}
    play = {
        "hosts": "all",
        "gather_facts": False,
        "environment": {"PATH": "{{ programs }}:" + os.environ["PATH"]},
        "tasks": [{"ansible.builtin.include_role": role}],
    }
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


@pytest.mark.parametrize("host", HOSTS)
def test_a_server_is_refused_for_its_postgresql_alone(run, host):
    release, _answers, refused = HOSTS[host]
    said = "".join(line for line in run.splitlines() if line.startswith(f"{host} | FAILED!"))
    assert bool(said) is bool(refused), run
    if refused:
        for words in (f"{host} has PostgreSQL {refused}, and {release} needs", "Nothing was changed", "Debian 13"):
            assert words in said
