# Copyright (c) 2026, the greenlab.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Holds: who keeps which machine's queue back, in table `greenlab.holds` (role jobs_db, files/holds.sql)."""

from __future__ import annotations

import typing as t

from ansible_collections.greenlab.cluster.plugins.module_utils._jobs_db import JobsDBError, load_psycopg
from ansible_collections.greenlab.cluster.plugins.module_utils._machine_state import busy_with

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from ansible_collections.greenlab.cluster.plugins.module_utils._jobs_db import Connection, Row, Schema


def has_holds(connection: Connection) -> bool:
    """Tell whether this jobs DB can hold machines, and this user may look."""
    row = connection.execute(
        """
        SELECT EXISTS (
            SELECT FROM pg_catalog.pg_class AS tables
            WHERE tables.oid = to_regclass('greenlab.holds') AND has_table_privilege(tables.oid, 'SELECT')
        ) AS found
        """
    ).fetchone()
    return bool(row and row["found"])


def require_holds(connection: Connection, params: Mapping[str, t.Any]) -> None:
    """Raise `JobsDBError` where the table is missing, or not for this user."""
    if not has_holds(connection):
        raise JobsDBError(
            f"Database '{params['login_db']}' has no table greenlab.holds that user '{params['login_user']}' may read:"
            " the role jobs_db creates it. Run playbooks/site.yml with --limit jobs_db first."
        )


def open_holds(connection: Connection, ids: Sequence[int] | None = None) -> dict[int, Row]:
    """Return the holds that are not released, by machine; without ids, those of all machines."""
    rows = connection.execute(
        """
        SELECT id, machine_id, owner, reason, held_at, was_available, job_ids FROM greenlab.holds
        WHERE released_at IS NULL AND (%(ids)s::bigint[] IS NULL OR machine_id = ANY(%(ids)s::bigint[]))
        ORDER BY machine_id
        """,
        {"ids": None if ids is None else list(ids)},
    )
    return {row["machine_id"]: row for row in rows}


def hold(connection: Connection, schema: Schema, ids: Sequence[int], owner: str, reason: str) -> None:
    """Hold machines that nobody holds: unavailable, and their waiting jobs paused and noted."""
    before = connection.execute(
        # Whoever adds a job for one of them waits from here on, and then finds the hold. In order, against deadlocks.
        "SELECT id, available FROM machines WHERE id = ANY(%s) ORDER BY id FOR NO KEY UPDATE",
        [list(ids)],
    ).fetchall()
    connection.execute("UPDATE machines SET available = false WHERE id = ANY(%s) AND available", [list(ids)])
    sql = load_psycopg().sql
    connection.execute(
        sql.SQL(
            """
            WITH paused AS (
                UPDATE jobs SET {pause} WHERE {waiting} AND (machine_id = ANY(%(ids)s) OR {for_any}) RETURNING *
            )
            INSERT INTO greenlab.holds (machine_id, owner, reason, was_available, job_ids)
            SELECT held.id, %(owner)s, %(reason)s, held.was_available, COALESCE(
                (SELECT array_agg(paused.id ORDER BY paused.created_at, paused.id) FROM paused
                 WHERE COALESCE(paused.machine_id, (%(ids)s::int[])[1]) = held.id), '{{}}')
            FROM unnest(%(ids)s::int[], %(available)s::boolean[]) AS held(id, was_available)
            """
        ).format(
            pause=sql.SQL("state = 'PAUSED'" if schema.has("jobs", "state") else "type = 'project-paused'"),
            waiting=sql.SQL(schema.jobs_in_state("waiting")),
            # Up to v0.18 a job for no machine goes to the first that asks.
            for_any=sql.SQL("FALSE" if schema.has("jobs", "state") else "machine_id IS NULL"),
        ),
        {
            "ids": [row["id"] for row in before],
            "available": [bool(row["available"]) for row in before],
            "owner": owner,
            "reason": reason,
        },
    )


def release(connection: Connection, schema: Schema, holds: Sequence[Row]) -> None:
    """End holds: the jobs that they paused, and nobody has moved since, wait again as they did before."""
    connection.execute(
        "UPDATE greenlab.holds SET released_at = now() WHERE id = ANY(%s)", [[row["id"] for row in holds]]
    )
    jobs = [job_id for row in holds for job_id in row["job_ids"]]
    if schema.has("jobs", "state"):
        connection.execute("UPDATE jobs SET state = 'WAITING' WHERE id = ANY(%s) AND state = 'PAUSED'", [jobs])
    else:
        connection.execute(
            "UPDATE jobs SET type = 'project' WHERE id = ANY(%s) AND type = 'project-paused'",
            [jobs],
        )
    connection.execute(
        "UPDATE machines SET available = true WHERE id = ANY(%s) AND available IS DISTINCT FROM true",
        [[row["machine_id"] for row in holds if row["was_available"]]],
    )


def with_fresh_jobs(connection: Connection, schema: Schema, ids: Sequence[int], age: int) -> set[int]:
    """Return those of the machines held just now whose clients may have read a job that they have not started yet.

    Such a job either waited until the hold paused it, or was written within the last `age` seconds, as when somebody
    cancelled it.
    """
    if not schema.has("jobs", "state", "machine_id", "updated_at"):
        return set(ids)  # a job for no machine may have been read by any of them
    rows = connection.execute(
        """
        SELECT machine_id FROM greenlab.holds
        WHERE released_at IS NULL AND machine_id = ANY(%(ids)s::bigint[]) AND cardinality(job_ids) > 0
        UNION
        SELECT machine_id FROM jobs
        WHERE machine_id = ANY(%(ids)s::bigint[])
            AND GREATEST(created_at, updated_at) >= clock_timestamp() - make_interval(secs => %(age)s)
        """,
        {"ids": list(ids), "age": age},
    )
    return {row["machine_id"] for row in rows}


def forget_availability(connection: Connection, ids: Sequence[int]) -> None:
    """Let the machines stay unavailable when they are released, for those who retire them meanwhile."""
    if has_holds(connection):
        connection.execute(
            "UPDATE greenlab.holds SET was_available = false"
            " WHERE machine_id = ANY(%s) AND released_at IS NULL AND was_available",
            [list(ids)],
        )


def rows_of(machines: Iterable[Row], holds: Mapping[int, Row]) -> list[dict[str, t.Any]]:
    """Compose the result's machines."""
    return [
        {
            "id": row["id"],
            "description": row["description"],
            "held": row["id"] in holds,
            **public(holds.get(row["id"])),
            "idle": busy_with(row) is None,
            "busy_with": busy_with(row),
        }
        for row in machines
    ]


def public(row: Row | None) -> dict[str, t.Any]:
    """Return what others may know of a hold; of none, the same keys with null."""
    if row is None:
        return {"owner": None, "reason": None, "since": None, "jobs": None}
    return {
        "owner": row["owner"],
        "reason": row["reason"],
        "since": row["held_at"].isoformat(),
        "jobs": row["job_ids"],
    }


def known_builds(connection: Connection, ids: Sequence[int] | None) -> list[Row]:
    """Return what machines were last built from, of all without ids; table `greenlab.builds` comes with the holds."""
    rows = connection.execute(
        """
        SELECT machine_id AS id, parts, built_at FROM greenlab.builds
        WHERE %(ids)s::bigint[] IS NULL OR machine_id = ANY(%(ids)s::bigint[]) ORDER BY machine_id
        """,
        {"ids": None if ids is None else list(ids)},
    )
    return [{**row, "built_at": row["built_at"].isoformat()} for row in rows]
