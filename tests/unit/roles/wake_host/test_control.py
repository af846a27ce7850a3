# SPDX-License-Identifier: GPL-3.0-or-later
"""Who is woken when, who is not and why, and what is left behind; with a clock of the test's own."""

from __future__ import annotations

import json

import pytest
from greenlab_wake import drivers, jobs
from greenlab_wake.jobs import Answer

from ansible_collections.greenlab.cluster.plugins.module_utils import _machine_state

ONE = Answer(waiting=1, available=True, status="job_no", row="7")
NONE = ONE._replace(waiting=0)
STATES = _machine_state.STATE_OF_CODE
# Of a release that is newer than this collection.
INVENTED = "tea_break"


def test_a_job_wakes_its_machine_within_seconds(cluster, machine):
    c = cluster(machine(1), machine(2))
    c.world.in_seconds(6, lambda: c.world.up.add("machine1"))
    assert c.run(machine1=ONE, machine2=NONE) == ["machine1 waking", "machine1 sent", "machine1 woken"]
    assert c.world.done == [(c.world.done[0][0], "machine1", "magic_packet", "on")]
    woken = c.events()[-1]
    assert (woken["by"], woken["seconds"], woken["machine_id"]) == ("tcp", 6.0, 1)
    assert c.state() == "awake"


def test_without_a_job_nothing_is_sent(cluster):
    c = cluster()
    c.run(machine1=NONE)
    c.runs(20)
    assert c.world.done == []


def test_packets_are_repeated_at_once_and_then_ever_more_rarely_until_the_machine_has_failed(cluster):
    c = cluster()
    c.run(machine1=ONE)
    c.runs(5)
    assert c.sent() == [0, 10, 30, 60, 120, 240]
    assert c.state() == "failed"
    assert c.events()[-1]["event"] == "failed"
    assert c.messages == ["machine1 does not wake: no sign of life after 300 s and 6 tries."]


def test_a_failed_machine_is_tried_again_later(cluster):
    c = cluster()
    c.run(machine1=ONE)
    c.runs(5)
    failed = c.world.clock
    assert c.runs(50).count("machine1 waking") == 0
    c.runs(15)
    assert 3600 <= c.world.done[6][0] - failed + 60 < 3700
    # The alarm is not repeated for each failure.
    assert len(c.messages) == 1


def test_a_failed_machine_that_comes_back_ends_the_alarm(cluster):
    c = cluster()
    c.run(machine1=ONE)
    c.runs(5)
    assert c.run(machine1=Answer(0, True, "job_start", "8")) == ["machine1 woken"]
    assert c.messages[-1] == "machine1 is awake."


def test_the_row_in_the_jobs_db_is_the_best_sign_of_life(cluster):
    c = cluster()
    c.world.in_seconds(12, lambda: c.world.queue.update({1: Answer(0, True, "job_start", "8", 1)}))
    c.run(machine1=ONE)
    assert c.events()[-1]["by"] == "row"


def test_ping_counts_when_no_port_is_open(cluster):
    c = cluster()
    c.world.in_seconds(3, lambda: c.world.up.add("machine1 ping"))
    c.run(machine1=ONE)
    assert c.events()[-1]["by"] == "ping"


def test_a_sign_of_life_that_is_not_wanted_does_not_count(cluster):
    c = cluster(confirm=["row"])
    c.world.up.add("machine1")
    c.run(machine1=ONE)
    assert c.state() == "waking"
    assert c.world.asked == []


def test_a_machine_that_is_up_gets_no_packet(cluster):
    c = cluster()
    c.world.up.add("machine1")
    assert c.run(machine1=ONE) == []
    assert c.world.done == []


@pytest.mark.parametrize(("driver", "sent"), [(name, int(row.repeats)) for name, row in drivers.DRIVERS.items()])
def test_one_that_was_seen_asleep_is_asked_at_once_where_that_cannot_hurt(cluster, machine, driver, sent):
    """A look takes two seconds where nobody answers. Somebody may have switched it on meanwhile."""
    c = cluster(machine(driver=driver))
    c.run(machine1=NONE)
    c.run()
    assert c.state() == "asleep"
    c.world.up.add("machine1")
    looks, looks_before, act = len(c.world.asked), [], c.world.act
    c.world.act = lambda *what: (looks_before.append(len(c.world.asked)), act(*what))
    events = c.run(machine1=ONE)
    assert (looks_before, c.state()) == ([looks] * sent, "awake")
    assert events == (["machine1 waking", "machine1 sent", "machine1 woken"] if sent else [])


