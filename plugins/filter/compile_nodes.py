# Copyright (c) 2026, the greenlab.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The hosts of a compile cluster as its roles want them."""

from __future__ import annotations

DOCUMENTATION = r"""
name: compile_nodes
short_description: Hosts of the inventory as nodes of a compile cluster
version_added: 0.1.0
author:
  - greenlab.cluster contributors (!UNKNOWN)
description:
  - Collects name and address of each host, and how much it takes at once where the inventory says so.
positional: _input, hostvars, more
options:
  _input:
    description: Names of hosts, the fastest first.
    type: list
    elements: str
    required: true
  hostvars:
    description:
      - Ansible's C(hostvars). The address is C(cluster_net_address), else C(ansible_host), else the name.
    type: dict
    required: true
  more:
    description: What else is wanted where it is set, V(jobs) from C(distcc_jobs) and V(slots) from C(mpi_slots).
    type: list
    elements: str
    choices: [jobs, slots]
    default: []
"""

EXAMPLES = r"""
- name: Let the head send its work to the workers
  ansible.builtin.import_role:
    name: greenlab.cluster.distcc
  vars:
    distcc_hosts: "{{ groups['compile_workers'] | greenlab.cluster.compile_nodes(hostvars, ['jobs']) }}"
"""

RETURN = r"""
_value:
  description: One dictionary for each host.
  type: list
  elements: dict
  sample: [{"name": "worker1", "address": "10.168.168.11", "jobs": 8}]
"""

import typing as t
from collections.abc import Callable, Collection, Iterable, Mapping

Node = dict[str, t.Any]

# What a node has beside its name, by the variable that it is taken from.
OPTIONAL = {"jobs": "distcc_jobs", "slots": "mpi_slots"}


def compile_nodes(
    hosts: Iterable[str], hostvars: Mapping[str, Mapping[str, t.Any]], more: Collection[str] = ()
) -> list[Node]:
    """Return one node for each host, in the given order."""
    nodes = []
    for host in hosts:
        variables = hostvars[host]
        address = variables.get("cluster_net_address", variables.get("ansible_host", host))
        given = {key: variables[name] for key, name in OPTIONAL.items() if key in more and name in variables}
        nodes.append({"name": host, "address": address, **given})
    return nodes


class FilterModule:
    """Hand the filter to Ansible."""

    def filters(self) -> dict[str, Callable[..., list[Node]]]:
        """Return the filters of this file by name."""
        return {"compile_nodes": compile_nodes}
