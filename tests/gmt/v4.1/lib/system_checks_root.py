# SPDX-License-Identifier: GPL-3.0-or-later
"""Checks that only root can make, as JSON. The stand-in finds nothing: it proves that its caller is root.

The installer copies this file to /usr/local/bin/green-metrics-tool/system_checks_root.py. Standard library only.
"""

import json
import os
import sys

if __name__ == "__main__":
    if os.geteuid() != 0:
        sys.exit("system_checks_root.py: must run as root")
    nothing = {"package": [], "dram": [], "psys": []}
    print(
        json.dumps(
            {"systemd_timers": {"system_timers": []}, "cron_files": {"files_found": []}, "rapl_power_limits": nothing}
        )
    )