def test_an_awake_machine_whose_client_does_not_take_the_job_is_an_alarm(cluster):
    c = cluster()
    c.world.up.add("machine1")
    c.run(machine1=ONE)
    assert c.runs(29) == []
    assert c.runs(3) == ["machine1 stuck"]
    assert c.messages == ["machine1 is awake, but its client has not taken a waiting job for 1800 s."]
    c.run(machine1=NONE)
    assert c.messages[-1] == "machine1: its jobs are gone."


@pytest.mark.parametrize("status", [code for code, state in STATES.items() if state != "idle"])
def test_a_machine_at_work_is_neither_woken_nor_touched(cluster, status):
    c = cluster()
    c.run(machine1=ONE._replace(status=status))
    c.runs(10)
    c.run(machine1=NONE._replace(status=status))
    c.run(machine1=ONE._replace(running=1))
    assert c.world.done == c.world.asked == []


def test_a_status_that_outlived_a_power_cut_is_not_believed_for_ever(cluster):
    c = cluster(busy_timeout=7200)
    c.run(machine1=ONE._replace(status="job_start"))
    assert c.runs(119) == []
    assert "machine1 waking" in c.runs(3)


def test_idle_means_the_same_as_in_the_modules():
    idle = {code for code, state in STATES.items() if state == "idle"}
    assert set(jobs.IDLE) == idle | {None}
    assert set(jobs.BUSY) == set(STATES) - idle


@pytest.mark.parametrize("status", [*jobs.IDLE, INVENTED])
@pytest.mark.parametrize("is_up", [False, True])
def test_whatever_the_last_word_a_machine_that_is_off_is_woken_for_a_job_at_once(cluster, status, is_up):
    c = cluster()
    if is_up:
        c.world.up.add("machine1")
    events = c.run(machine1=ONE._replace(status=status))
    assert ("machine1 waking" in events, bool(c.world.done)) == (not is_up, not is_up)


def test_after_a_status_that_is_not_known_a_look_comes_before_the_first_packet(cluster):
    """One that was seen asleep may be at work again, and its power must not be cycled."""
    c = cluster()
    c.run(machine1=NONE)
    c.run()
    assert c.state() == "asleep"
    c.world.up.add("machine1")
    c.run(machine1=ONE._replace(status=INVENTED))
    assert c.world.done == []


def test_without_a_job_a_machine_of_a_status_that_is_not_known_is_not_contacted(cluster):
    c = cluster()
    c.run(machine1=NONE._replace(status=INVENTED))
    c.runs(10)
    assert c.world.done == c.world.asked == []


@pytest.mark.parametrize("status", [*STATES, None, INVENTED])
def test_a_running_job_is_work_whatever_the_status_says(cluster, status):
    c = cluster()
    c.run(machine1=ONE._replace(status=status, running=1))
    assert c.world.done == c.world.asked == []


@pytest.mark.parametrize(
    ("answer", "own", "why"),
    [
        (ONE._replace(available=False), {}, "not available: held or retired"),
        (ONE, {"excluded": True}, "excluded in the inventory"),
    ],
)
def test_held_retired_and_excluded_machines_are_left_alone(cluster, machine, answer, own, why):
    c = cluster(machine(**own))
    assert c.run(machine1=answer) == ["machine1 held"]
    assert c.events()[0]["why"] == why
    # Said once, not each minute.
    assert c.runs(10) == []
    assert c.world.done == c.world.asked == []


def test_a_released_machine_is_woken_and_its_release_is_no_sign_of_life(cluster):
    c = cluster()
    c.run(machine1=NONE)
    c.run(machine1=NONE)
    assert c.state() == "asleep"
    # To hold and to release it changes its row.
    assert c.run(machine1=ONE._replace(available=False, row="held")) == ["machine1 held"]
    assert c.run(machine1=ONE._replace(row="released"))[:2] == ["machine1 waking", "machine1 sent"]
    assert "machine1 woken" in c.run(machine1=ONE._replace(row="written by its client"))


def test_a_machine_that_is_held_while_it_wakes_gets_no_more_packets(cluster):
    c = cluster()
    c.run(machine1=ONE)
    assert c.run(machine1=ONE._replace(available=False)) == ["machine1 held"]
    c.runs(10)
    assert c.sent() == [0, 10, 30]
    assert c.state() == "unknown"


