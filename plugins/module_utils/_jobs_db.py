# Copyright (c) 2026, the greenlab.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The jobs DB: how to connect to it, what its schema has, and what its errors mean.

Everything that talks to the jobs DB opens one `transaction` and raises `JobsDBError`, whose text says
what is wrong and what to do, and never holds the password.
"""

from __future__ import annotations

import contextlib
import re
import time
import traceback
import typing as t

from ansible.module_utils.basic import missing_required_lib

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    import psycopg

    Row = dict[str, t.Any]
    Connection = psycopg.Connection[Row]
    Result = t.TypeVar("Result")

SSL_MODES = ["disable", "allow", "prefer", "require", "verify-ca", "verify-full"]

# What we read or write of GMT's schema. Other tables are of no concern to us.
TABLES = [
    "machines",
    "jobs",
    "runs",
    "projects",
    "client_status",
    "users",
    "watchlist",
    "timeline_projects",
    "categories",
    "cluster_changelog",
]

# Every release since v0.15 has these; without them it is not a jobs DB.
REQUIRED_COLUMNS = {
    "machines": {"id", "description", "available"},
    "jobs": {"id", "machine_id"},
    "client_status": {"id", "machine_id", "status_code", "created_at"},
}

# Long enough for another operator's batch, short enough not to hang behind a forgotten session.
LOCK_TIMEOUT_SECONDS = 30

# Any number will do that nobody else in this database takes: the first four bytes of sha256("greenlab.cluster").
LOCK_KEY = 0x91FFC845

# A server that restarts takes a moment; the second try of a report waits that long for it.
PAUSE_BEFORE_REPEATING_SECONDS = 1.0

MINIMUM_PSYCOPG = (3, 1)


class JobsDBError(Exception):
    """What is wrong with the jobs DB or the request, and what to do: ready to be shown to the operator."""


class ConnectionLost(JobsDBError):
    """The connection broke in the middle of the transaction; whether it was committed is not known."""


class MissingLibrary(JobsDBError):
    """psycopg is missing or too old. `details` is the traceback for `fail_json(exception=…)`."""

    def __init__(self, message: str, details: str) -> None:
        super().__init__(message)
        self.details = details


def jobs_db_argument_spec() -> dict[str, dict[str, t.Any]]:
    """Return the connection options, named as in community.postgresql (documented in doc_fragments/jobs_db.py)."""
    return {
        "login_host": {"type": "str"},
        "login_port": {"type": "int", "default": 5432},
        "login_user": {"type": "str", "default": "postgres"},
        "login_password": {"type": "str", "no_log": True},
        "login_db": {"type": "str", "default": "green-coding"},
        "login_unix_socket": {"type": "path"},
        "ssl_mode": {"type": "str", "default": "prefer", "choices": list(SSL_MODES)},
        "ca_cert": {"type": "path"},
        "connect_timeout": {"type": "int", "default": 10},
    }


def load_psycopg() -> t.Any:
    """Import psycopg only when a connection is wanted: the import alone costs a fifth of a second."""
    reason = "to talk to the jobs DB (Debian and Ubuntu: python3-psycopg; PyPI: psycopg[binary])"
    try:
        import psycopg  # noqa: PLC0415
        import psycopg.rows  # noqa: PLC0415
        import psycopg.sql  # noqa: PLC0415
    except ImportError as exc:
        raise MissingLibrary(missing_required_lib("psycopg", reason=reason), traceback.format_exc()) from exc
    found = tuple(int(part) for part in re.findall(r"\d+", psycopg.__version__)[:2])
    if found < MINIMUM_PSYCOPG:
        wanted = ".".join(str(part) for part in MINIMUM_PSYCOPG)
        raise MissingLibrary(
            f"psycopg {psycopg.__version__} is too old: {missing_required_lib(f'psycopg >= {wanted}', reason=reason)}",
            "",
        )
    return psycopg


def connection_parameters(params: Mapping[str, t.Any]) -> dict[str, t.Any]:
    """Translate the options into libpq's names; raise `JobsDBError` for options that contradict each other."""
    host, socket = params.get("login_host"), params.get("login_unix_socket")
    if host and socket:
        raise JobsDBError(
            f"login_host ({host}) and login_unix_socket ({socket}) are both set: set one of them to an empty string."
        )
    if params["connect_timeout"] < 2:
        raise JobsDBError(
            f"connect_timeout is {params['connect_timeout']}: use 2 seconds or more"
            " (libpq cannot wait less, and takes 0 for ever)."
        )
    wanted = {
        "host": host or socket,
        "port": params["login_port"],
        "user": params["login_user"],
        "password": params.get("login_password"),
        "dbname": params["login_db"],
        "sslmode": params["ssl_mode"],
        "sslrootcert": params.get("ca_cert"),
        "connect_timeout": params["connect_timeout"],
        "application_name": "greenlab.cluster",
        # Descriptions are compared as text, whatever the client's locale says.
        "client_encoding": "utf8",
    }
    # What is left out is libpq's own business: PGHOST, a service file, .pgpass.
    return {key: value for key, value in wanted.items() if value not in (None, "")}


