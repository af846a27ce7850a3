# Copyright (c) 2026, the greenlab.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The cluster's status as lines of text."""

from __future__ import annotations

DOCUMENTATION = r"""
name: status_table
short_description: The cluster's status as a table of text
version_added: 0.1.0
description:
  - Makes one line for each machine of the inventory from the rows of the jobs DB. A dash stands for what is not known.
positional: _input, hostvars, rows
options:
  _input:
    description: Names of hosts.
    type: list
    elements: str
    required: true
  hostvars:
    description: Ansible's C(hostvars).
    type: dict
    required: true
  rows:
    description: The C(machines) that M(greenlab.cluster.gmt_machine_info) returns.
    type: list
    elements: dict
    required: true
seealso:
  - module: greenlab.cluster.gmt_machine_info
"""

EXAMPLES = r"""
- name: Show the cluster
  ansible.builtin.debug:
    msg: "{{ groups['machines'] | greenlab.cluster.status_table(hostvars, jobs_db.machines) }}"
"""

RETURN = r"""
_value:
  description: Lines of text, headings first.
  type: list
  elements: str
  sample:
    - "machine   id  description   client service  last status  since (UTC)          waiting"
    - "--------  --  ------------  --------------  -----------  -------------------  -------"
    - "machine1  1   Esprimo P956  active          job_no       2026-11-21 10:00:00  0"
"""

import typing as t

from ansible_collections.greenlab.cluster.plugins.plugin_utils import _cluster


def status_table(hosts: list[str], hostvars: t.Any, rows: list[dict[str, t.Any]]) -> list[str]:
    """Return the table's lines."""
    return _cluster.table(_cluster.HEADINGS, _cluster.status_rows(hosts, hostvars, rows))


class FilterModule:
    """Ansible's entry point."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        """Return the filters of this file."""
        return {"status_table": status_table}