def test_a_job_that_is_cancelled_while_the_machine_wakes_ends_the_wake(cluster):
    c = cluster()
    c.run(machine1=ONE)
    assert "machine1 cancelled" in c.run(machine1=NONE)
    c.runs(10)
    assert c.sent() == [0, 10, 30]
    assert c.messages == []


def test_two_jobs_at_once_are_one_wake(cluster):
    c = cluster()
    assert c.run(machine1=ONE._replace(waiting=2)).count("machine1 waking") == 1
    assert c.sent() == [0, 10, 30]


@pytest.mark.parametrize("text", ["the API answers 401", "the jobs DB does not answer"])
def test_unknown_is_an_alarm_and_wakes_nobody(cluster, text):
    c = cluster()
    c.world.queue = jobs.Unknown(text)
    assert c.run() == ["unknown"]
    assert not c.known
    assert c.messages == [f"Which machines have work is not known: {text}"]
    # Said once; again after six hours.
    assert c.runs(359) == []
    assert len(c.messages) == 1
    c.run()
    assert len(c.messages) == 2
    assert c.run(machine1=NONE) == ["known"]
    assert c.known
    assert c.messages[-1] == "Which machines have work is known again."
    assert c.world.done == []


def test_a_machine_without_a_row_is_an_alarm(cluster, machine):
    c = cluster(machine(1), machine(2))
    assert c.run(machine1=NONE) == ["machine2 unknown"]
    assert c.messages == ["machine2 has no row in the jobs DB."]
    c.run(machine1=NONE, machine2=NONE)
    assert c.messages[-1] == "machine2 has a row in the jobs DB now."


def test_no_more_than_so_many_wake_at_once(cluster, machine):
    c = cluster(*map(machine, range(1, 6)), max_concurrent=2)
    answers = {f"machine{number}": ONE for number in range(1, 6)}
    c.world.in_seconds(20, lambda: c.world.up.update({"machine1", "machine2"}))
    c.run(**answers)
    begun = {}
    for at, name, _driver, _verb in c.world.done:
        begun.setdefault(name, at)
    assert list(begun) == ["machine1", "machine2", "machine3", "machine4"]
    assert begun["machine3"] - begun["machine1"] == 22  # the look after the one that saw them awake


def test_there_is_a_gap_between_two_wakes(cluster, machine):
    c = cluster(*map(machine, range(1, 4)), gap=10)
    c.run(**{f"machine{number}": ONE for number in range(1, 4)})
    first = {}
    for at, name, _driver, _verb in c.world.done:
        first.setdefault(name, at)
    times = list(first.values())
    assert [later - sooner for sooner, later in zip(times, times[1:])] == [10, 10]


def test_a_run_ends_before_the_next_begins(cluster, machine):
    c = cluster(*map(machine, range(1, 30)), gap=30, max_concurrent=100)
    before = c.world.clock
    c.run(**{f"machine{number}": ONE for number in range(1, 30)})
    assert c.world.clock - before == 60
    assert max(at for at, *_what in c.world.done) - before <= 40


def test_minimum_sleep(cluster):
    c = cluster(min_sleep=600)
    c.world.up.add("machine1")
    c.run(machine1=NONE)
    c.world.up.clear()
    assert c.runs(2) == ["machine1 asleep"]
    assert c.run(machine1=ONE) == ["machine1 held"]
    assert c.events()[-1]["why"] == "asleep for less than 600 s"
    c.runs(8)
    assert "machine1 waking" in c.runs(3)


def test_most_wakes_a_day(cluster):
    c = cluster(max_wakes_per_day=2)
    for number in range(2):
        c.world.up.clear()
        c.world.in_seconds(4, lambda: c.world.up.add("machine1"))
        c.run(machine1=ONE._replace(row=str(number)))
        c.run(machine1=NONE._replace(row=f"{number} done"))
    c.world.up.clear()
    assert c.run(machine1=ONE._replace(row="9")) == ["machine1 held"]
    assert c.events()[-1]["why"] == "woken 2 times in 24 h"
    c.world.clock += 86400
    assert "machine1 waking" in c.run()


