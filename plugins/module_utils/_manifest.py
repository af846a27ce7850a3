# Copyright (c) 2026, the greenlab.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The manifest: how all that the roles manage on a machine was when it was last built and found fit.

It is read again in a fraction of a second: files and links are read, units are asked for in one call of systemctl for
each service manager, and no other program is started.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import stat
import subprocess
import typing as t

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    Managed = Mapping[str, Sequence[t.Any]]
    Facts = dict[str, t.Any]
    # Runs a command, as an account if one is given, and returns what it printed.
    Run = Callable[[Sequence[str], "Account | None"], str]

VERSION = 1
# What a role may declare, and what each entry names.
KINDS = {
    "paths": "a file, link or folder, or that it is absent; not what is in a folder",
    "folders": "a folder with all that is in it",
    "names": "a folder and the names in it",
    "checkouts": "a git checkout: its commit, and all that is in it",
    "units": "a unit: enabled or masked, and whether it runs; with a blank and an account one of the account's",
    "unit_files": "a unit: enabled or masked",
    "packages": "a Debian package: whether it is installed",
    "accounts": "an account: its line in passwd, its groups, its password",
    "values": "a file of the kernel, by its text",
    "certificates": "a certificate: whether it is valid for another 30 days",
    "queries": "account, port, database and a query, with blanks between: what PostgreSQL answers",
}
# They change without anybody's doing: git's own notes, and bytecode that root's programs leave.
_NOT_IN_A_CHECKOUT = frozenset((".git", "__pycache__", "venv"))
_SECONDS = 20
_UNIT_PROPERTIES = ("LoadState", "UnitFileState", "ActiveState")
# Never shown: of a file with a password even the hash helps who guesses.
_HIDDEN = frozenset(("content", "password"))


class ManifestError(Exception):
    """What was declared cannot be read; says why."""


class Account(t.NamedTuple):
    """A line of passwd."""

    name: str
    uid: int
    gid: int
    line: str


def _sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


def _text(path: str) -> str | None:
    try:
        with open(path, encoding="utf8", errors="replace") as file:
            return file.read()
    except OSError:
        return None


