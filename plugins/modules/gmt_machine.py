#!/usr/bin/python
# Copyright (c) 2026, the greenlab.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Register or retire measurement machines in the jobs DB, all of them in one transaction."""

from __future__ import annotations

DOCUMENTATION = r"""
module: gmt_machine
short_description: Register or retire measurement machines in the jobs DB of a GMT cluster
version_added: 0.1.0
description:
  - Writes a list of machines to the C(machines) table of the Green Metrics Tool (GMT), and their ids to the
    capabilities of the API users who may submit jobs for them.
  - All of it is one transaction; a thousand machines are a few statements.
  - GMT needs the row before the machine's client starts, since the client's first status refers to it.
  - GMT itself lets two machines have one description, and lets the last one who registers an id win; this module does
    not.
extends_documentation_fragment:
  - greenlab.cluster.jobs_db
  - greenlab.cluster.jobs_db.module
  - greenlab.cluster.jobs_db.writes
attributes:
  diff_mode:
    details:
      - Shows the rows, the users and the sequence that change, before and after, and nothing else.
options:
  machines:
    description:
      - The machines, in any order. No id and no description may occur twice in the list.
    type: list
    elements: dict
    required: true
    suboptions:
      id:
        description:
          - Number of the machine, C(machine.id) in its C(config.yml). An integer from 1 to 1024.
          - To retire a machine, any number from 1.
        type: int
        required: true
      description:
        description:
          - Name that users see and choose, C(machine.description) in C(config.yml). Unique in the whole table, also
            against retired machines.
          - One line of text, not empty, without control characters and without blanks at its ends.
          - Required for O(state=present). For O(state=retired) it may be left out; when given it must be that of the
            row, which protects from retiring the wrong machine.
        type: str
      available:
        description:
          - Whether users may submit jobs for the machine.
          - A new row is available unless this is V(false).
          - Without it, an existing row keeps what it has, so that a machine on hold stays on hold however often it is
            registered. Bring a retired machine back with V(true).
          - Must not be V(true) for O(state=retired).
        type: bool
  state:
    description:
      - V(present) registers the machines.
      - V(retired) makes them unavailable and takes their ids out of the capabilities of every user, not only of
        O(users). The row remains, since results refer to it. Jobs that wait for the machine are kept and returned.
      - Retiring an id that is not registered is a warning, not an error.
    type: str
    choices: [present, retired]
    default: present
  users:
    description:
      - Names of the API users who may submit jobs for the machines (C(capabilities.machines); what else is in the
        capabilities, other ids too, is not touched).
      - Each must exist; an empty list leaves all users as they are.
      - Not used for O(state=retired), nor on GMT releases before v1.0, which have no users.
    type: list
    elements: str
    default: [DEFAULT]
  takeover:
    description:
      - Whether an id that is registered with another description may be renamed. Its old results then show the new
        name.
      - Not needed for machine 1 as GMT's own seed data has it (C(Local machine) or C(Development machine for testing)),
        as long as no job (but the seed's demo job), run, status or watchlist entry refers to it.
    type: bool
    default: false
notes:
  - Repeating a call whose connection broke is safe; the module itself never does.
seealso:
  - module: greenlab.cluster.gmt_machine_info
  - module: greenlab.cluster.gmt_job
  - module: greenlab.cluster.gmt_user
author:
  - the greenlab.cluster contributors (!UNKNOWN)
"""

EXAMPLES = r"""
- name: Register machines in one transaction
  greenlab.cluster.gmt_machine:
    login_host: db.example.org
    login_user: postgres
    login_password: "{{ jobs_db_password }}"
    ssl_mode: verify-full
    ca_cert: /etc/ssl/certs/greenlab.pem
    machines:
      - id: 1
        description: Dell R640
      - id: 2
        description: Raspberry Pi 5
        available: false
    users: [DEFAULT, ada]
  delegate_to: localhost
  run_once: true

- name: Set the connection once for all modules
  hosts: jobs_db
  module_defaults:
    group/greenlab.cluster.gmt:
      login_unix_socket: /var/run/postgresql
  tasks:
    - name: Give id 2 to a new computer
      greenlab.cluster.gmt_machine:
        machines:
          - id: 2
            description: Raspberry Pi 5 (8 GB)
        takeover: true

    - name: Retire a machine and see which jobs it leaves behind
      greenlab.cluster.gmt_machine:
        machines:
          - id: 1
            description: Dell R640
        state: retired
      register: retired

    - name: Bring it back
      greenlab.cluster.gmt_machine:
        machines:
          - id: 1
            description: Dell R640
            available: true
"""

