#!/usr/bin/python
# Copyright (c) 2026, the greenlab.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation of the action plugin of the same name."""

from __future__ import annotations

DOCUMENTATION = r"""
module: build_plan
short_description: Tell which machines would change if they were built again, without asking them
version_added: 0.1.0
description:
  - Computes for each host a hash of each variable of its roles and one of each role, with the roles and plugins that it
    uses, and compares them with those of its last build, see M(greenlab.cluster.gmt_build). When all are equal,
    building it again changes nothing but what has drifted on the machine.
  - Runs once for all hosts, on the controller, and contacts no host.
  - Values are read as the inventory gives them to the host, C(--extra-vars) among them. Variables that a play sets are
    not seen. A value that comes from facts of the host does not count.
  - Hashes of variables that come from a vault, or that have a name like a secret's or such a key, are made with scrypt.
author:
  - greenlab.cluster contributors (!UNKNOWN)
options:
  hosts:
    description: Names of the hosts.
    type: list
    elements: str
    required: true
  id_variable:
    description: Name of the variable that holds a host's number in the jobs DB.
    type: str
    default: gmt_machine_id
  roles:
    description: Roles of this collection whose options count, those of all entry points.
    type: list
    elements: str
    required: true
  roles_variable:
    description: Name of a variable of a host, the list of further roles that count for it.
    type: str
  built:
    description: The C(machines) that M(greenlab.cluster.gmt_build) returns. A host that is not among them would change.
    type: list
    elements: dict
    default: []
  also:
    description: Other variables that count. C(name.key) is a key of one that is a dictionary.
    type: list
    elements: str
    default: []
  branches:
    description: The RV(branches) that an earlier call has named.
    type: list
    elements: dict
    default: []
  commits:
    description:
      - What each of O(branches) stands for now, in their order. It counts for the hosts that track the branch.
      - An empty one is not known, because the git server did not answer or has no such branch. Such a branch counts as
        at the last build, and a warning names it.
    type: list
    elements: str
    default: []
  more:
    description: Values that count for each of the hosts, by name.
    type: dict
    default: {}
  files:
    description: Variables that name a file of the control node, whose content counts.
    type: list
    elements: str
    default: []
  ignore:
    description: Options of the roles that do not count, because they change something on another host only.
    type: list
    elements: str
    default: []
attributes:
  check_mode:
    description: Can run in C(check_mode) and return changed status prediction without modifying target.
    support: full
  diff_mode:
    description: Returns details on what has changed (or possibly needs changing in C(check_mode)), when in diff mode.
    support: none
  action:
    description: Runs on the controller.
    support: full
seealso:
  - module: greenlab.cluster.gmt_build
"""

EXAMPLES = r"""
- name: Compare what the machines would be built from with what they were
  greenlab.cluster.build_plan:
    hosts: "{{ ansible_play_batch }}"
    roles: [gmt, gmt_client]
    built: "{{ builds.machines }}"
  register: plan
  run_once: true
"""

RETURN = r"""
hosts:
  description: For each host what it would be built from and what of it is new.
  returned: success
  type: dict
  contains:
    parts:
      description: A hash in hex for each name.
      type: dict
    changes:
      description:
        - Names of variables, C(role) and a role's name for the role itself, or V(everything) when nothing is known.
      type: list
      elements: str
  sample:
    machine1:
      id: 1
      parts: {"role gmt": "8c7d1f0a52d94e0c", "gmt_release": "5f3a0c9d4be6a1b2"}
      fingerprint: 0b9f6c1d5a7e4f23
      changes: [gmt_release]
different:
  description: The hosts with changes, in their order.
  returned: success
  type: list
  elements: str
  sample: [machine1]
unchanged:
  description: The hosts without changes, in their order.
  returned: success
  type: list
  elements: str
  sample: [machine2]
branches:
  description: What hosts track that is neither a tag nor a commit (C(gmt_repo), C(gmt_version)), each once.
  returned: success
  type: list
  elements: dict
  sample: [{"repo": "https://example.org/gmt.git", "version": "main"}]
"""
