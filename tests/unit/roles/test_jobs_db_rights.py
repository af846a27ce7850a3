# SPDX-License-Identifier: GPL-3.0-or-later
"""Each login of role jobs_db may read and write what the programs of each GMT release read and write with it."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import psycopg
import pytest
import yaml

from ansible_collections.greenlab.cluster.plugins.plugin_utils import _releases

HERE = Path(__file__).resolve().parent
STRUCTURE = HERE.parents[1] / "gmt/v4.1/docker/structure.sql"
VERBS = ["SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE"]
USED = yaml.safe_load((HERE / "gmt_tables.yml").read_text())
# Columns that v4.1 no longer has, or tables that the stand-in's schema lacks.
OLD_COLUMNS = {"jobs": ["running", "failed", "last_run"], "measurements": ["phase"]}


@pytest.fixture(scope="module")
def db(postgres):
    """A database with the tables of all releases, and all logins."""
    dsn = postgres.load_gmt(STRUCTURE, "rights")
    with psycopg.connect(dsn, autocommit=True) as connection:
        for rows in USED.values():
            for row in rows:
                for table in {table for verb in VERBS for table in row.get(verb, [])}:
                    connection.execute(f"CREATE TABLE IF NOT EXISTS {table} (id serial)")
                    for column in row.get("columns", OLD_COLUMNS.get(table, [])):
                        connection.execute(f"ALTER TABLE {table} ADD COLUMN IF NOT EXISTS {column} text")
        for login in USED:
            postgres.grant("rights", login)
        yield connection
    postgres.drop_db("rights")


def allowed(db, login: str, verb: str, table: str, columns: list[str]) -> bool:
    if not columns:
        sql, values = "SELECT has_table_privilege(%s, %s, %s)", [(login, table, verb)]
    else:
        sql, values = "SELECT has_column_privilege(%s, %s, %s, %s)", [(login, table, name, verb) for name in columns]
    return all(db.execute(sql, value).fetchone()[0] for value in values)


@pytest.mark.parametrize("login", USED)
def test_a_login_may_do_what_its_programs_do(db, login):
    missing = [
        f"{row['since']}: {verb} {table} {row.get('columns', '')}"
        for row in USED[login]
        for verb in VERBS
        for table in row.get(verb, [])
        if not allowed(db, login, verb, table, row.get("columns", []))
    ]
    assert missing == []


@pytest.mark.parametrize("login", USED)
def test_a_new_row_gets_its_number(db, login):
    """Who may INSERT may use the sequences of the table."""
    tables = {table for row in USED[login] for table in row.get("INSERT", [])}
    sequences = db.execute(
        "SELECT pg_get_serial_sequence(table_name, column_name) FROM information_schema.columns "
        "WHERE table_schema = 'public' AND table_name = ANY(%s)",
        (sorted(tables),),
    ).fetchall()
    names = [name for (name,) in sequences if name]
    assert len(names) > len(tables) / 2
    assert [name for name in names if not db.execute(
        "SELECT has_sequence_privilege(%s, %s, 'USAGE')", (login, name)).fetchone()[0]] == []  # fmt: skip


def test_releases_of_the_list_are_releases():
    for row in (row for rows in USED.values() for row in rows):
        assert _releases.parse(row["since"]) <= _releases.parse(row.get("until", "main"))
        assert set(row) <= {"since", "until", "columns", *VERBS}


@pytest.mark.parametrize(("login", "table", "verb", "column"), [
    ("client", "users", "SELECT", "token"),
    ("client", "users", "UPDATE", "token"),
    ("client", "users", "INSERT", None),
    ("client", "runs", "DELETE", None),
    ("client", "machines", "DELETE", None),
    ("client", "jobs", "UPDATE", "url"),
    ("server", "jobs", "UPDATE", "url"),
    ("server", "runs", "DELETE", None),
    ("server", "users", "INSERT", None),
    ("manager", "phase_stats", "DELETE", None),
])  # fmt: skip
def test_a_login_may_do_no_more(db, login, table, verb, column):
    assert not allowed(db, login, verb, table, [column] if column else [])


# with the real tool ---------------------------------------------------------------------------------------------------

REAL_GMT = Path(os.environ.get("GMT_REPO", "/nowhere"))  # a local copy of GMT's repository
TAGS = [since for since, _changes in _releases.RELEASES if since != "v4.2"]
# Which files run with which login. The first that matches counts; None: tools for the hand of the database's owner.
PROGRAMS = [
    (r"(^|/)tests?/|tools/(prune_db|rebuild|update_commit|import_)", None),
    (r"carbondb|cron/backfill", "manager"),
    (r"^api/|watchlist|timeline_project|email|^lib/utils\.py|cron/check_|^lib/diff\.py", "server"),
    (r"powermetrics", None),  # macOS
    (r"", "client"),
]
# For the hand, or for tests: a run from the command line, and a new user.
BY_HAND = {"client: INSERT projects (runner.py)", "client: INSERT users (lib/user.py)"}
STATEMENTS = {
    "SELECT": r"(?:FROM|JOIN)\s+\"?(\w+)",
    "INSERT": r"(?:INSERT\s+INTO\s+\"?|copy_from\([^)]*table\s*=\s*['\"])(\w+)",
    "UPDATE": r"(?:^|[^N]\s)UPDATE\s+\"?(\w+)",
    "DELETE": r"DELETE\s+FROM\s+\"?(\w+)",
}


def real(*args: str) -> str:
    return subprocess.check_output(["git", *args], cwd=REAL_GMT, encoding="utf8", errors="replace")


@pytest.mark.slow
@pytest.mark.skipif(not REAL_GMT.is_dir(), reason="GMT_REPO does not name a local copy of GMT's repository")
@pytest.mark.parametrize("release", [*TAGS, "main"])
def test_the_sql_of_a_real_release_needs_nothing_else(db, release):
    tag = {"v1.4": "v1.4.0"}.get(release, release)
    schema = "".join(real("show", f"{tag}:{name}") for name in _releases.merged(release)["schema_files"])
    tables = set(re.findall(r"CREATE TABLE (?:IF NOT EXISTS )?\"?(\w+)", schema))
    missing = set()
    for file in real("ls-tree", "-r", "--name-only", tag).splitlines():
        login = next(login for pattern, login in PROGRAMS if re.search(pattern, file))
        if not file.endswith(".py") or login is None:
            continue
        text = real("show", f"{tag}:{file}")
        for verb, pattern in STATEMENTS.items():
            for table in tables & set(re.findall(pattern, text, re.I | re.M)):
                sql = "SELECT to_regclass(%s) IS NOT NULL AND (has_table_privilege(%s, %s, %s)"
                values = [table, login, table, verb]
                if verb != "DELETE":
                    sql += " OR has_any_column_privilege(%s, %s, %s)"
                    values += [login, table, verb]
                exists = db.execute("SELECT to_regclass(%s) IS NOT NULL", (table,)).fetchone()[0]
                if not exists or not db.execute(sql + ")", values).fetchone()[0]:
                    missing.add(f"{login}: {verb} {table} ({file})")
    assert sorted(missing - BY_HAND) == []
