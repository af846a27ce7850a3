# Copyright (c) 2026, the greenlab.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a GMT client's last status code means for somebody who wants to work on its machine.

Source: the client's loop and its STATUS_LIST, GMT v0.16 to v4.1. A code is written on change only and outlives
a crash or a power cut: `idle` also stands for a machine that is suspended or switched off.
"""

from __future__ import annotations

STATES = ["idle", "measuring", "transient", "unknown"]

# idle: the client sleeps, nothing runs. measuring: do not touch. transient: more work follows at once.
_STATE_OF_CODE = {
    "job_no": "idle",
    # Sleeps for a whole control period (hours) before it tries again.
    "measurement_control_error": "idle",
    "maintenance_error": "idle",
    "job_start": "measuring",
    "measurement_control_start": "measuring",
    # The job is WAITING again and is picked up within minutes.
    "cooldown": "transient",
    "warmup": "transient",
    # May sleep, may go on at once: it cannot be told from the code.
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


def machine_state(status_code: str | None) -> str:
    """Return `idle`, `measuring`, `transient` or, without a code or for one that no known release writes, `unknown`."""
    return _STATE_OF_CODE.get(status_code or "", "unknown")
