# Copyright (c) 2026, the greenlab.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What became of each machine in a run."""

from __future__ import annotations

DOCUMENTATION = r"""
name: site_table
short_description: Table of what a run has done with each machine
version_added: 0.1.0
description:
  - Reads the facts C(site_outcome) and C(site_why) that the playbooks set, and returns the lines of a table.
  - A machine without them is unchanged where the plan has found nothing to do (facts C(site_plan) and C(site_work) of
    localhost); else it was not begun, because the run ended before its turn.
positional: _input, hostvars, always
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
  always:
    description: Names of hosts that have a row whatever became of them. Others have one only with C(site_outcome).
      Without this option all have one.
    type: list
    elements: str
"""

EXAMPLES = r"""
- name: Show what became of each machine
  ansible.builtin.debug:
    msg: "{{ groups['machines'] | greenlab.cluster.site_table(hostvars) }}"
"""

RETURN = r"""
_value:
  description: The lines; none where no host has a row.
  type: list
  elements: str
  sample:
    - "machine   outcome     why, or what changed"
    - "--------  ----------  --------------------"
    - "machine1  left alone  a job is RUNNING"
"""

import typing as t

from ansible_collections.greenlab.cluster.plugins.plugin_utils import _cluster


class FilterModule:
    """Ansible's entry point."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        """Return the filters of this file."""
        return {"site_table": _cluster.site_table}
