# Copyright (c) 2026, the greenlab.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Hosts' variables as the inventory has them, templated one by one when asked for, for those who look at all."""

from __future__ import annotations

import re
import typing as t
from collections.abc import Hashable, Iterator, Mapping

from ansible import constants as C

from ansible_collections.greenlab.cluster.plugins.plugin_utils import _preflight, _sources

try:
    from ansible._internal._datatag._tags import Origin
except ImportError:  # ansible-core 2.18
    Origin = None  # type: ignore[assignment,misc]

# Of this play, but a variable of the inventory may use them.
_PLAY_VARIABLES = ("hostvars", "ansible_play_batch", "ansible_play_hosts", "ansible_play_hosts_all")

_ENCRYPTED_TYPES = ("AnsibleVaultEncryptedUnicode", "EncryptedString")  # ansible-core before 2.19, and since
_TEMPLATE_MARKS = re.compile(r"{{|{%|{#|^#jinja2:")
_UNDEFINED = re.compile(r"'[^']+' is undefined|has no (?:attribute|element) \S+")
_WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_NAME = re.compile(rf"(?<![.A-Za-z0-9_]){_WORD.pattern}")  # what stands behind a dot is no variable
# A fact under its old top-level name; not what says how to connect, and not what a play sets.
_FACT = re.compile(
    r"ansible_(?!(?:user|host|port|connection|password|become.*|play_.*|ssh_(?:user|host|port|pass.*))$).*"
)
# A template with one of these words may read variables that it does not name.
_READS_MORE = frozenset(("lookup", "q", "query", "vars"))
# The same for every host, and large.
_SHARED = frozenset(("groups", "hostvars"))

_Seen = dict[Hashable, tuple["_preflight.Value | None", list[t.Any]]]


def _is_encrypted(raw: t.Any) -> bool:
    return type(raw).__name__ in _ENCRYPTED_TYPES


def is_plain(raw: t.Any) -> bool:
    """Say whether templating would change nothing: most values are plain, and templating is what costs time."""
    if isinstance(raw, str):
        return not _TEMPLATE_MARKS.search(raw)
    if isinstance(raw, Mapping):
        return all(is_plain(part) for pair in raw.items() for part in pair)
    if isinstance(raw, (list, tuple)):
        return all(is_plain(part) for part in raw)
    return raw is None or isinstance(raw, (bool, int, float))


def _words(raw: t.Any, kind: re.Pattern[str] = _WORD) -> set[str]:
    """Return every word of a template; those that are names of variables are what it is made from."""
    if isinstance(raw, str):
        return set(kind.findall(raw)) if _TEMPLATE_MARKS.search(raw) else set()
    if isinstance(raw, Mapping):
        return set().union(*(_words(part, kind) for part in raw.values()))
    if isinstance(raw, (list, tuple)):
        return set().union(*(_words(part, kind) for part in raw))
    return set()


def _origin_of(raw: t.Any) -> str:
    """Return file and line of a value; true, false and null have none, nor has any with ansible-core before 2.19."""
    tag = Origin.get_tag(raw) if Origin else None
    return f"{_sources.shorten(tag.path)}, line {tag.line_num}" if tag and tag.path and tag.line_num else ""


