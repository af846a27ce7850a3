# SPDX-License-Identifier: GPL-3.0-or-later
"""What can go wrong between a job and its machine, and the state that it must leave: the table in docs/wake.md."""

from __future__ import annotations

import json
from urllib.parse import parse_qs, urlsplit

import pytest
from greenlab_wake import jobs, packet
from greenlab_wake.jobs import Answer

from ansible_collections.greenlab.cluster.plugins.plugin_utils import _releases

ONE = Answer(waiting=1, available=True, status="job_no", row="7")
NONE = ONE._replace(waiting=0)
ROW = [1, "Machine 1", True, "job_no", "2026-11-22", None, None, None, None, None, None, 1, None, {}]


# the queue ------------------------------------------------------------------------------------------------------------


def wrong_token(server, _queue):
    server.status, server.body = 401, b'{"success": false, "err": "User with corresponding token not found"}'


def api_down(_server, queue):
    queue["url"] = "http://127.0.0.1:1"


def db_down(_server, queue):
    environment = {"PGHOST": "/nowhere", "PGPORT": "1", "PGUSER": "wake", "PGDATABASE": "green-coding"}
    queue.update(source="db", environment=environment, conditions=_releases.merged("v4.1")["queue"])


FAULTS = [(wrong_token, "the API answers 401"), (api_down, "the API does not"), (db_down, "the jobs DB does not")]


@pytest.mark.parametrize(("fault", "says"), FAULTS)
def test_a_queue_that_cannot_be_read_wakes_nobody_forgets_nothing_and_ends(cluster, server, tmp_path, fault, says):
    (tmp_path / "token").write_text("secret-token\n")
    well = {
        "source": "api", "url": server.url, "token_file": str(tmp_path / "token"), "ca_file": "", "timeout": 5,
        "endpoint": "machines", "columns": _releases.merged("v4.1")["api"]["machines"],
    }  # fmt: skip
    queue = dict(well)
    c = cluster()
    c.world.ask = lambda: jobs.ask(queue, c.config["machines"])
    server.rows([*ROW[:11], 0, *ROW[12:]])
    c.runs(2)
    assert c.state() == "asleep"
    before = c.record()

    fault(server, queue)
    assert c.run() == ["unknown"]
    assert not c.known
    assert (c.record(), c.world.done) == (before, [])
    assert list(json.loads((tmp_path / "state.json").read_text())["alarms"]) == ["queue"]
    assert len(c.messages) == 1
    assert says in c.messages[0]

    queue.clear()
    queue.update(well)
    server.rows(ROW)
    c.world.in_seconds(4, lambda: c.world.up.add("machine1"))
    assert c.run()[:3] == ["known", "machine1 waking", "machine1 sent"]
    assert c.state() == "awake"
    assert json.loads((tmp_path / "state.json").read_text())["alarms"] == {}


@pytest.mark.parametrize("error", ["the API answers 401", "the jobs DB does not answer"])
def test_a_queue_that_is_lost_while_a_machine_wakes_does_not_end_the_wake(cluster, error):
    c = cluster()
    c.world.in_seconds(5, lambda: setattr(c.world, "queue", jobs.Unknown(error)))
    c.run(machine1=ONE)
    assert (c.sent(), c.state()) == ([0, 10, 30], "waking")
    assert c.run() == ["unknown"]
    assert c.state() == "waking"
    c.world.up.add("machine1")
    assert c.run(machine1=ONE) == ["known", "machine1 woken"]


# the machine ----------------------------------------------------------------------------------------------------------


def test_a_wrong_mac_is_a_machine_that_never_wakes(cluster, machine, tmp_path):
    """Nobody can tell a wrong address from a dead machine: the packet is right, but for another card."""
    own, wrong = "02:00:00:00:00:01", "02:00:00:00:00:99"
    c = cluster(machine(mac=wrong))
    sent = []
    c.world.act = lambda m, *_more: sent.append(packet.magic_packet(m["mac"]))
    c.run(machine1=ONE)
    c.runs(5)
    assert len(sent) == 6
    assert not any(packet.as_bytes(own, 6) in data for data in sent)
    assert c.state() == "failed"
    assert "machine 1" in json.loads((tmp_path / "state.json").read_text())["alarms"]
    # Put right, it is woken at the next try.
    c.config["machines"][0]["mac"] = own
    c.world.act = lambda m, *_more: m["mac"] == own and c.world.up.add("machine1")
    c.runs(61)
    assert c.state() == "awake"
    assert json.loads((tmp_path / "state.json").read_text())["alarms"] == {}


def test_a_machine_that_never_wakes_holds_up_no_other(cluster, machine):
    c = cluster(machine(1), machine(2), max_concurrent=1)
    c.run(machine1=ONE, machine2=ONE)
    c.runs(6)
    c.world.up.add("machine2")
    assert c.run() == ["machine2 woken"]
    assert (c.state(1), c.state(2)) == ("failed", "awake")
    assert c.messages == ["machine1 does not wake: no sign of life after 300 s and 6 tries."]


# the job --------------------------------------------------------------------------------------------------------------


def test_two_jobs_at_once_leave_one_wake(cluster):
    c = cluster()
    c.world.in_seconds(12, lambda: c.world.queue.update({1: Answer(1, True, "job_start", "8", 1)}))
    events = c.run(machine1=ONE._replace(waiting=2))
    assert (events.count("machine1 waking"), c.sent()) == (1, [0, 10])
    c.run(machine1=Answer(0, True, "job_start", "9", 1))  # the first has ended, the second has begun
    c.runs(5)
    record = c.record()
    assert (record["state"], len(record["wakes"]), record["waiting"]) == ("awake", 1, 0)
    assert "waiting_since" not in record
    assert c.messages == []


