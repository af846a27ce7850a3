# Copyright (c) 2026, the greenlab.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is waiting for which machine: from GMT's API, straight from the jobs DB, or from a command.

There are three answers for a machine: jobs are waiting, none is, and not known. Not known is the exception Unknown, or
a machine that is missing in the result; it must never be taken for "none".
"""

from __future__ import annotations

import json
import os
import subprocess
import typing as t

from . import web

OK, NO_CONTENT = 200, 204
# Statuses of a client that sleeps or has ended. None: it never wrote one.
IDLE = ("job_no", "job_interrupt", "measurement_control_error", "maintenance_error", None)
# Statuses after which more follows. What is in neither list comes from a release that is newer than this program.
BUSY = (
    *("job_start", "job_end", "job_error", "cooldown", "warmup", "reboot"),
    *("measurement_control_start", "measurement_control_end", "maintenance_start", "maintenance_end"),
    *("cleanup_start", "cleanup_stop", "cleanup_end"),
)


class Unknown(Exception):
    """What is waiting is not known; says why."""


class Answer(t.NamedTuple):
    """What is known of a machine in the jobs DB. What the source does not tell is None."""

    waiting: int
    available: bool | None = None
    status: str | None = None
    row: str | None = None  # differs when the machine's client has written something
    running: int = 0

    @property
    def is_idle(self) -> bool:
        """Tell whether the client sleeps, or the machine does."""
        return not self.running and self.status in IDLE

    @property
    def is_at_work(self) -> bool:
        """Tell whether the client is at work for sure; after a status that is not known, only a look can tell."""
        return bool(self.running) or self.status in BUSY


Machines = list[dict[str, t.Any]]
Answers = dict[int, Answer]


def ask(queue: dict[str, t.Any], machines: Machines) -> Answers:
    """Return what is known of each machine, by id. Raises Unknown."""
    return SOURCES[queue["source"]](queue, machines)


# the API ------------------------------------------------------------------------------------------------------------


def ask_api(queue: dict[str, t.Any], machines: Machines) -> Answers:
    """Ask for all machines at once where the release can, else for the jobs."""
    endpoint, columns = queue["endpoint"], queue["columns"]
    try:
        if endpoint == "machines":
            return _from_machines(_rows(queue, columns["path"]), columns)
        if not columns["filter"]:
            return _from_jobs(_rows(queue, columns["path"]), columns, machines)
        query = columns["path"] + "?machine_id={}&state=WAITING"
        return {m["id"]: Answer(len(_rows(queue, query.format(m["id"])))) for m in machines}
    except (IndexError, TypeError, ValueError) as error:
        raise Unknown(f"the API's rows are not those of the release: {error}") from error


def _rows(queue: dict[str, t.Any], path: str) -> list[list[t.Any]]:
    """Return the rows that the API answers; no content is no rows."""
    headers = {"X-Authentication": _token(queue["token_file"])} if queue["token_file"] else {}
    try:
        status, content = web.request(
            queue["url"].rstrip("/") + path, headers=headers, timeout=queue["timeout"], ca_file=queue["ca_file"]
        )
        if status == NO_CONTENT:
            return []
        body = web.from_json(content) if status == OK else None
    except web.WebError as error:
        raise Unknown(f"the API does not answer: {error}") from error
    if body is None:
        raise Unknown(f"the API answers {status} to {path}: {web.excerpt(content)}")
    if not isinstance(body, dict) or body.get("success") is not True or not isinstance(body.get("data"), list):
        raise Unknown(f"the API's answer to {path} has no data: {web.excerpt(content)}")
    return body["data"]


def _token(file: str) -> str:
    try:
        with open(file, encoding="ascii") as handle:
            token = handle.read().strip()
    except (OSError, ValueError) as error:
        raise Unknown(f"the token cannot be read: {error}") from error
    if not token:
        raise Unknown(f"the token file {file} is empty")
    return token


def _from_machines(rows: list[list[t.Any]], columns: dict[str, t.Any]) -> Answers:
    answers = {}
    for row in rows:
        available = row[columns["available"]]
        if not isinstance(available, bool):
            raise TypeError(f"available is {available!r}")
        answers[int(row[columns["id"]])] = Answer(
            waiting=int(row[columns["waiting"]]),
            available=available,
            status=row[columns["status"]],
            row=str(row[columns["updated_at"]]),
        )
    return answers


def _from_jobs(rows: list[list[t.Any]], columns: dict[str, t.Any], machines: Machines) -> Answers:
    """Count by description, as these releases' rows have no id: it must be as in the inventory."""
    waiting = [row[columns["description"]] for row in rows if row[columns["state"]] == "WAITING"]
    return {machine["id"]: Answer(waiting.count(machine["description"])) for machine in machines}


