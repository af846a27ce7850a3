# SPDX-License-Identifier: GPL-3.0-or-later
"""A mail server that keeps what it gets: ``sink.py CERTIFICATE KEY PASSWORD FOLDER``. TLS on port 465, AUTH PLAIN."""

import asyncio
import base64
import pathlib
import ssl
import sys

CERTIFICATE, KEY, PASSWORD, FOLDER = sys.argv[1:]


async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    def say(text: str) -> None:
        writer.write(f"{text}\r\n".encode())

    logged_in, recipients = False, []
    say("220 sink ESMTP")
    while line := (await reader.readline()).decode().rstrip("\r\n"):
        verb, _space, rest = line.partition(" ")
        verb = verb.upper()
        if verb == "EHLO":
            say("250-sink\r\n250 AUTH PLAIN")
        elif verb == "AUTH":
            logged_in = base64.b64decode(rest.split()[-1]).decode().split("\0")[1:] == ["gmt", PASSWORD]
            say("235 welcome" if logged_in else "535 wrong password")
        elif not logged_in and verb in ("MAIL", "RCPT", "DATA"):
            say("530 log in first")
        elif verb == "RCPT":
            recipients.append(rest.upper()[:3] + rest[3:])
            say("250 ok")
        elif verb == "DATA":
            say("354 go on")
            mail = await reader.readuntil(b"\r\n.\r\n")
            number = len(list(pathlib.Path(FOLDER).iterdir()))
            pathlib.Path(FOLDER, f"{number}.eml").write_bytes("\n".join(recipients).encode() + b"\n\n" + mail)
            say("250 kept")
        else:
            say("221 bye" if verb == "QUIT" else "250 ok")
        await writer.drain()
        if verb == "QUIT":
            break
    writer.close()


async def main() -> None:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(CERTIFICATE, KEY)
    server = await asyncio.start_server(serve, "0.0.0.0", 465, ssl=context)
    await server.serve_forever()


asyncio.run(main())
