# SPDX-License-Identifier: GPL-3.0-or-later
"""Write the table of variables into each role's README, from its meta/argument_specs.yml.

    tests/role_readmes.py            says which README is not as it would be written; exit status 1 if any is not
    tests/role_readmes.py --write    writes them

All between the two comments is generated; the rest is written by hand.
"""

from __future__ import annotations

import argparse
import difflib
import json
import re
import sys
from pathlib import Path
from typing import Any

import yaml

ROLES = Path(__file__).resolve().parents[1] / "roles"
BEGIN = "<!-- from meta/argument_specs.yml, by tests/role_readmes.py --write; do not edit below -->"
END = "<!-- end of what is generated -->"


def text(said: str | list[str]) -> str:
    """Return a description in Markdown, as one cell of a table."""
    joined = " ".join([said] if isinstance(said, str) else said)
    marked = r"\b[CEMOPV]\(((?:\\.|[^)\\])*)\)"
    written = re.sub(marked, lambda part: "`" + re.sub(r"#\w+$|\\", "", part[1]) + "`", joined)
    if left := re.search(r"\b[A-Z]+\([^)]*\)", written):
        sys.exit(f"tests/role_readmes.py does not know the markup {left[0]}")
    return re.sub(r"\s+", " ", written.replace("|", "\\|")).strip()


def default_of(option: dict[str, Any]) -> str:
    """Return what a variable is without anybody's doing."""
    if option.get("required"):
        return "**required**"
    if "default" not in option:
        return "-"
    return code(option["default"])


def code(value: Any) -> str:
    """Return a value as an inventory would spell it."""
    shown = value if isinstance(value, str) and value else json.dumps(value, ensure_ascii=False)
    return f"`{shown}`".replace("|", "\\|")


def type_of(option: dict[str, Any]) -> str:
    kind = option["type"]
    return f"{kind} of {option['elements']}" if "elements" in option else str(kind)


def rows(options: dict[str, Any], above: str = "") -> list[str]:
    """Return a line of the table for each variable, and for each key of those that have some."""
    found = []
    for name, option in options.items():
        said = text(option["description"])
        if "choices" in option:
            said += " One of " + ", ".join(code(choice) for choice in option["choices"]) + "."
        found.append(f"| {above}`{name}` | {type_of(option)} | {default_of(option)} | {said} |")
        found += rows(option.get("options", {}), f"{above}`{name}` → ")
    return found


def generated(specs: dict[str, Any]) -> str:
    """Return the part of the README that follows from the specification."""
    main = specs["main"].get("options", {})
    lines = [BEGIN, "## Variables", "", "| name | type | default | what |", "|---|---|---|---|", *rows(main)]
    if others := {name: spec for name, spec in specs.items() if name != "main"}:
        lines += ["", "## Entry points beside `main`", ""]
        lines += ["| `tasks_from` | what | variables of its own |", "|---|---|---|"]
        for name, spec in others.items():
            own = [f"`{option}`" for option in spec.get("options", {}) if option not in main]
            lines.append(f"| `{name}` | {text(spec['short_description'])} | {', '.join(own) or '-'} |")
        extra = {k: v for spec in others.values() for k, v in spec.get("options", {}).items() if k not in main}
        if extra:
            lines += ["", "| name | type | default | what |", "|---|---|---|---|", *rows(extra)]
    return "\n".join([*lines, "", END, ""])


def wanted(readme: str, part: str) -> str:
    """Return the README with its generated part anew, or at its end."""
    if BEGIN not in readme:
        return f"{readme.rstrip()}\n\n{part}"
    before, rest = readme.split(BEGIN, 1)
    return before + part + rest.split(END, 1)[1].lstrip("\n")


def main() -> None:
    """Compare, or write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help="write what differs")
    write = parser.parse_args().write
    stale = 0
    folders = sorted(path.parents[1] for path in ROLES.glob("*/meta/argument_specs.yml"))
    for folder in folders:
        specs = yaml.safe_load((folder / "meta/argument_specs.yml").read_text(encoding="utf8"))["argument_specs"]
        file = folder / "README.md"
        now = file.read_text(encoding="utf8")
        new = wanted(now, generated(specs))
        if new == now:
            continue
        stale += 1
        if write:
            file.write_text(new, encoding="utf8")
        else:
            print(f"roles/{folder.name}/README.md is not what its specification says:")
            print("\n".join(difflib.unified_diff(now.splitlines(), new.splitlines(), lineterm="", n=0)))
    if stale and not write:
        sys.exit("Run .venv/bin/python tests/role_readmes.py --write")
    print(f"{len(folders)} READMEs of roles say what the specifications say{f', {stale} anew' if stale else ''}.")


if __name__ == "__main__":
    main()
