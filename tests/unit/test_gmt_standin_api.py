# SPDX-License-Identifier: GPL-3.0-or-later
"""The stand-in's web API: the answers that the contract's section 3 promises a wake host, called without a server."""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest
import yaml

TREE = Path(__file__).resolve().parents[1] / "gmt/v4.1"

# Reads requests from standard input and answers each, as a server would call the application.
CALLER = """
import asyncio, json, sys
from api.main import app
async def call(method, path, query, headers, body):
    sent = []
    async def receive():
        return {"type": "http.request", "body": body.encode()}
    async def send(message):
        sent.append(message)
    scope = {"type": "http", "method": method, "path": path, "query_string": query.encode(),
             "headers": [(k.encode(), v.encode()) for k, v in headers.items()]}
    await app(scope, receive, send)
    return sent[0]["status"], {k.decode(): v.decode() for k, v in sent[0]["headers"]}, sent[1]["body"].decode()
for line in sys.stdin:
    print(json.dumps(asyncio.run(call(*json.loads(line)))), flush=True)
"""


class Api:
    def __init__(self, postgres, base: Path) -> None:
        self.db = psycopg.connect(postgres.load_gmt(TREE / "docker/structure.sql", "standin_api"), autocommit=True)
        config = yaml.safe_load((TREE / "config.yml.example").read_text())
        config["postgresql"].update(host=postgres.host, port=postgres.port, user=postgres.user, dbname="standin_api")
        config["cluster"].update(cors_allowed_origins=["https://metrics.example.org"])
        (base / "config.yml").write_text(yaml.safe_dump(config))
        start = f"from lib import global_config; global_config.override({str(base / 'config.yml')!r})\n{CALLER}"
        self.process = subprocess.Popen(
            [sys.executable, "-c", start], env={**os.environ, "PYTHONPATH": str(TREE)}, encoding="utf8",
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )

    def __call__(self, path: str, query: str = "", token: str | None = None, method: str = "GET", **more):
        """Return status, body (parsed) and headers."""
        headers = {**({"x-authentication": token} if token is not None else {}), **more.get("headers", {})}
        print(json.dumps([method, path, query, headers, more.get("body", "")]), file=self.process.stdin, flush=True)
        line = self.process.stdout.readline()
        assert line, self.process.stderr.read()
        status, got, body = json.loads(line)
        return status, json.loads(body) if body else None, got

    def submit(self, **values) -> int:
        row = {"type": "run", "name": "a job", "url": "https://x.invalid/a", "branch": "main", "filename": "a.yml",
               "machine_id": 1, "user_id": 1, **values}
        statement = psycopg.sql.SQL("INSERT INTO jobs ({}) VALUES ({}) RETURNING id").format(
            psycopg.sql.SQL(",").join(map(psycopg.sql.Identifier, row)),
            psycopg.sql.SQL(",").join(map(psycopg.sql.Literal, row.values())),
        )
        return self.db.execute(statement).fetchone()[0]


@pytest.fixture
def api(postgres, tmp_path):
    api = Api(postgres, tmp_path)
    yield api
    api.process.communicate()
    api.db.close()


def test_machines(api):
    api.submit()
    status, body, _headers = api("/v1/machines")
    assert (status, body["success"]) == (200, True)
    assert [len(row) for row in body["data"]] == [14]
    row = body["data"][0]
    assert (row[0], row[1], row[2], row[3], row[11]) == (1, "Development machine for testing", True, None, 1)


def test_no_machines_is_no_content(api):
    api.db.execute("DELETE FROM jobs")
    api.db.execute("DELETE FROM machines")
    assert api("/v1/machines")[:2] == (204, None)


def test_jobs_have_their_columns(api):
    job = api.submit(category_ids=[1])
    status, body, _headers = api("/v2/jobs", f"job_id={job}")
    assert status == 200
    assert body["data"][0][:9] == [
        job, None, "a job", "https://x.invalid/a", "a.yml", {}, "main", "Development machine for testing", "WAITING"]
    assert body["data"][0][9] is None
    assert body["data"][0][10].startswith("20")
    assert body["data"][0][11] == [1]


def test_jobs_are_filtered(api):
    api.db.execute("INSERT INTO machines (id, description, available) VALUES (2, 'two', true)")
    one, two = api.submit(), api.submit(machine_id=2, state="RUNNING")

    def ids(query):
        status, body, _headers = api("/v2/jobs", query)
        return sorted(row[0] for row in body["data"]) if status == 200 else status

    assert ids("machine_id=2") == [two]
    assert ids("state=WAITING") == [one]
    assert ids("machine_id=2&state=WAITING") == 204
    assert ids("job_id=4711") == 204
    # 0 is no filter; the seed brings a job of its own.
    assert len(ids("machine_id=0")) == 3


