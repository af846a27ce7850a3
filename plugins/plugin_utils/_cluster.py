# Copyright (c) 2026, the greenlab.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The inventory's machines, as the jobs DB and the operator want to see them."""

from __future__ import annotations

import typing as t
from datetime import datetime, timezone

HEADINGS = ("machine", "id", "description", "client service", "last status", "since (UTC)", "waiting")


def machines(hosts: list[str], hostvars: t.Mapping[str, t.Mapping[str, t.Any]]) -> list[dict[str, t.Any]]:
    """Return id and description of each host, in the order of the inventory."""
    return [
        {"id": hostvars[host]["gmt_machine_id"], "description": hostvars[host]["gmt_machine_description"]}
        for host in hosts
    ]


def short_time(timestamp: str | None) -> str | None:
    """Return an ISO 8601 timestamp in UTC as people read it, to the second."""
    if timestamp is None:
        return None
    return datetime.fromisoformat(timestamp).astimezone(timezone.utc).strftime("%Y-%m-%d %H:%M:%S")


def status_rows(
    hosts: list[str], hostvars: t.Mapping[str, t.Mapping[str, t.Any]], rows: list[dict[str, t.Any]]
) -> list[tuple[str, ...]]:
    """Return a row of text for each host; a dash stands for what is not known."""
    by_id = {row["id"]: row for row in rows}
    result = []
    for host in hosts:
        variables = hostvars[host]
        row = by_id.get(variables["gmt_machine_id"], {})
        cells = (
            host,
            variables["gmt_machine_id"],
            row.get("description", variables["gmt_machine_description"]),
            variables.get("gmt_client_state"),
            row.get("last_status"),
            short_time(row.get("status_since")),
            row.get("jobs_waiting"),
        )
        result.append(tuple("-" if cell is None else str(cell) for cell in cells))
    return result


def table(headings: t.Sequence[str], rows: t.Sequence[t.Sequence[str]]) -> list[str]:
    """Return lines with the columns aligned."""
    widths = [max(len(row[column]) for row in [headings, *rows]) for column in range(len(headings))]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip()
        for row in [headings, ["-" * width for width in widths], *rows]
    ]


def busy(rows: list[dict[str, t.Any]]) -> dict[int, str]:
    """Return why machines must not be touched now, by id; a machine that is idle with nothing waiting is not in it.

    A machine that never wrote a status has no client yet, or takes its jobs by cron: only its jobs count.
    """
    reasons = {}
    for row in rows:
        if row["jobs_running"]:
            reasons[row["id"]] = "a job is RUNNING"
        elif row["last_status"] is not None and row["state"] != "idle":
            reasons[row["id"]] = f"its last status is {row['last_status']}"
        elif row["jobs_waiting"]:
            reasons[row["id"]] = f"jobs are waiting for it: {row['jobs_waiting']}"
    return reasons
