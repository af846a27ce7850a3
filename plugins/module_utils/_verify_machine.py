# Copyright (c) 2026, the greenlab.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A machine to read from: files below a root, and commands that change nothing.

Tests give another root and other commands, so that each check can be seen to pass and to fail.
"""

from __future__ import annotations

import os
import re
import stat
import subprocess
import typing as t
from pathlib import Path

if t.TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

SECONDS = 20


class Account(t.NamedTuple):
    """An account as /etc/passwd has it."""

    name: str
    uid: int
    gid: int
    home: str


class Done(t.NamedTuple):
    """What a command said when it ended. 127 stands for a program that is not there, 124 for one that took too long."""

    rc: int
    out: str
    err: str

    @property
    def last_words(self) -> str:
        """Return one line that tells why the command failed."""
        lines = (self.err.strip() or self.out.strip()).splitlines()
        return lines[-1].strip() if lines else f"exit status {self.rc}"


def run_command(argv: Sequence[str], account: Account | None = None, env: Mapping[str, str] | None = None) -> Done:
    """Run a command, as another account without sudo or a login, both of which would write into the journal."""
    switch: dict[str, t.Any] = {}
    if account:
        switch = {"user": account.uid, "group": account.gid, "extra_groups": os.getgrouplist(account.name, account.gid)}
    try:
        # AnsibleModule.run_command becomes nobody else.
        done = subprocess.run(  # noqa: S603 - no shell  # pylint: disable=ansible-bad-function
            argv,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
            cwd="/",
            env={"PATH": os.defpath + ":/usr/sbin:/sbin", **(env or {"LC_ALL": "C.UTF-8"})},
            timeout=SECONDS,
            **switch,
        )
    except subprocess.TimeoutExpired:
        return Done(124, "", f"{argv[0]} gave no answer in {SECONDS} s")
    except OSError as error:
        return Done(127, "", f"{argv[0]}: {error.strerror}")
    return Done(done.returncode, done.stdout.decode(errors="replace"), done.stderr.decode(errors="replace"))


class Machine:
    """Reads a machine. Every path is absolute as the machine sees it."""

    def __init__(
        self,
        root: str = "/",
        run: Callable[[Sequence[str], Account | None, Mapping[str, str] | None], Done] = run_command,
        root_uid: int = 0,
        pid: int | None = None,
    ) -> None:
        self.root = Path(root).resolve()
        self.root_uid = root_uid
        self.pid = pid or os.getpid()
        self._run = run

    def run(self, *argv: str, account: Account | None = None, env: Mapping[str, str] | None = None) -> Done:
        """Run a command of the machine."""
        return self._run(argv, account, env)

    def path(self, name: str) -> Path:
        """Return where a path of the machine is for this process."""
        return self.root / name.lstrip("/")

    def name(self, path: Path) -> str:
        """Return how the machine calls a path."""
        return "/" + str(path.relative_to(self.root))

    def real_name(self, name: str) -> str:
        """Return a path without the links that lead to it."""
        return self.name(self.path(name).resolve())

    def content(self, name: str) -> bytes | None:
        """Return what a file holds, or None when it cannot be read."""
        try:
            return self.path(name).read_bytes()
        except OSError:
            return None

    def text(self, name: str) -> str | None:
        """Return a file's text without the blanks around it, or None when it cannot be read."""
        content = self.content(name)
        return None if content is None else content.decode(errors="replace").strip()

    def number(self, name: str) -> int | None:
        """Return the number in a file, or None when there is none."""
        text = self.text(name)
        return int(text) if text and re.fullmatch(r"-?\d+", text) else None

    def stat(self, name: str) -> os.stat_result | None:
        """Return who owns a path and who may do what with it; a link is not followed."""
        try:
            return self.path(name).lstat()
        except OSError:
            return None

    def names(self, pattern: str) -> list[str]:
        """Return the paths that match a pattern, sorted."""
        return sorted(self.name(path) for path in self.root.glob(pattern.lstrip("/")))

    def files_below(self, name: str) -> list[str]:
        """Return the regular files at and below a path, sorted. Links are no files here."""
        status = self.stat(name)
        if status is None:
            return []
        if not stat.S_ISDIR(status.st_mode):
            return [name] if stat.S_ISREG(status.st_mode) else []
        found = []
        for folder, _folders, files in os.walk(self.path(name)):
            found += [self.name(Path(folder) / file) for file in files]
        return sorted(file for file in found if stat.S_ISREG(self.path(file).lstat().st_mode))

    def accounts(self) -> list[Account]:
        """Return the machine's own accounts."""
        rows = [line.split(":") for line in (self.text("/etc/passwd") or "").splitlines()]
        return [Account(row[0], int(row[2]), int(row[3]), row[5]) for row in rows if len(row) == 7]

    def account(self, name: str) -> Account | None:
        """Return an account by name."""
        return next((account for account in self.accounts() if account.name == name), None)

    def group_name(self, gid: int) -> str:
        """Return a group's name, or its number when it has none."""
        rows = [line.split(":") for line in (self.text("/etc/group") or "").splitlines()]
        return next((row[0] for row in rows if row[2:3] == [str(gid)]), str(gid))

    def flaw_of_root_file(self, name: str) -> str | None:
        """Return why somebody but root could change what a path holds, or None. Root runs it, so nobody may."""
        for part in [Path(name), *Path(name).parents]:
            status = self.stat(str(part))
            if status is None:
                return f"{part} is missing"
            if stat.S_ISLNK(status.st_mode):
                return f"{part} is a link"
            if status.st_uid != self.root_uid:
                return f"{part} belongs to {status.st_uid}"
            if status.st_mode & 0o022 and not status.st_mode & stat.S_ISVTX:
                return f"{part} can be written by others"
        return None
