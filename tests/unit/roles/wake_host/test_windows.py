# SPDX-License-Identifier: GPL-3.0-or-later
"""When a window is open: by the clock, by the sun (against published positions), by the grid; and the deadline."""

from __future__ import annotations

import calendar
import time

import pytest
from greenlab_wake import sun, windows

BERLIN = (52.52, 13.405)


def utc(text: str) -> int:
    return calendar.timegm(time.strptime(text, "%Y-%m-%d %H:%M"))


@pytest.fixture
def judge():
    def ask(*given, now, waiting_since=None):
        judged = windows.Windows(now, problems.append)
        return judged.judge(list(given), now if waiting_since is None else waiting_since)

    problems: list[str] = []
    ask.problems = problems
    return ask


# the sun ------------------------------------------------------------------------------------------------------------


def test_declination_of_meeus_example():
    """J. Meeus, Astronomical Algorithms, 2nd edition, example 25.a: 1992-10-13 0 h TD, apparent declination."""
    declination, _equation = sun.declination_and_equation_of_time(utc("1992-10-13 00:00"))
    assert declination == pytest.approx(-7.78507, abs=0.001)


def test_equation_of_time_of_meeus_example():
    """The same, example 28.a: 13 min 42.7 s; the simpler series that NOAA takes is good to 5 s."""
    _declination, equation = sun.declination_and_equation_of_time(utc("1992-10-13 00:00"))
    assert equation == pytest.approx(13 + 42.7 / 60, abs=5 / 60)


def test_elevation_of_nrel_example():
    """I. Reda and A. Andreas, Solar Position Algorithm, NREL/TP-560-34302, table A5.1: 39.872046 without refraction.

    2003-10-17 12:30:30 UTC-7, latitude 39.742476, longitude -105.1786.
    """
    found = sun.elevation(utc("2003-10-17 19:30") + 30, 39.742476, -105.1786)
    assert found == pytest.approx(39.872046, abs=0.01)


@pytest.mark.parametrize(
    ("at", "expected"),
    [("2025-03-20 09:01", 0.0), ("2025-06-21 02:42", 23.436), ("2025-12-21 15:03", -23.436)],
)
def test_declination_at_equinox_and_solstices(at, expected):
    """Times of the U.S. Naval Observatory's table of seasons for 2025; the obliquity of the ecliptic is 23.436."""
    declination, _equation = sun.declination_and_equation_of_time(utc(at))
    assert declination == pytest.approx(expected, abs=0.005)


def test_the_highest_place_is_at_hour_angle_zero():
    day = utc("2025-03-20 00:00")
    best = max(range(day, day + 86400, 60), key=lambda at: sun.elevation(at, *BERLIN))
    assert abs(sun.hour_angle(best, BERLIN[1])) < 0.3
    assert sun.elevation(best, *BERLIN) == pytest.approx(sun.noon_elevation(best, BERLIN[0]), abs=0.01)


def sunny(above, place=BERLIN, hours=2.0, deadline=1000):
    latitude, longitude = place
    return {"kind": "sun", "above": above, "latitude": latitude, "longitude": longitude, "fallback_hours": hours,
            "deadline": deadline}


def open_hours(judge, window, day):
    start = utc(f"{day} 00:00")
    return sum(judge(window, now=at)[0] for at in range(start, start + 86400, 600)) / 6


def test_the_window_of_the_sun_follows_the_seasons(judge):
    """Berlin, 15 degrees: about 06:45 to 19:30 in summer, 07:55 to 16:30 at the equinox, never in winter."""
    assert open_hours(judge, sunny(15), "2025-06-21") == pytest.approx(12.75, abs=0.4)
    assert open_hours(judge, sunny(15), "2025-03-20") == pytest.approx(8.6, abs=0.4)
    # In winter the fallback: two hours on both sides of noon, which is at 11:04 UTC.
    assert open_hours(judge, sunny(15), "2025-12-21") == pytest.approx(4, abs=0.2)
    assert judge(sunny(15), now=utc("2025-12-21 11:00")) == (
        True, "the sun stays below 15 degrees today: 2.0 h before to 2.0 h after noon")
    assert open_hours(judge, sunny(15, hours=0), "2025-12-21") == 0


