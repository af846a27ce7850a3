# Copyright (c) 2026, the greenlab.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Waits until the jobs DB tells of a new job, and starts a run of the program at once.

The timer goes on meanwhile: what is not told, or told while nobody listens, it finds within a minute.
"""

from __future__ import annotations

import contextlib
import os
import select
import subprocess
import time
import typing as t

CHANNEL = "greenlab_jobs"  # of role jobs_db
TRIGGER = "SELECT count(*) FROM pg_trigger WHERE tgname = 'greenlab_notify_job'"
GAP = 1  # seconds between the starts of two runs: what comes within it is one
# A run that is going on, and one that takes over from it, which has yet to ask what waits.
MOST_RUNS = 2
LOOK = 30  # seconds between two looks at runs that have ended
LONGEST_BREAK = 60  # seconds
# Seconds after which a server is noticed that went away without a word: 30 + 3 * 10.
KEEPALIVE = {"keepalives": 1, "keepalives_idle": 30, "keepalives_interval": 10, "keepalives_count": 3}


class Runs:
    """Starts runs, each time one is wanted, but not too many."""

    def __init__(self, argv: list[str]) -> None:
        """Take the command line of a run."""
        self.argv = argv
        self.going: list[subprocess.Popen[bytes]] = []
        self.wanted = False
        self.last = -float(GAP)

    def step(self) -> float:
        """Start one if it is wanted and its time has come; return the seconds until the next step."""
        now = time.monotonic()
        self.going = [run for run in self.going if run.poll() is None]
        if self.wanted and now - self.last >= GAP and len(self.going) < MOST_RUNS:
            self.going.append(subprocess.Popen(self.argv, stdin=subprocess.DEVNULL))  # noqa: S603 our own program
            self.wanted, self.last = False, now
        return GAP / 4 if self.wanted else LOOK


def say(text: str) -> None:
    """Write a line into the journal."""
    print(text, flush=True)


def follow(connection: t.Any, runs: Runs) -> None:
    """Start a run for each notification, until the connection breaks. The first at once, for what was missed."""
    connection.autocommit = True
    with connection.cursor() as cursor:
        cursor.execute(f"LISTEN {CHANNEL}")
        cursor.execute(TRIGGER)
        if cursor.fetchone()[0]:
            say("Listening to the jobs DB.")
        else:
            say("The jobs DB does not tell of new jobs (jobs_db_notify); the timer finds them.")
    runs.wanted = True
    while True:
        if select.select([connection], [], [], runs.step())[0]:
            connection.poll()
        if connection.notifies:
            connection.notifies.clear()
            runs.wanted = True


def listen(settings: dict[str, t.Any], program: str) -> t.NoReturn:
    """Listen for ever. A jobs DB that does not answer is said once, and asked ever more rarely."""
    import psycopg2  # noqa: PLC0415 the runs need it not, and have none

    os.environ.update(settings["environment"])
    runs = Runs([program, "--take-over"])
    pause, told = 1.0, ""
    while True:
        began = time.monotonic()
        try:
            connection = psycopg2.connect("", connect_timeout=settings["timeout"], **KEEPALIVE)
            with contextlib.closing(connection):
                told = ""
                follow(connection, runs)
        except psycopg2.Error as error:
            text = f"The jobs DB cannot be listened to, the timer goes on: {' '.join(str(error).split())}"
            if text != told:
                say(text)
            told = text
        # A server that lets us in and throws us out again is left alone ever longer, too.
        pause = 1.0 if time.monotonic() - began > LONGEST_BREAK else min(2 * pause, LONGEST_BREAK)
        time.sleep(pause)
