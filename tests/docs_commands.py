# SPDX-License-Identifier: GPL-3.0-or-later
"""Run the commands of README and docs/ as they are printed, in order, against nodes of the lab.

    tests/docs_commands.py              makes the lab GREENLAB_LAB (`docs`), runs everything, and removes the lab
    tests/docs_commands.py --keep       leaves lab and homes there, for a look
    tests/docs_commands.py --kept FOLDER --page docs/wake.md      reads a page with what --keep has left

All that the commands print is in .lab/<lab>/docs-<reader>.log.

The first word of a fenced block says what the block is:

    sh              commands for your own computer. They are run, unless they are in NOT_RUN.
    sh <host>       the same, on that host of the lab
    yaml <file>     is written into that file of the folder where the reader is
    yaml, text, …   a part of a file, or output; LANGUAGES has them all

Readers go through their pages at the same time, each in a new home with a new Python environment, a collection
installed from a git repository of this checkout, and an editor that writes the lab's addresses into the inventory.

Each command that did what the page says prints a line "passed: …", and each that is not run "skipped: …". A reader
stops at the first command that did not: "failed: …" with its output, and exit status 1.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[1]
BIN = CHECKOUT / ".venv/bin"
LAB = os.environ.get("GREENLAB_LAB") or "docs"
LAB_DIR = CHECKOUT / ".lab" / LAB
LAB_INVENTORIES = ["--inventory=inventories/lab", "--inventory=tests/lab/docs_nodes.yml"]
TIMEOUT = 30 * 60  # seconds that one command may take; a busy computer is slow

PATIENCE = 5 * 60  # and one on another host

LANGUAGES = {"sh", "yaml", "ini", "jinja", "sql", "text"}

# Who reads which pages, in which folder. A page may be read up to the first command that contains `until`.
READERS = {
    "cluster": [
        ("README.md", "~", None),
        ("docs/verify.md", "~/mycluster", None),
        ("docs/operating.md", "~/mycluster", None),
        ("docs/releases.md", "~/mycluster", None),
        ("docs/troubleshooting.md", "~/mycluster", None),
        ("docs/wake.md", "~/mycluster", None),
        ("docs/jobs_db.md", "~/mycluster", None),
        ("docs/quiet.md", "~/mycluster", None),
    ],
    "single": [
        ("README.md", "~", "ansible-galaxy"),
        ("docs/first_machine.md", "~", None),
        ("docs/compile_cluster.md", "~", None),
    ],
}

# What takes the place of a command, because the command itself would take minutes.
REPLACED = {
    "pip install ansible passlib": f"ln -s {BIN}/ansible* ~/greenlab-venv/bin/  # what pip would install is in .venv",
}

# Commands that end with another status than 0, as their page says.
STATUS = {
    ("docs/jobs_db.md", "ansible-playbook greenlab.cluster.restore  "): 2,  # without restore_confirm it stops
}

# What a page promises beside its commands: run on a host of the lab when the page has been read.
QUERY = "SELECT state FROM jobs WHERE name = 'first'"
PROMISES = {
    "docs/first_machine.md": (
        "workstation",
        "# the first job ends FINISHED",
        f'until sudo -u postgres psql -XAtc "{QUERY}" green-coding | grep -x FINISHED; do sleep 2; done',
    ),
}

# Commands that are not run, by page and beginning, and why.
NOT_RUN = {
    ("README.md", "make "): "contributors' targets; this program is a part of `make test`, and the lab of `make demo`",
    ("docs/compile_cluster.md", "ansible-playbook greenlab.cluster.compile_cluster"): "molecule/compile_cluster does",
    ("docs/compile_cluster.md", "cd project"): "the head compiles and computes in molecule/compile_cluster",
    ("docs/compile_cluster.md", "distccmon-text"): "the head compiles and computes in molecule/compile_cluster",
    ("docs/compile_cluster.md", "sudo -iu mpi"): "the head compiles and computes in molecule/compile_cluster",
    ("docs/compile_cluster.md", "mpicc"): "the head compiles and computes in molecule/compile_cluster",
    ("docs/cost.md", ""): "benchmarks, which take hours",
    (
        "docs/execution_environment.md",
        "",
    ): "needs an image registry; tests/tarball.py has all that needs none",
    (
        "docs/move.md",
        "",
    ): "needs a cluster that was made by hand; the unit test test_restore_plain.py reads its dump",
    ("docs/pull.md", ""): "needs a git host and a machine that pulls; tried by hand, see the page",
    ("docs/status.md", ""): "contributors' commands; the unit tests run these",
    ("roles/mpi/README.md", ""): "the head computes in molecule/compile_cluster",
    ("docs/upgrade_day.md", ""): "builds each machine again; molecule/hold upgrades and molecule/jobs_db migrates",
    ("docs/wake.md", "sudo -u postgres psql"): "the lab has no runs that were measured",
    ("docs/wake.md", "greenlab-wake simulate"): "the lab has no runs that were measured",
}


def is_whole(command: str) -> bool:
    """Return whether a command ends where its text does, and not in a later line."""
    return subprocess.run(["bash", "-nc", command], capture_output=True, check=False).returncode == 0


@dataclass(frozen=True)
class Block:
    """A fenced block: where it is, its words after the fence, and its text."""

    page: str
    line: int
    words: tuple[str, ...]
    text: str

    @property
    def language(self) -> str:
        return self.words[0] if self.words else ""

    def commands(self) -> Iterator[tuple[int, str]]:
        """Return line and text of each command; one may have several lines."""
        begin, lines = 0, []
        for number, line in enumerate(self.text.splitlines(), start=self.line + 1):
            begin = begin or number
            lines.append(line)
            command = "\n".join(lines)
            if not line.endswith("\\") and is_whole(command):
                if re.sub(r"(^|\s)#.*", "", command).strip():
                    yield begin, command
                begin, lines = 0, []
        if lines:
            sys.exit(f"{self.page}:{begin}: is no whole command: {command}")


def pages() -> list[str]:
    """Return the pages whose blocks must say what they are."""
    found = [*CHECKOUT.glob("*.md"), *CHECKOUT.glob("docs/*.md"), *CHECKOUT.glob("roles/*/README.md")]
    return sorted(path.relative_to(CHECKOUT).as_posix() for path in found)


def blocks(page: str) -> list[Block]:
    """Return the fenced blocks of a page."""
    found, text = [], []
    begin = 0
    for number, line in enumerate((CHECKOUT / page).read_text(encoding="utf8").splitlines(), start=1):
        if not line.lstrip().startswith("```"):
            text.append(line)
        elif not begin:
            begin, words, text = number, tuple(line.strip().removeprefix("```").split()), []
        else:
            found.append(Block(page, begin, words, "\n".join(text) + "\n"))
            begin = 0
    if begin:
        sys.exit(f"{page}:{begin}: the block has no end")
    return found


def why_not_run(page: str, command: str) -> str | None:
    """Return why a command is not run, None if it is."""
    return next((why for (where, begin), why in NOT_RUN.items() if where == page and command.startswith(begin)), None)


@dataclass(frozen=True)
class Lab:
    """Addresses of the nodes by name, and how to log in to them."""

    addresses: dict[str, str]
    ssh: str
    key: str

    @property
    def prefix(self) -> str:
        return self.addresses["server"].rpartition(".")[0]


class Failed(Exception):
    """A command did not do what its page says."""


class Reader:
    """A user at a computer: a home, and a shell in which one command follows the other."""

    def __init__(self, name: str, home: Path, lab: Lab, repository: Path) -> None:
        self.name = name
        self.home = home
        self.lab = lab
        home.mkdir(exist_ok=True)
        self.log = (LAB_DIR / f"docs-{name}.log").open("w", encoding="utf8")
        kept = {key: os.environ[key] for key in ("PATH", "USER", "LANG", "TERM", "TMPDIR") if key in os.environ}
        self.shell = subprocess.Popen(
            ["bash", "--norc"],
            cwd=home,
            env={
                **{key: value for key, value in os.environ.items() if key.lower().endswith("_proxy") or "SSL" in key},
                **kept,
                "HOME": str(home),
                "ANSIBLE_NOCOLOR": "1",
                "EDITOR": f"{sys.executable} {__file__} --edit",
                "GREENLAB_DOCS_LAB": json.dumps(asdict(lab)),
                "GREENLAB_URL": f"file://{repository}",
                "LC_ALL": "C.UTF-8",
            },
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf8",
            errors="replace",
            start_new_session=True,
        )

    def run(self, command: str) -> tuple[int, str]:
        """Run a command in the shell, where it may change folder and variables; return its status and output."""
        assert self.shell.stdin and self.shell.stdout
        file = self.home / ".command"
        file.write_text(command + "\n", encoding="utf8")
        mark = f"=={time.monotonic_ns()}=="
        watch = threading.Timer(TIMEOUT, os.killpg, [self.shell.pid, signal.SIGKILL])
        watch.start()
        try:
            self.shell.stdin.write(f'. "$HOME/.command" </dev/null; printf "\\n{mark}%s\\n" $?\n')
            self.shell.stdin.flush()
            lines = []
            for line in self.shell.stdout:
                self.log.write(line)
                self.log.flush()
                if line.startswith(mark):
                    return int(line.removeprefix(mark)), "".join(lines)
                lines.append(line)
        finally:
            watch.cancel()
        raise Failed(f"The shell ended, or the command took longer than {TIMEOUT} s.\n{''.join(lines)}")

    def read(self, page: str, folder: str, until: str | None) -> None:
        """Do what a page says."""
        self.run(f"cd {folder}")
        for block in blocks(page):
            if block.language == "yaml" and len(block.words) == 2:
                file = self.home / ".file"
                file.write_text(block.text, encoding="utf8")
                self.run(f'cp "$HOME/.file" {block.words[1]}')
            for line, command in block.commands() if block.language == "sh" else ():
                # What is read only in part is counted for the reader who goes through all of it.
                self.do(page, line, command, block.words[1:], "repeated" if until else "passed")
                if until and until in command:
                    return
        if page in PROMISES:
            host, name, command = PROMISES[page]
            self.do(page, 0, f"{name}\n{command}", (host,), "passed")

    def do(self, page: str, line: int, command: str, host: tuple[str, ...], word: str) -> None:
        """Run a command of a page, and print how it went."""
        where = f"{page}:{line}: {command.splitlines()[0]}"
        if why := why_not_run(page, command):
            if word == "passed":
                print(f"skipped: {where} ({why})", flush=True)
            return
        really = next((instead for begin, instead in REPLACED.items() if command.startswith(begin)), command)
        if host:
            there = self.home / ".there"
            there.write_text(command + "\n", encoding="utf8")
            login = f"{self.lab.ssh} -i {self.lab.key} operator@{self.lab.addresses[host[0]]}"
            really = f"timeout {PATIENCE} ssh {login} bash -s < {there}"
        wanted = next((code for (at, begin), code in STATUS.items() if at == page and command.startswith(begin)), 0)
        started = time.monotonic()
        status, output = self.run(really)
        if status != wanted:
            raise Failed(f"{where}\n{output}\nExit status {status}, {wanted} was expected.")
        print(f"{word}: {where} ({time.monotonic() - started:.1f} s)", flush=True)

    def read_all(self, only: str | None) -> None:
        """Go through the pages, and keep what went wrong."""
        self.why = ""
        try:
            if only:
                self.run(". ~/greenlab-venv/bin/activate")
            for page, folder, until in READERS[self.name]:
                if only in (None, page):
                    self.read(page, folder, until)
        except Failed as error:
            self.why = str(error)
        finally:
            self.stop()

    def stop(self) -> None:
        """End the shell with all that it has started."""
        if self.shell.poll() is None:
            os.killpg(self.shell.pid, signal.SIGKILL)
        self.shell.wait()


def edit(files: list[str]) -> None:
    """Be $EDITOR: write into an inventory what an operator of the lab would."""
    lab = Lab(**json.loads(os.environ["GREENLAB_DOCS_LAB"]))
    # As in inventories/lab: a node sees the memory of this computer, most of which may be taken by others.
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") * 9 // 10
    ours = f"""
