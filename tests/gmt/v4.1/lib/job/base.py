# SPDX-License-Identifier: GPL-3.0-or-later
"""A row of the table jobs on its way from WAITING to RUNNING to FINISHED or FAILED."""

from __future__ import annotations

from lib import db
from lib.global_config import config
from lib.scenario_runner import ConfigurationCheckError


def clear_old_jobs() -> None:
    """Delete what is done for 14 days, and mails that hang for 5 minutes. A hanging run stays for ever."""
    db.query(
        """DELETE FROM jobs WHERE
               state IN ('FINISHED', 'FAILED', 'CANCELLED') AND updated_at < now() - interval '14 days'
               OR state = 'RUNNING' AND starts_with(type, 'email-') AND updated_at < now() - interval '5 minutes'"""
    )


def next_row(type_pattern: str, machine_id: int | None = None) -> dict | None:
    """Return the next waiting row, of one machine if given. Nothing locks it: two clients of one id may both get it."""
    clear_old_jobs()
    order = "random()" if config()["cluster"]["client"]["jobs_processing"] == "random" else "jobs.created_at"
    return db.fetch_one(
        f"""SELECT jobs.*, machines.description AS machine_description
            FROM jobs LEFT JOIN machines ON machines.id = jobs.machine_id
            WHERE type LIKE %s AND state = 'WAITING' AND (%s::integer IS NULL OR machine_id = %s)
            ORDER BY {order} LIMIT 1""",
        (type_pattern, machine_id, machine_id),
    )


class Job:
    def __init__(self, row: dict) -> None:
        self.row = row

    def check_job_running(self) -> dict | None:
        """Return a row that forbids to start this one."""
        raise NotImplementedError

    def work(self, **options) -> None:
        raise NotImplementedError

    def update_state(self, state: str) -> None:
        db.query("UPDATE jobs SET state = %s WHERE id = %s", (state, self.row["id"]))

    def process(self, **options) -> None:
        try:
            if running := self.check_job_running():
                raise RuntimeError(f"A job is still running: {running}")
            self.update_state("RUNNING")
            self.work(**options)
            self.update_state("FINISHED")
        except ConfigurationCheckError:
            self.update_state("WAITING")
            raise
        except BaseException:  # Ctrl-C, too: a row that stays RUNNING would block the machine
            self.update_state("FAILED")
            raise
