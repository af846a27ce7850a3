# SPDX-License-Identifier: GPL-3.0-or-later
"""The connection to the jobs DB: each thing that can be wrong has its own words, and none holds the password."""

from __future__ import annotations

import contextlib
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
import yaml

from ansible_collections.greenlab.cluster.plugins.doc_fragments.jobs_db import ModuleDocFragment
from ansible_collections.greenlab.cluster.plugins.module_utils import _jobs_db

PASSWORD = "hunter2' $(touch x) \\ secret"


def failure(db: Any, work: Callable[[Any], Any] | None = None, **options: Any) -> str:
    """Return the error of a transaction that reads the schema and does the work."""
    params = db.options(_jobs_db.jobs_db_argument_spec(), **{"login_password": PASSWORD, **options})
    with pytest.raises(_jobs_db.JobsDBError) as error, _jobs_db.transaction(params) as connection:
        _jobs_db.read_schema(connection, params)
        if work:
            work(connection)
    assert PASSWORD not in str(error.value)
    return str(error.value)


# Connecting -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def roles(postgres: Any) -> Iterator[None]:
    """Roles that must show a password; the cluster of the tests trusts everybody else."""
    hba = Path(postgres.host) / "data/pg_hba.conf"
    trusting = hba.read_text(encoding="utf8")
    hba.write_text(
        f"local all keeper scram-sha-256\nlocal all stranger reject\nlocal all peer peer\n{trusting}", encoding="utf8"
    )
    postgres.psql(
        stdin="CREATE ROLE keeper LOGIN PASSWORD 'right'; CREATE ROLE stranger LOGIN; CREATE ROLE peer LOGIN;"
        " CREATE ROLE guest LOGIN; SELECT pg_reload_conf()"
    )
    yield
    hba.write_text(trusting, encoding="utf8")
    postgres.psql(stdin="DROP ROLE keeper, stranger, peer, guest; SELECT pg_reload_conf()")


@contextlib.contextmanager
def server_that_answers(answer: bytes | None) -> Iterator[int]:
    """Listen on a port of this computer; answer each first packet, or keep silent, as a hanging server does."""
    done = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.settimeout(0.1)

        def serve() -> None:
            while not done.is_set():
                try:
                    client = listener.accept()[0]
                except TimeoutError:
                    continue
                with client:
                    if answer is None:
                        done.wait()
                    else:
                        client.recv(1024)
                        client.sendall(answer)

        thread = threading.Thread(target=serve)
        thread.start()
        yield listener.getsockname()[1]
        done.set()
        thread.join()


def test_wrong_password(jobs_db: Any, roles: None) -> None:
    message = failure(jobs_db, login_user="keeper")
    assert "refused user 'keeper'" in message
    assert "the password is wrong or missing. Correct login_user and login_password." in message
    assert "fe_sendauth: no password supplied" in failure(jobs_db, login_user="keeper", login_password="")


def test_right_password(jobs_db: Any, roles: None) -> None:
    params = jobs_db.options(_jobs_db.jobs_db_argument_spec(), login_user="keeper", login_password="right")
    with _jobs_db.transaction(params) as connection:
        assert connection.execute("SELECT current_user AS name").fetchone() == {"name": "keeper"}


def test_who_is_not_let_in(jobs_db: Any, roles: None) -> None:
    assert "Run the task as that system user (become_user)" in failure(jobs_db, login_user="peer")
    assert "Add this network to pg_hba.conf" in failure(jobs_db, login_user="stranger")
    assert "There is no user 'nobody' who may log in" in failure(jobs_db, login_user="nobody")


def test_missing_database(jobs_db: Any) -> None:
    message = failure(jobs_db, login_db="nothing here")
    assert "There is no database 'nothing here' at" in message
    assert "Correct login_db, or create the jobs DB first" in message


def test_no_right_to_connect(jobs_db: Any, roles: None) -> None:
    jobs_db.sql(f'REVOKE CONNECT ON DATABASE "{jobs_db.name}" FROM PUBLIC')
    assert "User 'guest' may not connect to database" in failure(jobs_db, login_user="guest")


