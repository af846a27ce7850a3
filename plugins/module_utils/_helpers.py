# Copyright (c) 2026, the greenlab.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Copies of the tool's root helpers, for machines whose sudo crashes when its environment is empty.

Debian 13's sudo (1.9.16p2-3+deb13u5) does. A helper of v2.6 or later empties its environment, and calls sudo.
"""

from __future__ import annotations

import re

# Ends by a signal where sudo has the fault.
PROBE = ("/usr/bin/env", "-i", "/usr/bin/sudo", "-n", "true")

_SUDO = "/usr/bin/sudo"
_CLEARS = re.compile(r"^(?P<indent>[ \t]*)os\.environ\.clear\(\)[^\n]*\n", re.M)
# The language that a process has without any setting: it changes nothing but that there is a variable.
_ADDS = 'os.environ["LANG"] = "C"  # greenlab.cluster: this sudo crashes with an empty environment\n'


def with_a_variable(script: str) -> str:
    """Return a helper that leaves one variable in its environment; one that does not need it stays as it is."""
    if _SUDO not in script:
        return script
    return _CLEARS.sub(lambda match: f"{match[0]}{match['indent']}{_ADDS}", script)


def is_crash(status: int) -> bool:
    """Tell whether a command with this exit status was ended by a signal: seen by its parent, or by a shell."""
    return status < 0 or status > 128
