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
attributes:
  check_mode:
    support: full
    details:
      - This action does not modify state.
  diff_mode:
    support: N/A
    details:
      - This action does not modify state.
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
  - the greenlab.cluster contributors (@greenlab)
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
        - V(idle), the client sleeps, or the machine is suspended or switched off, which looks the same.
        - V(measuring), do not touch it.
        - V(transient), between two steps (cooling down, maintenance, reboot), more work follows.
        - V(unknown), no client ever reported, or with a code that no release from v0.16 to v4.1 writes.
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
    gmt_hash:
      description: Commit of GMT that the client runs.
      type: str
      sample: 86d47334c0ffee
    updated_at:
      description: Time of the last change of the row, in ISO 8601, UTC. It is no sign of life.
      type: str
      sample: "2026-11-21T23:18:05.123456+00:00"
"""

import datetime
import typing as t

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.greenlab.cluster.plugins.module_utils._jobs_db import (
    JobsDBError,
    MissingLibrary,
    Schema,
    jobs_db_argument_spec,
    load_psycopg,
    report,
)
from ansible_collections.greenlab.cluster.plugins.module_utils._machine_state import STATES, machine_state
from ansible_collections.greenlab.cluster.plugins.module_utils._text import seconds

if t.TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ansible_collections.greenlab.cluster.plugins.module_utils._jobs_db import Connection, Row

COLUMNS = [
    "id",
    "description",
    "available",
    "status_code",
    "status_since",
    "last_status",
    "state",
    "jobs_waiting",
    "jobs_running",
    "gmt_hash",
    "updated_at",
]


def argument_spec() -> dict[str, dict[str, t.Any]]:
    """Return the options of the module."""
    return dict(
        jobs_db_argument_spec(),
        ids={"type": "list", "elements": "int"},
        descriptions={"type": "list", "elements": "str"},
        states={"type": "list", "elements": "str", "choices": list(STATES)},
        older_than={"type": "str"},
    )


def read_machines(
    connection: Connection,
    schema: Schema,
    ids: Sequence[int] | None = None,
    descriptions: Sequence[str] | None = None,
    *,
    states: Sequence[str] | None = None,
    older_than: int | None = None,
) -> list[Row]:
    """Return the machines by id; filters that are None let all pass. Importable: the inventory reads the same rows."""
    sql = load_psycopg().sql
    query = sql.SQL(
        """
        WITH wanted AS (
            SELECT id, description, available, {status_code} AS status_code, {gmt_hash} AS gmt_hash,
                {updated_at} AS updated_at
            FROM machines
            WHERE (%(ids)s::bigint[] IS NULL OR id = ANY(%(ids)s::bigint[]))
                AND (%(descriptions)s::text[] IS NULL OR description = ANY(%(descriptions)s::text[]))
        ), newest AS (
            -- Two passes over the history instead of a sort: it grows for years and has no index for this.
            SELECT DISTINCT ON (client_status.machine_id)
                client_status.machine_id, client_status.status_code, client_status.created_at
            FROM client_status
            JOIN (
                SELECT machine_id, max(created_at) AS created_at
                FROM client_status
                WHERE machine_id IN (SELECT id FROM wanted)
                GROUP BY machine_id
            ) AS latest USING (machine_id, created_at)
            ORDER BY client_status.machine_id, client_status.id DESC
        ), counted AS (
            SELECT machine_id,
                count(*) FILTER (WHERE {waiting}) AS waiting,
                count(*) FILTER (WHERE {running}) AS running
            FROM jobs
            WHERE ({waiting} OR {running}) AND machine_id IN (SELECT id FROM wanted)
            GROUP BY machine_id
        )
        SELECT wanted.*, newest.created_at AS status_since, newest.status_code AS last_status,
            COALESCE(counted.waiting, 0) AS jobs_waiting, COALESCE(counted.running, 0) AS jobs_running
        FROM wanted
        LEFT JOIN newest ON newest.machine_id = wanted.id
        LEFT JOIN counted ON counted.machine_id = wanted.id
        WHERE %(older_than)s::bigint IS NULL
            OR newest.created_at <= now() - make_interval(secs => %(older_than)s::bigint)
        ORDER BY wanted.id
        """
    ).format(
        waiting=sql.SQL(schema.jobs_in_state("waiting")),
        running=sql.SQL(schema.jobs_in_state("running")),
        **{
            name: sql.Identifier(name) if schema.has("machines", name) else sql.SQL("NULL")
            for name in ("status_code", "gmt_hash", "updated_at")
        },
    )
    filters = {"ids": ids, "descriptions": descriptions, "older_than": older_than}
    rows = [_typed(row) for row in connection.execute(query, filters)]
    return rows if states is None else [row for row in rows if row["state"] in states]


def _typed(row: Row) -> Row:
    values = dict(row, state=machine_state(row["status_code"] or row["last_status"]))
    return {name: _iso(values[name]) for name in COLUMNS}


def _iso(value: t.Any) -> t.Any:
    return value.isoformat() if isinstance(value, datetime.datetime) else value


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
    module = AnsibleModule(argument_spec=argument_spec(), supports_check_mode=True)
    try:
        result = run(module.params)
    except MissingLibrary as exc:
        module.fail_json(msg=str(exc), exception=exc.details)
    except JobsDBError as exc:
        module.fail_json(msg=str(exc))
    module.exit_json(**result)


if __name__ == "__main__":
    main()
