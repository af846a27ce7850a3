# Copyright (c) 2026, the greenlab.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What each machine does and did: the inventory, the jobs DB and the wake host's log put together.

For the table and the page, which only draw what is here.
"""

from __future__ import annotations

import json
import re
import sys
import typing as t
import unicodedata
from collections import Counter
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone

# measuring wins over held: a hold lets a measurement end.
STATES = ["measuring", "preparing", "idle", "asleep", "held", "failed", "unknown"]

# What needs attention, the worst first: the order of the machines in the table and on the page.
SEVERITIES = ["failed", "unreachable", "stale", "silent", "held", "drift"]

# A client at work reports each step. One that reports nothing for so long has probably lost its power, or hangs.
HOURS_UNTIL_STALE = 24

# GMT's client sleeps so long after it wrote `job_no`, before it suspends or switches off its machine.
SECONDS_UNTIL_SLEEP = 60

_STATE_OF_CHANGE = {"transient": "preparing"}
_STATE_OF_EVENT = {"asleep": "asleep", "woken": "idle", "failed": "failed"}
_COMMIT = re.compile(r"[0-9a-f]{40}")
_SHORT_COMMIT = 7  # as git shortens it
_TURNS_DIRECTION = {"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"}

HostVars = t.Mapping[str, t.Mapping[str, t.Any]]
Rows = t.Sequence[t.Mapping[str, t.Any]]


class BadVariable(ValueError):
    """A host variable that cannot be used: which, its value, and what to write instead."""


class Span(t.NamedTuple):
    """A time in one state, in seconds since the window began; the first may begin before it."""

    start: float
    end: float
    state: str


@dataclass(frozen=True)
class Window:
    """The time that is looked at."""

    since: datetime
    until: datetime

    @property
    def seconds(self) -> float:
        """Return its length."""
        return (self.until - self.since).total_seconds()

    def offset(self, timestamp: str) -> float:
        """Return the seconds from the begin of the window to an ISO 8601 timestamp."""
        return (datetime.fromisoformat(timestamp) - self.since).total_seconds()

    def moment(self, offset: float) -> datetime:
        """Return the time so many seconds after the begin of the window."""
        return self.since + timedelta(seconds=offset)


@dataclass(frozen=True)
class Machine:
    """One machine of the inventory, ready to be shown. A value that is not known is None."""

    host: str
    id: int
    description: str
    spans: list[Span]
    state: str
    since: datetime | None = None
    job: str | None = None
    waiting: int | None = None
    held_by: str | None = None
    held_for: str | None = None
    held_since: datetime | None = None
    release: str | None = None
    needs_validation: bool = False
    temperature: str | None = None
    drift: tuple[str, ...] = ()
    severity: str | None = None
    problems: tuple[str, ...] = ()
    saved_watts: float | None = None

    @property
    def place(self) -> tuple[int, int, int]:
        """Return what machines are sorted by: those that need attention first, the worst of them first.

        Then those with the most jobs waiting; of the machines that need no attention, by state before that.
        """
        if self.severity is not None:
            return SEVERITIES.index(self.severity), 0, -(self.waiting or 0)
        return len(SEVERITIES), STATES.index(self.state), -(self.waiting or 0)


@dataclass(frozen=True)
class Cluster:
    """All machines of the inventory, sorted by their place, and by the inventory where that is the same."""

    window: Window
    machines: list[Machine]
    has_wake_log: bool


def short_time(moment: datetime) -> str:
    """Return a time as people read it, to the minute."""
    return f"{moment:%Y-%m-%d %H:%M}"


def one_line(text: str) -> str:
    """Return a text without characters that end a line, move a cursor or turn the direction of what follows."""
    return "".join("�" if _is_unprintable(character) else character for character in text)


def _is_unprintable(character: str) -> bool:
    if unicodedata.category(character) == "Cf":  # others of these are in names of many languages, and in emoji
        return unicodedata.bidirectional(character) in _TURNS_DIRECTION
    return unicodedata.category(character) in ("Cc", "Cs", "Zl", "Zp")


def read(
    hosts: t.Sequence[str],
    hostvars: HostVars,
    rows: Rows,
    history: t.Mapping[str, t.Any],
    wake_log: str = "",
) -> Cluster:
    """Put together what gmt_machine_info and gmt_history_info returned and what the inventory and the wake host say.

    :raises BadVariable: a host variable cannot be used.
    """
    window = _window(history)
    hostvars = {host: hostvars[host] for host in hosts}  # Ansible puts a host's variables together at each look
    by_id = {row["id"]: row for row in rows}
    changes = {row["id"]: row["changes"] for row in history.get("machines", [])}
    holds = _by_machine(
        (row["machine_id"], (window.offset(row["held_at"]), _end_of_hold(window, row)))
        for row in history.get("holds", [])
    )
    events = _by_machine(_events(window, wake_log))
    unlike = _unlike_others(hosts, hostvars, by_id)

    def machine(host: str) -> Machine:
        variables = hostvars[host]
        number = variables["gmt_machine_id"]
        row = by_id.get(number, {})
        spans = spans_of(changes.get(number, ""), window.seconds)
        spans = with_sleep(spans, _falls_asleep(variables, row), events.get(number, []))
        for start, end in holds.get(number, []):
            spans = laid_over(spans, Span(start, end, "held"), keep=("measuring",))
        return _machine(host, variables, row, window=window, spans=joined(spans), is_unlike=host in unlike)

    machines = sorted((machine(host) for host in hosts), key=lambda each: each.place)
    return Cluster(window, machines, has_wake_log=bool(events))


# --- what a machine did ----------------------------------------------------------------------------------------------


def spans_of(changes: str, length: float) -> list[Span]:
    """Return the times between the changes that gmt_history_info returned; they cover the whole window."""
    marks = [(int(start), state) for start, _colon, state in (change.partition(":") for change in changes.split())]
    if not marks or marks[0][0] > 0:
        marks.insert(0, (0, "unknown"))
    ends = [start for start, _state in marks[1:]] + [length]
    return [
        Span(start, end, _STATE_OF_CHANGE.get(state, state)) for (start, state), end in zip(marks, ends) if end > start
    ]


def with_sleep(spans: list[Span], falls_asleep: bool, events: t.Sequence[tuple[float, str]]) -> list[Span]:
    """Split idle times into those awake and those asleep, as the wake host saw it.

    Where it did not see a machine fall asleep that does so by its configuration, this is assumed.
    """
    result = []
    for span in spans:
        if span.state != "idle":
            result.append(span)
            continue
        seen = sorted((at, event) for at, event in events if span.start <= at < span.end)
        marks = [(span.start, "idle")]
        if falls_asleep and not (seen and seen[0][1] == "asleep"):
            first = seen[0][0] if seen else span.end
            marks.append((min(span.start + SECONDS_UNTIL_SLEEP, first), "asleep"))
        marks.extend((at, _STATE_OF_EVENT[event]) for at, event in seen)
        ends = [at for at, _state in marks[1:]] + [span.end]
        result.extend(Span(at, end, state) for (at, state), end in zip(marks, ends) if end > at)
    return result


def laid_over(spans: list[Span], over: Span, keep: t.Collection[str]) -> list[Span]:
    """Return the spans with `over` in the place of what it covers, but for the states to keep."""
    result = []
    for span in spans:
        if span.state in keep or span.end <= over.start or span.start >= over.end:
            result.append(span)
            continue
        start, end = max(span.start, over.start), min(span.end, over.end)
        pieces = [Span(span.start, start, span.state), Span(start, end, over.state), Span(end, span.end, span.state)]
        result.extend(piece for piece in pieces if piece.end > piece.start)
    return result


def joined(spans: list[Span]) -> list[Span]:
    """Return the spans with neighbours of one state as one."""
    result: list[Span] = []
    for span in spans:
        if result and result[-1].state == span.state:
            result[-1] = result[-1]._replace(end=span.end)
        else:
            result.append(span)
    return result


def shares(spans: list[Span], length: float) -> dict[str, float]:
    """Return which part of the window each state took, the largest first."""
    result: dict[str, float] = {}
    for start, end, state in spans:
        if end > 0:
            result[state] = result.get(state, 0.0) + (end - max(start, 0)) / length
    return dict(sorted(result.items(), key=lambda item: -item[1]))


def _window(history: t.Mapping[str, t.Any]) -> Window:
    if "since" in history:
        return Window(*(datetime.fromisoformat(history[name]).astimezone(timezone.utc) for name in ("since", "until")))
    now = datetime.now(timezone.utc)  # nothing could be asked (check mode on bare hosts)
    return Window(now, now)


def _by_machine(pairs: t.Iterable[tuple[int, t.Any]]) -> dict[int, list[t.Any]]:
    result: dict[int, list[t.Any]] = {}
    for number, value in pairs:
        result.setdefault(number, []).append(value)
    return result


def _end_of_hold(window: Window, row: t.Mapping[str, t.Any]) -> float:
    return window.seconds if row["released_at"] is None else window.offset(row["released_at"])


def _events(window: Window, wake_log: str) -> t.Iterator[tuple[int, tuple[float, str]]]:
    """Return (machine, (time, event)) of the lines that tell whether a machine sleeps."""
    for line in wake_log.splitlines():
        try:
            event = json.loads(line)
            if event["event"] in _STATE_OF_EVENT:
                yield int(event["machine_id"]), (window.offset(event["at"]), event["event"])
        except (KeyError, TypeError, ValueError):
            continue  # half a line after a power cut, or of a newer release: the others still count


# --- what is known of it now -----------------------------------------------------------------------------------------


def _machine(
    host: str,
    variables: t.Mapping[str, t.Any],
    row: t.Mapping[str, t.Any],
    *,
    window: Window,
    spans: list[Span],
    is_unlike: bool,
) -> Machine:
    last = spans[-1] if spans else Span(0, 0, "unknown")
    state = last.state
    if state == "unknown" and row.get("jobs_running"):
        state = "measuring"  # jobs that cron starts write no status
    job = row.get("running_job")
    drift = tuple(_drift(variables, row, is_unlike))
    held_since = _moment(row.get("held_since"))
    problems = sorted(
        [*_problems(state, row, held_since, window), *((_severity_of_drift(row), text) for text in drift)],
        key=lambda problem: SEVERITIES.index(problem[0]),
    )
    return Machine(
        host=host,
        id=variables["gmt_machine_id"],
        description=row.get("description", variables["gmt_machine_description"]),
        spans=spans,
        state=state,
        since=None if last.state == "unknown" else window.moment(last.start),
        job=None if job is None else f"{job['id']} {job['name'] or ''}".strip(),
        waiting=row.get("jobs_waiting"),
        held_by=row.get("held_by"),
        held_for=row.get("held_for"),
        held_since=held_since,
        release=_release(variables, row),
        needs_validation=bool(row.get("needs_revalidation")),
        temperature=_temperature(row),
        drift=drift,
        severity=problems[0][0] if problems else None,
        problems=tuple(text for _severity, text in problems),
        saved_watts=_saved_watts(host, variables),
    )


def _falls_asleep(variables: t.Mapping[str, t.Any], row: t.Mapping[str, t.Any]) -> bool:
    """Tell whether the client suspends its machine or switches it off: it says so itself since v2.6."""
    said = row.get("shutdown_on_job_no")
    wanted = variables.get("gmt_shutdown_on_job_no", False) if said is None else said
    return str(wanted).lower() in ("suspend", "poweroff", "true", "yes")


def _wanted(variables: t.Mapping[str, t.Any]) -> str:
    return str(variables.get("gmt_version") or variables.get("gmt_release") or "")


def _release(variables: t.Mapping[str, t.Any], row: t.Mapping[str, t.Any]) -> str | None:
    commit = row.get("gmt_hash")
    if not commit:
        return None
    wanted = _wanted(variables)
    return " ".join(part for part in ("" if _COMMIT.fullmatch(wanted) else wanted, commit[:_SHORT_COMMIT]) if part)


def _temperature(row: t.Mapping[str, t.Any]) -> str | None:
    current, base = row.get("current_temperature"), row.get("base_temperature")
    if current is None:
        return None
    return f"{current} °C" if base is None else f"{current}/{base} °C"


def _unlike_others(hosts: t.Sequence[str], hostvars: HostVars, by_id: t.Mapping[int, t.Any]) -> set[str]:
    """Return the hosts that run another commit than most of those that should run the same tag or branch.

    Which commit a tag is, the jobs DB does not know.
    """
    commits: dict[str, dict[str, str]] = {}
    for host in hosts:
        wanted = _wanted(hostvars[host])
        commit = by_id.get(hostvars[host]["gmt_machine_id"], {}).get("gmt_hash")
        if commit and not _COMMIT.fullmatch(wanted):
            commits.setdefault(wanted, {})[host] = commit
    unlike: set[str] = set()
    for found in commits.values():
        (most, count), *others = Counter(found.values()).most_common()
        is_tie = bool(others) and others[0][1] == count
        unlike.update(host for host, commit in found.items() if is_tie or commit != most)
    return unlike


def _drift(variables: t.Mapping[str, t.Any], row: t.Mapping[str, t.Any], is_unlike: bool) -> t.Iterator[str]:
    """Say where the jobs DB and the inventory differ."""
    if not row:
        yield "not registered"
        return
    wanted, commit = _wanted(variables), row.get("gmt_hash")
    if _COMMIT.fullmatch(wanted) and commit and commit != wanted:
        yield f"wanted {wanted[:_SHORT_COMMIT]}"
    if is_unlike:
        yield "other commit"
    if row["description"] != variables["gmt_machine_description"]:
        yield "other name"
    service = variables.get("gmt_client_state", "active")  # site.yml has just looked
    if service != "active":
        yield f"client {service}"


def _severity_of_drift(row: t.Mapping[str, t.Any]) -> str:
    return "drift" if row else "silent"


def _problems(
    state: str, row: t.Mapping[str, t.Any], held_since: datetime | None, window: Window
) -> t.Iterator[tuple[str, str]]:
    """Return severity and text of what needs attention."""
    if held_since is not None:
        yield "held", f"held by {row['held_by']} since {short_time(held_since)}"
    if state == "failed":
        code = str(row.get("last_status"))
        yield ("failed", f"failed ({code})") if code.endswith("_error") else ("unreachable", "did not wake up")
    if row.get("jobs_running") and state in ("idle", "asleep", "failed"):
        yield "stale", "a job is RUNNING, and the client is not: left behind by a crash?"
    reported = _moment(row.get("status_since"))
    if state in ("measuring", "preparing") and reported and _hours(window.until - reported) >= HOURS_UNTIL_STALE:
        yield "stale", f"no report since {short_time(reported)}: without power, or hung?"
    if row and state == "unknown" and row.get("last_status") is None:
        yield "silent", "its client never reported"
    elif row and state == "unknown":
        yield "silent", f"its client reports {row['last_status']}, which this collection does not know"


def _moment(timestamp: str | None) -> datetime | None:
    return None if timestamp is None else datetime.fromisoformat(timestamp).astimezone(timezone.utc)


def _hours(time: timedelta) -> float:
    return time.total_seconds() / 3600


def _saved_watts(host: str, variables: t.Mapping[str, t.Any]) -> float | None:
    """Return how many watts sleep saves, None where the inventory does not say what the machine draws."""
    if "status_idle_watts" not in variables or "status_sleep_watts" not in variables:
        return None
    idle, asleep = (_watts(host, variables, name) for name in ("status_idle_watts", "status_sleep_watts"))
    if idle < asleep:
        raise BadVariable(
            f"{host}: status_idle_watts ({idle:g}) is less than status_sleep_watts ({asleep:g}). A machine draws more"
            " when it waits than when it sleeps; correct the two."
        )
    return idle - asleep


def _watts(host: str, variables: t.Mapping[str, t.Any], name: str) -> float:
    value = variables[name]
    try:
        watts = float(value)
    except (TypeError, ValueError):
        watts = -1.0
    if isinstance(value, bool) or not 0 <= watts < float("inf"):
        raise BadVariable(
            f"{host}: {name} is {value!r}. Write what the machine draws at the wall, in watts, as a number."
        )
    return watts


# --- as a table ------------------------------------------------------------------------------------------------------

HEADINGS = ("machine", "state", "since (UTC)", "job", "queue", "hold", "release", "temperature", "drift")

# Longer texts are cut, so that the table fits a terminal; the page has them whole.
_LONGEST = {"job": 16, "hold": 12, "drift": 14}


def table_rows(machines: list[Machine]) -> list[tuple[str, ...]]:
    """Return a row of text for each machine; a dash stands for what is not known."""
    return [
        tuple(
            _cell(value, _LONGEST.get(heading, sys.maxsize))
            for heading, value in zip(
                HEADINGS,
                (
                    machine.host,
                    machine.state,
                    machine.since and short_time(machine.since),
                    machine.job,
                    machine.waiting,
                    machine.held_by,
                    machine.release,
                    machine.temperature,
                    ", ".join(machine.drift) or None,
                ),
            )
        )
        for machine in machines
    ]


def _cell(value: t.Any, longest: int) -> str:
    text = "-" if value is None else one_line(str(value))
    return text if len(text) <= longest else text[: longest - 1] + "…"
