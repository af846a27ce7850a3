# Copyright (c) 2026, the greenlab.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rows of the `jobs` table, the same for every GMT release since v0.19: what a release lacks is null."""

from __future__ import annotations

import datetime
import re
import typing as t

from ansible_collections.greenlab.cluster.plugins.module_utils._jobs_db import JobsDBError, load_psycopg

if t.TYPE_CHECKING:
    from collections.abc import Mapping

    from ansible_collections.greenlab.cluster.plugins.module_utils._jobs_db import Row, Schema

# All states of all releases. v0.19 to v0.23 went on from FINISHED with NOTIFYING and NOTIFIED, PAUSED came with v4.0.
STATES = ["WAITING", "PAUSED", "RUNNING", "FINISHED", "FAILED", "CANCELLED", "NOTIFYING", "NOTIFIED"]

# A job that was measured or given up is in none of these.
OPEN_STATES = ["WAITING", "PAUSED", "RUNNING"]

TYPES = ["run", "email-simple", "email-report"]

# What makes two jobs the same job.
IDENTITY = ["name", "url", "branch", "filename", "machine_id"]

# Columns of a result, in this order; they exist, or are null, in every release.
COLUMNS = [
    "id",
    "type",
    "state",
    "name",
    "url",
    "branch",
    "commit_hash",
    "filename",
    "usage_scenario_variables",
    "carbon_simulation",
    "category_ids",
    "machine_id",
    "machine_description",
    "user_id",
    "user",
    "email",
    "run_id",
    "message",
    "created_at",
    "updated_at",
    "age",
    "unchanged_for",
]

_AS_TEXT = ["type", "state", "run_id"]


def require_jobs(schema: Schema, params: Mapping[str, t.Any]) -> None:
    """Raise `JobsDBError` unless jobs are those of v0.19 or later, which have states and know what they measure."""
    if not schema.has("jobs", "state", "name", "url", "branch", "filename", "created_at", "updated_at"):
        raise JobsDBError(
            f"Database '{params['login_db']}' has the jobs of GMT v0.18 or older (a project and two flags instead of a"
            " state): this module knows v0.19 and later. Upgrade GMT and its schema, or write to that release's own"
            " tables."
        )


def category_column(schema: Schema) -> str:
    """Return the name of the column with the categories: it was renamed in v2.6."""
    return "category_ids" if schema.has("jobs", "category_ids") else "categories"


def is_measurement(schema: Schema) -> str:
    """Return the SQL condition for jobs that measure; without types (v0.19 to v0.23) every job does."""
    return "jobs.type = 'run'" if schema.has("jobs", "type") else "TRUE"


def select_jobs(schema: Schema) -> t.Any:
    """Return `SELECT … FROM jobs …` as a composable statement, for `typed_job` to read its rows."""
    sql = load_psycopg().sql

    def column(name: str) -> t.Any:
        source = category_column(schema) if name == "category_ids" else name
        if not schema.has("jobs", source):
            return sql.SQL("NULL AS {0}").format(sql.Identifier(name))
        # Enums and uuids become text, so that the result is JSON.
        form = "jobs.{0}::text AS {1}" if name in _AS_TEXT else "jobs.{0} AS {1}"
        return sql.SQL(form).format(sql.Identifier(source), sql.Identifier(name))

    own = [name for name in COLUMNS if name not in ("machine_description", "user", "age", "unchanged_for")]
    with_users = schema.has("users") and schema.has("jobs", "user_id")
    return sql.SQL(
        """
        SELECT {columns}, machines.description AS machine_description, {user} AS "user",
            GREATEST(0, EXTRACT(EPOCH FROM now() - jobs.created_at))::bigint AS age,
            GREATEST(0, EXTRACT(EPOCH FROM now() - COALESCE(jobs.updated_at, jobs.created_at)))::bigint AS unchanged_for
        FROM jobs
        LEFT JOIN machines ON machines.id = jobs.machine_id
        {users}
        """
    ).format(
        columns=sql.SQL(", ").join(column(name) for name in own),
        user=sql.SQL("users.name" if with_users else "NULL"),
        users=sql.SQL("LEFT JOIN users ON users.id = jobs.user_id" if with_users else ""),
    )


def typed_job(row: Row) -> Row:
    """Return a row as a result: JSON types only, times in ISO 8601, no password in the URL."""
    values = {name: row[name] for name in COLUMNS}
    for name in ("created_at", "updated_at"):
        if isinstance(values[name], datetime.datetime):
            values[name] = values[name].isoformat()
    values["url"] = without_password(values["url"])
    return values


def without_password(url: str | None) -> str | None:
    """Hide the password of an URL: GMT before v4.0 stored it as it was written."""
    return None if url is None else re.sub(r"(://[^/?#:@]*):[^/?#]*@", r"\1:********@", url)
