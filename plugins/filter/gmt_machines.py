# Copyright (c) 2026, the greenlab.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Machines of the inventory in the form of the modules."""

from __future__ import annotations

DOCUMENTATION = r"""
name: gmt_machines
short_description: Machines of the inventory in the form that the module gmt_machine takes
version_added: 0.1.0
description:
  - Collects id and description of each host, so that all machines are registered in one call.
positional: _input, hostvars
options:
  _input:
    description: Names of hosts.
    type: list
    elements: str
    required: true
  hostvars:
    description: Ansible's C(hostvars). Each host needs C(gmt_machine_id) and C(gmt_machine_description).
    type: dict
    required: true
seealso:
  - module: greenlab.cluster.gmt_machine
"""

EXAMPLES = r"""
- name: Register machines in one transaction
  greenlab.cluster.gmt_machine:
    machines: "{{ groups['machines'] | greenlab.cluster.gmt_machines(hostvars) }}"
"""

RETURN = r"""
_value:
  description: One dictionary for each host, with C(id) and C(description).
  type: list
  elements: dict
  sample: [{"id": 1, "description": "Esprimo P956"}]
"""

import typing as t

from ansible_collections.greenlab.cluster.plugins.plugin_utils import _cluster


class FilterModule:
    """Ansible's entry point."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        """Return the filters of this file."""
        return {"gmt_machines": _cluster.machines}
