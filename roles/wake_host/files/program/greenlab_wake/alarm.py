# Copyright (c) 2026, the greenlab.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tell people: once when something breaks, again while it stays broken, and once when it is well again."""

from __future__ import annotations

import subprocess
import typing as t

from .memory import Log, Memory

SECONDS_A_HOOK = 60
MOST_KEPT = 50  # messages


def run_command(argv: list[str], text: str) -> None:
    """Hand the text to a command's standard input."""
    subprocess.run(  # noqa: S603 the operator's own command, from a file of root's
        argv, input=text, encoding="utf8", stdout=subprocess.DEVNULL, timeout=SECONDS_A_HOOK, check=True
    )


def send_mail(mail: dict[str, t.Any], subject: str, text: str) -> None:
    """Hand a mail to a server."""
    # Most runs send no mail, and need not have these in memory.
    import smtplib  # noqa: PLC0415
    import ssl  # noqa: PLC0415
    from email.message import EmailMessage  # noqa: PLC0415

    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = mail["sender"], ", ".join(mail["to"]), subject
    message.set_content(text)
    context = ssl.create_default_context()
    if mail["security"] == "tls":
        server: smtplib.SMTP = smtplib.SMTP_SSL(mail["server"], mail["port"], timeout=SECONDS_A_HOOK, context=context)
    else:
        server = smtplib.SMTP(mail["server"], mail["port"], timeout=SECONDS_A_HOOK)
    with server:
        if mail["security"] == "starttls":
            server.starttls(context=context)
        if mail["user"]:
            server.login(mail["user"], mail["password"])
        server.send_message(message)


class Alarms:
    """The alarms that are on, by key, with the time of their last message."""

    def __init__(self, settings: dict[str, t.Any], memory: Memory, log: Log) -> None:
        """Take the hooks' settings, and the alarms of earlier runs from memory."""
        self.settings = settings
        self.memory = memory
        self.log = log
        self.messages: list[str] = []

    def on(self, key: str, text: str, now: float) -> bool:
        """Say it now, unless it was said not long ago; tell whether it is new."""
        told = self.memory.alarms.get(key)
        if told is None or now - told >= self.settings["repeat"]:
            self.memory.alarms[key] = now
            self.messages.append(text)
        return told is None

    def off(self, key: str, text: str) -> bool:
        """Say that it is well again, if it was said to be broken; tell whether it was."""
        if self.memory.alarms.pop(key, None) is None:
            return False
        self.messages.append(text)
        return True

    def deliver(self) -> None:
        """Tell it by each hook. What a hook could not tell is kept for its next try; that must not stop anything."""
        hooks: tuple[tuple[str, t.Any, t.Callable[[str], None]], ...] = (
            ("command", self.settings["command"], self._run_command),
            ("mail", self.settings["mail"]["to"], self._send_mail),
        )
        for name, is_wanted, tell in hooks:
            kept = self.memory.undelivered.pop(name, [])
            messages = kept + self.messages
            if not is_wanted or not messages:
                continue
            try:
                tell("\n".join(messages) + "\n")
            except (OSError, ValueError, subprocess.SubprocessError) as error:  # smtplib's errors are OSErrors
                self.memory.undelivered[name] = messages[-MOST_KEPT:]
                if not kept:
                    self.log("error", text=f"the alarm could not be told by {name}: {error}")
        self.messages.clear()

    def _run_command(self, text: str) -> None:
        run_command(self.settings["command"], text)

    def _send_mail(self, text: str) -> None:
        subject = " ".join(text[:120].split())
        send_mail(self.settings["mail"], f"[greenlab wake] {subject}", text)
