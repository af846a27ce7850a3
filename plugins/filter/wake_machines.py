# Copyright (c) 2026, the greenlab.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Machines as the wake host's program wants them."""

from __future__ import annotations

DOCUMENTATION = r"""
name: wake_machines
short_description: Check machines and complete them for the wake host's program
version_added: 0.1.0
description:
  - Adds what is not given, writes MAC addresses in one form, and checks drivers and windows.
  - Fails on the first machine that cannot be woken so, with its name and what to do.
options:
  _input:
    description: Machines, as P(greenlab.cluster.wake_targets#filter) gives them.
    type: list
    elements: dict
    required: true
"""

EXAMPLES = r"""
- name: Show a machine as the wake host's program sees it
  ansible.builtin.debug:
    msg: "{{ [{'id': 1, 'name': 'machine1', 'mac': '52-54-00-12-34-AB'}] | greenlab.cluster.wake_machines }}"
"""

RETURN = r"""
_value:
  description: The same machines, complete.
  type: list
  elements: dict
"""

import typing as t

from ansible.errors import AnsibleFilterError

from ansible_collections.greenlab.cluster.plugins.plugin_utils import _wake


def wake_machines(machines: list[dict[str, t.Any]]) -> list[dict[str, t.Any]]:
    """Return complete machines, or raise AnsibleFilterError."""
    try:
        return _wake.complete(machines)
    except _wake.BadMachine as error:
        raise AnsibleFilterError(f"wake_machines: {error}") from error


class FilterModule:
    """Ansible's entry point."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        """Return the filters of this file."""
        return {"wake_machines": wake_machines}
