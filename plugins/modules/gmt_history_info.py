#!/usr/bin/python
# Copyright (c) 2026, the greenlab.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read what the machines of a cluster did in the last days, all of them in one statement."""

from __future__ import annotations

DOCUMENTATION = r"""
module: gmt_history_info
short_description: Read what the machines of a GMT cluster did in the last days from the jobs DB
version_added: 0.1.0
description:
  - Returns the changes of state of each machine, from the table C(client_status) of the Green Metrics Tool (GMT), and
    the holds of that time.
  - Reads the database only and never contacts a machine, so it cannot disturb a measurement.
  - One statement reads all machines, whatever their number, and one their holds.
  - When the connection breaks, the module reads once more, since nothing can be done twice.
extends_documentation_fragment:
  - greenlab.cluster.jobs_db
  - greenlab.cluster.jobs_db.module
  - greenlab.cluster.attributes.reads
options:
  ids:
    description:
      - Return only machines with one of these ids. An id that is not registered is no error, it is just not there.
    type: list
    elements: int
  window:
    description:
      - How far back to look from now, in seconds (V(90)) or with the units s, m, h, d and w (V(12h), V(7d)).
      - A minute or more.
    type: str
    default: 7d
notes:
  - GMT keeps the history for ever and has no index for it; a table of a million rows is read in less than a second.
seealso:
  - module: greenlab.cluster.gmt_machine_info
  - plugin: greenlab.cluster.status_page
    plugin_type: filter
author:
  - the greenlab.cluster contributors (!UNKNOWN)
"""

EXAMPLES = r"""
- name: Read what happened since yesterday
  greenlab.cluster.gmt_history_info:
    login_unix_socket: /var/run/postgresql
    window: 1d
  register: history

- name: Name the machines that failed at some time
  ansible.builtin.debug:
    msg: "{{ history.machines | selectattr('changes', 'search', ':failed') | map(attribute='id') }}"
"""

RETURN = r"""
since:
  description: Begin of the window, in ISO 8601, UTC.
  returned: success
  type: str
  sample: "2026-11-14T23:18:05.123456+00:00"
until:
  description: End of the window, which is now by the clock of the database, in ISO 8601, UTC.
  returned: success
  type: str
  sample: "2026-11-21T23:18:05.123456+00:00"
machines:
  description: One dict a machine, by id.
  returned: success
  type: list
  elements: dict
  contains:
    id:
      description: Number of the machine.
      type: int
      sample: 2
    changes:
      description:
        - The changes of the machine's state, oldest first, separated by blanks. Each is C(seconds:state), in whole
          seconds since RV(since). One text, because a busy week of a thousand machines has a million changes.
        - The first one may be before the window, and has negative seconds then. Before the first one nothing is known.
        - C(measuring), a job or the control workload runs.
        - C(transient), between two steps (maintenance, cooling down, warming up, reboot).
        - C(failed), a job, the control workload or maintenance ended with an error, and the client may be waiting
          for hours.
        - C(idle), the queue is empty, and the client waits; a machine that sleeps or is switched off looks the same.
        - C(unknown), a code that no release from v0.16 to v4.1 writes.
      type: str
      sample: "-3600:idle 7200:measuring 8100:transient 8160:idle"
holds:
  description:
    - The holds of these machines that were not over when the window began, oldest first, see
      M(greenlab.cluster.gmt_hold). Empty where the jobs DB cannot hold machines.
  returned: success
  type: list
  elements: dict
  contains:
    machine_id:
      description: Number of the machine.
      type: int
      sample: 2
    owner:
      description: Who held it.
      type: str
      sample: ada@office
    reason:
      description: Why.
      type: str
      sample: new fan
    held_at:
      description: Since when, in ISO 8601, UTC.
      type: str
      sample: "2026-11-20T12:00:00+00:00"
    released_at:
      description: Until when. Null for a hold that is not over.
      type: str
      sample: "2026-11-20T12:30:00+00:00"
"""

import typing as t

from ansible_collections.greenlab.cluster.plugins.module_utils._holds import has_holds
from ansible_collections.greenlab.cluster.plugins.module_utils._jobs_db import (
    JobsDBError,
    Schema,
    jobs_db_argument_spec,
    report,
)
from ansible_collections.greenlab.cluster.plugins.module_utils._machine_state import STATE_OF_CODE
from ansible_collections.greenlab.cluster.plugins.module_utils._module import run_module
from ansible_collections.greenlab.cluster.plugins.module_utils._text import seconds

if t.TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ansible_collections.greenlab.cluster.plugins.module_utils._jobs_db import Connection, Row

SHORTEST_WINDOW_SECONDS = 60

