# Copyright (c) 2026, the greenlab.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What preflight checks, without Ansible's engine: hosts' values in, lines of text out.

The action plugin templates the values and hands them over one host at a time. Nothing here reads an inventory,
knows a group by name or contacts a host.
"""

from __future__ import annotations

import dataclasses
import difflib
import functools
import ipaddress
import json
import re
import typing as t
import unicodedata
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible.module_utils.common.text.converters import to_native
from ansible.module_utils.common.yaml import yaml_load
from ansible.module_utils.parsing.convert_bool import boolean
from yaml import YAMLError

from ansible_collections.greenlab.cluster.plugins.plugin_utils import _networks, _releases
from ansible_collections.greenlab.cluster.plugins.plugin_utils._mac import normalise_mac

HIDDEN = "(hidden)"
_SECRET_NAME = re.compile(
    r"passwor[dt]|passwd|passphrase|token|secret|credential|verifier|secureon|(^|_)(pass|keys?)(_|$)|^vault_",
    re.IGNORECASE,
)
_LONGEST_SHOWN = 80  # characters of a value in an error
_HOSTS_SHOWN = 3  # a longer list is cut to its first two

_TYPE_IN_WORDS = {
    "bool": "true or false",
    "dict": "a dictionary",
    "float": "a number",
    "int": "a whole number",
    "list": "a list",
    "path": "text",
    "str": "text",
}

_SIMPLE_TYPES: dict[str, type] = {"bool": bool, "int": int, "str": str}
# What roles get is what the inventory has: Ansible converts nothing for them.
_STRICT_TYPES: dict[str, tuple[type, ...]] = {
    "dict": (Mapping,),
    "float": (int, float),
    "int": (int,),
    "list": (list, tuple),
}

_IN_YAML = """Write {yaml} without quotes into a YAML inventory, or on the command line -e '{{"{name}": {json}}}'."""

# In a condition all text is true, "false" too.
_TEXT_FOR_BOOL = (
    "= {value!r} is not true or false. Write {means} without quotes into a YAML inventory, or on the command line"
    """ -e '{{"{name}": {means}}}': what stands behind = there, and in an INI inventory, is text."""
)

_KINDS = ("address", "bool", "hba", "int", "list", "mac", "networks", "release", "str")

_GROUP_SPEC: dict[str, t.Any] = {
    "apart_from": {"type": "dict", "default": {}},
    "exclusive": {"type": "list", "elements": "list", "default": []},
    "impossible": {"type": "list", "elements": "dict", "default": []},
    "max_hosts": {"type": "int"},
    "min_hosts": {"type": "int", "default": 0},
    "needed_by": {"type": "list", "elements": "str", "default": []},
    "provided": {"type": "list", "elements": "str", "default": []},
    "read_by": {"type": "list", "elements": "str"},
    "required": {"type": "list", "elements": "str", "default": []},
    "roles": {"type": "list", "elements": "str", "default": []},
    "values": {"type": "dict", "default": {}},
}
_RULE_SPEC: dict[str, t.Any] = {
    "inside": {"type": "str"},
    "max": {"type": "int"},
    "min": {"type": "int"},
    "choices": {"type": "list", "elements": "str", "default": []},
    "covers": {"type": "list", "elements": "str", "default": []},
    "matches": {"type": "str"},
    "no_example": {"type": "bool", "default": False},
    "not_empty": {"type": "bool", "default": False},
    "one_of": {"type": "list", "elements": "str", "default": []},
    "remedy": {"type": "str", "default": ""},
    "single_line": {"type": "bool", "default": False},
    "type": {"type": "str", "choices": [*_KINDS]},
    "unique": {"type": "bool", "default": False},
}


_IMPOSSIBLE_SPEC: dict[str, t.Any] = {
    "values": {"type": "dict", "required": True},
    "why": {"type": "str", "required": True},
}


class BadRequest(ValueError):
    """The playbook asks for something that cannot be checked: a wrong rule, a role without a specification."""


# --- what comes in ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Value:
    """One variable of one host, after templating."""

    value: t.Any = None
    problem: str = ""  # why it could not be read; then value means nothing
    from_facts: bool = False  # made from facts that nobody has gathered yet; then value means nothing
    secret: bool = False  # came out of a vault, so it is never shown
    digits_are_int: bool = False  # a template that had no way to return an int (ansible-core 2.18)


class HostVariables(t.Protocol):
    """One host's variables; a value is templated when it is asked for."""

    def __iter__(self) -> Iterator[str]:
        """Go through the names of the variables that are set."""

    def __contains__(self, name: object) -> bool:
        """Say whether a variable is set."""

    def read(self, name: str) -> Value | None:
        """Return a variable that is set, or nothing if its template omits it."""

    def origin(self, name: str) -> str:
        """Return file and line of a variable, or an empty string where Ansible does not know them."""


@dataclass(frozen=True)
class Role:
    """What meta/argument_specs.yml says of a role."""

    name: str
    options: Mapping[str, Mapping[str, t.Any]]  # of the entry point main
    names: frozenset[str]  # of every entry point, with aliases