@pytest.mark.parametrize("machine_id", ["1025", "-1", "one", ""])
def test_a_machine_id_that_cannot_be_is_refused(api, machine_id):
    # parse_qs leaves an empty value out, so it is no filter.
    status, body, _headers = api("/v2/jobs", f"machine_id={machine_id}")
    assert status == (422 if machine_id else 200)
    assert body["success"] is (status == 200)


def test_an_unknown_state_is_an_error_of_the_server(api):
    status, body, _headers = api("/v2/jobs", "state=ASLEEP")
    assert (status, body["success"]) == (500, False)
    assert api("/v2/jobs")[0] == 200  # and the next caller does not suffer


def test_the_old_jobs_are_gone(api):
    assert api("/v1/jobs", token="wrong")[0] == 410


@pytest.mark.parametrize("token", ["wrong", "default", hashlib.sha256(b"DEFAULT").hexdigest()])
def test_a_bad_token_is_refused(api, token):
    status, body, _headers = api("/v2/jobs", token=token)
    assert (status, body["success"]) == (401, False)


def test_no_token_is_the_default_user(api):
    assert api("/v2/jobs")[0] == api("/v2/jobs", token="")[0] == api("/v2/jobs", token="DEFAULT")[0] == 200
    api.db.execute("UPDATE users SET token = 'closed' WHERE id = 1")
    assert api("/v2/jobs")[0] == api("/v2/jobs", token="")[0] == api("/v2/jobs", token="DEFAULT")[0] == 401


def test_a_user_sees_what_they_may(api):
    rights = api.db.execute("SELECT capabilities FROM users WHERE id = 1").fetchone()[0]
    rights["user"] = {"is_super_user": False, "visible_users": [2]}
    rights["api"] = {"routes": ["/v2/jobs"], "quotas": {"/v2/jobs": 2}}
    api.db.execute(
        "INSERT INTO users (id, name, token, capabilities) VALUES (2, 'wake', %s, %s)",
        (hashlib.sha256(b"wake token").hexdigest(), json.dumps(rights)),
    )
    own = api.submit(user_id=2)
    assert [row[0] for row in api("/v2/jobs", token="wake token")[1]["data"]] == [own]
    assert api("/v1/machines", token="wake token")[0] == 401  # another route
    assert api("/v2/jobs", token="wake token")[0] == 200
    assert api("/v2/jobs", token="wake token")[0] == 401  # the quota is used up


RUN = {"name": "new", "repo_url": "https://x.invalid/a", "filename": "a.yml", "branch": "main", "machine_id": 1,
       "schedule_mode": "one-off"}


def test_a_job_is_submitted(api):
    status, body, _headers = api("/v1/runs/add", method="POST", body=json.dumps(RUN))
    assert status == 202
    assert api("/v2/jobs", f"job_id={body['data'][0]}")[1]["data"][0][8] == "WAITING"
    status, body, _headers = api("/v1/runs/add", method="POST", body=json.dumps({**RUN, "schedule_mode": "variance"}))
    assert (status, len(body["data"])) == (202, 3)
    api("/v1/runs/add", method="POST", body=json.dumps({**RUN, "schedule_mode": "daily"}))
    assert api.db.execute("SELECT name, schedule_mode FROM watchlist").fetchall() == [("new", "daily")]


@pytest.mark.parametrize(
    "change", [{"machine_id": 7}, {"machine_id": "1"}, {"name": " "}, {"schedule_mode": "hourly"}, {"branch": None}]
)
def test_a_job_that_cannot_be_is_refused(api, change):
    assert api("/v1/runs/add", method="POST", body=json.dumps({**RUN, **change}))[0] == 422
    assert api.db.execute("SELECT count(*) FROM jobs WHERE state = 'WAITING'").fetchone() == (0,)


def test_the_dashboard_may_ask_and_nobody_else(api):
    origin = "access-control-allow-origin"
    assert api("/v2/jobs", headers={"origin": "https://metrics.example.org"})[2][origin] == "https://metrics.example.org"
    assert origin not in api("/v2/jobs", headers={"origin": "https://evil.example.org"})[2]
    assert api("/v2/jobs", method="OPTIONS", headers={"origin": "https://metrics.example.org"})[0] == 200


def test_other_paths(api):
    assert api("/")[0] == 307
    assert api("/v3/jobs")[0] == 404
    assert api("/v2/jobs", method="POST")[0] == 405


def test_lifespan():
    """A server asks the application to start and to stop."""
    code = "import asyncio\nfrom api.main import app\n" + (
        "sent, asked = [], iter(['lifespan.startup', 'lifespan.shutdown'])\n"
        "async def receive(): return {'type': next(asked)}\n"
        "async def send(m): sent.append(m['type'])\n"
        "asyncio.run(app({'type': 'lifespan'}, receive, send)); print(sent)"
    )
    env = {**os.environ, "PYTHONPATH": str(TREE)}
    out = subprocess.check_output([sys.executable, "-c", code], env=env, encoding="utf8")
    assert out.strip() == "['lifespan.startup.complete', 'lifespan.shutdown.complete']"
