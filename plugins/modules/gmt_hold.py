#!/usr/bin/python
# Copyright (c) 2026, the greenlab.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Hold measuring machines, so that somebody can work on them without disturbing a measurement, and release them."""

from __future__ import annotations

DOCUMENTATION = r"""
module: gmt_hold
short_description: Hold machines of a GMT cluster while somebody works on them, and release them
version_added: 0.1.0
description:
  - Holding a machine makes it unavailable for new jobs and pauses the jobs that wait for it, in one transaction. Then
    the module waits until the machine is idle. It asks the jobs DB alone, never the machine.
  - Releasing it puts back exactly what was held. Jobs keep their order, and a job that somebody cancelled meanwhile
    stays cancelled.
  - Who holds what, why and since when is in the table C(greenlab.holds) of the jobs DB, so that a hold outlives the
    computer of the operator. The role P(greenlab.cluster.jobs_db#role) creates the table.
extends_documentation_fragment:
  - greenlab.cluster.jobs_db
  - greenlab.cluster.jobs_db.module
  - greenlab.cluster.jobs_db.writes
attributes:
  check_mode:
    details:
      - Runs the same statements as a real run and rolls them back. It looks once whether the machines are idle and does
        not wait.
  diff_mode:
    details:
      - Shows the machines and the jobs that are held, before and after.
options:
  ids:
    description:
      - Numbers of the machines. Each must be registered.
      - Required to hold. Without it O(state=released) releases all machines that O(owner) holds.
    type: list
    elements: int
  state:
    description:
      - V(held) holds the machines. One that O(owner) holds already is left as it is.
      - V(released) releases those that are held.
    type: str
    choices: [held, released]
    default: held
  owner:
    description:
      - Who holds the machines, as another operator would want to read it, for example C(ada@office).
      - Required to hold, and to release unless O(force=true).
    type: str
  reason:
    description: Why, as another operator would want to read it. Required to hold.
    type: str
  on_conflict:
    description:
      - What happens when somebody else holds one of the machines.
      - V(fail) changes nothing and names them all; V(skip) leaves those machines alone, and the result says who holds
        them.
    type: str
    choices: [fail, skip]
    default: fail
  force:
    description:
      - Whether O(state=released) also releases what somebody else holds, for example one whose computer died.
    type: bool
    default: false
  wait:
    description:
      - How long O(state=held) waits for the machines to become idle, for example V(90), V(15m) or V(2h).
      - Machines that are still busy then stay held, and the result names them.
    type: str
    default: "0"
  settle:
    description:
      - How many seconds on end a machine must have been idle after it was held. A client that had read the queue just
        before starts its job within this time.
      - Not waited for when no client has ever written a status for the machine, or when there was nothing to read. None
        of its jobs waited then at the hold, and none was written within this time before, for example cancelled. Up to
        GMT v0.18, whose jobs are for whichever machine asks first, it is always waited for.
    type: int
    default: 3
notes:
  - A client takes a job without asking whether it still waits. When it read the queue just before the hold it measures
    that job, which was paused meanwhile; the module then waits for its end like for that of any other.
  - A hold says nothing about what a client does without a job, such as its maintenance or its control workload. Who
    works on the machine pauses the client first, as the playbooks do.
  - Repeating a call whose connection broke is safe.
seealso:
  - module: greenlab.cluster.gmt_hold_info
  - module: greenlab.cluster.gmt_machine
  - module: greenlab.cluster.gmt_machine_info
  - module: greenlab.cluster.gmt_job
author:
  - the greenlab.cluster contributors (!UNKNOWN)
"""

EXAMPLES = r"""
- name: Hold two machines and wait for the end of what they measure
  greenlab.cluster.gmt_hold:
    login_unix_socket: /var/run/postgresql
    ids: [1, 2]
    owner: ada@office
    reason: new fan
    wait: 4h
  register: hold

- name: Stop where one of them still measures
  ansible.builtin.assert:
    that: hold.machines | rejectattr('idle') | length == 0

- name: Release them
  greenlab.cluster.gmt_hold:
    login_unix_socket: /var/run/postgresql
    ids: [1, 2]
    owner: ada@office
    state: released
"""