def load_roles(roles_path: str | Path) -> dict[str, Role]:
    """Read the argument specifications of all roles in a folder.

    :raises BadRequest: a file cannot be read or is no YAML.
    """
    roles = {}
    for file in sorted(Path(roles_path).glob("*/meta/argument_specs.yml")):
        try:
            document = yaml_load(file.read_bytes()) or {}
            entry_points = document["argument_specs"]
            main = entry_points.get("main", {}).get("options") or {}
            names = set()
            for entry_point in entry_points.values():
                for option, spec in (entry_point.get("options") or {}).items():
                    names.update([option, *(spec.get("aliases") or [])])
        except (OSError, YAMLError, KeyError, TypeError, AttributeError) as error:
            raise BadRequest(f"{file} is not a role's argument specification: {to_native(error)}") from error
        name = file.parent.parent.name
        roles[name] = Role(name, main, frozenset(names))
    return roles


@dataclass(frozen=True)
class Rule:
    """What the playbook says of one variable of a group."""

    kind: str | None
    minimum: int | None
    maximum: int | None
    not_empty: bool
    single_line: bool
    unique: bool
    matches: str | None = None
    remedy: str = ""
    inside: str | None = None  # variable with the network that the address is of
    one_of: Sequence[str] = ()  # variables, of which one has the same value
    choices: Sequence[str] = ()
    covers: Sequence[str] = ()  # groups, whose hosts' addresses are in these networks
    no_example: bool = False


@dataclass(frozen=True)
class Impossible:
    """Values that one host must not have together."""

    values: Mapping[str, t.Any]
    why: str


@dataclass(frozen=True)
class Group:
    """What the playbook says of one group."""

    name: str
    min_hosts: int
    max_hosts: int | None
    roles: Sequence[Role]
    required: Sequence[str]
    provided: frozenset[str]
    rules: Mapping[str, Rule]
    exclusive: Sequence[Sequence[str]]
    apart_from: Mapping[str, str] = field(default_factory=dict)  # why, by group
    needed_by: Sequence[str] = ()
    impossible: Sequence[Impossible] = ()
    read_by: Sequence[str] | None = None  # groups; without it, whoever

    @functools.cached_property
    def essentials(self) -> Group:
        """Return what of it concerns the whole cluster: what no two hosts may share, and what each must have."""
        rules = {name: rule for name, rule in self.rules.items() if rule.unique}
        roles = []
        for role in self.roles:
            options = {name: spec for name, spec in role.options.items() if name in rules or spec.get("required")}
            roles.append(dataclasses.replace(role, options=options))
        return dataclasses.replace(self, rules=rules, roles=roles, exclusive=(), impossible=())

    @functools.cached_property
    def needed(self) -> Sequence[tuple[str, Sequence[str]]]:
        """Return the options that its roles cannot do without, each with its aliases."""
        return [
            (name, spec.get("aliases") or [])
            for role in self.roles
            for name, spec in role.options.items()
            if spec.get("required") and name not in self.provided
        ]

    @functools.cached_property
    def needed_names(self) -> frozenset[str]:
        """Return the names of these options."""
        return frozenset(name for name, _aliases in self.needed)

    @functools.cached_property
    def options(self) -> Mapping[str, Sequence[tuple[Role, str]]]:
        """Return which options of its roles a variable is, by its name or as an alias."""
        found: dict[str, list[tuple[Role, str]]] = {}
        for role in self.roles:
            for option, spec in role.options.items():
                for name in (option, *(spec.get("aliases") or [])):
                    found.setdefault(name, []).append((role, option))
        return found

    @property
    def names(self) -> set[str]:
        """Return every variable that the playbook names itself."""
        together = [*self.exclusive, *(one.values for one in self.impossible)]
        return {*self.required, *self.provided, *self.rules, *(n for names in together for n in names)}


def parse_groups(groups: Mapping[str, t.Any], roles: Mapping[str, Role]) -> list[Group]:
    """Turn the module's C(groups) into checked objects.

    :raises BadRequest: an unknown key, a wrong type, or a role that has no argument specification.
    """
    parsed = []
    for name, given in groups.items():
        asked = _validated(given if given is not None else {}, _GROUP_SPEC, f"groups.{name}")
        for role in asked["roles"]:
            if role not in roles:
                raise BadRequest(f"groups.{name}.roles: there is no role {role} with a meta/argument_specs.yml.")
        rules = {}
        for variable, rule in asked["values"].items():
            r = _validated(rule or {}, _RULE_SPEC, f"groups.{name}.values.{variable}")
            if (r["min"], r["max"]) != (None, None) and r["type"] != "int":
                raise BadRequest(f"groups.{name}.values.{variable}: min and max need type: int.")
            if r["inside"] and r["type"] != "address":
                raise BadRequest(f"groups.{name}.values.{variable}: inside needs type: address.")
            rules[str(variable)] = Rule(
                kind=r["type"],
                minimum=r["min"],
                maximum=r["max"],
                not_empty=r["not_empty"],
                single_line=r["single_line"],
                unique=r["unique"],
                matches=r["matches"],
                remedy=r["remedy"],
                inside=r["inside"],
                one_of=r["one_of"],
                choices=r["choices"],
                covers=r["covers"],
                no_example=r["no_example"],
            )
        parsed.append(
            Group(
                name=str(name),
                min_hosts=asked["min_hosts"],
                max_hosts=asked["max_hosts"],
                roles=[roles[role] for role in asked["roles"]],
                required=asked["required"],
                provided=frozenset(asked["provided"]),
                rules=rules,
                exclusive=[[str(n) for n in names] for names in asked["exclusive"]],
                apart_from=asked["apart_from"],
                needed_by=asked["needed_by"],
                read_by=asked["read_by"],
                impossible=[
                    Impossible(**_validated(one, _IMPOSSIBLE_SPEC, f"groups.{name}.impossible"))
                    for one in asked["impossible"]
                ],
            )
        )
    return parsed


