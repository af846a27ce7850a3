# SPDX-License-Identifier: GPL-3.0-or-later
"""Facts that only root may read, as JSON. The stand-in reads nothing: it proves that its caller is root.

The installer copies this file to /usr/local/bin/green-metrics-tool/hardware_info_root.py. Standard library only.
"""

import json
import os
import sys

if __name__ == "__main__":
    if os.geteuid() != 0:
        sys.exit("hardware_info_root.py: must run as root")
    if sys.argv[1:] == ["--read-rapl-energy-filtering"]:
        print("Unknown", end="")
    else:
        print(json.dumps({"Hardware Details": "stand-in", "RAPL Energy Filtering": "Unknown"}))
