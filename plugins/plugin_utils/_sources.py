# Copyright (c) 2026, the greenlab.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is wrong with the files of an inventory, with file and line; Ansible only warns and goes on without them."""

from __future__ import annotations

import difflib
import os
import re
import typing as t
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path

import yaml
from ansible.inventory.data import InventoryData
from ansible.inventory.manager import IGNORED, InventoryManager

_Loader: t.Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_KEYS = ("hosts", "children", "vars")
_YAML = (".yml", ".yaml", ".json", "")


class Source(t.NamedTuple):
    """A file of the inventory, or why there is none."""

    path: str
    problem: str = ""


def files(sources: Sequence[str]) -> Iterator[Source]:
    """Go through the files of all sources, those of folders too, as Ansible does; a list of hosts is no file."""
    for source in sources:
        if not os.path.isdir(source):
            if "," not in source:
                missing = "there is no such file or folder. Name your inventory with -i, or in ansible.cfg."
                yield Source(source, "" if os.path.exists(source) else missing)
            continue
        names = [name for name in sorted(os.listdir(source)) if not IGNORED.search(os.fsencode(name))]
        if not names:
            yield Source(source, "the folder has no inventory in it. Write its hosts into hosts.yml there.")
        yield from files([os.path.join(source, name) for name in names])


def shorten(path: str) -> str:
    """Write a path as seen from the working directory, if it is below that."""
    relative = path if "," in path else os.path.relpath(path)
    return path if relative.startswith("..") else relative


def problems(loader: t.Any, sources: Sequence[str], were_read: Sequence[str] | None) -> list[str]:
    """Return what is wrong with the files of an inventory, one line each.

    :param were_read: the files that Ansible could read; nothing if that is not known.
    """
    found = []
    for source in files(sources):
        lines = [(0, source.problem)] if source.problem else _of_file(loader, source.path, were_read)
        for number, text in lines:
            place = f"{shorten(source.path)}, line {number}" if number else shorten(source.path)
            found.append(f"{place}: {text}")
    return found


def _of_file(loader: t.Any, path: str, were_read: Sequence[str] | None) -> list[tuple[int, str]]:
    unread = were_read is not None and path not in were_read
    found: list[tuple[int, str]] = []
    if Path(path).suffix in _YAML and not os.access(path, os.X_OK):
        found = of_yaml(_read(loader, path), is_inventory=unread)
    if unread and not found:
        found = list(_as_ansible_says(loader, path)) or [(0, "cannot be read as an inventory.")]
    return found


def _read(loader: t.Any, path: str) -> str:
    """Return a file's text, decrypted; an empty text if it cannot be read, which Ansible then says."""
    try:
        if hasattr(loader, "get_text_file_contents"):
            return str(loader.get_text_file_contents(path))
        return str(loader._get_file_contents(path)[0], "utf8")  # ansible-core 2.18
    except Exception:  # no right to read it, no password of the vault, no text
        return ""


def _as_ansible_says(loader: t.Any, path: str) -> Iterator[tuple[int, str]]:
    """Have the plugin that is meant for a file read it again, and return its complaint."""
    is_yaml = Path(path).suffix in _YAML[:-1]
    by_form = "ini" if not is_yaml else "auto" if re.search("^plugin:", _read(loader, path), re.MULTILINE) else "yaml"
    wanted = "script" if os.access(path, os.X_OK) else by_form
    for plugin in InventoryManager(loader, [path], parse=False)._fetch_inventory_plugins():
        if getattr(plugin, "_load_name", "") == wanted and plugin.verify_file(path):
            try:
                plugin.parse(InventoryData(), loader, path, cache=False)
            except Exception as error:  # what a plugin may raise is not bounded
                number = getattr(plugin, "lineno", 0)  # ansible-core 2.18
                yield number, " ".join(str(error).split()).removeprefix(f"{path}:{number}: ")


# --- YAML ------------------------------------------------------------------------------------------------------------


