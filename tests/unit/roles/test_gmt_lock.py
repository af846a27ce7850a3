# SPDX-License-Identifier: GPL-3.0-or-later
"""The lock of role gmt, from a real environment and real wheels, and pip that installs from it and nothing else."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from ansible_collections.greenlab import cluster

LOCK = Path(next(iter(cluster.__path__))) / "roles/gmt/files/lock.py"


def wheel(folder: Path, name: str, version: str, content: str = "") -> Path:
    """Make a wheel of one module."""
    path = folder / f"{name}-{version}-py3-none-any.whl"
    info = f"{name}-{version}.dist-info"
    with zipfile.ZipFile(path, "w") as file:
        file.writestr(f"{name.lower()}.py", content)
        known = f"Metadata-Version: 2.1\nName: {name.replace('_', '-')}\nVersion: {version}\n"
        file.writestr(f"{info}/METADATA", known)
        file.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        file.writestr(f"{info}/RECORD", "")
    return path


def pip(environment: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [environment / "bin/python", "-m", "pip", "--disable-pip-version-check", "install", "--no-index"]
    command += arguments
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def environment(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return an environment with two packages, whose folder of wheels has another version beside."""
    folder = tmp_path_factory.mktemp("lock")
    (folder / "wheels").mkdir()
    for name, version in (("Some_Tool", "1.0"), ("Some_Tool", "2.0"), ("other", "3.1.post1")):
        wheel(folder / "wheels", name, version)
    subprocess.run([sys.executable, "-m", "venv", folder / "venv"], check=True)
    done = pip(folder / "venv", "--find-links", str(folder / "wheels"), "some.tool==1.0", "other")
    assert done.returncode == 0, done.stderr
    return folder


def locked(environment: Path) -> list[str]:
    command = [environment / "venv/bin/python", "-c", LOCK.read_text(), environment / "wheels"]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()


def test_what_is_installed_is_locked_and_nothing_else(environment: Path):
    def sha256(name: str) -> str:
        return hashlib.sha256((environment / "wheels" / name).read_bytes()).hexdigest()

    assert locked(environment) == [
        f"other==3.1.post1 --hash=sha256:{sha256('other-3.1.post1-py3-none-any.whl')}",
        f"some-tool==1.0 --hash=sha256:{sha256('Some_Tool-1.0-py3-none-any.whl')}",
    ]


def test_pip_installs_from_the_lock_and_refuses_another_wheel(environment: Path):
    (environment / "lock").write_text("# made from something\n" + "\n".join(locked(environment)) + "\n")
    arguments = ["--force-reinstall", "--no-deps", "--require-hashes", "--find-links", str(environment / "wheels")]
    assert pip(environment / "venv", *arguments, "--requirement", str(environment / "lock")).returncode == 0
    wheel(environment / "wheels", "other", "3.1.post1", content="import os")
    refused = pip(environment / "venv", *arguments, "--requirement", str(environment / "lock"))
    assert refused.returncode != 0
    assert "DO NOT MATCH THE HASHES" in refused.stderr
