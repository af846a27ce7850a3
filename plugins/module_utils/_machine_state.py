# Copyright (c) 2026, the greenlab.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a GMT client's last status code means for somebody who wants to work on its machine.

Source: the client's loop and its STATUS_LIST, GMT v0.16 to main of August 2026. A code is written on change only and
outlives a crash or a power cut: `idle` also stands for a machine that is suspended or switched off.
"""

from __future__ import annotations

import typing as t

if t.TYPE_CHECKING:
    from collections.abc import Mapping

STATES = ["idle", "measuring", "transient", "unknown"]

# idle: the client sleeps, nothing runs. measuring: do not touch. transient: more work follows at once.
STATE_OF_CODE = {
    "job_no": "idle",
    # The last word of a client that was stopped, also by the machine's power off. After v4.1.
    "job_interrupt": "idle",
    # Sleeps for a whole control period (hours) before it tries again.
    "measurement_control_error": "idle",
    "maintenance_error": "idle",
    "job_start": "measuring",
    "measurement_control_start": "measuring",
    # The job is WAITING again and is picked up within minutes.
    "cooldown": "transient",
    "warmup": "transient",
    # May sleep, may go on at once: only its age tells.
    "job_error": "transient",
    "job_end": "transient",
    "measurement_control_end": "transient",
    # apt, fstrim and time synchronisation are at work (cleanup_… up to v2.1).
    "maintenance_start": "transient",
    "maintenance_end": "transient",
    "cleanup_start": "transient",
    "cleanup_stop": "transient",
    "cleanup_end": "transient",
    "reboot": "transient",
}

# Whoever goes on after an error does so at once; after a minute the client sleeps for ten, or for hours.
SECONDS_UNTIL_AN_ERROR_SLEEPS = 60

# A code that is not in the table may mean anything, for as long as a client is at work without a RUNNING job or another
# code: a control workload (half an hour at most), or a maintenance that updates all packages.
SECONDS_UNTIL_UNKNOWN_IS_IDLE = 7200


def machine_state(status_code: str | None, age: int | None = None) -> str:
    """Return `idle`, `measuring`, `transient` or, without a code or for one that no known release writes, `unknown`.

    `age` is for how many seconds the client has not written another one. One that is not known, and old, is `idle`.
    """
    state = STATE_OF_CODE.get(status_code or "", "unknown")
    if age is not None:
        if status_code == "job_error" and age >= SECONDS_UNTIL_AN_ERROR_SLEEPS:
            return "idle"
        if status_code and state == "unknown" and age >= SECONDS_UNTIL_UNKNOWN_IS_IDLE:
            return "idle"
    return state


def busy_with(machine: Mapping[str, t.Any]) -> str | None:
    """Return why nobody may work on a machine now, None when it is idle. Its row is one of `read_machines`.

    A machine that never wrote a status has no client yet, or takes its jobs by cron: only its jobs count.
    """
    if machine["jobs_running"]:
        return "a job is RUNNING"
    if machine["last_status"] is None or machine["state"] == "idle":
        return None
    why = f"its last status is {machine['last_status']}"
    if machine["state"] == "unknown":
        hours = SECONDS_UNTIL_UNKNOWN_IS_IDLE // 3600
        why += f", which this collection does not know; without another one it counts as idle after {hours} hours"
    return why