@contextlib.contextmanager
def transaction(
    params: Mapping[str, t.Any], commit: bool = True, read_only: bool = False, safe_to_repeat: bool = True
) -> Iterator[Connection]:
    """Open a connection for exactly one transaction; rows are dicts.

    With `commit=False` (check mode) the same statements run and are rolled back, so what they returned is the truth.
    An error of any kind rolls everything back. Errors of psycopg become `JobsDBError`. Nothing that writes is tried
    twice: when the connection breaks at the commit, nobody knows whether it took place. `safe_to_repeat` only chooses
    what the operator is told then.
    """
    psycopg = load_psycopg()
    where = connection_parameters(params)
    try:
        connection = psycopg.connect(**where, row_factory=psycopg.rows.dict_row)
    except psycopg.Error as exc:
        raise JobsDBError(_explain_connect_error(str(exc), params)) from exc
    try:
        # Set here, because the server's defaults may differ. Whoever waited for a lock must see what the other
        # one committed (READ COMMITTED); a report must not change between two queries (REPEATABLE READ).
        level = psycopg.IsolationLevel.REPEATABLE_READ if read_only else psycopg.IsolationLevel.READ_COMMITTED
        connection.isolation_level = level
        connection.read_only = read_only
        # Lists are joined as wholes. Just after a thousand rows were written the planner knows nothing of them, and
        # would compare each with each: seconds instead of milliseconds.
        connection.execute(
            "SELECT set_config('TimeZone', 'UTC', true), set_config('lock_timeout', %s, true),"
            " set_config('enable_nestloop', 'off', true)",
            [f"{LOCK_TIMEOUT_SECONDS}s"],
        )
        yield connection
        if commit:
            connection.commit()
        else:
            connection.rollback()
    except psycopg.Error as exc:
        raise _statement_error(exc, params, safe_to_repeat or not commit) from exc
    finally:
        connection.close()


def report(params: Mapping[str, t.Any], work: Callable[[Connection, Schema], Result]) -> Result:
    """Return what `work` reads, all of it at one moment; when the connection breaks, begin once more.

    For reading only: nothing can be done twice.
    """

    def once() -> Result:
        with transaction(params, commit=False, read_only=True) as connection:
            return work(connection, read_schema(connection, params))

    try:
        return once()
    except ConnectionLost:
        time.sleep(PAUSE_BEFORE_REPEATING_SECONDS)
        return once()


def take_turns(connection: Connection) -> None:
    """Let operators write one after the other, until the end of the transaction.

    Not LOCK TABLE: clients write their status to the same tables and must never wait for us.
    """
    connection.execute("SELECT pg_advisory_xact_lock(%s)", [LOCK_KEY])


