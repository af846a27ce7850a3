# Copyright (c) 2026, the greenlab.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Queue again what a power cut has left RUNNING, before the client starts.

A machine has one client, and this runs while there is none: a job of this machine that is RUNNING is an orphan. It
waits again, at most twice, then it is FAILED. A job that was measured to its end, though not marked so, is FINISHED.

Runs as the client's account in the tool's own Python environment, with the client's own config.yml. Exit status: 0 when
the client may start, 75 when the jobs DB is away and systemd shall try again, 1 when a file cannot be read or written.
"""

from __future__ import annotations

import argparse
import contextlib
import datetime
import json
import os
import sys
from pathlib import Path
from typing import Any

import psycopg
import yaml
from psycopg import sql
from psycopg.rows import dict_row

TRIES = 3  # the first, and two more
DB_IS_AWAY = 75  # EX_TEMPFAIL of sysexits.h
CONNECT_SECONDS = 10
LOCK_SECONDS = 10
# The tool deletes a job two weeks after its last change. What is older belongs to no job any more.
REMEMBERED_DAYS = 30

# Since v0.19 a job has a state; before, it has flags.
STATES = {"WAITING": "state = 'WAITING'", "FAILED": "state = 'FAILED'", "FINISHED": "state = 'FINISHED'"}
FLAGS = {"WAITING": "running = false, last_run = NULL", "FAILED": "running = false, failed = true"}

# Syslog priorities, as systemd reads them at the start of a line, with the words for them in the tool's system_logs.
PRIORITIES = {"error": 3, "warning": 4, "info": 6}


def say(level: str, text: str) -> None:
    """Write a line to the journal."""
    print(f"<{PRIORITIES[level]}>{text}", file=sys.stderr, flush=True)


def as_text(moment: datetime.datetime) -> str:
    """Write a moment so that texts sort as the moments do."""
    return moment.astimezone(datetime.timezone.utc).isoformat(timespec="microseconds")


class Cuts:
    """Which tries of which job were cut, kept in a file on this machine: {job: [when the try began]}.

    A try counts once, however often it is told.
    """

    def __init__(self, file: Path) -> None:
        """Read the file, if there is one."""
        self.file = file
        self.tries: dict[str, list[str]] = {}
        try:
            self.tries = {str(job): list(map(str, tries)) for job, tries in json.loads(file.read_bytes()).items()}
        except FileNotFoundError:
            pass
        except (ValueError, TypeError, AttributeError) as error:
            say("error", f"{file} is not what this program writes ({error}): counting begins anew.")

    def count(self, job: int, started: datetime.datetime, created: datetime.datetime) -> int:
        """Note that the try which began at `started` was cut; return how many of the job's tries were."""
        # A database that was made anew gives the numbers of old jobs to new ones.
        tries = {moment for moment in self.tries.get(str(job), []) if moment >= as_text(created)}
        if len(tries) >= TRIES and as_text(started) not in tries:
            tries.clear()  # it had failed, and somebody has queued it again
        self.tries[str(job)] = sorted({*tries, as_text(started)})
        return len(self.tries[str(job)])

    def save(self, now: datetime.datetime) -> None:
        """Replace the file as a whole: the next power cut may come at any moment."""
        oldest = as_text(now - datetime.timedelta(days=REMEMBERED_DAYS))
        kept = {job: tries for job, tries in self.tries.items() if tries and tries[-1] >= oldest}
        new = self.file.with_suffix(".new")
        with new.open("w", encoding="utf8") as stream:
            json.dump(kept, stream, indent=1)
            stream.flush()
            os.fsync(stream.fileno())
        new.replace(self.file)
        folder = os.open(self.file.parent, os.O_RDONLY)
        os.fsync(folder)
        os.close(folder)


