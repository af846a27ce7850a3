#!/usr/bin/python
# Copyright (c) 2026, the greenlab.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Submit measurement jobs, cancel them, queue them again or mark them as failed, all of them in one transaction."""

from __future__ import annotations

DOCUMENTATION = r"""
module: gmt_job
short_description: Submit, cancel, requeue or fail jobs in the jobs DB of a GMT cluster
version_added: 0.1.0
description:
  - Writes a list of measurement jobs to the C(jobs) table of the Green Metrics Tool (GMT), or moves jobs of the table
    to another state. All of it is one transaction; a thousand jobs are a few statements.
  - Refuses what GMT's client would take and then fail, with all problems at once - a machine that is unknown or not
    available, a user who is unknown, may not use the machine, or has used up the quota for it.
  - The rows are locked while they are looked at. A machine that is retired at this moment is either retired first, and
    the job refused, or afterwards, and the job is among the C(waiting_jobs) that M(greenlab.cluster.gmt_machine)
    returns.
extends_documentation_fragment:
  - greenlab.cluster.jobs_db
  - greenlab.cluster.jobs_db.module
  - greenlab.cluster.jobs_db.writes
attributes:
  diff_mode:
    details:
      - Shows the rows that change, before and after, and nothing else.
options:
  jobs:
    description:
      - The jobs, in the order in which they are written.
      - A new job is described by all of O(jobs[].name), O(jobs[].url), O(jobs[].branch), O(jobs[].filename), its
        machine and O(jobs[].user).
      - An existing one is selected by O(jobs[].id), or by the first five of these. They select the only job that is
        still waiting, paused or running; without such a job one that is in the wanted state already, else the newest.
        Several such jobs are an error that lists their ids.
    type: list
    elements: dict
    required: true
    suboptions:
      id:
        description:
          - Number of an existing job, of any type, mails too. Not for O(state=submitted).
          - What else is given must be what the row has, which protects from changing the wrong job.
        type: int
      name:
        description:
          - Name of the job. One line of text, not empty, without control characters and without blanks at its ends;
            O(jobs[].url), O(jobs[].branch) and O(jobs[].filename) as well.
        type: str
      url:
        description:
          - URL of the repository that is measured.
          - A password in it is refused, since it would stand in the table, in logs and in results. GMT's own API of
            v4.0 and later encrypts it, and v3.0 and later keep an SSH key for a user.
        type: str
      branch:
        description: Branch of the repository.
        type: str
      filename:
        description: Path of the usage scenario in the repository.
        type: str
      machine_id:
        description: Number of the machine.
        type: int
      machine_description:
        description:
          - Name of the machine, instead of O(jobs[].machine_id) or as a check of it.
          - Fails when several machines have it, which GMT lets happen.
        type: str
      user:
        description:
          - Name of the API user the job belongs to.
          - Not used on GMT releases before v1.0, which have no users.
        type: str
      email:
        description: Address that gets a mail when the job has been measured. Only for O(state=submitted).
        type: str
      commit_hash:
        description: Commit to measure instead of the newest one (since v3.0). Only for O(state=submitted).
        type: str
      usage_scenario_variables:
        description: Variables of the usage scenario and their values (since v2.0). Only for O(state=submitted).
        type: dict
      category_ids:
        description: Numbers of the categories of the job. Only for O(state=submitted).
        type: list
        elements: int
      carbon_simulation:
        description:
          - Carbon intensities to simulate, as GMT's API takes them (since v4.0). Only for O(state=submitted).
        type: raw
  state:
    description:
      - V(submitted) writes new jobs, in state C(WAITING).
      - V(cancelled) moves jobs from C(WAITING) to C(CANCELLED).
      - V(waiting) queues jobs again, from C(RUNNING), C(FAILED) or C(CANCELLED) to C(WAITING). A run that such a job
        has already is kept, but no longer refers to it, since GMT lets a job have one run only.
      - V(failed) moves jobs from C(RUNNING) to C(FAILED).
      - A job that is in the wanted state already is left alone; from any other state it is an error that names it.
      - A client that takes a job does not look whether its state has changed since it read the queue. A job that was
        cancelled within that moment may run all the same.
      - C(RUNNING) stays behind when a client crashes, and cannot be told from a job that is measured now. Look at the
        machine before you move such a job. When its client still works on it, the client has the last word.
    type: str
    choices: [submitted, cancelled, waiting, failed]
    default: submitted
  duplicate:
    description:
      - Whether a job is submitted although one with the same name, URL, branch, filename and machine is still waiting,
        paused or running, and although it is twice in the list.
      - Repeating the call then submits the jobs once more.
    type: bool
    default: false
  reason:
    description:
      - Why the jobs failed, for O(state=failed). Written to C(message) of measurements; that of a mail is its text.
        Left out on GMT releases before v0.24, which have no such column.
      - Queueing a measurement again empties it.
    type: str
notes:
  - In check mode the ids of new jobs are those that come next; another submitter may be faster.
  - Knows jobs since v0.19; the jobs of v0.16 to v0.18 have no state and are an error.
  - What is given for a column that the release lacks is left out, with a warning.
  - Needs the rights of the tables' owner, since locking a row takes the right to update it.
  - Repeating a call whose connection broke is safe, but for O(duplicate=true) and for O(state=waiting), since a job may
    have run in between. Such a call is never repeated by the module itself.
seealso:
  - module: greenlab.cluster.gmt_job_info
  - module: greenlab.cluster.gmt_machine
  - module: greenlab.cluster.gmt_user
author:
  - the greenlab.cluster contributors (!UNKNOWN)
"""

