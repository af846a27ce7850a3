# Copyright (c) 2026, the greenlab.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PostgreSQL's SCRAM-SHA-256 verifier, computed with passlib.

Sources:

* RFC 5802, section 3, gives the formula::

      SaltedPassword := Hi(Normalize(password), salt, i)      Hi is PBKDF2 with HMAC
      ClientKey      := HMAC(SaltedPassword, "Client Key")
      StoredKey      := H(ClientKey)
      ServerKey      := HMAC(SaltedPassword, "Server Key")

* RFC 7677 puts SHA-256 in place of H and asks for at least 4096 iterations.
* PostgreSQL's documentation of C(pg_authid) gives the stored form
  C(SCRAM-SHA-256$<iterations>:<salt>$<StoredKey>:<ServerKey>), salt and keys in base64.
* PostgreSQL's src/common/saslprep.c: pure ASCII is taken as it is; a password that SASLprep (RFC 4013) forbids is
  taken as its raw bytes. It looks for forbidden characters and mixed directions before the NFKC step, not after it.
  The client library libpq does the same, and the two must agree.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import re
import secrets
import stringprep
import unicodedata

_VERIFIER = re.compile(
    r"SCRAM-SHA-256\$([1-9][0-9]{0,9}):([A-Za-z0-9+/=]+)\$([A-Za-z0-9+/=]+):([A-Za-z0-9+/=]+)", re.ASCII
)
_SALT_BYTES = 16  # PostgreSQL's SCRAM_DEFAULT_SALT_LEN
_MAX_ITERATIONS = 2**31 - 1  # PostgreSQL keeps it in a signed 32-bit integer

# RFC 4013, sections 2.3 and 2.5: what a password may not have in it (C.1.2 is mapped to a space before).
_FORBIDDEN = (
    stringprep.in_table_a1,
    stringprep.in_table_c21_c22,
    stringprep.in_table_c3,
    stringprep.in_table_c4,
    stringprep.in_table_c5,
    stringprep.in_table_c6,
    stringprep.in_table_c7,
    stringprep.in_table_c8,
    stringprep.in_table_c9,
)


class MissingPasslib(Exception):
    """The controller's Python has no passlib."""


def keep_or_make_verifier(password: object, current: object = None, iterations: int = 4096) -> str:
    """Return C(current) if it is the password's verifier, else a new one with a random salt.

    :raises ValueError: the password is empty, not text, has a NUL character or cannot be encoded; iterations is no
        integer from 1 to 2147483647. The message never has the password in it.
    :raises MissingPasslib: passlib is not installed on the controller.
    """
    text = _checked_password(password)
    if isinstance(iterations, bool) or not isinstance(iterations, int) or not 1 <= iterations <= _MAX_ITERATIONS:
        raise ValueError(f"iterations must be a whole number from 1 to {_MAX_ITERATIONS}, not {iterations!r}.")
    if isinstance(current, str) and is_verifier_of(text, current):
        return str(current)
    return make_verifier(text, secrets.token_bytes(_SALT_BYTES), iterations)


def make_verifier(password: str, salt: bytes, iterations: int) -> str:
    """Return the verifier of a password for this salt: the same input always gives the same text."""
    stored_key, server_key = _keys(password, salt, iterations)
    return f"SCRAM-SHA-256${iterations}:{_b64(salt)}${_b64(stored_key)}:{_b64(server_key)}"


def is_verifier_of(password: str, verifier: str) -> bool:
    """Say whether PostgreSQL would accept the password for this verifier; a text of any other form is a plain no."""
    match = _VERIFIER.fullmatch(verifier)
    if not match or int(match[1]) > _MAX_ITERATIONS:
        return False
    try:
        salt, stored_key, server_key = (base64.b64decode(part, validate=True) for part in match.groups()[1:])
    except binascii.Error:
        return False
    expected = _keys(password, salt, int(match[1]))
    return hmac.compare_digest(b"".join(expected), stored_key + server_key)


def normalise_password(password: str) -> bytes:
    """Return the bytes that PostgreSQL and libpq hash for this password.

    Step by step what pg_saslprep() does. passlib's saslprep() follows RFC 4013 more closely, and so disagrees
    with PostgreSQL about a zero width space and about letters that only NFKC turns into Hebrew or Arabic ones.
    """
    raw = password.encode()
    if password.isascii():
        return raw
    # U+200B is in both tables; PostgreSQL looks into the table of spaces first.
    mapped = "".join(
        " " if stringprep.in_table_c12(c) else c
        for c in password
        if stringprep.in_table_c12(c) or not stringprep.in_table_b1(c)
    )
    if not mapped or _is_forbidden(mapped):
        return raw
    return unicodedata.normalize("NFKC", mapped).encode()


def _is_forbidden(mapped: str) -> bool:
    if any(in_table(c) for c in mapped for in_table in _FORBIDDEN):
        return True
    if not any(stringprep.in_table_d1(c) for c in mapped):
        return False
    # RFC 3454, section 6: text that runs right to left begins and ends so, and has nothing else in it.
    return any(stringprep.in_table_d2(c) for c in mapped) or not (
        stringprep.in_table_d1(mapped[0]) and stringprep.in_table_d1(mapped[-1])
    )


def _checked_password(password: object) -> str:
    if not isinstance(password, str):
        raise ValueError("the password is not text. Put quotes around it.")
    if not password:
        raise ValueError("the password is empty. PostgreSQL would let nobody log in with it.")
    if "\0" in password:
        raise ValueError("the password has a NUL character in it, which PostgreSQL cannot take.")
    try:
        password.encode()
    except UnicodeEncodeError:
        raise ValueError("the password has a lone surrogate in it, which UTF-8 cannot express.") from None
    return str(password)


def _keys(password: str, salt: bytes, iterations: int) -> tuple[bytes, bytes]:
    try:
        # Whoever uses no passwords needs no passlib.
        from passlib.crypto.digest import compile_hmac, pbkdf2_hmac  # noqa: PLC0415
    except ImportError as error:
        raise _missing_passlib(error) from error
    salted_password = pbkdf2_hmac("sha256", normalise_password(password), salt, iterations)
    mac = compile_hmac("sha256", salted_password)
    return hashlib.sha256(mac(b"Client Key")).digest(), mac(b"Server Key")


def _missing_passlib(error: ImportError) -> MissingPasslib:
    return MissingPasslib(
        f"needs the Python package passlib on the controller, in the Python that runs Ansible ({error}). "
        "Install it, for example with 'python3 -m pip install passlib'."
    )


def _b64(data: bytes) -> str:
    return base64.b64encode(data).decode()
