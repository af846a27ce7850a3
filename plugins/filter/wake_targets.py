# Copyright (c) 2026, the greenlab.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Machines of the inventory that a wake host can wake."""

from __future__ import annotations

DOCUMENTATION = r"""
name: wake_targets
short_description: Machines of the inventory that the role wake_host can wake
version_added: 0.1.0
description:
  - Collects the hosts that have C(wake_target_mac) or C(wake_target_driver), with their other variables of that name.
positional: _input, hostvars
options:
  _input:
    description: Names of hosts.
    type: list
    elements: str
    required: true
  hostvars:
    description:
      - Ansible's C(hostvars). Each such host has C(gmt_machine_id) and C(gmt_machine_description), or else its place in
        the list, from 1, and its name stand for them.
      - Its address is C(ansible_host), or else its name.
    type: dict
    required: true
"""

EXAMPLES = r"""
- name: Wake the cluster's machines
  ansible.builtin.import_role:
    name: greenlab.cluster.wake_host
  vars:
    wake_host_machines: "{{ groups['machines'] | greenlab.cluster.wake_targets(hostvars) }}"
"""

RETURN = r"""
_value:
  description: One dictionary for each machine that can be woken.
  type: list
  elements: dict
  sample: [{"id": 1, "name": "machine1", "description": "P956", "address": "192.0.2.11", "mac": "52:54:00:12:34:ab"}]
"""

import typing as t

from ansible_collections.greenlab.cluster.plugins.plugin_utils import _wake


class FilterModule:
    """Ansible's entry point."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        """Return the filters of this file."""
        return {"wake_targets": _wake.targets}