RETURN = r"""
machines:
  description: The rows of the machines in the list as they are after the call, by id. Unregistered ids are left out.
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
  sample:
    - id: 1
      description: Dell R640
      available: true
    - id: 2
      description: Raspberry Pi 5
      available: false
builds:
  description:
    - What is known of the builds of the machines in the list, as RV(greenlab.cluster.gmt_build_info#module:machines).
      Empty in a jobs DB that the role P(greenlab.cluster.jobs_db#role) has not prepared.
  returned: O(state=present)
  type: list
  elements: dict
  sample: []
waiting_jobs:
  description:
    - Measurement jobs that wait for the retired machines, oldest first, with those of the columns C(id), C(machine_id),
      C(type), C(name), C(url) and C(project_id) that the GMT release has.
    - A client that still runs goes on working through them.
  returned: O(state=retired)
  type: list
  elements: dict
  sample:
    - id: 4711
      machine_id: 1
      type: run
      name: Nightly build
      url: https://github.com/example/app
"""

import json
import typing as t

from ansible_collections.greenlab.cluster.plugins.module_utils._holds import (
    forget_availability,
    has_holds,
    known_builds,
)
from ansible_collections.greenlab.cluster.plugins.module_utils._jobs_db import (
    JobsDBError,
    Schema,
    as_one_message,
    jobs_db_argument_spec,
    load_psycopg,
    read_schema,
    take_turns,
    transaction,
)
from ansible_collections.greenlab.cluster.plugins.module_utils._module import run_module
from ansible_collections.greenlab.cluster.plugins.module_utils._text import flaw_of_line

if t.TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ansible_collections.greenlab.cluster.plugins.module_utils._jobs_db import Connection, Row

MAX_ID = 1024
MAX_POSTGRES_INTEGER = 2**31 - 1

# Descriptions of the one row that GMT's SQL files insert: v1.0 to v2.3, and since v2.4. Before there was none.
SEED_ID = 1
SEED_DESCRIPTIONS = ("Local machine", "Development machine for testing")

# Tables whose rows show that a machine was used, as far as a release has them.
TRACES = ("jobs", "runs", "projects", "client_status", "watchlist", "timeline_projects")


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
                "description": {"type": "str"},
                "available": {"type": "bool"},
            },
        },
        state={"type": "str", "choices": ["present", "retired"], "default": "present"},
        users={"type": "list", "elements": "str", "default": ["DEFAULT"]},
        takeover={"type": "bool", "default": False},
    )


def problems_of_list(machines: Sequence[Mapping[str, t.Any]], state: str) -> list[str]:
    """Return everything that can be said against the list without asking the DB."""
    problems = []
    holder_of: dict[str, int] = {}
    seen: set[int] = set()
    largest = MAX_ID if state == "present" else MAX_POSTGRES_INTEGER
    for machine in machines:
        machine_id, description = machine["id"], machine.get("description")
        # Ansible lets `id: true` pass as an integer.
        if isinstance(machine_id, bool) or not 1 <= machine_id <= largest:
            problems.append(
                f"Machine {machine_id} ({description!r}): the id must be an integer from 1 to {largest}; correct it."
            )
            continue
        if machine_id in seen:
            problems.append(f"Id {machine_id} is given twice in the list (once to {description!r}); give each its own.")
        seen.add(machine_id)
        if description is None:
            if state == "present":
                problems.append(f"Machine {machine_id} has no description; give it one.")
            continue
        flaw = flaw_of_line(description)
        if flaw:
            problems.append(f"Machine {machine_id}: the description {description!r} {flaw}.")
        elif holder_of.setdefault(description, machine_id) != machine_id:
            problems.append(
                f"Machines {holder_of[description]} and {machine_id} have the same description {description!r};"
                " give each its own."
            )
    if state == "retired":
        problems += [
            f"Machine {machine['id']} cannot be retired and available: leave 'available' out, or use state: present."
            for machine in machines
            if machine.get("available")
        ]
    return problems


