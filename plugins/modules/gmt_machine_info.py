#!/usr/bin/python
# Copyright (c) 2026, the greenlab.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read the machines of a cluster and what they do, all of them in one statement."""

from __future__ import annotations

DOCUMENTATION = r"""
module: gmt_machine_info
short_description: Read the machines of a GMT cluster and what they do from the jobs DB
version_added: 0.1.0
description:
  - Returns the rows of the C(machines) table of the Green Metrics Tool (GMT) with the newest status and the number of
    jobs of each machine.
  - Reads the database only and never contacts a machine, so it cannot disturb a measurement.
  - One statement, whatever the number of machines.
  - When the connection breaks, the module reads once more, since nothing can be done twice.
extends_documentation_fragment:
  - greenlab.cluster.jobs_db
  - greenlab.cluster.jobs_db.module
  - greenlab.cluster.attributes.reads
options:
  ids:
    description:
      - Return only machines with one of these ids. An id that is not registered is no error, its row is just not there.
    type: list
    elements: int
  descriptions:
    description:
      - Return only machines with one of these descriptions, compared as they are written.
      - With O(ids), a machine must be in both lists.
    type: list
    elements: str
  states:
    description: Return only machines in one of these states, see RV(machines[].state).
    type: list
    elements: str
    choices: [idle, measuring, transient, unknown]
  older_than:
    description:
      - Return only machines whose newest status is at least so old, in seconds (V(90)) or with the units s, m, h, d and
        w (V(15m), V(1h30m)). A machine that never reported has no status, and is left out.
    type: str
seealso:
  - module: greenlab.cluster.gmt_machine
  - module: greenlab.cluster.gmt_job_info
author:
  - the greenlab.cluster contributors (!UNKNOWN)
"""

EXAMPLES = r"""
- name: Read all machines
  greenlab.cluster.gmt_machine_info:
    login_unix_socket: /var/run/postgresql
  register: cluster

- name: Wait until machine 2 neither works nor is about to
  greenlab.cluster.gmt_machine_info:
    login_host: db.example.org
    login_password: "{{ jobs_db_password }}"
    ids: [2]
  register: machine
  until: machine.machines[0].state == 'idle' and machine.machines[0].jobs_running == 0
  delay: 30
  retries: 120
  delegate_to: localhost

- name: Find machines that measure for longer than a day, or crashed while they did
  greenlab.cluster.gmt_machine_info:
    login_unix_socket: /var/run/postgresql
    states: [measuring]
    older_than: 1d
"""

RETURN = r"""
machines:
  description: One dict a machine, by id. A value that the GMT release or the machine does not have is null.
  returned: success
  type: list
  elements: dict
  contains:
    id:
      description: Number of the machine.
      type: int
      sample: 2
    description:
      description: Name of the machine.
      type: str
      sample: Raspberry Pi 5
    available:
      description: Whether users may submit jobs for it.
      type: bool
      sample: true
    status_code:
      description: Last status as the machine's row has it. Null before GMT v0.21.1, which had no such column.
      type: str
      sample: job_no
    status_since:
      description: Time of the newest status row, in ISO 8601, UTC. Clients write a status only when it changes.
      type: str
      sample: "2026-11-21T23:18:05.123456+00:00"
    last_status:
      description: Status code of the newest status row, in all releases.
      type: str
      sample: job_no
    state:
      description:
        - What the status code (RV(machines[].status_code), else RV(machines[].last_status)) means for a maintainer.
        - V(idle), the client sleeps, or the machine is suspended or switched off, which looks the same. C(job_error) is
          idle after a minute, when the client can only be asleep.
        - V(measuring), do not touch it.
        - V(transient), between two steps (cooling down, maintenance, reboot), more work follows.
        - V(unknown), no client ever reported, or with a code that no release from v0.16 to v4.1 writes, and that is
          less than two hours old. After that it is idle.
        - A code outlives a crash, and jobs run from a crontab write none; look at RV(machines[].jobs_running) as well.
      type: str
      choices: [idle, measuring, transient, unknown]
      sample: idle
    jobs_waiting:
      description: Measurement jobs that wait for this machine. Mails are not counted.
      type: int
      sample: 3
    jobs_running:
      description: Measurement jobs that are marked as running on this machine, also those left behind by a crash.
      type: int
      sample: 0
    running_job:
      description:
        - The job that is marked as running, the oldest if there are several. Its name is null before GMT v0.19.
      type: dict
      sample: {id: 4711, name: App 1.0}
    gmt_hash:
      description: Commit of GMT that the client runs.
      type: str
      sample: 86d47334c0ffee
    current_temperature:
      description: Temperature that the client saw last, in °C (since v0.22, where a thermometer is configured).
      type: int
      sample: 38
    base_temperature:
      description: Temperature that the machine must have before a measurement, in °C (since v0.22).
      type: int
      sample: 40
    needs_revalidation:
      description: Whether the client will run its control workload before the next job (since v4.0).
      type: bool
      sample: false
    shutdown_on_job_no:
      description:
        - What the client does when its queue is empty, as its C(config.yml) says (since v2.6); V(suspend), V(poweroff)
          or V(false).
      type: str
      sample: suspend
    held_by:
      description:
        - Who holds the machine, see M(greenlab.cluster.gmt_hold). Null when nobody does, and so are the next two.
        - A machine on hold is not available.
      type: str
      sample: ada@office
    held_for:
      description: Why.
      type: str
      sample: new fan
    held_since:
      description: Since when, in ISO 8601, UTC.
      type: str
      sample: "2026-11-21T23:18:05.123456+00:00"
    updated_at:
      description: Time of the last change of the row, in ISO 8601, UTC. It is no sign of life.
      type: str
      sample: "2026-11-21T23:18:05.123456+00:00"
"""

import typing as t

from ansible_collections.greenlab.cluster.plugins.module_utils._jobs_db import (
    JobsDBError,
    Schema,
    jobs_db_argument_spec,
    report,
)
from ansible_collections.greenlab.cluster.plugins.module_utils._machine_state import STATES
from ansible_collections.greenlab.cluster.plugins.module_utils._machines import read_machines
from ansible_collections.greenlab.cluster.plugins.module_utils._module import run_module
from ansible_collections.greenlab.cluster.plugins.module_utils._text import seconds

if t.TYPE_CHECKING:
    from collections.abc import Mapping

    from ansible_collections.greenlab.cluster.plugins.module_utils._jobs_db import Connection, Row


def argument_spec() -> dict[str, dict[str, t.Any]]:
    """Return the options of the module."""
    return dict(
        jobs_db_argument_spec(),
        ids={"type": "list", "elements": "int"},
        descriptions={"type": "list", "elements": "str"},
        states={"type": "list", "elements": "str", "choices": list(STATES)},
        older_than={"type": "str"},
    )


def run(params: Mapping[str, t.Any]) -> dict[str, t.Any]:
    """Return the module's result; raise `JobsDBError` when the DB cannot be read."""
    try:
        older_than = None if params["older_than"] is None else seconds(params["older_than"])
    except ValueError as exc:
        raise JobsDBError(f"older_than: {exc}.") from exc

    def work(connection: Connection, schema: Schema) -> list[Row]:
        return read_machines(
            connection,
            schema,
            params["ids"],
            params["descriptions"],
            states=params["states"],
            older_than=older_than,
        )

    return {"changed": False, "machines": report(params, work)}


def main() -> None:
    """Run the module."""
    run_module(argument_spec(), lambda params, _check_mode: run(params))


if __name__ == "__main__":
    main()
