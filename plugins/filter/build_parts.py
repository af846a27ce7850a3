# Copyright (c) 2026, the greenlab.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a machine is built from."""

from __future__ import annotations

DOCUMENTATION = r"""
name: build_parts
short_description: Hashes of what a machine is built from
version_added: 0.1.0
description:
  - Returns one hash for each variable of the roles that the host has, and one for all roles and plugins of the
    collection. When all are those of the machine's last build (M(greenlab.cluster.gmt_build)), building it again
    changes nothing, and nobody needs to ask the machine.
  - Hashes of variables whose names look like secrets are made with scrypt.
positional: _input, hostvars, roles, more
options:
  _input:
    description: Name of a host.
    type: str
    required: true
  hostvars:
    description: Ansible's C(hostvars).
    type: dict
    required: true
  roles:
    description: Roles of this collection whose options count.
    type: list
    elements: str
    required: true
  more:
    description: What else counts, by name, for example the commit that a branch stands for.
    type: dict
    default: {}
seealso:
  - module: greenlab.cluster.gmt_build
"""

EXAMPLES = r"""
- name: Compute what the machine would be built from
  ansible.builtin.set_fact:
    site_parts: "{{ inventory_hostname | greenlab.cluster.build_parts(hostvars, ['gmt', 'gmt_client']) }}"
"""

RETURN = r"""
_value:
  description: A hash in hex for each name.
  type: dict
  sample: {"collection": "8c7d1f0a52d94e0c", "gmt_release": "5f3a0c9d4be6a1b2"}
"""

import typing as t

from ansible_collections.greenlab.cluster.plugins.plugin_utils import _build


class FilterModule:
    """Ansible's entry point."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        """Return the filters of this file."""
        return {"build_parts": _build.parts}