@pytest.mark.parametrize(("is_up", "state"), [(True, "awake"), (False, "asleep")])
def test_a_job_that_is_cancelled_while_its_machine_wakes_leaves_what_is_seen(cluster, is_up, state):
    c = cluster()
    c.run(machine1=ONE)
    if is_up:
        c.world.up.add("machine1")
    assert c.run(machine1=NONE)[0] == "machine1 cancelled"
    c.runs(3)
    record = c.record()
    assert (record["state"], record["waiting"], c.sent()) == (state, 0, [0, 10, 30])
    assert not {"waiting_since", "held", "up_since"} & set(record)
    assert c.messages == []
    # It counts as a wake, and does not keep the next job from one.
    c.world.up.clear()
    c.runs(3)
    assert "machine1 waking" in c.run(machine1=ONE)
    assert len(c.record()["wakes"]) == 2


# the clock ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", ["waking", "failed", "asleep"])
def test_a_clock_that_is_set_back_leaves_no_time_ahead(cluster, tmp_path, state):
    c = cluster()
    runs = {"waking": 1, "failed": 6, "asleep": 3}[state]
    for _time in range(runs):
        c.run(machine1=NONE if state == "asleep" else ONE)
    assert c.state() == state
    c.world.clock -= 365 * 86400
    now = c.world.clock
    c.run()

    def times(value):
        values = value.values() if isinstance(value, dict) else value if isinstance(value, list) else []
        return [value] if isinstance(value, float) else [at for one in values for at in times(one)]

    left = json.loads((tmp_path / "state.json").read_text())
    assert times(left)
    assert max(times(left)) <= now + 60
    assert c.state() == state  # what it was; its patience begins anew
    # The next try comes no later than for a machine that would begin to wake at this moment.
    before = c.names().count("machine1 waking")
    c.run(machine1=ONE)
    c.runs((300 + 3600) // 60 + 1)
    assert c.names().count("machine1 waking") > before


# the API of each release ----------------------------------------------------------------------------------------------

# Release: path, places of description and state, whether machine_id and state are parameters. Of each release's source.
LAYOUT = {
    "v0.19": ("/v1/jobs", 5, 6, False),
    "v0.20": ("/v1/jobs", 5, 6, False),
    "v0.21": ("/v1/jobs", 6, 7, False),
    "v0.21.1": ("/v1/jobs", 6, 7, True),
    "v1.0": ("/v1/jobs", 6, 7, True),
    "v1.3": ("/v1/jobs", 6, 7, True),
    "v1.4.0": ("/v1/jobs", 6, 7, True),
    "v2.0": ("/v2/jobs", 7, 8, True),
    "v2.5": ("/v2/jobs", 7, 8, True),
    "v2.6": ("/v2/jobs", 7, 8, True),
    "v4.1": ("/v2/jobs", 7, 8, True),
}
QUEUE = [("Machine 1", "WAITING"), ("Machine 1", "FINISHED"), ("Machine 2", "WAITING"), ("Machine 1", "WAITING")]


def rows_of(release, machine="", state=""):
    """Return the queue as the release's API has it, of one machine and state where it takes them."""
    _path, description, at, _filter = LAYOUT[release]
    rows = []
    for number, (name, is_in) in enumerate(QUEUE):
        if name.endswith(machine) and is_in.startswith(state):
            row = [number, *[f"text {place}" for place in range(1, 12)]]
            row[description], row[at] = name, is_in
            rows.append(row)
    return rows


def by_the_seeds_script(rows):
    """Count as the script of 2023 does: .[6] is the machine's description, .[7] the state."""
    return sum(row[6] == "Machine 1" and row[7] == "WAITING" for row in rows)


@pytest.mark.parametrize("release", LAYOUT)
def test_the_rows_of_each_release_are_understood(server, tmp_path, machine, release):
    path, _description, _state, is_filtered = LAYOUT[release]
    (tmp_path / "token").write_text("secret-token\n")
    queue = {
        "source": "api", "url": server.url, "token_file": str(tmp_path / "token"), "ca_file": "", "timeout": 5,
        "endpoint": "jobs", "columns": _releases.merged(release)["api"]["jobs"],
    }  # fmt: skip
    machines = [machine(1), machine(2, description="Machine 2"), machine(3, description="Machine 3")]
    if is_filtered:
        found = {}
        for one in machines:
            rows = rows_of(release, str(one["id"]), "WAITING")
            server.rows(*rows)
            if not rows:
                server.status, server.body = 204, b""
            found.update(jobs.ask(queue, [one]))
            query = parse_qs(urlsplit(server.requests[-1][1]).query)
            assert query == {"machine_id": [str(one["id"])], "state": ["WAITING"]}
    else:
        server.rows(*rows_of(release))
        found = jobs.ask(queue, machines)
    assert {number: answer.waiting for number, answer in found.items()} == {1: 2, 2: 1, 3: 0}
    assert {urlsplit(request[1]).path for request in server.requests} == {path}


@pytest.mark.parametrize("release", LAYOUT)
def test_the_seeds_script_is_right_for_the_releases_that_have_its_places_and_no_other(release):
    assert by_the_seeds_script(rows_of(release)) == (2 if LAYOUT[release][1:3] == (6, 7) else 0)