def register(
    connection: Connection,
    schema: Schema,
    machines: Sequence[Mapping[str, t.Any]],
    users: Sequence[str],
    *,
    takeover: bool,
    commit: bool,
) -> dict[str, t.Any]:
    """Register the machines; raise `JobsDBError` with all conflicts at once before anything is written."""
    take_turns(connection)
    known = {row["id"]: row for row in _rows_like(connection, machines)}
    problems = _conflicts(connection, schema, machines, known, takeover)
    members = _members(connection, users) if schema.has("users") else []
    problems += _problems_of_users(users, members) if schema.has("users") else []
    if problems:
        raise JobsDBError(as_one_message("Cannot register the machines.", problems))

    ids = sorted(machine["id"] for machine in machines)
    written = _write_machines(connection, machines, known)
    granted = _grant(connection, members, ids) if members else []
    after = _rows(connection, ids)
    _check_outcome(machines, after)
    sequence = _advance_sequence(connection, commit)
    return _result(
        after,
        before={
            "machines": [known[machine_id] for machine_id in written if machine_id in known],
            "users": _as_diff(members, {row["name"] for row in granted}),
            "sequence": sequence["before"] if sequence else None,
        },
        after={
            "machines": [row for row in after if row["id"] in set(written)],
            "users": _as_diff(granted),
            "sequence": sequence["after"] if sequence else None,
        },
    )


def retire(connection: Connection, schema: Schema, machines: Sequence[Mapping[str, t.Any]]) -> dict[str, t.Any]:
    """Make the machines unavailable and unusable for everybody; return the jobs that still wait for them."""
    take_turns(connection)
    ids = sorted(machine["id"] for machine in machines)
    known = {row["id"]: row for row in _rows(connection, ids)}
    problems = [
        f"Machine {machine['id']} is registered as {known[machine['id']]['description']!r},"
        f" not as {machine['description']!r}; correct the id, or leave the description out."
        for machine in machines
        if machine.get("description") is not None
        and machine["id"] in known
        and known[machine["id"]]["description"] != machine["description"]
    ]
    if problems:
        raise JobsDBError(as_one_message("Cannot retire the machines.", problems))

    closed = connection.execute(
        "UPDATE machines SET available = false WHERE id = ANY(%s) AND available IS DISTINCT FROM false RETURNING id",
        [ids],
    ).fetchall()
    forget_availability(connection, ids)
    members = _members_with(connection, ids) if schema.has("users") else []
    revoked = _revoke(connection, members, ids) if members else []
    after = _rows(connection, ids)
    changed_ids = {row["id"] for row in closed}
    result = _result(
        after,
        before={
            "machines": [known[machine_id] for machine_id in sorted(changed_ids & set(known))],
            "users": _as_diff(members, {row["name"] for row in revoked}),
        },
        after={
            "machines": [row for row in after if row["id"] in changed_ids],
            "users": _as_diff(revoked),
        },
    )
    result["waiting_jobs"] = _waiting_jobs(connection, schema, ids)
    unknown = sorted(set(ids) - set(known))
    if unknown:
        result["warnings"] = [
            f"No machine is registered with id {', '.join(map(str, unknown))}: there was nothing to retire."
        ]
    return result


def _rows(connection: Connection, ids: Sequence[int]) -> list[Row]:
    return connection.execute(
        "SELECT id, description, available FROM machines WHERE id = ANY(%s) ORDER BY id", [list(ids)]
    ).fetchall()


def _rows_like(connection: Connection, machines: Sequence[Mapping[str, t.Any]]) -> list[Row]:
    """Return the rows that hold one of the wanted ids or descriptions."""
    return connection.execute(
        "SELECT id, description, available FROM machines WHERE id = ANY(%s) OR description = ANY(%s) ORDER BY id",
        [[machine["id"] for machine in machines], [machine["description"] for machine in machines]],
    ).fetchall()


