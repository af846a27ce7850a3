# Copyright (c) 2026, the greenlab.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The cluster's status as a page for a browser."""

from __future__ import annotations

DOCUMENTATION = r"""
name: status_page
short_description: The cluster's status as one HTML page
version_added: 0.1.0
description:
  - Makes a page with the state of each machine of the inventory, a timeline of what it did, and a plot of the energy
    that sleep has saved. Machines that need attention come first.
  - The page is one text without scripts, and fetches nothing.
  - What the bars mean, how sleep is told from idling, and how energy is computed is in C(docs/status.md).
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
        C(gmt_shutdown_on_job_no), C(gmt_client_state), C(status_idle_watts) and C(status_sleep_watts).
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
  title:
    description: Heading of the page.
    type: str
    default: Measurement cluster
  version:
    description: The version of this collection, which the page names.
    type: str
    default: ""
  wake_log:
    description:
      - The wake host's log of events, one JSON object a line. Of use are lines with C(machine_id), C(at) (a time in ISO
        8601 with its zone) and C(event) C(woken), C(asleep) or C(failed); others are passed over.
      - Where it says nothing, sleep is assumed from what the clients report.
    type: str
    default: ""
seealso:
  - plugin: greenlab.cluster.status_table
    plugin_type: filter
  - module: greenlab.cluster.gmt_machine_info
  - module: greenlab.cluster.gmt_history_info
"""

EXAMPLES = r"""
- name: Write the page
  ansible.builtin.copy:
    content: "{{ groups['machines'] | greenlab.cluster.status_page(hostvars, now.machines, history, title='Lab 3',
      version=lookup('community.general.collection_version', 'greenlab.cluster')) }}"
    dest: /var/www/html/status.html
    mode: "0644"
"""

RETURN = r"""
_value:
  description: The page.
  type: str
"""

import typing as t
from datetime import datetime, timezone

from ansible.errors import AnsibleFilterError

from ansible_collections.greenlab.cluster.plugins.plugin_utils import _page, _status


def status_page(
    hosts: list[str],
    hostvars: t.Any,
    rows: list[dict[str, t.Any]],
    history: dict[str, t.Any],
    *,
    title: str = "Measurement cluster",
    version: str = "",
    wake_log: str = "",
) -> str:
    """Return the page."""
    try:
        cluster = _status.read(hosts, hostvars, rows, history, wake_log)
    except _status.BadVariable as error:
        raise AnsibleFilterError(str(error)) from error
    return _page.page(cluster, title, _page.Maker(datetime.now(timezone.utc), version))


class FilterModule:
    """Ansible's entry point."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        """Return the filters of this file."""
        return {"status_page": status_page}
