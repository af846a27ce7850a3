# SPDX-License-Identifier: GPL-3.0-or-later
"""Each login of role jobs_db may read and write what the programs of each GMT release read and write with it."""

from __future__ import annotations

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