def _conflicts(
    connection: Connection,
    schema: Schema,
    machines: Sequence[Mapping[str, t.Any]],
    known: Mapping[int, Row],
    takeover: bool,
) -> list[str]:
    problems = []
    wanted_ids = {machine["id"] for machine in machines}
    # Only rows outside the list count: two machines in it may swap their names.
    holder_of = {row["description"]: row for row in known.values() if row["id"] not in wanted_ids}
    for machine in machines:
        holder = holder_of.get(machine["description"])
        if holder:
            retired = "" if holder["available"] else " (not available)"
            problems.append(
                f"Machine {machine['id']} cannot be named {machine['description']!r}: machine {holder['id']}{retired}"
                " has that description. Choose another one, or rename that machine first with takeover: true."
            )
    if takeover:
        return problems
    renamed = [
        machine
        for machine in machines
        if machine["id"] in known and known[machine["id"]]["description"] != machine["description"]
    ]
    seeds = [machine for machine in renamed if _is_seed(known[machine["id"]])]
    traces = _traces(connection, schema) if seeds else []
    for machine in renamed:
        row = known[machine["id"]]
        if machine in seeds and not traces:
            continue
        used = f" and was used (rows in {', '.join(traces)})" if machine in seeds else ""
        problems.append(
            f"Machine {machine['id']} is registered as {row['description']!r}{used}, not as {machine['description']!r}."
            " Correct the id, or set takeover: true to rename it; its old results then show the new name."
        )
    return problems


def _is_seed(row: Row) -> bool:
    return row["id"] == SEED_ID and row["description"] in SEED_DESCRIPTIONS


def _traces(connection: Connection, schema: Schema) -> list[str]:
    """Return the tables that show a use of machine 1. GMT's own demo job (since v2.4) is none."""
    sql = load_psycopg().sql
    demo = ("url", "branch", "filename")
    not_the_demo = sql.SQL("AND (url, branch, filename) IS DISTINCT FROM ('demo-url', 'demo-branch', 'demo-filename')")
    query = sql.SQL(" UNION ALL ").join(
        sql.SQL("SELECT {name} AS used WHERE EXISTS (SELECT FROM {table} WHERE machine_id = {id} {condition})").format(
            name=sql.Literal(table),
            table=sql.Identifier(table),
            id=sql.Literal(SEED_ID),
            condition=not_the_demo if table == "jobs" and schema.has("jobs", *demo) else sql.SQL(""),
        )
        for table in TRACES
        if schema.has(table, "machine_id")
    )
    return [row["used"] for row in connection.execute(query)]


def _write_machines(
    connection: Connection, machines: Sequence[Mapping[str, t.Any]], known: Mapping[int, Row]
) -> list[int]:
    """Write what differs, in one statement; return the ids of the rows that were written.

    Two branches instead of ON CONFLICT DO UPDATE: that would lock every row, changed or not, against its client,
    and could undo a hold that somebody sets at this moment. A row that changed since it was checked is left alone.
    """
    wanted = [
        {
            "id": machine["id"],
            "description": machine["description"],
            "available": machine.get("available"),
            "checked": known[machine["id"]]["description"] if machine["id"] in known else None,
        }
        for machine in machines
    ]
    rows = connection.execute(
        """
        WITH wanted AS MATERIALIZED (
            SELECT * FROM jsonb_to_recordset(%s::jsonb)
                AS list(id integer, description text, available boolean, checked text)
        ), changed AS (
            UPDATE machines
            SET description = wanted.description, available = COALESCE(wanted.available, machines.available)
            FROM wanted
            WHERE machines.id = wanted.id AND machines.description IS NOT DISTINCT FROM wanted.checked
                AND (machines.description, machines.available)
                    IS DISTINCT FROM (wanted.description, COALESCE(wanted.available, machines.available))
            RETURNING machines.id
        ), added AS (
            INSERT INTO machines (id, description, available)
            SELECT wanted.id, wanted.description, COALESCE(wanted.available, true)
            FROM wanted
            WHERE NOT EXISTS (SELECT FROM machines WHERE machines.id = wanted.id)
            ORDER BY wanted.id
            ON CONFLICT (id) DO NOTHING
            RETURNING machines.id
        )
        SELECT id FROM changed UNION ALL SELECT id FROM added ORDER BY id
        """,
        [json.dumps(wanted, ensure_ascii=False)],
    ).fetchall()
    return [row["id"] for row in rows]