class Variables:
    """One host's variables as the inventory has them, templated one by one when asked for."""

    def __init__(
        self, raw: Mapping[str, t.Any], templar: t.Any, play_variables: Mapping[str, t.Any], seen: _Seen
    ) -> None:
        self._raw = raw
        self._seen = seen
        self._shared_templar = templar
        self._play_variables = play_variables
        self._own_templar: t.Any = None

    def __iter__(self) -> Iterator[str]:
        return iter(self._raw)

    def __contains__(self, name: object) -> bool:
        return name in self._raw

    def read(self, name: str) -> _preflight.Value | None:
        """Return a variable that is set, templated if it has to be; nothing if its template omits it."""
        raw = self._raw[name]
        if is_plain(raw):
            return _preflight.Value(raw)
        names = self._made_from(name)
        if names & _READS_MORE:
            return self._template(raw, names)
        # Most templates are a group's and made from a group's variables: the very same objects give the same result.
        # So does what is read from another host, as in hostvars['server'].ansible_host.
        sources = {n: self._raw[n] for n in sorted(self._made_from(name, _NAME)) if n in self._raw}
        key = (id(raw), *((n, id(source)) for n, source in sources.items()))
        if key not in self._seen:
            # The objects are kept, so that their ids are not given to others.
            self._seen[key] = (self._template(raw, names), [raw, *sources.values()])
        return self._seen[key][0]

    def origin(self, name: str) -> str:
        """Return file and line of a variable, or an empty string where Ansible does not know them."""
        return _origin_of(self._raw[name]) if name in self._raw else ""

    def _template(self, raw: t.Any, names: set[str]) -> _preflight.Value | None:
        secret = any(_is_encrypted(self._raw.get(n)) or _preflight.is_secret(n) for n in names)
        try:
            value = self._templar.template(raw)
            if _is_encrypted(value):  # ansible-core 2.18 decrypts as late as this
                value = str(value)
        except Exception as error:  # a filter or a lookup may raise anything
            if type(error).__name__ == "AnsibleValueOmittedError":
                return None
            if any(n == "ansible_facts" or (_FACT.fullmatch(n) and n not in self._raw) for n in names):
                return _preflight.Value(from_facts=True)
            return _preflight.Value(problem=_why(error, secret), secret=secret)
        if isinstance(value, str) and value and value == self._raw.get("omit"):  # ansible-core 2.18
            return None
        return _preflight.Value(value, secret=secret, digits_are_int=value is not raw and not self._keeps_types)

    @property
    def _templar(self) -> t.Any:
        if self._own_templar is None:
            self._own_templar = self._shared_templar.copy_with_new_env(
                available_variables={**self._raw, **self._play_variables}
            )
        return self._own_templar

    @property
    def _keeps_types(self) -> bool:
        # ansible-core 2.18 turns the result of a template into text, unless told otherwise.
        return hasattr(self._shared_templar, "evaluate_expression") or bool(C.DEFAULT_JINJA2_NATIVE)

    def _made_from(self, name: str, kind: re.Pattern[str] = _WORD) -> set[str]:
        """Return the name and all words that its template and theirs have in them."""
        found: set[str] = set()
        todo = {name}
        while todo:
            found |= todo
            todo = set().union(*(_words(self._raw.get(n), kind) for n in todo)) - found - _SHARED
        return found


def _why(error: Exception, secret: bool) -> str:
    """Say why a value could not be templated; the text of an error may have a secret in it."""
    message = " ".join(str(error).split())
    undefined = _UNDEFINED.search(message)
    if undefined:
        return f"cannot be read: {undefined[0].rstrip('.')}. Define it or correct the name."
    if "decrypt" in message.lower():
        return "cannot be decrypted. Give the vault's password with --ask-vault-pass or --vault-id."
    if "recursi" in message.lower():
        return "cannot be read: its template refers to itself. Write the value."
    if secret:
        return "cannot be read: its template fails (why is hidden). Correct the template."
    return f"cannot be read: {message[:160].rstrip('. ')}. Correct the template."


def of_hosts(task_vars: Mapping[str, t.Any], templar: t.Any) -> t.Callable[[str], Variables]:
    """Return what gives each host's variables; what equal templates of two hosts give is computed once."""
    play_variables = {name: task_vars[name] for name in _PLAY_VARIABLES if name in task_vars}
    seen: _Seen = {}

    def of_host(host: str) -> Variables:
        # raw_get(): as the inventory has them. hostvars[host] would make a new templating engine for each access.
        return Variables(task_vars["hostvars"].raw_get(host), templar, play_variables, seen)

    return of_host
