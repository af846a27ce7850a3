# SPDX-License-Identifier: GPL-3.0-or-later
"""The web API, as far as a wake host and a submitter see it. Upstream's is written with FastAPI, this with nothing.

gunicorn runs `app` in a uvicorn worker, in the folder api. Status codes and the order of columns are upstream's.
"""

from __future__ import annotations

import hashlib
import json
import re
import sys
from collections.abc import Callable
from urllib.parse import parse_qs

sys.dont_write_bytecode = True  # nothing is ever written into the checkout

from lib import db  # noqa: E402
from lib.error_helpers import log_error  # noqa: E402
from lib.global_config import config  # noqa: E402

MODES = {"one-off": 1, "daily": 1, "weekly": 1, "commit": 1, "commit-variance": 3, "tag": 1, "tag-variance": 3,
         "variance": 3, "statistical-significance": 10}
HIGHEST_MACHINE = 1024


class Refused(Exception):
    """An answer that is not the wanted one."""

    def __init__(self, status: int, detail: str) -> None:
        super().__init__(detail)
        self.status = status


Answer = tuple[int, object]  # status and body; no body is None


# who asks -------------------------------------------------------------------------------------------------------------


def authenticate(token: str, route: str) -> dict:
    """Return the user of a token. No token is the token DEFAULT."""
    hashed = hashlib.sha256((token.strip() or "DEFAULT").encode()).hexdigest()
    user = db.fetch_one("SELECT id, name, capabilities FROM users WHERE token = %s AND id <> 0", (hashed,))
    if user is None:
        raise Refused(401, "User with corresponding token not found")
    api = user["capabilities"]["api"]
    if route not in api["routes"]:
        raise Refused(401, f"Route not allowed for user {user['name']}")
    quota = api["quotas"].get(route)
    if quota is not None:
        if quota <= 0:
            raise Refused(401, f"Quota exceeded for user {user['name']}")
        api["quotas"][route] = quota - 1
        db.query("UPDATE users SET capabilities = %s WHERE id = %s", (json.dumps(user["capabilities"]), user["id"]))
    return user


# the routes -----------------------------------------------------------------------------------------------------------


def machines(_user: dict, _query: dict, _body: bytes) -> Answer:
    rows = db.fetch_all(
        """SELECT id, description, available, status_code, updated_at, jobs_processing, gmt_hash, gmt_timestamp,
                  base_temperature, current_temperature, cooldown_time_after_job,
                  (SELECT count(*) FROM jobs WHERE jobs.machine_id = machines.id AND state = 'WAITING') AS waiting,
                  (SELECT avg(end_measurement - start_measurement) / 1000000 FROM runs
                   WHERE runs.machine_id = machines.id AND runs.created_at > now() - interval '30 days')::int AS secs,
                  configuration
           FROM machines ORDER BY available DESC, id"""
    )
    return table(rows)


def old_jobs(_user: dict, _query: dict, _body: bytes) -> Answer:
    raise Refused(410, "This endpoint is deprecated. Please migrate to /v2/jobs")


def jobs(user: dict, query: dict, _body: bytes) -> Answer:
    rights = user["capabilities"]["user"]
    machine_id, job_id = integer(query, "machine_id"), integer(query, "job_id")
    state = query.get("state") or None
    if machine_id and not 0 < machine_id <= HIGHEST_MACHINE:  # 0 is no filter
        raise Refused(422, f"machine_id must be > 0 and <= {HIGHEST_MACHINE}")
    rows = db.fetch_all(
        """SELECT jobs.id, runs.id AS run_id, jobs.name, jobs.url, jobs.filename, jobs.usage_scenario_variables,
                  jobs.branch, machines.description, jobs.state, jobs.updated_at, jobs.created_at, jobs.category_ids
           FROM jobs LEFT JOIN machines ON machines.id = jobs.machine_id LEFT JOIN runs ON runs.job_id = jobs.id
           WHERE jobs.type = 'run' AND (%(all)s OR jobs.user_id = ANY(%(users)s))
             AND (%(machine)s::int IS NULL OR jobs.machine_id = %(machine)s)
             AND (%(state)s::job_state IS NULL OR jobs.state = %(state)s::job_state)
             AND (%(job)s::int IS NULL OR jobs.id = %(job)s)
           ORDER BY jobs.updated_at DESC, jobs.created_at""",
        {
            "all": rights["is_super_user"], "users": rights["visible_users"],
            "machine": machine_id or None, "state": state, "job": job_id,
        },
    )
    return table(rows)


