# SPDX-License-Identifier: GPL-3.0-or-later
"""The simulator: against queueing theory, against traces that are reckoned by hand, and from its command line."""

from __future__ import annotations

import json
import subprocess
import sys
from math import inf
from pathlib import Path
from xml.etree import ElementTree

import pytest
from greenlab_wake import model, simulate
from greenlab_wake.model import Case, Machine, Policy, play

PROGRAM = Path(__file__).resolve().parents[4] / "roles/wake_host/files/program"
DAY = 86400.0
MEAN, CV = 900.0, 0.7
# A machine that theory knows: it sleeps as soon as it has nothing to do, and runs nothing but jobs.
PLAIN = Machine(grace=0, down_seconds=0, down_wh=0, after_wake=0, control_period=0)
QUARTER, MINUTE, EVENT = Policy("15 minutes", 900), Policy("1 minute", 60), Policy("event")
ALWAYS_ON = Policy("always on", always_on=True)


# against theory -----------------------------------------------------------------------------------------------------


def setup(policy: Policy) -> tuple[float, float]:
    """Return mean and mean square of the time from a job's arrival to a machine that works: poll, then resume."""
    period, resume = policy.period, PLAIN.wake_seconds
    return period / 2 + resume, period**2 / 3 + period * resume + resume**2


def waiting(per_second: float, policy: Policy) -> float:
    """Return the mean wait of an M/G/1 queue.

    A machine that sleeps: with a setup time before each busy period (P. D. Welch, "On a generalized M/G/1 queuing
    process in which the first customer of each busy period receives exceptional service", Operations Research 12,
    1964). One that looks each `poll` seconds: with vacations (Y. Levy and U. Yechiali, Management Science 22, 1975).
    """
    queue = per_second * MEAN**2 * (1 + CV**2) / 2 / (1 - per_second * MEAN)
    if policy.always_on:
        return queue + PLAIN.poll / 2
    mean, square = setup(policy)
    return queue + (2 * mean + per_second * square) / 2 / (1 + per_second * mean)


@pytest.fixture(scope="module", params=[(2, 80_000), (10, 40_000), (40, 20_000)], ids=lambda case: f"{case[0]} a day")
def against_theory(request):
    """Return how often jobs come, and what happened under each policy; 160,000 to 800,000 jobs."""
    per_day, days = request.param
    chosen = (ALWAYS_ON, QUARTER, MINUTE, EVENT)
    case = Case(chosen, (PLAIN,), 0.0, days * DAY, per_day=per_day, mean=MEAN, cv=CV)
    return per_day / DAY, list(zip(chosen, model.simulate(case, 1)))


@pytest.mark.slow
def test_mean_wait_is_that_of_theory(against_theory):
    per_second, played = against_theory
    for policy, tally in played:
        assert tally.waited / tally.waits.total() == pytest.approx(waiting(per_second, policy), rel=0.03)


@pytest.mark.slow
def test_wakes_and_energy_are_those_of_theory(against_theory):
    """It does not work (1 - rho) of the time, which is one idle period and one setup for each wake."""
    per_second, played = against_theory
    rho = per_second * MEAN
    for policy, tally in played[1:]:
        wakes = (1 - rho) / (1 / per_second + setup(policy)[0])
        watts = (
            rho * PLAIN.load_watts
            + wakes * PLAIN.wake_wh * 3600
            + (1 - rho - wakes * PLAIN.wake_seconds) * PLAIN.sleep_watts
        )
        assert tally.wakes / tally.seconds == pytest.approx(wakes, rel=0.03)
        assert tally.wh * 3600 / tally.seconds == pytest.approx(watts, rel=0.03)


@pytest.mark.slow
def test_always_on_energy_is_that_of_theory(against_theory):
    per_second, played = against_theory
    rho = per_second * MEAN
    watts = rho * PLAIN.load_watts + (1 - rho) * PLAIN.idle_watts
    assert played[0][1].wh * 3600 / played[0][1].seconds == pytest.approx(watts, rel=0.03)


# reckoned by hand ---------------------------------------------------------------------------------------------------

QUIET = Machine(control_period=0)


def waits(jobs: model.Jobs, machine: Machine, policy: Policy) -> list[int]:
    return sorted(play(jobs, machine, policy, 0.0, DAY).waits.elements())