# the jobs DB --------------------------------------------------------------------------------------------------------


# Waiting and running are conditions on jobs j and machine m, which differ between releases.
STATEMENT = """
SELECT coalesce(json_agg(q), '[]') FROM (
    SELECT m.id, m.available, s.status_code AS status, s.id::text AS "row",
           (SELECT count(*) FROM jobs j WHERE {waiting}) AS waiting,
           (SELECT count(*) FROM jobs j WHERE {running}) AS running
    FROM machines m LEFT JOIN LATERAL (
        SELECT id, status_code FROM client_status WHERE machine_id = m.id ORDER BY id DESC LIMIT 1
    ) s ON true
) q
"""


def ask_db(queue: dict[str, t.Any], _machines: Machines) -> Answers:
    """Ask with psql, whose password file libpq reads."""
    environment = {
        **os.environ,
        **queue["environment"],
        "PGCONNECT_TIMEOUT": str(int(queue["timeout"])),
        "PGOPTIONS": f"-c statement_timeout={int(queue['timeout'])}s",
    }
    command = ["psql", "--no-psqlrc", "--no-password", "--tuples-only", "--no-align", "--set=ON_ERROR_STOP=1"]
    try:
        done = subprocess.run(  # noqa: S603 a fixed program, and conditions from a file of root's
            [*command, f"--command={STATEMENT.format(**queue['conditions'])}"],
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf8",
            timeout=3 * queue["timeout"],
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Unknown(f"the jobs DB cannot be asked: {error}") from error
    if done.returncode != 0:
        raise Unknown(f"the jobs DB does not answer: {' '.join(done.stderr.split())}")
    try:
        rows = json.loads(done.stdout)
        return {row["id"]: Answer(**{key: row[key] for key in Answer._fields}) for row in rows}
    except (ValueError, TypeError, KeyError) as error:
        raise Unknown(f"the jobs DB's answer cannot be read: {error}") from error


# a command ----------------------------------------------------------------------------------------------------------


def ask_command(queue: dict[str, t.Any], machines: Machines) -> Answers:
    """Let a command tell: one number for all machines, or a JSON object with the number of each by its name."""
    command = queue["command"]
    try:
        done = subprocess.run(  # noqa: S603 from a file of root's
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            encoding="utf8",
            errors="replace",
            timeout=queue["timeout"],
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Unknown(f"the command cannot be asked: {error}") from error
    if done.returncode != 0:
        raise Unknown(f"the command {command[0]} ended with {done.returncode}: {' '.join(done.stderr.split())}")
    try:
        told = json.loads(done.stdout)
        by_name = told if isinstance(told, dict) else {machine["name"]: told for machine in machines}
        return {m["id"]: Answer(_number(by_name[m["name"]])) for m in machines if m["name"] in by_name}
    except ValueError as error:
        raise Unknown(f"the command {command[0]} tells {web.excerpt(done.stdout.encode())}: {error}") from error


def _number(value: t.Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise ValueError(f"{value!r} is no number of jobs")
    return value


SOURCES: dict[str, t.Callable[[dict[str, t.Any], Machines], Answers]] = {
    "api": ask_api,
    "db": ask_db,
    "command": ask_command,
}