def new_ids(connection: Connection, table: str, count: int, commit: bool) -> list[int]:
    """Return the ids of the next `count` rows of a table.

    A rollback does not give numbers back to a sequence, so check mode only looks which ones would come.
    """
    if commit:
        query = "SELECT nextval(pg_get_serial_sequence(%s, 'id')) AS id FROM generate_series(1, %s)"
        return sorted(row["id"] for row in connection.execute(query, [table, count]))
    sql = load_psycopg().sql
    sequence = connection.execute(
        """
        SELECT namespaces.nspname AS schema, classes.relname AS name, sequences.seqincrement AS step
        FROM pg_catalog.pg_class AS classes
        JOIN pg_catalog.pg_namespace AS namespaces ON namespaces.oid = classes.relnamespace
        JOIN pg_catalog.pg_sequence AS sequences ON sequences.seqrelid = classes.oid
        WHERE classes.oid = pg_get_serial_sequence(%s, 'id')::regclass
        """,
        [table],
    ).fetchone()
    if sequence is None:
        raise JobsDBError(f"{table}.id has no sequence that numbers new rows: restore it as GMT's schema has it.")
    query = sql.SQL(
        "SELECT last_value + (place + is_called::integer) * %s AS id FROM {0}, generate_series(0, %s - 1) AS place"
    ).format(sql.Identifier(sequence["schema"], sequence["name"]))
    return sorted(row["id"] for row in connection.execute(query, [sequence["step"], count]))


class Schema:
    """Which of GMT's tables and columns this database has: what a release lacks is left out, never guessed."""

    def __init__(self, columns: Mapping[str, set[str]]) -> None:
        self._columns = columns

    def has(self, table: str, *columns: str) -> bool:
        """Tell whether the table exists, with all the columns given."""
        return table in self._columns and self._columns[table].issuperset(columns)

    @property
    def job_columns(self) -> list[str]:
        """Columns of `jobs` that tell an operator which job it is, as far as the release has them."""
        return [name for name in ("id", "machine_id", "type", "name", "url", "project_id") if self.has("jobs", name)]

    def jobs_in_state(self, state: str) -> str:
        """Return the SQL condition for measurement jobs that are `waiting` or `running`; mails are not counted.

        Up to v0.18 a job had two flags instead of a state, and was deleted when it was done.
        """
        if self.has("jobs", "state"):
            condition = {"waiting": "jobs.state = 'WAITING'", "running": "jobs.state = 'RUNNING'"}[state]
            # Between v0.19 and v0.23 there was no type: a job was a measurement with a mail at its end.
            return f"({condition} AND jobs.type = 'run')" if self.has("jobs", "type") else f"({condition})"
        flags = {
            "waiting": "jobs.running IS NOT TRUE AND jobs.failed IS NOT TRUE",
            "running": "jobs.running AND jobs.failed IS NOT TRUE",
        }[state]
        return f"({flags} AND jobs.type = 'project')"


