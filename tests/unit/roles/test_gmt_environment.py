# SPDX-License-Identifier: GPL-3.0-or-later
"""How role gmt puts an environment from another machine in the place of what is there: a real tar of a real venv."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from ansible_collections.greenlab import cluster

TAKE = Path(next(iter(cluster.__path__))) / "roles/gmt/files/take.sh"


def take(archive: Path, place: Path, *then: str) -> subprocess.CompletedProcess[str]:
    command = ["sh", "-c", TAKE.read_text(encoding="utf8"), "sh", str(archive), str(place), *then]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """Return the folder of an environment that was packed, and has become another one since."""
    place = tmp_path / "tool/venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", place], check=True)
    (place / "made-from").write_text("this")
    pack = ["tar", "--create", "--use-compress-program=gzip -1", f"--file={tmp_path / 'packed.tar.gz'}"]
    subprocess.run([*pack, f"--directory={place}", "."], check=True)
    (place / "made-from").write_text("something else")
    (place / "left-over").touch()
    return place


def test_it_works_at_the_same_path(tmp_path: Path, place: Path):
    done = take(tmp_path / "packed.tar.gz", place)
    assert (done.returncode, done.stderr) == (0, "")
    assert (place / "made-from").read_text() == "this"
    assert not (place / "left-over").exists()
    prefix = [place / "bin/python", "-c", "import sys; print(sys.prefix)"]
    assert subprocess.check_output(prefix, text=True).strip() == str(place)
    assert sorted(path.name for path in place.parent.iterdir()) == ["venv"]
    assert not (tmp_path / "packed.tar.gz").exists()


def test_a_new_machine_has_none_yet(tmp_path: Path, place: Path):
    new = tmp_path / "new/venv"
    new.parent.mkdir()
    assert take(tmp_path / "packed.tar.gz", new).returncode == 0
    assert (new / "made-from").read_text() == "this"


def test_what_an_earlier_run_left_halfway_is_removed(tmp_path: Path, place: Path):
    for name in ("venv.new", "venv.old"):
        (place.parent / name).mkdir()
        (place.parent / name / "half").touch()
    assert take(tmp_path / "packed.tar.gz", place).returncode == 0
    assert sorted(path.name for path in place.parent.iterdir()) == ["venv"]
    assert not (place / "half").exists()


def test_a_broken_archive_leaves_what_is_there(tmp_path: Path, place: Path):
    archive = tmp_path / "packed.tar.gz"
    archive.write_bytes(archive.read_bytes()[:-100])
    assert take(archive, place).returncode != 0
    assert (place / "made-from").read_text() == "something else"
    assert (place / "left-over").exists()
    assert sorted(path.name for path in place.parent.iterdir()) == ["venv"]


def test_a_release_that_git_knows_is_checked_out_over_another(tmp_path: Path):
    def git(place: Path, *arguments: str) -> str:
        identity = ["-c", "user.name=x", "-c", "user.email=x@example.org", "-c", "init.defaultBranch=main"]
        return subprocess.check_output(["git", *identity, "-C", place, *arguments], text=True).strip()

    for name, content in (("one", "new"), ("two", "old")):
        (tmp_path / name).mkdir()
        git(tmp_path / name, "init", "--quiet")
        (tmp_path / name / "file").write_text(content)
        git(tmp_path / name, "add", "file")
        git(tmp_path / name, "commit", "--quiet", "--message=Some words")
    packed, place = tmp_path / "packed.tar.gz", tmp_path / "two"
    subprocess.run(["tar", "-czf", packed, "-C", tmp_path / "one/.git", "."], check=True)
    checked_out = ["git", "-c", "core.abbrev=40", "-C", str(place), "reset", "--hard"]
    done = take(packed, place / ".git", *checked_out)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split(" ")[4] == git(tmp_path / "one", "rev-parse", "HEAD")
    assert (place / "file").read_text() == "new"
    assert git(place, "status", "--porcelain") == ""
