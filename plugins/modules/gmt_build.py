#!/usr/bin/python
# Copyright (c) 2026, the greenlab.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Remember in the jobs DB what each machine was built from, and tell the researchers."""

from __future__ import annotations

DOCUMENTATION = r"""
module: gmt_build
short_description: Remember in the jobs DB what each machine of a GMT cluster was built from
version_added: 0.1.0
description:
  - Keeps one row for each machine in the table C(greenlab.builds), with what M(greenlab.cluster.build_plan)
    computes. Who builds machines compares and leaves those alone that would not change.
  - Adds a row to C(cluster_changelog) for each machine that was changed, in the same transaction, so that a researcher
    can tie a measurement to the machine's configuration.
extends_documentation_fragment:
  - greenlab.cluster.jobs_db
  - greenlab.cluster.jobs_db.module
  - greenlab.cluster.jobs_db.writes
attributes:
  diff_mode:
    details:
      - Shows what was known of the machines before and after.
options:
  machines:
    description: The machines.
    type: list
    elements: dict
    required: true
    suboptions:
      id:
        description: Number of the machine.
        type: int
        required: true
      parts:
        description: What it was built from, a hash for each name. Required for O(state=done).
        type: dict
      revalidate:
        description:
          - Whether the client must run its control workload before the next job, for O(state=begun). It looks when it
            starts. GMT has this since v4.0; in older releases nothing happens.
        type: bool
        default: false
      changelog:
        description:
          - What was changed, for C(cluster_changelog), which GMT has since v2.3. Left out in older releases.
          - Without it nothing is added there.
        type: str
  state:
    description:
      - V(begun) forgets what the machines were built from, before they are changed. A build that is cut off is then
        never taken for a finished one.
      - V(done) remembers it.
    type: str
    choices: [begun, done]
    default: done
notes:
  - Repeating a call whose connection broke may add a row to C(cluster_changelog) twice, and is safe otherwise.
seealso:
  - module: greenlab.cluster.gmt_build_info
  - module: greenlab.cluster.build_plan
  - module: greenlab.cluster.gmt_hold
author:
  - the greenlab.cluster contributors (!UNKNOWN)
"""

EXAMPLES = r"""
- name: Remember it
  greenlab.cluster.gmt_build:
    login_unix_socket: /var/run/postgresql
    state: done
    machines:
      - id: 1
        parts: "{{ site_parts }}"
        changelog: "greenlab.cluster 0.1.0, GMT v4.1: changed gmt_client_sleep_time"
"""

RETURN = r"""
machines:
  description: What is known of the machines, by id. A machine of which nothing is known is left out.
  returned: success
  type: list
  elements: dict
  contains:
    id:
      description: Number of the machine.
      type: int
    parts:
      description: What it was built from. Empty when a build was begun and not finished.
      type: dict
    built_at:
      description: When that was written, in ISO 8601, UTC.
      type: str
  sample:
    - id: 1
      parts: {"role gmt": "8c7d1f0a52d94e0c", "gmt_release": "5f3a0c9d4be6a1b2"}
      built_at: "2026-11-21T23:18:05.123456+00:00"
"""

import json
import typing as t

from ansible_collections.greenlab.cluster.plugins.module_utils._holds import known_builds, require_holds
from ansible_collections.greenlab.cluster.plugins.module_utils._jobs_db import (
    JobsDBError,
    as_one_message,
    jobs_db_argument_spec,
    read_schema,
    take_turns,
    transaction,
)
from ansible_collections.greenlab.cluster.plugins.module_utils._module import run_module
from ansible_collections.greenlab.cluster.plugins.module_utils._text import flaw_of_text

if t.TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ansible_collections.greenlab.cluster.plugins.module_utils._jobs_db import Connection, Schema


def argument_spec() -> dict[str, dict[str, t.Any]]:
    """Return the options of the module."""
    return dict(
        jobs_db_argument_spec(),
        machines={
            "type": "list",
            "elements": "dict",
            "required": True,
            "options": {
                "id": {"type": "int", "required": True},
                "parts": {"type": "dict"},
                "revalidate": {"type": "bool", "default": False},
                "changelog": {"type": "str"},
            },
        },
        state={"type": "str", "choices": ["begun", "done"], "default": "done"},
    )


def problems_of_options(params: Mapping[str, t.Any]) -> list[str]:
    """Return everything that can be said against the options without asking the DB."""
    problems = []
    for machine in params["machines"]:
        if params["state"] == "done" and not machine["parts"]:
            problems.append(f"Machine {machine['id']} has no 'parts'; give what it was built from.")
        flaw = flaw_of_text(machine["changelog"]) if machine["changelog"] is not None else None
        if flaw:
            problems.append(f"Machine {machine['id']}: the changelog {flaw}.")
    return problems


def write(connection: Connection, schema: Schema, machines: Sequence[Mapping[str, t.Any]], done: bool) -> None:
    """Write what differs, and the changelog."""
    rows = [{"id": machine["id"], "parts": machine["parts"] if done else {}} for machine in machines]
    connection.execute(
        """
        INSERT INTO greenlab.builds (machine_id, parts)
        SELECT id, parts FROM jsonb_to_recordset(%s::jsonb) AS list(id integer, parts jsonb)
        ON CONFLICT (machine_id) DO UPDATE SET parts = excluded.parts, built_at = now()
        WHERE builds.parts <> excluded.parts
        """,
        [json.dumps(rows)],
    )
    doubtful = [machine["id"] for machine in machines if not done and machine["revalidate"]]
    if doubtful and schema.has("machines", "needs_revalidation"):
        connection.execute("UPDATE machines SET needs_revalidation = true WHERE id = ANY(%s)", [doubtful])
    messages = [machine for machine in machines if done and machine["changelog"]]
    if messages and schema.has("cluster_changelog"):
        connection.execute(
            "INSERT INTO cluster_changelog (message, machine_id) SELECT * FROM unnest(%s::text[], %s::int[])",
            [[machine["changelog"] for machine in messages], [machine["id"] for machine in messages]],
        )


def run(params: Mapping[str, t.Any], check_mode: bool = False) -> dict[str, t.Any]:
    """Do what the options say and return the module's result; raise `JobsDBError` when it cannot be done."""
    problems = problems_of_options(params)
    if problems:
        raise JobsDBError(as_one_message("The options are not valid.", problems))
    machines = params["machines"]
    ids = sorted(machine["id"] for machine in machines)
    with transaction(params, commit=not check_mode, safe_to_repeat=False) as connection:
        require_holds(connection, params)
        take_turns(connection)
        before = known_builds(connection, ids)
        write(connection, read_schema(connection, params), machines, params["state"] == "done")
        after = known_builds(connection, ids)
    shown = [[{"id": row["id"], "parts": row["parts"]} for row in rows] for rows in (before, after)]
    changed = shown[0] != shown[1] or any(machine["changelog"] for machine in machines)
    return {
        "changed": changed,
        "machines": after,
        "diff": {"before": {"machines": shown[0]}, "after": {"machines": shown[1]}},
    }


def main() -> None:
    """Run the module."""
    run_module(argument_spec(), run)


if __name__ == "__main__":
    main()