class JobsDB:
    """What this program reads and writes there, in every release of the tool."""

    def __init__(self, connection: psycopg.Connection[dict[str, Any]]) -> None:
        """Look which columns the release has."""
        self.connection = connection
        found = connection.execute(
            "SELECT table_name, column_name FROM information_schema.columns"
            " WHERE table_schema = 'public' AND table_name IN ('jobs', 'runs', 'phase_stats', 'system_logs')"
        )
        self.columns = {(row["table_name"], row["column_name"]) for row in found}
        self.has_states = self.has("jobs", "state")

    def has(self, table: str, column: str) -> bool:
        """Tell whether the release has this column."""
        return (table, column) in self.columns

    def orphans(self, machine: int) -> list[dict[str, Any]]:
        """Lock and return the jobs of this machine that are RUNNING."""
        if self.has_states:
            started, running, mine = "updated_at", "state = 'RUNNING'", "machine_id = %(machine)s"
        else:
            started, running = "last_run", "running AND NOT failed"
            # A job for any machine is this one's when its project is what this one last wrote about.
            mine = """(machine_id = %(machine)s OR machine_id IS NULL AND project_id = (
                SELECT project_id FROM client_status WHERE machine_id = %(machine)s ORDER BY id DESC LIMIT 1))"""
        measures = "type::text IN ('run', 'project')" if self.has("jobs", "type") else "true"
        query = sql.SQL(
            """SELECT id, coalesce(created_at, 'epoch') AS created, coalesce({started}, created_at, 'epoch') AS started
               FROM jobs WHERE {running} AND {mine} AND {measures} ORDER BY id FOR UPDATE"""
        ).format(
            started=sql.Identifier(started), running=sql.SQL(running), mine=sql.SQL(mine), measures=sql.SQL(measures)
        )
        return self.connection.execute(query, {"machine": machine}).fetchall()

    def is_measured(self, job: int) -> bool:
        """Tell whether the job's run is complete: its statistics are the last thing that is computed."""
        if not (self.has("runs", "job_id") and self.has("phase_stats", "run_id")):
            return False
        query = sql.SQL(
            """SELECT FROM runs WHERE job_id = %s AND end_measurement IS NOT NULL AND {good}
               AND EXISTS (SELECT FROM phase_stats WHERE phase_stats.run_id = runs.id)"""
        ).format(good=sql.SQL("NOT runs.failed" if self.has("runs", "failed") else "true"))
        return self.connection.execute(query, [job]).fetchone() is not None

    def move(self, job: int, target: str, message: str | None = None) -> str:
        """Give the job another state; return the one it got, which on a machine that is held may be another."""
        settings = STATES[target] if self.has_states else FLAGS[target]
        if message is not None and self.has("jobs", "message"):
            settings += ", message = %(message)s"
        query = sql.SQL("UPDATE jobs SET {settings} WHERE id = %(job)s RETURNING {state} AS state").format(
            settings=sql.SQL(settings), state=sql.SQL("state::text" if self.has_states else "%(target)s::text")
        )
        row = self.connection.execute(query, {"job": job, "message": message, "target": target}).fetchone()
        return str(row["state"]) if row else "gone"

    def give_up_runs(self, job: int, detach: bool) -> None:
        """Mark what was measured as failed. A job has one run at most: the next try needs the old one detached."""
        settings = ["failed = true"] if self.has("runs", "failed") else []
        settings += ["job_id = NULL"] if detach else []
        if settings and self.has("runs", "job_id"):
            query = sql.SQL("UPDATE runs SET {settings} WHERE job_id = %s")
            self.connection.execute(query.format(settings=sql.SQL(", ".join(settings))), [job])

    def report(self, level: str, text: str) -> None:
        """Tell those who look at the dashboard (since v4.0)."""
        if self.has("system_logs", "level"):
            query = "INSERT INTO system_logs (title, message, level) VALUES ('Job was cut off', %s, %s)"
            self.connection.execute(query, [text, level])


def requeue(connection: psycopg.Connection[dict[str, Any]], machine: int, cuts: Cuts, now: datetime.datetime) -> None:
    """Move on each orphan of this machine, all in one transaction."""
    db = JobsDB(connection)
    reports = [move_on(db, orphan, machine, cuts) for orphan in db.orphans(machine)]
    if not reports:
        return
    for level, text in reports:
        db.report(level, text)
    # The file first: a power cut between the two is told once more, and counts once.
    cuts.save(now)
    connection.commit()
    for level, text in reports:
        say(level, text)


def move_on(db: JobsDB, orphan: dict[str, Any], machine: int, cuts: Cuts) -> tuple[str, str]:
    """Decide what becomes of an orphan, and do it; return what to report."""
    job = orphan["id"]
    if db.is_measured(job):
        state = db.move(job, "FINISHED")
        return "info", f"Job {job} was cut off on machine {machine} after its measurement's end: it is {state} now."
    count = cuts.count(job, orphan["started"], orphan["created"])
    what = f"Job {job} was cut off on machine {machine} by a power cut, a crash or a kill (try {count} of {TRIES})"
    again = count < TRIES
    state = db.move(job, "WAITING") if again else db.move(job, "FAILED", f"{what}, and is not tried again.")
    db.give_up_runs(job, detach=again)
    return ("warning" if again else "error"), f"{what}: it is {state} now."


def connect(config: dict[str, Any]) -> psycopg.Connection[dict[str, Any]]:
    """Connect as the client does; what config.yml leaves open (v0.16: the port) libpq takes from the environment."""
    wanted = {name: config["postgresql"].get(name) for name in ("host", "port", "dbname", "user", "password")}
    return psycopg.connect(
        **{name: value for name, value in wanted.items() if value is not None},
        connect_timeout=CONNECT_SECONDS,
        options=f"-c lock_timeout={LOCK_SECONDS}s",
        application_name="greenlab-requeue",
        row_factory=dict_row,
    )


def main() -> int:
    """Run the program."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("config", type=Path, help="the client's config.yml")
    parser.add_argument("state", type=Path, help="file that remembers which tries were cut")
    args = parser.parse_args()
    try:
        config = yaml.safe_load(args.config.read_text(encoding="utf8"))
        cuts = Cuts(args.state)
        with contextlib.closing(connect(config)) as connection:
            requeue(connection, config["machine"]["id"], cuts, datetime.datetime.now(datetime.timezone.utc))
    except psycopg.OperationalError as error:
        say("warning", f"The jobs DB is away, systemd will try again: {' '.join(str(error).split())}")
        return DB_IS_AWAY
    except psycopg.Error as error:
        # The client can do without us: an orphan then stays where it is.
        say("error", f"Jobs that were cut off cannot be queued again: {' '.join(str(error).split())}")
    except OSError as error:
        say("error", f"The client is not started, for a job that was cut off could not be counted: {error}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
