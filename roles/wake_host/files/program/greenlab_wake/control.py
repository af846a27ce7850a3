# Copyright (c) 2026, the greenlab.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One run: who is woken, who is not and why, and whether it worked."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import time
import typing as t

from . import drivers, jobs, probe
from .alarm import Alarms
from .memory import Log, Memory, Record, is_by_hand, is_to_hand_over, only_one
from .windows import Windows

DAY = 86400
TICK = 2  # seconds between two looks at machines that are waking
ASK_AGAIN = 10  # seconds between two questions to the queue while machines are waking
MISSES_UNTIL_ASLEEP = 2
# Keys of alarms that are not about one machine.
QUEUE, WINDOWS = "queue", "windows"

Machine = dict[str, t.Any]


class World:
    """All that a run does to the world outside; tests have another one."""

    now = staticmethod(time.time)
    monotonic = staticmethod(time.monotonic)
    sleep = staticmethod(time.sleep)

    def __init__(self, config: dict[str, t.Any]) -> None:
        """Take the configuration."""
        self.config = config

    def ask(self) -> jobs.Answers:
        """Return what is waiting. Raises jobs.Unknown."""
        return jobs.ask(self.config["queue"], self.config["machines"])

    def answers(self, machine: Machine, by: str) -> bool:
        """Tell whether a machine answers on TCP or to a ping."""
        if by == "tcp":
            return probe.tcp(machine["address"], self.config["tcp_port"])
        return probe.ping(machine["address"])

    def act(self, machine: Machine, name: str, verb: str, options: Record) -> None:
        """Have a driver switch a machine on, or cycle its power."""
        action = getattr(drivers.DRIVERS[name], verb)
        if action is None:
            raise drivers.DriverError(f"driver {name} cannot cycle power")
        action(machine, options)

    def is_to_hand_over(self) -> bool:
        """Tell whether another run waits for this one to end."""
        return is_to_hand_over(self.config["lock_file"])


def set_state(record: Record, state: str, now: float) -> None:
    """Note a machine's state."""
    if record["state"] != state:
        record.update(state=state, since=now)


def act(world: World, log: Log, machine: Machine, verb: str) -> str:
    """Have a machine's driver do something; what goes wrong is an event, and returned. The next try may be better."""
    driver, options = ("driver", "driver_options") if verb == "on" else ("cycle_driver", "cycle_options")
    name = machine[driver]
    try:
        world.act(machine, name, verb, machine[options])
    except (drivers.DriverError, OSError, ValueError, KeyError, subprocess.SubprocessError) as error:
        text = f"driver {name}: {error!r}"
        log("error", machine, text=text)
        return text
    return ""


def is_due(driver: str, sent: int, age: float, retries: list[int]) -> bool:
    """Tell whether it is time for the next packet: first as configured, then at doubled times."""
    if sent and not drivers.DRIVERS[driver].repeats:
        return False
    if sent < len(retries):
        return age >= retries[sent]
    return age >= max(retries[-1], TICK) * 2 ** (sent - len(retries) + 1)


