# SPDX-License-Identifier: GPL-3.0-or-later
"""Check that each role's variables agree: defaults, argument_specs and use.

For every entry point of every role
- each option has a description and a type, and either a default, or `required`, or is optional;
- an option's default equals defaults/main.yml; `main` has all defaults as options; no default without an option;
- each public variable that its tasks read, through files, templates and vars, is one of its options;
and for the role as a whole
- each default and each private variable is read somewhere (what only playbooks read is listed below, with a reason);
- each variable with the role's prefix that is read is an option or is set by the role;
- each path that its tasks write is declared in tasks/managed.yml, where the role has that.
Exit status 1 with one line for each disagreement.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml
from jinja2 import Environment, TemplateSyntaxError, nodes

ROLES = Path(__file__).resolve().parents[1] / "roles"

# Options of a role that only playbooks read.
READ_BY_PLAYBOOKS = {
    "gmt": {"gmt_mode"},
    # For the wake host.
    "wake_target": {f"wake_target_{name}" for name in ("cycle_driver", "cycle_options", "excluded", "windows")},
}

# What writes a file, and what need not be declared: files that are gone when the role is done, or on the control node.
WRITES = re.compile(r"(?:ansible\.builtin\.)?(?:copy|template|file|lineinfile|blockinfile|replace|git)")
NOT_MANAGED = {
    "gmt": {"__gmt_wheels", "__gmt_packed", "gmt_archives_dir"},
    "jobs_db": {"jobs_db_tls_fetch"},
}
# Variables of a task, and what only says which host it is.
LOCAL = {"item", "inventory_hostname"}

# Keys whose text is an expression without braces.
CONDITIONS = {"when", "failed_when", "changed_when", "until", "that", "assert_that"}
INCLUDES = re.compile(r"(?:ansible\.builtin\.)?(?:import|include)_tasks")


class Loader(yaml.SafeLoader):
    """Reads !vault and !unsafe as if they were plain."""


Loader.add_multi_constructor("!", lambda loader, _suffix, node: loader.construct_scalar(node))


def load(path: Path) -> Any:
    return yaml.load(path.read_text(encoding="utf8"), Loader) if path.exists() else None


def names_in(template: str) -> set[str]:
    """Return the variables that a template reads and does not itself set."""
    try:
        tree = Environment(autoescape=False, extensions=["jinja2.ext.do", "jinja2.ext.loopcontrols"]).parse(template)
    except TemplateSyntaxError as error:
        sys.exit(f"Cannot read the template {template!r}: {error}")
    names = list(tree.find_all(nodes.Name))
    return {n.name for n in names if n.ctx == "load"} - {n.name for n in names if n.ctx != "load"}


def names_read(value: Any, condition: bool = False) -> set[str]:
    """Return the variables that a piece of YAML reads."""
    if isinstance(value, str):
        return names_in("{{ " + value + " }}" if condition and "{{" not in value else value)
    if isinstance(value, list):
        return set().union(*(names_read(part, condition) for part in value))
    if isinstance(value, dict):
        return set().union(*(names_read(k) | names_read(v, k in CONDITIONS) for k, v in value.items()))
    return set()


def names_set(value: Any) -> set[str]:
    """Return the variables that a piece of a task file sets."""
    found: set[str] = set()
    if isinstance(value, list):
        return found.union(*(names_set(part) for part in value))
    if isinstance(value, dict):
        for key, part in value.items():
            if key in ("register", "loop_var", "index_var"):
                found.add(part)
            elif key in ("vars", "set_fact", "ansible.builtin.set_fact") and isinstance(part, dict):
                found |= set(part)
            found |= names_set(part)
    return found


def strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, (list, dict)):
        for part in value if isinstance(value, list) else value.values():
            yield from strings(part)


class Role:
    """A role's files, and what its variables are."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.name = path.name
        self.defaults: dict[str, Any] = load(path / "defaults/main.yml") or {}
        self.vars: dict[str, Any] = load(path / "vars/main.yml") or {}
        self.specs: dict[str, Any] = (load(path / "meta/argument_specs.yml") or {}).get("argument_specs", {})
        self.is_ours = re.compile(rf"_*{self.name}(_|$)").match

    @cached_property
    def templates(self) -> dict[str, set[str]]:
        """What each template reads, by file name."""
        files = [path for path in (self.path / "templates").rglob("*") if path.is_file()]
        return {str(f.relative_to(self.path / "templates")): names_in(f.read_text(encoding="utf8")) for f in files}

    def task_files(self, entry: str) -> list[str]:
        """Return the names of all files that are reached from an entry point, itself first; literal names only."""
        found: list[str] = []
        todo = [entry]
        while todo:
            name = todo.pop().removesuffix(".yml")
            if name in found:
                continue
            found.append(name)
            for key, value in self._pairs(load(self.path / f"tasks/{name}.yml")):
                if INCLUDES.fullmatch(key):
                    todo.append(value if isinstance(value, str) else value["file"])
        return found

    def _pairs(self, value: Any) -> Iterator[tuple[str, Any]]:
        for part in value if isinstance(value, list) else []:
            yield from self._pairs(part)
        if isinstance(value, dict):
            for key, part in value.items():
                yield key, part
                yield from self._pairs(part)

    def reads(self, task_names: list[str]) -> set[str]:
        """Return what task files read, with the templates they name, the handlers, and what vars and defaults read."""
        content = [load(self.path / f"tasks/{name}.yml") for name in task_names]
        if any(key == "notify" for key, _value in self._pairs(content)):
            content.append(load(self.path / "handlers/main.yml"))
        found = names_read(content)
        for text in strings(content):
            found |= self.templates.get(text, set())
        todo = set(found)
        while todo:
            name = todo.pop()
            more = names_read(self.vars.get(name)) | names_read(self.defaults.get(name))
            todo |= more - found
            found |= more
        return found

    def sets(self) -> set[str]:
        """Return what the role sets by itself."""
        files = [*(self.path / "tasks").glob("*.yml"), *(self.path / "handlers").glob("*.yml")]
        return set(self.vars).union(*(names_set(load(path)) for path in files))

    def faults(self) -> Iterator[str]:
        """Yield one line for each disagreement."""
        if "main" not in self.specs:
            yield "meta/argument_specs.yml has no entry point main"
            return
        all_tasks = [path.stem for path in sorted((self.path / "tasks").glob("*.yml"))]
        all_options = set().union(*(spec.get("options", {}) for spec in self.specs.values()))
        yield from self.undeclared()
        for entry, spec in self.specs.items():
            yield from self.faults_of_entry(entry, spec)
        for name in sorted(set(self.defaults) - set(self.specs["main"].get("options", {}))):
            yield f"{name} has a default, but is no option of entry point main"
        read = self.reads(all_tasks)
        idle = (set(self.defaults) | all_options | set(self.vars)) - read - READ_BY_PLAYBOOKS.get(self.name, set())
        for name in sorted(idle):
            yield f"{name} is read nowhere"
        for name in sorted(set(filter(self.is_ours, read)) - all_options - self.sets()):
            yield f"{name} is read, but is neither an option nor set by the role"

    def undeclared(self) -> Iterator[str]:
        """Yield one line for each path that is written and not declared."""
        managed = self.path / "tasks/managed.yml"
        if not managed.exists():
            return
        declared = self.reads(["managed"])
        text = managed.read_text(encoding="utf8")
        content = [load(self.path / f"tasks/{name}.yml") for name in self.task_files("main")]
        for module, options in self._pairs(content):
            if not WRITES.fullmatch(module) or not isinstance(options, dict) or options.get("state") == "absent":
                continue
            path = str(options.get("dest") or options.get("path"))
            names = names_in(path) - LOCAL
            missing = names - declared - NOT_MANAGED.get(self.name, set())
            if missing or (not names and "item" not in path and path not in text):
                yield f"{path} is written, but tasks/managed.yml does not declare it"

    def faults_of_entry(self, entry: str, spec: dict[str, Any]) -> Iterator[str]:
        """Yield one line for each disagreement of an entry point."""
        if not (self.path / f"tasks/{entry}.yml").exists():
            yield f"entry point {entry} has no tasks/{entry}.yml"
            return
        for part in ("short_description", "description"):
            if not spec.get(part):
                yield f"entry point {entry} has no {part}"
        options = spec.get("options", {})
        for name, option in options.items():
            where = f"{entry}: {name}"
            if not self.is_ours(name) or name.startswith("_"):
                yield f"{where} does not begin with the role's name"
            for part in ("description", "type"):
                if not option.get(part):
                    yield f"{where} has no {part}"
            if option.get("required") and ("default" in option or name in self.defaults):
                yield f"{where} is required and has a default"
            if ("default" in option) != (name in self.defaults):
                place = "the specification" if "default" in option else "defaults/main.yml"
                yield f"{where} has a default in {place} only"
            elif "default" in option and not same(option["default"], self.defaults[name]):
                yield f"{where}: default {option['default']!r} is {self.defaults[name]!r} in defaults/main.yml"
        public = {name for other in self.specs.values() for name in other.get("options", {})} | set(self.defaults)
        for name in sorted((self.reads(self.task_files(entry)) & public) - set(options)):
            yield f"{entry}: {name} is read, but is no option of this entry point"


def same(one: Any, other: Any) -> bool:
    """Compare with types: True is not 1."""
    return type(one) is type(other) and one == other


def main() -> None:
    """Print what is wrong with all roles."""
    roles = [Role(path.parent) for path in sorted(ROLES.glob("*/tasks"))]
    faults = [f"{role.name}: {fault}" for role in roles for fault in role.faults()]
    print("\n".join(faults) or f"{len(roles)} roles: defaults, argument_specs and use agree.")
    sys.exit(bool(faults))


if __name__ == "__main__":
    main()
