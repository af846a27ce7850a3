# SPDX-License-Identifier: GPL-3.0-or-later
"""Mails wait in the table jobs, too. The stand-in prints them."""

from __future__ import annotations

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
        route = f"{smtp['sender']} through {smtp['user']}@{smtp['server']}:{smtp['port']}"
        smtp["password"]  # noqa: B018  a direct look-up, as upstream's, but nothing to print
        print(f"Would mail to {self.row['email']} (bcc {bcc}) from {route}: {self.row['name']}")
        print(self.row["message"] or "", config()["cluster"]["metrics_url"], sep="\n")
