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
from datetime import datetime, timedelta

from ansible_collections.greenlab.cluster.plugins.plugin_utils._status import (
    STATES,
    Cluster,
    Machine,
    Span,
    Window,
    one_line,
    short_time,
)

# A week has 1,008 steps of ten minutes, and no screen shows more.
COLUMNS = 1008

# What a state is called, and what it means.
_WORDS = {
    "measuring": ("measuring", "a job or the control workload runs"),
    "preparing": ("preparing", "maintenance, cooling down, warming up, or a reboot"),
    "idle": ("idle", "awake, and the queue is empty"),
    "asleep": ("asleep", "suspended or switched off"),
    "held": ("held", "its queue is kept back while somebody works on it"),
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

_HOUR = 3600
_DAY = 24 * _HOUR
_TICK_STEPS = [60, 300, 900, *(_HOUR * n for n in (1, 3, 6, 12)), *(_DAY * n for n in (1, 2, 7, 14, 28, 91, 364))]
_BAR_STEPS = [_HOUR, _DAY, 7 * _DAY, 28 * _DAY, 364 * _DAY]
_WATTS = "<code>status_idle_watts</code> and <code>status_sleep_watts</code>"

_MOST_TICKS = 8
_MOST_BARS = 31
_NARROWEST_LABELLED_BAR = 0.08
_MOST_PROBLEMS = 20

_STYLE = """
:root{color-scheme:light dark;--bg:#fff;--fg:#1f2328;--muted:#59636e;--line:#d1d9e0;--card:#f6f8fa;%(light)s}
@media(prefers-color-scheme:dark){
:root{--bg:#0d1117;--fg:#e6edf3;--muted:#9198a1;--line:#3d444d;--card:#151b23;%(dark)s}}
*{box-sizing:border-box}
body{margin:0 auto;padding:0 16px 32px;max-width:1280px;overflow-wrap:anywhere;background:var(--bg);color:var(--fg);
font:15px/1.45 system-ui,-apple-system,"Segoe UI",Roboto,sans-serif}
h1{font-size:1.4rem;margin:16px 0 0}h2{font-size:1.1rem;margin:28px 0 8px}p{margin:4px 0;max-width:80ch}
.muted,small{color:var(--muted)}small{font-size:.8rem}a{color:inherit}
svg{display:block}path{fill:none}%(strokes)s
.cards{display:grid;grid-template-columns:repeat(auto-fill,minmax(136px,1fr));gap:8px;margin:16px 0;padding:0;
list-style:none}
.cards li{background:var(--card);border:1px solid var(--line);border-radius:6px;padding:8px 10px}
.cards b{font-size:1.5rem;line-height:1.2;display:block}
.legend{padding:0;list-style:none}.cards svg,.legend svg{display:inline-block;width:36px;height:12px;margin-right:6px}
.problems li{margin:2px 0}
.chart{display:grid;grid-template-columns:220px minmax(0,1fr);column-gap:12px;margin-top:22px}
.axis{position:relative;height:34px;font-size:.75rem;line-height:1.2;color:var(--muted);margin-left:232px}
.axis span{position:absolute;top:0;padding:2px 0 0 4px;border-left:1px solid var(--line);height:100%%;white-space:pre}
.rows .top{position:sticky;top:0;z-index:2;background:var(--bg);border-bottom:1px solid var(--line)}
.row{display:grid;grid-template-columns:220px minmax(0,1fr);column-gap:12px;align-items:center;
border-bottom:1px solid var(--line);padding:3px 0;content-visibility:auto;contain-intrinsic-size:auto 46px}
.row>div{min-width:0;line-height:1.25}.row small{display:block}
.row>svg,.bars svg{width:100%%;%(grid)s}
.row>svg{height:20px}
.bars{position:relative}.bars svg{height:140px;border-bottom:1px solid var(--fg)}.bars rect{fill:var(--asleep)}
.bars span{position:absolute;transform:translate(-50%%,-100%%);font-size:.75rem}
.scale{position:relative;text-align:right;font-size:.75rem;color:var(--muted)}
.scale span{position:absolute;right:0;transform:translateY(50%%)}
.wide{overflow-x:auto;border:1px solid var(--line);border-radius:6px;max-width:100%%}
table{border-collapse:collapse;width:100%%;font-size:.9rem}
th,td{text-align:left;vertical-align:top;padding:6px 10px;border-bottom:1px solid var(--line);background:var(--bg)}
td{white-space:nowrap}thead th{background:var(--card);white-space:nowrap}
td svg{display:inline-block;width:24px;height:10px;margin-right:6px}td.text{white-space:normal;min-width:9rem}
th:first-child{position:sticky;left:0;z-index:1;min-width:7.5rem;max-width:14rem;
border-right:1px solid var(--line)}
th small{display:block;font-weight:normal}tr:last-child>*{border-bottom:0}
@media(max-width:640px){
.row{display:block}.row>div{display:flex;justify-content:space-between;gap:8px}
.row>div>small{text-align:right}.row{padding:6px 0}
.axis{margin-left:0}.axis span:nth-child(even){display:none}
.chart{grid-template-columns:52px minmax(0,1fr);column-gap:6px}#energy .axis{margin-left:58px}
th:first-child{max-width:9.5rem}}
"""


def page(cluster: Cluster, title: str) -> str:
    """Return the page as HTML."""
    ticks = list(_ticks(cluster.window))
    window = f"{short_time(cluster.window.since)} to {short_time(cluster.window.until)}"
    return "\n".join([
        "<!DOCTYPE html>",
        '<html lang="en"><head><meta charset="utf-8">',
        '<meta http-equiv="Content-Security-Policy" content="default-src \'none\'; style-src \'unsafe-inline\'">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f"<title>{_text(title)}</title>",
        f"<style>{_style(ticks)}</style></head><body>",
        f"<h1>{_text(title)}</h1>",
        f'<p class="muted">{window}. All times are UTC.</p>',
        _summary(cluster),
        _problems(cluster.machines),
        _energy(cluster, ticks),
        _timeline(cluster, ticks),
        _details(cluster.machines),
        _notes(cluster),
        "</body></html>\n",
    ])


# --- the parts -------------------------------------------------------------------------------------------------------


def _summary(cluster: Cluster) -> str:
    """How many machines are in which state, which is the legend too."""
    count = Counter(machine.state for machine in cluster.machines)
    cards = [
        f'<li title="{_WORDS[state][1]}"><b>{count[state]}</b>{_swatch(state)}{_name(state, cluster)}</li>'
        for state in STATES
        if state != "unknown" or count[state]
    ]
    waiting = sum(machine.waiting or 0 for machine in cluster.machines)
    cards.append(f"<li><b>{waiting}</b>{'job' if waiting == 1 else 'jobs'} waiting</li>")
    return f'<ul class="cards" id="summary">{"".join(cards)}</ul>'


def _problems(machines: list[Machine]) -> str:
    found = [machine for machine in machines if machine.problems]
    if not found:
        return ""
    lines = [
        f"<li>{_link(machine)}: {_text('; '.join(machine.problems))}</li>" for machine in found[:_MOST_PROBLEMS]
    ]
    if len(found) > _MOST_PROBLEMS:
        lines.append(f"<li>… and {len(found) - _MOST_PROBLEMS} more, see the table</li>")
    return f'<section class="problems" id="problems"><h2>Look at these</h2><ul>{"".join(lines)}</ul></section>'


def _energy(cluster: Cluster, ticks: list[tuple[float, str]]) -> str:
    """Plot what sleep has saved, as bars over time."""
    known = [machine for machine in cluster.machines if machine.saved_watts is not None]
    begin = '<section id="energy"><h2>Energy saved by sleep</h2>'
    if not known:
        return f'{begin}<p class="muted">Not known: no machine has {_WATTS} in the inventory.</p></section>'
    times = _bars(cluster.window)
    watt_hours = _saved(known, times)
    unit, size = ("kWh", 1000) if max(watt_hours, default=0) >= 100 else ("Wh", 1)
    energies = [energy / size for energy in watt_hours]
    bars = [(start, end, energy) for (start, end), energy in zip(times, energies)]
    top, step = _scale(max(energies, default=0))
    length = cluster.window.seconds
    rects = "".join(
        f'<rect x="{COLUMNS * start / length + 1:.1f}" width="{max(COLUMNS * (end - start) / length - 2, 1):.1f}"'
        f' y="{100 - 100 * energy / top:.2f}" height="{100 * energy / top:.2f}">'
        f"<title>{short_time(cluster.window.moment(start))}: {_figure(energy, 3)} {unit}</title></rect>"
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
    left_out = len(cluster.machines) - len(known)
    others = f" {left_out} without {_WATTS} left out." if left_out else ""
    total = f"<b>{_figure(sum(energies), 3)} {unit}</b> by {len(known)} of {len(cluster.machines)} machines.{others}"
    return (
        f"{begin}<p>{total}</p>"
        f'<div class="chart"><div class="scale">{scale}</div><div class="bars">'
        f'<svg viewBox="0 0 {COLUMNS} 100" preserveAspectRatio="none" role="img"'
        f' aria-label="Energy saved over time, in {unit}">{rects}</svg>{labels}</div></div>{_axis(ticks)}</section>'
    )


def _timeline(cluster: Cluster, ticks: list[tuple[float, str]]) -> str:
    rows = "\n".join(
        f'<div class="row"><div>{_link(machine)} <small>{_since(machine)}</small></div>'
        f"{_bar(machine, cluster.window)}</div>"
        for machine in cluster.machines
    )
    top = f'<h2>Timeline (UTC)</h2><div class="top">{_axis(ticks)}</div>'
    return f'<section class="rows" id="timeline">{top}\n{rows}</section>'


def _details(machines: list[Machine]) -> str:
    headings = ["Machine", "State", "Since (UTC)", "Job", "Queue", "Hold", "Release", "Temperature", "Drift"]
    rows = "\n".join(
        f'<tr id="m{machine.id}"><th scope="row">{_text(machine.host)}<small>{_text(machine.description)}</small></th>'
        f"<td>{_swatch(machine.state)}{_WORDS[machine.state][0]}</td>"
        f"<td>{'–' if machine.since is None else short_time(machine.since)}</td>"
        f'<td class="text">{_text(machine.job)}</td><td>{_text(machine.waiting)}</td>'
        f'<td class="text">{_hold(machine)}</td><td>{_release(machine)}</td><td>{_text(machine.temperature)}</td>'
        f'<td class="text">{_text(", ".join(machine.drift) or None)}</td></tr>'
        for machine in machines
    )
    head = "".join(f'<th scope="col">{heading}</th>' for heading in headings)
    return (
        '<section id="machines"><h2>Machines</h2><div class="wide" tabindex="0" role="region" aria-label="Machines">'
        f"<table><thead><tr>{head}</tr></thead><tbody>\n{rows}</tbody></table></div></section>"
    )


def _notes(cluster: Cluster) -> str:
    step = timedelta(seconds=round(cluster.window.seconds / COLUMNS))
    words = "".join(f"<li>{_swatch(state)}<b>{_WORDS[state][0]}</b>: {_WORDS[state][1]}.</li>" for state in STATES)
    return (
        f'<section id="notes"><h2>What this shows</h2><ul class="legend">{words}</ul>'
        f"<p>A bar has steps of {step} h. A step shows what took most of it, and a failure of any length. A machine"
        " that lost its power keeps the state that it reported last.</p>"
        "<p>Asleep is what the wake host saw. Where its log says nothing it is assumed, from 60 s after the queue was"
        " empty until the next report, of machines whose client is told to suspend them or to switch them off.</p>"
        "<p>Energy saved = time asleep × (status_idle_watts − status_sleep_watts). What falling asleep and waking up"
        " cost is not subtracted.</p>"
        "<p>Drift: where the jobs DB and the inventory differ. <q>Other commit</q> is another one than that of most"
        " machines that should run the same release.</p></section>"
    )


# --- bars and axes ---------------------------------------------------------------------------------------------------


def _bar(machine: Machine, window: Window) -> str:
    """Draw one machine's timeline, with what a screen reader says instead."""
    share = Counter[str]()
    for span in machine.spans:
        share[span.state] += (span.end - max(span.start, 0)) / window.seconds
    said = ", ".join(f"{state} {share[state]:.0%}" for state in STATES if share[state])
    runs: dict[str, list[str]] = {}
    for start, end, state in _runs(machine.spans, window.seconds):
        runs.setdefault(state, []).append(f"M{start} 5h{end - start}")
    paths = "".join(f'<path class="{state}" d="{"".join(found)}"/>' for state, found in runs.items())
    return (
        f'<svg viewBox="0 0 {COLUMNS} 10" preserveAspectRatio="none" role="img"'
        f' aria-label="{_text(machine.host)}: {said}">{paths}</svg>'
    )


def _runs(spans: list[Span], length: float) -> t.Iterator[tuple[int, int, str]]:
    """Return (first column, column after the last, state); a column shows what took most of it, and any failure."""
    if not length:
        return
    states, weights = ["unknown"] * COLUMNS, [0.0] * COLUMNS
    for span in spans:
        start, end = COLUMNS * max(span.start, 0) / length, COLUMNS * span.end / length
        first, last = int(start), min(math.ceil(end), COLUMNS) - 1
        for column in sorted({first, last}):
            part = min(end, column + 1) - max(start, column)
            weight = part + 1 if span.state == "failed" else part
            if weight > weights[column]:
                states[column], weights[column] = span.state, weight
        if last - first > 1:  # nobody else has a part of these
            states[first + 1 : last] = [span.state] * (last - first - 1)
    begin = 0
    for column in range(1, COLUMNS + 1):
        if column == COLUMNS or states[column] != states[begin]:
            yield begin, column, states[begin]
            begin = column


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
    step = next((step for step in _BAR_STEPS if window.seconds / step <= _MOST_BARS), _BAR_STEPS[-1])
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
    labels = "".join(
        f'<span style="left:{100 * place:.2f}%">{label}</span>' for place, label in ticks if place <= 0.95
    )
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
    """Return a value as text of HTML; a dash for None."""
    return "–" if value is None else html.escape(one_line(str(value)), quote=True)


def _figure(value: float, digits: int) -> str:
    """Return a number with so many significant digits, large ones as whole numbers; never with an exponent."""
    return f"{value:.{digits}g}" if 0.001 <= value < 10**digits - 1 else f"{value:,.0f}"


def _since(machine: Machine) -> str:
    if machine.since is None:
        return _WORDS[machine.state][0]
    since = f"{machine.since.day} {_MONTHS[machine.since.month - 1]} {machine.since:%H:%M}"
    return f"{_WORDS[machine.state][0]} since {since}"


def _hold(machine: Machine) -> str:
    if machine.held_by is None:
        return "–"
    since = "" if machine.held_since is None else f" since {short_time(machine.held_since)}"
    return f"{_text(machine.held_by)}{since}: {_text(machine.held_for)}"


def _release(machine: Machine) -> str:
    return _text(machine.release) + ("<br><small>to be validated</small>" if machine.needs_validation else "")


def _link(machine: Machine) -> str:
    return f'<a href="#m{machine.id}">{_text(machine.host)}</a>'


def _name(state: str, cluster: Cluster) -> str:
    name = _WORDS[state][0]
    return f"{name} (assumed)" if state == "asleep" and not cluster.has_wake_log else name


def _swatch(state: str) -> str:
    path = f'<path class="{state}" d="M0 5h36"/>'
    return f'<svg viewBox="0 0 36 10" preserveAspectRatio="none" aria-hidden="true">{path}</svg>'
