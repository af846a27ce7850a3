# SPDX-License-Identifier: GPL-3.0-or-later
"""Use the built collection under the oldest, a middle and the newest ansible-core that it is made for.

Install, preflight, every playbook's syntax, the documentation: what needs no node. On nodes, tests/run.py has the
oldest and the newest tell some of the stories.

Each core has an environment of its own in .lab/cores, from tests/cores/<core>.txt, with the oldest interpreter of this
computer that it runs on. A core for which there is none is skipped, and that is said. The environment of the other
checks, .venv, has one more core. Exit status 1 with the reason at the first thing that is wrong.
"""

from __future__ import annotations

import argparse
import hashlib
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tarball import CHECKOUT, User, build, check_files, install_and_use

ENVIRONMENTS = CHECKOUT / ".lab/cores"

# Python versions that a core runs on, of those that exist: its release notes, and "Requires-Python" of its package.
PYTHONS = {
    "2.18": [(3, 11), (3, 12), (3, 13)],
    "2.20": [(3, 12), (3, 13), (3, 14)],
    "2.21": [(3, 12), (3, 13), (3, 14)],
}


def output(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else ""


def interpreters() -> Iterator[str]:
    """Return all that may be interpreters here: in PATH, and those that pyenv has beside them."""
    yield from filter(None, (shutil.which(f"python3.{minor}") for minor in range(11, 15)))
    if shutil.which("pyenv"):
        for version in output("pyenv", "versions", "--bare").splitlines():
            yield f"{output('pyenv', 'prefix', version)}/bin/python3"
    yield sys.executable


def find_pythons() -> dict[tuple[int, ...], str]:
    """Return an interpreter for each version; one that only stands in for others, and does not start, is none."""
    found: dict[tuple[int, ...], str] = {}
    for path in interpreters():
        ask = "import ensurepip, sys; print(*sys.version_info[:2])"
        if Path(path).exists() and (version := output(path, "-c", ask)):
            found.setdefault(tuple(map(int, version.split())), path)
    return found


def environment(core: str, python: str) -> Path:
    """Return the folder with the programs of a core, installed unless it is as wanted already."""
    wanted = CHECKOUT / f"tests/cores/{core}.txt"
    folder = ENVIRONMENTS / core
    stamp, now = folder / "stamp", f"{python} {folder} {hashlib.sha256(wanted.read_bytes()).hexdigest()}"
    if not stamp.exists() or stamp.read_text() != now:
        print(f"Installing ansible-core {core} into {folder.relative_to(CHECKOUT)}", flush=True)
        subprocess.run([python, "-m", "venv", "--clear", folder], check=True)
        pip = [folder / "bin/python", "-m", "pip", "install", "-qq", "--disable-pip-version-check", "--no-compile"]
        subprocess.run([*pip, "--requirement", wanted], check=True)
        stamp.write_text(now)
    return folder / "bin"


def python_of(core: str) -> tuple[str, str] | None:
    """Return the version and the path of the interpreter for a core; nothing if this computer has none."""
    here = find_pythons()
    version = next((version for version in PYTHONS[core] if version in here), None)
    return (".".join(map(str, version)), here[version]) if version else None


def programs(core: str) -> Path | None:
    """Return the folder with the programs of a core; nothing if this computer has no Python for it."""
    python = python_of(core)
    return environment(core, python[1]) if python else None


def without_nodes(programs: Path, tarball: Path, files: list[str]) -> None:
    with tempfile.TemporaryDirectory(prefix="greenlab-core-") as folder:
        install_and_use(User(Path(folder) / "home", programs), tarball, files)


def main() -> None:
    """Try each core, and say of each how it went."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--core", action="append", choices=PYTHONS, help="only this one")
    args = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="greenlab-cores-") as folder:
        tarball = build(Path(folder))
        files = check_files(tarball)
        for core in args.core or PYTHONS:
            python = python_of(core)
            if python is None:
                wanted = " or ".join(f"3.{minor}" for _major, minor in PYTHONS[core])
                print(f"skipped: ansible-core {core}, for there is no Python {wanted} here")
                continue
            without_nodes(environment(core, python[1]), tarball, files)
            print(f"works: ansible-core {core} with Python {python[0]}", flush=True)


if __name__ == "__main__":
    main()
