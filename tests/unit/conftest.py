# SPDX-License-Identifier: GPL-3.0-or-later
"""Fixtures that more than one test file uses."""

from __future__ import annotations

import contextlib
import json
import os
import pwd
import random
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

# `ansible_collections.greenlab.cluster` is this checkout, through the link that ansible.cfg uses too.
COLLECTIONS = Path(__file__).resolve().parents[2] / ".lab/collections"
LINK = COLLECTIONS / "ansible_collections/greenlab/cluster"
if not LINK.exists():
    LINK.parent.mkdir(parents=True, exist_ok=True)
    LINK.symlink_to("../../../..", target_is_directory=True)
sys.path.insert(0, str(COLLECTIONS))

# Debian keeps each major version's programs apart and out of PATH.
POSTGRES_BIN = Path("/usr/lib/postgresql")

JOBS_DB = Path(__file__).resolve().parents[2] / "roles/jobs_db"


class Postgres:
    """A running throw-away PostgreSQL cluster.

    host  directory of its Unix socket; it listens on nothing else
    port  number in the socket's name
    user  superuser, needs no password
    restart(**settings)  cuts everybody off, and starts with other settings, or with the usual ones
    """

    def __init__(self, bin_dir: Path, host: str, port: int, user: str, restart: Callable[..., None]) -> None:
        self.bin_dir = bin_dir
        self.host = host
        self.port = port
        self.user = user
        self.restart = restart

    def dsn(self, db: str = "postgres") -> str:
        """Return a libpq connection string, for psycopg.connect() and the like."""
        return f"host={self.host} port={self.port} user={self.user} dbname={db}"

    def psql(self, *args: str, db: str = "postgres", stdin: str | None = None) -> str:
        """Run psql with `args` (or a script on stdin), fail on the first SQL error, return the bare output."""
        command = [str(self.bin_dir / "psql"), "-XqAt", "-v", "ON_ERROR_STOP=1", "-d", self.dsn(db), *args]
        done = subprocess.run(command, input=stdin, capture_output=True, encoding="utf8", check=False)
        assert done.returncode == 0, f"psql {args}: {done.stderr}"
        return done.stdout

    def create_db(self, name: str) -> str:
        """Make an empty database, whatever was there before, and return its connection string."""
        self.drop_db(name)
        self.psql("-c", f'CREATE DATABASE "{name}"')
        return self.dsn(name)

    def drop_db(self, name: str) -> None:
        self.psql("-c", f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')

    def load_gmt(self, structure_sql: Path, name: str) -> str:
        """Make a database with a GMT schema and return its connection string.

        GMT's file itself creates the database "green-coding" and enters it; here the rest of the file goes into a
        database of the test's own, so that tests do not meet.
        """
        lines = structure_sql.read_text(encoding="utf8").splitlines(keepends=True)
        own = [line for line in lines if not line.startswith(("CREATE DATABASE", "\\c "))]
        assert len(lines) - len(own) == 2, f"{structure_sql} does not begin as GMT's file does"
        dsn = self.create_db(name)
        self.psql(db=name, stdin="".join(own))
        return dsn

    def grant(self, db: str, login: str) -> None:
        """Make role jobs_db's `login` (client, server, ...) with its rights on a database that has a GMT schema."""
        import psycopg

        variables = yaml.safe_load((JOBS_DB / "vars/main.yml").read_text())
        self.psql(
            db=db,
            stdin=f"""
            DO $$ BEGIN CREATE ROLE {login} LOGIN; EXCEPTION WHEN duplicate_object THEN NULL; END $$;
            CREATE SCHEMA IF NOT EXISTS greenlab;
            CREATE TABLE IF NOT EXISTS greenlab.schema (); CREATE TABLE IF NOT EXISTS greenlab.holds ();
            CREATE TABLE IF NOT EXISTS greenlab.builds ()""",
        )
        role = variables["__jobs_db_roles"][login]
        values = {
            "grantee": login,
            "wanted": json.dumps(variables[f"__jobs_db_{login}_rights"]),
            "may_hold": role.get("may_hold", False),
            "on_database": json.dumps(["CONNECT", *role.get("on_database", [])]),
        }
        with psycopg.connect(self.dsn(db), autocommit=True) as connection:
            for (statement,) in connection.execute((JOBS_DB / "files/rights.sql").read_text(), values).fetchall():
                connection.execute(statement)


def newest_postgres() -> Path | None:
    found = [path.parent for path in POSTGRES_BIN.glob("*/bin/initdb")]
    if not found and (initdb := shutil.which("initdb")):
        found = [Path(initdb).resolve().parent]
    return max(found, key=lambda path: [int(n) for n in path.parent.name.split(".") if n.isdigit()], default=None)


@contextlib.contextmanager
def running_postgres() -> Iterator[Postgres]:
    """Start a PostgreSQL cluster, see class Postgres, and remove it in the end."""
    bin_dir = newest_postgres()
    if bin_dir is None:
        pytest.skip(f"no PostgreSQL server programs in {POSTGRES_BIN}/*/bin or PATH")
    # PostgreSQL refuses to run as root; pytest's own tmp_path is closed to everybody else.
    owner = "postgres" if os.geteuid() == 0 else pwd.getpwuid(os.geteuid()).pw_name
    drop: dict[str, Any] = {}
    if os.geteuid() == 0:
        drop = {"user": owner, "group": pwd.getpwnam(owner).pw_gid, "extra_groups": []}
    base = Path(tempfile.mkdtemp(prefix="pg-"))
    shutil.chown(base, owner)
    base.chmod(0o755)  # other users connect to the socket in it
    port = random.randint(20000, 60000)

    def run(program: str, *args: str) -> None:
        command = [str(bin_dir / program), "-D", str(base / "data"), *args]
        done = subprocess.run(
            command, check=False, cwd=base, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **drop
        )
        assert done.returncode == 0, f"{command}: {done.stdout}"

    def start(action: str, **settings: str) -> None:
        usual = {"port": port, "listen_addresses": "", "unix_socket_directories": base}
        fast = dict.fromkeys(["fsync", "synchronous_commit", "full_page_writes"], "off")
        options = " ".join(f"-c {name}={value}" for name, value in {**usual, **fast, **settings}.items())
        # The log goes to a file: a server that keeps our pipe open would keep us waiting for its end.
        run("pg_ctl", "-w", "-l", str(base / "log"), "-m", "fast", "-o", options, action)

    def restart(**settings: str) -> None:
        start("restart", **settings)

    try:
        run("initdb", "--auth=trust", "--username=postgres", "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync")
        start("start")
        try:
            yield Postgres(bin_dir, str(base), port, "postgres", restart)
        finally:
            run("pg_ctl", "-w", "-m", "immediate", "stop")
    finally:
        shutil.rmtree(base)


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A PostgreSQL cluster for the whole session. Databases in it are the tests' own affair."""
    with running_postgres() as server:
        yield server
