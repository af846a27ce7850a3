# SPDX-License-Identifier: GPL-3.0-or-later
"""The table of what was found on the machines."""

from __future__ import annotations

from typing import Any

from ansible_collections.greenlab.cluster.plugins.filter.verify_table import verify_table


def check(name: str, severity: str, state: str, value: str, wanted: str = "none") -> dict[str, Any]:
    return {"check": name, "severity": severity, "state": state, "value": value, "wanted": wanted}


HOSTVARS = {
    "m1": {
        "verify_result": {
            "unreachable": False,
            "summary": {"error": 1, "warn": 1, "info": 0, "ok": 1, "skipped": 1},
            "checks": [
                check("swap_disabled", "WARN", "failed", "2.0 GiB"),
                check("db", "ERROR", "ok", "reached", "reached"),
                check("cron_files", "ERROR", "failed", "x" * 100),
                check("dram", "WARN", "skipped", "not in config.yml", ""),
            ],
        }
    },
    "m2": {},
    "m3": {"verify_result": {"unreachable": True, "summary": {}, "checks": []}},
}


def test_failures_the_worst_first() -> None:
    lines = verify_table(["m1", "m2", "m3"], HOSTVARS)
    assert [line.split()[:3] for line in lines[2:]] == [
        ["m1", "cron_files", "ERROR"],
        ["m1", "swap_disabled", "WARN"],
        ["m1", "all", "ERROR"],
        ["m2", "all", "-"],
        ["m3", "all", "-"],
    ]
    assert "x" * 69 + "…" in lines[2]
    assert "1 ERROR, 1 WARN, 0 INFO, 1 ok, 1 skipped" in lines[4]
    assert lines[5].endswith("not looked at")
    assert lines[6].endswith("not reached")


def test_everything() -> None:
    lines = verify_table(["m1"], HOSTVARS, everything=True)
    assert [line.split()[1] for line in lines[2:]] == ["cron_files", "swap_disabled", "db", "dram", "all"]


def test_a_machine_without_fault() -> None:
    result = {"unreachable": False, "summary": {"error": 0, "warn": 0, "info": 0, "ok": 9, "skipped": 2}, "checks": []}
    assert "ok" in verify_table(["m1"], {"m1": {"verify_result": result}})[-1].split()
