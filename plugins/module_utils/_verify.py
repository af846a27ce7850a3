# Copyright (c) 2026, the greenlab.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""All checks of a machine, in order, with their severity and what came of them."""

from __future__ import annotations

import typing as t

from ansible_collections.greenlab.cluster.plugins.module_utils._verify_cluster import ALWAYS, OWN
from ansible_collections.greenlab.cluster.plugins.module_utils._verify_facts import Facts
from ansible_collections.greenlab.cluster.plugins.module_utils._verify_tool import CHECKS, Check, Finding, skipped

SEVERITIES = ["ERROR", "WARN", "INFO"]


class Planned(t.NamedTuple):
    """A check that is to be made. `origin` says who makes it beside us: the release's own program, or nobody."""

    name: str
    origin: str
    severity: str
    check: Check


def plan(release: t.Mapping[str, t.Any]) -> list[Planned]:
    """Return the checks for a release: its own, and those of the collection."""
    of_tool: t.Mapping[str, str] = release["system_checks"]
    planned = [Planned(name, "tool", of_tool[name], check) for name, check in CHECKS.items() if name in of_tool]
    planned += [Planned(name, "cluster", "WARN", CHECKS[name]) for name in ALWAYS if name not in of_tool]
    return planned + [Planned(name, "cluster", severity, check) for name, (severity, check) in OWN.items()]


def unknown_names(names: t.Iterable[str]) -> list[str]:
    """Return the names that no check of any release has."""
    return sorted(set(names) - set(CHECKS) - set(OWN))


def verify(facts: Facts, skip: t.Collection[str] = ()) -> list[dict[str, t.Any]]:
    """Make all checks and return a record of each; a check that breaks is a failed one, not the end of all."""
    facts.fetch()
    records = []
    for name, origin, severity, check in plan(facts.o.release):
        finding = skipped("by verify_skip") if name in skip else _made(check, facts)
        state = {None: "skipped", True: "ok", False: "failed"}[finding.ok]
        records.append(
            {
                "check": name,
                "origin": origin,
                "severity": severity,
                "state": state,
                "value": finding.value,
                "wanted": finding.wanted,
                "meaning": " ".join((check.__doc__ or "").split()),
            }
        )
    return records


def _made(check: Check, facts: Facts) -> Finding:
    try:
        return check(facts)
    except Exception as error:  # a machine in any state gets a full report
        return Finding(False, f"the check broke: {type(error).__name__}: {error}", "a value")


def summary(records: t.Sequence[t.Mapping[str, t.Any]]) -> dict[str, int]:
    """Return how many checks failed, by severity, and how many passed or were left out."""
    counts = {severity.lower(): 0 for severity in SEVERITIES} | {"ok": 0, "skipped": 0}
    for record in records:
        counts[record["severity"].lower() if record["state"] == "failed" else record["state"]] += 1
    return counts