EXAMPLES = r"""
- name: Measure a release on two machines
  greenlab.cluster.gmt_job:
    login_unix_socket: /var/run/postgresql
    jobs:
      - name: App 1.0
        url: https://github.com/example/app
        branch: v1.0
        filename: usage_scenario.yml
        machine_id: 1
        user: ada
      - name: App 1.0
        url: https://github.com/example/app
        branch: v1.0
        filename: usage_scenario.yml
        machine_description: Raspberry Pi 5
        user: ada
        usage_scenario_variables:
          __GMT_VAR_USERS__: "10"
  register: submitted

- name: Cancel one of them
  greenlab.cluster.gmt_job:
    login_unix_socket: /var/run/postgresql
    jobs:
      - id: "{{ submitted.jobs[1].id }}"
    state: cancelled

- name: Measure the same ten times
  greenlab.cluster.gmt_job:
    login_unix_socket: /var/run/postgresql
    jobs: "{{ [job] * 10 }}"
    duplicate: true
  vars:
    job:
      name: App 1.0
      url: https://github.com/example/app
      branch: v1.0
      filename: usage_scenario.yml
      machine_id: 1
      user: ada

- name: Free machine 2 after a power cut
  greenlab.cluster.gmt_job:
    login_unix_socket: /var/run/postgresql
    jobs:
      - id: 4711
        machine_id: 2
    state: failed
    reason: Power cut on 2026-11-21
"""

RETURN = r"""
jobs:
  description:
    - The rows of the jobs after the call, in the order of the list, as M(greenlab.cluster.gmt_job_info) returns them.
    - For a job that was not submitted again, the row that is there.
  returned: success
  type: list
  elements: dict
  sample:
    - id: 4711
      type: run
      state: WAITING
      name: App 1.0
      url: https://github.com/example/app
      branch: v1.0
      commit_hash: null
      filename: usage_scenario.yml
      usage_scenario_variables: {}
      carbon_simulation: {}
      category_ids: null
      machine_id: 1
      machine_description: Dell R640
      user_id: 2
      user: ada
      email: null
      run_id: null
      message: null
      created_at: "2026-11-21T23:18:05.123456+00:00"
      updated_at: null
      age: 0
      unchanged_for: 0
changed_ids:
  description: Ids of the jobs that this call submitted or moved.
  returned: success
  type: list
  elements: int
  sample: [4711]
"""

