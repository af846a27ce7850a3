# Copyright (c) 2026, the greenlab.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a machine is built from: a hash for each variable of its roles, and one for each role itself.

Two equal sets of hashes build equal machines, so whoever remembers the last one knows without asking the machine
whether anything would change.
"""

from __future__ import annotations

import functools
import hashlib
import json
import re
import typing as t
from pathlib import Path

from ansible_collections.greenlab.cluster.plugins.plugin_utils._preflight import Value, is_secret, load_roles

if t.TYPE_CHECKING:
    from ansible_collections.greenlab.cluster.plugins.plugin_utils._preflight import HostVariables

COLLECTION_ROOT = Path(__file__).parents[2]

# What of a role or plugin cannot change a machine.
_WITHOUT_EFFECT = {"README.md", "__pycache__", "meta"}

# What a role or a plugin uses of this collection: in YAML and templates by the full name of a role or plugin or by its
# file, in Python by the file of a module_util, whose names begin with "_".
_USED_IN_TEXT = re.compile(r"\bgreenlab\.cluster\.(\w+)|\bplugins/\w+/(\w+)\.py")
_USED_IN_PYTHON = re.compile(r"\b_\w+")

# A tag or a commit stands still, a branch may have moved.
_FIXED_VERSION = re.compile(r"v?[0-9]+\.[0-9.]+|[0-9a-f]{40}")

# Hashes are readable in the jobs DB. A password behind one must stay as hard to guess as in a file of password hashes.
_SCRYPT = {"n": 2**14, "r": 8, "p": 1, "dklen": 16}


def _files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts)


def _used_by(file: Path) -> set[str]:
    """Return names that a file mentions, those of roles and plugins of this collection among them."""
    text = file.read_text(encoding="utf8", errors="ignore")
    if file.suffix == ".py" and file.parent.parent.name == "plugins":
        return set(_USED_IN_PYTHON.findall(text))
    return {name for found in _USED_IN_TEXT.findall(text) for name in found if name}


@functools.lru_cache
def files_of_role(role: str, root: Path = COLLECTION_ROOT) -> tuple[Path, ...]:
    """Return the files of a role and of all roles and plugins that it uses, directly or by way of another."""
    plugins: dict[str, list[Path]] = {}
    for file in (root / "plugins").glob("[!d]*/*.py"):  # all but doc_fragments
        plugins.setdefault(file.stem, []).append(file)
    found: dict[Path, None] = {}
    waiting, known = [role], {role}
    while waiting:
        name = waiting.pop()
        files = [*_files(root / "roles" / name), *sorted(plugins.get(name, []))]
        files = [file for file in files if file.name not in ("README.md", "argument_specs.yml")]
        found.update(dict.fromkeys(files))
        new = {used for file in files for used in _used_by(file)} - known
        known |= new
        waiting += sorted(name for name in new if name in plugins or (root / "roles" / name).is_dir())
    return tuple(sorted(found))


@functools.lru_cache
def of_role(role: str, root: Path = COLLECTION_ROOT) -> str:
    """Return a hash of all that can change what a role makes of a machine."""
    digest = hashlib.sha256()
    for file in files_of_role(role, root):
        names = file.relative_to(root).parts
        if not _WITHOUT_EFFECT.intersection(names):
            content = file.read_bytes()
            digest.update(f"{'/'.join(names)}\0{len(content)}\0".encode() + content)
    return digest.hexdigest()[:32]


@functools.lru_cache
def _hash(name: str, value: str, secret: bool = False) -> str:
    if secret or is_secret(name):
        return hashlib.scrypt(value.encode(), salt=f"greenlab.cluster {name}".encode(), **_SCRYPT).hex()
    return hashlib.sha256(f"{name}\0{value}".encode()).hexdigest()[:32]


@functools.lru_cache
def names_of(roles: tuple[str, ...], root: Path = COLLECTION_ROOT) -> frozenset[str]:
    """Return the options of all entry points of the roles."""
    specified = load_roles(root / "roles")
    return frozenset(name for role in roles for name in specified[role].names)


def _value_of(variables: HostVariables, name: str) -> Value | None:
    """Return what a host has under a name, or under a key of a dictionary, as in `options.color`."""
    name, _dot, key = name.partition(".")
    value = variables.read(name) if name in variables else None
    if value is None or value.from_facts or value.problem:
        return None
    if not key:
        return value
    inside = value.value.get(key) if isinstance(value.value, dict) else None
    return None if inside is None else Value(inside, secret=value.secret)


def hash_of(name: str, value: t.Any, secret: bool = False) -> str:
    """Return a hash of a value, one that is hard to guess if the value or its name is that of a secret."""
    return _hash(name, json.dumps(value, sort_keys=True, default=str), secret or is_secret(name, None, value))


def contents(variables: HostVariables, names: t.Iterable[str]) -> dict[str, str]:
    """Return a hash for each file of the control node that a variable of the host names, if it is there."""
    found = {}
    for name in names:
        value = _value_of(variables, name)
        file = Path(str(value.value)).expanduser() if value and value.value else None
        if file and file.is_file():
            found[f"content of {name}"] = hashlib.sha256(file.read_bytes()).hexdigest()[:32]
    return found


def parts(
    variables: HostVariables,
    roles: t.Sequence[str],
    also: t.Iterable[str] = (),
    ignore: t.Iterable[str] = (),
    branch: str | None = None,
) -> dict[str, str]:
    """Return a hash for each variable of the roles and in `also` that the host has, for the commit that its branch
    stands for, and for each role with what it uses.

    What an operator sets at run time (facts) is no part of it, nor what cannot be read: preflight has told of that. Nor
    is what to `ignore`.
    """
    found = {f"role {role}": of_role(role) for role in roles}
    for name in sorted(names_of(tuple(roles)).difference(ignore).union(also)):
        value = _value_of(variables, name)
        if value is not None:
            found[name] = hash_of(name, value.value, value.secret)
    if branch is not None:
        found["branch"] = _hash("branch", branch)
    return found


def branch_of(variables: HostVariables) -> tuple[str, str] | None:
    """Return repository and branch of a host whose version is neither a tag nor a commit."""
    version = _value_of(variables, "gmt_version") or _value_of(variables, "gmt_release")
    repo = _value_of(variables, "gmt_repo")
    if version is None or repo is None or _FIXED_VERSION.fullmatch(str(version.value)):
        return None
    return str(repo.value), str(version.value)


def fingerprint(found: t.Mapping[str, str]) -> str:
    """Return one hash for all parts."""
    return hashlib.sha256(json.dumps(found, sort_keys=True).encode()).hexdigest()


def changes(wanted: t.Mapping[str, str], built: t.Mapping[str, str] | None) -> list[str]:
    """Return the names of what differs from what the machine was last built from; "everything" when that is unknown."""
    if not built:
        return ["everything"]
    return sorted(name for name in {*wanted, *built} if wanted.get(name) != built.get(name))
