# SPDX-License-Identifier: GPL-3.0-or-later
"""Build the bare git repository of the GMT stand-in: ``build.py DEST.git``.

One commit and one tag for each folder beside this file that is named in RELEASES; the branch ``main`` is the newest.
Author, dates and file order are fixed, so the same trees always give the same commit hashes, on every machine.
Prints ``built`` or ``unchanged``; a DEST that is already right is not touched.
"""

from __future__ import annotations

import argparse
import contextlib
import fcntl
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

HERE = Path(__file__).resolve().parent

# Oldest first. The date is the day upstream tagged the release (seconds since 1970, UTC).
RELEASES = {"v0.16": 1687824000, "v4.1": 1784332800}

AUTHOR = "GMT stand-in <gmt-standin@example.invalid>"

# What a test run or a build may leave in the trees; upstream does not ship these either.
JUNK_NAMES = {"__pycache__", "metric-provider-binary", "config.yml", "venv"}
JUNK_SUFFIXES = {".pyc", ".o"}

SETTINGS = {
    "uploadpack.allowAnySHA1InWant": "true",  # clients pin a release by its commit hash
    "greenlab.standin": "true",  # how we recognise our own work before we replace it
}


def git(repo: Path, *args: str, stdin: bytes | None = None) -> str:
    """Run git in `repo`, untouched by the caller's environment and configuration; return its output."""
    env = {key: value for key, value in os.environ.items() if not key.startswith("GIT_")}
    env.update(LC_ALL="C", GIT_CONFIG_NOSYSTEM="1", GIT_CONFIG_GLOBAL=os.devnull)
    command = ["git", f"--git-dir={repo}", *args]
    return subprocess.run(command, input=stdin, stdout=subprocess.PIPE, env=env, check=True).stdout.decode()


def tree_files(tree: Path) -> Iterator[Path]:
    """Yield the files of a release in a fixed order, without junk."""
    for path in sorted(tree.rglob("*")):
        inner = path.relative_to(tree)
        if path.is_file() and not JUNK_NAMES & set(inner.parts) and path.suffix not in JUNK_SUFFIXES:
            yield path


def fast_import_stream() -> bytes:
    """Return all releases in the input format of ``git fast-import``, which takes every date and mode from us."""
    out = bytearray()

    def data(content: bytes) -> None:
        out.extend(b"data %d\n%s\n" % (len(content), content))

    for number, (release, when) in enumerate(RELEASES.items(), start=1):
        tree = HERE / release
        if not tree.is_dir():
            raise SystemExit(f"build.py: no source tree {tree}")
        out += f"commit refs/heads/main\nmark :{number}\n".encode()
        out += f"author {AUTHOR} {when} +0000\ncommitter {AUTHOR} {when} +0000\n".encode()
        data(f"Stand-in for GMT {release}\n".encode())
        if number > 1:
            out += f"from :{number - 1}\n".encode()
        out += b"deleteall\n"
        for path in tree_files(tree):
            mode = "100755" if path.stat().st_mode & 0o100 else "100644"
            out += f"M {mode} inline {path.relative_to(tree).as_posix()}\n".encode()
            data(path.read_bytes())
        # Upstream's tags are lightweight, too.
        out += f"reset refs/tags/{release}\nfrom :{number}\n\n".encode()
    return bytes(out)


def build(repo: Path) -> None:
    """Make a new bare repository at `repo`, an empty directory."""
    git(repo, "init", "--quiet", "--bare", "--template=")
    git(repo, "symbolic-ref", "HEAD", "refs/heads/main")
    for key, value in SETTINGS.items():
        git(repo, "config", key, value)
    git(repo, "fast-import", "--quiet", stdin=fast_import_stream())
    git(repo, "update-server-info")  # so that a plain file server over HTTP is enough
    repo.chmod(0o755)  # mkdtemp made it private; the nodes fetch as other users


def state(repo: Path) -> tuple[str, ...]:
    """Return everything that makes two of our repositories the same: HEAD, refs, settings."""
    settings = tuple(git(repo, "config", "--default", "", "--get", key) for key in SETTINGS)
    return (git(repo, "symbolic-ref", "HEAD"), git(repo, "for-each-ref"), *settings)


def is_ours(repo: Path) -> bool:
    """Tell whether `repo` is a repository that this program built."""
    if not (repo / "HEAD").is_file():
        return False
    return git(repo, "config", "--default", "", "--get", "greenlab.standin").strip() == "true"


@contextlib.contextmanager
def locked(directory: Path) -> Iterator[None]:
    """Let one build at a time work in `directory`; the lock is the directory itself, so nothing is left behind."""
    handle = os.open(directory, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def publish(dest: Path) -> str:
    """Bring `dest` up to date and return ``built`` or ``unchanged``."""
    with locked(dest.parent):
        if dest.exists() and not is_ours(dest):
            raise SystemExit(f"build.py: {dest} exists and is not a GMT stand-in, it stays as it is")
        work = Path(tempfile.mkdtemp(prefix=f".{dest.name}.", dir=dest.parent))
        try:
            new = work / "new.git"
            new.mkdir()
            build(new)
            if dest.exists():
                if state(dest) == state(new):
                    return "unchanged"
                dest.rename(work / "old.git")
            new.rename(dest)
            return "built"
        finally:
            shutil.rmtree(work)


def main(argv: list[str]) -> int:
    parser = argparse.ArgumentParser(description="Build the bare git repository of the GMT stand-in.")
    parser.add_argument("dest", metavar="DEST.git", type=Path, help="where; its parent directory must exist")
    dest = parser.parse_args(argv).dest.absolute()
    if not dest.parent.is_dir():
        parser.error(f"{dest.parent} is not a directory")
    print(publish(dest))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
