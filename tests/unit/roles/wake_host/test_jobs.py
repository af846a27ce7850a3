# SPDX-License-Identifier: GPL-3.0-or-later
"""Three answers: waiting, none, unknown. From an HTTP server and from a real PostgreSQL, for each release's form."""

from __future__ import annotations

import os
import re
import time
from pathlib import Path

import psycopg
import pytest
from greenlab_wake import jobs

from ansible_collections.greenlab.cluster.plugins.plugin_utils import _releases

GMT = Path(__file__).resolve().parents[3] / "gmt"


@pytest.fixture
def api(server, tmp_path, machine):
    """Ask the server as a release's wake host does."""
    (tmp_path / "token").write_text("secret-token\n")

    def ask(release="v4.1", endpoint="machines", machines=None, **more):
        queue = {
            "source": "api", "url": server.url, "token_file": str(tmp_path / "token"), "ca_file": "", "timeout": 5,
            "endpoint": endpoint, "columns": _releases.merged(release)["api"][endpoint], **more,
        }
        return jobs.ask(queue, machines or [machine(1), machine(2)])

    return ask


def row_of_machines(number, waiting, available=True, status="job_no"):
    return [number, f"Machine {number}", available, status, "2026-11-22 01:02:03+00:00", "fifo", None, None, None, None,
            None, waiting, 60, {}]


def row_of_jobs(release, state, description):
    columns = _releases.merged(release)["api"]["jobs"]
    row = [f"column {number}" for number in range(10)]
    row[columns["description"]], row[columns["state"]] = description, state
    return row


def test_one_question_tells_of_all_machines(api, server):
    server.rows(row_of_machines(1, 2), row_of_machines(2, 0, available=False, status=None))
    assert api() == {
        1: jobs.Answer(2, True, "job_no", "2026-11-22 01:02:03+00:00"),
        2: jobs.Answer(0, False, None, "2026-11-22 01:02:03+00:00"),
    }
    assert [request[:2] for request in server.requests] == [("GET", "/v1/machines")]


def test_the_token_is_really_sent(api, server):
    server.rows(row_of_machines(1, 0))
    api()
    assert server.requests[0][2]["x-authentication"] == "secret-token"


def test_a_cluster_without_machines_is_no_answer_about_any(api, server):
    server.status, server.body = 204, b""
    assert api() == {}


def test_jobs_are_asked_for_by_machine(api, server):
    server.rows(row_of_jobs("v4.1", "WAITING", "Machine 1"))
    assert api(endpoint="jobs") == {1: jobs.Answer(1), 2: jobs.Answer(1)}
    paths = [path for _verb, path, *_more in server.requests]
    assert paths == [f"/v2/jobs?machine_id={number}&state=WAITING" for number in (1, 2)]


def test_no_content_is_no_job(api, server):
    server.status, server.body = 204, b""
    assert api(endpoint="jobs")[1].waiting == 0


@pytest.mark.parametrize(("release", "place"), [("v0.19", (5, 6)), ("v0.20", (5, 6)), ("v0.21", (6, 7))])
def test_old_releases_are_counted_by_description(api, server, machine, release, place):
    """The places are those that the seed of 2023 had in its script (6 and 7), and those before."""
    columns = _releases.merged(release)["api"]["jobs"]
    assert (columns["description"], columns["state"]) == place
    server.rows(
        row_of_jobs(release, "WAITING", "Machine 1"), row_of_jobs(release, "FINISHED", "Machine 1"),
        row_of_jobs(release, "WAITING", "Another"), row_of_jobs(release, "WAITING", "Machine 1"),
    )
    found = api(release, "jobs", [machine(1), machine(2, description="Machine 2")])
    assert {number: answer.waiting for number, answer in found.items()} == {1: 2, 2: 0}
    assert server.requests[0][1] == "/v1/jobs"


@pytest.mark.parametrize(("release", "path"), [("v0.21.1", "/v1/jobs"), ("v1.4", "/v1/jobs"), ("v2.0", "/v2/jobs")])
def test_each_release_has_its_path(api, server, release, path):
    server.status, server.body = 204, b""
    api(release, "jobs")
    assert server.requests[0][1] == f"{path}?machine_id=1&state=WAITING"


OLD_API_IS_GONE = b'{"success": false, "err": "This endpoint is deprecated. Please migrate to /v2/jobs"}'


