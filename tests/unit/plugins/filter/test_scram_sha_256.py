# Copyright (c) 2026, the greenlab.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The verifier is the one that PostgreSQL itself would make: proved with the RFC's example and with a real server."""

from __future__ import annotations

import base64
import hashlib
import hmac
import random
import re
import sys
import typing as t
import uuid
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from ansible.errors import AnsibleFilterError
from psycopg import sql

from ansible_collections.greenlab.cluster.plugins.filter.scram_sha_256 import FilterModule
from ansible_collections.greenlab.cluster.plugins.plugin_utils import _scram

scram_sha_256 = FilterModule().filters()["scram_sha_256"]

# RFC 7677, section 3: user "user", password "pencil".
RFC_SALT = "W22ZaJ0SNY7soEsUEjb6gQ=="
RFC_AUTH_MESSAGE = (
    b"n=user,r=rOprNGfwEbeRWgbNEkqO,"
    b"r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096,"
    b"c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0"
)
RFC_CLIENT_PROOF = "dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="
RFC_SERVER_SIGNATURE = "6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4="
RFC_VERIFIER = (
    "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$"
    "WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU="
)

HOSTILE = [
    "$(touch x)",
    "'; DROP ROLE postgres; --",
    'double " and back\\slash',
    "line\nbreak\tand tab",
    "{{ 1 }}",
    "Пароль-密码-ünïcödé",
    "e\u0301 is not \u00e9 but the same",  # NFKC joins them
    "I\u00adX",  # a soft hyphen is mapped to nothing
    "\u00ad",  # nothing would be left: taken as it is
    "a\u00a0b",  # a no-break space is mapped to a space
    "a\u200bb",  # in two tables of RFC 3454; PostgreSQL maps it to a space
    "\u0627\u0031",  # right to left, but ends with a digit: forbidden, so taken as it is
    "\u2138",  # becomes a Hebrew letter only by NFKC
    "private use \ue000",  # forbidden, so taken as it is
    "😀🔑",  # not assigned in Unicode 3.2: taken as it is
    "x" * 500,
]


# --- without a server ---


def test_known_vector() -> None:
    assert _scram.make_verifier("pencil", base64.b64decode(RFC_SALT), 4096) == RFC_VERIFIER


def test_the_keys_explain_the_rfcs_conversation() -> None:
    """A server with our StoredKey accepts the RFC's client, a client with our ServerKey accepts the RFC's server."""
    made = _scram.make_verifier("pencil", base64.b64decode(RFC_SALT), 4096)
    stored_key, server_key = (base64.b64decode(key) for key in made.split("$")[2].split(":"))
    signature = hmac.digest(stored_key, RFC_AUTH_MESSAGE, "sha256")
    client_key = bytes(a ^ b for a, b in zip(base64.b64decode(RFC_CLIENT_PROOF), signature, strict=True))
    assert hashlib.sha256(client_key).digest() == stored_key
    assert base64.b64encode(hmac.digest(server_key, RFC_AUTH_MESSAGE, "sha256")).decode() == RFC_SERVER_SIGNATURE


def test_a_new_verifier_has_a_new_salt_of_16_bytes() -> None:
    first, second = scram_sha_256("pencil"), scram_sha_256("pencil")
    assert first != second
    for verifier in (first, second):
        match = re.fullmatch(r"SCRAM-SHA-256\$4096:([^$:]+)\$[^$:]+:[^$:]+", verifier)
        assert match and len(base64.b64decode(match[1])) == 16


def test_iterations_are_those_asked_for() -> None:
    assert scram_sha_256("pencil", iterations=10000).startswith("SCRAM-SHA-256$10000:")


def test_a_matching_current_verifier_is_returned_unchanged() -> None:
    assert scram_sha_256("pencil", RFC_VERIFIER) == RFC_VERIFIER
    assert scram_sha_256("pencil", current=RFC_VERIFIER, iterations=10000) == RFC_VERIFIER


@pytest.mark.parametrize(
    "current",
    [
        None,
        "",
        "md5" + "0" * 32,
        "pencil",
        RFC_VERIFIER[:-1],
        RFC_VERIFIER + "\n",
        RFC_VERIFIER.replace("wfPL", "wfPM"),
        RFC_VERIFIER.replace("WG5d", "WG5e"),
        RFC_VERIFIER.replace("$4096:", "$0:"),
        RFC_VERIFIER.replace("$4096:", "$9999999999:"),
        RFC_VERIFIER.replace(RFC_SALT, "="),
        5,
    ],
)
def test_any_other_current_is_replaced(current: object) -> None:
    made = scram_sha_256("pencil", current=current)
    assert made != current
    assert _scram.is_verifier_of("pencil", made)


def test_a_verifier_of_another_password_is_replaced() -> None:
    made = scram_sha_256("crayon", current=RFC_VERIFIER)
    assert made != RFC_VERIFIER
    assert _scram.is_verifier_of("crayon", made)
    assert not _scram.is_verifier_of("pencil", made)


