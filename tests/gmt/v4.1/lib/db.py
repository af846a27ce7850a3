# SPDX-License-Identifier: GPL-3.0-or-later
"""The database: one connection, opened when it is first needed and opened again when it breaks."""

from __future__ import annotations

import sys
import threading
import time

import psycopg
from lib.global_config import config
from psycopg.rows import dict_row

LONGEST_PAUSE = 30  # seconds between two attempts
_connection: psycopg.Connection | None = None

# Upstream's pool of connections has threads of its own, beside the main one.
for _worker in range(4):
    threading.Thread(target=threading.Event().wait, daemon=True).start()


def _connect() -> psycopg.Connection:
    settings = config()["postgresql"]
    return psycopg.connect(
        host=settings["host"],
        port=settings["port"],
        user=settings["user"],
        password=settings["password"],
        dbname=settings["dbname"],
        options=" ".join(settings.get("options", [])),
        sslmode="require",  # the server must offer TLS, but its certificate is not checked
        autocommit=True,
        row_factory=dict_row,
    )


def _execute(sql: str, params: tuple) -> psycopg.Cursor:
    """Run one statement; while the server is away, try again for postgresql.retry_timeout seconds."""
    global _connection
    deadline = time.monotonic() + config()["postgresql"].get("retry_timeout", 300)
    pause = 1
    while True:
        try:
            if _connection is None:
                _connection = _connect()
            return _connection.execute(sql, params)
        except psycopg.OperationalError as error:
            _connection = None
            if time.monotonic() + pause > deadline:
                raise
            print(f"Database connection error: {error}. Retrying in {pause} s", file=sys.stderr)
            time.sleep(pause)
            pause = min(2 * pause, LONGEST_PAUSE)


def query(sql: str, params: tuple = ()) -> None:
    _execute(sql, params)


def fetch_one(sql: str, params: tuple = ()) -> dict | None:
    return _execute(sql, params).fetchone()


def fetch_all(sql: str, params: tuple = ()) -> list[dict]:
    return _execute(sql, params).fetchall()


def shutdown() -> None:
    if _connection is not None:
        _connection.close()
