#!/usr/bin/python
# Copyright (c) 2026, the greenlab.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Count what wakes an idle machine."""

from __future__ import annotations

DOCUMENTATION = r"""
module: gmt_noise_info
short_description: Count what wakes an idle machine
version_added: 0.1.0
description:
  - Counts wake-ups of programs, context switches, interrupts and new processes a second, and names who woke up.
  - Reads C(/proc) at some moments, sleeps in between, and leaves nothing behind. Its own process, and the ssh and sudo
    that started it, are not among those that woke up.
  - Run it while nothing is measured.
extends_documentation_fragment: [greenlab.cluster.attributes.reads]
options:
  seconds:
    description: Length of one window in seconds, from 1 to 600.
    type: float
    default: 4
  windows:
    description: Number of windows, from 1 to 100. The figures are medians over them.
    type: int
    default: 5
notes:
  - In a container only RV(wakeups) and RV(who) are the container's own; the rest is the whole computer's.
  - A program that starts and ends within one window is only seen in RV(forks).
seealso:
  - module: greenlab.cluster.gmt_quiet_info
author:
  - the greenlab.cluster contributors (!UNKNOWN)
"""

EXAMPLES = r"""
- name: Count for a minute
  greenlab.cluster.gmt_noise_info:
    seconds: 6
    windows: 10
  become: true
  register: noise
"""

RETURN = r"""
seconds:
  description: Time from the first to the last look.
  returned: success
  type: float
  sample: 20.1
wakeups:
  description: How often a second programs and the kernel's threads woke up, by their voluntary context switches.
  returned: success
  type: float
  sample: 11.75
context_switches:
  description: Context switches a second.
  returned: success
  type: float
  sample: 61.5
interrupts:
  description: Interrupts a second.
  returned: success
  type: float
  sample: 48.25
timer_interrupts:
  description: Of these, those of the processors' own timers.
  returned: success
  type: float
  sample: 30.0
forks:
  description: New processes and threads a second.
  returned: success
  type: float
  sample: 0.25
who:
  description: Who woke up, most often first, in wake-ups a second over all windows. The kernel's threads have no unit.
  returned: success
  type: list
  elements: dict
  sample:
    - name: cron
      unit: cron.service
      wakeups: 0.05
sources:
  description: Where interrupts came from, most first, in interrupts a second over the whole time.
  returned: success
  type: list
  elements: dict
  sample:
    - name: LOC Local timer interrupts
      interrupts: 30.0
"""

import time
import typing as t
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.greenlab.cluster.plugins.module_utils._quiet_noise import measure


def argument_spec() -> dict[str, dict[str, t.Any]]:
    """Return the options of the module."""
    return {"seconds": {"type": "float", "default": 4}, "windows": {"type": "int", "default": 5}}


def main() -> None:
    """Run the module."""
    module = AnsibleModule(argument_spec=argument_spec(), supports_check_mode=True)
    seconds, windows = module.params["seconds"], module.params["windows"]
    if not 1 <= seconds <= 600:
        module.fail_json(msg=f"seconds = {seconds:g} is not from 1 to 600.")
    if not 1 <= windows <= 100:
        module.fail_json(msg=f"windows = {windows} is not from 1 to 100.")
    module.exit_json(changed=False, **measure(Path("/"), windows, seconds, time.monotonic, time.sleep))


if __name__ == "__main__":
    main()