import json
import typing as t

from ansible_collections.greenlab.cluster.plugins.module_utils._jobs import (
    IDENTITY,
    OPEN_STATES,
    category_column,
    is_measurement,
    require_jobs,
    select_jobs,
    typed_job,
    without_password,
)
from ansible_collections.greenlab.cluster.plugins.module_utils._jobs_db import (
    JobsDBError,
    Schema,
    as_one_message,
    jobs_db_argument_spec,
    load_psycopg,
    new_ids,
    read_schema,
    take_turns,
    transaction,
)
from ansible_collections.greenlab.cluster.plugins.module_utils._module import run_module
from ansible_collections.greenlab.cluster.plugins.module_utils._text import flaw_of_line, flaw_of_text

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from ansible_collections.greenlab.cluster.plugins.module_utils._jobs_db import Connection, Row

    Job = Mapping[str, t.Any]

MAX_POSTGRES_INTEGER = 2**31 - 1

# Wanted state: from which ones a job may get there.
SOURCES = {"CANCELLED": ["WAITING"], "WAITING": ["RUNNING", "FAILED", "CANCELLED"], "FAILED": ["RUNNING"]}

# Of a new job only; what the release has no column for is left out. The categories' column had another name once.
EXTRAS = ["email", "commit_hash", "usage_scenario_variables", "category_ids", "carbon_simulation"]

# What an operator needs to see of a row that changes.
IN_DIFF = ["id", "state", *IDENTITY, "machine_description", "user", *EXTRAS, "message"]


def argument_spec() -> dict[str, dict[str, t.Any]]:
    """Return the options of the module."""
    return dict(
        jobs_db_argument_spec(),
        jobs={
            "type": "list",
            "elements": "dict",
            "required": True,
            "options": {
                "id": {"type": "int"},
                "name": {"type": "str"},
                "url": {"type": "str"},
                "branch": {"type": "str"},
                "filename": {"type": "str"},
                "machine_id": {"type": "int"},
                "machine_description": {"type": "str"},
                "user": {"type": "str"},
                "email": {"type": "str"},
                "commit_hash": {"type": "str"},
                "usage_scenario_variables": {"type": "dict"},
                "category_ids": {"type": "list", "elements": "int"},
                "carbon_simulation": {"type": "raw"},
            },
        },
        state={"type": "str", "choices": ["submitted", "cancelled", "waiting", "failed"], "default": "submitted"},
        duplicate={"type": "bool", "default": False},
        reason={"type": "str"},
    )


def problems_of_list(jobs: Sequence[Job], state: str, reason: str | None) -> list[str]:
    """Return everything that can be said against the list without asking the DB."""
    problems = []
    if reason is not None:
        if state != "failed":
            problems.append("'reason' is only for state: failed; leave it out.")
        elif flaw_of_text(reason):
            problems.append(f"'reason' {flaw_of_text(reason)}.")
    for place, job in enumerate(jobs, 1):
        who = _who(job, place)
        problems += [f"{who}: {problem}" for problem in _problems_of_job(job, state)]
    return problems


def _who(job: Job, place: int) -> str:
    if job.get("id") is not None:
        return f"Job {job['id']}"
    return f"Job {job['name']!r} (number {place} of the list)" if job.get("name") else f"Job number {place} of the list"


