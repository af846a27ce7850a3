# SPDX-License-Identifier: GPL-3.0-or-later
"""Roles gmt_client and gmt_cron see crontabs that take jobs, and no others: the pattern, with the real grep."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
import yaml

ROLES = Path(__file__).resolve().parents[3] / "roles"
GREP, OTHER = (
    yaml.safe_load((ROLES / role / "vars/main.yml").read_text(encoding="utf8"))[f"__{role}_by_hand"]
    for role in ("gmt_client", "gmt_cron")
)
CHECKOUT = "/home/gc/green-metrics-tool"


def lines_found(folder: Path) -> list[str]:
    command = [*(part for part in GREP if not part.startswith("/")), str(folder)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode < 2, done.stderr
    return done.stdout.splitlines()


@pytest.mark.parametrize(
    "line",
    [
        f"*/15 * * * * {CHECKOUT}/venv/bin/python3 {CHECKOUT}/cron/jobs.py run",
        f"*/15 * * * * python3 {CHECKOUT}/tools/jobs.py project &>> /var/log/jobs.log",
        f"* * * * * gc cd {CHECKOUT} && venv/bin/python3 'tools/jobs.py' run --skip-system-checks",
        f"\t* * * * * python3 {CHECKOUT}/cron/jobs.py  run",
    ],
)
def test_a_crontab_that_takes_jobs_is_found(tmp_path: Path, line: str) -> None:
    (tmp_path / "gc").write_text(f"MAILTO=ada\n{line}\n")
    assert lines_found(tmp_path) == [f"{tmp_path}/gc:{line}"]


@pytest.mark.parametrize(
    "line",
    [
        f"*/7 * * * * python3 {CHECKOUT}/cron/jobs.py email",
        f"*/7 * * * * python3 {CHECKOUT}/cron/jobs.py email-simple",
        f"# */15 * * * * python3 {CHECKOUT}/cron/jobs.py run",
        f"*/7 * * * * python3 {CHECKOUT}/cron/watchlist.py run",
        "*/7 * * * * python3 other_jobs.pyx run",
    ],
)
def test_any_other_line_is_not(tmp_path: Path, line: str) -> None:
    (tmp_path / "gc").write_text(f"{line}\n")
    assert lines_found(tmp_path) == []


def test_the_crontab_of_role_gmt_cron_is_looked_for_elsewhere(tmp_path: Path) -> None:
    (tmp_path / "green-metrics-tool").write_text(f"* * * * * gc python3 {CHECKOUT}/cron/jobs.py run\n")
    assert lines_found(tmp_path) == []


def test_both_roles_look_for_the_same() -> None:
    assert GREP == OTHER
