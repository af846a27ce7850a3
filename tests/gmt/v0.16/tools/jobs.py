# SPDX-License-Identifier: GPL-3.0-or-later
"""Take one job of a kind from the queue: ``jobs.py project`` or ``jobs.py email``.

The life of a row: inserted (failed and running false) -> running true, last_run set -> deleted, and a project leaves an
email job behind; or failed true, which keeps the row for ever.
"""

import argparse
import sys
import traceback
from pathlib import Path

sys.dont_write_bytecode = True  # nothing is ever written into the checkout
sys.path.append(str(Path(__file__).resolve().parent.parent / "lib"))

import db  # noqa: E402
import global_config  # noqa: E402
import run  # noqa: E402
from global_config import config  # noqa: E402


def log_error(*messages) -> None:
    text = " ".join(str(message) for message in ("Error:", *messages)) + "\n" + traceback.format_exc()
    print(text, file=sys.stderr)
    error_log_file = config()["machine"]["error_log_file"]
    if error_log_file:
        with open(error_log_file, "a", encoding="utf8") as log:
            log.write(text)


def send_mail(receiver, subject: str) -> None:
    if config()["admin"]["no_emails"] is True:
        return
    smtp = config()["smtp"]
    print(f"Would mail to {receiver} from {smtp['sender']} through {smtp['server']}:{smtp['port']}: {subject}")


def get_job(job_type: str):
    """Return (id, type, project id) of the oldest job for this or any machine, or None."""
    # A job that was started 20 minutes ago is taken for dead, even while it still runs.
    db.query("DELETE FROM jobs WHERE NOT failed AND last_run < now() - interval '20 minutes'")
    return db.fetch_one(
        """SELECT id, type, project_id FROM jobs
           WHERE type = %s AND NOT failed AND coalesce(machine_id, %s) = %s
           ORDER BY created_at LIMIT 1""",
        (job_type, config()["machine"]["id"], config()["machine"]["id"]),
    )


def get_project(project_id):
    project = db.fetch_one("SELECT email, filename FROM projects WHERE id = %s", (project_id,))
    if project is None:
        raise RuntimeError(f"No project with id {project_id}")
    return project


def lock(job_type: str, job_id: int) -> None:
    """Mark the job as running; end the process if any machine of the cluster runs a job of this type."""
    if db.fetch_one("SELECT id FROM jobs WHERE running AND type = %s", (job_type,)):
        log_error("Job was still running:", job_type, job_id)
        sys.exit(1)
    db.query("UPDATE jobs SET running = true, last_run = now() WHERE id = %s", (job_id,))


def process_job(job_id: int, job_type: str, project_id) -> None:
    try:
        lock(job_type, job_id)
        email, filename = get_project(project_id)
        if job_type == "project":
            run.run(project_id, filename)
            db.query("INSERT INTO jobs (type, project_id) VALUES ('email', %s)", (project_id,))
        else:
            send_mail(email, f"Your report of project {project_id} is ready")
        db.query("DELETE FROM jobs WHERE id = %s", (job_id,))
    except Exception:
        db.query("UPDATE jobs SET failed = true, running = false WHERE id = %s", (job_id,))
        raise


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Take one job from the queue.")
    parser.add_argument("type", choices=["email", "project"], help="the kind of job")
    parser.add_argument("--config-override", metavar="NAME.yml", help="another file in the root of the checkout")
    parser.add_argument("--skip-config-check", action="store_true", help="accepted, has no effect here")
    parser.add_argument("--full-docker-prune", action="store_true", help="accepted, has no effect here")
    args = parser.parse_args()
    override = args.config_override
    if override and not (override.endswith(".yml") and (global_config.ROOT / override).is_file()):
        parser.print_help()
        sys.exit(1)
    return args


def main() -> None:
    args = parse_args()
    if args.config_override:
        global_config.override(args.config_override)
    job = None
    try:
        job = get_job(args.type)
        if job is None:
            print("No job to process. Exiting")
            return
        process_job(*job)
        print("Successfully processed jobs queue item.")
    except Exception as error:  # upstream reports it and exits with 0
        log_error("Base exception occurred in jobs.py:", error)
        send_mail(config()["admin"]["email"], f"Error: {error}")
        if job:
            send_mail(get_project(job[2])[0], f"Error: {error}")


if __name__ == "__main__":
    main()