def _problems_of_job(job: Job, state: str) -> list[str]:
    problems = [
        f"'{name}' must be a number from 1 to {MAX_POSTGRES_INTEGER}, not {job[name]}; correct it."
        for name in ("id", "machine_id")
        # Ansible lets `id: true` pass as an integer.
        if job.get(name) is not None and (isinstance(job[name], bool) or not 1 <= job[name] <= MAX_POSTGRES_INTEGER)
    ]
    for name in ("name", "url", "branch", "filename", "machine_description", "user", "email", "commit_hash"):
        flaw = flaw_of_line(job[name]) if job.get(name) is not None else None
        if flaw:
            problems.append(f"'{name}' ({without_password(job[name])!r}) {flaw}.")
    if without_password(job.get("url")) != job.get("url"):
        problems.append("'url' holds a password, which everybody who reads the table would see; leave it out.")
    if state == "submitted" and job.get("id") is not None:
        problems.append("a new job has no 'id' yet; leave it out, or choose another state.")
    if state != "submitted":
        given = [name for name in EXTRAS if job.get(name) is not None]
        if given:
            problems.append(f"{', '.join(given)} cannot be changed any more; leave it out.")
    if job.get("id") is None:
        missing = [name for name in ("name", "url", "branch", "filename") if job.get(name) is None]
        if job.get("machine_id") is None and job.get("machine_description") is None:
            missing.append("machine_id or machine_description")
        if missing:
            instead = "" if state == "submitted" else ", or select the job by its id"
            problems.append(f"{', '.join(missing)} missing; give it{instead}.")
    for name in ("usage_scenario_variables", "carbon_simulation"):
        flaw = flaw_of_text(_as_json(job[name])) if job.get(name) is not None else None
        # PostgreSQL refuses \u0000 in jsonb as well.
        if flaw or "\\u0000" in _as_json(job.get(name)):
            problems.append(f"'{name}' holds a NUL or half a character, which PostgreSQL cannot store; remove it.")
    return problems