def concerned(groups: Iterable[Group], members: Mapping[str, Sequence[str]], played: Iterable[str]) -> set[str]:
    """Return the hosts of a play and all whose variables it may read.

    :param members: the hosts of each group of the inventory, all hosts under C(all).
    """
    hosts = set(played)
    playing = {name for name, of_group in members.items() if not hosts.isdisjoint(of_group)}
    unread = {g.name for g in groups if g.read_by is not None and playing.isdisjoint(g.read_by)}
    apart = {host for name in unread for host in members.get(name, [])}
    read = {host for g in groups if g.name not in unread for host in members.get(g.name, [])}
    return hosts | read | (set(members["all"]) - apart)


def _validated(given: t.Any, spec: dict[str, t.Any], where: str) -> dict[str, t.Any]:
    if not isinstance(given, Mapping):
        raise BadRequest(f"{where} must be a dictionary.")
    result = ArgumentSpecValidator(spec).validate(dict(given))
    if result.error_messages:
        raise BadRequest(f"{where}: {'; '.join(result.error_messages)}")
    return result.validated_parameters


# --- what goes out ---------------------------------------------------------------------------------------------------


def natural(name: str) -> list[t.Any]:
    """Return a key that sorts machine2 before machine10."""
    return [(0, int(part), "") if part.isdecimal() else (1, 0, part) for part in re.split(r"(\d+)", name) if part]


def shorten(hosts: Iterable[str]) -> str:
    """Write hosts in order; of a long list the first two: C(machine1, machine2 and 998 more)."""
    ordered = sorted(hosts, key=natural)
    if len(ordered) <= _HOSTS_SHOWN:
        return ", ".join(ordered)
    return f"{', '.join(ordered[:2])} and {len(ordered) - 2} more"


@dataclass
class Problems:
    """Collects problems; the same problem of the same variable on many hosts is one line."""

    of_groups: list[tuple[str, str]] = field(default_factory=list)
    of_hosts: dict[tuple[str, str], set[str]] = field(default_factory=dict)
    origins: dict[tuple[str, str], set[str]] = field(default_factory=dict)

    def add(self, host: str, variable: str, text: str, origin: str = "") -> None:
        """Note a problem of one host's variable; the text begins with a verb or an equals sign."""
        self.of_hosts.setdefault((variable, text), set()).add(host)
        if origin:
            self.origins.setdefault((variable, text), set()).add(origin)

    def add_group(self, group: str, text: str) -> None:
        """Note a problem of a group as a whole."""
        self.of_groups.append((group, text))

    def lines(self) -> list[str]:
        """Return one line a problem: groups first, then sorted by host and variable."""
        groups = [f"group {group} {text}" for group, text in sorted(self.of_groups)]
        rows = []
        for (variable, text), hosts in self.of_hosts.items():
            first = min(hosts, key=natural)
            origins = self.origins.get((variable, text))
            where = f" (in {shorten(origins)})" if origins else ""
            rows.append((natural(first), variable, text, f"{shorten(hosts)}: {variable} {text}{where}"))
        return [_one_line(line) for line in (*groups, *(row[-1] for row in sorted(rows)))]


