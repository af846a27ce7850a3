# Copyright (c) 2026, the greenlab.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a machine is built from: a hash for each variable of the roles, and one for the roles and plugins themselves.

Two equal sets of hashes build equal machines, so whoever remembers the last one knows without asking the machine
whether anything would change.
"""

from __future__ import annotations

import functools
import hashlib
import json
import typing as t
from pathlib import Path

from ansible_collections.greenlab.cluster.plugins.plugin_utils._preflight import is_secret, load_roles

if t.TYPE_CHECKING:
    from ansible_collections.greenlab.cluster.plugins.plugin_utils._preflight import HostVariables

COLLECTION_ROOT = Path(__file__).parents[2]

# What of a role or plugin cannot change a machine.
_WITHOUT_EFFECT = {"README.md", "__pycache__", "meta"}

# Hashes are readable in the jobs DB. A password behind one must stay as hard to guess as in a file of password hashes.
_SCRYPT = {"n": 2**14, "r": 8, "p": 1, "dklen": 16}


@functools.lru_cache
def of_collection(root: Path = COLLECTION_ROOT) -> str:
    """Return a hash of all files that roles and plugins consist of."""
    digest = hashlib.sha256()
    for file in sorted(path for folder in ("roles", "plugins") for path in (root / folder).rglob("*")):
        names = file.relative_to(root).parts
        if file.is_file() and not _WITHOUT_EFFECT.intersection(names):
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


def parts(
    variables: HostVariables,
    roles: t.Iterable[str],
    more: t.Mapping[str, t.Any] | None = None,
    ignore: t.Iterable[str] = (),
) -> dict[str, str]:
    """Return a hash for each variable of the roles that the host has, for what `more` holds, and for the collection.

    What an operator sets at run time (facts) is no part of it, nor what cannot be read: preflight has told of that. Nor
    is what to `ignore`.
    """
    found = {}
    for name in sorted(names_of(tuple(roles)).difference(ignore)):
        value = variables.read(name) if name in variables else None
        if value is not None and not value.from_facts and not value.problem:
            secret = value.secret or is_secret(name, None, value.value)
            found[name] = _hash(name, json.dumps(value.value, sort_keys=True, default=str), secret)
    found.update({name: _hash(name, json.dumps(value)) for name, value in (more or {}).items()})
    return {"collection": of_collection(), **found}


def changes(wanted: t.Mapping[str, str], built: t.Mapping[str, str] | None) -> list[str]:
    """Return the names of what differs from what the machine was last built from; "everything" when that is unknown."""
    if not built:
        return ["everything"]
    return sorted(name for name in {*wanted, *built} if wanted.get(name) != built.get(name))