@pytest.mark.parametrize(
    ("status", "body", "says"),
    [
        (401, b'{"success": false, "err": "User with corresponding token not found"}', "answers 401"),
        (410, OLD_API_IS_GONE, "answers 410 .*migrate to /v2/jobs"),
        (422, b"{}", "answers 422"),
        (429, b"slow down", "answers 429"),
        (500, b"", "answers 500"),
        (502, b"<html>\r\n<h1>Bad\nGateway</h1>", "answers 502 to [^ ]+ <html> <h1>Bad Gateway</h1>$"),
        (301, b"", "answers 301"),
        (200, b"", "is no JSON"),
        (200, b"<html>", "is no JSON"),
        (200, b"[]", "has no data"),
        (200, b'{"success": false, "data": []}', "has no data"),
        (200, b'{"success": true, "data": {}}', "has no data"),
        (200, b'{"success": true}', "has no data"),
    ],
)
def test_whatever_is_not_an_answer_is_unknown(api, server, status, body, says):
    server.status, server.body = status, body
    for endpoint in ("machines", "jobs"):
        with pytest.raises(jobs.Unknown, match=says):
            api(endpoint=endpoint)


@pytest.mark.parametrize(
    "row",
    [[], row_of_machines(1, 2)[:11], row_of_machines(1, None), row_of_machines(1, "x"), row_of_machines(1, 1, "yes")],
)
def test_rows_of_another_form_are_unknown(api, server, row):
    server.rows(row)
    with pytest.raises(jobs.Unknown, match="rows are not those of the release"):
        api()


def test_jobs_rows_that_are_too_short_are_unknown(api, server):
    server.rows(["only", "two"])
    with pytest.raises(jobs.Unknown, match="rows are not those of the release"):
        api("v0.21", "jobs")


def test_a_server_that_does_not_answer_in_time_is_unknown(api, server):
    server.slow = 5
    started = time.monotonic()
    with pytest.raises(jobs.Unknown, match="[Tt]imed? ?out"):
        api(timeout=0.2)
    assert time.monotonic() - started < 2


@pytest.mark.parametrize("url", ["http://127.0.0.1:1", "http://name.invalid", "ftp://127.0.0.1", ""])
def test_no_server_is_unknown(api, url):
    with pytest.raises(jobs.Unknown, match="the API does not answer"):
        api(url=url)


def test_a_plain_http_server_behind_https_is_unknown(api, server):
    with pytest.raises(jobs.Unknown, match="the API does not answer: .*SSL"):
        api(url=server.url.replace("http:", "https:"))


def test_a_token_that_cannot_be_read_is_unknown(api, tmp_path):
    (tmp_path / "token").write_text("\n")
    with pytest.raises(jobs.Unknown, match="token file .* is empty"):
        api()
    with pytest.raises(jobs.Unknown, match="token cannot be read"):
        api(token_file=str(tmp_path / "nowhere"))


# the jobs DB --------------------------------------------------------------------------------------------------------


@pytest.fixture
def db(postgres):
    """Make a jobs DB of a release; return how to ask it, and a connection to it."""
    connections = []

    def make(release):
        name = f"wake-{release}"
        dsn = postgres.load_gmt(GMT / release / "docker/structure.sql", name)
        connections.append(psycopg.connect(dsn, autocommit=True))
        environment = {"PGHOST": postgres.host, "PGPORT": str(postgres.port), "PGUSER": postgres.user,
                       "PGDATABASE": name}
        queue = {"source": "db", "environment": environment, "timeout": 5,
                 "conditions": _releases.merged(release)["queue"]}
        return queue, connections[-1]

    yield make
    for connection in connections:
        connection.close()


def test_the_jobs_db_of_the_current_release(db):
    queue, connection = db("v4.1")
    connection.execute("INSERT INTO machines (id, description, available) VALUES (7, 'seven', false)")
    assert jobs.ask(queue, [])[7] == jobs.Answer(0, available=False)
    insert = (
        "INSERT INTO jobs (type, state, name, url, branch, filename, machine_id, user_id)"
        " VALUES (%s, %s, 'a', 'b', 'c', 'd', 7, 1)"
    )
    for kind, state in [("run", "WAITING"), ("run", "WAITING"), ("run", "PAUSED"), ("run", "CANCELLED"),
                        ("run", "FINISHED"), ("email", "WAITING")]:
        connection.execute(insert, [kind, state])
    connection.execute("INSERT INTO client_status (status_code, machine_id) VALUES ('job_no', 7)")
    answer = jobs.ask(queue, [])[7]
    assert answer == jobs.Answer(2, available=False, status="job_no", row=answer.row)
    assert answer.is_idle
    connection.execute(insert, ["run", "RUNNING"])
    connection.execute("INSERT INTO client_status (status_code, machine_id) VALUES ('job_start', 7)")
    later = jobs.ask(queue, [])[7]
    assert (later.running, later.row == answer.row, later.is_idle) == (1, False, False)