def read_schema(connection: Connection, params: Mapping[str, t.Any]) -> Schema:
    """Read tables and columns in one query; raise `JobsDBError` when this is not the schema of a known GMT release."""
    rows = connection.execute(
        """
        SELECT tables.relname AS "table", array_agg(columns.attname::text) AS columns
        FROM pg_catalog.pg_class AS tables
        JOIN pg_catalog.pg_attribute AS columns ON columns.attrelid = tables.oid
        WHERE tables.relname = ANY(%s) AND tables.relkind IN ('r', 'p', 'v')
            AND pg_catalog.pg_table_is_visible(tables.oid)
            AND columns.attnum > 0 AND NOT columns.attisdropped
        GROUP BY tables.relname
        """,
        [TABLES],
    ).fetchall()
    found = {row["table"]: set(row["columns"]) for row in rows}
    missing = [f"table {table}" for table in REQUIRED_COLUMNS if table not in found]
    if missing:
        raise JobsDBError(
            f"Database '{params['login_db']}' at {_server(params)} has no GMT schema that user '{params['login_user']}'"
            f" can see: {', '.join(missing)} missing. Name the right database in login_db, or load the SQL files of the"
            " GMT release into it (the role jobs_db does), or grant the user USAGE on the schema."
        )
    lacking = [
        f"{table}.{column}"
        for table, required in REQUIRED_COLUMNS.items()
        for column in sorted(required - found[table])
    ]
    if not found["jobs"].issuperset({"state"}) and not found["jobs"].issuperset({"running", "failed", "type"}):
        lacking.append("jobs.state")
    if lacking:
        raise JobsDBError(
            f"Database '{params['login_db']}' at {_server(params)} has tables of an unknown GMT release:"
            f" {', '.join(lacking)} missing. Known are v0.16 to v4.1; name the right database in login_db,"
            " or upgrade the schema to one of these releases."
        )
    return Schema(found)


def as_one_message(subject: str, problems: Sequence[str], limit: int = 20) -> str:
    """Join problems so that the operator sees them all at once, and still finds the end of the message."""
    shown = list(problems[:limit])
    if len(problems) > limit:
        shown.append(f"… and {len(problems) - limit} more.")
    return f"{subject} Nothing was changed. " + " ".join(shown)


def _server(params: Mapping[str, t.Any]) -> str:
    host = params.get("login_host") or params.get("login_unix_socket") or "the local socket"
    return f"{host}, port {params['login_port']}"


def _without_password(text: str, params: Mapping[str, t.Any]) -> str:
    """Make sure of it: libpq does not print passwords today."""
    password = params.get("login_password")
    return text.replace(password, "********") if password else text


# libpq gives no SQLSTATE for a connection that was never made, so its words are all there is.
# An unknown text (a server may speak another language) is shown as it is, with the general advice.
_CONNECT_ERRORS = [
    (
        r"password authentication failed|no password supplied",
        (
            "The jobs DB refused user '{user}' at {server}: the password is wrong or missing. Correct login_user and"
            " login_password."
        ),
    ),
    (
        r"(Peer|Ident|GSSAPI|Certificate|certificate|SCRAM|LDAP|PAM) authentication failed",
        (
            "The jobs DB refused user '{user}' at {server} for who the caller is. Run the task as that system user"
            " (become_user), or set login_host and login_password."
        ),
    ),
    (
        r"no pg_hba\.conf entry|pg_hba\.conf rejects",
        (
            "The jobs DB at {server} lets nobody in from this address as user '{user}' to '{db}'. Add this network to"
            " pg_hba.conf; where only TLS is let in, set ssl_mode to require."
        ),
    ),
    (
        r'database ".*" does not exist',
        "There is no database '{db}' at {server}. Correct login_db, or create the jobs DB first (role jobs_db).",
    ),
    (
        r'role ".*" does not exist|role ".*" is not permitted to log in',
        (
            "There is no user '{user}' who may log in at {server}. Correct login_user, or create the role first"
            " (role jobs_db)."
        ),
    ),
    (
        r"permission denied for database",
        "User '{user}' may not connect to database '{db}' at {server}. Grant CONNECT on it, or correct login_user.",
    ),
    (
        r"certificate|SSL|TLS",
        (
            "No trusted TLS connection to the jobs DB at {server} (ssl_mode {ssl_mode}). Check ca_cert, the name and"
            " the date of the server's certificate, and that the server has TLS switched on."
        ),
    ),
    (
        r"too many clients|connection slots|too many connections",
        "The jobs DB at {server} has no free connection. Close idle sessions, or raise max_connections.",
    ),
    (
        (
            r"could not translate host name|Name or service not known|[Tt]emporary failure in name resolution"
            r"|failed to resolve host"
        ),
        "The name of the jobs DB's server ({server}) is unknown here. Correct login_host, or the name resolution.",
    ),
    (
        (
            r"timeout expired|timed out|refused|[Nn]o route to host|unreachable|No such file or directory"
            r"|starting up|shutting down|server closed the connection"
        ),
        (
            "The jobs DB at {server} cannot be reached. Check that PostgreSQL runs and listens there, login_host and"
            " login_port (GMT's own container listens on 9573), and the firewall."
        ),
    ),
]

