# Copyright (c) 2026, the greenlab.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a way of waking costs: jobs and powers in; energy, wakes and waiting times out. Contacts nobody.

Each machine is a queue of its own, first come, first served. Its client behaves as GMT's: with an empty queue it idles
for `grace` seconds without looking again, and then sleeps; woken, it waits for `after_wake` seconds before it looks.
When its last control workload is `control_period` old, another one comes before all else. A machine that never sleeps
looks each `poll` seconds. A month has 30 days.
"""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from itertools import repeat
from math import ceil, exp, inf, log, sqrt
from random import Random

DAY, MONTH = 86400.0, 30 * 86400.0
FEW = 50_000  # jobs that are not worth a second process

Jobs = list[tuple[float, float]]  # arrival and duration, in order of arrival


@dataclass(frozen=True)
class Machine:
    """Powers (W), energies (Wh), times (s). The defaults are estimates for a PC with an i5-6500, suspended to RAM."""

    idle_watts: float = 18.0
    load_watts: float = 45.0
    sleep_watts: float = 1.8
    wake_seconds: float = 8.0
    wake_wh: float = 0.078
    down_seconds: float = 4.0
    down_wh: float = 0.039
    grace: float = 60.0
    after_wake: float = 15.0
    poll: float = 300.0
    control_period: float = 21600.0  # 0 for no control workload
    control_seconds: float = 900.0


STATES = {
    "suspend": Machine(),
    "poweroff": Machine(
        sleep_watts=0.8, wake_seconds=75.0, wake_wh=0.833, down_seconds=10.0, down_wh=0.1, after_wake=0.0
    ),
}


@dataclass(frozen=True)
class Policy:
    """When a machine is woken: at each multiple of `period`, at once if that is 0; only while a window is open."""

    name: str
    period: float = 0.0
    always_on: bool = False
    windows: tuple[tuple[float, float], ...] = ()  # from, to
    deadline: float = 0.0  # seconds after which a job does not wait for a window any more

    def wake_at(self, arrival: float, asleep: float) -> float:
        """Return when a machine is woken that sleeps from `asleep` on, for a job that waits since `arrival`."""
        at = max(arrival, asleep)
        if self.windows:
            later = bisect_right(self.windows, (at, inf))
            if not later or at >= self.windows[later - 1][1]:
                opens = self.windows[later][0] if later < len(self.windows) else inf
                at = max(at, min(opens, arrival + self.deadline))
        return ceil(at / self.period) * self.period if self.period else at


@dataclass
class Tally:
    """What happened, on one machine or on many."""

    wakes: int = 0
    seconds: float = 0.0  # all together
    wh: float = 0.0
    waited: float = 0.0
    waits: Counter[int] = field(default_factory=Counter)  # whole seconds: jobs

    def add(self, other: Tally) -> None:
        """Count another one's in."""
        self.wakes += other.wakes
        self.seconds += other.seconds
        self.wh += other.wh
        self.waited += other.waited
        self.waits.update(other.waits)

    def percentile(self, share: float) -> int:
        """Return the wait, in whole seconds, that this share of the jobs does not exceed."""
        left = share * sum(self.waits.values())
        for wait in sorted(self.waits):
            left -= self.waits[wait]
            if left <= 0:
                return wait
        return 0


def play(jobs: Jobs, machine: Machine, policy: Policy, begin: float, end: float) -> Tally:
    """Let one machine do its jobs."""
    period, control_seconds = machine.control_period or inf, machine.control_seconds
    asleep_after = machine.grace + machine.down_seconds
    ready_after = machine.wake_seconds + machine.after_wake
    free = control = begin  # when it has done its work, and when the last control workload ended
    controls = wakes = 0
    waits = []
    for arrival, duration in jobs:
        start = free
        if arrival > free:
            if policy.always_on:
                start, control, ran = stay_awake(machine, free, control, arrival)
                controls += ran
            else:
                if free >= control + period:
                    free = control = start = free + control_seconds
                    controls += 1
                if arrival > free:
                    start = policy.wake_at(arrival, free + asleep_after) + ready_after
                    wakes += 1
        if start >= control + period:
            start = control = start + control_seconds
            controls += 1
        waits.append(start - arrival)
        free = start + duration
    if policy.always_on:
        _free, _control, ran = stay_awake(machine, free, control, end)
        controls += ran
    seconds = max(end, free) - begin
    load = sum(duration for _arrival, duration in jobs) + controls * control_seconds
    idle = seconds - load if policy.always_on else wakes * (machine.grace + machine.after_wake)
    asleep = seconds - load - idle - wakes * (machine.wake_seconds + machine.down_seconds)
    joules = load * machine.load_watts + idle * machine.idle_watts + asleep * machine.sleep_watts
    wh = joules / 3600 + wakes * (machine.wake_wh + machine.down_wh)
    return Tally(wakes, seconds, wh, sum(waits), Counter(map(int, waits)))


def stay_awake(machine: Machine, free: float, control: float, arrival: float) -> tuple[float, float, int]:
    """Return when an idle machine sees a job, when its last control workload ended, and how many it ran until then."""
    period, poll, ran = machine.control_period or inf, machine.poll, 0
    while free < arrival:
        at = free + ceil(max(0.0, control + period - free) / poll) * poll if period < inf else inf
        if at >= arrival:
            return free + ceil((arrival - free) / poll) * poll, control, ran
        free = control = at + machine.control_seconds
        ran += 1
    return free, control, ran


@dataclass(frozen=True)
class Case:
    """All that a simulation is told. Jobs are `given` (a list a machine), or come at random, of log-normal duration."""

    policies: tuple[Policy, ...]
    machines: tuple[Machine, ...]
    begin: float
    end: float
    given: tuple[Jobs, ...] = ()
    seed: int = 1
    per_day: float = 10.0
    mean: float = 900.0
    cv: float = 0.7

    def jobs(self, number: int) -> Jobs:
        """Return a machine's jobs, the same ones each time."""
        if self.given:
            return self.given[number]
        random = Random(f"{self.seed} {number}")  # noqa: S311 no secret
        gauss, gap, rate = random.gauss, random.expovariate, self.per_day / DAY
        sigma = sqrt(log(1 + self.cv * self.cv))
        mu = log(self.mean) - sigma * sigma / 2
        jobs = []
        at = self.begin + gap(rate)
        while at < self.end:
            jobs.append((at, exp(gauss(mu, sigma))))
            at += gap(rate)
        return jobs

    def expected_jobs(self) -> float:
        """Return about how many jobs there are."""
        if self.given:
            return sum(map(len, self.given))
        return len(self.machines) * self.per_day * (self.end - self.begin) / DAY


def part(case: Case, first: int, step: int) -> list[Tally]:
    """Play each `step`-th machine; a tally for each policy."""
    tallies = [Tally() for _policy in case.policies]
    for number in range(first, len(case.machines), step):
        jobs = case.jobs(number)
        for policy, tally in zip(case.policies, tallies):
            tally.add(play(jobs, case.machines[number], policy, case.begin, case.end))
    return tallies


def simulate(case: Case, processes: int) -> list[Tally]:
    """Play all machines; a tally for each policy."""
    if processes == 1 or case.expected_jobs() * len(case.policies) < FEW:
        return part(case, 0, 1)
    with ProcessPoolExecutor(processes) as pool:
        parts = pool.map(part, repeat(case), range(processes), repeat(processes))
        first, *others = parts
    for other in others:
        for tally, more in zip(first, other):
            tally.add(more)
    return first
