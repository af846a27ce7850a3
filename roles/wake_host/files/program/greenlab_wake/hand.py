# Copyright (c) 2026, the greenlab.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A wake by hand: one machine, now, whatever its windows, its past, and holds say.

The lock is held for moments only, so that others' jobs do not wait. What is noted under it keeps the timed runs from
waking the machine, too, and from giving it up; should this program be killed, that note ends by itself.
"""

from __future__ import annotations

import sys
import typing as t

from . import drivers, jobs
from .control import TICK, Machine, World, act, alone, is_due, set_state
from .memory import Log, Memory

LOCK_PATIENCE = 5  # seconds
LOCK_TICK = 0.2
# Seconds that the note outlives us, for the time that the last look may take.
SLACK = 30


class Hand:
    """Wakes a machine, and says what came of it."""

    def __init__(
        self, config: dict[str, t.Any], world: World, machine: Machine, log: Log, timeout: int | None = None
    ) -> None:
        """Take all that is needed; the timeout is the configured one if not given, in seconds."""
        self.config = config
        self.world = world
        self.machine = machine
        self.log = log
        self.timeout: int = timeout or config["timeout"]
        self.started = world.monotonic()
        self.joined = False
        self.sent = 0
        self.why = ""

    def __call__(self, force: bool = False, dry_run: bool = False) -> dict[str, t.Any]:
        """Do it. A machine whose client is at work is awake, and not contacted, unless forced."""
        by = "" if force else self.at_work()
        by = by or self.sign_of_life()
        if by:
            return self.result("awake", by)
        if dry_run:
            self.why = f"it would be woken by {self.machine['driver']}"
            return self.result("asleep", "")
        by, is_ours = self.begin()
        if is_ours:
            by = self.follow()
            self.end(by)
        return self.result("asleep", by)

    def result(self, was: str, by: str) -> dict[str, t.Any]:
        """Return what the caller gets to read."""
        more = {"why": self.why} if not by else {}
        return {
            "machine": self.machine["name"],
            "was": was,
            "awake": bool(by),
            "seconds": round(self.elapsed(), 1),
            "by": by,
            **more,
        }

    def elapsed(self) -> float:
        """Return the seconds since the start, also when somebody sets the clock."""
        return self.world.monotonic() - self.started

    def at_work(self) -> str:
        """Return "row" if the queue says that the client is at work. Its word outlives a power cut, so not for ever."""
        try:
            answer = self.world.ask().get(self.machine["id"])
        except jobs.Unknown as error:
            print(f"Whether {self.machine['name']} is at work is not known: {error}", file=sys.stderr)
            return ""
        now = self.world.now()
        record = Memory(self.config["state_file"], now).of(self.machine["id"], now)
        is_fresh = now - record["row_at"] < self.config["busy_timeout"]
        return "row" if answer is not None and answer.is_at_work and is_fresh else ""

    def sign_of_life(self) -> str:
        """Return what tells that the machine is up, TCP or a ping; empty if nothing does."""
        wanted = [by for by in ("tcp", "ping") if by in self.config["confirm"]] or ["tcp"]
        return next((by for by in wanted if self.world.answers(self.machine, by)), "")

    def begin(self) -> tuple[str, bool]:
        """Wait for our turn: a run that is going on, the number of wakes at once, the gap between two.

        Return what tells that the machine woke meanwhile, and whether it is our turn.
        """
        while not self.note_begin():
            if self.elapsed() >= self.timeout:
                self.why = f"other machines were being woken for all of the {self.timeout} s"
                return "", False
            self.world.sleep(TICK)
            by = self.sign_of_life()
            if by:
                return by, False
        return "", True

    def note_begin(self) -> bool:
        """Note that we are at it, alone or after a run that is at it already."""
        with alone(self.config, self.world, self.log) as run:
            if run is None:
                return False
            now = self.world.now()
            record = run.memory.of(self.machine["id"], now)
            self.joined = record["state"] == "waking"
            if not self.joined:
                if not run.may_begin(now):
                    return False
                run.note_begin(self.machine, record, now, why="by hand")
            if not drivers.DRIVERS[self.machine["driver"]].repeats:
                self.sent = record["sent"]
            record["sent"] = max(record["sent"], 1)
            record["by_hand"] = round(now - record["begun"] + self.timeout - self.elapsed() + SLACK)
            return True

    def follow(self) -> str:
        """Ask the machine to wake until it does; return what tells, empty if nothing does in time."""
        begun = self.world.monotonic()
        name, error = self.machine["driver"], ""
        while True:
            if is_due(name, self.sent, self.world.monotonic() - begun, self.config["retries"]):
                self.sent += 1
                error = act(self.world, self.log, self.machine, "on")
                self.log("sent", self.machine, driver=name, number=self.sent)
                if error and not drivers.DRIVERS[name].repeats:
                    self.why = error
                    return ""
            self.world.sleep(TICK)
            by = self.sign_of_life()
            if by:
                return by
            if self.elapsed() >= self.timeout:
                self.why = error or f"no sign of life after {self.timeout} s and {self.sent} tries"
                return ""

    def end(self, by: str) -> None:
        """Note how it ended. A run that is going on so long notes it by itself, since it looks at the machine, too."""
        patience = self.elapsed() + LOCK_PATIENCE
        while not self.note_end(by) and self.elapsed() < patience:
            self.world.sleep(LOCK_TICK)

    def note_end(self, by: str) -> bool:
        """Note it, unless another run has the lock."""
        with alone(self.config, self.world, self.log) as run:
            if run is None:
                return False
            now = self.world.now()
            record = run.memory.of(self.machine["id"], now)
            if record["state"] != "waking":
                return True  # seen by a run
            if by:
                run.woken(self.machine, record, by, now)
            elif self.joined:
                record["by_hand"] = 0  # the timed runs go on with what they began
            else:
                # Not as failed: our patience may be short, and a job that waits shall have its own try.
                set_state(record, "unknown", now)
                self.log("failed", self.machine, seconds=round(self.elapsed()), text=self.why)
            return True
