# Copyright (c) 2026, the greenlab.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What would change when a machine is built again."""

from __future__ import annotations

DOCUMENTATION = r"""
name: build_changes
short_description: Names of what changed since a machine was last built
version_added: 0.1.0
description:
  - Compares what a machine would be built from with what it was last built from.
positional: _input, built
options:
  _input:
    description: What P(greenlab.cluster.build_parts#filter) returns.
    type: dict
    required: true
  built:
    description: The C(parts) of the machine that M(greenlab.cluster.gmt_build) returns. Null or empty when unknown.
    type: dict
    required: true
"""

EXAMPLES = r"""
- name: Show what a run would change
  ansible.builtin.debug:
    msg: "{{ site_parts | greenlab.cluster.build_changes(site_built.parts) }}"
"""

RETURN = r"""
_value:
  description: Names of variables, V(collection) for the roles themselves, or V(everything) when nothing is known.
  type: list
  elements: str
  sample: [gmt_client_sleep_time]
"""

import typing as t

from ansible_collections.greenlab.cluster.plugins.plugin_utils import _build


class FilterModule:
    """Ansible's entry point."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        """Return the filters of this file."""
        return {"build_changes": _build.changes}
