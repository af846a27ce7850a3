# SPDX-License-Identifier: GPL-3.0-or-later
"""A wake by hand: what is sent whatever else is said, what comes out, and that the timed runs leave it alone."""

from __future__ import annotations

import fcntl

import pytest
from greenlab_wake import drivers, jobs
from greenlab_wake.jobs import Answer

HELD = Answer(waiting=0, available=False, status="job_no", row="7")
ONE = Answer(waiting=1, available=True, status="job_no", row="7")


def comes_up(c, seconds, name="machine1"):
    c.world.in_seconds(seconds, lambda: c.world.up.add(name))


def test_a_held_machine_is_woken(cluster):
    c = cluster()
    c.run(machine1=HELD)
    comes_up(c, 13)
    assert c.wake() == {"machine": "machine1", "was": "asleep", "awake": True, "seconds": 14.0, "by": "tcp"}
    assert c.sent() == [0, 10]
    assert c.names() == ["machine1 waking", "machine1 sent", "machine1 sent", "machine1 woken"]
    assert (c.events()[0]["why"], c.events()[-1]["seconds"]) == ("by hand", 14.0)
    assert c.state() == "awake"


@pytest.mark.parametrize(
    ("own", "settings"),
    [
        ({"excluded": True}, {}),
        ({"windows": [{"kind": "daily", "at": "00:00", "minutes": 0, "deadline": 99}]}, {}),
        ({}, {"min_sleep": 86400}),
        ({}, {"max_wakes_per_day": 1}),
    ],
)
def test_what_keeps_a_timed_run_from_it_does_not_keep_a_hand(cluster, machine, own, settings):
    c = cluster(machine(**own), **settings)
    c.world.queue = {1: HELD}
    for _time in range(2):
        c.world.up.clear()
        comes_up(c, 2)
        assert c.wake()["awake"]
    assert len(c.world.done) == 2


def test_a_machine_that_is_up_costs_one_look(cluster, tmp_path):
    c = cluster()
    c.world.queue = {1: HELD}
    c.world.up.add("machine1 tcp")
    assert c.wake() == {"machine": "machine1", "was": "awake", "awake": True, "seconds": 0.0, "by": "tcp"}
    assert (c.world.asked, c.world.done, c.world.slept) == ([("machine1", "tcp")], [], 0)
    assert not (tmp_path / "state.json").exists()


@pytest.mark.parametrize("answer", [HELD._replace(status="job_start"), HELD._replace(running=1)])
def test_a_machine_at_work_is_awake_and_not_contacted(cluster, answer):
    c = cluster()
    c.world.queue = {1: answer}
    assert c.wake() == {"machine": "machine1", "was": "awake", "awake": True, "seconds": 0.0, "by": "row"}
    assert c.world.asked == c.world.done == []


def test_after_a_status_that_is_not_known_a_look_tells_whether_it_is_awake(cluster):
    c = cluster()
    c.world.queue = {1: HELD._replace(status="tea_break")}
    c.world.up.add("machine1")
    assert (c.wake()["by"], c.world.asked) == ("tcp", [("machine1", "tcp")])


def test_a_status_that_outlived_a_power_cut_is_not_believed_by_force_or_for_ever(cluster):
    c = cluster(busy_timeout=7200)
    c.run(machine1=ONE._replace(status="job_start"))
    assert c.wake(timeout=5)["by"] == "row"
    assert c.wake(timeout=5, force=True)["was"] == "asleep"
    c.world.clock += 7200
    assert c.wake(timeout=5)["was"] == "asleep"


def test_an_unknown_queue_is_no_reason_not_to(cluster, capsys):
    c = cluster()
    c.world.queue = jobs.Unknown("the API answers 500")
    comes_up(c, 2)
    assert c.wake()["awake"]
    assert "Whether machine1 is at work is not known: the API answers 500" in capsys.readouterr().err


def test_a_dry_run_sends_and_notes_nothing(cluster, tmp_path):
    c = cluster()
    assert c.wake(dry_run=True) == {
        "machine": "machine1", "was": "asleep", "awake": False, "seconds": 0.0, "by": "",
        "why": "it would be woken by magic_packet",
    }  # fmt: skip
    assert c.world.done == []
    assert not list(tmp_path.iterdir())


def test_one_that_does_not_wake_is_no_failed_machine_and_no_alarm(cluster):
    c = cluster()
    c.world.queue = {1: HELD}
    result = c.wake(timeout=60)
    assert (result["awake"], result["seconds"]) == (False, 60.0)
    assert result["why"] == "no sign of life after 60 s and 3 tries"
    assert c.sent() == [0, 10, 30]
    assert (c.state(), c.names()[-1]) == ("unknown", "machine1 failed")
    # A job that waits has its own try at once.
    assert c.run(machine1=ONE)[0] == "machine1 waking"
    assert c.messages == []