def run_command(argv: Sequence[str], account: Account | None) -> str:
    """Return what a command prints, with nothing of the caller's environment; of one that cannot run, nothing."""
    environment = {"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL": "C"}
    options: dict[str, t.Any] = {}
    if account:
        environment["XDG_RUNTIME_DIR"] = f"/run/user/{account.uid}"
        options = {"user": account.uid, "group": account.gid, "extra_groups": []}
    try:
        done = subprocess.run(  # noqa: S603 - commands of this module, no shell
            argv,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
            text=True,
            timeout=_SECONDS,
            **options,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout


class Reader:
    """Reads how things are on this machine. `root` is where its files are, for tests.

    `known` has, for each folder of a checkout, a sum of sizes and times and one of contents (`seen` of another reader).
    """

    def __init__(self, root: str = "/", run: Run = run_command) -> None:
        self.root = root.rstrip("/")
        self.run = run
        self.known: Mapping[str, Sequence[str]] = {}
        self.seen: dict[str, list[str]] = {}
        self._passwd: dict[str, Account] | None = None
        self._groups: list[list[str]] | None = None

    def read(self, managed: Managed) -> dict[str, dict[str, Facts]]:
        """Return the facts of all that is declared, by kind and name."""
        unknown = sorted(set(managed) - set(KINDS))
        if unknown:
            raise ManifestError(f"Nothing is known of {', '.join(unknown)}. There are {', '.join(KINDS)}.")
        found: dict[str, dict[str, Facts]] = {}
        for kind, names in managed.items():
            wanted = sorted(set(names))
            if kind in ("units", "unit_files"):
                found[kind] = self.units(wanted, with_activity=kind == "units")
            else:
                look: Callable[[str], Facts] = getattr(self, kind)
                found[kind] = {name: look(name) for name in wanted}
        return found

    # Files
    def paths(self, name: str, content: bool = True) -> Facts:
        """Return what a path is."""
        path = self.root + name
        try:
            state = os.lstat(path)
        except FileNotFoundError:
            return {"is": "absent"}
        except NotADirectoryError:
            return {"is": "absent"}
        facts: Facts = {"is": "other", **self._owned(state)}
        if stat.S_ISLNK(state.st_mode):
            return {"is": "link", "to": os.readlink(path)}
        if stat.S_ISDIR(state.st_mode):
            facts["is"] = "folder"
        elif stat.S_ISREG(state.st_mode):
            facts["is"] = "file"
            if content:
                with open(path, "rb") as file:
                    facts["content"] = _sha256(file.read())
        return facts

    def _owned(self, state: os.stat_result) -> Facts:
        return {"owner": state.st_uid, "group": state.st_gid, "mode": f"{stat.S_IMODE(state.st_mode):04o}"}

    def folders(self, name: str) -> Facts:
        """Return what a folder is, and each thing in it."""
        facts = self.paths(name)
        if facts["is"] == "folder":
            for folder, folders, files in os.walk(self.root + name):
                folders[:] = [one for one in folders if one != "__pycache__"]
                below = os.path.relpath(folder, self.root + name)
                for one in sorted([*folders, *files]):
                    inside = os.path.normpath(os.path.join(below, one))
                    facts[inside] = self.paths(os.path.join(name, inside))
        return facts

    def names(self, name: str) -> Facts:
        """Return what a folder is, and the names in it."""
        facts = self.paths(name)
        if facts["is"] == "folder":
            facts["names"] = sorted(set(os.listdir(self.root + name)) - {"__pycache__"})
        return facts

    def values(self, name: str) -> Facts:
        """Return the text of one of the kernel's files."""
        text = _text(self.root + name)
        return {"value": None if text is None else text.strip()}

    # What other programs tell
    def certificates(self, name: str) -> Facts:
        """Return whether a certificate is valid for another 30 days."""
        command = ["openssl", "x509", "-in", self.root + name, "-noout", "-checkend", "2592000"]
        return {"valid": "will not expire" in self.run(command, None)}

    def queries(self, name: str) -> Facts:
        """Return a hash of what a server on this machine answers."""
        user, port, database, query = name.split(" ", 3)
        account = self.account(user)
        plain = ["--no-psqlrc", "--quiet", "--no-align", "--tuples-only"]
        command = ["psql", *plain, f"--port={port}", f"--dbname={database}", f"--command={query}"]
        text = self.run(command, account) if account else ""
        return {"content": _sha256(text.encode())}

    # Checkouts
    def checkouts(self, name: str) -> Facts:
        """Return the commit of a checkout, and a sum of the contents of all files in each folder.

        As git itself does, it reads the files of those folders alone in which sizes or times are not as known.
        """
        top = self.root + name
        facts: Facts = {"commit": self._commit(f"{top}/.git")}
        for below, path in _folders(top):
            times = _sum_of(path, _size_and_times)
            before, contents = self.known.get(name + below, (None, ""))
            facts[below] = contents if times == before else _sum_of(path, _content)
            self.seen[name + below] = [times, facts[below]]
        return facts

    def _commit(self, git: str) -> str | None:
        head = (_text(f"{git}/HEAD") or "").strip()
        if not head.startswith("ref: "):
            return head or None
        branch = head[len("ref: ") :]
        loose = _text(f"{git}/{branch}")
        if loose:
            return loose.strip()
        packed = (line.split() for line in (_text(f"{git}/packed-refs") or "").splitlines())
        return next((words[0] for words in packed if words[1:] == [branch]), None)

    # Accounts
    def account(self, name: str) -> Account | None:
        """Return the line of an account."""
        if self._passwd is None:
            self._passwd = {}
            for line in (_text(f"{self.root}/etc/passwd") or "").splitlines():
                parts = line.split(":")
                if len(parts) > 3 and parts[2].isdigit() and parts[3].isdigit():
                    self._passwd.setdefault(parts[0], Account(parts[0], int(parts[2]), int(parts[3]), line))
        return self._passwd.get(name)

    def accounts(self, name: str) -> Facts:
        """Return the line of an account, the groups that it is in beside its own, and a hash of its password's hash."""
        account = self.account(name)
        if self._groups is None:
            self._groups = [line.split(":") for line in (_text(f"{self.root}/etc/group") or "").splitlines()]
        members = {parts[0]: parts[3].split(",") for parts in self._groups if len(parts) > 3}
        shadow = [line.split(":") for line in (_text(f"{self.root}/etc/shadow") or "").splitlines()]
        passwords = [parts[1] for parts in shadow if parts[0] == name and len(parts) > 1]
        return {
            "line": account.line if account else None,
            "groups": sorted(group for group, names in members.items() if name in names),
            "password": _sha256("\n".join(passwords).encode()),
        }

    # Packages
    def packages(self, name: str) -> Facts:
        """Return whether a package is installed; dpkg keeps the list of its sums just as long."""
        return {"installed": name in self._installed}

    @property
    def _installed(self) -> frozenset[str]:
        if not hasattr(self, "_packages"):
            try:
                listed = os.listdir(f"{self.root}/var/lib/dpkg/info")
            except FileNotFoundError:
                listed = []
            ending = ".md5sums"
            self._packages = frozenset(n[: -len(ending)].split(":")[0] for n in listed if n.endswith(ending))
        return self._packages

    # Units
    def units(self, names: Sequence[str], with_activity: bool) -> dict[str, Facts]:
        """Return the states of units: one call for each service manager."""
        managers: dict[str, list[str]] = {}
        for name in names:
            managers.setdefault(name.partition(" ")[2], []).append(name)
        found: dict[str, Facts] = {}
        for user, ours in managers.items():
            found.update(zip(ours, self._show(user, [name.partition(" ")[0] for name in ours], with_activity)))
        return found

    def _show(self, user: str, names: Sequence[str], with_activity: bool) -> Iterable[Facts]:
        account = self.account(user) if user else None
        # Without --value a property is found by its name, whatever the order.
        command = ["systemctl", "--user" if user else "--system", "show", f"--property={','.join(_UNIT_PROPERTIES)}"]
        text = "" if user and not account else self.run([*command, "--", *names], account)
        blocks = text.strip("\n").split("\n\n") if text.strip() else []
        for number in range(len(names)):
            lines = blocks[number].splitlines() if number < len(blocks) else []
            facts: Facts = {key: value for key, _equals, value in (line.partition("=") for line in lines)}
            if not with_activity:
                facts.pop("ActiveState", None)
            yield facts


def _folders(top: str) -> Iterable[tuple[str, str]]:
    todo = [("", top)]
    while todo:
        below, path = todo.pop()
        yield f"{below}/", path
        try:
            with os.scandir(path) as entries:
                inside = [(e.name, e.path) for e in entries if e.is_dir(follow_symlinks=False)]
        except OSError:
            continue
        todo += [(f"{below}/{name}", where) for name, where in inside if name not in _NOT_IN_A_CHECKOUT]


def _sum_of(folder: str, look: Callable[[os.DirEntry[str], os.stat_result], str]) -> str:
    """Return a sum of who may do what with each thing in a folder, and of what `look` returns of its files."""
    lines = []
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if entry.name in _NOT_IN_A_CHECKOUT:
                    continue
                state = entry.stat(follow_symlinks=False)
                line = f"{entry.name} {state.st_mode:o} {state.st_uid} {state.st_gid}"
                lines.append(line if stat.S_ISDIR(state.st_mode) else f"{line} {look(entry, state)}")
    except OSError as error:
        return type(error).__name__
    return _sha256("\n".join(sorted(lines)).encode())


def _size_and_times(_entry: os.DirEntry[str], state: os.stat_result) -> str:
    # Nobody can set the time of the last change of what is known of a file.
    return f"{state.st_size} {state.st_mtime_ns} {state.st_ctime_ns}"


def _content(entry: os.DirEntry[str], state: os.stat_result) -> str:
    if stat.S_ISLNK(state.st_mode):
        return os.readlink(entry.path)
    if not stat.S_ISREG(state.st_mode):
        return "neither file nor link"
    with open(entry.path, "rb") as file:
        return _sha256(file.read())


def merged(parts: Iterable[Managed]) -> dict[str, list[t.Any]]:
    """Return what several roles declare as one."""
    together: dict[str, list[t.Any]] = {}
    for part in parts:
        for kind, names in part.items():
            known = together.setdefault(kind, [])
            known += [name for name in names if name not in known]
    return together


def differences(before: Mapping[str, Mapping[str, Facts]], after: Mapping[str, Mapping[str, Facts]]) -> list[Facts]:
    """Return one dict for each thing that is not as it was, with what of it differs; secrets only as `changed`."""
    found = []
    for kind in sorted({*before, *after}):
        was, now = before.get(kind, {}), after.get(kind, {})
        for name in sorted({*was, *now}):
            old, new = was.get(name, {}), now.get(name, {})
            keys = sorted(key for key in {*old, *new} if old.get(key) != new.get(key))
            if keys:
                shown = [
                    {"before": _shown(kind, k, old.get(k)), "after": _shown(kind, k, new.get(k)), "of": k} for k in keys
                ]
                found.append({"kind": kind, "name": name, "differs": shown})
    return found


def _shown(kind: str, key: str, value: t.Any) -> t.Any:
    if isinstance(value, dict):
        return {name: part for name, part in value.items() if name not in _HIDDEN}
    return "hidden" if value is not None and (key in _HIDDEN or (kind == "checkouts" and key != "commit")) else value


def sentence(difference: Facts) -> str:
    """Return a difference as an operator reads it."""
    parts = []
    for part in difference["differs"]:
        is_hidden = part["before"] == part["after"]  # both hidden
        parts.append(f"{part['of']} changed" if is_hidden else f"{part['of']} {part['before']} -> {part['after']}")
    name = difference["name"]
    if difference["kind"] == "queries":
        name = f"database {name.split(' ')[2]}"
    return f"{name}: {', '.join(parts)}"


class Manifest:
    """The file."""

    def __init__(self, path: str) -> None:
        self.path = path

    def load(self) -> Facts | None:
        """Return the manifest, or nothing when there is none that can be believed."""
        try:
            state = os.lstat(self.path)
            if not stat.S_ISREG(state.st_mode) or state.st_uid != os.geteuid() or stat.S_IMODE(state.st_mode) != 0o600:
                return None
            with open(self.path, encoding="utf8") as file:
                content = json.load(file)
        except (OSError, ValueError):
            return None
        return content if isinstance(content, dict) and content.get("version") == VERSION else None

    def store(self, **content: t.Any) -> None:
        """Write the manifest beside, and give it its name when it is whole and on the disk."""
        os.makedirs(os.path.dirname(self.path), mode=0o755, exist_ok=True)
        beside = f"{self.path}.new"
        with contextlib.suppress(FileNotFoundError):
            os.unlink(beside)
        with open(os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf8") as file:
            json.dump({"version": VERSION, **content}, file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, self.path)

    def remove(self) -> bool:
        """Take the manifest away, so that nobody believes it; return whether there was one."""
        try:
            os.unlink(self.path)
        except FileNotFoundError:
            return False
        return True


def compared(manifest: Facts | None, fingerprint: str, reader: Reader) -> Facts:
    """Return whether the machine is as it was built, and what differs."""
    if manifest is None:
        return {"converged": False, "why": "there is no manifest that can be believed", "differences": []}
    if manifest["fingerprint"] != fingerprint:
        return {"converged": False, "why": "the manifest is that of another build", "differences": []}
    reader.known = manifest["seen"]
    found = differences(manifest["found"], reader.read(manifest["managed"]))
    return {"converged": not found, "why": "; ".join(map(sentence, found)), "differences": found}
