# SPDX-License-Identifier: GPL-3.0-or-later
"""A measurement that somebody submitted for this machine."""

from __future__ import annotations

from lib import db
from lib.global_config import config
from lib.job import email
from lib.job.base import Job, next_row
from lib.scenario_runner import ScenarioRunner, Status
from lib.user import User


class RunJob(Job):
    @classmethod
    def get_job(cls) -> RunJob | None:
        row = next_row("run", config()["machine"]["id"])
        return cls(row) if row else None

    def check_job_running(self) -> dict | None:
        return db.fetch_one(
            "SELECT id FROM jobs WHERE type = 'run' AND state = 'RUNNING' AND machine_id = %s",
            (self.row["machine_id"],),
        )

    def work(self, *, full_docker_prune: bool, use_sudo: bool = True) -> None:
        row = self.row
        user = User(row["user_id"])
        user.check_machine(row["machine_id"])
        runner = ScenarioRunner(
            name=row["name"],
            uri=row["url"],
            branch=row["branch"],
            filename=row["filename"],
            user_id=row["user_id"],
            job_id=row["id"],
            threshold=Status(user.capabilities["measurement"]["system_check_threshold"]),
            full_docker_prune=full_docker_prune,
            use_sudo=use_sudo,
        )
        try:
            runner.run()
            runner.report_optimizations()
            if row["email"]:
                email.insert(
                    kind="report",
                    user_id=row["user_id"],
                    email=row["email"],
                    name=f"Your measurement {row['name']} is ready",
                    run_id=runner.run_id,
                )
        finally:
            row["run_id"] = runner.run_id
            user.deduct_quota(row["machine_id"], runner.seconds)

    def report_failure(self, error: BaseException) -> None:
        """Tell the submitter, if they left an address."""
        if self.row["email"]:
            email.insert(
                kind="simple",
                user_id=self.row["user_id"],
                email=self.row["email"],
                name="Your measurement failed",
                message=f"{self.row['name']} on {self.row['machine_description']}: {error}\n"
                f"{config()['cluster']['metrics_url']}/stats.html?id={self.row['run_id']}",
            )