def _one_line(text: str) -> str:
    """Escape what would break the line, such as a line break in the name of a variable."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def is_secret(name: str, spec: Mapping[str, t.Any] | None = None, value: t.Any = None) -> bool:
    """Say whether a value must not be shown: by its name, its specification, or the names of its parts."""
    if _SECRET_NAME.search(name) or (spec and spec.get("no_log")):
        return True
    if spec and any(is_secret(n, s) for n, s in (spec.get("options") or {}).items()):
        return True
    if isinstance(value, Mapping):
        return any(is_secret(str(n), None, v) for n, v in value.items())
    if isinstance(value, (list, tuple)):
        return any(is_secret("", None, v) for v in value)
    return False


def show(value: t.Any, hidden: bool) -> str:
    """Write a value for an error: control characters escaped, long text cut, secrets and containers never."""
    if hidden:
        return HIDDEN
    if isinstance(value, Mapping):
        return "a dictionary"
    if isinstance(value, (list, tuple)):
        return "a list"
    text = repr(str(value) if isinstance(value, str) else value)
    return text if len(text) <= _LONGEST_SHOWN else f"{text[: _LONGEST_SHOWN - 3]}..."


# --- the checks ------------------------------------------------------------------------------------------------------


_READERS: dict[str, Callable[[t.Any], t.Any]] = {"address": _networks.read_address, "mac": normalise_mac}


def _is_int(value: t.Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _range_in_words(rule: Rule) -> str:
    if rule.minimum is not None and rule.maximum is not None:
        return f" from {rule.minimum} to {rule.maximum}"
    if rule.minimum is not None:
        return f" of at least {rule.minimum}"
    return f" of at most {rule.maximum}" if rule.maximum is not None else ""


def check_rule(value: t.Any, rule: Rule, digits_are_int: bool = False) -> str:  # noqa: PLR0911, PLR0912 one return an error
    """Return what is wrong with a value and what to write, or an empty string."""
    if rule.not_empty and is_empty(value):
        return "is empty. Give it a value."
    if rule.kind == "int":
        number = value
        if isinstance(value, str) and re.fullmatch(r"[+-]?[0-9]+", value.strip(), re.ASCII):
            if not digits_are_int:
                return "is text, not an integer. Remove the quotes."
            number = int(value)
        if not _is_int(number):
            return f"is not an integer. Give a whole number{_range_in_words(rule)} without quotes."
        if (rule.minimum is not None and number < rule.minimum) or (rule.maximum is not None and number > rule.maximum):
            return f"is out of range. Give a whole number{_range_in_words(rule)}. {rule.remedy}".strip()
    if rule.kind == "str" and not isinstance(value, str):
        return "is not text. Put quotes around it."
    if rule.kind in _CHECKS and (wrong := _CHECKS[rule.kind](value)):
        return wrong
    if rule.no_example and (wrong := _check_example(value)):
        return wrong
    if rule.choices and (wrong := not_chosen(value, rule.choices)):
        return wrong
    if rule.kind in _READERS:
        try:
            _READERS[rule.kind](value)
        except ValueError as error:
            return str(error)
    if rule.kind == "networks":
        return _networks.check_allowed(value if isinstance(value, list) else [value])
    if rule.single_line and isinstance(value, str) and _breaks_a_line(value):
        return "has a line break or another control character in it. Write it on one line."
    if rule.matches is not None and not re.fullmatch(rule.matches, str(value)):
        return f"is not of the right form. {rule.remedy}".strip()
    return ""


def _check_bool(value: t.Any) -> str:
    try:
        boolean(str(value) if isinstance(value, str) else value)
    except TypeError:
        return "is not true or false. Write one of them."
    return ""


def _check_list(value: t.Any) -> str:
    return "" if isinstance(value, (list, tuple)) else f"is not a list. Write [{value}]."


@functools.lru_cache  # a cluster has one or two
def _check_release(value: str) -> str:
    tag = f"Give a tag such as {_releases.NEWEST_KNOWN}, or main."
    form = f"{tag} Leave it out where gmt_version names a branch or commit."
    oldest, newest = _releases.RELEASES[0][0], _releases.RELEASES[-1][0]
    try:
        numbers = _releases.parse(value)
    except _releases.UnknownRelease:
        return f"is not of the right form. {form}"
    if numbers < _releases.parse(oldest):
        return f"is older than {oldest}, the first with a cluster mode. {form}"
    if re.match("[0-9]", value):
        return f"is no tag of GMT. Write v{value}."
    if value != "main" and numbers[0] > _releases.parse(newest)[0]:
        return f"is newer than all that is known here, up to {newest}. Correct it, or update this collection."
    return ""


def _ip_networks(value: t.Any) -> Iterator[ipaddress.IPv4Network | ipaddress.IPv6Network]:
    """Go through the addresses and networks of a value, and leave out what is none."""
    for part in value if isinstance(value, (list, tuple)) else [value]:
        try:
            yield ipaddress.ip_network(str(part).strip(), strict=False)
        except ValueError:
            continue


def _check_hba(value: t.Any) -> str:
    """Return what is wrong with networks that PostgreSQL lets in."""
    if not isinstance(value, (list, tuple)):
        return ""  # what its role wants
    if not value:
        return "is empty. Give the network of the machines, such as [10.1.1.0/24]."
    for part in value:
        try:
            ipaddress.ip_network(str(part))
        except ValueError as error:
            why = f": {error}" if "host bits" in str(error) else ""
            return f"has {part!r}, which is no network{why}. Write one such as 10.1.1.0/24, or an address with /32."
    return ""


_CHECKS = {
    "bool": _check_bool,
    "hba": _check_hba,
    "list": _check_list,
    "release": lambda value: _check_release(str(value)),
}
_EXAMPLES = [ipaddress.ip_network(network) for network in ("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24")]


def _check_example(value: t.Any) -> str:
    for network in _ip_networks(value):
        if network.version == 4 and any(network.overlaps(example) for example in _EXAMPLES):
            has = f"has {show(str(network), False)}, which" if isinstance(value, (list, tuple)) else ""
            return f"{has} is for examples only (RFC 5737), and no host has it. Write that of your own.".strip()
    return ""


def not_chosen(value: t.Any, choices: Sequence[t.Any], known_by: str = "") -> str:
    """Return which value, or which of a list, is none of the choices, and the one that is meant; or an empty string."""
    for part in value if isinstance(value, (list, tuple)) else [value]:
        if part not in choices:
            among = f"not one of {', '.join(show(choice, False) for choice in choices)}{known_by}."
            close = difflib.get_close_matches(str(part), [str(c) for c in choices], n=1, cutoff=0.6)
            hint = f" Did you mean {close[0]}?" if close else ""
            which = f"has {show(part, False)}, which is" if isinstance(value, (list, tuple)) else "is"
            return f"{which} {among}{hint}"
    return ""


def _breaks_a_line(text: str) -> bool:
    return any(unicodedata.category(c) in ("Cc", "Zl", "Zp") for c in text)


def is_empty(value: t.Any) -> bool:
    """Say whether a value is none or text of nothing but white space."""
    return value is None or (isinstance(value, str) and not value.strip())


def identity(value: t.Any, rule: Rule) -> Hashable:
    """Return what two values are compared by: numbers by value, MAC addresses and text without case and padding."""
    if rule.kind == "int" and isinstance(value, str) and re.fullmatch(r"[+-]?[0-9]+", value.strip(), re.ASCII):
        return int(value)
    if rule.kind == "mac":
        try:
            return normalise_mac(value)
        except ValueError:
            pass
    if isinstance(value, str):
        return unicodedata.normalize("NFC", value.strip()).casefold()
    if isinstance(value, (bool, int, float)):
        return value
    return json.dumps(value, sort_keys=True, default=str)


def is_on(value: t.Any) -> bool:
    """Say whether a value counts as set where only one of several may be: true, or anything but false and empty."""
    if isinstance(value, str):
        try:
            return boolean(str(value))
        except TypeError:
            return bool(value.strip())
    return bool(value)


def _fits_at_once(spec: Mapping[str, t.Any], value: t.Any) -> bool:
    """Say whether a value is what a simple option wants: Ansible's validator copies a lot to say the same."""
    kind = spec.get("type", "str")
    if spec.get("choices") or kind not in _SIMPLE_TYPES:
        return False
    return isinstance(value, _SIMPLE_TYPES[kind]) and isinstance(value, bool) == (kind == "bool")