RETURN = r"""
machines:
  description: The machines, by id. Without O(ids) those that are, or were until this call, held.
  returned: success
  type: list
  elements: dict
  contains:
    id:
      description: Number of the machine.
      type: int
    description:
      description: Name of the machine.
      type: str
    held:
      description: Whether it is held now.
      type: bool
    owner:
      description: Who holds it. Null when nobody does; the same goes for the next three.
      type: str
    reason:
      description: Why.
      type: str
    since:
      description: Since when, in ISO 8601.
      type: str
    jobs:
      description: Ids of the jobs that are paused, in the order in which they wait.
      type: list
      elements: int
    idle:
      description: Whether the machine was idle when the call ended.
      type: bool
    busy_with:
      description: What keeps it from being idle, null when it is.
      type: str
  sample:
    - id: 1
      description: Dell R640
      held: true
      owner: ada@office
      reason: new fan
      since: "2026-11-21T23:18:05.123456+00:00"
      jobs: [4711, 4712]
      idle: false
      busy_with: a job is RUNNING
changed_ids:
  description: Numbers of the machines that this call held or released.
  returned: success
  type: list
  elements: int
  sample: [1]
"""

import time
import typing as t

from ansible_collections.greenlab.cluster.plugins.module_utils._holds import (
    hold,
    open_holds,
    public,
    release,
    require_holds,
    rows_of,
    with_fresh_jobs,
)
from ansible_collections.greenlab.cluster.plugins.module_utils._jobs_db import (
    JobsDBError,
    as_one_message,
    jobs_db_argument_spec,
    read_schema,
    report,
    take_turns,
    transaction,
)
from ansible_collections.greenlab.cluster.plugins.module_utils._machine_state import busy_with
from ansible_collections.greenlab.cluster.plugins.module_utils._machines import read_machines
from ansible_collections.greenlab.cluster.plugins.module_utils._module import run_module
from ansible_collections.greenlab.cluster.plugins.module_utils._text import flaw_of_line, seconds

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from ansible_collections.greenlab.cluster.plugins.module_utils._jobs_db import Connection, Row, Schema

    Holds = Mapping[int, Row]

PAUSE_BETWEEN_LOOKS_SECONDS = 1.0


def argument_spec() -> dict[str, dict[str, t.Any]]:
    """Return the options of the module."""
    return dict(
        jobs_db_argument_spec(),
        ids={"type": "list", "elements": "int"},
        state={"type": "str", "choices": ["held", "released"], "default": "held"},
        owner={"type": "str"},
        reason={"type": "str"},
        on_conflict={"type": "str", "choices": ["fail", "skip"], "default": "fail"},
        force={"type": "bool", "default": False},
        wait={"type": "str", "default": "0"},
        settle={"type": "int", "default": 3},
    )


def problems_of_options(params: Mapping[str, t.Any]) -> list[str]:
    """Return everything that can be said against the options without asking the DB."""
    state, problems = params["state"], []
    required = {"held": ["ids", "owner", "reason"], "released": [] if params["force"] else ["owner"]}
    problems += [f"'{name}' is missing; state: {state} needs it." for name in required[state] if params[name] is None]
    for name in ("owner", "reason"):
        flaw = flaw_of_line(params[name]) if params[name] is not None else None
        if flaw:
            problems.append(f"'{name}' ({params[name]!r}) {flaw}.")
    try:
        seconds(params["wait"])
    except ValueError as exc:
        problems.append(f"'wait': {exc}.")
    if params["settle"] < 0:
        problems.append(f"'settle' is {params['settle']}; give 0 or more seconds.")
    return problems


