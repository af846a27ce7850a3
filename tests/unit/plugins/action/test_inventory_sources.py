# SPDX-License-Identifier: GPL-3.0-or-later
"""Every playbook that works on hosts ends with an error where its inventory cannot be used, in real runs."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from ansible_collections.greenlab import cluster

pytestmark = pytest.mark.slow  # each test is a run of ansible-playbook

ROOT = Path(__file__).resolve().parents[4]
COLLECTIONS = Path(next(iter(cluster.__path__))).parents[2]


def works_on_hosts(file: Path) -> bool:
    """Say whether a playbook has a play, its own or an imported one, on more than localhost."""
    for play in yaml.safe_load(file.read_text(encoding="utf8")):
        imported = play.get("ansible.builtin.import_playbook")
        if works_on_hosts(file.parent / imported) if imported else play["hosts"] != "localhost":
            return True
    return False


PLAYBOOKS = [file.name for file in sorted((ROOT / "playbooks").glob("*.yml")) if works_on_hosts(file)]


def play(folder: Path, playbook: str, *arguments: str) -> tuple[int, str]:
    """Run a playbook as a user without an ansible.cfg does; return exit status and output in one line."""
    (folder / "ansible.cfg").touch()
    done = subprocess.run(
        [Path(sys.executable).parent / "ansible-playbook", f"greenlab.cluster.{Path(playbook).stem}", *arguments],
        cwd=folder,
        env={
            **{name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")},
            "ANSIBLE_COLLECTIONS_PATH": str(COLLECTIONS),
            "ANSIBLE_CONFIG": str(folder / "ansible.cfg"),
            "ANSIBLE_NOCOLOR": "1",
            "LC_ALL": "C.UTF-8",
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        encoding="utf8",
        check=False,
    )
    return done.returncode, re.sub(r"\s+", " ", done.stdout)


@pytest.mark.parametrize("playbook", PLAYBOOKS)
def test_no_playbook_is_green_with_a_broken_inventory(playbook: str, tmp_path: Path) -> None:
    (tmp_path / "hosts.yml").write_text("machines:\n  hosts:\n\tmachine1:\n", encoding="utf8")
    status, output = play(tmp_path, playbook, "-i", "hosts.yml")
    assert "hosts.yml, line 3: a tab. Indent with blanks." in output
    assert status == 2, output


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("machines:\n  hosts:\n    machine1:\n   ansible_host: 10.0.0.1\n", "hosts.yml, line 4: no YAML"),
        ("machines\n  hosts:\n    machine1:\n", "hosts.yml, line 2: no YAML"),
        ("", "hosts.yml: no host in the groups jobs_db, machines"),
        ("---\n", "hosts.yml: is empty."),
        (None, "hosts.yml: there is no such file or folder."),
        ("machine:\n  hosts:\n    machine1:\n", "It has machine (did you mean machines?)."),
    ],
)
def test_each_kind_of_broken_inventory_is_named_once(text: str | None, says: str, tmp_path: Path) -> None:
    if text is not None:
        (tmp_path / "hosts.yml").write_text(text, encoding="utf8")
    status, output = play(tmp_path, "site", "-i", "hosts.yml")
    assert output.count(says) == 1, output
    assert status == 2


GOOD = """
jobs_db: {hosts: {server: {ansible_host: 10.1.1.1}}}
machines:
  hosts:
    machine1: {ansible_host: 10.1.1.2, gmt_machine_id: 1, gmt_machine_description: One}
    localhost: {ansible_host: 10.1.1.3, gmt_machine_id: 2, gmt_machine_description: Two}
  vars:
    gmt_db_host: 10.1.1.1
all:
  vars:
    gmt_release: v4.1
    gmt_repo: https://example.com/gmt.git
    gmt_db_password: s3cret
    jobs_db_networks: [10.1.1.0/24]
"""


def test_a_good_inventory_passes_and_limit_is_obeyed(tmp_path: Path) -> None:
    explicit = tmp_path / "explicit.yml"
    explicit.write_text(GOOD, encoding="utf8")
    good = tmp_path / "good.yml"
    good.write_text(GOOD.replace("localhost:", "machine2:"), encoding="utf8")
    for arguments in (
        ("-i", good.name),
        ("-i", good.name, "--limit", "machine1"),
        ("-i", explicit.name),
        ("-i", explicit.name, "--limit", "machine1"),
    ):
        status, output = play(tmp_path, "preflight", *arguments)
        assert "TASK [Record that it can be read]" in output
        assert "nothing to correct." in output
        assert status == 0, output
    (tmp_path / "more.yml").write_text("wake_host:\n  hosts\n", encoding="utf8")
    status, output = play(tmp_path, "preflight", "-i", good.name, "-i", "more.yml", "--limit", "machine1")
    assert "more.yml, line 2: group wake_host is no dictionary." in output
    assert status == 2


def test_a_limit_that_leaves_nothing_to_do_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "hosts.yml").write_text(GOOD.replace("localhost:", "machine2:"), encoding="utf8")
    status, output = play(tmp_path, "hold", "-i", "hosts.yml", "--limit", "server")
    assert "--limit server leaves no host of group machines" in output
    assert status == 2
    status, output = play(tmp_path, "hold", "-i", "hosts.yml", "--limit", "machine7")
    assert status == 1, output  # Ansible's own error
