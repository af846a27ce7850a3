# Copyright (c) 2026, the greenlab.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is left to do after a run."""

from __future__ import annotations

DOCUMENTATION = r"""
name: site_left
short_description: Sentences about the machines that a run has left as they were
version_added: 0.1.0
description:
  - Reads the facts C(site_outcome) and C(site_why) that the playbooks set, of all hosts at once, and returns a
    sentence for each host that was left alone, failed, was lost or not begun, with what to do. Empty when all is done.
positional: _input, hostvars
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
"""

EXAMPLES = r"""
- name: End with an error where something is left to do
  ansible.builtin.fail:
    msg: "{{ left | join(' ') }}"
  when: left | length > 0
  run_once: true
  vars:
    left: "{{ groups['machines'] | greenlab.cluster.site_left(hostvars) }}"
"""

RETURN = r"""
_value:
  description: The sentences.
  type: list
  elements: str
  sample: ["machine1: left alone, because a job is RUNNING. Run the playbook again later."]
"""

import typing as t

from ansible_collections.greenlab.cluster.plugins.plugin_utils import _cluster


class FilterModule:
    """Ansible's entry point."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        """Return the filters of this file."""
        return {"site_left": _cluster.site_left}
