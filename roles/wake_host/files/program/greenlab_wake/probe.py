# Copyright (c) 2026, the greenlab.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a machine answers. Never asked of one that measures."""

from __future__ import annotations

import socket
import subprocess

SECONDS = 1


def tcp(address: str, port: int) -> bool:
    """Tell whether a TCP port is open."""
    try:
        with socket.create_connection((address, port), timeout=SECONDS):
            return True
    except OSError:
        return False


def ping(address: str) -> bool:
    """Tell whether it answers one ICMP echo request."""
    argv = ["ping", "-n", "-q", "-c", "1", "-W", str(SECONDS), address]
    try:
        done = subprocess.run(  # noqa: S603 a fixed program
            argv, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False
        )
    except OSError:
        return False
    return done.returncode == 0
