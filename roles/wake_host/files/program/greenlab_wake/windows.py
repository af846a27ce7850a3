# Copyright (c) 2026, the greenlab.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""When a machine may be woken: any of its windows is open, or a job has waited for the deadline. None: at any time."""

from __future__ import annotations

import time
import typing as t

from . import sun, web

OK = 200
Window = dict[str, t.Any]
Verdict = tuple[bool, str]


def daily(window: Window, now: float) -> Verdict:
    """Open once a day, in this host's time, for some minutes."""
    hour, _colon, minute = window["at"].partition(":")
    clock = time.localtime(now)
    passed = (clock.tm_hour * 60 + clock.tm_min - int(hour) * 60 - int(minute)) % 1440
    return passed < window["minutes"], f"daily at {window['at']} for {window['minutes']} min"


def sunshine(window: Window, now: float) -> Verdict:
    """Open while the sun is high; on days when it never is, some hours around its highest place."""
    latitude, longitude, above = window["latitude"], window["longitude"], window["above"]
    if sun.noon_elevation(now, latitude) < above:
        hours = abs(sun.hour_angle(now, longitude)) / 15
        around = window["fallback_hours"]
        return hours <= around, f"the sun stays below {above} degrees today: {around} h before to {around} h after noon"
    height = sun.elevation(now, latitude, longitude)
    return height >= above, f"the sun at {height:.1f} degrees, wanted {above}"


def carbon(window: Window, _now: float) -> Verdict:
    """Open while the grid is clean. Raises WebError when that is not known."""
    headers = {window["header"]: window["token"]} if window.get("header") else {}
    status, content = web.request(window["url"], headers=headers, ca_file=window.get("ca_file", ""))
    if status != OK:
        raise web.WebError(f"{window['url']} answers {status}")
    value = web.from_json(content)
    try:
        for key in window["key"].split("."):
            value = value[int(key)] if isinstance(value, list) else value[key]
        grams = float(value)
    except (LookupError, TypeError, ValueError) as error:
        raise web.WebError(f"no number at {window['key']} in the answer of {window['url']}") from error
    return grams < window["below"], f"{grams:.0f} g/kWh, wanted below {window['below']}"


KINDS: dict[str, t.Callable[[Window, float], Verdict]] = {"daily": daily, "sun": sunshine, "carbon": carbon}


class Windows:
    """Judges windows for one run, each window once, however many machines share it."""

    def __init__(self, now: float, report: t.Callable[[str], None]) -> None:
        """Take the time of the run, and whom to tell what a window could not find out."""
        self.now = now
        self.report = report
        self.seen: dict[str, Verdict] = {}
        self.failed = False

    def judge(self, windows: list[Window], waiting_since: float) -> Verdict:
        """Tell whether a machine may be woken now, and why. A window that cannot find out counts as closed."""
        if not windows:
            return True, "on demand"
        verdicts = [self._judge_one(window) for window in windows]
        for is_open, why in verdicts:
            if is_open:
                return True, why
        deadline = min(window["deadline"] for window in windows)
        if self.now - waiting_since >= deadline * 3600:
            return True, f"a job has waited for {deadline} h"
        return False, f"outside its windows ({'; '.join(why for _closed, why in verdicts)})"

    def _judge_one(self, window: Window) -> Verdict:
        key = repr(window)
        if key not in self.seen:
            try:
                self.seen[key] = KINDS[window["kind"]](window, self.now)
            except web.WebError as error:
                self.failed = True
                self.report(str(error))
                self.seen[key] = False, f"{window['kind']}: not known"
        return self.seen[key]
