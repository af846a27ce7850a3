# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab's mains and reset button: switches a rebooting node on again.

``power.py start FOLDER`` leaves a daemon behind (one a lab: a second start changes nothing),
``power.py stop FOLDER …`` ends it. FOLDER is named like its lab and holds the daemon's lock, pid and log.

A container ends when its init ends: exit status 129 says "reboot", 130 "power off" (reboot(2) in a
pid namespace kills init with SIGHUP or SIGINT). podman restarts neither, a real computer the first.
"""

from __future__ import annotations

import argparse
import fcntl
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import IO

REBOOT = 129


def podman(*args: str) -> list[str]:
    """Run podman and return its lines; a node that is being removed is no error of ours."""
    return subprocess.run(["podman", *args], stdout=subprocess.PIPE, text=True, check=False).stdout.split()


def start(names: list[str]) -> None:
    """Switch nodes on and log it."""
    if names:
        print(time.strftime("%H:%M:%S"), "start", *names, flush=True)
        podman("start", *names)


def watch(label: str, pid_file: Path) -> None:
    """Start nodes as they reboot, for as long as podman tells about them and the lab's folder is there."""
    start(podman("ps", "--all", "--quiet", f"--filter=label={label}", f"--filter=exited={REBOOT}"))
    events = ["podman", "events", "--format=json", "--filter=event=died", f"--filter=label={label}"]
    with subprocess.Popen(events, stdout=subprocess.PIPE, text=True) as process:
        try:
            for line in process.stdout or ():
                if not pid_file.exists():
                    sys.exit("the lab's folder is gone")
                event = json.loads(line)
                if event.get("ContainerExitCode") == REBOOT:
                    start([event["Name"]])
        finally:
            process.terminate()


def open_lock(file: Path) -> tuple[IO[str], bool]:
    """Open the pid file; tell whether its lock, and with it the right to be the daemon, is ours."""
    handle = file.open("a+")
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return handle, False
    return handle, True


def daemonise(log: Path) -> None:
    """Leave the caller's session, folder and files behind."""
    if os.fork():
        os._exit(0)
    os.setsid()
    os.chdir("/")
    with open(os.devnull) as null, log.open("a") as out:
        os.dup2(null.fileno(), 0)
        os.dup2(out.fileno(), 1)
        os.dup2(out.fileno(), 2)


def start_daemon(folder: Path) -> None:
    """Become the lab's daemon, unless there is one."""
    handle, ours = open_lock(folder / "power.pid")
    print("started" if ours else "unchanged", flush=True)
    if not ours:
        return
    daemonise(folder / "power.log")
    handle.truncate(0)
    handle.write(str(os.getpid()))
    handle.flush()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    while True:
        watch(f"greenlab.lab={folder.name}", folder / "power.pid")
        time.sleep(1)


def stop_daemon(folder: Path) -> bool:
    """End the lab's daemon and wait for its end; tell whether there was one."""
    if not (folder / "power.pid").exists():
        return False
    handle, ours = open_lock(folder / "power.pid")
    if ours:
        return False
    handle.seek(0)
    os.kill(int(handle.read()), signal.SIGTERM)
    fcntl.flock(handle, fcntl.LOCK_EX)
    return True


def main() -> None:
    """Start or stop daemons and print what was done."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("action", choices=("start", "stop"))
    parser.add_argument("folders", metavar="FOLDER", type=Path, nargs="+")
    args = parser.parse_args()
    if args.action == "start":
        start_daemon(args.folders[0].resolve())
    else:
        stopped = [stop_daemon(folder) for folder in args.folders]
        print("stopped" if any(stopped) else "unchanged")


if __name__ == "__main__":
    main()