@pytest.mark.parametrize(
    ("password", "message"),
    [
        ("", "the password is empty"),
        (1234, "the password is not text. Put quotes around it."),
        (None, "the password is not text"),
        ("nul\0inside", "NUL character"),
        ("lone \ud800", "lone surrogate"),
    ],
)
def test_a_bad_password_is_a_clear_error_without_the_password(password: t.Any, message: str) -> None:
    with pytest.raises(AnsibleFilterError, match=f"^scram_sha_256: .*{message}") as caught:
        scram_sha_256(password)
    for word in ("1234", "inside", "lone \ud800"):
        assert word not in str(caught.value)


@pytest.mark.parametrize("iterations", [0, -1, 2**31, "4096", True, None])
def test_bad_iterations_are_a_clear_error(iterations: t.Any) -> None:
    with pytest.raises(AnsibleFilterError, match="iterations must be a whole number from 1 to 2147483647"):
        scram_sha_256("pencil", iterations=iterations)


def test_missing_passlib_says_how_to_install_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "passlib.crypto.digest", None)
    with pytest.raises(AnsibleFilterError, match=r"needs the Python package passlib .*pip install passlib"):
        scram_sha_256("pencil")


# --- with a real server ---


@pytest.fixture(scope="module")
def login_role(postgres: t.Any) -> Iterator[str]:
    """A role that can log in only over scram-sha-256."""
    role = f"scram_{uuid.uuid4().hex[:8]}"
    hba = Path(postgres.host, "data", "pg_hba.conf")
    before = hba.read_text(encoding="utf8")
    postgres.psql("-c", f"CREATE ROLE {role} LOGIN")
    hba.write_text(f"local all {role} scram-sha-256\n{before}", encoding="utf8")
    postgres.psql("-c", "SELECT pg_reload_conf()")
    yield role
    hba.write_text(before, encoding="utf8")
    postgres.psql("-c", "SELECT pg_reload_conf()", "-c", f"DROP ROLE {role}")


def set_password(connection: psycopg.Connection, role: str, password: str) -> str:
    """Set a role's password, plain or a verifier, and return what the server stores."""
    connection.execute(sql.SQL("ALTER ROLE {} PASSWORD {}").format(sql.Identifier(role), password))
    row = connection.execute("SELECT rolpassword FROM pg_authid WHERE rolname = %s", [role]).fetchone()
    assert row
    return row[0]


def log_in(postgres: t.Any, role: str, password: str) -> str:
    with psycopg.connect(host=postgres.host, port=postgres.port, dbname="postgres", user=role, password=password) as c:
        row = c.execute("SELECT current_user").fetchone()
        assert row
        return row[0]


@pytest.mark.parametrize("password", ["pencil", *HOSTILE])
def test_postgresql_takes_the_verifier_and_then_the_password(postgres: t.Any, login_role: str, password: str) -> None:
    with psycopg.connect(postgres.dsn(), autocommit=True) as admin:
        verifier = scram_sha_256(password)
        assert set_password(admin, login_role, verifier) == verifier, "the server hashed it again: not a verifier to it"
    assert log_in(postgres, login_role, password) == login_role
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        log_in(postgres, login_role, f"{password}x")


def test_the_verifier_itself_is_no_password(postgres: t.Any, login_role: str) -> None:
    verifier = scram_sha_256("pencil")
    with psycopg.connect(postgres.dsn(), autocommit=True) as admin:
        set_password(admin, login_role, verifier)
    with pytest.raises(psycopg.OperationalError, match="password authentication failed"):
        log_in(postgres, login_role, verifier)


@pytest.mark.slow
def test_a_verifier_that_the_server_made_is_kept(postgres: t.Any, login_role: str) -> None:
    """The server hashes 402 random passwords itself; each of its verifiers must be known again."""
    pools = [
        range(0x20, 0x7F),
        range(0x01, 0x20),
        range(0x80, 0x250),
        range(0x300, 0x370),
        range(0x590, 0x700),
        range(0x2000, 0x2070),
        range(0x2100, 0x2200),
        range(0x3040, 0x3100),
        range(0xF900, 0xFE00),
        range(0xFF00, 0xFFFF),
        range(0x1D400, 0x1D800),
        range(0xE0001, 0xE0080),
    ]
    choice = random.Random(7677)
    passwords = []
    for length in [1, 2, 3, 4, 5, 6] * 67:
        characters = [*choice.choice(pools), *choice.choice(pools)]
        passwords.append("".join(chr(choice.choice(characters)) for i in range(length)))
    different = []
    with psycopg.connect(postgres.dsn(), autocommit=True) as admin:
        for password in (*HOSTILE, *passwords):
            current = set_password(admin, login_role, password)
            if scram_sha_256(password, current=current) != current:
                different.append(password)
    assert different == []