def test_a_job_waits_for_the_look_the_resume_and_the_client():
    # Asked at 1020, awake at 1028, looks at 1043.
    assert waits([(1000, 100)], QUIET, MINUTE) == [43]
    assert waits([(1000, 100)], QUIET, EVENT) == [23]


def test_a_job_that_comes_while_another_one_runs_waits_for_that_only():
    tally = play([(1000, 100), (1100, 100)], QUIET, MINUTE, 0.0, DAY)
    assert sorted(tally.waits.elements()) == [43, 43]
    assert tally.wakes == 1


def test_a_job_that_comes_just_before_the_machine_sleeps_wakes_it_again():
    # The first job runs from 1043 to 1143; the machine sleeps at 1207, and is asked at 1260.
    assert waits([(1000, 100), (1150, 100)], QUIET, MINUTE) == [43, 1260 + 23 - 1150]
    assert waits([(1000, 100), (1150, 100)], QUIET, EVENT) == [23, 1123 + 60 + 4 + 23 - 1150]


def test_a_machine_that_is_always_on_looks_each_five_minutes():
    assert waits([(1000, 100), (1250, 100)], QUIET, ALWAYS_ON) == [50, 200]  # 1200; 1300, when it looks again, and 1600


def test_energy_of_a_day_with_one_job():
    wh = play([(1000, 3600)], QUIET, EVENT, 0.0, DAY).wh
    asleep = DAY - 3600 - 60 - 15 - 8 - 4
    assert wh == pytest.approx(45 + 75 * 18 / 3600 + 0.078 + 0.039 + asleep * 1.8 / 3600)


def test_the_control_workload_comes_before_the_job_that_woke_the_machine():
    # 6 hours after the last one, which ended at the start.
    assert waits([(21_000, 100)], Machine(), EVENT) == [23]
    assert waits([(21_600, 100)], Machine(), EVENT) == [23 + 900]
    # The second job finds the last one to be 5 h old.
    assert waits([(22_000, 100), (40_000, 100)], Machine(), EVENT) == [23, 23 + 900]


def test_the_control_workload_runs_on_before_the_machine_sleeps():
    # A job until 22,023: due at 21,600, so until 22,923; a job that comes meanwhile waits for its end.
    tally = play([(21_000, 1000), (22_500, 100)], Machine(), EVENT, 0.0, DAY)
    assert sorted(tally.waits.elements()) == [23, 22_923 - 22_500]
    assert tally.wakes == 1


def test_the_control_workload_of_a_machine_that_is_always_on():
    # At 21,600, and 6 h after its end each: 3 a day.
    assert play([], Machine(), ALWAYS_ON, 0.0, DAY).wh == pytest.approx((3 * 900 * 45 + (DAY - 2700) * 18) / 3600)
    assert waits([(21_700, 1)], Machine(), ALWAYS_ON) == [800]


def test_a_job_waits_for_its_window_or_its_deadline():
    windows = Policy("windows", 60, windows=((40_000, 44_000), (80_000, 84_000)), deadline=30_000)
    assert waits([(41_000, 1)], QUIET, windows) == [41_040 + 23 - 41_000]
    assert waits([(30_000, 1)], QUIET, windows) == [40_020 + 23 - 30_000]
    assert waits([(45_000, 1)], QUIET, windows) == [75_000 + 23 - 45_000]
    assert waits([(44_000, 1)], QUIET, windows) == [74_040 + 23 - 44_000]
    assert Policy("none", windows=((0.0, 1.0),), deadline=inf).wake_at(0.5, 0.0) == 0.5


def test_what_95_of_100_jobs_stay_below():
    tally = model.Tally()
    tally.waits.update(range(1, 101))
    assert tally.percentile(0.95) == 95
    assert model.Tally().percentile(0.95) == 0


# the command line ---------------------------------------------------------------------------------------------------


def told(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, dict[str, float]]:
    assert simulate.main(["--format=json", *arguments]) == 0
    return {row.pop("policy"): row for row in json.loads(capsys.readouterr().out)["policies"]}


def test_a_trace_of_two_machines(tmp_path, capsys):
    trace = tmp_path / "jobs.csv"
    trace.write_text(
        "machine,arrival,duration\na,2026-01-01T00:00:00Z,600\nb,2026-01-01 12:00:00+01:00,600\na,1767312000,60\n"
    )
    found = told(capsys, f"--trace={trace}", "--control-period=0")
    assert found["event"]["jobs"] == 3
    # A day and a minute; the first job finds its machine awake.
    assert found["event"]["wakes_a_month"] == pytest.approx(2 * 30, rel=0.01)
    assert found["always on"]["saved_percent"] == 0