def test_falling_asleep_is_seen_by_ping_alone(cluster):
    c = cluster()
    c.world.up.add("machine1")
    c.run(machine1=NONE)
    assert c.state() == "awake"
    c.world.up.clear()
    assert c.run() == []  # one lost ping is none
    assert c.run() == ["machine1 asleep"]
    asked = len(c.world.asked)
    c.runs(5)
    assert len(c.world.asked) == asked  # who sleeps is not asked
    assert {by for _name, by in c.world.asked} == {"ping"}


def test_idle_machines_are_not_watched_when_that_is_not_wanted(cluster):
    c = cluster(watch=False)
    c.run(machine1=NONE)
    assert c.world.asked == []


def test_power_is_cycled_once_before_giving_up(cluster, machine):
    c = cluster(machine(cycle_driver="pdudaemon", cycle_options={"hostname": "pdu", "port": 1}))
    c.run(machine1=ONE)
    c.runs(12)
    cycles = [(name, verb) for _at, _who, name, verb in c.world.done if verb == "cycle"]
    assert cycles == [("pdudaemon", "cycle")]
    assert [e["event"] for e in c.events() if e["event"] in ("cycled", "failed")] == ["cycled", "failed"]


def test_a_machine_that_boots_after_the_cycle_is_awake(cluster, machine):
    c = cluster(machine(cycle_driver="ipmi"))
    c.run(machine1=ONE)
    c.runs(5)
    assert c.state() == "waking"
    c.world.up.add("machine1")
    assert c.run() == ["machine1 woken"]


@pytest.mark.parametrize("driver", [name for name, row in drivers.DRIVERS.items() if not row.repeats])
def test_a_driver_that_may_cycle_power_is_asked_once(cluster, machine, driver):
    c = cluster(machine(driver=driver))
    c.run(machine1=ONE)
    c.runs(3)
    assert c.sent() == [0]


@pytest.mark.parametrize("error", [OSError("no such device"), drivers.DriverError("status 1"), KeyError("host")])
def test_a_driver_that_fails_is_an_event_and_is_tried_again(cluster, error):
    c = cluster()
    c.world.broken = [error]
    assert c.run(machine1=ONE).count("machine1 error") == 3
    c.world.broken = []
    c.world.up.add("machine1")
    assert c.run() == ["machine1 woken"]


def test_a_clock_that_is_set_back_blocks_nothing(cluster):
    c = cluster(gap=30, min_sleep=60)
    c.run(machine1=ONE)
    c.world.up.add("machine1")
    c.run(machine1=ONE)
    c.world.clock -= 365 * 86400
    c.world.up.clear()
    c.run(machine1=NONE._replace(row="8"))
    c.runs(3)
    assert c.state() == "asleep"
    c.world.clock += 60
    assert "machine1 waking" in c.run(machine1=ONE._replace(row="8"))


def test_a_broken_state_file_is_no_reason_to_stop(cluster, tmp_path):
    c = cluster()
    (tmp_path / "state.json").write_text('{"machines": {"1": ')
    assert c.run(machine1=ONE)[:3] == ["error", "machine1 waking", "machine1 sent"]
    assert json.loads((tmp_path / "state.json").read_text())["machines"]["1"]["state"] == "waking"
    assert not (tmp_path / "state.json.partial").exists()


def test_what_was_begun_is_kept_over_a_restart(cluster):
    """Each run of these tests reads the file that the one before wrote; here the details."""
    c = cluster()
    c.run(machine1=ONE)
    record = c.record()
    assert (record["state"], record["sent"], record["waiting"]) == ("waking", 3, 1)


def test_machines_that_left_the_inventory_are_forgotten(cluster, machine, tmp_path):
    c = cluster(machine(1), machine(2))
    c.run(machine1=NONE, machine2=NONE)
    c.config["machines"] = [machine(1)]
    c.run(machine1=NONE)
    assert list(json.loads((tmp_path / "state.json").read_text())["machines"]) == ["1"]


def test_outside_its_window_a_job_waits_until_the_deadline(cluster, machine):
    at = "00:00"
    window = {"kind": "daily", "at": at, "minutes": 0, "deadline": 2}
    c = cluster(machine(windows=[window]))
    assert c.run(machine1=ONE) == ["machine1 held"]
    assert c.runs(118) == []
    assert "machine1 waking" in c.runs(2)
    assert [e["why"] for e in c.events() if e["event"] == "waking"] == ["a job has waited for 2 h"]
