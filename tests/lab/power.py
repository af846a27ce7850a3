# SPDX-License-Identifier: GPL-3.0-or-later
"""The lab's mains and reset button, and its network cards: switches nodes on, after a reboot or for a magic packet.

``power.py start FOLDER`` leaves a daemon behind (one a lab: a second start changes nothing),
``power.py stop FOLDER …`` ends it. FOLDER is named like its lab and holds the daemon's lock, pid and log.

A container ends when its init ends: exit status 129 says "reboot", 130 "power off" (reboot(2) in a
pid namespace kills init with SIGHUP or SIGINT). podman restarts neither, a real computer the first.

A node that is off, or an emulated one that is suspended, is woken as a real one is: by a broadcast frame on the lab's
bridge with a magic packet for its own address (label greenlab.mac). The bytes are read from the wire; anything less
than right wakes nobody.
"""

from __future__ import annotations

import argparse
import fcntl
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import IO

REBOOT = 129
ALL_FRAMES = 3  # linux/if_ether.h
IPV4, WAKE_ON_LAN, UDP = b"\x08\x00", b"\x08\x42", 17
BROADCAST = b"\xff" * 6


def podman(*args: str) -> list[str]:
    """Run podman and return its lines; a node that is being removed is no error of ours."""
    return subprocess.run(["podman", *args], stdout=subprocess.PIPE, text=True, check=False).stdout.split()


def switch(node: dict) -> list[str]:
    """Return what podman does to a node, as it lists it, whose card got its magic packet: nothing to a woken one."""
    name = node["Names"][0]
    if node["State"] == "exited":
        return ["start", name]
    if node["State"] == "running" and node["Labels"].get("greenlab.kind") == "vm":
        # Refused by one that is not suspended.
        return ["exec", name, "/usr/local/lib/lab/vm", "ask", "system_wakeup"]
    return []


def start(names: list[str]) -> None:
    """Switch nodes on and log it."""
    if names:
        print(time.strftime("%H:%M:%S"), "start", *names, flush=True)
        podman("start", *names)


def nodes(label: str, mac: str) -> list[dict]:
    """Return the lab's nodes with this address, as podman knows them."""
    which = ["--all", f"--filter=label={label}", f"--filter=label=greenlab.mac={mac}"]
    listed = subprocess.run(["podman", "ps", "--format=json", *which], stdout=subprocess.PIPE, check=False)
    return json.loads(listed.stdout or "[]") or []


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


def payload(frame: bytes) -> bytes:
    """Return what a broadcast frame carries, by UDP or right in it; nothing of any other frame."""
    if frame[:6] == BROADCAST and frame[12:14] == WAKE_ON_LAN:
        return frame[14:]
    if frame[:6] == BROADCAST and frame[12:14] == IPV4 and frame[23] == UDP:
        udp = frame[14 + 4 * (frame[14] & 15) :]
        return udp[8 : int.from_bytes(udp[4:6], "big")]
    return b""


def woken_by(data: bytes) -> str:
    """Return the address that a magic packet is for: six bytes of 0xff, then 16 times the address; else nothing."""
    start = data.find(BROADCAST)
    mac = data[start + 6 : start + 12]
    if start < 0 or len(mac) < 6 or data[start + 6 : start + 102] != mac * 16:
        return ""
    return mac.hex(":")


def bridge(network: str) -> str:
    """Return the name of a network's bridge on this computer."""
    found = subprocess.run(["podman", "network", "inspect", network], stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(found.stdout)[0]["network_interface"]


def listen(network: str, label: str) -> None:
    """Switch nodes on whose magic packet is on the wire; those that run already ignore it."""
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ALL_FRAMES)) as wire:
        wire.bind((bridge(network), 0))
        while True:
            data = payload(wire.recv(2048))
            if mac := woken_by(data):
                print(time.strftime("%H:%M:%S"), f"magic packet of {len(data)} bytes for {mac}", flush=True)
                for node in nodes(label, mac):
                    if words := switch(node):
                        print(time.strftime("%H:%M:%S"), *words, *podman(*words), flush=True)


def listen_for_ever(network: str, label: str) -> None:
    """The bridge is there only while a node runs."""
    while True:
        try:
            listen(network, label)
        except (OSError, subprocess.CalledProcessError):
            time.sleep(1)


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
    label = f"greenlab.lab={folder.name}"
    threading.Thread(target=listen_for_ever, args=[f"greenlab-{folder.name}", label], daemon=True).start()
    while True:
        watch(label, folder / "power.pid")
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
