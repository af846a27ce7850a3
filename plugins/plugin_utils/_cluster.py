# Copyright (c) 2026, the greenlab.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The inventory's machines, as the jobs DB and the operator want to see them."""

from __future__ import annotations

import typing as t

from ansible_collections.greenlab.cluster.plugins.plugin_utils._variables import is_plain

NO_HOLDS = "No machine is held."


def machines(hosts: list[str], hostvars: t.Mapping[str, t.Mapping[str, t.Any]]) -> list[dict[str, t.Any]]:
    """Return id and description of each host, in the order of the inventory."""
    names = {"id": "gmt_machine_id", "description": "gmt_machine_description"}
    return [dict(zip(names, read(hostvars, host, names.values()))) for host in hosts]


def read(hostvars: t.Mapping[str, t.Mapping[str, t.Any]], host: str, names: t.Iterable[str]) -> list[t.Any]:
    """Return variables of a host, without the templating engine that hostvars[host] makes where they are plain."""
    raw = hostvars.raw_get(host) if hasattr(hostvars, "raw_get") else {}  # Ansible puts them together at each look
    return [hostvars[host][name] if raw.get(name) is None or not is_plain(raw[name]) else raw[name] for name in names]


def table(headings: t.Sequence[str], rows: t.Sequence[t.Sequence[str]]) -> list[str]:
    """Return lines with the columns aligned."""
    widths = [max(len(row[column]) for row in [headings, *rows]) for column in range(len(headings))]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip()
        for row in [headings, ["-" * width for width in widths], *rows]
    ]


# What to do about a machine that a run has left as it was.
REMEDIES = {
    "left alone": "Run the playbook again later, let it wait longer (-e site_wait=1h), or, if you know that nothing"
    " runs there, -e site_force=true.",
    "failed": "Correct that and run the playbook again.",
    "not begun": "Correct that, and run the playbook again.",
    "lost": "When it is back, run the playbook again, or release it with playbooks/release.yml.",
}


def outcome_rows(
    hosts: list[str], hostvars: t.Mapping[str, t.Mapping[str, t.Any]], always: t.Collection[str] | None = None
) -> list[tuple[str, str, str]]:
    """Return what became of each host in a run: its name, the outcome, and why or what changed.

    A host that the plan found nothing to do for (facts of localhost) is unchanged. Of hosts without an outcome those
    are left out that are not in `always`, if that is given.
    """
    # Facts are plain; hostvars[host] would make a new templating engine for each host.
    variables = getattr(hostvars, "raw_get", lambda host: hostvars.get(host, {}))
    run = variables("localhost")
    unchanged = set(run.get("site_plan", {}).get("hosts", ())).difference(run.get("site_work", ()))
    rows = []
    for host in hosts:
        of_host = variables(host)
        if always is not None and host not in always and "site_outcome" not in of_host:
            continue
        outcome = of_host.get("site_outcome", "unchanged" if host in unchanged else "not begun")
        rows.append((host, str(outcome), str(of_host.get("site_why", ""))))
    return rows


def site_left(hosts: list[str], hostvars: t.Mapping[str, t.Mapping[str, t.Any]]) -> list[str]:
    """Return a sentence for each host where something is left to do, with the remedy."""
    return [
        f"{host}: {outcome}, because {why}. {REMEDIES[outcome]}"
        for host, outcome, why in outcome_rows(hosts, hostvars)
        if outcome in REMEDIES and why
    ]


def site_table(
    hosts: list[str], hostvars: t.Mapping[str, t.Mapping[str, t.Any]], always: t.Collection[str] | None = None
) -> list[str]:
    """Return the lines of a table of what became of each machine; none where there is nothing to say."""
    rows = outcome_rows(hosts, hostvars, None if always is None else set(always))
    return table(("machine", "outcome", "why, or what changed"), rows) if rows else []


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