def test_a_driver_that_cannot_is_an_answer_at_once_where_asking_again_is_no_use(cluster, machine):
    c = cluster(machine(driver="command"))
    c.world.broken = [drivers.DriverError("ended with status 1")]
    result = c.wake()
    assert (result["awake"], result["seconds"]) == (False, 0.0)
    assert "ended with status 1" in result["why"]


@pytest.mark.parametrize("driver", [name for name, row in drivers.DRIVERS.items() if not row.repeats])
def test_a_driver_that_may_cycle_power_is_not_asked_again_while_a_run_waits_for_it(cluster, machine, driver):
    c = cluster(machine(driver=driver))
    c.run(machine1=ONE)
    c.wake(timeout=20)
    assert c.sent() == [0]


def test_power_is_never_cycled_by_hand(cluster, machine):
    c = cluster(machine(cycle_driver="pdudaemon", cycle_options={"hostname": "pdu", "port": 1}))
    c.wake()
    assert {verb for _at, _who, _name, verb in c.world.done} == {"on"}


@pytest.mark.parametrize("answer", [HELD, HELD._replace(waiting=1), ONE])
def test_a_timed_run_meanwhile_neither_wakes_nor_cancels_nor_fails(cluster, answer):
    c = cluster(timeout=20)
    c.world.queue = {1: answer}
    runs = []
    for seconds in (4, 50, 90):
        c.world.in_seconds(seconds, lambda: runs.append(c.run(lasts=0)))
    c.wake(timeout=100)
    assert runs == [[], [], []]
    assert c.names().count("machine1 waking") == 1
    assert c.sent() == [0, 10, 30, 60]
    assert c.messages == []


def test_a_timed_run_that_sees_it_awake_has_the_word(cluster):
    c = cluster()
    c.world.queue = {1: HELD}
    c.world.in_seconds(4, lambda: c.run(0, machine1=Answer(0, False, "job_no", "8")))
    c.run()
    comes_up(c, 6)
    c.wake()
    assert c.names().count("machine1 woken") == 1
    assert c.state() == "awake"


def test_who_is_killed_meanwhile_leaves_nothing_for_long(cluster):
    c = cluster()
    c.run(machine1=HELD)

    def die():
        raise KeyboardInterrupt

    c.world.in_seconds(4, die)
    with pytest.raises(KeyboardInterrupt):
        c.wake(timeout=60)
    assert c.state() == "waking"
    before = len(c.events())
    c.runs(3)
    assert c.events()[before]["event"] == "cancelled"
    assert c.events()[before]["why"] == "who woke it by hand was cut off"
    assert c.run(machine1=ONE)[0] == "machine1 waking"


def test_it_joins_a_run_that_has_begun_and_gives_the_machine_back(cluster):
    c = cluster()
    c.run(machine1=ONE)
    assert c.sent() == [0, 10, 30]
    c.wake(timeout=8)
    assert c.state() == "waking"
    c.runs(6)
    assert c.state() == "failed"
    assert c.names().count("machine1 waking") == 1
    assert len(c.messages) == 1


def test_it_waits_for_a_run_that_is_going_on(cluster, tmp_path):
    c = cluster()
    c.world.queue = {1: HELD}
    lock = (tmp_path / "lock").open("w")
    fcntl.flock(lock, fcntl.LOCK_EX)
    c.world.in_seconds(20, lock.close)
    comes_up(c, 23)
    assert c.wake()["awake"]
    begun = c.world.clock - c.world.slept
    assert [at - begun for at, *_what in c.world.done] == [20]


def test_number_and_gap_of_wakes_hold_for_hands_too(cluster, machine):
    c = cluster(machine(1), machine(2), max_concurrent=1)
    c.run(machine1=ONE, machine2=HELD)
    result = c.wake(2, timeout=30)
    assert (result["awake"], result["why"]) == (False, "other machines were being woken for all of the 30 s")
    assert c.sent("machine2") == []
    c.run(machine1=ONE._replace(row="8"))
    comes_up(c, 2, "machine2")
    assert c.wake(2)["awake"]


def test_a_clock_that_is_set_back_does_not_make_it_wait_for_ever(cluster):
    c = cluster()
    c.world.queue = {1: HELD}

    def back():
        c.world.clock -= 365 * 86400

    c.world.in_seconds(4, back)
    assert c.wake(timeout=60)["seconds"] == 60
    assert c.state() == "unknown"
    assert c.run(machine1=ONE)[0] == "machine1 waking"


def test_a_run_hands_over_to_one_that_waits(cluster, machine):
    """The one that waits does all anew, and goes on with what was begun."""
    c = cluster(machine(1), machine(2))

    def somebody_comes():
        c.world.others_wait = True

    c.world.in_seconds(4, somebody_comes)
    c.run(0, machine1=ONE, machine2=ONE)
    assert (c.world.slept, len(c.world.done)) == (4, 2)
    c.world.others_wait = False
    assert "machine1 waking" not in c.run()
    assert c.sent("machine1") == c.sent("machine2") == [0, 10, 30]
