# Copyright (c) 2026, the greenlab.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who holds which machine, as people read it."""

from __future__ import annotations

DOCUMENTATION = r"""
name: hold_table
short_description: Table of the machines that are held
version_added: 0.1.0
description:
  - Turns the rows that M(greenlab.cluster.gmt_hold) returns into the lines of a table.
positional: _input
options:
  _input:
    description: The C(machines) that M(greenlab.cluster.gmt_hold) returns.
    type: list
    elements: dict
    required: true
"""

EXAMPLES = r"""
- name: Show what is held
  ansible.builtin.debug:
    msg: "{{ holds.machines | greenlab.cluster.hold_table }}"
"""

RETURN = r"""
_value:
  description: The lines.
  type: list
  elements: str
  sample:
    - "id  description  held by     why      since (UTC)       paused  at work"
    - "--  -----------  ----------  -------  ----------------  ------  -------"
    - "1   Dell R640    ada@office  new fan  2026-11-21 23:18  2       idle"
"""

import typing as t

from ansible_collections.greenlab.cluster.plugins.plugin_utils import _cluster


class FilterModule:
    """Ansible's entry point."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        """Return the filters of this file."""
        return {"hold_table": _cluster.hold_table}
