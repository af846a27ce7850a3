# SPDX-License-Identifier: GPL-3.0-or-later
"""Prove on lab nodes that operators do not disturb a measurement and that no job is lost.

    tests/undisturbed.py --jobs 50 --runs 20 --kills 10

machine1 measures one job after the other, while operators run site.yml with a change, hold and release, and upgrade.yml
with another version against it. All that reaches its network card meanwhile is captured there. Then site.yml is killed
at random moments, with its connections, and release.yml has to bring everything back. Needs a built lab (GREENLAB_LAB),
and to be root.
Prints figures; exit status 1 when a packet came between the start and the end of a job, or a job did not end FINISHED.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[1]
LAB = os.environ.get("GREENLAB_LAB") or "demo"
MACHINE = "machine1"
OLDER, NEWER = "v4.1", "newer"  # a release of the tool, and a branch of the lab's copy of it
LONGEST_WAIT = 900  # seconds for all jobs to end, on a computer that does other things as well

# Prints the time of each IP packet that somebody else than the jobs DB sends to this network card.
CAPTURE = """
import socket, sys, time
card = socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM, socket.ntohs(0x0800))
while True:
    packet, (_, _, kind, _, _) = card.recvfrom(65535)
    source = socket.inet_ntoa(packet[12:16])
    if kind == socket.PACKET_HOST and source not in sys.argv[1:]:
        print(time.time(), source, flush=True)