def walk(spec: Mapping[str, t.Any], value: t.Any, path: str = "") -> Iterator[tuple[str, t.Any, Mapping[str, t.Any]]]:
    """Go through a value and its parts as an argument specification has them: where, what, and its specification."""
    yield path, value, spec
    options = spec.get("options") or {}
    if isinstance(value, (list, tuple)):
        of_element = {"type": spec.get("elements", "raw"), "options": options}
        for number, part in enumerate(value):
            yield from walk(of_element, part, f"{path}[{number}]")
    elif isinstance(value, Mapping):
        for key, part in value.items():
            if key in options:
                yield from walk(options[key], part, f"{path}.{key}")


def fits_type(value: t.Any, kind: str) -> bool:
    """Say whether a value is of a type, without what Ansible would convert; text may be a number, too."""
    wanted = _STRICT_TYPES.get(kind)
    return wanted is None or value is None or (isinstance(value, wanted) and not isinstance(value, bool))


def _type_of(value: t.Any) -> str:
    words = {bool: "true or false", int: "a number", float: "a number with a fraction", list: "a list", tuple: "a list"}
    kinds = [words[kind] for kind in words if isinstance(value, kind)]
    return kinds[0] if kinds else "a dictionary" if isinstance(value, Mapping) else "text"


def _what_to_write(name: str, path: str, value: t.Any, kind: str) -> str:
    """Return the words to type instead, or an empty string where the value does not tell them."""
    guess: t.Any = None
    if kind == "dict" and isinstance(value, str):
        return "Write each of its keys on a line of its own below it, with a colon."
    if kind == "list" and isinstance(value, str):
        guess = [part for part in re.split(r"[,\s]+", value.strip("[] ")) if part]
    elif kind == "list" and _is_int(value):
        guess = [value]
    elif isinstance(value, str) and re.fullmatch(r"\s*[+-]?[0-9]+\s*", value, re.ASCII):
        guess = int(value)
    elif isinstance(value, str) and kind == "float" and re.fullmatch(r"\s*[+-]?[0-9]*\.[0-9]+\s*", value, re.ASCII):
        guess = float(value)
    if guess is None:
        return ""
    yaml = f"[{', '.join(map(str, guess))}]" if isinstance(guess, list) else str(guess)
    if path:
        return f"Write {yaml} without quotes."
    return _IN_YAML.format(name=name, yaml=yaml, json=json.dumps(guess, ensure_ascii=False))