# A history shows failures as such, also those that a client sleeps off.
STATE_IN_HISTORY = {code: "failed" if code.endswith("_error") else state for code, state in STATE_OF_CODE.items()}


def argument_spec() -> dict[str, dict[str, t.Any]]:
    """Return the options of the module."""
    return dict(
        jobs_db_argument_spec(),
        ids={"type": "list", "elements": "int"},
        window={"type": "str", "default": "7d"},
    )


def window_seconds(text: str) -> int:
    """Return the length of the window; raise `JobsDBError` for one that cannot be read, or is no window."""
    try:
        length = seconds(text)
    except ValueError as exc:
        raise JobsDBError(f"window: {exc}.") from exc
    if length < SHORTEST_WINDOW_SECONDS:
        raise JobsDBError(f"window: {text!r} is less than a minute; write a longer time, such as 7d.")
    return length


def read_changes(connection: Connection, window: int, ids: Sequence[int] | None) -> list[Row]:
    """Return id and changes of state of each machine; rows of one state that follow each other are one change."""
    return connection.execute(
        """
        WITH wanted AS (
            SELECT id FROM machines WHERE %(ids)s::bigint[] IS NULL OR id = ANY(%(ids)s::bigint[])
        ), first_second AS (
            SELECT now() - make_interval(secs => %(window)s) AS since
        ), opening AS (
            SELECT machine_id, max(created_at) AS created_at
            FROM client_status, first_second
            WHERE created_at < since AND machine_id IN (SELECT id FROM wanted)
            GROUP BY machine_id
        ), history AS (
            SELECT client_status.id, client_status.machine_id, client_status.created_at, client_status.status_code
            FROM client_status
            JOIN opening USING (machine_id, created_at)
            UNION ALL
            SELECT client_status.id, machine_id, created_at, status_code
            FROM client_status, first_second
            WHERE created_at BETWEEN since AND now() AND machine_id IN (SELECT id FROM wanted)
        ), told AS (
            SELECT history.id, machine_id, created_at, COALESCE(state, 'unknown') AS state
            FROM history
            LEFT JOIN unnest(%(codes)s::text[], %(states)s::text[]) AS known(status_code, state) USING (status_code)
        ), compared AS (
            SELECT *, lag(state) OVER (PARTITION BY machine_id ORDER BY created_at, id) IS DISTINCT FROM state AS is_new
            FROM told
        ), changes AS (
            SELECT machine_id, string_agg(
                floor(EXTRACT(EPOCH FROM created_at - since))::bigint || ':' || state, ' '
                ORDER BY created_at, compared.id
            ) AS changes
            FROM compared, first_second
            WHERE is_new
            GROUP BY machine_id
        )
        SELECT wanted.id, COALESCE(changes.changes, '') AS changes
        FROM wanted
        LEFT JOIN changes ON changes.machine_id = wanted.id
        ORDER BY wanted.id
        """,
        {
            "ids": None if ids is None else list(ids),
            "window": window,
            "codes": list(STATE_IN_HISTORY),
            "states": list(STATE_IN_HISTORY.values()),
        },
    ).fetchall()


def read_holds(connection: Connection, window: int, ids: Sequence[int] | None) -> list[Row]:
    """Return the holds that were not over when the window began."""
    if not has_holds(connection):
        return []
    rows = connection.execute(
        """
        SELECT machine_id, owner, reason, held_at, released_at
        FROM greenlab.holds
        WHERE (released_at IS NULL OR released_at >= now() - make_interval(secs => %(window)s))
            AND (%(ids)s::bigint[] IS NULL OR machine_id = ANY(%(ids)s::bigint[]))
        ORDER BY held_at, id
        """,
        {"ids": None if ids is None else list(ids), "window": window},
    )
    return [
        dict(row, held_at=row["held_at"].isoformat(), released_at=row["released_at"] and row["released_at"].isoformat())
        for row in rows
    ]


def run(params: Mapping[str, t.Any]) -> dict[str, t.Any]:
    """Return the module's result; raise `JobsDBError` when the DB cannot be read."""
    window = window_seconds(params["window"])

    def work(connection: Connection, _schema: Schema) -> dict[str, t.Any]:
        limits = connection.execute("SELECT now() - make_interval(secs => %s) AS since, now() AS until", [window])
        return {
            **{name: moment.isoformat() for name, moment in limits.fetchall()[0].items()},
            "machines": read_changes(connection, window, params["ids"]),
            "holds": read_holds(connection, window, params["ids"]),
        }

    return {"changed": False, **report(params, work)}


def main() -> None:
    """Run the module."""
    run_module(argument_spec(), lambda params, _check_mode: run(params))


if __name__ == "__main__":
    main()