def change(connection: Connection, schema: Schema, params: Mapping[str, t.Any]) -> dict[str, t.Any]:
    """Hold or release; raise `JobsDBError` with all that stands against it before anything is written."""
    take_turns(connection)
    ids = params["ids"] if params["ids"] is None else sorted(set(params["ids"]))
    _require_machines(connection, ids or [])
    before = open_holds(connection, ids)
    others = {
        machine_id: row
        for machine_id, row in before.items()
        if row["owner"] != params["owner"] and not (params["state"] == "released" and params["force"])
    }
    if others and ids is not None and params["on_conflict"] == "fail":
        raise JobsDBError(as_one_message("Somebody else holds machines.", [_told(row) for row in others.values()]))
    if params["state"] == "held":
        targets = [machine_id for machine_id in ids or [] if machine_id not in before]
        hold(connection, schema, targets, params["owner"], params["reason"])
    else:
        targets = [machine_id for machine_id in before if machine_id not in others]
        release(connection, schema, [before[machine_id] for machine_id in targets])
    after = open_holds(connection, ids)
    return {"before": before, "after": after, "targets": targets}


def _told(row: Row) -> str:
    return (
        f"Machine {row['machine_id']} is held by {row['owner']} since {row['held_at']:%Y-%m-%d %H:%M} UTC"
        f" ({row['reason']}). Ask them, or release it with force: true when nobody works on it any more."
    )


def _require_machines(connection: Connection, ids: list[int]) -> None:
    rows = connection.execute("SELECT id FROM machines WHERE id = ANY(%s::bigint[])", [ids])
    unknown = sorted(set(ids) - {row["id"] for row in rows})
    if unknown:
        raise JobsDBError(
            f"No machine is registered with id {', '.join(map(str, unknown))}. Nothing was changed. Correct 'ids', or"
            " register the machine first (gmt_machine)."
        )


def wait_until_idle(params: Mapping[str, t.Any], ids: list[int]) -> None:
    """Return when all are idle and no client can be about to start a job that it read before, or when time is up."""
    started = time.monotonic()
    idle_since: dict[int, float] = {}
    may_start = report(params, lambda connection, schema: with_fresh_jobs(connection, schema, ids, params["settle"]))
    while True:
        now = time.monotonic()
        rows = report(params, lambda connection, schema: read_machines(connection, schema, ids))
        # A new word of an idle client does not count against it: some write one each few seconds.
        idle_since = {row["id"]: idle_since.get(row["id"], now) for row in rows if busy_with(row) is None}
        settled = sum(
            row["id"] in idle_since
            and (
                row["last_status"] is None
                or row["id"] not in may_start
                or now - idle_since[row["id"]] >= params["settle"]
            )
            for row in rows
        )
        if settled == len(ids) or now - started > seconds(params["wait"]) + params["settle"]:
            return
        time.sleep(PAUSE_BETWEEN_LOOKS_SECONDS)


def _diff(holds: Holds, targets: Iterable[int]) -> dict[str, t.Any]:
    return {"holds": [{"machine": machine_id, **public(holds.get(machine_id))} for machine_id in targets]}


def run(params: Mapping[str, t.Any], check_mode: bool = False) -> dict[str, t.Any]:
    """Do what the options say and return the module's result; raise `JobsDBError` when it cannot be done."""
    problems = problems_of_options(params)
    if problems:
        raise JobsDBError(as_one_message("The options are not valid.", problems))
    with transaction(params, commit=not check_mode) as connection:
        require_holds(connection, params)
        done = change(connection, read_schema(connection, params), params)
    if params["state"] == "held" and not check_mode:
        mine = [machine_id for machine_id, row in done["after"].items() if row["owner"] == params["owner"]]
        wait_until_idle(params, mine)

    def look(connection: Connection, schema: Schema) -> list[dict[str, t.Any]]:
        holds = done["after"] if check_mode and done["targets"] else open_holds(connection, params["ids"])
        ids = params["ids"] if params["ids"] is not None else sorted(set(done["before"]) | set(holds))
        return rows_of(read_machines(connection, schema, ids), holds)

    targets = done["targets"]
    return {
        "changed": bool(targets),
        "machines": report(params, look),
        "changed_ids": targets,
        "diff": {
            "before": _diff(done["before"], targets) if targets else {},
            "after": _diff(done["after"], targets) if targets else {},
        },
    }


def main() -> None:
    """Run the module."""
    run_module(argument_spec(), run)


if __name__ == "__main__":
    main()
