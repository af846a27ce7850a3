# SPDX-License-Identifier: GPL-3.0-or-later
"""A jobs DB of its own for each test, on a real PostgreSQL, with the schemas of two GMT releases."""

from __future__ import annotations

import itertools
import os
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from psycopg.rows import dict_row

STAND_IN = Path(__file__).resolve().parents[2] / "gmt"
NUMBERS = itertools.count()

# A local copy of GMT's repository, bare or not.
REAL_GMT = Path(os.environ.get("GMT_REPO", "/nowhere"))


class JobsDB:
    """A jobs DB: run a module on it, look at its rows, undo nothing (the test has it for itself)."""

    def __init__(self, name: str, dsn: str, login: dict[str, Any]) -> None:
        self.name = name
        self.dsn = dsn
        self.login = login
        self.connect()

    def connect(self) -> None:
        """Connect the test itself; needed again when the server was restarted."""
        self.connection = psycopg.connect(self.dsn, row_factory=dict_row, autocommit=True)

    def sql(self, query: Any, *values: Any) -> list[dict[str, Any]]:
        cursor = self.connection.execute(query, values or None)
        return cursor.fetchall() if cursor.description else []

    def options(self, argument_spec: dict[str, Any], **options: Any) -> dict[str, Any]:
        """Return the options as Ansible hands them to the module: checked, converted, with defaults."""
        result = ArgumentSpecValidator(argument_spec).validate({**self.login, **options})
        assert not result.error_messages, result.error_messages
        return result.validated_parameters

    def machines(self) -> list[tuple[int, str, bool]]:
        return [(r["id"], r["description"], r["available"]) for r in self.sql("SELECT * FROM machines ORDER BY id")]

    def machines_of(self, user: str) -> list[int]:
        return self.sql("SELECT capabilities->'machines' AS machines FROM users WHERE name = %s", user)[0]["machines"]

    def everything(self, locks: bool = False) -> dict[str, Any]:
        """Return all rows with their place and writer: a row that was written, even with equal values, differs.

        With `locks` rows that were only locked differ too.
        """
        tables = [row["name"] for row in self.sql("SELECT relname AS name FROM pg_stat_user_tables ORDER BY 1")]
        columns = "ctid::text AS place, xmin::text AS writer, " + ("xmax::text AS locker, " if locks else "")
        found: dict[str, Any] = {name: self.sql(f'SELECT {columns}* FROM "{name}"') for name in tables}
        found["sequence"] = self.sql("SELECT last_value, is_called FROM machines_id_seq")
        return found


@pytest.fixture(scope="session")
def jobs_db_template(postgres: Any) -> Callable[[Path], str]:
    """Load a schema once; a copy of a database is faster than its SQL file."""
    names: dict[Path, str] = {}

    def template(structure_sql: Path) -> str:
        if structure_sql not in names:
            name = f"template_{len(names)}"
            postgres.load_gmt(structure_sql, name)
            names[structure_sql] = name
        return names[structure_sql]

    return template


@pytest.fixture
def make_jobs_db(postgres: Any, jobs_db_template: Callable[[Path], str]) -> Iterator[Callable[[Path], JobsDB]]:
    made: list[JobsDB] = []

    def make(structure_sql: Path) -> JobsDB:
        name = f"jobs-db {next(NUMBERS)}"
        postgres.psql("-c", f'CREATE DATABASE "{name}" TEMPLATE "{jobs_db_template(structure_sql)}" STRATEGY file_copy')
        login = {
            "login_unix_socket": postgres.host,
            "login_port": postgres.port,
            "login_user": postgres.user,
            "login_db": name,
        }
        made.append(JobsDB(name, postgres.dsn(f"'{name}'"), login))
        return made[-1]

    yield make
    for db in made:
        db.connection.close()
        postgres.drop_db(db.name)


@pytest.fixture
def jobs_db(make_jobs_db: Callable[[Path], JobsDB]) -> JobsDB:
    """The current release: users, status columns, an identity."""
    return make_jobs_db(STAND_IN / "v4.1/docker/structure.sql")


@pytest.fixture
def old_jobs_db(make_jobs_db: Callable[[Path], JobsDB]) -> JobsDB:
    """The first release of the cluster: no users, no status columns, jobs with flags, a serial."""
    return make_jobs_db(STAND_IN / "v0.16/docker/structure.sql")


@pytest.fixture(params=["v0.16", "v4.1"])
def any_jobs_db(request: pytest.FixtureRequest, make_jobs_db: Callable[[Path], JobsDB]) -> JobsDB:
    return make_jobs_db(STAND_IN / f"{request.param}/docker/structure.sql")


@pytest.fixture
def real_jobs_db(make_jobs_db: Callable[[Path], JobsDB], tmp_path: Path) -> Callable[[str], JobsDB]:
    """Make a jobs DB with the schema of a tag of the real GMT; skip where there is no such tag."""
    if not REAL_GMT.is_dir():
        pytest.skip("GMT_REPO does not name a local copy of GMT's repository")

    def show(release: str, path: str) -> str | None:
        command = ["git", "-C", str(REAL_GMT), "show", f"{release}:{path}"]
        done = subprocess.run(command, check=False, capture_output=True, encoding="utf8")
        return done.stdout if done.returncode == 0 else None

    def make(release: str) -> JobsDB:
        # On main the one file has become three, and neither creates nor enters the database.
        parts = [show(release, f"docker/{name}.sql") for name in ("structure", "tables", "seed-data")]
        if parts[0] is None:
            pytest.skip(f"{REAL_GMT} has no {release}")
        text = "\n".join(part for part in parts if part)
        if parts[1]:
            text = f"CREATE DATABASE x;\n\\c x\n{text}"
        structure_sql = tmp_path / f"{release}.sql"
        structure_sql.write_text(text, encoding="utf8")
        return make_jobs_db(structure_sql)

    return make


@pytest.fixture
def in_threads() -> Callable[..., list[Any]]:
    """Start calls at the same moment; return their results or errors in the same order."""

    def run(*calls: Callable[[], Any]) -> list[Any]:
        results: list[Any] = [None] * len(calls)
        barrier = threading.Barrier(len(calls))

        def work(place: int) -> None:
            barrier.wait()
            try:
                results[place] = calls[place]()
            except Exception as exc:
                results[place] = exc

        threads = [threading.Thread(target=work, args=[place]) for place in range(len(calls))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return results

    return run


@pytest.fixture
def statements(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Everything that a connection executes from now on, the test's own statements too."""
    seen: list[Any] = []
    execute = psycopg.Connection.execute

    def record(connection: Any, query: Any, *args: Any, **options: Any) -> Any:
        seen.append(query)
        return execute(connection, query, *args, **options)

    monkeypatch.setattr(psycopg.Connection, "execute", record)
    return seen
