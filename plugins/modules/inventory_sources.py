#!/usr/bin/python
# Copyright (c) 2026, the greenlab.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation of the action plugin of the same name."""

from __future__ import annotations

DOCUMENTATION = r"""
module: inventory_sources
short_description: Check that the inventory could be read and has hosts for a playbook
version_added: 0.1.0
description:
  - Fails where Ansible could not read a source of the inventory, or where the inventory has no host for the playbook.
    Ansible itself only warns and ends with exit status 0.
  - Prints one line for each problem, with the file and, where it is known, the number of the line.
  - Files in YAML must also have the form of groups, C(hosts), C(children) and C(vars).
    Ansible skips what has not.
  - A file in C(group_vars) beside the inventory, with nearly the name of a group, is an error.
  - Runs once, on the controller, and contacts no host. Meant for a play on C(localhost), which runs without any host.
author:
  - greenlab.cluster contributors (!UNKNOWN)
options:
  groups:
    description:
      - Names of groups. At least one of them must have a host, which C(--limit) must not leave out.
    type: list
    elements: str
    required: true
attributes:
  action:
    description: The work is done by an action plugin on the controller.
    support: full
  bypass_host_loop:
    description: Runs once for all hosts, with or without C(run_once).
    support: full
  check_mode:
    description: Does the same in check mode, it never changes anything.
    support: full
  connection:
    description: Needs no connection to a host.
    support: none
  diff_mode:
    description: Has nothing to show.
    support: none
seealso:
  - module: greenlab.cluster.preflight
"""

EXAMPLES = r"""
- name: Check that the inventory can be read
  hosts: localhost
  gather_facts: false
  tasks:
    - name: Check that the inventory can be read
      greenlab.cluster.inventory_sources:
        groups: [machines]
"""

RETURN = r"""
msg:
  description: The number of problems. They are printed before it, one line each.
  returned: when something is wrong
  type: str
"""
