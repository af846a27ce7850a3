# Copyright (c) 2026, the greenlab.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""GMT's whole config.yml as a dictionary."""

from __future__ import annotations

DOCUMENTATION = r"""
name: gmt_config
short_description: The whole configuration of the Green Metrics Tool, checked
version_added: 0.1.0
description:
  - Puts the inventory's values over the example file of the release, so that a key new in a release is never missing.
  - Fails when the result would make the client fail, naming the key, its value and the variable to set.
positional: _input, values, release
options:
  _input:
    description: The release's own C(config.yml.example), parsed.
    type: dict
    required: true
  values:
    description:
      - Values by the names of the release record's C(config_paths), for example C(machine_id).
      - C(postgresql) is a dictionary of its own. A value of V(null) leaves what the example has.
    type: dict
    required: true
  release:
    description: The record that P(greenlab.cluster.gmt_release#filter) returns.
    type: dict
    required: true
  extra:
    description: Anything else, in the form of the file. Dictionaries are merged, everything else is replaced.
    type: dict
    default: {}
  part:
    description:
      - What the host is. V(machine) must have a number, a name and all that its client needs.
      - V(server) is no machine and gets no number, so that it can never take a machine's jobs.
    type: str
    choices: [machine, server]
    default: machine
  providers:
    description:
      - The folders of the checkout's metric providers, such as V(cpu/utilization/procfs/system).
      - Providers of Linux that are not among them are refused. Not given, they are not checked.
    type: list
    elements: str
seealso:
  - plugin: greenlab.cluster.gmt_release
    plugin_type: filter
"""

EXAMPLES = r"""
- name: Show the configuration of a machine
  ansible.builtin.debug:
    msg: "{{ example | greenlab.cluster.gmt_config(values, 'v4.1' | greenlab.cluster.gmt_release) }}"
  vars:
    example: "{{ lookup('ansible.builtin.file', 'config.yml.example') | from_yaml }}"
    values:
      machine_id: 7
      machine_description: Esprimo P956
      client_sleep_time: 60
"""

RETURN = r"""
_value:
  description: The configuration.
  type: dict
  sample: {"machine": {"id": 7, "description": "Esprimo P956"}}
"""

import typing as t

from ansible.errors import AnsibleFilterError

from ansible_collections.greenlab.cluster.plugins.plugin_utils import _config


def gmt_config(
    example: dict[str, t.Any] | None,
    values: dict[str, t.Any],
    release: dict[str, t.Any],
    extra: dict[str, t.Any] | None = None,
    part: str = "machine",
    *,
    providers: list[str] | None = None,
) -> dict[str, t.Any]:
    """Return the whole configuration, or fail with what is wrong in it."""
    try:
        return _config.build(example or {}, values, release, extra or {}, part, providers=providers)
    except _config.InvalidConfig as error:
        raise AnsibleFilterError(str(error)) from error


class FilterModule:
    """Ansible's entry point."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        """Return the filters of this file."""
        return {"gmt_config": gmt_config}