class Run:
    """Looks at all machines once, and stays with those that it wakes for the first half minute."""

    def __init__(self, config: dict[str, t.Any], world: World, memory: Memory, log: Log, alarms: Alarms) -> None:
        """Take all that a run needs."""
        self.config = config
        self.world = world
        self.memory = memory
        self.log = log
        self.alarms = alarms
        self.answers: jobs.Answers = {}
        self.asked_at = 0.0
        self.started = world.now()
        self.windows = Windows(self.started, self.window_fails)

    def __call__(self) -> bool:
        """Do it; tell whether the queue could be read."""
        now = self.world.now()
        self.memory.forget_others(machine["id"] for machine in self.config["machines"])
        if self.memory.lost:
            self.log("error", text=self.memory.lost)
        try:
            self.ask()
        except jobs.Unknown as error:
            text = f"Which machines have work is not known: {error}"
            print(text, file=sys.stderr)
            if self.alarms.on(QUEUE, text, now):
                self.log("unknown", text=str(error))
            return False
        if self.alarms.off(QUEUE, "Which machines have work is known again."):
            self.log("known")
        candidates = [machine for machine in self.config["machines"] if self.consider(machine, now)]
        if self.windows.seen and not self.windows.failed:
            self.alarms.off(WINDOWS, "All windows for waking can be judged again.")
        self.wake(candidates)
        return True

    def ask(self) -> None:
        """Ask the queue."""
        self.answers = self.world.ask()
        self.asked_at = self.world.now()

    def window_fails(self, text: str) -> None:
        """Note that a window could not find out whether it is open."""
        if self.alarms.on(WINDOWS, f"A window for waking cannot be judged: {text}", self.started):
            self.log("error", text=text)

    # who is woken ---------------------------------------------------------------------------------------------------

    def consider(self, machine: Machine, now: float) -> bool:
        """Tell whether a machine has work and may be woken; note what was seen."""
        record = self.memory.of(machine["id"], now)
        answer = self.answers.get(machine["id"])
        if answer is None:
            if self.alarms.on(f"row {machine['id']}", f"{machine['name']} has no row in the jobs DB.", now):
                self.log("unknown", machine, text="not in the jobs DB")
            return False
        self.alarms.off(f"row {machine['id']}", f"{machine['name']} has a row in the jobs DB now.")
        record["waiting"] = answer.waiting
        moved = self.row_moved(record, answer, now)
        if (moved or answer.running) and record["state"] != "awake":
            self.woken(machine, record, "row", now)
        if self.is_left_to_others(machine, record, now):
            return False
        if not answer.waiting:
            self.nothing_to_do(machine, record, answer, now)
            return False
        record.setdefault("waiting_since", now)
        kind, why = self.why_not(machine, record, answer, now)
        if kind and record["state"] == "waking":
            set_state(record, "unknown", now)
        if kind not in ("", record.get("held"), "at work", "failed"):
            self.log("held", machine, why=why)
        record["held"] = kind
        return not kind and record["state"] != "waking"

    def is_left_to_others(self, machine: Machine, record: Record, now: float) -> bool:
        """Tell whether somebody wakes the machine by hand; end that when it was cut off."""
        if record["state"] != "waking" or not record.get("by_hand"):
            return False
        if is_by_hand(record, now):
            return True
        self.log("cancelled", machine, why="who woke it by hand was cut off")
        set_state(record, "unknown", now)
        return False

    def row_moved(self, record: Record, answer: jobs.Answer, now: float) -> bool:
        """Tell whether the client has written something since the last look.

        An operator who holds or releases the machine writes into the same row, but no status.
        """
        now_is = [answer.row, answer.status, answer.available]
        before, record["row"] = record.get("row"), now_is
        if before is None or answer.row in (None, before[0]):
            return False
        if answer.status == before[1] and answer.available != before[2]:
            return False
        record["row_at"] = now
        return True

    def nothing_to_do(self, machine: Machine, record: Record, answer: jobs.Answer, now: float) -> None:
        """No job waits: end what was begun, and see whether the machine has gone to sleep."""
        for key in ("waiting_since", "held", "up_since"):
            record.pop(key, None)
        if record["state"] == "waking":
            self.log("cancelled", machine)
            set_state(record, "unknown", now)
        self.alarms.off(f"stuck {machine['id']}", f"{machine['name']}: its jobs are gone.")
        # A machine that works is not pinged, one that sleeps need not be.
        if not (self.config["watch"] and answer.is_idle) or record["state"] not in ("awake", "unknown"):
            return
        by = "ping" if "ping" in self.config["confirm"] else "tcp"
        record["misses"] = 0 if self.world.answers(machine, by) else record.get("misses", 0) + 1
        if record["misses"] >= MISSES_UNTIL_ASLEEP:
            set_state(record, "asleep", now)
            self.log("asleep", machine)
        elif not record["misses"]:
            set_state(record, "awake", now)

    def why_not(self, machine: Machine, record: Record, answer: jobs.Answer, now: float) -> tuple[str, str]:
        """Return why a machine with work must not be woken, as a kind and in words; an empty kind: it may be."""
        config = self.config
        is_open, window = self.windows.judge(machine["windows"], record["waiting_since"])
        wakes = record["wakes"] = [at for at in record["wakes"] if now - at < DAY]
        rules = (
            (is_by_hand(record, now), "by hand", "somebody wakes it by hand"),
            (machine["excluded"], "excluded", "excluded in the inventory"),
            (answer.available is False, "not available", "not available: held or retired"),
            # A status outlives a power cut: one that is too old is not believed.
            (answer.is_at_work and now - record["row_at"] < config["busy_timeout"], "at work", f"at {answer.status}"),
            (not is_open, "window", window),
            (
                record["state"] == "failed" and now - record["since"] < config["retry_after"],
                "failed",
                f"did not wake; next try {config['retry_after']} s after the last",
            ),
            (
                record["state"] == "asleep" and now - record["since"] < config["min_sleep"],
                "minimum sleep",
                f"asleep for less than {config['min_sleep']} s",
            ),
            (
                record["state"] != "waking" and 0 < config["max_wakes_per_day"] <= len(wakes),
                "too many wakes",
                f"woken {len(wakes)} times in 24 h",
            ),
        )
        return next(((kind, why) for applies, kind, why in rules if applies), ("", window))

    def explain(self, machine: Machine) -> list[str]:
        """Return what a run would think of a machine now, in words. Asks the queue, changes nothing."""
        now = self.world.now()
        record = self.memory.of(machine["id"], now)
        lines = [f"{machine['name']} (machine {machine['id']}) is {record['state']} since {stamp(record['since'])}."]
        try:
            self.ask()
        except jobs.Unknown as error:
            return [*lines, f"Which machines have work is not known: {error}", "It would not be woken."]
        answer = self.answers.get(machine["id"])
        if answer is None:
            return [*lines, "It has no row in the jobs DB.", "It would not be woken."]
        lines.append(f"Jobs waiting: {answer.waiting}. Last status of its client: {answer.status or 'none'}.")
        if not answer.waiting:
            return [*lines, "It would not be woken: no job waits."]
        record.setdefault("waiting_since", now)
        lines.append(f"Jobs have waited since {stamp(record['waiting_since'])}.")
        kind, why = self.why_not(machine, record, answer, now)
        if kind:
            return [*lines, f"It would not be woken: {why}."]
        up = [by for by in ("ping", "tcp") if by in self.config["confirm"] and self.world.answers(machine, by)]
        if up:
            return [*lines, f"It is awake ({up[0]}): its client has to take the job."]
        return [*lines, f"It would be woken by {machine['driver']} now ({why})."]

    # waking ---------------------------------------------------------------------------------------------------------

    def wake(self, candidates: list[Machine]) -> None:
        """Begin with the candidates as fast as the limits allow, and follow those that are waking."""
        while True:
            now = self.world.now()
            candidates = self.begin(candidates, now)
            waking = [m for m in self.config["machines"] if self.memory.of(m["id"], now)["state"] == "waking"]
            for machine in waking:
                self.follow(machine, self.memory.of(machine["id"], now))
                if self.world.is_to_hand_over():
                    return
            if not self.is_worth_waiting(candidates):
                return
            self.world.sleep(TICK)
            self.ask_again()

    def is_worth_waiting(self, candidates: list[Machine]) -> bool:
        """Tell whether something is to be done within this run: a quick retry, or a candidate whose turn comes."""
        now = self.world.now()
        patience = self.config["retries"][-1] + ASK_AGAIN
        if now - self.started >= patience or self.world.is_to_hand_over():
            return False  # the next run begins soon
        waking = self.memory.waking(now)
        if any(now - record["begun"] < patience and not record.get("by_hand") for record in waking):
            return True
        return bool(candidates) and len(waking) < self.config["max_concurrent"]

    def ask_again(self) -> None:
        """Ask the queue now and then, for a client's sign of life."""
        if self.world.now() - self.asked_at < ASK_AGAIN:
            return
        try:
            self.ask()
        except jobs.Unknown as error:
            self.asked_at = self.world.now()
            self.log("unknown", text=str(error))

    def begin(self, candidates: list[Machine], now: float) -> list[Machine]:
        """Begin to wake candidates, as far as number and gap allow; return those whose turn has not come."""
        for place, machine in enumerate(candidates):
            now = self.world.now()
            if not self.may_begin(now):
                return candidates[place:]
            record = self.memory.of(machine["id"], now)
            if not self.may_be_asked_unseen(machine, record) and self.sign_of_life(machine, record):
                self.is_up(machine, record, now)
                continue
            why = self.windows.judge(machine["windows"], record["waiting_since"])[1]
            self.note_begin(machine, record, now, why)
        return []

    def may_be_asked_unseen(self, machine: Machine, record: Record) -> bool:
        """Tell whether a look before the first packet can be saved: seen asleep, and one too many would do no harm."""
        answer = self.answers.get(machine["id"])
        is_clear = answer is not None and answer.is_idle
        return bool(is_clear and record["state"] == "asleep" and drivers.DRIVERS[machine["driver"]].repeats)

    def may_begin(self, now: float) -> bool:
        """Tell whether one more machine may begin to wake now."""
        config = self.config
        return len(self.memory.waking(now)) < config["max_concurrent"] and now - self.memory.last_start >= config["gap"]

    def note_begin(self, machine: Machine, record: Record, now: float, why: str) -> None:
        """Note that a machine begins to wake."""
        set_state(record, "waking", now)
        record.update(begun=now, sent=0, cycled=0, by_hand=0)
        record.pop("up_since", None)
        record["wakes"].append(now)
        self.memory.last_start = now
        self.log("waking", machine, driver=machine["driver"], waiting=record.get("waiting", 0), why=why)

    def is_up(self, machine: Machine, record: Record, now: float) -> None:
        """Its client has to take the job; raise the alarm when it does not."""
        set_state(record, "awake", now)
        since = max(record.setdefault("up_since", now), record["row_at"])
        if now - since < self.config["stuck_after"]:
            return
        text = f"{machine['name']} is awake, but its client has not taken a waiting job for {now - since:.0f} s."
        if self.alarms.on(f"stuck {machine['id']}", text, now):
            self.log("stuck", machine, seconds=round(now - since))

    def sign_of_life(self, machine: Machine, record: Record) -> str:
        """Return what tells that a machine is up: its row in the jobs DB, TCP or a ping; empty if nothing does."""
        answer = self.answers.get(machine["id"])
        if record["state"] == "waking" and answer is not None and self.row_moved(record, answer, self.world.now()):
            return "row"
        wanted = [by for by in ("tcp", "ping") if by in self.config["confirm"]]
        return next((by for by in wanted if self.world.answers(machine, by)), "")

    def follow(self, machine: Machine, record: Record) -> None:
        """See whether a machine has woken; ask it again, or give up."""
        by_hand = bool(record.get("by_hand"))
        by = self.sign_of_life(machine, record) if record["sent"] or by_hand else ""
        now = self.world.now()
        age = now - record["begun"]
        if by:
            self.woken(machine, record, by, now)
        elif by_hand:
            return
        elif age >= self.config["timeout"]:
            self.give_up(machine, record, now)
        elif is_due(machine["driver"], record["sent"], age, self.config["retries"]):
            record["sent"] += 1
            act(self.world, self.log, machine, "on")
            self.log("sent", machine, driver=machine["driver"], number=record["sent"])

    def woken(self, machine: Machine, record: Record, by: str, now: float) -> None:
        """Note that a machine is awake."""
        more = {"seconds": round(now - record["begun"], 1)} if record["state"] == "waking" else {}
        set_state(record, "awake", now)
        record.update(misses=0, up_since=now)
        self.log("woken", machine, by=by, **more)
        self.alarms.off(f"machine {machine['id']}", f"{machine['name']} is awake.")

    def give_up(self, machine: Machine, record: Record, now: float) -> None:
        """Cycle the machine's power once, where that is wanted; else it has failed."""
        if machine["cycle_driver"] and not record["cycled"]:
            record.update(cycled=1, begun=now)
            act(self.world, self.log, machine, "cycle")
            self.log("cycled", machine, driver=machine["cycle_driver"])
            return
        set_state(record, "failed", now)
        seconds = round(now - record["begun"])
        self.log("failed", machine, seconds=seconds, text=f"no sign of life after {record['sent']} tries")
        text = f"{machine['name']} does not wake: no sign of life after {seconds} s and {record['sent']} tries."
        self.alarms.on(f"machine {machine['id']}", text, now)


@contextlib.contextmanager
def alone(config: dict[str, t.Any], world: World, log: Log, take_over: bool = False) -> t.Iterator[Run | None]:
    """Give a run that no other one disturbs, or None when another one is going on; keep at the end what it noted."""
    with only_one(config["lock_file"], take_over) as ours:
        if not ours:
            yield None
            return
        memory = Memory(config["state_file"], world.now())
        alarms = Alarms(config["alarm"], memory, log)
        try:
            yield Run(config, world, memory, log, alarms)
            alarms.deliver()
        finally:
            memory.save()


def stamp(at: float) -> str:
    """Return a time as people of this host read it."""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(at))