@pytest.mark.parametrize("place", [(69.65, 18.96), (90, 0), (-90, 0)])
def test_polar_night_has_its_fallback_and_polar_day_no_end(judge, place):
    night, day = ("2025-12-21", "2025-06-21") if place[0] > 0 else ("2025-06-21", "2025-12-21")
    assert open_hours(judge, sunny(0, place, hours=1), night) == pytest.approx(2, abs=0.2)
    assert open_hours(judge, sunny(0, place), day) == 24


# the clock, the deadline ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("at", "now", "expected"),
    [
        ("13:00", "12:59", False), ("13:00", "13:00", True), ("13:00", "13:59", True), ("13:00", "14:00", False),
        ("23:30", "00:15", True), ("23:30", "00:30", False),
    ],
)
def test_daily(judge, monkeypatch, at, now, expected):
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    window = {"kind": "daily", "at": at, "minutes": 60, "deadline": 24}
    assert judge(window, now=utc(f"2025-05-05 {now}"))[0] is expected


def test_daily_is_in_the_hosts_own_time(judge, monkeypatch):
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    window = {"kind": "daily", "at": "13:00", "minutes": 60, "deadline": 24}
    assert judge(window, now=utc("2025-07-01 11:30"))[0]
    assert judge(window, now=utc("2025-01-01 12:30"))[0]


def test_no_window_is_on_demand(judge):
    assert judge(now=0) == (True, "on demand")


def test_one_open_window_is_enough_and_the_shortest_deadline_counts(judge):
    closed = [sunny(91, hours=0, deadline=8), sunny(92, hours=0, deadline=4)]
    now = utc("2025-06-21 11:00")
    assert judge(*closed, sunny(10), now=now)[0]
    assert not judge(*closed, now=now, waiting_since=now - 4 * 3600 + 1)[0]
    assert judge(*closed, now=now, waiting_since=now - 4 * 3600) == (True, "a job has waited for 4 h")


# the grid -------------------------------------------------------------------------------------------------------------


def clean(server, **more):
    return {"kind": "carbon", "below": 200, "url": f"{server.url}/carbon-intensity/current/primary?region=DE",
            "key": "carbon_intensity", "deadline": 12, **more}


@pytest.mark.parametrize(("grams", "expected"), [(199.9, True), (200, False), (412, False)])
def test_elephant(judge, server, grams, expected):
    """The form of Elephant's answer, as its models have it."""
    server.body = b'{"location": "DE", "time": "2025-09-22T10:00:00Z", "carbon_intensity": %g}' % grams
    assert judge(clean(server), now=0)[0] is expected
    assert server.requests[0][1] == "/carbon-intensity/current/primary?region=DE"


@pytest.mark.parametrize(
    ("key", "body"),
    [
        ("carbonIntensity", b'{"zone": "DE", "carbonIntensity": 90}'),
        ("data.0.intensity.actual", b'{"data": [{"intensity": {"actual": 90}}]}'),
        ("0.carbon_intensity", b'[{"carbon_intensity": "90"}]'),
    ],
)
def test_other_services(judge, server, key, body):
    server.body = body
    assert judge(clean(server, key=key, header="auth-token", token="x"), now=0) == (True, "90 g/kWh, wanted below 200")
    assert server.requests[0][2]["auth-token"] == "x"


@pytest.mark.parametrize(
    ("status", "body"),
    [(503, b"{}"), (200, b"<html>"), (200, b"{}"), (200, b'{"carbon_intensity": null}'), (200, b"[]")],
)
def test_a_service_that_fails_is_reported_and_the_deadline_still_counts(judge, server, status, body):
    server.status, server.body = status, body
    now = 1_000_000
    assert judge(clean(server), now=now) == (False, "outside its windows (carbon: not known)")
    assert len(judge.problems) == 1
    assert judge(clean(server), now=now, waiting_since=now - 12 * 3600)[0]


def test_a_window_that_many_machines_share_is_judged_once(server):
    server.status = 500
    problems: list[str] = []
    judged = windows.Windows(0, problems.append)
    for _time in range(100):
        judged.judge([clean(server)], 0)
    assert len(server.requests) == len(problems) == 1
