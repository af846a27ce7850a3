# SPDX-License-Identifier: GPL-3.0-or-later
"""Role jobs_db asks the distribution which PostgreSQL it has: no file names a version, but the least that will do."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROLE = Path(__file__).resolve().parents[3] / "roles/jobs_db"
FILES = [path for path in sorted(ROLE.rglob("*")) if path.suffix in {".yml", ".j2", ".sql"}]

# postgresql-15, postgresql@15-main, /etc/postgresql/15, 15/main
VERSION = re.compile(r"(postgres(ql)?(-client)?[-@/ ]v?|/pg_?)\d|\b\d+/main\b", re.IGNORECASE)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROLE)))
def test_no_version_is_written(path: Path) -> None:
    found = [line.strip() for line in path.read_text(encoding="utf8").splitlines() if VERSION.search(line)]
    assert [line for line in found if "15 or newer" not in line] == []


@pytest.mark.parametrize("line", ["name: postgresql-17", "/etc/postgresql/15/main", "postgresql@18-main", "17/main"])
def test_versions_are_recognised(line: str) -> None:
    assert VERSION.search(line)
