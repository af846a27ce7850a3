# Copyright (c) 2026, the greenlab.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The inventory's machines, as the jobs DB and the operator want to see them."""

from __future__ import annotations

import typing as t

NO_HOLDS = "No machine is held."


def machines(hosts: list[str], hostvars: t.Mapping[str, t.Mapping[str, t.Any]]) -> list[dict[str, t.Any]]:
    """Return id and description of each host, in the order of the inventory."""
    return [
        {"id": hostvars[host]["gmt_machine_id"], "description": hostvars[host]["gmt_machine_description"]}
        for host in hosts
    ]


def table(headings: t.Sequence[str], rows: t.Sequence[t.Sequence[str]]) -> list[str]:
    """Return lines with the columns aligned."""
    widths = [max(len(row[column]) for row in [headings, *rows]) for column in range(len(headings))]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip()
        for row in [headings, ["-" * width for width in widths], *rows]
    ]


def outcome_rows(hosts: list[str], hostvars: t.Mapping[str, t.Mapping[str, t.Any]]) -> list[tuple[str, str, str]]:
    """Return what became of each host in a run: its name, the outcome, and why or what changed."""
    return [
        (host, str(hostvars[host].get("site_outcome", "not begun")), str(hostvars[host].get("site_why", "")))
        for host in hosts
    ]


def site_table(hosts: list[str], hostvars: t.Mapping[str, t.Mapping[str, t.Any]]) -> list[str]:
    """Return the lines of a table of what became of each machine."""
    return table(("machine", "outcome", "why, or what changed"), outcome_rows(hosts, hostvars))


def hold_table(rows: list[dict[str, t.Any]]) -> list[str]:
    """Return the lines of a table of machines on hold, as the module gmt_hold returns them."""
    lines = [
        (
            str(row["id"]),
            str(row["description"]),
            row["owner"] or "-",
            row["reason"] or "-",
            row["since"][:16].replace("T", " ") if row["since"] else "-",  # the module answers in UTC
            str(len(row["jobs"] or [])),
            row["busy_with"] or "idle",
        )
        for row in rows
    ]
    return (
        table(("id", "description", "held by", "why", "since (UTC)", "paused", "at work"), lines)
        if rows
        else [NO_HOLDS]
    )