def of_yaml(text: str, is_inventory: bool = True) -> list[tuple[int, str]]:
    """Return line numbers and what is wrong there: no YAML, or not the form of groups and hosts.

    :param is_inventory: whether text that is no YAML, or is empty, is an error. Other formats are none.
    """
    try:
        root = yaml.compose(text, Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        return [_no_yaml(text, error)] if is_inventory else []
    except yaml.YAMLError as error:
        return [(0, f"is no YAML: {' '.join(str(error).split())}")] if is_inventory else []
    if root is None or _is_nothing(root):
        return [(0, "is empty. Write groups and hosts into it.")] if is_inventory else []
    if not isinstance(root, yaml.MappingNode):
        form = "is no dictionary of groups. Begin with a group's name and a colon, such as machines:"
        return [(_line(root), form)] if is_inventory else []
    if any(key.value == "plugin" for key, _value in root.value):
        return []  # the settings of an inventory plugin
    return list(_groups(root, top=True))


def _no_yaml(text: str, error: yaml.MarkedYAMLError) -> tuple[int, str]:
    mark = error.problem_mark or error.context_mark
    number = mark.line + 1 if mark else 0
    lines = text.splitlines()
    line = lines[number - 1] if 0 < number <= len(lines) else ""
    if "\t" in line[: len(line) - len(line.lstrip())]:
        return number, "a tab. Indent with blanks."
    hint = "Compare the indentation and the colons of this line and of the lines before it."
    return number, f"no YAML: {error.problem or error.context}. {hint}"


def _line(node: yaml.Node) -> int:
    return int(node.start_mark.line) + 1


def _is_nothing(node: yaml.Node) -> bool:
    return isinstance(node, yaml.ScalarNode) and node.tag == "tag:yaml.org,2002:null"


def _pairs(node: yaml.Node) -> Iterator[tuple[yaml.Node, yaml.Node]]:
    for key, value in node.value:
        if key.tag != "tag:yaml.org,2002:merge":
            yield key, value


def _groups(node: yaml.Node, top: bool = False) -> Iterator[tuple[int, str]]:
    for key, group in _pairs(node):
        if top and key.value in _KEYS:
            yield _line(key), f"{key.value} is not below a group. Indent it, and what belongs to it."
        elif isinstance(group, yaml.MappingNode):
            yield from _group(str(key.value), group)
        elif not _is_nothing(group):
            yield _line(group), f"group {key.value} is no dictionary. Write hosts: below it, and its hosts below that."


def _group(name: str, group: yaml.Node) -> Iterator[tuple[int, str]]:
    for key, value in _pairs(group):
        if key.value not in _KEYS:
            close = difflib.get_close_matches(str(key.value), _KEYS, n=1, cutoff=0.7)
            hint = f"Did you mean {close[0]}?" if close else "Correct the indentation, or put it below one of these."
            yield _line(key), f"group {name} has {key.value}, but may have hosts, children and vars only. {hint}"
        elif _is_nothing(value) or key.value == "vars" and isinstance(value, yaml.MappingNode):
            continue
        elif not isinstance(value, yaml.MappingNode):
            dashes = " without a dash before it" if isinstance(value, yaml.SequenceNode) else ""
            yield _line(value), f"{key.value} of group {name} is no dictionary. Write each name with a colon{dashes}."
        elif key.value == "children":
            yield from _groups(value)
        else:
            for host, variables in _pairs(value):
                if not (isinstance(variables, yaml.MappingNode) or _is_nothing(variables)):
                    what = f"host {host.value} of group {name} has a value."
                    yield _line(host), f"{what} A variable of a host is indented below the host."


# --- variables -------------------------------------------------------------------------------------------------------


def unread_variables(sources: Sequence[str], groups: Sequence[str]) -> list[str]:
    """Return the files of group_vars that no group has the name of, but nearly one; one line each."""
    found = []
    for folder in dict.fromkeys(s if os.path.isdir(s) else os.path.dirname(s) for s in sources if "," not in s):
        for path in sorted(Path(folder, "group_vars").glob("*")):
            name = path.stem if path.suffix in _YAML else path.name
            close = difflib.get_close_matches(name.lower(), groups, n=1, cutoff=0.85)
            if name not in groups and close and _letters(name) != _letters(close[0]):
                text = f"there is no group {name}, so Ansible does not read this. Did you mean {close[0]}?"
                found.append(f"{shorten(str(path))}: {text}")
    return found


def _letters(name: str) -> str:
    """Return a name without its numbers: rack2 may be another group than rack1."""
    return "".join(c for c in name if not c.isdecimal())


# --- who is there ----------------------------------------------------------------------------------------------------


def nothing_to_do(
    wanted: Sequence[str], members: Mapping[str, Sequence[str]], limited: Callable[[str], bool], limit: str
) -> str:
    """Return why there is nothing to do, or an empty string.

    :param wanted: the groups of which one must have a host.
    :param members: the hosts of each group.
    :param limited: says whether a group has a host that C(--limit) does not leave out.
    """
    groups = f"group {wanted[0]}" if len(wanted) == 1 else f"the groups {', '.join(wanted)}"
    if not any(members.get(name) for name in wanted):
        others = [name for name in members if name not in ("all", "ungrouped", *wanted) and members[name]]
        close = [
            f"{other} (did you mean {near[0]}?)" if near else other
            for other in others
            for near in [difflib.get_close_matches(other, wanted, n=1, cutoff=0.8)]
        ]
        has = f"It has {', '.join(close)}" if close else "It has no group with hosts"
        return f"no host in {groups}, so there is nothing to do. {has}. Add the hosts to their group (README.md)."
    if limit and not any(limited(name) for name in wanted):
        return f"--limit {limit} leaves no host of {groups}, so there is nothing to do. Name a host of it."
    return ""
