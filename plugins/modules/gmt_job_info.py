#!/usr/bin/python
# Copyright (c) 2026, the greenlab.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read the jobs of a cluster, in one statement."""

from __future__ import annotations

DOCUMENTATION = r"""
module: gmt_job_info
short_description: Read the jobs of a GMT cluster from the jobs DB
version_added: 0.1.0
description:
  - Returns rows of the C(jobs) table of the Green Metrics Tool (GMT), newest first.
  - Reads the database only and never contacts a machine, so it cannot disturb a measurement.
  - When the connection breaks, the module reads once more, since nothing can be done twice.
extends_documentation_fragment:
  - greenlab.cluster.jobs_db
  - greenlab.cluster.jobs_db.module
  - greenlab.cluster.attributes.reads
options:
  ids:
    description:
      - Return only jobs with one of these ids. An id that does not exist is no error, its row is just not there.
      - A job must pass all filters that are given; an empty list lets none pass.
    type: list
    elements: int
  machine_ids:
    description: Return only jobs for one of these machines.
    type: list
    elements: int
  machine_descriptions:
    description: Return only jobs for machines with one of these descriptions, compared as they are written.
    type: list
    elements: str
  states:
    description: Return only jobs in one of these states.
    type: list
    elements: str
    choices: [WAITING, PAUSED, RUNNING, FINISHED, FAILED, CANCELLED, NOTIFYING, NOTIFIED]
  types:
    description:
      - Return only jobs of these types; V(run) measures, the others send mail.
      - On GMT releases before v0.24, which have no types, every job counts as V(run).
    type: list
    elements: str
    choices: [run, email-simple, email-report]
  name:
    description: Return only jobs with this name, compared as it is written.
    type: str
  users:
    description: Return only jobs of one of these API users; on GMT releases before v1.0 none.
    type: list
    elements: str
  older_than:
    description:
      - Return only jobs of at least this age, in seconds (V(90)) or with the units s, m, h, d and w (V(15m), V(1h30m)).
    type: str
  newer_than:
    description: Return only jobs younger than this, written as O(older_than).
    type: str
  age_of:
    description:
      - What O(older_than) and O(newer_than) look at.
      - V(submission), RV(jobs[].age); V(change), RV(jobs[].unchanged_for).
    type: str
    choices: [submission, change]
    default: submission
  limit:
    description: Return at most so many jobs, the newest. 1 or more.
    type: int
notes:
  - Knows jobs since v0.19; the jobs of v0.16 to v0.18 have no state and are an error.
seealso:
  - module: greenlab.cluster.gmt_job
  - module: greenlab.cluster.gmt_machine_info
author:
  - the greenlab.cluster contributors (!UNKNOWN)
"""

EXAMPLES = r"""
- name: Read what waits
  greenlab.cluster.gmt_job_info:
    login_unix_socket: /var/run/postgresql
    states: [WAITING]
    types: [run]
  register: queue

- name: Find jobs that a crash may have left behind
  greenlab.cluster.gmt_job_info:
    login_unix_socket: /var/run/postgresql
    states: [RUNNING]
    older_than: 1d
    age_of: change
  register: stuck

- name: Mark them as failed
  greenlab.cluster.gmt_job:
    login_unix_socket: /var/run/postgresql
    jobs: "{{ stuck.jobs | map('community.general.keep_keys', target=['id']) }}"
    state: failed
"""

RETURN = r"""
jobs:
  description: One dict a job, newest first. A value that the GMT release or the job does not have is null.
  returned: success
  type: list
  elements: dict
  contains:
    id:
      description: Number of the job.
      type: int
      sample: 4711
    type:
      description: What the job does. Null before GMT v0.24, which had no types.
      type: str
      sample: run
    state:
      description: State of the job, in GMT's words.
      type: str
      sample: WAITING
    name:
      description: Name of the job.
      type: str
      sample: App 1.0
    url:
      description: URL of the repository that is measured. A password in it is hidden.
      type: str
      sample: https://github.com/example/app
    branch:
      description: Branch of the repository.
      type: str
      sample: main
    commit_hash:
      description: Commit to measure instead of the newest one (since v3.0).
      type: str
      sample: 86d47334c0ffee
    filename:
      description: Path of the usage scenario in the repository.
      type: str
      sample: usage_scenario.yml
    usage_scenario_variables:
      description: Variables of the usage scenario (since v2.0).
      type: dict
      sample: {}
    carbon_simulation:
      description: Carbon intensities to simulate, as GMT stores them (since v4.0).
      type: raw
      sample: {}
    category_ids:
      description: Numbers of the job's categories.
      type: list
      elements: int
      sample: [1]
    machine_id:
      description: Number of the machine.
      type: int
      sample: 2
    machine_description:
      description: Name of the machine.
      type: str
      sample: Raspberry Pi 5
    user_id:
      description: Number of the API user the job belongs to (since v1.0).
      type: int
      sample: 1
    user:
      description: Name of that user.
      type: str
      sample: DEFAULT
    email:
      description: Address that gets a mail at the end.
      type: str
      sample: ada@example.org
    run_id:
      description: The run that a mail reports on (since v2.6).
      type: str
      sample: 8f6b5a1e-7f0c-4c0f-9a3f-3c4f6a2f9b11
    message:
      description: Text of a mail, or why the job failed (since v0.24).
      type: str
      sample: Power cut
    created_at:
      description: When the job was submitted, in ISO 8601, UTC.
      type: str
      sample: "2026-11-21T23:18:05.123456+00:00"
    updated_at:
      description: When the row was changed last, in ISO 8601, UTC. Null for a row that never was.
      type: str
      sample: "2026-11-21T23:18:05.123456+00:00"
    age:
      description: Seconds since the job was submitted.
      type: int
      sample: 3600
    unchanged_for:
      description: Seconds since the row was changed last, or written.
      type: int
      sample: 60
"""

