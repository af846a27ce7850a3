# Copyright (c) 2026, the greenlab.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Machines that must not be touched now."""

from __future__ import annotations

DOCUMENTATION = r"""
name: busy_machines
short_description: Machines that must not be touched now, and why
version_added: 0.1.0
description:
  - A machine is busy when one of its jobs is RUNNING, when its client's last status is not an idle one, or when a job
    waits for it, which its client may take at any moment.
  - A machine that never wrote a status has no client yet, or takes its jobs by cron; only its jobs count.
positional: _input
options:
  _input:
    description: The C(machines) that M(greenlab.cluster.gmt_machine_info) returns.
    type: list
    elements: dict
    required: true
seealso:
  - module: greenlab.cluster.gmt_machine_info
"""

EXAMPLES = r"""
- name: Show who is at work
  ansible.builtin.debug:
    msg: "{{ jobs_db.machines | greenlab.cluster.busy_machines }}"
"""

RETURN = r"""
_value:
  description: The reason for each busy machine, by its id.
  type: dict
  sample: {"2": "a job is RUNNING"}
"""

import typing as t

from ansible_collections.greenlab.cluster.plugins.plugin_utils import _cluster


class FilterModule:
    """Ansible's entry point."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        """Return the filters of this file."""
        return {"busy_machines": _cluster.busy}