def _check_outcome(machines: Sequence[Mapping[str, t.Any]], after: Sequence[Row]) -> None:
    """GMT's clients register themselves without a lock; a clash with one of them must not pass unseen."""
    found = {row["id"]: row["description"] for row in after}
    clashes = [
        f"Machine {machine['id']} was registered as {found.get(machine['id'])!r} by somebody else at this moment;"
        " run again."
        for machine in machines
        if found.get(machine["id"]) != machine["description"]
    ]
    if clashes:
        raise JobsDBError(as_one_message("Cannot register the machines.", clashes))


def _members(connection: Connection, users: Sequence[str]) -> list[Row]:
    return connection.execute(
        """
        SELECT id, name, capabilities->'machines' AS machines, jsonb_typeof(capabilities) AS kind
        FROM users WHERE name = ANY(%s) ORDER BY name
        """,
        [list(users)],
    ).fetchall()


def _members_with(connection: Connection, ids: Sequence[int]) -> list[Row]:
    """Return the users who may use one of the machines."""
    return connection.execute(
        """
        SELECT id, name, capabilities->'machines' AS machines
        FROM users
        WHERE EXISTS (
            SELECT FROM jsonb_path_query(capabilities, 'strict $.machines[*]', '{}', true) AS entry
            WHERE entry IN (SELECT to_jsonb(id) FROM unnest(%s::int[]) AS id)
        )
        ORDER BY name
        """,
        [list(ids)],
    ).fetchall()


def _problems_of_users(users: Sequence[str], members: Sequence[Row]) -> list[str]:
    found = {row["name"]: row for row in members}
    problems = [
        f"User {name!r} is not in the users table: create the user first, or correct the option 'users'"
        " (an empty list leaves all users as they are)."
        for name in dict.fromkeys(users)
        if name not in found
    ]
    problems += [
        f"User {name!r} has broken capabilities: 'machines' must be a list of ids, but is {row['machines']!r}."
        " Correct the row in the users table."
        for name, row in found.items()
        if row["kind"] != "object" or not isinstance(row["machines"], (list, type(None)))
    ]
    return problems


# The statements compute on the row itself, not on what was read before: a client that deducts a quota at this moment
# rewrites the same JSON.
_MACHINES_OF_USER = "COALESCE(NULLIF(users.capabilities->'machines', 'null'), '[]')"


def _grant(connection: Connection, members: Sequence[Row], ids: Sequence[int]) -> list[Row]:
    """Add what is missing of the ids to the users' capabilities; return the users who were written."""
    sql = load_psycopg().sql
    # EXCEPT hashes both lists; NOT IN on the row's own list would compare each with each.
    missing = sql.SQL(
        "(SELECT to_jsonb(id) AS id FROM unnest(%(ids)s::int[]) AS id"
        " EXCEPT SELECT jsonb_array_elements({machines})) AS missing"
    ).format(machines=sql.SQL(_MACHINES_OF_USER))
    query = sql.SQL(
        """
        UPDATE users
        SET capabilities = jsonb_set(
            capabilities, '{{machines}}', {machines} || (SELECT jsonb_agg(id ORDER BY id) FROM {missing})
        )
        WHERE users.id = ANY(%(users)s) AND EXISTS (SELECT FROM {missing})
        RETURNING name, capabilities->'machines' AS machines
        """
    ).format(machines=sql.SQL(_MACHINES_OF_USER), missing=missing)
    return connection.execute(query, {"ids": list(ids), "users": [row["id"] for row in members]}).fetchall()


