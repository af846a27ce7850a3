# SPDX-License-Identifier: GPL-3.0-or-later
"""One database connection per process. It is never re-opened: v0.16 dies when the database goes away."""

import functools

import psycopg
from global_config import config


@functools.cache
def _connection() -> psycopg.Connection:
    settings = config()["postgresql"]
    options = {key: settings[key] for key in ("user", "dbname", "password")}
    if settings["host"] is not None:
        options["host"] = settings["host"]
    return psycopg.connect(autocommit=True, **options)


def query(sql: str, params: tuple = ()) -> None:
    _connection().execute(sql, params)


def fetch_one(sql: str, params: tuple = ()):
    return _connection().execute(sql, params).fetchone()
