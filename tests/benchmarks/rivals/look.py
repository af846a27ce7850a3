# SPDX-License-Identifier: GPL-3.0-or-later
"""Print as JSON what a machine is like, whoever built it; the machine's Python gets what to look at on stdin.

By this the benchmark sees that each way leads to the same machine. It is part of none.
"""

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path

AT = json.load(sys.stdin)
VENV = f"{AT['dir']}/venv/bin"


def output(*command):
    """Return what a command prints, nothing if it fails."""
    found = subprocess.run(command, check=False, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
    return found.stdout.strip()


def look_at(path):
    """Return who may do what with a file, and its content as text or as a hash."""
    file = Path(path)
    if not file.exists():
        return None
    content = file.read_bytes()
    try:
        text = content.decode()
    except UnicodeDecodeError:
        text = hashlib.sha256(content).hexdigest()
    mode = format(file.stat().st_mode & 0o7777, "o")
    return {"path": path, "owner": file.owner(), "group": file.group(), "mode": mode, "content": text}


def ask_service():
    """Ask the account's systemd for the client."""
    uid = output("id", "-u", AT["user"])
    account = ("runuser", "-u", AT["user"], "--", "env", f"XDG_RUNTIME_DIR=/run/user/{uid}")
    return output(*account, "systemctl", "--user", "show", "--property=ActiveState,UnitFileState", AT["service"])


def is_missing(package):
    return output("dpkg-query", "-Wf${db:Status-Status}", package) != "installed"


folder = output(f"{VENV}/python3", "-c", "import sysconfig; print(sysconfig.get_path('purelib'))")
makefiles = [
    str(path.parent)
    for top in ("lib/c", "metric_providers")
    for path in sorted(Path(AT["dir"], top).rglob("Makefile"))
    if not {"mach", "nvidia"}.intersection(path.parts)
]
binaries = [f"{path}/metric-provider-binary" for path in makefiles if "/metric_providers/" in path]
print(
    json.dumps(
        {
            "missing packages": [package for package in AT["packages"] if is_missing(package)],
            "account": output("getent", "passwd", AT["user"]).split(":")[5:],
            "commit": output("git", "-C", AT["dir"], "rev-parse", "HEAD"),
            "changed files": output("git", "-C", AT["dir"], "status", "--porcelain"),
            "makefiles": makefiles,
            "python": sorted(output(f"{VENV}/pip", "freeze").splitlines()),
            "imports": output(f"{VENV}/python3", "-c", "import lib.db, psycopg, yaml; print('yes')"),
            "files": [look_at(path) for path in [*AT["paths"], f"{folder}/gmt-lib.pth"]],
            "binaries": [look_at(path) for path in binaries],
            "lingers": os.path.exists(f"/var/lib/systemd/linger/{AT['user']}"),
            "service": ask_service(),
        }
    )
)
