# Copyright (c) 2026, the greenlab.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The status page: one HTML file with everything in it, no script, nothing fetched.

Whatever comes from outside goes through `_text`, and the page's own policy forbids scripts and connections.
"""

from __future__ import annotations

import bisect
import html
import math
import typing as t
from collections import Counter
from dataclasses import dataclass
from datetime import datetime

from ansible_collections.greenlab.cluster.plugins.plugin_utils._status import (
    HOURS_UNTIL_STALE,
    STATES,
    Cluster,
    Machine,
    Span,
    Window,
    one_line,
    shares,
    short_time,
)

# Width of a bar, in units of its own.
COLUMNS = 1008

# What a state is called, and what it means.
_WORDS = {
    "measuring": ("measuring", "a job or the control workload runs"),
    "preparing": ("preparing", "maintenance, cooling down, warming up, or a reboot"),
    "idle": ("idle", "awake, and the queue is empty"),
    "asleep": ("asleep", "suspended or switched off"),
    "held": ("held", "its queue is kept back while an operator works on it"),
    "failed": ("failed", "a job, the control workload or maintenance ended with an error; the client may be waiting"),
    "unknown": ("unknown", "nothing was reported"),
}

# Light and dark colour, height of the bar (of 10), dashes. Hues that stay apart for the colour-blind (after Okabe and
# Ito), each at least 3:1 against the background; height and dashes tell the states apart without any colour.
_LOOKS = {
    "measuring": ("#0072b2", "#56b4e9", 8, ""),
    "preparing": ("#0072b2", "#56b4e9", 5, ""),
    "idle": ("#6e7781", "#8b949e", 1.5, ""),
    "asleep": ("#008060", "#2ec49a", 3, ""),
    "held": ("#a86f00", "#e69f00", 8, "6 4"),
    "failed": ("#c8102e", "#ff6b6b", 10, ""),
    "unknown": ("#6e7781", "#8b949e", 1, "2 6"),
}

# Weekdays and months must not follow the operator's locale: the page is in English.
_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")

_MINUTE, _HOUR, _DAY = 60, 3600, 86400
_LONG_STEPS = [_DAY * n for n in (1, 2, 7, 14, 28, 91, 364)]
_TICK_STEPS = [_MINUTE, 5 * _MINUTE, 15 * _MINUTE, *(_HOUR * n for n in (1, 3, 6, 12)), *_LONG_STEPS]
_SHORT_STEPS = [*(_MINUTE * n for n in (1, 2, 5, 10, 15, 30)), *(_HOUR * n for n in (1, 2, 3, 6, 12))]
_BAR_STEPS = [5, 10, 30, *_SHORT_STEPS, *_LONG_STEPS]
_PLOT_STEPS = [_HOUR, _DAY, 7 * _DAY, 28 * _DAY, 364 * _DAY]
_UNITS = [("day", _DAY), ("hour", _HOUR), ("minute", _MINUTE)]
# Unit, its watt-hours, and from how many on it is used.
_ENERGY_UNITS = [("MWh", 1_000_000, 1_000_000), ("kWh", 1000, 100), ("Wh", 1, 0)]
_WATTS = "<code>status_idle_watts</code> and <code>status_sleep_watts</code>"

COMMAND = "ansible-playbook greenlab.cluster.status"

_MOST_TICKS = 8
_MOST_PLOTTED = 31
_NARROWEST_LABELLED_BAR = 0.08

# Steps of a bar: shorter ones are narrower than an eye can follow on a desk's screen and on a phone's.
_MOST_STEPS = {"fine": 168, "coarse": 56}

# A smaller share of a machine's time is left out, but for what a lab is there for and for failures.
_SMALLEST_SHARE = 0.005
_ALWAYS_SHOWN = ("measuring", "failed")

# A larger group of machines is closed until a reader opens it. Those that need attention are always shown.
_MOST_OPEN = 100

_STYLE = """
:root{color-scheme:light dark;--bg:#fff;--fg:#1f2328;--muted:#59636e;--line:#d1d9e0;--card:#f6f8fa;%(light)s}
@media screen and (prefers-color-scheme:dark){
:root{--bg:#0d1117;--fg:#e6edf3;--muted:#9198a1;--line:#3d444d;--card:#151b23;%(dark)s}}
*{box-sizing:border-box}
body{margin:0 auto;padding:0 16px 32px;max-width:1280px;overflow-wrap:anywhere;background:var(--bg);color:var(--fg);
font:15px/1.45 system-ui,-apple-system,"Segoe UI",Roboto,sans-serif}
h1{font-size:1.4rem;margin:16px 0 0}h2{font-size:1.1rem;margin:28px 0 8px}h3{font-size:1rem;margin:0;display:inline}
p{margin:4px 0}main p{max-width:80ch}
.muted,small{color:var(--muted)}small{font-size:.8rem;font-weight:normal}a{color:inherit}
nav a{margin-right:16px}
svg{display:block}path{fill:none;shape-rendering:crispEdges}%(strokes)s
.cards{display:grid;grid-template-columns:repeat(auto-fill,minmax(136px,1fr));gap:8px;margin:16px 0;padding:0;
list-style:none}
.cards li{background:var(--card);border:1px solid var(--line);border-radius:6px;padding:8px 10px}
.cards b{font-size:1.5rem;line-height:1.2;display:block}.cards small{display:block}
.legend{padding:0;list-style:none}.cards svg,.legend svg{display:inline-block;width:36px;height:12px;margin-right:6px}
.chart{display:grid;grid-template-columns:60px minmax(0,1fr);column-gap:6px;margin-top:22px}
.axis{position:relative;height:32px;font-size:.75rem;font-weight:normal;line-height:1.2;color:var(--muted)}
#energy .axis{margin-left:66px}
.axis span{position:absolute;top:0;padding:2px 0 0 4px;border-left:1px solid var(--line);height:100%%;white-space:pre}
.bars svg,.bar svg{width:100%%;%(grid)s}.bar svg{height:16px}
.bars{position:relative}.bars svg{height:140px;border-bottom:1px solid var(--fg)}.bars rect{fill:var(--asleep)}
.bars span{position:absolute;white-space:nowrap;transform:translate(-50%%,-100%%);font-size:.75rem}
.scale{position:relative;text-align:right;font-size:.75rem;color:var(--muted)}
.scale span{position:absolute;right:0;white-space:nowrap;transform:translateY(50%%)}
summary{cursor:pointer;padding:4px 0}summary svg,td>svg,th>svg{display:inline-block;width:24px;height:10px}
.group:not([open])>summary::after{content:" – closed, select to see them";color:var(--muted);font-size:.8rem}
.group{margin-top:12px}
table{border-collapse:collapse;font-size:.9rem}
.list{width:100%%;table-layout:fixed}
th,td{text-align:left;vertical-align:top;padding:3px 6px;border-bottom:1px solid var(--line);line-height:1.3}
th:first-child{padding-left:0}td:last-child{padding-right:0}
.list thead th{position:sticky;top:0;z-index:1;background:var(--bg);vertical-align:bottom;padding-bottom:0}
.list thead th{font-size:.8rem;font-weight:normal;color:var(--muted)}
.bar small{display:block;line-height:1.2;font-size:.75rem}.since small{white-space:nowrap}
.list tbody :is(.job,.release,.heat,.queue){font-size:.8rem}
.why b,.why small{display:block}td:empty::after{content:"–"}
.n{text-align:right}.coarse{display:none}
@media(min-width:1001px){
.name{width:17%%}.since{width:12%%}.why{width:26%%}.job{width:14%%}.queue{width:6%%}.release{width:10%%}.heat{width:9%%}}
@media(max-width:1000px){
.list,.list>*{display:block}.list thead tr{display:block}
.list thead{position:sticky;top:0;z-index:1;background:var(--bg);border-bottom:1px solid var(--line)}
.list thead th{display:none}.list thead .bar{display:block;position:static;padding:0;border:0}
.list tbody tr{display:flex;flex-wrap:wrap;align-items:baseline;column-gap:10px;padding:4px 0;
border-bottom:1px solid var(--line)}
.list tbody :is(th,td){border:0;padding:0;max-width:100%%}
.list tbody :is(th,.why,.bar){flex:1 0 100%%}.list tbody td:empty{display:none}
.list tbody .why{margin-bottom:2px}.list tbody :is(.since small,.queue,.release,.heat,.job){font-size:.75rem}
.list tbody :is(.since,.queue,.release,.heat){order:1}.list tbody .job{order:2}.list tbody .since span{display:none}
.queue::before{content:"queue "}.job::before{content:"job "}}
@media(max-width:640px){
.cards{gap:6px}.cards li{padding:4px 8px}.cards b{display:inline;font-size:1.2rem;margin-right:4px}
.axis span:nth-child(even),.fine{display:none}.coarse{display:inline}}
@media print{
body{max-width:none;padding:0;font-size:12px}nav{display:none}section,.cards{break-inside:auto}
tr,.cards li,.chart{break-inside:avoid}.list thead th{position:static}*{print-color-adjust:exact}
.group:not([open])>summary::after{content:""}
details::details-content{content-visibility:visible;block-size:auto}}
"""


@dataclass(frozen=True)
class Drawing:
    """What all bars have in common: the time, the labels of its axis, and the ends of the steps of a bar."""

    window: Window
    ticks: list[tuple[float, str]]
    marks: dict[str, list[float]]


class Maker(t.NamedTuple):
    """What made the page, and when."""

    at: datetime
    version: str


def page(cluster: Cluster, title: str, maker: Maker) -> str:
    """Return the page as HTML."""
    ticks = list(_ticks(cluster.window))
    marks = {
        name: [0.0, *_marks(cluster.window, _step(cluster.window, most)), cluster.window.seconds]
        for name, most in _MOST_STEPS.items()
    }
    made_by = f"greenlab.cluster {maker.version}".strip()
    moment = maker.at.isoformat(timespec="seconds")
    return "\n".join(
        [
            "<!DOCTYPE html>",
            '<html lang="en"><head><meta charset="utf-8">',
            "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">",
            '<meta name="viewport" content="width=device-width, initial-scale=1">',
            f'<meta name="generator" content="{_text(made_by)}">',
            f"<title>{_text(title)}</title>",
            f"<style>{_style(ticks)}</style></head><body>",
            f"<header><h1>{_text(title)}</h1>",
            f'<p class="muted">{_period(cluster.window)} All times are UTC.</p>',
            f'<p class="muted">Generated at <time datetime="{moment}">{moment}</time> by {_text(made_by)}'
            f" (<code>{COMMAND}</code>).</p></header>",
            f"<main>{_content(cluster, Drawing(cluster.window, ticks, marks))}</main></body></html>\n",
        ]
    )


def _content(cluster: Cluster, drawing: Drawing) -> str:
    if not cluster.machines:
        return "<p>No machines: group <code>machines</code> of the inventory is empty.</p>"
    urgent = [machine for machine in cluster.machines if machine.problems]
    others = [machine for machine in cluster.machines if not machine.problems]
    heading = f"{'Other machines' if urgent else 'Machines'} ({len(others):,})"
    return "\n".join(
        [
            _summary(cluster),
            f'<nav aria-label="Sections"><a href="#attention">Needs attention ({len(urgent):,})</a>'
            f' <a href="#energy">Energy</a> <a href="#machines">{heading}</a>'
            ' <a href="#notes">What this shows</a></nav>',
            _attention(urgent, drawing),
            _energy(cluster, drawing.ticks),
            _others(others, heading, drawing),
            _notes(cluster),
        ]
    )


# --- the parts -------------------------------------------------------------------------------------------------------


def _period(window: Window) -> str:
    if not window.seconds:
        return "The jobs DB gave no answer, so nothing is known of what the machines do and did."
    return f"{short_time(window.since)} to {short_time(window.until)}."


def _summary(cluster: Cluster) -> str:
    """How many machines are in which state now, and which part of the time they were: the legend too."""
    count = Counter(machine.state for machine in cluster.machines)
    took = Counter[str]()
    for machine in cluster.machines:
        took.update(shares(machine.spans, cluster.window.seconds) if cluster.window.seconds else {})
    cards = [
        f"<li><b>{count[state]:,}</b>{_swatch(state)}{_WORDS[state][0]}"
        f"<small>{_percent(took[state] / len(cluster.machines))} of the time"
        f"{_assumed(state, took[state], cluster)}</small></li>"
        for state in STATES
        if state != "unknown" or count[state] or took[state]
    ]
    waiting = sum(machine.waiting or 0 for machine in cluster.machines)
    cards.append(f"<li><b>{waiting:,}</b> {_jobs(waiting)} waiting</li>")
    return f'<ul class="cards" id="summary">{"".join(cards)}</ul>'


def _attention(machines: list[Machine], drawing: Drawing) -> str:
    """All machines that need attention, whatever their number, with the reason."""
    begin = f'<section id="attention"><h2>Needs attention ({len(machines):,})</h2>'
    if not machines:
        return f"{begin}<p>None: no machine failed, stopped to report, is held or drifted.</p></section>"
    return f"{begin}{_list(machines, drawing, with_reason=True)}</section>"


def _energy(cluster: Cluster, ticks: list[tuple[float, str]]) -> str:
    """Plot what sleep has saved, as bars over time."""
    known = [machine for machine in cluster.machines if machine.saved_watts is not None]
    by = f"{len(known):,} of {len(cluster.machines):,} machines"
    begin = '<section id="energy"><h2>Energy saved by sleep</h2>'
    if not known:
        return f'{begin}<p class="muted">Not known: no machine has {_WATTS} in the inventory.</p></section>'
    times = _bars(cluster.window)
    watt_hours = _saved(known, times)
    left_out = len(cluster.machines) - len(known)
    others = f" {left_out:,} without {_WATTS} left out." if left_out else ""
    if not any(watt_hours):
        return f'{begin}<p class="muted">None: no machine with {_WATTS} slept in this time.{others}</p></section>'
    unit, size = next((unit, size) for unit, size, least in _ENERGY_UNITS if max(watt_hours) >= least)
    energies = [energy / size for energy in watt_hours]
    bars = [(start, end, energy) for (start, end), energy in zip(times, energies)]
    top, step = _scale(max(energies))
    length = cluster.window.seconds
    rects = "".join(
        f'<rect x="{COLUMNS * start / length + 1:.1f}" width="{max(COLUMNS * (end - start) / length - 2, 1):.1f}"'
        f' y="{100 - 100 * energy / top:.2f}" height="{100 * energy / top:.2f}"/>'
        for start, end, energy in bars
    )
    labels = "".join(
        f'<span style="left:{50 * (start + end) / length:.2f}%;top:{100 - 100 * energy / top:.2f}%">'
        f"{_figure(energy, 2)}</span>"
        for start, end, energy in bars
        if energy and (end - start) / length > _NARROWEST_LABELLED_BAR
    )
    scale = "".join(
        f'<span style="bottom:{100 * place * step / top:.1f}%">'
        f"{_figure(place * step, 3)} {unit if place else ''}</span>"
        for place in range(round(top / step) + 1)
    )
    figures = "".join(
        f'<tr><th scope="row">{short_time(cluster.window.moment(start))}</th>'
        f'<td class="n">{_figure(energy, 3)}</td></tr>'
        for start, _end, energy in bars
    )
    total = f"<b>{_figure(sum(energies), 3)} {unit}</b> by {by}.{others}"
    return (
        f"{begin}<p>{total}</p>"
        f'<div class="chart" aria-hidden="true"><div class="scale">{scale}</div><div class="bars">'
        f'<svg viewBox="0 0 {COLUMNS} 100" preserveAspectRatio="none">{rects}</svg>{labels}</div></div>{_axis(ticks)}'
        f'<details><summary>Figures</summary><table><thead><tr><th scope="col">From (UTC)</th>'
        f'<th scope="col" class="n">{unit}</th></tr></thead><tbody>{figures}</tbody></table></details></section>'
    )


def _others(machines: list[Machine], heading: str, drawing: Drawing) -> str:
    """The machines that need no attention, by state."""
    begin = f'<section id="machines"><h2>{heading}</h2>'
    if not machines:
        return f"{begin}<p>None: each machine needs attention, see above.</p></section>"
    groups = []
    for state in STATES:
        found = [machine for machine in machines if machine.state == state]
        if not found:
            continue
        waiting = sum(machine.waiting or 0 for machine in found)
        count = f"{len(found):,} {'machine' if len(found) == 1 else 'machines'}, {waiting:,} {_jobs(waiting)} waiting"
        groups.append(
            f'<details class="group"{"" if len(found) > _MOST_OPEN else " open"}><summary><h3>{_swatch(state)}'
            f" {_WORDS[state][0]} <small>{count}</small></h3></summary>{_list(found, drawing)}</details>"
        )
    return f"{begin}{''.join(groups)}</section>"


def _list(machines: list[Machine], drawing: Drawing, *, with_reason: bool = False) -> str:
    """One row a machine, of which a narrow screen shows the cells below each other."""
    columns: list[tuple[str, str, t.Callable[[Machine], str]]] = [
        ("why", "Why", lambda machine: _reason(machine, drawing.window)),
        ("since", "State", lambda machine: _since(machine, drawing.window)),
        ("bar", _axis(drawing.ticks), lambda machine: _bar(machine, drawing)),
        ("queue", "Queue", lambda machine: _text(machine.waiting)),
        ("job", "Job", lambda machine: _text(machine.job)),
        ("release", "Release", _release),
        ("heat", "Temperature", lambda machine: _text(machine.temperature)),
    ]
    left_out = {"since", "job"} if with_reason else {"why"}  # the reason has both
    if not any(machine.job for machine in machines):
        left_out.add("job")
    columns = [column for column in columns if column[0] not in left_out]
    head = "".join(f'<th scope="col" class="{name}">{heading}</th>' for name, heading, _cell in columns)
    rows = "\n".join(
        f'<tr id="m{machine.id}"><th scope="row">{_text(machine.host)} <small>{_text(machine.description)}</small></th>'
        + "".join(f'<td class="{name}">{cell(machine)}</td>' for name, _heading, cell in columns)
        + "</tr>"
        for machine in machines
    )
    return (
        f'<table class="list"><thead><tr><th scope="col" class="name">Machine</th>{head}</tr></thead><tbody>\n{rows}'
        "</tbody></table>"
    )


def _reason(machine: Machine, window: Window) -> str:
    hold = f"<small>Hold: {_text(machine.held_for)}</small>" if machine.held_for else ""
    job = f"<small>Job: {_text(machine.job)}</small>" if machine.job else ""
    return (
        f"<b>{_text('; '.join(machine.problems))}</b>{hold}"
        f"<small>State: {_since(machine, window, tag='span')}</small>{job}"
    )


def _notes(cluster: Cluster) -> str:
    words = "".join(f"<li>{_swatch(state)}<b>{_WORDS[state][0]}</b>: {_WORDS[state][1]}.</li>" for state in STATES)
    steps = "".join(
        f'<span class="{name}">{_duration(_step(cluster.window, most))}</span>' for name, most in _MOST_STEPS.items()
    )
    log = "" if cluster.has_wake_log else " Here it says nothing, or there is no wake host."
    return (
        f'<section id="notes"><h2>What this shows</h2><ul class="legend">{words}</ul>'
        f"<p>A bar has steps of {steps}. A step shows the state that took most of it, and a failure of any length."
        " Below it are the exact shares of time; less than half a percent is left out, but for measuring and failed."
        " A machine that lost its power keeps the state that it reported last.</p>"
        "<p>Machines that need attention come first, the worst of them on top: failed; did not wake up; stale (at"
        f" work without a report for {HOURS_UNTIL_STALE} hours, or a job is RUNNING while the client is not); never"
        " reported or not registered; held; drifted. Then those with the longest queue.</p>"
        "<p>Asleep is what the wake host saw. Where its log says nothing it is assumed, from 60 seconds after the"
        " queue was empty until the next report, of machines whose client is told to suspend them or to switch them"
        f" off.{log}</p>"
        "<p>Energy saved = time asleep × (status_idle_watts − status_sleep_watts). What falling asleep and waking up"
        " cost is not subtracted.</p>"
        "<p>Drift: where the jobs DB and the inventory differ. <q>Other commit</q> is another one than that of most"
        " machines that should run the same release.</p>"
        "<p>A dash, or nothing on a narrow screen: the jobs DB has no value. A temperature is the last one and, after"
        " the slash, the one that a measurement begins at.</p></section>"
    )


# --- bars and axes ---------------------------------------------------------------------------------------------------


def _bar(machine: Machine, drawing: Drawing) -> str:
    """Draw one machine's timeline, with its shares of time as text."""
    took = shares(machine.spans, drawing.window.seconds) if drawing.window.seconds else {}
    if set(took) <= {"unknown"}:
        return "<small>no report in this time</small>"
    said = " · ".join(
        f"{state}\N{NO-BREAK SPACE}{_percent(share)}"
        for state, share in took.items()
        if share >= _SMALLEST_SHARE or state in _ALWAYS_SHOWN
    )
    bars = "".join(f'<g class="{name}">{_paths(machine.spans, marks)}</g>' for name, marks in drawing.marks.items())
    return (
        f'<svg viewBox="0 0 {COLUMNS} 10" preserveAspectRatio="none" aria-hidden="true">{bars}</svg>'
        f"<small>{said}</small>"
    )


def _paths(spans: list[Span], marks: list[float]) -> str:
    runs: dict[str, list[str]] = {}
    for start, end, state in _runs(spans, marks):
        begin = round(COLUMNS * start / marks[-1])
        runs.setdefault(state, []).append(f"M{begin} 5h{round(COLUMNS * end / marks[-1]) - begin}")
    return "".join(f'<path class="{state}" d="{"".join(found)}"/>' for state, found in runs.items())


def _runs(spans: list[Span], marks: list[float]) -> t.Iterator[tuple[float, float, str]]:
    """Return begin, end and state of the steps between the marks, neighbours of one state as one.

    A step has the state that took most of it, or failed, if it did for any length.
    """
    begin, before = marks[0], ""
    for start, state in _steps(spans, marks):
        if state != before:
            if before:
                yield begin, start, before
            begin, before = start, state
    if before:
        yield begin, marks[-1], before


def _steps(spans: list[Span], marks: list[float]) -> t.Iterator[tuple[float, str]]:
    """Return begin and state of each step."""
    place, mark = 0, marks[1]
    took: dict[str, float] = {}
    for begin, end, state in spans:  # one begins where the other ends
        start = begin if begin > 0 else 0.0
        while end >= mark:
            took[state] = took.get(state, 0.0) + mark - start
            yield marks[place], "failed" if "failed" in took else max(took, key=lambda each: took[each])
            place, start, took = place + 1, mark, {}
            if mark == marks[-1]:
                return
            mark = marks[place + 1]
        if end > start:
            took[state] = took.get(state, 0.0) + end - start


def _step(window: Window, most: int) -> int:
    return next((step for step in _BAR_STEPS if window.seconds / step <= most), _BAR_STEPS[-1])


def _ticks(window: Window) -> t.Iterator[tuple[float, str]]:
    """Return place (0 to 1) and label of the time axis, at whole hours and midnights of UTC."""
    if not window.seconds:
        return
    step = next((step for step in _TICK_STEPS if window.seconds / step <= _MOST_TICKS), _TICK_STEPS[-1])
    for offset in _marks(window, step):
        moment = window.moment(offset)
        lines = [f"{moment:%H:%M}", f"{moment.day} {_MONTHS[moment.month - 1]}", str(moment.year)]
        if step >= 28 * _DAY:
            lines.pop(0)
        elif step >= _DAY:
            lines[0] = _DAYS[moment.weekday()]
        yield offset / window.seconds, "\n".join(lines[:2])


def _bars(window: Window) -> list[tuple[float, float]]:
    """Return begin and end of each bar of the plot: whole hours, days, weeks …, the first and the last one cut."""
    step = next((step for step in _PLOT_STEPS if window.seconds / step <= _MOST_PLOTTED), _PLOT_STEPS[-1])
    marks = [0.0, *_marks(window, step), window.seconds]
    return [(start, end) for start, end in zip(marks, marks[1:]) if end > start]


def _marks(window: Window, step: int) -> t.Iterator[float]:
    """Return the multiples of a step within the window; weeks begin on a Monday."""
    monday = datetime(1970, 1, 5, tzinfo=window.since.tzinfo)
    offset = -((window.since - monday).total_seconds() % step) + step
    while offset < window.seconds:
        yield offset
        offset += step


def _saved(machines: list[Machine], bars: list[tuple[float, float]]) -> list[float]:
    """Return the watt-hours that sleep has saved in each bar's time: power × time."""
    ends = [end for _start, end in bars]
    joules = [0.0] * len(bars)
    for machine in machines:
        for span in machine.spans:
            if span.state != "asleep":
                continue
            for place in range(bisect.bisect_right(ends, max(span.start, 0)), len(bars)):
                start, end = bars[place]
                if start >= span.end:
                    break
                joules[place] += (min(span.end, end) - max(span.start, start)) * (machine.saved_watts or 0)
    return [energy / _HOUR for energy in joules]


def _scale(highest: float) -> tuple[float, float]:
    """Return the top of an axis and the step of its marks, both round numbers."""
    if highest <= 0:
        return 1.0, 1.0
    power = 10.0 ** math.floor(math.log10(highest))
    step = next(factor * power for factor in (0.25, 0.5, 1.0, 2.5) if highest <= 4 * factor * power)
    return step * math.ceil(highest / step), step


def _axis(ticks: list[tuple[float, str]]) -> str:
    # A label of the last few percent would be cut off.
    labels = "".join(f'<span style="left:{100 * place:.2f}%">{label}</span>' for place, label in ticks if place <= 0.95)
    return f'<div class="axis" aria-hidden="true">{labels}</div>'


def _style(ticks: list[tuple[float, str]]) -> str:
    lines = [f"linear-gradient(var(--line) 0 0) {100 * place:.2f}% 0/1px 100% no-repeat" for place, _label in ticks]
    return _STYLE % {
        "light": "".join(f"--{state}:{look[0]};" for state, look in _LOOKS.items()),
        "dark": "".join(f"--{state}:{look[1]};" for state, look in _LOOKS.items()),
        "strokes": "".join(
            f".{state}{{stroke:var(--{state});stroke-width:{height}{';stroke-dasharray:' + dashes if dashes else ''}}}"
            for state, (_light, _dark, height, dashes) in _LOOKS.items()
        ),
        "grid": f"background:{','.join(lines)}" if lines else "",
    }


# --- words -----------------------------------------------------------------------------------------------------------


def _text(value: t.Any) -> str:
    """Return a value as text of HTML; nothing for None, where the style shows a dash."""
    return "" if value is None else html.escape(one_line(str(value)), quote=True)


def _percent(share: float) -> str:
    text = "&lt;1%" if 0 < share < _SMALLEST_SHARE else f"{share:.0%}"
    return text.replace("%", "\N{NO-BREAK SPACE}%")


def _duration(seconds: int) -> str:
    """Return a time in its largest whole unit."""
    unit, size = next((unit for unit in _UNITS if seconds % unit[1] == 0), ("second", 1))
    count = seconds // size
    return f"{count} {unit}{'' if count == 1 else 's'}"


def _jobs(count: int) -> str:
    return "job" if count == 1 else "jobs"


def _figure(value: float, digits: int) -> str:
    """Return a number with so many significant digits, large ones as whole numbers; never with an exponent."""
    return f"{value:.{digits}g}" if 0.001 <= value < 10**digits - 1 else f"{value:,.0f}"


def _since(machine: Machine, window: Window, tag: str = "small") -> str:
    state = f"<span>{_WORDS[machine.state][0]}</span>"
    if machine.since is None:
        return state
    year = "" if machine.since.year == window.until.year else f" {machine.since.year}"
    since = f"since {machine.since.day} {_MONTHS[machine.since.month - 1]}{year} {machine.since:%H:%M}"
    return f"{state} <{tag}>{since}</{tag}>"


def _release(machine: Machine) -> str:
    return _text(machine.release) + (" <small>to be validated</small>" if machine.needs_validation else "")


def _assumed(state: str, share: float, cluster: Cluster) -> str:
    return ", assumed" if state == "asleep" and share and not cluster.has_wake_log else ""


def _swatch(state: str) -> str:
    path = f'<path class="{state}" d="M0 5h36"/>'
    return f'<svg viewBox="0 0 36 10" preserveAspectRatio="none" aria-hidden="true">{path}</svg>'
