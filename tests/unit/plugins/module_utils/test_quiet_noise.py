# SPDX-License-Identifier: GPL-3.0-or-later
"""What wakes a machine is counted from /proc, and the counter itself is not."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ansible_collections.greenlab.cluster.plugins.module_utils._quiet_noise import ancestors, measure


class Proc:
    """A /proc whose counters a test moves."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.clock = 0.0

    def write(self, path: str, text: str) -> None:
        file = self.root / "proc" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text, encoding="utf8")

    def task(self, pid: int, name: str, sleeps: int, unit: str = "", *, parent: int = 1, thread: int = 0) -> None:
        status = f"Name:\t{name}\nPPid:\t{parent}\nvoluntary_ctxt_switches:\t{sleeps}\nnonvoluntary_ctxt_switches:\t9\n"
        self.write(f"{pid}/status", status)
        self.write(f"{pid}/task/{thread or pid}/status", status)
        self.write(f"{pid}/cgroup", f"1:name=systemd:/system.slice/{unit}\n0::/\n" if unit else "0::/\n")

    def kernel(self, switches: int, interrupts: int, forks: int, timer: int, disk: int) -> None:
        self.write("stat", f"cpu 1 2 3\nintr {interrupts} 4 5\nctxt {switches}\nprocesses {forks}\n")
        self.write(
            "interrupts",
            f"           CPU0       CPU1\n 36:  {disk}  0  PCI-MSI 1-edge  virtio\n"
            f"LOC:  {timer}  {timer}  Local timer interrupts\nERR: 0\n",
        )

    def now(self) -> float:
        return self.clock


@pytest.fixture
def proc(tmp_path: Path) -> Proc:
    made = Proc(tmp_path)
    made.kernel(1000, 500, 10, 100, 7)
    made.task(1, "systemd", 50, "init.scope", parent=0)
    made.task(20, "cron", 5, "cron.service")
    made.task(30, "kworker/0:1", 900, parent=2)
    return made


def test_rates_are_medians_and_the_list_says_who(proc: Proc) -> None:
    steps = [(40, 20, 3), (400, 20, 3), (40, 20, 3)]  # one window of three is disturbed
    window = 0

    def sleep(seconds: float) -> None:
        nonlocal window
        switches, interrupts, forks = steps[window]
        window += 1
        proc.clock += seconds
        proc.kernel(1000 + sum(step[0] for step in steps[:window]), 500 + interrupts * window, 10 + forks * window,
                    100 + 4 * window, 7)
        proc.task(20, "cron", 5 + 2 * window, "cron.service")
        proc.task(30, "kworker/0:1", 900 + 8 * window, parent=2)

    found = measure(proc.root, 3, 2.0, proc.now, sleep)
    assert found["seconds"] == 6.0
    assert found["context_switches"] == 20.0
    assert found["interrupts"] == 10.0
    assert found["forks"] == 1.5
    assert found["timer_interrupts"] == 4.0
    assert found["wakeups"] == 5.0
    assert found["who"] == [
        {"name": "kworker/0:1", "unit": "", "wakeups": 4.0},
        {"name": "cron", "unit": "cron.service", "wakeups": 1.0},
    ]
    assert found["sources"] == [{"name": "LOC Local timer interrupts", "interrupts": 4.0}]


def test_who_counts_is_not_counted(proc: Proc) -> None:
    me = os.getpid()
    proc.task(600, "sshd", 0, "ssh.service")
    proc.task(601, "sudo", 0, "ssh.service", parent=600)
    proc.task(me, "python3", 0, "ssh.service", parent=601)
    assert ancestors(proc.root, me) == {me, 601, 600}

    def sleep(seconds: float) -> None:
        proc.clock += seconds
        for pid in (600, 601, me):
            proc.task(pid, "busy", 99, "ssh.service", parent={me: 601, 601: 600, 600: 1}[pid])

    assert measure(proc.root, 1, 1.0, proc.now, sleep)["who"] == []


def test_new_programs_threads_and_reused_numbers_count_from_zero(proc: Proc) -> None:
    def sleep(seconds: float) -> None:
        proc.clock += seconds
        proc.task(20, "backup", 3, "backup.service")  # the number of cron, which has ended
        proc.task(40, "java", 4, "app.service")
        proc.task(40, "java", 6, "app.service", thread=41)

    found = measure(proc.root, 1, 1.0, proc.now, sleep)
    assert {(who["name"], who["wakeups"]) for who in found["who"]} == {("java", 10.0), ("backup", 3.0)}


def test_the_innermost_unit_of_an_account_is_named(proc: Proc) -> None:
    def sleep(seconds: float) -> None:
        proc.clock += seconds
        proc.task(50, "python3", 2)
        proc.write("50/cgroup", "0::/user.slice/user-1001.slice/user@1001.service/app.slice/client.service\n")

    found = measure(proc.root, 1, 1.0, proc.now, sleep)
    assert found["who"] == [{"name": "python3", "unit": "client.service", "wakeups": 2.0}]