def test_unreachable_server(jobs_db: Any, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
    places: list[dict[str, Any]] = [
        {"login_host": "127.0.0.1", "login_unix_socket": ""},
        {"login_unix_socket": str(tmp_path)},
    ]
    for where in places:
        message = failure(jobs_db, login_port=port, **where)
        assert f"port {port} cannot be reached. Check that PostgreSQL runs and listens there" in message


def test_hanging_server_is_given_up(jobs_db: Any) -> None:
    with server_that_answers(None) as port:
        tcp: dict[str, Any] = {"login_host": "127.0.0.1", "login_unix_socket": "", "login_port": port}
        assert "cannot be reached" in failure(jobs_db, connect_timeout=2, **tcp)


def test_tls_is_asked_for_and_not_there(jobs_db: Any) -> None:
    with server_that_answers(b"N") as port:
        tcp: dict[str, Any] = {"login_host": "127.0.0.1", "login_unix_socket": "", "login_port": port}
        message = failure(jobs_db, ssl_mode="require", **tcp)
        assert "No trusted TLS connection to the jobs DB" in message
        assert "(ssl_mode require)" in message
        assert "ca_cert" in failure(jobs_db, ssl_mode="verify-full", ca_cert="/nowhere/ca.pem", **tcp)


@pytest.mark.parametrize(
    ("said", "advice"),
    [
        ('FATAL: no pg_hba.conf entry for host "10.0.0.1", user "x", database "y", no encryption', "pg_hba.conf;"),
        ("FATAL: sorry, too many clients already", "no free connection"),
        ("FATAL: the database system is starting up", "cannot be reached"),
        ("failed to resolve host 'db': [Errno -2] Name or service not known", "Correct login_host"),
        ("SSL error: certificate verify failed", "Check ca_cert"),
        # A server that speaks another language: its words, and general advice.
        ("FATAL: Passwort-Authentifizierung für Benutzer »x« fehlgeschlagen", "login_user, login_password, login_db"),
    ],
)
def test_words_of_servers(said: str, advice: str) -> None:
    params = {"login_port": 5432, "login_user": "x", "login_db": "{y}", "ssl_mode": "prefer"}
    message = _jobs_db._explain_connect_error(said, params)
    assert advice in message
    assert message.endswith(f"said: {said}")


def test_password_is_cut_out_of_what_the_server_says() -> None:
    params = {"login_port": 1, "login_user": "x", "login_db": "y", "ssl_mode": "prefer", "login_password": "hunter2"}
    assert "hunter2" not in _jobs_db._explain_connect_error("FATAL: what is hunter2?", params)


def test_options_that_contradict_each_other(jobs_db: Any) -> None:
    assert "set one of them to an empty string" in failure(jobs_db, login_host="db.example.org")
    assert "use 2 seconds or more" in failure(jobs_db, connect_timeout=0)


def test_missing_and_old_library(jobs_db: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(psycopg, "__version__", "3.0.18")
    assert "psycopg 3.0.18 is too old" in failure(jobs_db)
    monkeypatch.setitem(sys.modules, "psycopg", None)
    message = failure(jobs_db)
    assert "Failed to import the required Python library (psycopg)" in message
    assert "python3-psycopg" in message


# The schema -----------------------------------------------------------------------------------------------------------


def schema_of(db: Any) -> _jobs_db.Schema:
    params = db.options(_jobs_db.jobs_db_argument_spec())
    with _jobs_db.transaction(params, read_only=True) as connection:
        return _jobs_db.read_schema(connection, params)


def test_schema_of_the_releases(jobs_db: Any, old_jobs_db: Any) -> None:
    new, old = schema_of(jobs_db), schema_of(old_jobs_db)
    assert new.has("users")
    assert new.has("machines", "id", "status_code")
    assert not old.has("users")
    assert not old.has("machines", "id", "status_code")
    assert new.job_columns == ["id", "machine_id", "type", "name", "url"]
    assert old.job_columns == ["id", "machine_id", "type", "project_id"]


def test_jobs_between_the_releases() -> None:
    """v0.19 to v0.23 had a state and no type."""
    schema = _jobs_db.Schema({"jobs": {"id", "state"}})
    assert schema.jobs_in_state("waiting") == "(jobs.state = 'WAITING')"


def test_database_without_gmt(jobs_db: Any) -> None:
    jobs_db.sql("CREATE SCHEMA aside; ALTER TABLE client_status SET SCHEMA aside")
    message = failure(jobs_db)
    assert "has no GMT schema that user 'postgres' can see: table client_status missing" in message
    assert "Name the right database in login_db, or load the SQL files" in message
    empty = failure(jobs_db, login_db="postgres")
    assert "table machines, table jobs, table client_status missing" in empty


def test_tables_of_somebody_else(jobs_db: Any) -> None:
    jobs_db.sql("ALTER TABLE machines RENAME description TO label; ALTER TABLE jobs RENAME state TO phase")
    message = failure(jobs_db)
    assert "tables of an unknown GMT release: machines.description, jobs.state missing" in message


def test_no_right_to_see_the_schema(jobs_db: Any, roles: None) -> None:
    jobs_db.sql("REVOKE USAGE ON SCHEMA public FROM PUBLIC")
    assert "or grant the user USAGE on the schema" in failure(jobs_db, login_user="guest")


# The transaction ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("commit", [True, False])
def test_one_transaction(jobs_db: Any, commit: bool) -> None:
    params = jobs_db.options(_jobs_db.jobs_db_argument_spec())
    with _jobs_db.transaction(params, commit=commit) as connection:
        connection.execute("UPDATE machines SET description = 'new'")
        assert jobs_db.machines()[0][1] != "new"
    assert (jobs_db.machines()[0][1] == "new") is commit


def test_an_error_of_ours_rolls_back_and_closes(jobs_db: Any) -> None:
    params = jobs_db.options(_jobs_db.jobs_db_argument_spec())
    before = jobs_db.everything()
    with pytest.raises(KeyError), _jobs_db.transaction(params) as connection:
        connection.execute("UPDATE machines SET description = 'new'")
        raise KeyError
    assert connection.closed
    assert jobs_db.everything() == before


def test_defaults_of_the_server_do_not_matter(jobs_db: Any) -> None:
    """After waiting for another operator's lock, his rows must be seen: not so under SERIALIZABLE."""
    jobs_db.sql(
        f"""ALTER DATABASE "{jobs_db.name}" SET default_transaction_isolation = 'serializable';"""
        f""" ALTER DATABASE "{jobs_db.name}" SET default_transaction_read_only = on"""
    )
    params = jobs_db.options(_jobs_db.jobs_db_argument_spec())
    with _jobs_db.transaction(params) as connection:
        assert connection.execute("SHOW transaction_isolation").fetchone() == {
            "transaction_isolation": "read committed"
        }
        connection.execute("UPDATE machines SET description = 'new'")


@pytest.mark.parametrize(
    ("statement", "advice"),
    [
        ("SET LOCAL statement_timeout = 50; SELECT pg_sleep(5)", "cancelled a statement"),
        ("SET transaction_read_only = on; UPDATE machines SET available = true", "Name the primary server"),
        ("SELECT * FROM nothing", "lacks a table"),
        ("SELECT nothing FROM machines", "lacks a column"),
        ("SELECT 1 / 0", "refused a statement (SQLSTATE 22012). The server or libpq said: division by zero"),
        ("SET ROLE guest; SELECT * FROM users", "User 'postgres' lacks a privilege"),
    ],
)
def test_errors_of_statements(jobs_db: Any, roles: None, statement: str, advice: str) -> None:
    before = jobs_db.everything()
    assert advice in failure(jobs_db, lambda connection: connection.execute(statement))
    assert jobs_db.everything() == before


def test_server_that_goes_away(jobs_db: Any) -> None:
    def work(connection: Any) -> None:
        connection.execute("UPDATE machines SET description = 'new'")
        jobs_db.sql("SELECT pg_terminate_backend(%s)", connection.info.backend_pid)
        connection.execute("UPDATE machines SET available = false")

    before = jobs_db.everything()
    message = failure(jobs_db, work)
    assert "was lost in the middle of the call" in message
    assert "repeating is safe" in message
    assert jobs_db.everything() == before


# Documentation --------------------------------------------------------------------------------------------------------


def test_documentation_equals_the_options() -> None:
    documented = yaml.safe_load(ModuleDocFragment.DOCUMENTATION)["options"]
    spec = _jobs_db.jobs_db_argument_spec()
    assert list(documented) == list(spec)
    for name, option in spec.items():
        for key in ("type", "default", "choices"):
            assert documented[name].get(key) == option.get(key), name
    assert spec["login_password"]["no_log"]
