# SPDX-License-Identifier: GPL-3.0-or-later
"""House-keeping of a cluster machine. The stand-in does none of it: it says what the real one would run.

The installer copies this file to /usr/local/bin/green-metrics-tool/maintenance.py. Standard library only.
It never reports updated packages, so the client never reboots the machine because of it.
"""

import os
import subprocess
import sys

os.environ.clear()  # as upstream: nothing of the caller's environment reaches what runs as root

ALWAYS = (
    "dpkg-db-backup, e2scrub_all, fstrim, systemd-tmpfiles --clean, logrotate, journalctl --flush",
    "timedatectl set-ntp true, wait until synchronized, timedatectl set-ntp false",
)
UPDATE = "apt update, apt full-upgrade"

if __name__ == "__main__":
    if os.geteuid() != 0:
        sys.exit("maintenance.py: must run as root")
    # As each of upstream's commands: through sudo, though root already, and with an empty environment.
    subprocess.run(["/usr/bin/sudo", "/usr/bin/true"], check=True)
    for line in (*ALWAYS, UPDATE) if sys.argv[1:] == ["--update-os-packages"] else ALWAYS:
        print(f"stand-in: would run {line}")