def test_a_machine_may_have_powers_of_its_own(tmp_path, capsys):
    powers = tmp_path / "powers.json"
    powers.write_text('{"machine2": {"idle_watts": 36}}')
    options = ["--machines=2", "--days=30", "--jobs-per-day=0.001", "--control-period=0"]
    one = told(capsys, *options)["always on"]["kwh_a_month"]
    assert one == pytest.approx(2 * 12.96, rel=0.01)
    assert told(capsys, *options, f"--powers={powers}")["always on"]["kwh_a_month"] == pytest.approx(
        1.5 * one, rel=0.01
    )
    assert told(capsys, *options, "--idle-watts=9")["always on"]["kwh_a_month"] == pytest.approx(one / 2, rel=0.01)


def test_two_processes_find_what_one_finds(capsys):
    options = ["--machines=9", "--days=365", "--seed=7"]
    one, two = told(capsys, *options, "--processes=1"), told(capsys, *options, "--processes=2")
    assert one == {name: pytest.approx(row, rel=1e-9) for name, row in two.items()}
    assert told(capsys, *options, "--processes=1") == one
    assert told(capsys, *options[:-1], "--seed=8") != one


def test_windows_are_those_of_the_inventory(capsys):
    # Berlin in January: the sun is never that high, so two hours around its noon, which is at 11:15 UTC.
    window = {"kind": "sun", "above": 30, "latitude": 52.5, "longitude": 13.4}
    ((opens, closes), *_others) = simulate.intervals([{**window}], simulate.START, simulate.START + DAY)
    assert (opens - simulate.START) / 3600 == pytest.approx(9.25, abs=0.2)
    assert closes - opens == pytest.approx(4 * 3600, abs=600)
    options = ["--days=20", f"--window={json.dumps(window)}"]
    assert told(capsys, *options)["windows"]["wait_mean"] > 3600


@pytest.mark.parametrize("content", ['{"machine9": {}}', '{"machine1": {"watts": 3}}', '{"machine1": 3}', "[]"])
def test_bad_powers_are_an_error(tmp_path, capsys, content):
    powers = tmp_path / "powers.json"
    powers.write_text(content)
    assert simulate.main(["--days=1", f"--powers={powers}"]) == 2
    assert str(powers) in capsys.readouterr().err


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        ("a,b\n1,2\n", "must name its columns"),
        ("arrival,duration\n", "no jobs"),
        ("arrival,duration\n1,2\nsoon,3\n", "line 3"),
        ("arrival,duration\n1,-2\n", "cannot last -2.0 s"),
        ("arrival,duration\n1,nan\n", "cannot last nan s"),
        ("arrival,duration\n1\n", "line 2"),
    ],
)
def test_a_bad_trace_is_an_error_that_names_the_line(tmp_path, capsys, content, problem):
    trace = tmp_path / "jobs.csv"
    trace.write_text(content)
    assert simulate.main([f"--trace={trace}"]) == 2
    assert problem in capsys.readouterr().err


@pytest.mark.parametrize(
    "argument",
    [
        "--trace=/no/such/file",
        '--window={"kind": "carbon"}',
        "--window=noon",
        "--window=[]",
        '--window={"kind": "sun"}',
        '--window={"kind": "daily", "at": "noon"}',
    ],
)
def test_bad_input_is_an_error(capsys, argument):
    assert simulate.main(["--days=1", argument]) == 2
    assert "greenlab-wake simulate: " in capsys.readouterr().err


def test_the_plot_is_one_well_formed_file(capsys):
    assert simulate.main(["--days=10", "--format=svg"]) == 0
    picture = ElementTree.fromstring(capsys.readouterr().out)
    texts = ["".join(element.itertext()) for element in picture.iter("{http://www.w3.org/2000/svg}text")]
    assert {"always on", "15 minutes", "1 minute", "event", "windows"} <= set(texts)


def test_it_is_a_tool_of_the_program():
    done = subprocess.run(
        [sys.executable, "-I", PROGRAM, "simulate", "--days=1"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[0].split()[0] == "policy"