# Of the lab.
ansible_user: operator
ansible_ssh_private_key_file: {lab.key}
ansible_ssh_common_args: {lab.ssh}
gmt_submodules: []
gmt_client_sleep_time: 5
verify_skip: [docker_daemon, steal_time, guest_time]
verify_fail_on: error
gmt_host_reserved_memory: {memory}
"""
    for file in map(Path, files):
        text = file.read_text(encoding="utf8")
        text = re.sub(r"192\.0\.2\.(\d+)", rf"{lab.prefix}.\1", text)
        text = re.sub(r"(?m)^gmt_repo: .*", f"gmt_repo: git://{lab.prefix}.2/gmt.git", text)
        # The nodes' network cards (lab_mac), so that docs/wake.md can wake a machine.
        card = f"02:00:0a:d5:{int(lab.prefix.rpartition('.')[2]):02x}"
        for name in ("machine1", "machine2"):
            mac = f'"{card}:{int(lab.addresses[name].rpartition(".")[2]):02x}"'
            text = re.sub(rf"(?m)^( +){name}:$", rf"\g<0>\n\1  wake_target_mac: {mac}", text)
        if file.name == "main.yml":
            # Nodes cannot limit containers, so docker would be refused (molecule/cluster has it). quiet_os takes a
            # minute, so only the single machine gets it.
            single = "workstation" in (file.parents[2] / "hosts.yml").read_text(encoding="utf8")
            parts = "[quiet_os]" if single else "[]"
            text = text.replace("machine_parts: [docker, quiet_os]", f"machine_parts: {parts}") + ours
        # A node stands in for the computer that the reader sits at.
        text = text.replace("ansible_connection: local", f"ansible_host: {lab.addresses['workstation']}")
        file.write_text(text, encoding="utf8")


def snapshot(folder: Path) -> Path:
    """Make a git repository of the checkout as it is, with what is not committed yet."""
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listed, cwd=CHECKOUT, capture_output=True, text=True, check=True).stdout.split("\0")
    for name in filter(None, names):
        if (CHECKOUT / name).exists():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(CHECKOUT / name, folder / name, follow_symlinks=False)
    git = ["git", "-c", "user.name=greenlab", "-c", "user.email=greenlab@example.org", "-C", folder]
    subprocess.run([*git, "init", "--quiet", "--initial-branch=main"], check=True)
    subprocess.run([*git, "add", "--all", "--force"], check=True)
    subprocess.run([*git, "commit", "--quiet", "--message=As it is"], check=True)
    return folder


def of_lab(*command: str) -> str:
    """Run a program of the checkout for the lab."""
    done = subprocess.run(
        command,
        cwd=CHECKOUT,
        env={
            **os.environ,
            "ANSIBLE_CONFIG": str(CHECKOUT / "ansible.cfg"),
            "ANSIBLE_NOCOLOR": "1",
            "GREENLAB_LAB": LAB,
            "PATH": f"{BIN}:{os.environ['PATH']}",
        },
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        sys.exit(f"{' '.join(command)}\n{done.stdout}{done.stderr}Exit status {done.returncode}")
    return done.stdout


def make_lab(folder: Path) -> Lab:
    """Make new nodes, to which the readers have logged in once, so that the host keys are known."""
    of_lab("ansible-playbook", *LAB_INVENTORIES, "tests/lab/fresh.yml")
    shown = of_lab("ansible", *LAB_INVENTORIES, "all", "-m", "ansible.builtin.debug", "-a", "var=lab_address")
    addresses = dict(re.findall(r"^(\w+) \| SUCCESS.*?lab_address\W+([\d.]+)", shown, re.MULTILINE | re.DOTALL))
    known = folder / "known_hosts"
    with known.open("w", encoding="utf8") as file:
        subprocess.run(["ssh-keyscan", *addresses.values()], stdout=file, stderr=subprocess.DEVNULL, check=True)
    lab = Lab(addresses, f"-o UserKnownHostsFile={known}", str(LAB_DIR / "id_ed25519"))
    (folder / "lab.json").write_text(json.dumps(asdict(lab)), encoding="utf8")
    return lab


def main() -> None:
    """Make the lab, let the readers read side by side, and remove it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--keep", action="store_true", help="leave the lab and the readers' homes")
    parser.add_argument("--kept", metavar="FOLDER", type=Path, help="use what --keep left there")
    parser.add_argument("--page", help="read this one alone, with --kept")
    parser.add_argument("--reader", action="append", choices=READERS, default=[], help="all if not given")
    parser.add_argument("--edit", nargs="+", metavar="FILE", help="be the readers' editor")
    args = parser.parse_args()
    if args.edit:
        edit(args.edit)
        return
    # In /tmp, for the path of a socket of ssh must be short.
    folder = args.kept or Path(tempfile.mkdtemp(prefix="greenlab-docs-", dir="/tmp"))
    readers: list[Reader] = []
    try:
        lab = Lab(**json.loads((folder / "lab.json").read_text("utf8"))) if args.kept else make_lab(folder)
        repository = folder / "repository" if args.kept else snapshot(folder / "repository")
        readers = [Reader(name, folder / name, lab, repository) for name in args.reader or READERS]
        threads = [threading.Thread(target=reader.read_all, args=[args.page], daemon=True) for reader in readers]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    finally:
        for reader in readers:
            reader.stop()
        if args.keep or args.kept:
            print(f"The readers' homes are in {folder}.")
        else:
            subprocess.run([CHECKOUT / "tests/clean.sh", LAB], check=True, stdout=subprocess.DEVNULL)
            shutil.rmtree(folder)
    for reader in readers:
        if reader.why:
            print(f"failed: {reader.name}: {reader.why}")
    sys.exit(any(reader.why for reader in readers))


if __name__ == "__main__":
    main()