def add_run(user: dict, _query: dict, body: bytes) -> Answer:
    """Submit a job. Upstream asks the git host whether the repository is there, unless told no_url_check."""
    job = json.loads(body or b"null")
    wanted = {"name": str, "repo_url": str, "filename": str, "branch": str, "machine_id": int, "schedule_mode": str}
    if not isinstance(job, dict) or any(not isinstance(job.get(key), kind) for key, kind in wanted.items()):
        raise Refused(422, f"The body must have {', '.join(wanted)}")
    for key in ("name", "repo_url"):
        if not job[key].strip():
            raise Refused(422, f"{key} is empty")
    rights = user["capabilities"]
    if not db.fetch_one("SELECT id FROM machines WHERE id = %s AND available", (job["machine_id"],)):
        raise Refused(422, "Machine does not exist")
    if job["machine_id"] not in rights["machines"]:
        raise Refused(422, "Your user does not have the permissions to use that machine.")
    if job["schedule_mode"] not in MODES or job["schedule_mode"] not in rights["jobs"]["schedule_modes"]:
        raise Refused(422, f"The schedule mode {job['schedule_mode']} is unknown or not allowed")
    values = (
        job["name"], job["repo_url"], job["branch"] or "main", job["filename"] or "usage_scenario.yml",
        job["machine_id"], user["id"],
    )
    if job["schedule_mode"].split("-")[0] in ("daily", "weekly", "commit", "tag"):
        db.query(
            """INSERT INTO watchlist (name, repo_url, branch, filename, machine_id, user_id, schedule_mode)
               VALUES (%s, %s, %s, %s, %s, %s, %s)""",
            (*values, job["schedule_mode"]),
        )
    inserted = [
        db.fetch_one(
            """INSERT INTO jobs (type, name, url, branch, filename, machine_id, user_id, email)
               VALUES ('run', %s, %s, %s, %s, %s, %s, %s) RETURNING id""",
            (*values, job.get("email")),
        )["id"]
        for _ in range(MODES[job["schedule_mode"]])
    ]
    if receiver := config()["admin"]["notification_email"]:
        db.query(
            """INSERT INTO jobs (type, user_id, name, message, email)
               VALUES ('email-simple', %s, 'New run added from Web Interface', %s, %s)""",
            (user["id"], job["name"], receiver),
        )
    return 202, {"success": True, "data": inserted}


ROUTES: dict[tuple[str, str], Callable[[dict, dict, bytes], Answer]] = {
    ("GET", "/v1/machines"): machines,
    ("GET", "/v1/jobs"): old_jobs,
    ("GET", "/v2/jobs"): jobs,
    ("POST", "/v1/runs/add"): add_run,
}
NO_TOKEN = {"/v1/jobs"}


# in and out -----------------------------------------------------------------------------------------------------------


def integer(query: dict, name: str) -> int | None:
    if name not in query:
        return None
    if not re.fullmatch(r"[+-]?\d+", query[name]):
        raise Refused(422, f"{name} must be integer")
    return int(query[name])


def table(rows: list[dict]) -> Answer:
    """Return rows as lists in the order of their columns; no rows are no content."""
    return (200, {"success": True, "data": [list(row.values()) for row in rows]}) if rows else (204, None)


def answer(method: str, path: str, query: dict, token: str, body: bytes) -> Answer:
    try:
        if path == "/":
            return 307, None
        if (route := ROUTES.get((method, path))) is None:
            allowed = any(known == path for _method, known in ROUTES)
            raise Refused(405 if allowed else 404, "Method Not Allowed" if allowed else "Not Found")
        return route({} if path in NO_TOKEN else authenticate(token, path), query, body)
    except Refused as error:
        return error.status, {"success": False, "err": str(error)}
    except Exception as error:
        log_error("Error in API call", method=method, path=path, error=repr(error))
        return 500, {"success": False, "err": "Technical error with getting data from the API"}


async def app(scope: dict, receive: Callable, send: Callable) -> None:
    """Speak ASGI: one request, one answer."""
    if scope["type"] == "lifespan":
        while True:
            kind = (await receive())["type"]
            await send({"type": f"{kind}.complete"})
            if kind == "lifespan.shutdown":
                return
    body, more = b"", True
    while more:
        message = await receive()
        body, more = body + message.get("body", b""), message.get("more_body", False)
    given = {name.decode().lower(): value.decode("latin-1") for name, value in scope["headers"]}
    headers = {}
    if given.get("origin") in config()["cluster"]["cors_allowed_origins"]:
        headers = {"access-control-allow-origin": given["origin"], "access-control-allow-credentials": "true",
                   "access-control-allow-headers": "X-Authentication, Content-Type", "vary": "Origin"}
    if scope["method"] == "OPTIONS" and headers:
        status, content = 200, None
    else:
        query = {name: values[-1] for name, values in parse_qs(scope["query_string"].decode()).items()}
        status, content = answer(scope["method"], scope["path"], query, given.get("x-authentication", ""), body)
    payload = b"" if content is None else json.dumps(content, default=str).encode()
    if content is not None:
        headers["content-type"] = "application/json"
    if status == 307:
        headers["location"] = "/docs"
    if status != 204:
        headers["content-length"] = str(len(payload))
    encoded = [(name.encode(), value.encode()) for name, value in headers.items()]
    await send({"type": "http.response.start", "status": status, "headers": encoded})
    await send({"type": "http.response.body", "body": payload})