import typing as t

from ansible_collections.greenlab.cluster.plugins.module_utils._jobs import (
    STATES,
    TYPES,
    require_jobs,
    select_jobs,
    typed_job,
)
from ansible_collections.greenlab.cluster.plugins.module_utils._jobs_db import (
    JobsDBError,
    Schema,
    jobs_db_argument_spec,
    load_psycopg,
    report,
)
from ansible_collections.greenlab.cluster.plugins.module_utils._module import run_module
from ansible_collections.greenlab.cluster.plugins.module_utils._text import flaw_of_text, seconds

if t.TYPE_CHECKING:
    from collections.abc import Mapping

    from ansible_collections.greenlab.cluster.plugins.module_utils._jobs_db import Connection, Row


def argument_spec() -> dict[str, dict[str, t.Any]]:
    """Return the options of the module."""
    return dict(
        jobs_db_argument_spec(),
        ids={"type": "list", "elements": "int"},
        machine_ids={"type": "list", "elements": "int"},
        machine_descriptions={"type": "list", "elements": "str"},
        states={"type": "list", "elements": "str", "choices": list(STATES)},
        types={"type": "list", "elements": "str", "choices": list(TYPES)},
        name={"type": "str"},
        users={"type": "list", "elements": "str"},
        older_than={"type": "str"},
        newer_than={"type": "str"},
        age_of={"type": "str", "choices": ["submission", "change"], "default": "submission"},
        limit={"type": "int"},
    )


def filters_of(params: Mapping[str, t.Any]) -> dict[str, t.Any]:
    """Return the filters as values for the statement; raise `JobsDBError` for one that cannot be read."""
    filters = {
        name: params[name]
        for name in ("ids", "machine_ids", "machine_descriptions", "states", "types", "name", "users", "limit")
    }
    if filters["limit"] is not None and filters["limit"] < 1:
        raise JobsDBError(f"limit is {filters['limit']}: use 1 or more, or leave it out for all jobs.")
    for name in ("older_than", "newer_than"):
        try:
            filters[name] = None if params[name] is None else seconds(params[name])
        except ValueError as exc:
            raise JobsDBError(f"{name}: {exc}.") from exc
    for name in ("machine_descriptions", "users", "name"):
        texts = [filters[name]] if isinstance(filters[name], str) else filters[name] or []
        if any(flaw_of_text(text) for text in texts):
            raise JobsDBError(f"{name} holds a NUL or half a character, which PostgreSQL cannot store; remove it.")
    return filters


def read_jobs(connection: Connection, schema: Schema, filters: Mapping[str, t.Any], age_of: str) -> list[Row]:
    """Return the jobs that pass all filters; one that is None lets all pass."""
    sql = load_psycopg().sql
    with_users = schema.has("users") and schema.has("jobs", "user_id")
    began = "COALESCE(jobs.updated_at, jobs.created_at)" if age_of == "change" else "jobs.created_at"
    conditions = {
        "ids": "jobs.id = ANY(%(ids)s::bigint[])",
        "machine_ids": "jobs.machine_id = ANY(%(machine_ids)s::bigint[])",
        "machine_descriptions": "machines.description = ANY(%(machine_descriptions)s::text[])",
        "states": "jobs.state::text = ANY(%(states)s::text[])",
        "types": (
            "jobs.type::text = ANY(%(types)s::text[])"
            if schema.has("jobs", "type")
            else "'run' = ANY(%(types)s::text[])"
        ),
        "name": "jobs.name = %(name)s",
        "users": "users.name = ANY(%(users)s::text[])" if with_users else "FALSE",
        "older_than": f"{began} <= now() - make_interval(secs => %(older_than)s)",
        "newer_than": f"{began} > now() - make_interval(secs => %(newer_than)s)",
    }
    given = [sql.SQL(text) for name, text in conditions.items() if filters[name] is not None]
    query = select_jobs(schema) + sql.SQL("WHERE {0} ORDER BY jobs.id DESC LIMIT %(limit)s").format(
        sql.SQL(" AND ").join([sql.SQL("TRUE"), *given])
    )
    return [typed_job(row) for row in connection.execute(query, filters)]


def run(params: Mapping[str, t.Any]) -> dict[str, t.Any]:
    """Return the module's result; raise `JobsDBError` when the DB cannot be read."""
    filters = filters_of(params)

    def work(connection: Connection, schema: Schema) -> list[Row]:
        require_jobs(schema, params)
        return read_jobs(connection, schema, filters, params["age_of"])

    return {"changed": False, "jobs": report(params, work)}


def main() -> None:
    """Run the module."""
    run_module(argument_spec(), lambda params, _check_mode: run(params))


if __name__ == "__main__":
    main()