def _as_json(value: t.Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def submit(
    connection: Connection, schema: Schema, jobs: Sequence[Job], *, duplicate: bool, commit: bool
) -> dict[str, t.Any]:
    """Submit the jobs; raise `JobsDBError` with all problems at once before anything is written."""
    take_turns(connection)
    machines = _machines(connection, jobs, lock=True)
    # Columns came one by one: v1.0 has users and jobs.user_id.
    with_users = schema.has("users") and schema.has("jobs", "user_id")
    users = _users(connection, jobs) if with_users else {}
    problems = []
    wanted: list[dict[str, t.Any]] = []
    for place, job in enumerate(jobs, 1):
        machine, found = _machine_of(job, machines)
        if machine is not None:
            found += _problems_of_machine(machine)
            if with_users:
                found += _problems_of_user(job, users, machine)
        problems += [f"{_who(job, place)}: {problem}" for problem in found]
        user = users.get(job["user"]) if with_users else None
        wanted.append(dict(job, machine_id=machine and machine["id"], user_id=user and user["id"]))
    problems += _problems_of_categories(connection, schema, jobs)
    if not duplicate:
        problems += _problems_of_twins(jobs, wanted)
    if problems:
        raise JobsDBError(as_one_message("Cannot submit the jobs.", problems))

    present = {} if duplicate else _open_twins(connection, schema, wanted)
    missing = [place for place in range(len(wanted)) if place not in present]
    new = new_ids(connection, "jobs", len(missing), commit) if missing else []
    _insert(connection, schema, [dict(wanted[place], id=job_id) for place, job_id in zip(missing, new)])
    id_of = {**present, **dict(zip(missing, new))}
    rows = _read(connection, schema, id_of.values())
    result = _result([rows[id_of[place]] for place in range(len(wanted))], {}, {job_id: rows[job_id] for job_id in new})
    result["warnings"] = _left_out(schema, jobs, EXTRAS)
    return result


def move(
    connection: Connection, schema: Schema, jobs: Sequence[Job], target: str, reason: str | None
) -> dict[str, t.Any]:
    """Move existing jobs to a state; raise `JobsDBError` with all problems at once before anything is written."""
    take_turns(connection)
    chosen, problems = _choose(connection, schema, jobs, target)
    if problems:
        raise JobsDBError(as_one_message(f"Cannot set the jobs to {target}.", problems))

    moving = [row["id"] for row in chosen if row["state"] != target]
    before = {row["id"]: row for row in chosen if row["id"] in set(moving)}
    if moving and target == "WAITING":
        _detach_runs(connection, schema, moving)
    if moving:
        _update(connection, schema, moving, target, reason)
    rows = _read(connection, schema, [row["id"] for row in chosen])
    result = _result([rows[row["id"]] for row in chosen], before, {job_id: rows[job_id] for job_id in moving})
    result["warnings"] = _left_out(schema, [{"message": reason}], ["message"])
    if target == "WAITING":
        result["warnings"] += _warnings_of_queue(connection, [rows[job_id] for job_id in moving])
    return result


def _machines(connection: Connection, jobs: Sequence[Job], lock: bool) -> list[Row]:
    """Return the machines that the jobs name; locked, so that none of them is retired before our end."""
    sql = load_psycopg().sql
    query = sql.SQL(
        "SELECT id, description, available FROM machines WHERE id = ANY(%s::bigint[]) OR description = ANY(%s)"
        " ORDER BY id {lock}"
    ).format(lock=sql.SQL("FOR SHARE" if lock else ""))
    values = [
        sorted({job[name] for job in jobs if job.get(name) is not None})
        for name in ("machine_id", "machine_description")
    ]
    return connection.execute(query, values).fetchall()


def _machine_of(job: Job, machines: Sequence[Row]) -> tuple[Row | None, list[str]]:
    machine_id, description = job.get("machine_id"), job.get("machine_description")
    if machine_id is not None:
        found = next((row for row in machines if row["id"] == machine_id), None)
        if found is None:
            return None, [f"machine {machine_id} is not registered; correct the id, or register it (gmt_machine)."]
        if description is not None and found["description"] != description:
            return None, [f"machine {machine_id} is {found['description']!r}, not {description!r}; correct either."]
        return found, []
    candidates = [row for row in machines if row["description"] == description]
    if not candidates:
        return None, [
            f"no machine is registered as {description!r}; correct the description, or register it (gmt_machine)."
        ]
    if len(candidates) > 1:
        ids = ", ".join(str(row["id"]) for row in candidates)
        return None, [f"machines {ids} are all named {description!r}; give machine_id."]
    return candidates[0], []


def _problems_of_machine(machine: Row) -> list[str]:
    if machine["available"]:
        return []
    return [
        f"machine {machine['id']} ({machine['description']!r}) is not available, it is retired or on hold;"
        " choose another one, or release it first."
    ]


def _users(connection: Connection, jobs: Sequence[Job]) -> dict[str, Row]:
    names = sorted({job["user"] for job in jobs if job.get("user") is not None})
    rows = connection.execute(
        "SELECT id, name, capabilities FROM users WHERE name = ANY(%s) ORDER BY id FOR SHARE", [names]
    )
    return {row["name"]: row for row in rows}


def _problems_of_user(job: Job, users: Mapping[str, Row], machine: Row) -> list[str]:
    """Return why GMT would fail the user's job."""
    if job.get("user") is None:
        return ["'user' missing; name the API user the job belongs to."]
    user = users.get(job["user"])
    if user is None:
        return [f"user {job['user']!r} is not in the users table; correct the name, or create the user (gmt_user)."]
    capabilities = user["capabilities"] if isinstance(user["capabilities"], dict) else {}
    allowed = capabilities.get("machines")
    if not isinstance(allowed, list) or not any(
        entry == machine["id"] and not isinstance(entry, bool) for entry in allowed
    ):
        return [
            f"user {job['user']!r} may not use machine {machine['id']} ({machine['description']!r}); add it to the"
            " user's machines (gmt_user), or choose another machine."
        ]
    measurement = capabilities.get("measurement")
    quotas = measurement.get("quotas") if isinstance(measurement, dict) else None
    left = quotas.get(str(machine["id"])) if isinstance(quotas, dict) else None
    if isinstance(left, (int, float)) and left <= 0:
        return [
            f"user {job['user']!r} has used up the quota for machine {machine['id']}; raise it (gmt_user), or choose"
            " another machine."
        ]
    return []


def _problems_of_categories(connection: Connection, schema: Schema, jobs: Sequence[Job]) -> list[str]:
    wanted = sorted({number for job in jobs for number in job.get("category_ids") or []})
    if not wanted or not schema.has("categories", "id"):
        return []
    rows = connection.execute("SELECT id FROM categories WHERE id = ANY(%s::bigint[])", [wanted])
    unknown = sorted(set(wanted) - {row["id"] for row in rows})
    if not unknown:
        return []
    return [f"Categories {', '.join(map(str, unknown))} are not in the categories table; correct category_ids."]


def _problems_of_twins(jobs: Sequence[Job], wanted: Sequence[Job]) -> list[str]:
    problems = []
    first: dict[tuple[t.Any, ...], int] = {}
    for place, job in enumerate(wanted, 1):
        if job["machine_id"] is None:
            continue
        other = first.setdefault(tuple(job[name] for name in IDENTITY), place)
        if other != place:
            problems.append(
                f"{_who(jobs[place - 1], place)} is the same as number {other}; remove one, or set duplicate: true."
            )
    return problems


def _matching(schema: Schema, states: bool) -> t.Any:
    """Return `… WHERE` for measurements with the name, URL, branch, filename and machine of an entry of a JSON list."""
    sql = load_psycopg().sql
    return sql.SQL(
        """
        SELECT wanted.place, jobs.id
        FROM jsonb_to_recordset(%(wanted)s::jsonb)
            AS wanted(place integer, name text, url text, branch text, filename text, machine_id integer)
        JOIN jobs USING (name, url, branch, filename, machine_id)
        WHERE {measurement} {states}
        ORDER BY jobs.id
        """
    ).format(
        measurement=sql.SQL(is_measurement(schema)),
        states=sql.SQL("AND jobs.state::text = ANY(%(states)s)" if states else ""),
    )


def _identities(jobs: Iterable[tuple[int, Job]]) -> str:
    return _as_json([dict({name: job[name] for name in IDENTITY}, place=place) for place, job in jobs])


def _open_twins(connection: Connection, schema: Schema, wanted: Sequence[Job]) -> dict[int, int]:
    """Return place in the list: id of the oldest job that is the same and not done yet."""
    rows = connection.execute(
        _matching(schema, states=True) + load_psycopg().sql.SQL(" FOR SHARE OF jobs"),
        {"wanted": _identities(enumerate(wanted)), "states": OPEN_STATES},
    ).fetchall()
    return {row["place"]: row["id"] for row in reversed(rows)}


def _insert(connection: Connection, schema: Schema, jobs: Sequence[Job]) -> None:
    """Write the jobs in one statement for each set of columns: what is not given keeps the column's default."""
    sql = load_psycopg().sql
    types = {
        "id": "integer",
        "user_id": "integer",
        "machine_id": "integer",
        "usage_scenario_variables": "jsonb",
        "carbon_simulation": "jsonb",
        "category_ids": "integer[]",
    }
    columns = [name for name in ("id", *IDENTITY, "user_id", *EXTRAS) if schema.has("jobs", _source(schema, name))]
    by_columns: dict[tuple[str, ...], list[Job]] = {}
    for job in jobs:
        by_columns.setdefault(tuple(name for name in columns if job.get(name) is not None), []).append(job)
    for names, group in by_columns.items():
        query = sql.SQL(
            """
            INSERT INTO jobs ({columns}, {type_column} state, created_at)
            SELECT {values}, {type_value} 'WAITING', now()
            FROM jsonb_to_recordset(%s::jsonb) AS wanted({definition})
            ORDER BY wanted.id
            """
        ).format(
            columns=sql.SQL(", ").join(sql.Identifier(_source(schema, name)) for name in names),
            values=sql.SQL(", ").join(sql.Identifier("wanted", name) for name in names),
            definition=sql.SQL(", ").join(
                sql.SQL("{0} {1}").format(sql.Identifier(name), sql.SQL(types.get(name, "text"))) for name in names
            ),
            type_column=sql.SQL("type," if schema.has("jobs", "type") else ""),
            type_value=sql.SQL("'run'," if schema.has("jobs", "type") else ""),
        )
        connection.execute(query, [_as_json([{name: job[name] for name in names} for job in group])])


def _source(schema: Schema, name: str) -> str:
    return category_column(schema) if name == "category_ids" else name


def _read(connection: Connection, schema: Schema, ids: Iterable[int]) -> dict[int, Row]:
    query = select_jobs(schema) + load_psycopg().sql.SQL(" WHERE jobs.id = ANY(%s)")
    return {row["id"]: typed_job(row) for row in connection.execute(query, [list(ids)])}


def _lock(connection: Connection, ids: Iterable[int]) -> None:
    """Wait for clients that write these jobs, and keep them from it until our end."""
    connection.execute("SELECT FROM jobs WHERE id = ANY(%s::bigint[]) ORDER BY id FOR UPDATE", [sorted(set(ids))])


def _choose(connection: Connection, schema: Schema, jobs: Sequence[Job], target: str) -> tuple[list[Row], list[str]]:
    """Return the locked row of each entry of the list, and what stands against moving it."""
    machines = _machines(connection, [job for job in jobs if job.get("id") is None], lock=False)
    by_fields: list[tuple[int, Job]] = []
    problems = []
    for place, job in enumerate(jobs):
        if job.get("id") is None:
            machine, found = _machine_of(job, machines)
            problems += [f"{_who(job, place + 1)}: {problem}" for problem in found]
            if machine is not None:
                by_fields.append((place, dict(job, machine_id=machine["id"])))
    candidates: dict[int, list[int]] = {place: [job["id"]] for place, job in enumerate(jobs) if job.get("id")}
    candidates.update({place: [] for place, _job in by_fields})
    for row in connection.execute(_matching(schema, states=False), {"wanted": _identities(by_fields)}):
        candidates[row["place"]].append(row["id"])
    ids = [job_id for matching in candidates.values() for job_id in matching]
    _lock(connection, ids)
    # What was read before the lock may be old by now.
    rows = _read(connection, schema, ids)

    chosen: dict[int, Row] = {}
    for place, matching in sorted(candidates.items()):
        job = jobs[place]
        who = _who(job, place + 1)
        present = [rows[job_id] for job_id in matching if job_id in rows]
        unfinished = [row for row in present if row["state"] in OPEN_STATES]
        if not present:
            problems.append(f"{who}: there is no such job; GMT deletes jobs two weeks after their end. Correct it.")
        elif len(unfinished) > 1:
            listed = ", ".join(f"{row['id']} ({row['state']})" for row in unfinished)
            problems.append(f"{who}: several jobs are the same, {listed}; select one by its id.")
        else:
            row = _preferred(present, unfinished, target)
            flaws = _differences(job, row) + _flaw_of_state(row, target)
            if row["id"] in chosen:
                flaws.append(f"job {row['id']} is twice in the list; remove one.")
            problems += [f"{who}: {flaw}" for flaw in flaws]
            chosen[row["id"]] = row
    return list(chosen.values()), problems


def _preferred(present: Sequence[Row], unfinished: Sequence[Row], target: str) -> Row:
    if unfinished:
        return unfinished[0]
    # So that repeating a call changes nothing.
    done = [row for row in present if row["state"] == target]
    return (done or list(present))[-1]


def _differences(job: Job, row: Row) -> list[str]:
    return [
        f"it is job {row['id']} with {name} {row[name]!r}, not {job[name]!r}; correct the id, or leave {name} out."
        for name in (*IDENTITY, "machine_description", "user")
        if job.get(name) is not None and row[name] is not None and row[name] != job[name]
    ]


def _flaw_of_state(row: Row, target: str) -> list[str]:
    if row["state"] == target or row["state"] in SOURCES[target]:
        return []
    hint = " Release its machine to let it wait again." if row["state"] == "PAUSED" else ""
    return [
        f"job {row['id']} is {row['state']}, and can become {target} only from {' or '.join(SOURCES[target])}.{hint}"
    ]


def _update(connection: Connection, schema: Schema, ids: Sequence[int], target: str, reason: str | None) -> None:
    sql = load_psycopg().sql
    # The message of a mail is its text.
    new_message = schema.has("jobs", "message", "type") and (target == "WAITING" or reason is not None)
    query = sql.SQL("UPDATE jobs SET state = %(state)s {message} WHERE id = ANY(%(ids)s)").format(
        message=sql.SQL(", message = CASE WHEN type = 'run' THEN %(message)s ELSE message END" if new_message else "")
    )
    connection.execute(query, {"state": target, "ids": list(ids), "message": reason})


def _detach_runs(connection: Connection, schema: Schema, ids: Sequence[int]) -> None:
    """Let the runs of earlier tries refer to no job: runs.job_id is unique, the next try would fail on it."""
    if not schema.has("runs", "job_id"):
        return
    query = "SELECT id FROM runs WHERE job_id = ANY(%s)"
    if connection.execute(query, [list(ids)]).fetchone():
        connection.execute("UPDATE runs SET job_id = NULL WHERE job_id = ANY(%s)", [list(ids)])


def _warnings_of_queue(connection: Connection, rows: Sequence[Row]) -> list[str]:
    """Tell which jobs wait for a machine that is retired or on hold."""
    machines = _machines(connection, rows, lock=False)
    closed = {row["id"]: row for row in machines if not row["available"]}
    return [
        f"Job {row['id']} waits for machine {row['machine_id']} ({row['machine_description']!r}), which is not"
        " available: it is measured only when a client runs there."
        for row in rows
        if row["machine_id"] in closed
    ]


def _left_out(schema: Schema, jobs: Sequence[Job], names: Sequence[str]) -> list[str]:
    return [
        f"This GMT release has no column jobs.{name}: what was given for it is left out."
        for name in names
        if not schema.has("jobs", _source(schema, name)) and any(job.get(name) is not None for job in jobs)
    ]


def _result(rows: list[Row], before: Mapping[int, Row], after: Mapping[int, Row]) -> dict[str, t.Any]:
    def shown(some: Mapping[int, Row]) -> dict[str, t.Any]:
        return {"jobs": [{name: some[job_id][name] for name in IN_DIFF} for job_id in sorted(some)]} if after else {}

    return {
        "changed": bool(after),
        "jobs": rows,
        "changed_ids": sorted(after),
        "diff": {"before": shown(before), "after": shown(after)},
    }


def run(params: Mapping[str, t.Any], check_mode: bool = False) -> dict[str, t.Any]:
    """Do what the options say and return the module's result; raise `JobsDBError` when it cannot be done."""
    jobs, state, reason = params["jobs"], params["state"], params["reason"]
    problems = problems_of_list(jobs, state, reason)
    if problems:
        raise JobsDBError(as_one_message("The list of jobs is not valid.", problems))
    repeatable = state != "waiting" and not (state == "submitted" and params["duplicate"])
    with transaction(params, commit=not check_mode, safe_to_repeat=repeatable) as connection:
        schema = read_schema(connection, params)
        require_jobs(schema, params)
        if state == "submitted":
            return submit(connection, schema, jobs, duplicate=params["duplicate"], commit=not check_mode)
        return move(connection, schema, jobs, state.upper(), reason)


def main() -> None:
    """Run the module."""
    run_module(argument_spec(), run)


if __name__ == "__main__":
    main()