"""


def podman(node: str, *command: str) -> str:
    """Run a command on a node and return what it prints."""
    argv = ["podman", "exec", f"greenlab-{LAB}-{node}", *command]
    return subprocess.run(argv, stdout=subprocess.PIPE, text=True, check=True).stdout


def sql(query: str) -> list[list[str]]:
    """Ask the jobs DB; return rows of text."""
    psql = f"psql --dbname=green-coding --no-align --tuples-only --quiet --field-separator='|' --command={query!r}"
    return [line.split("|") for line in podman("server", "su", "postgres", "-c", psql).splitlines()]


def playbook(name: str, *options: str) -> subprocess.Popen[str]:
    """Start a playbook in a session of its own."""
    argv = ["ansible-playbook", "-i", "inventories/lab", f"playbooks/{name}.yml", f"--limit={MACHINE}", *options]
    return subprocess.Popen(
        argv, cwd=CHECKOUT, start_new_session=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    )


def run(name: str, *options: str) -> None:
    """Run a playbook to its end; show what it says when it fails."""
    process = playbook(name, *options)
    output = process.communicate()[0]
    if process.returncode:
        sys.exit(f"{output[-4000:]}\nplaybooks/{name}.yml failed")


def submit(count: int, seconds: int) -> set[str]:
    """Let jobs wait for the machine; return their ids."""
    rows = sql(
        "INSERT INTO jobs (type, name, url, branch, filename, machine_id, user_id)"
        f" SELECT $$run$$, $$undisturbed $$ || n, $$https://example.org/repo$$, $$main$$, $$sleep-{seconds}.yml$$, 1, 1"
        f" FROM generate_series(1, {count}) AS n RETURNING id"
    )
    return {row[0] for row in rows if row[0].isdigit()}


def states(jobs: set[str]) -> dict[str, str]:
    """Return the state of each of the jobs."""
    return {row[0]: row[1] for row in sql("SELECT id, state FROM jobs") if row[0] in jobs}


def wait_for(jobs: set[str]) -> bool:
    """Wait until none of the jobs waits or runs; tell whether all are FINISHED."""
    until = time.monotonic() + LONGEST_WAIT
    while set(states(jobs).values()) & {"WAITING", "RUNNING"} and time.monotonic() < until:
        time.sleep(1)
    return [*states(jobs).values()] == ["FINISHED"] * len(jobs)


@contextlib.contextmanager
def captured() -> Iterator[list[float]]:
    """Capture what reaches the machine; the list is filled at the end."""
    pid = subprocess.run(
        ["podman", "inspect", "--format={{.State.Pid}}", f"greenlab-{LAB}-{MACHINE}"],
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    ).stdout.strip()
    server = podman("server", "hostname", "--all-ip-addresses").split()[0]
    times: list[float] = []
    with tempfile.TemporaryFile("w+") as output:
        command = ["nsenter", f"--target={pid}", "--net", sys.executable, "-c", CAPTURE, server]
        process = subprocess.Popen(command, stdout=output, text=True)
        try:
            yield times
        finally:
            process.terminate()
            process.wait()
            output.seek(0)
            times += [float(line.split()[0]) for line in output]


def measurements(since: float) -> list[tuple[float, float]]:
    """Return begin and end of each job that the client has measured since then."""
    rows = sql(
        "SELECT status_code, extract(epoch FROM created_at) FROM client_status"
        f" WHERE machine_id = 1 AND created_at >= to_timestamp({since}) ORDER BY id"
    )
    spans, began = [], 0.0
    for code, moment in rows:
        if code == "job_start":
            began = float(moment)
        elif began and code in ("job_end", "job_error"):
            spans.append((began, float(moment)))
            began = 0.0
    return spans


def disturb(count: int) -> None:
    """Do what operators do, as often as wanted, in turn: change, hold, upgrade."""
    publish = [CHECKOUT / "molecule/hold/publish.sh", CHECKOUT / f".lab/{LAB}/srv/gmt.git", NEWER, "NEWER = True"]
    subprocess.run(publish, check=True)
    for number in range(count):
        is_odd = number // 3 % 2
        if number % 3 == 0:
            run("site", f'--extra-vars={{"gmt_client_sleep_time": {6 - is_odd}}}', "--extra-vars=site_wait=10m")
        elif number % 3 == 1:
            run("hold", "--extra-vars=hold_reason=proof", "--extra-vars=hold_wait=10m")
            run("release")
        else:
            run("upgrade", f"--extra-vars=gmt_version={OLDER if is_odd else NEWER}", "--extra-vars=site_wait=10m")


def kill_operators(count: int, rng: random.Random) -> None:
    """Kill site.yml, with its connections, while it works; then release what it has left held."""
    sockets = str(CHECKOUT / f".lab/{LAB}/ssh")
    for number in range(count):
        process = playbook(
            "site", f'--extra-vars={{"gmt_client_sleep_time": {7 + number % 2}}}', "--extra-vars=site_wait=10m"
        )
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.communicate(timeout=rng.uniform(5, 60))
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        subprocess.run(["pkill", "--signal=KILL", "--full", re.escape(sockets)], check=False)
        run("release")


def main() -> None:
    """Run both proofs and print the figures."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=50)
    parser.add_argument("--seconds", type=int, default=5, help="a job measures for so long")
    parser.add_argument("--runs", type=int, default=20)
    parser.add_argument("--kills", type=int, default=10)
    parser.add_argument("--seed", type=int, default=1, help="of the moments at which operators are killed")
    args = parser.parse_args()

    began = time.time()
    jobs = submit(args.jobs, args.seconds)
    with captured() as packets:
        disturb(args.runs)
        finished = wait_for(jobs)
    spans = measurements(began)
    inside = [moment for moment in packets if any(start <= moment <= end for start, end in spans)]
    print(
        f"{len(spans)} measurements, {args.runs} runs of operators, {len(packets)} packets to {MACHINE},"
        f" {len(inside)} of them during a measurement; all jobs FINISHED: {finished}",
        flush=True,
    )

    late = submit(args.jobs // 5 or 1, args.seconds)
    kill_operators(args.kills, random.Random(args.seed))
    survived = wait_for(late)
    print(f"{args.kills} operators killed, {len(late)} jobs; all jobs FINISHED after release: {survived}", flush=True)
    # A capture that saw nothing at all proves nothing.
    sys.exit(not (finished and survived and spans and packets and not inside))


if __name__ == "__main__":
    main()
