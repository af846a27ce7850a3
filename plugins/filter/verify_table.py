# Copyright (c) 2026, the greenlab.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What was found on the machines as lines of text."""

from __future__ import annotations

DOCUMENTATION = r"""
name: verify_table
short_description: What the checks of the machines found, as a table of text
version_added: 0.1.0
description:
  - Makes one line for each failed check of each machine, the worst first, and one line a machine that counts them.
positional: _input, hostvars
options:
  _input:
    description: Names of hosts. One without the fact C(verify_result) was not looked at.
    type: list
    elements: str
    required: true
  hostvars:
    description: Ansible's C(hostvars).
    type: dict
    required: true
  everything:
    description: Whether checks that passed or were skipped get a line, too.
    type: bool
    default: false
seealso:
  - module: greenlab.cluster.gmt_verify
"""

EXAMPLES = r"""
- name: Show what was found
  ansible.builtin.debug:
    msg: "{{ groups['machines'] | greenlab.cluster.verify_table(hostvars) }}"
"""

RETURN = r"""
_value:
  description: Lines of text, headings first.
  type: list
  elements: str
  sample:
    - "machine   check          result  value    wanted"
    - "--------  -------------  ------  -------  ------"
    - "machine1  swap_disabled  WARN    2.0 GiB  none"
    - "machine1  all            WARN    0 ERROR, 1 WARN, 0 INFO, 48 ok, 6 skipped"
"""

import typing as t

from ansible_collections.greenlab.cluster.plugins.plugin_utils import _cluster

HEADINGS = ("machine", "check", "result", "value", "wanted")
ORDER = ["ERROR", "WARN", "INFO", "ok", "skipped"]
WIDTH = 70


def verify_table(hosts: list[str], hostvars: t.Any, everything: bool = False) -> list[str]:
    """Return the table's lines."""
    rows = []
    for host in hosts:
        rows += _rows(host, hostvars[host].get("verify_result"), everything)
    return _cluster.table(HEADINGS, rows)


def _rows(host: str, result: t.Mapping[str, t.Any] | None, everything: bool) -> list[tuple[str, ...]]:
    if not result:
        return [(host, "all", "-", "not looked at", "")]
    if result["unreachable"]:
        return [(host, "all", "-", "not reached", "")]
    lines = [
        (host, check["check"], _result(check), _short(check["value"]), _short(check["wanted"]))
        for check in result["checks"]
        if everything or check["state"] == "failed"
    ]
    counts = {name: result["summary"][name.lower()] for name in ORDER}
    worst = next(name for name in ORDER if counts[name] or name == "ok")
    text = ", ".join(f"{count} {name}" for name, count in counts.items())
    return [*sorted(lines, key=lambda line: ORDER.index(line[2])), (host, "all", worst, text, "")]


def _result(check: t.Mapping[str, t.Any]) -> str:
    return check["severity"] if check["state"] == "failed" else check["state"]


def _short(text: str) -> str:
    return text if len(text) <= WIDTH else f"{text[: WIDTH - 1]}…"


class FilterModule:
    """Ansible's entry point."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        """Return the filters of this file."""
        return {"verify_table": verify_table}
