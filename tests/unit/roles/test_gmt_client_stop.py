# SPDX-License-Identifier: GPL-3.0-or-later
"""A client that was paused ends at once when it is stopped, whichever of its threads the signal would go to."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

UNIT = Path(__file__).resolve().parents[3] / "roles/gmt_client/templates/client.service.j2"
# As the tool's client with its pool of connections: it sleeps for hours, beside threads that wait.
CLIENT = """
import signal, threading, time
signal.signal(signal.SIGINT, signal.default_int_handler)  # CI may have it ignored
for _worker in range(4):
    threading.Thread(target=threading.Event().wait, daemon=True).start()
print("ready", flush=True)
try:
    time.sleep(3600)
except KeyboardInterrupt:
    pass
"""


@pytest.fixture
def clients():
    processes = [subprocess.Popen([sys.executable, "-c", CLIENT], stdout=subprocess.PIPE) for _client in range(8)]
    for process in processes:
        process.stdout.readline()
    time.sleep(0.1)  # until all sleep
    yield processes
    for process in processes:
        process.kill()
        process.wait()
        process.stdout.close()


def stop(processes, command: str) -> int:
    """Stop paused clients as systemd does, after the unit's own command; return how many ended within 5 s."""
    for process in processes:
        process.send_signal(signal.SIGSTOP)
    time.sleep(0.1)
    for process in processes:
        if command:
            subprocess.run(shlex.split(command), env={**os.environ, "MAINPID": str(process.pid)}, check=True)
        process.send_signal(signal.SIGINT)
        process.send_signal(signal.SIGCONT)
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline and any(process.poll() is None for process in processes):
        time.sleep(0.05)
    return sum(process.poll() == 0 for process in processes)


def test_a_paused_client_ends_when_it_is_stopped(clients):
    command = re.search(r"^ExecStop=-(.+)$", UNIT.read_text(), re.M)
    assert stop(clients, command[1]) == len(clients)


def test_without_that_command_most_would_sleep_on(clients):
    """If this fails, the kernel has learned to wake the main thread, and the unit needs the command no longer."""
    assert stop(clients, "") < len(clients)