def _revoke(connection: Connection, members: Sequence[Row], ids: Sequence[int]) -> list[Row]:
    """Take the ids out of the users' capabilities, the others keep their order; return the users who were written."""
    return connection.execute(
        """
        UPDATE users
        SET capabilities = jsonb_set(capabilities, '{machines}', COALESCE((
            SELECT jsonb_agg(entry ORDER BY place)
            FROM jsonb_array_elements(capabilities->'machines') WITH ORDINALITY AS kept(entry, place)
            WHERE entry NOT IN (SELECT to_jsonb(id) FROM unnest(%(ids)s::int[]) AS id)
        ), '[]'))
        WHERE users.id = ANY(%(users)s) AND jsonb_typeof(capabilities->'machines') = 'array'
        RETURNING name, capabilities->'machines' AS machines
        """,
        {"ids": list(ids), "users": [row["id"] for row in members]},
    ).fetchall()


def _advance_sequence(connection: Connection, commit: bool) -> dict[str, int] | None:
    """Move the sequence of machines.id on when it lags behind, else the next row without an id would collide."""
    row = connection.execute(
        """
        SELECT sequences.last_value, (SELECT max(id) FROM machines) AS largest
        FROM pg_catalog.pg_sequences AS sequences
        JOIN pg_catalog.pg_namespace AS namespaces ON namespaces.nspname = sequences.schemaname
        JOIN pg_catalog.pg_class AS classes
            ON classes.relnamespace = namespaces.oid AND classes.relname = sequences.sequencename
        WHERE classes.oid = pg_get_serial_sequence('machines', 'id')::regclass
        """
    ).fetchone()
    if row is None or row["largest"] is None or (row["last_value"] or 0) >= row["largest"]:
        return None
    # A rollback does not take setval back, so check mode must not even try.
    if commit:
        connection.execute("SELECT setval(pg_get_serial_sequence('machines', 'id'), %s)", [row["largest"]])
    return {"before": row["last_value"] or 0, "after": row["largest"]}


def _waiting_jobs(connection: Connection, schema: Schema, ids: Sequence[int]) -> list[Row]:
    sql = load_psycopg().sql
    query = sql.SQL("SELECT {columns} FROM jobs WHERE machine_id = ANY(%s) AND {waiting} ORDER BY id").format(
        columns=sql.SQL(", ").join(
            # Enums, uuids and the like become text, so that the result is JSON.
            sql.Identifier(name) if name in ("id", "machine_id") else sql.SQL("{0}::text").format(sql.Identifier(name))
            for name in schema.job_columns
        ),
        waiting=sql.SQL(schema.jobs_in_state("waiting")),
    )
    return connection.execute(query, [list(ids)]).fetchall()


def _as_diff(members: Sequence[Row], names: set[str] | None = None) -> list[Row]:
    return sorted(
        (
            {"name": row["name"], "machines": row["machines"]}
            for row in members
            if names is None or row["name"] in names
        ),
        key=lambda row: row["name"],
    )


def _result(machines: list[Row], before: dict[str, t.Any], after: dict[str, t.Any]) -> dict[str, t.Any]:
    """Compose the result; what did not change is no part of the diff."""
    touched = [key for key in before if before[key] or after[key]]
    return {
        "changed": bool(touched),
        "machines": machines,
        "diff": {
            "before": {key: before[key] for key in touched},
            "after": {key: after[key] for key in touched},
        },
    }


def run(params: Mapping[str, t.Any], check_mode: bool = False) -> dict[str, t.Any]:
    """Do what the options say and return the module's result; raise `JobsDBError` when it cannot be done."""
    machines, state = params["machines"], params["state"]
    problems = problems_of_list(machines, state)
    if problems:
        raise JobsDBError(as_one_message("The list of machines is not valid.", problems))
    with transaction(params, commit=not check_mode) as connection:
        schema = read_schema(connection, params)
        if state == "retired":
            return retire(connection, schema, machines)
        result = register(
            connection, schema, machines, params["users"], takeover=params["takeover"], commit=not check_mode
        )
        ids = [machine["id"] for machine in machines]
        return {**result, "builds": known_builds(connection, ids) if has_holds(connection) else []}


def main() -> None:
    """Run the module."""
    run_module(argument_spec(), run)


if __name__ == "__main__":
    main()
