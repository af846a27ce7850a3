# SPDX-License-Identifier: GPL-3.0-or-later
"""Make's tools: the demo's image is built beside .venv, and whichever of the two fails is an error with its output.

And make's clean: it removes both again.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

TOOLS = Path(__file__).resolve().parents[1] / "tools.sh"
IMAGE = """
import sys, time
time.sleep(0.5)
print("image.py was called with", *sys.argv[1:])
open("image-is-finished", "w").close()
sys.exit({status})
"""
# Makes an environment whose pip does nothing, or fails.
PYTHON = """#!/bin/sh
case "$*" in *venv*) mkdir -p .venv/bin && cp {pip} .venv/bin/python ;; esac
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout with the script alone, on a computer that has all packages."""
    (tmp_path / "tests/lab").mkdir(parents=True)
    (tmp_path / "bin").mkdir()
    shutil.copy(TOOLS, tmp_path / "tests")
    (tmp_path / "requirements-dev.txt").touch()
    programs = {"dpkg-query": "#!/bin/sh\nprintf installed\n", "sudo": '#!/bin/sh\nexec "$@"\n'}
    for name, text in programs.items():
        (tmp_path / "bin" / name).write_text(text, encoding="utf8")
        (tmp_path / "bin" / name).chmod(0o755)
    return tmp_path


def run(checkout: Path, *arguments: str, pip: str = "true", image: int = 0) -> subprocess.CompletedProcess[str]:
    (checkout / "tests/lab/image.py").write_text(IMAGE.format(status=image), encoding="utf8")
    python = checkout / "bin/python"
    python.write_text(PYTHON.format(pip=shutil.which(pip)), encoding="utf8")
    python.chmod(0o755)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GREENLAB_")}
    environment |= {"PATH": f"{checkout / 'bin'}:{os.environ['PATH']}", "PYTHON": str(python)}
    command = [str(checkout / "tests/tools.sh"), *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


def test_the_demo_has_both_in_the_end(checkout: Path) -> None:
    done = run(checkout, "demo")
    assert (done.returncode, done.stderr) == (0, "")
    assert (checkout / "image-is-finished").exists()
    assert (checkout / ".venv/requirements.sha256").exists()
    assert (checkout / ".lab/collections/ansible_collections/greenlab/cluster").is_symlink()
    assert "image.py" not in done.stdout


def test_an_image_that_fails_is_an_error_with_its_output(checkout: Path) -> None:
    failed = run(checkout, "demo", image=3)
    assert failed.returncode == 3
    assert failed.stderr == (
        "image.py was called with localhost/greenlab-node:bookworm --suite bookworm --mirror \n"
        "The image of the nodes was not built.\n"
    )


def test_what_is_there_stays_for_the_next_try(checkout: Path) -> None:
    run(checkout, "demo", image=3)
    done = run(checkout, "demo")
    assert done.returncode == 0
    assert "Installing Python packages" not in done.stdout


def test_packages_that_fail_are_an_error_and_leave_no_job_behind(checkout: Path) -> None:
    failed = run(checkout, "demo", pip="false")
    assert failed.returncode == 1
    assert (checkout / "image-is-finished").exists()
    assert not (checkout / ".venv/requirements.sha256").exists()
    assert "was not built" not in failed.stderr


def test_the_other_targets_need_no_image(checkout: Path) -> None:
    assert run(checkout).returncode == 0
    assert not (checkout / "image-is-finished").exists()


@pytest.mark.parametrize(("lab", "stay"), [([], []), (["demo"], [".lab", ".venv"])])
def test_clean_removes_what_tools_made_unless_a_lab_is_named(checkout: Path, lab: list[str], stay: list[str]) -> None:
    shutil.copy(TOOLS.with_name("clean.sh"), checkout / "tests")
    (checkout / "bin/podman").write_text("#!/bin/sh\n", encoding="utf8")  # it has no nodes and no images
    (checkout / "bin/podman").chmod(0o755)
    run(checkout, "demo")
    environment = {**os.environ, "PATH": f"{checkout / 'bin'}:{os.environ['PATH']}"}
    command = [str(checkout / "tests/clean.sh"), *lab]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert [name for name in (".lab", ".venv") if (checkout / name).exists()] == stay
    assert ("Removed: .lab, .venv." in done.stdout) == (not stay)
    assert ("Debian packages" in done.stdout) == (not stay)