def test_the_jobs_db_of_the_first_release(db):
    queue, connection = db("v0.16")
    connection.execute("DELETE FROM jobs; DELETE FROM machines")
    connection.execute("INSERT INTO machines (id, description, available) VALUES (1, 'one', true), (2, 'two', true)")
    insert = "INSERT INTO jobs (type, machine_id, running, failed) VALUES (%s, %s, %s, %s)"
    for row in [("project", 1, False, False), ("project", None, False, False), ("project", 1, False, True),
                ("email", 1, False, False), ("project", 2, True, False)]:
        connection.execute(insert, row)
    found = jobs.ask(queue, [])
    assert {number: (a.waiting, a.running) for number, a in found.items()} == {1: (2, 0), 2: (1, 1)}


def test_a_jobs_db_without_machines(db):
    queue, connection = db("v4.1")
    connection.execute("TRUNCATE machines CASCADE")
    assert jobs.ask(queue, []) == {}


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"PGHOST": "/nowhere"}, "the jobs DB does not answer: .*No such file"),
        ({"PGUSER": "nobody else"}, 'the jobs DB does not answer: .*"nobody else" does not exist'),
        ({"PGDATABASE": "none"}, 'the jobs DB does not answer: .*"none" does not exist'),
    ],
)
def test_a_jobs_db_that_does_not_answer_is_unknown(db, change, says):
    queue, _connection = db("v4.1")
    queue["environment"].update(change)
    with pytest.raises(jobs.Unknown, match=re.compile(says, re.DOTALL)):
        jobs.ask(queue, [])


def test_the_schema_of_another_release_is_unknown(db):
    queue, _connection = db("v0.16")
    queue["conditions"] = _releases.merged("v4.1")["queue"]
    with pytest.raises(jobs.Unknown, match="j.state does not exist"):
        jobs.ask(queue, [])


def test_a_statement_that_hangs_is_unknown(db):
    queue, connection = db("v4.1")
    queue["timeout"] = 1
    with connection.transaction():
        connection.execute("LOCK TABLE jobs IN ACCESS EXCLUSIVE MODE")
        with pytest.raises(jobs.Unknown, match="statement timeout"):
            jobs.ask(queue, [])


def test_no_psql_is_unknown(db, monkeypatch):
    queue, _connection = db("v4.1")
    monkeypatch.setitem(os.environ, "PATH", "/nowhere")
    with pytest.raises(jobs.Unknown, match="the jobs DB cannot be asked: .*psql"):
        jobs.ask(queue, [])


# a command ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def command(machine):
    """Let a shell tell what is waiting."""

    def ask(script, timeout=5):
        queue = {"source": "command", "command": ["sh", "-c", script], "timeout": timeout}
        return jobs.ask(queue, [machine(1), machine(2)])

    return ask


def test_a_command_tells_of_each_machine_by_its_name_and_one_that_is_missing_is_not_known(command):
    assert command("""echo '{"machine2": 3, "stranger": 1}'""") == {2: jobs.Answer(3)}


def test_a_command_tells_one_number_for_all(command):
    assert command("echo 0") == {1: jobs.Answer(0), 2: jobs.Answer(0)}


@pytest.mark.parametrize(
    ("script", "why"),
    [
        ("echo no queue >&2; exit 3", "the command sh ended with 3: no queue"),
        ("true", "the command sh tells"),
        ("echo many", "the command sh tells"),
        ("echo -1", "-1 is no number of jobs"),
        ("echo true", "True is no number of jobs"),
        ("""echo '{"machine1": "2"}'""", "'2' is no number of jobs"),
        ("echo '[1, 2]'", "no number of jobs"),
    ],
)
def test_what_a_command_does_not_tell_is_not_known(command, script, why):
    with pytest.raises(jobs.Unknown, match=re.escape(why)):
        command(script)


def test_a_command_that_hangs_or_is_missing_is_not_known(command, machine):
    with pytest.raises(jobs.Unknown, match="timed out"):
        command("sleep 9", timeout=0.2)
    with pytest.raises(jobs.Unknown, match="No such file"):
        jobs.ask({"source": "command", "command": ["/no/such"], "timeout": 5}, [machine(1)])
