# Copyright (c) 2026, the greenlab.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rows of the `machines` table with what each machine does, the same for every GMT release: what it lacks is null."""

from __future__ import annotations

import datetime
import typing as t

from ansible_collections.greenlab.cluster.plugins.module_utils._holds import has_holds, open_holds
from ansible_collections.greenlab.cluster.plugins.module_utils._jobs_db import load_psycopg
from ansible_collections.greenlab.cluster.plugins.module_utils._machine_state import machine_state

if t.TYPE_CHECKING:
    from collections.abc import Sequence

    from ansible_collections.greenlab.cluster.plugins.module_utils._jobs_db import Connection, Row, Schema

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
    "running_job",
    "gmt_hash",
    "current_temperature",
    "base_temperature",
    "needs_revalidation",
    "shutdown_on_job_no",
    "held_by",
    "held_for",
    "held_since",
    "updated_at",
]

# Columns of `machines` that came with some release, and their types.
_LATER_COLUMNS = {
    "status_code": "text",
    "gmt_hash": "text",
    "current_temperature": "integer",
    "base_temperature": "integer",
    "needs_revalidation": "boolean",
    "configuration": "json",
    "updated_at": "timestamptz",
}


def read_machines(
    connection: Connection,
    schema: Schema,
    ids: Sequence[int] | None = None,
    descriptions: Sequence[str] | None = None,
    *,
    states: Sequence[str] | None = None,
    older_than: int | None = None,
) -> list[Row]:
    """Return the machines by id; filters that are None let all pass."""
    sql = load_psycopg().sql
    query = sql.SQL(
        """
        WITH wanted AS (
            SELECT id, description, available, {status_code} AS status_code, {gmt_hash} AS gmt_hash,
                {current_temperature} AS current_temperature, {base_temperature} AS base_temperature,
                {needs_revalidation} AS needs_revalidation,
                {configuration} #>> '{{cluster,client,shutdown_on_job_no}}' AS shutdown_on_job_no,
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
                count(*) FILTER (WHERE {running}) AS running,
                (array_agg(json_build_object('id', id, 'name', {job_name}) ORDER BY id) FILTER (WHERE {running}))[1]
                    AS running_job
            FROM jobs
            WHERE ({waiting} OR {running}) AND machine_id IN (SELECT id FROM wanted)
            GROUP BY machine_id
        )
        SELECT wanted.*, newest.created_at AS status_since, newest.status_code AS last_status,
            EXTRACT(EPOCH FROM now() - newest.created_at)::bigint AS status_age,
            COALESCE(counted.waiting, 0) AS jobs_waiting, COALESCE(counted.running, 0) AS jobs_running,
            counted.running_job
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
        job_name=sql.SQL("name" if schema.has("jobs", "name") else "NULL::text"),
        **{
            name: sql.Identifier(name) if schema.has("machines", name) else sql.SQL(f"NULL::{kind}")
            for name, kind in _LATER_COLUMNS.items()
        },
    )
    filters = {"ids": ids, "descriptions": descriptions, "older_than": older_than}
    holds = open_holds(connection) if has_holds(connection) else {}
    rows = [_typed(row, holds.get(row["id"])) for row in connection.execute(query, filters)]
    return rows if states is None else [row for row in rows if row["state"] in states]


def _typed(row: Row, hold: Row | None) -> Row:
    values = dict(
        row,
        state=machine_state(row["status_code"] or row["last_status"], row["status_age"]),
        held_by=hold["owner"] if hold else None,
        held_for=hold["reason"] if hold else None,
        held_since=hold["held_at"] if hold else None,
    )
    return {name: _iso(values[name]) for name in COLUMNS}


def _iso(value: t.Any) -> t.Any:
    return value.isoformat() if isinstance(value, datetime.datetime) else value
