# SPDX-License-Identifier: GPL-3.0-or-later
"""The release that a branch or a commit is nearest to, in a repository with a history like the tool's."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from ansible_collections.greenlab.cluster.plugins.filter.gmt_release import gmt_release
from ansible_collections.greenlab.cluster.plugins.modules import gmt_release_info

WHO = {f"GIT_{who}_{what}": "test" for who in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")}


class Repository:
    """A git repository on a disk."""

    def __init__(self, folder):
        self.folder = folder
        self.git("init", "--quiet", "--initial-branch=main", ".")

    def git(self, *arguments):
        done = subprocess.run(
            ["git", *arguments], cwd=self.folder, env={**os.environ, **WHO}, check=True, capture_output=True, text=True
        )
        return done.stdout.strip()

    def commit(self, *tags):
        self.git("commit", "--quiet", "--allow-empty", "--message=x")
        for tag in tags:
            self.git("tag", tag)
        return self.git("rev-parse", "HEAD")


@pytest.fixture(scope="module")
def repository(tmp_path_factory):
    """v0.16, v2.6, a fork's branch with a tag of its own, v4.1, and main beyond it."""
    repo = Repository(tmp_path_factory.mktemp("repository"))
    repo.before_all = repo.commit()
    repo.commit("v0.16")
    repo.commit("v2.6")
    repo.git("checkout", "--quiet", "-b", "ours")
    repo.ours = repo.commit("v2.6-ours", "lab-2026")
    repo.git("checkout", "--quiet", "main")
    repo.before_v41 = repo.commit()
    repo.commit("v4.1")
    repo.head = repo.commit()
    return repo


def ask(repository, *versions):
    """Run the module as Ansible does, in a process of its own."""
    arguments = {"ANSIBLE_MODULE_ARGS": {"repo": str(repository.folder), "versions": versions}}
    done = subprocess.run(
        [sys.executable, gmt_release_info.__file__],
        input=json.dumps(arguments),
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    return json.loads(done.stdout.splitlines()[-1])


def test_branches_tags_and_commits(repository):
    answer = ask(repository, "ours", "v2.6", "lab-2026", repository.before_v41, repository.head, "main")
    assert answer["releases"] == {
        "ours": "v2.6",
        "v2.6": "v2.6",
        "lab-2026": "v2.6",
        repository.before_v41: "v2.6",
        repository.head: "v4.1",
        "main": "main",
    }
    assert answer["commits"]["ours"] == repository.ours
    assert answer["commits"]["main"] == repository.head
    assert answer["changed"] is False


def test_the_answer_is_in_the_release_table(repository):
    assert gmt_release(ask(repository, "ours")["releases"]["ours"])["python"] == "3.12"


@pytest.mark.parametrize("version", ["no-such-branch", "0" * 40])
def test_a_version_that_is_not_there(repository, version):
    answer = ask(repository, version)
    assert answer["failed"]
    assert str(repository.folder) in answer["msg"] and version in answer["msg"]


def test_a_version_without_a_release(repository):
    answer = ask(repository, repository.before_all)
    assert answer["failed"]
    assert f"{repository.before_all} comes after no release" in answer["msg"]


def test_a_repository_that_is_not_there(tmp_path):
    repository = type("Nowhere", (), {"folder": tmp_path / "nowhere"})
    answer = ask(repository, "main")
    assert answer["failed"] and str(repository.folder) in answer["msg"]
