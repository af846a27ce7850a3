# SPDX-License-Identifier: GPL-3.0-or-later
"""Mails wait in the table jobs, too. While config.yml names no server, the stand-in prints them instead."""

from __future__ import annotations

import smtplib
import ssl
from email.message import EmailMessage

from lib import db
from lib.global_config import config
from lib.job.base import Job, next_row


def insert(*, kind: str, user_id: int, email: str, name: str, message: str | None = None, run_id=None) -> None:
    """Queue a mail; `kind` is "simple" or "report"."""
    db.query(
        "INSERT INTO jobs (type, user_id, email, name, message, run_id) VALUES (%s, %s, %s, %s, %s, %s)",
        (f"email-{kind}", user_id, email, name, message, run_id),
    )


class EmailJob(Job):
    @classmethod
    def get_job(cls) -> EmailJob | None:
        row = next_row("email-%")
        return cls(row) if row else None

    def check_job_running(self) -> dict | None:
        return db.fetch_one("SELECT id FROM jobs WHERE starts_with(type, 'email-') AND state = 'RUNNING'")

    def work(self) -> None:
        smtp, bcc = config()["smtp"], config()["admin"]["email_bcc"]
        text = f"{self.row['message'] or ''}\n\n---\n{config()['cluster']['metrics_url']}"
        if smtp["server"] == "SMTP_SERVER":
            print(f"Would mail to {self.row['email']} (bcc {bcc}) from {smtp['sender']}: {self.row['name']}\n{text}")
            return
        mail = EmailMessage()
        mail["From"], mail["To"], mail["Subject"] = smtp["sender"], self.row["email"], self.row["name"]
        mail.set_content(text)
        # TLS from the first byte, a certificate that the machine trusts, always a login: as upstream's.
        with smtplib.SMTP_SSL(smtp["server"], smtp["port"], context=ssl.create_default_context()) as server:
            server.login(smtp["user"], smtp["password"])
            server.send_message(mail, to_addrs=[self.row["email"], *([bcc] if bcc else [])])
