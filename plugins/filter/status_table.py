# Copyright (c) 2026, the greenlab.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The cluster's status as lines of text."""

from __future__ import annotations

DOCUMENTATION = r"""
name: status_table
short_description: The cluster's status as a table of text
version_added: 0.1.0
description:
  - Makes one line for each machine of the inventory from the rows of the jobs DB. A dash stands for what is not known.
positional: _input, hostvars, rows, history
options:
  _input:
    description: Names of hosts.
    type: list
    elements: str
    required: true
  hostvars:
    description:
      - Ansible's C(hostvars). Read are C(gmt_machine_id), C(gmt_machine_description), C(gmt_release), C(gmt_version),
        C(gmt_shutdown_on_job_no), C(gmt_client_state).
    type: dict
    required: true
  rows:
    description: The C(machines) that M(greenlab.cluster.gmt_machine_info) returns.
    type: list
    elements: dict
    required: true
  history:
    description: What M(greenlab.cluster.gmt_history_info) returns.
    type: dict
    required: true
  wake_log:
    description: The wake host's log of events, see P(greenlab.cluster.status_page#filter).
    type: str
    default: ""
seealso:
  - plugin: greenlab.cluster.status_page
    plugin_type: filter
  - module: greenlab.cluster.gmt_machine_info
  - module: greenlab.cluster.gmt_history_info
"""

EXAMPLES = r"""
- name: Show the cluster
  ansible.builtin.debug:
    msg: "{{ groups['machines'] | greenlab.cluster.status_table(hostvars, now.machines, history) }}"
"""

RETURN = r"""
_value:
  description: Lines of text, headings first.
  type: list
  elements: str
  sample:
    - "machine   state      since (UTC)       job           queue  hold  release       temperature  drift"
    - "--------  ---------  ----------------  ------------  -----  ----  ------------  -----------  -----"
    - "machine1  measuring  2026-11-21 10:00  4711 App 1.0  3      -     v4.1 86d4733  38/40 °C     -"
"""

import typing as t

from ansible.errors import AnsibleFilterError

from ansible_collections.greenlab.cluster.plugins.plugin_utils import _cluster, _status


def status_table(
    hosts: list[str],
    hostvars: t.Any,
    rows: list[dict[str, t.Any]],
    history: dict[str, t.Any],
    wake_log: str = "",
) -> list[str]:
    """Return the table's lines."""
    try:
        machines = _status.read(hosts, hostvars, rows, history, wake_log).machines
    except _status.BadVariable as error:
        raise AnsibleFilterError(str(error)) from error
    return _cluster.table(_status.HEADINGS, _status.table_rows(machines))


class FilterModule:
    """Ansible's entry point."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        """Return the filters of this file."""
        return {"status_table": status_table}