def nearly(name: str, known: Iterable[str]) -> str:
    """Return the known name that is meant; a longer name made from a known one, such as vault_NAME, means itself."""
    close = difflib.get_close_matches(name, list(known), n=1, cutoff=0.85)
    is_longer = close and (name.endswith(f"_{close[0]}") or name.startswith(f"{close[0]}_"))
    return close[0] if close and not is_longer else ""


_Read = Callable[[str], "Value | None"]


def _known(value: Value | None) -> t.Any:
    """Return what a variable is, or nothing where that is not known before the host is contacted."""
    return None if value is None or value.problem or value.from_facts else value.value


class Preflight:
    """Checks hosts one after another and remembers what must be unique over all of them."""

    def __init__(
        self,
        groups: Sequence[Group],
        roles: Mapping[str, Role],
        unknown: str = "error",
        known: Iterable[str] = (),
        flags: Iterable[str] = (),
    ) -> None:
        self._flags = frozenset(flags)
        self.problems = Problems()
        self.warnings = Problems()
        self.checked = 0
        self.checked_essentials = 0
        self._groups = groups
        self._roles = sorted(roles.values(), key=lambda role: len(role.name), reverse=True)
        self._unknown = unknown
        names = set(known).union(*(role.names for role in roles.values()), *(group.names for group in groups))
        self._known = dict.fromkeys(sorted(names))  # in order, so that a hint is always the same one
        self._specs = {name: spec for role in roles.values() for name, spec in role.options.items()}
        self._seen: dict[tuple[str, str], dict[Hashable, dict[str, tuple[Value, str]]]] = {}
        self._look_alikes: dict[str, str] = {}
        self._variables: HostVariables | None = None  # of the host that is checked
        self._covering: dict[str, tuple[str, Rule, Value, str]] = {}
        self._covered = {name for group in groups for rule in group.rules.values() for name in rule.covers}
        self._addresses: dict[str, tuple[set[str], ipaddress.IPv4Address | ipaddress.IPv6Address]] = {}
        self._judged: dict[tuple[str, str, str], str] = {}
        self._validators: dict[tuple[str, str], ArgumentSpecValidator] = {}

    def check_sizes(self, members: Mapping[str, Sequence[str]]) -> None:
        """Compare the number of hosts of each group; C(members) maps a group to its hosts."""
        self._check_group_names(members)
        for group in self._groups:
            hosts = members.get(group.name, [])
            self._check_apart(group, members)
            is_needed = not group.needed_by or any(members.get(name) for name in group.needed_by)
            if is_needed and len(hosts) < group.min_hosts:
                needed = f"{group.min_hosts} host{'' if group.min_hosts == 1 else 's'}"
                if group.name in members:
                    text = f"has {len(hosts)} hosts, but needs at least {needed}. Add hosts to the group {group.name}."
                else:
                    text = f"is missing. Add a group {group.name} with at least {needed} to the inventory."
                self.problems.add_group(group.name, text)
            if group.max_hosts is not None and len(hosts) > group.max_hosts:
                self.problems.add_group(
                    group.name,
                    f"has {len(hosts)} hosts ({shorten(hosts)}), but may have at most {group.max_hosts}. "
                    "Take the others out of it.",
                )

    def _check_group_names(self, members: Mapping[str, Sequence[str]]) -> None:
        """Find a misspelt group: one with nearly the name of a known one, and with hosts that are in no known one."""
        known = {group.name for group in self._groups}
        seen = {host for name in known for host in members.get(name, [])}
        for name, hosts in members.items():
            if name not in known and name not in ("all", "ungrouped") and not seen.issuperset(hosts):
                close = nearly(name.lower(), sorted(known))
                if close:
                    text = f"has {shorten(hosts)}, and no playbook reads it. Did you mean {close}?"
                    self.problems.add_group(name, text)

    def _check_apart(self, group: Group, members: Mapping[str, Sequence[str]]) -> None:
        for other, why in group.apart_from.items():
            shared = set(members.get(group.name, [])) & set(members.get(other, []))
            if shared:
                text = f"and group {other} both have {shorten(shared)}. {why} Take it out of one of them."
                self.problems.add_group(group.name, " ".join(text.split()))

    def check_host(
        self, host: str, groups: Iterable[str], variables: HostVariables, *, essentials: bool = False
    ) -> None:
        """Check all variables of one host, a member of C(groups), or the essentials alone."""
        if essentials:
            self.checked_essentials += 1
        else:
            self.checked += 1
            self._check_look_alikes(host, variables)
        self._variables = variables
        member_of = set(groups)
        values: dict[str, Value | None] = {}

        def read(name: str) -> Value | None:
            if name not in values:
                values[name] = self._read(host, name, variables)
            return values[name]

        for group in self._groups:
            if group.name in member_of:
                asked = group.essentials if essentials else group
                self._check_required(host, asked, variables, read)
                self._check_exclusive(host, asked, read)
                self._check_impossible(host, asked, read)
                refused = self._check_rules(host, asked, variables, read)
                self._check_roles(host, asked, variables, read, refused)
        if not essentials and not self._covered.isdisjoint(member_of):
            self._note_address(host, member_of, read)

    def _add(self, host: str, name: str, text: str) -> None:
        known = self._variables is not None and name in self._variables
        self.problems.add(host, name, text, self._variables.origin(name) if self._variables and known else "")

    def _note_address(self, host: str, member_of: set[str], read: _Read) -> None:
        """Remember where a host is, so that others can let it in; a host that is here needs no way."""
        for address in _ip_networks(_known(read("ansible_host")) or host):
            if address.num_addresses == 1 and not address.is_loopback:
                self._addresses[host] = (member_of, address.network_address)

    def _check_covering(self) -> None:
        for host, (name, rule, value, origin) in self._covering.items():
            networks = list(_ip_networks(value.value))
            left_out = [
                other
                for other, (groups, address) in self._addresses.items()
                if other != host
                and not groups.isdisjoint(rule.covers)
                and not any(address in network for network in networks)
            ]
            if left_out:
                first = min(left_out, key=natural)
                text = f"leaves out {shorten(left_out)} ({first}: {self._addresses[first][1]}). {rule.remedy}"
                self.problems.add(host, name, text, origin)

    def finish(self) -> None:
        """Report what two hosts share and must not."""
        self._check_covering()
        for (_group, variable), by_identity in self._seen.items():
            for by_host in by_identity.values():
                if len(by_host) > 1:
                    shown = by_host[min(by_host, key=natural)][0]
                    text = f"= {self._show(variable, shown)} is used by {len(by_host)} hosts. Give each host its own."
                    for host, (_value, origin) in by_host.items():
                        self.problems.add(host, variable, text, origin)

    def _read(self, host: str, name: str, variables: HostVariables) -> Value | None:
        if name not in variables:
            return None
        value = variables.read(name)
        if value and value.problem:
            self._add(host, name, value.problem)
        return value

    def _show(self, name: str, value: Value) -> str:
        return show(value.value, value.secret or is_secret(name, self._specs.get(name), value.value))

    def _check_required(self, host: str, group: Group, variables: HostVariables, read: _Read) -> None:
        wanted = dict.fromkeys(group.required)
        wanted.update((n, None) for n, aliases in group.needed if not any(alias in variables for alias in aliases))
        for name in wanted:
            value = read(name)
            if value is None:
                self._add(host, name, "is not set. Add it to the variables of the host or of its group.")
            elif not (value.problem or value.from_facts) and is_empty(value.value):
                self._add(host, name, "is empty. Give it a value.")

    def _check_exclusive(self, host: str, group: Group, read: _Read) -> None:
        for names in group.exclusive:
            found = {name: read(name) for name in names}
            on = [n for n, v in found.items() if v and not (v.problem or v.from_facts) and is_on(v.value)]
            if len(on) > 1:
                self._add(
                    host, on[0], f"and {' and '.join(on[1:])} exclude each other. Keep one and set the rest to false."
                )

    def _check_impossible(self, host: str, group: Group, read: _Read) -> None:
        for one in group.impossible:
            if all(self._has(name, value, read(name)) for name, value in one.values.items()):
                first, *others = one.values
                rest = "".join(f", {name} = {show(one.values[name], hidden=False)}" for name in others)
                text = f"= {show(one.values[first], hidden=False)}{rest}: they do not go together. {one.why}"
                self._add(host, first, text)

    def _has(self, name: str, wanted: t.Any, value: Value | None) -> bool:
        """Tell whether a variable, or the default of its role, is a value or a list with it."""
        if value and (value.problem or value.from_facts):
            return False
        found = value.value if value else self._specs.get(name, {}).get("default")
        if isinstance(wanted, bool):
            return is_on(found) is wanted
        return wanted in found if isinstance(found, list) else found == wanted

    def _check_rules(self, host: str, group: Group, variables: HostVariables, read: _Read) -> set[str]:
        refused = set()
        for name, rule in group.rules.items():
            value = read(name)
            if value is None or value.problem:
                continue
            if value.from_facts:
                self._add(
                    host, name, "is made from facts, which are not known before the host is contacted. Write the value."
                )
                continue
            if is_empty(value.value) and (name in group.required or name in group.needed_names):
                refused.add(name)  # reported already
                continue
            wrong = check_rule(value.value, rule, value.digits_are_int) or self._check_others(value, rule, read)
            if wrong:
                refused.add(name)
                of_part = isinstance(value.value, (list, tuple)) and wrong.startswith(("has ", "is empty"))
                names_it = is_empty(value.value) or rule.kind == "networks" or of_part
                self._add(host, name, wrong if names_it else f"= {self._show(name, value)} {wrong}")
            elif rule.covers and isinstance(value.value, list):
                self._covering[host] = (name, rule, value, variables.origin(name))
            if rule.unique and not is_empty(value.value):
                same = self._seen.setdefault((group.name, name), {}).setdefault(identity(value.value, rule), {})
                same[host] = (value, variables.origin(name))
        return refused

    def _check_others(self, value: Value, rule: Rule, read: _Read) -> str:
        """Return what is wrong with a value beside those of the host's other variables, or an empty string."""
        network = _known(read(rule.inside)) if rule.inside else None
        if network is not None:
            try:
                around = _networks.read_network(network)
            except ValueError:
                return ""  # reported as that variable's
            if _networks.read_address(value.value) not in around:
                return f"is outside {rule.inside} = '{around}'. {rule.remedy}".strip()
        if rule.one_of and value.value not in [_known(read(name)) for name in rule.one_of]:
            return f"is not {' or '.join(rule.one_of)} of this host. {rule.remedy}".strip()
        return ""

    def _check_roles(self, host: str, group: Group, variables: HostVariables, read: _Read, refused: set[str]) -> None:
        for name in group.options:
            value = read(name) if name in variables and name not in refused else None
            if value and not (value.problem or value.from_facts):
                for role, option in group.options[name]:
                    wrong = self._judge(role, option, name, value)
                    if wrong:
                        self._add(host, name, wrong)

    def _judge(self, role: Role, option: str, name: str, value: Value) -> str:
        if _fits_at_once(role.options[option], value.value):
            return ""
        # Most hosts share most values: each is validated once.
        key = (role.name, name, f"{type(value.value).__name__} {value.secret} {value.value!r}")
        if key not in self._judged:
            self._judged[key] = self._validate(role, option, role.options[option], name, value)
        return self._judged[key]

    def _validate(  # noqa: PLR0911 one return an error
        self, role: Role, option: str, spec: Mapping[str, t.Any], name: str, value: Value
    ) -> str:
        validator = self._validators.get((role.name, option))
        if validator is None:
            # "required" is checked elsewhere, a default would hide an empty value.
            only_value = {k: v for k, v in spec.items() if k not in ("required", "default", "aliases")}
            validator = self._validators[role.name, option] = ArgumentSpecValidator({option: only_value})
        wrong = self._wrong_type(role, spec, name, value)
        if wrong:
            return wrong
        result = validator.validate({option: value.value})
        if not result.error_messages:
            if spec.get("type") != "bool" or isinstance(value.value, bool) or option in self._flags:
                return ""
            return _TEXT_FOR_BOOL.format(value=value.value, name=name, means=str(boolean(value.value)).lower())
        hidden = value.secret or is_secret(name, spec, value.value)
        shown = show(value.value, hidden)
        kind = spec.get("type", "str")
        if ArgumentSpecValidator({option: {"type": kind}}).validate({option: value.value}).error_messages:
            return f"= {shown} is of the wrong type: role {role.name} needs {_TYPE_IN_WORDS.get(kind, kind)}."
        if spec.get("choices") and not isinstance(value.value, Mapping):
            wrong = not_chosen(HIDDEN if hidden else value.value, spec["choices"], f", which role {role.name} knows")
            of_part = isinstance(value.value, (list, tuple)) and not hidden
            return wrong if of_part else f"= {shown} {wrong}"
        if hidden:
            return f"= {HIDDEN} does not fit the specification of role {role.name}. Why is hidden too."
        reason = " ".join("; ".join(result.error_messages).split())
        return f"does not fit the specification of role {role.name}: {reason}."

    def _wrong_type(self, role: Role, spec: Mapping[str, t.Any], name: str, value: Value) -> str:
        """Return what is wrong with text where a role wants a list, a number or a dictionary, and what to write."""
        for path, part, part_spec in walk(spec, value.value):
            kind = part_spec.get("type", "str")
            text = value.digits_are_int and kind in ("int", "float") and isinstance(part, str)
            if fits_type(part, kind) or text:
                continue
            hidden = value.secret or is_secret(name + path, part_spec, part) or is_secret(name, spec)
            place = f"has {path} = {show(part, hidden)}, which" if path else f"= {show(part, hidden)}"
            remedy = "" if hidden else _what_to_write(name, path, part, kind)
            if remedy:
                return f"{place} is {_type_of(part)}, not {_TYPE_IN_WORDS[kind]}. {remedy}"
            return f"{place} is of the wrong type: role {role.name} needs {_TYPE_IN_WORDS[kind]}."
        return ""

    def _check_look_alikes(self, host: str, variables: HostVariables) -> None:
        if self._unknown == "ignore":
            return
        collect = self.problems if self._unknown == "error" else self.warnings
        for name in variables:
            if name not in self._look_alikes:
                self._look_alikes[name] = self._look_alike(name)
            if self._look_alikes[name]:
                collect.add(host, name, self._look_alikes[name], variables.origin(name))

    def _look_alike(self, name: str) -> str:
        """Return what is wrong with the name of a variable, or an empty string."""
        if name in self._known or name.startswith(("__", "ansible_")):
            return ""
        for role in self._roles:  # the longest name first
            if name.startswith(f"{role.name}_"):
                close = difflib.get_close_matches(name, self._known, n=1, cutoff=0.75)
                hint = f"Did you mean {close[0]}?" if close else "Remove it, or see the role's documentation."
                return f"is no option of role {role.name}. {hint}"
        meant = nearly(name, self._known)
        return f"is nothing that the playbooks read. Did you mean {meant}?" if meant else ""