_ANY_CONNECT_ERROR = (
    "Cannot connect to the jobs DB '{db}' at {server} as user '{user}'. Check that PostgreSQL runs there, and the"
    " options login_host, login_port, login_user, login_password, login_db and ssl_mode."
)


def _explain_connect_error(text: str, params: Mapping[str, t.Any]) -> str:
    advice = next((words for pattern, words in _CONNECT_ERRORS if re.search(pattern, text)), _ANY_CONNECT_ERROR)
    said = _without_password(" ".join(text.split()), params)
    return (
        advice.format(
            server=_server(params), user=params["login_user"], db=params["login_db"], ssl_mode=params["ssl_mode"]
        )
        + f" The server or libpq said: {said}"
    )


_STATEMENT_ERRORS = {
    "42501": "User '{user}' lacks a privilege in the jobs DB '{db}' at {server}. Connect as the owner of the tables, or"
    " grant it.",
    "42P01": "The jobs DB '{db}' at {server} lacks a table: is its schema that of a known GMT release?",
    "42703": "The jobs DB '{db}' at {server} lacks a column: is its schema that of a known GMT release?",
    "55P03": "Somebody else has held a lock in the jobs DB '{db}' at {server} for {lock_timeout} seconds: another"
    " operator's run, or a forgotten session (see pg_stat_activity). Run again when it has ended.",
    "40P01": "Another session and this one waited for each other in the jobs DB '{db}' at {server}. Run again.",
    "57014": "The jobs DB at {server} cancelled a statement (statement_timeout?). Look for what makes it slow"
    " (pg_stat_activity), or raise the timeout of user '{user}'.",
    "53100": "The disk of the jobs DB at {server} is full. Free some space there and run again.",
    "25006": "The jobs DB at {server} only lets read: it is a standby, or read-only by default. Name the primary server"
    " in login_host.",
}

_CONNECTION_LOST = (
    "The connection to the jobs DB at {server} was lost in the middle of the call. Half a change is never kept; check"
    " that PostgreSQL runs and run again: repeating is safe."
)

_CONNECTION_LOST_UNSAFE = (
    "The connection to the jobs DB at {server} was lost in the middle of the call. Half a change is never kept, but all"
    " of it may have been: check that PostgreSQL runs and look with gmt_job_info before you run again, repeating is not"
    " safe."
)


def _statement_error(exc: psycopg.Error, params: Mapping[str, t.Any], safe_to_repeat: bool) -> JobsDBError:
    psycopg = load_psycopg()
    state = exc.sqlstate or ""
    kind = JobsDBError
    if state in _STATEMENT_ERRORS:
        advice = _STATEMENT_ERRORS[state]
    elif isinstance(exc, psycopg.OperationalError) and (not state or state[:2] in ("08", "57")):
        kind = ConnectionLost
        advice = _CONNECTION_LOST if safe_to_repeat else _CONNECTION_LOST_UNSAFE
    else:
        advice = "The jobs DB '{db}' at {server} refused a statement" + (f" (SQLSTATE {state})." if state else ".")
    said = _without_password(" ".join((exc.diag.message_primary or str(exc)).split()), params)
    return kind(
        advice.format(
            server=_server(params),
            user=params["login_user"],
            db=params["login_db"],
            lock_timeout=LOCK_TIMEOUT_SECONDS,
        )
        + f" The server or libpq said: {said}"
    )
