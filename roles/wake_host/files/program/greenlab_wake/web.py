# Copyright (c) 2026, the greenlab.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One HTTP request. http.client, because urllib.request needs 3 MB more."""

from __future__ import annotations

import http.client
import json
import ssl
import typing as t

LONGEST_ANSWER = 8 * 1024 * 1024  # bytes
PARTS_OF_A_URL = 3


class WebError(Exception):
    """There was no usable answer; says why."""


def split(url: str) -> tuple[str, str, str]:
    """Return scheme, host with port, and path with query."""
    scheme, _colon, rest = url.partition("://")
    host, slash, path = rest.partition("/")
    if scheme not in ("http", "https") or not host:
        raise WebError(f"{url!r} is no http:// or https:// URL")
    return scheme, host, slash + path or "/"


def tls(ca_file: str) -> ssl.SSLContext:
    """Return what checks a server's certificate and name: by one file, or by the system's authorities."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if ca_file:
        context.load_verify_locations(cafile=ca_file)
    else:
        # The folder is read as needed; ssl.create_default_context would read all of them, 1.5 MB.
        context.load_verify_locations(capath=ssl.get_default_verify_paths().openssl_capath)
    return context


def request(
    url: str,
    *,
    method: str = "GET",
    headers: dict[str, str] | None = None,
    body: str | None = None,
    timeout: float = 10,
    ca_file: str = "",
) -> tuple[int, bytes]:
    """Return status and body; redirects are not followed. Raises WebError when there is no answer."""
    scheme, host, path = split(url)
    try:
        connection: http.client.HTTPConnection
        if scheme == "https":
            connection = http.client.HTTPSConnection(host, timeout=timeout, context=tls(ca_file))
        else:
            connection = http.client.HTTPConnection(host, timeout=timeout)
        try:
            connection.request(method, path, body=body, headers=headers or {})
            answer = connection.getresponse()
            content = answer.read(LONGEST_ANSWER + 1)
        finally:
            connection.close()
    except (OSError, http.client.HTTPException, ValueError) as error:
        raise WebError(f"{host}: {type(error).__name__}: {error}") from error
    if len(content) > LONGEST_ANSWER:
        raise WebError(f"{host}: an answer of more than {LONGEST_ANSWER} bytes")
    return answer.status, content


def excerpt(content: bytes) -> str:
    """Return the begin of an answer on one line, for an error."""
    return " ".join(content[:200].decode("utf8", "replace").split())


def from_json(content: bytes) -> t.Any:
    """Return what a JSON text stands for, or raise WebError."""
    try:
        return json.loads(content)
    except ValueError as error:
        raise WebError(f"the answer is no JSON: {error}") from error
