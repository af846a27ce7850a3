# SPDX-License-Identifier: GPL-3.0-or-later
"""Make a mirror servable whose copy lacks files: tests/lab/whole.py MIRROR.git

A snapshot of a repository may come without its largest files; git then refuses to serve any commit that has them. Each
tag and branch whose tree is not whole is moved to a commit of its own, the same tree without the missing files. Prints
how many refs were moved, and without which files. A mirror that lacks nothing is left as it is.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile

WE = {"GIT_AUTHOR_NAME": "lab", "GIT_AUTHOR_EMAIL": "lab", "GIT_COMMITTER_NAME": "lab", "GIT_COMMITTER_EMAIL": "lab"}


def git(repository: str, *arguments: str, stdin: str = "", **environment: str) -> str:
    """Return what git prints."""
    command = ["git", f"--git-dir={repository}", *arguments]
    environ = {**os.environ, **environment}
    return subprocess.run(command, input=stdin, env=environ, check=True, text=True, stdout=subprocess.PIPE).stdout


def missing_files(repository: str, ref: str) -> list[str]:
    """Return the paths in a ref's tree whose content the repository does not have."""
    by_object: dict[str, list[str]] = {}
    for line in git(repository, "ls-tree", "-r", "-z", "--full-tree", ref).split("\0")[:-1]:
        kind, path = line.split("\t", 1)
        if kind.split()[1] == "blob":
            by_object.setdefault(kind.split()[2], []).append(path)
    answers = git(repository, "cat-file", "--batch-check", "--buffer", stdin="\n".join(by_object) + "\n")
    lost = [answer.split()[0] for answer in answers.splitlines() if answer.endswith(" missing")]
    return [path for name in lost for path in by_object[name]]


def move(repository: str, ref: str, without: list[str]) -> None:
    """Point a ref to a commit of its tree without some files."""
    with tempfile.TemporaryDirectory() as folder:
        index = {"GIT_INDEX_FILE": f"{folder}/index", "GIT_WORK_TREE": folder}
        git(repository, "read-tree", ref, **index)
        git(repository, "update-index", "--force-remove", "-z", "--stdin", stdin="\0".join(without) + "\0", **index)
        tree = git(repository, "write-tree", **index).strip()
    commit = git(repository, "commit-tree", "-m", f"{ref} without {', '.join(without)}", tree, **WE).strip()
    git(repository, "update-ref", ref, commit)


def main() -> None:
    """Look at every tag and branch."""
    repository = sys.argv[1]
    lost = {
        ref: files
        for ref in git(repository, "for-each-ref", "--format=%(refname)", "refs/tags", "refs/heads").split()
        if (files := missing_files(repository, ref))
    }
    for ref, files in lost.items():
        move(repository, ref, files)
    if lost:
        names = sorted({name for files in lost.values() for name in files})
        print(f"{len(lost)} tags and branches without {', '.join(names)}")


if __name__ == "__main__":
    main()
