# Copyright (c) 2026, the greenlab.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is kept between runs: the state file, the log of events, the metrics."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import sys
import time
import typing as t
from pathlib import Path

Record = dict[str, t.Any]
STATES = ("unknown", "asleep", "waking", "awake", "failed")


def write_atomically(path: str, text: str, mode: int) -> None:
    """Replace a file; whoever reads it sees the old text or the new one, also after a power cut."""
    partial = f"{path}.partial"
    with open(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode), "w", encoding="utf8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.replace(partial, path)


def _lock(file: t.TextIO) -> bool:
    """Lock a file, unless somebody has."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _next_to(path: str) -> t.TextIO:
    """Open the file whose lock is held by who waits for the lock of a run."""
    return open(f"{path}.next", "a", encoding="utf8")


@contextlib.contextmanager
def only_one(path: str, take_over: bool = False) -> t.Iterator[bool]:
    """Hold the lock of the one run; tell whether we got it. To take over is to wait for it, the holder sees it."""
    with open(path, "a", encoding="utf8") as file:
        if take_over:
            with _next_to(path) as place:
                fcntl.flock(place, fcntl.LOCK_EX)
                fcntl.flock(file, fcntl.LOCK_EX)
            yield True
        else:
            yield _lock(file)


def is_to_hand_over(path: str) -> bool:
    """Tell whether somebody waits to take over."""
    with _next_to(path) as place:
        return not _lock(place)


def _not_after(value: t.Any, now: float) -> t.Any:
    """Return the value with times that lie ahead brought to now: somebody has set the clock back."""
    if isinstance(value, dict):
        return {key: _not_after(part, now) for key, part in value.items()}
    if isinstance(value, list):
        return [_not_after(part, now) for part in value]
    return min(value, now) if isinstance(value, float) else value


def is_by_hand(record: Record, now: float) -> bool:
    """Tell whether somebody wakes this machine by hand, and will say how that ended."""
    return bool(record["state"] == "waking" and now - record["begun"] < record.get("by_hand", 0))


class Memory:
    """The state file. Floats in it are times (Unix), integers are numbers."""

    def __init__(self, path: str, now: float) -> None:
        """Read the file; none, or one that is no JSON, is an empty one."""
        self.path = path
        self.lost = ""
        data: t.Any = {}
        try:
            data = json.loads(Path(path).read_text(encoding="utf8"))
            if not isinstance(data, dict) or not all(isinstance(data[key], dict) for key in ("machines", "alarms")):
                raise ValueError("machines or alarms are missing")
        except FileNotFoundError:
            data = {}
        except (OSError, ValueError, KeyError) as error:
            self.lost = f"{path} could not be read and starts anew: {error}"
            data = {}
        self.machines: dict[str, Record] = _not_after(data.get("machines", {}), now)
        self.alarms: dict[str, float] = _not_after(data.get("alarms", {}), now)
        # Messages of alarms that a hook could not tell, by hook.
        self.undelivered: dict[str, list[str]] = data.get("undelivered", {})
        self.last_start: float = _not_after(data.get("last_start", 0.0), now)

    def of(self, machine_id: int, now: float) -> Record:
        """Return what is known of a machine, as a dictionary to change."""
        return self.machines.setdefault(str(machine_id), {"state": "unknown", "since": now, "wakes": [], "row_at": now})

    def waking(self, now: float) -> list[Record]:
        """Return what is known of the machines that are waking, but for wakes by hand that were cut off."""
        waking = [record for record in self.machines.values() if record["state"] == "waking"]
        return [record for record in waking if not record.get("by_hand") or is_by_hand(record, now)]

    def forget_others(self, ids: t.Iterable[int]) -> None:
        """Drop machines that are in the configuration no more."""
        kept = {str(number) for number in ids}
        self.machines = {key: record for key, record in self.machines.items() if key in kept}

    def save(self) -> None:
        """Write the file."""
        data = {
            "machines": self.machines,
            "alarms": self.alarms,
            "undelivered": self.undelivered,
            "last_start": self.last_start,
        }
        write_atomically(self.path, json.dumps(data, indent=1, sort_keys=True) + "\n", 0o640)


class Log:
    """Events: a JSON line each in a file, a short line each on standard output, which the journal keeps."""

    def __init__(self, path: str, clock: t.Callable[[], float], out: t.TextIO = sys.stdout) -> None:
        """Write to a file, or with an empty path to standard output only."""
        self.path = path
        self.clock = clock
        self.out = out

    def __call__(self, event: str, machine: Record | None = None, **more: t.Any) -> None:
        """Note an event, of one machine or of all."""
        at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(self.clock()))
        line: Record = {"at": at, "event": event}
        if machine is not None:
            line.update(machine_id=machine["id"], machine=machine["name"])
        line.update(more)
        details = ", ".join(f"{key} {value}" for key, value in more.items())
        who = f"{machine['name']}: " if machine is not None else ""
        print(f"{who}{event}{f' ({details})' if details else ''}", file=self.out, flush=True)
        if self.path:
            with open(os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o640), "a", encoding="utf8") as file:
                file.write(json.dumps(line, ensure_ascii=False) + "\n")


def metrics(memory: Memory, machines: list[Record], known: bool, now: float) -> str:
    """Return the metrics in Prometheus' text format, for the textfile collector of node_exporter."""
    lines = [
        "# HELP greenlab_wake_queue_known Whether the queue could be read in the last run.",
        "# TYPE greenlab_wake_queue_known gauge",
        f"greenlab_wake_queue_known {int(known)}",
        "# HELP greenlab_wake_last_run_timestamp_seconds When the last run ended.",
        "# TYPE greenlab_wake_last_run_timestamp_seconds gauge",
        f"greenlab_wake_last_run_timestamp_seconds {now:.0f}",
        "# HELP greenlab_wake_machine_state 1 for the state that a machine is in.",
        "# TYPE greenlab_wake_machine_state gauge",
    ]
    names = {machine["id"]: f'machine_id="{machine["id"]}",machine="{machine["name"]}"' for machine in machines}
    for machine_id, labels in names.items():
        state = memory.of(machine_id, now)["state"]
        for one in STATES:
            lines.append(f'greenlab_wake_machine_state{{{labels},state="{one}"}} {int(state == one)}')
    for name, key, text in (
        ("jobs_waiting", "waiting", "Jobs that waited for the machine in the last run."),
        ("wakes_last_day", "wakes", "Wakes that were begun in the last 24 hours."),
    ):
        lines += [f"# HELP greenlab_wake_{name} {text}", f"# TYPE greenlab_wake_{name} gauge"]
        for machine_id, labels in names.items():
            value = memory.of(machine_id, now).get(key, 0)
            number = len(value) if isinstance(value, list) else value
            lines.append(f"greenlab_wake_{name}{{{labels}}} {number}")
    return "\n".join(lines) + "\n"
