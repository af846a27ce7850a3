# SPDX-License-Identifier: GPL-3.0-or-later
"""Use the built collection under the oldest, a middle and the newest ansible-core that it is made for.

    tests/cores.py            what needs no node: install, preflight, every playbook's syntax, the documentation
    tests/cores.py --nodes    oldest and newest build a server and a machine (Debian 13) from nothing, and once more

Each core has an environment of its own in .lab/cores, from tests/cores/<core>.txt, with the oldest interpreter of this
computer that it runs on. A core for which there is none is skipped, and that is said. The environment of the other
checks, .venv, has one more core. Exit status 1 with the reason at the first thing that is wrong.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

from tarball import BIN, CHECKOUT, User, build, check_files, install_and_use

ENVIRONMENTS = CHECKOUT / ".lab/cores"
NODES = "server,machine1"

# Python versions that a core runs on, of those that exist: its release notes, and "Requires-Python" of its package.
PYTHONS = {
    "2.18": [(3, 11), (3, 12), (3, 13)],
    "2.20": [(3, 12), (3, 13), (3, 14)],
    "2.21": [(3, 12), (3, 13), (3, 14)],
}
ENDS = ("2.18", "2.21")


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


def without_nodes(programs: Path, tarball: Path, files: list[str]) -> None:
    with tempfile.TemporaryDirectory(prefix="greenlab-core-") as folder:
        install_and_use(User(Path(folder) / "home", programs), tarball, files)


def on_nodes(core: str, programs: Path, tarball: Path) -> None:
    """Build new nodes with site, and run it again, looking at everything: nothing may change."""
    lab = {**os.environ, "GREENLAB_SUITE": "trixie", "ANSIBLE_CONFIG": str(CHECKOUT / "ansible.cfg")}
    inventory = CHECKOUT / "inventories/lab"
    fresh = [BIN / "ansible-playbook", "-i", inventory, "tests/lab/fresh.yml", f"--limit={NODES}"]
    subprocess.run(fresh, cwd=CHECKOUT, env=lab, check=True, stdin=subprocess.DEVNULL)
    with tempfile.TemporaryDirectory(prefix="greenlab-core-") as folder:
        user = User(Path(folder) / "home", programs)
        user.run("ansible-galaxy", "collection", "install", "--offline", "-p", user.collections, tarball)
        lab.update(ANSIBLE_COLLECTIONS_PATH=str(user.collections), PATH=user.env["PATH"], ANSIBLE_TASK_TIMEOUT="600")
        site = ["ansible-playbook", "-i", inventory, "greenlab.cluster.site", f"--limit={NODES}"]
        recap = []
        for more in ([], ["-e", "site_full=true"]):
            command = [programs / site[0], *site[1:], *more]
            print("$", *command, flush=True)
            lines = []
            process = subprocess.Popen(command, cwd=user.folder, env=lab, stdout=subprocess.PIPE, text=True)
            for line in process.stdout or ():
                print(line, end="", flush=True)
                lines.append(line)
            if process.wait() != 0:
                sys.exit(f"ansible-core {core}: exit status {process.returncode}")
            recap = lines[-20:]
        changed = dict(re.findall(r"^(\S+) +: .*changed=(\d+)", "".join(recap), re.MULTILINE))
        if set(changed) != set(NODES.split(",")) or set(changed.values()) != {"0"}:
            sys.exit(f"ansible-core {core}: a second run changes something: {changed}")


def main() -> None:
    """Try each core, and say of each how it went."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nodes", action="store_true", help="build a server and a machine")
    parser.add_argument("--core", action="append", choices=PYTHONS, help="only this one")
    args = parser.parse_args()
    here = find_pythons()
    with tempfile.TemporaryDirectory(prefix="greenlab-cores-") as folder:
        tarball = build(Path(folder))
        files = check_files(tarball)
        for core in args.core or (ENDS if args.nodes else PYTHONS):
            version = next((version for version in PYTHONS[core] if version in here), None)
            if version is None:
                wanted = " or ".join(f"3.{minor}" for _major, minor in PYTHONS[core])
                print(f"skipped: ansible-core {core}, for there is no Python {wanted} here")
                continue
            programs = environment(core, here[version])
            if args.nodes:
                on_nodes(core, programs, tarball)
            else:
                without_nodes(programs, tarball, files)
            print(f"works: ansible-core {core} with Python 3.{version[1]}", flush=True)


if __name__ == "__main__":
    main()
