# SPDX-License-Identifier: GPL-3.0-or-later
"""The program as it is started: exit status, what it writes, what it costs, and on which Python it runs."""

from __future__ import annotations

import ast
import fcntl
import json
import os
import re
import stat
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from greenlab_wake import memory

PROGRAM = Path(__file__).resolve().parents[4] / "roles/wake_host/files/program"
FILES = sorted(PROGRAM.rglob("*.py"))
PYTHON = "/usr/bin/python3" if os.access("/usr/bin/python3", os.X_OK) else sys.executable

# Of the issue: a run on an old Raspberry Pi must not be felt.
MOST_MEMORY = 20 * 1024  # KiB
MOST_CPU = 0.2  # seconds


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_it_runs_on_python_3_9_with_the_standard_library_alone(file):
    tree = ast.parse(file.read_text(encoding="utf8"), feature_version=(3, 9))
    names = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    names |= {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom) and not node.level}
    roots = {name.partition(".")[0] for name in names}
    if file.name == "listen.py":
        roots -= {"psycopg2"}  # a package of every Debian and Ubuntu, for a service of its own
    assert roots <= {*sys.stdlib_module_names, "greenlab_wake"}
    # What Python 3.9 does not yet have, although its grammar does.
    assert "zip(strict" not in file.read_text() and "datetime.UTC" not in file.read_text()


@pytest.fixture
def program(tmp_path, server, cluster, machine):
    """Start the program with a configuration of its own; return exit status, output and CPU time."""
    (tmp_path / "token").write_text("secret-token\n")
    config = cluster(machine(1), machine(2, address="127.0.0.1")).config
    config.update(
        queue={
            "source": "api", "url": server.url, "token_file": str(tmp_path / "token"), "ca_file": "", "timeout": 5,
            "endpoint": "machines",
            "columns": {"path": "/v1/machines", "id": 0, "available": 2, "status": 3, "updated_at": 4, "waiting": 11},
        },
        confirm=["tcp"], tcp_port=int(server.url.rpartition(":")[2]), watch=False,
        state_file=str(tmp_path / "state.json"), lock_file=str(tmp_path / "lock"),
        log_file=str(tmp_path / "events.jsonl"), metrics_file=str(tmp_path / "wake.prom"),
    )

    def start(*args, errors=subprocess.STDOUT, **changes):
        # The default path is root's; a file of the test's own, and no arguments, as the timer starts it.
        (tmp_path / "config.json").write_text(json.dumps({**config, **changes}))
        code = (
            f"import sys; sys.path.insert(0, {str(PROGRAM)!r}); from greenlab_wake import cli;"
            f"cli.CONFIG = {str(tmp_path / 'config.json')!r}; status = cli.main(sys.argv[1:]);"
            # Not the peak that wait4 tells, which begins with that of the process that forked.
            f"open({str(tmp_path / 'peak')!r}, 'w').write(open('/proc/self/status').read()); sys.exit(status)"
        )
        command = [PYTHON, "-I", "-S", "-OO", "-X", f"pycache_prefix={tmp_path}/cache", "-c", code, *args]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=errors, encoding="utf8") as process:
            output = process.stdout.read()
            _pid, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
        return process.returncode, output, usage.ru_utime + usage.ru_stime

    start.folder = tmp_path
    return start


def row(number, waiting):
    return [number, f"Machine {number}", True, "job_no", "2026-11-22", None, None, None, None, None, None, waiting]


def test_a_run_without_jobs(program, server):
    server.rows(row(1, 0), row(2, 0))
    assert program()[:2] == (0, "")
    assert json.loads((program.folder / "state.json").read_text())["machines"]["1"]["waiting"] == 0
    assert stat.S_IMODE((program.folder / "state.json").stat().st_mode) & 0o007 == 0
    metrics = (program.folder / "wake.prom").read_text()
    assert 'greenlab_wake_jobs_waiting{machine_id="1",machine="machine1"} 0' in metrics


def test_a_run_costs_little(program, server):
    """Of a cluster of a hundred machines; the second run has the byte code already, as every one but the first."""
    server.rows(*[row(number, 0) for number in range(1, 101)])
    program()
    status, _output, cpu = program()
    assert status == 0
    assert cpu <= MOST_CPU
    peak = re.search(r"^VmHWM:\s+(\d+) kB$", (program.folder / "peak").read_text(), re.MULTILINE)
    assert int(peak[1]) <= MOST_MEMORY


def test_an_unknown_queue_is_an_exit_status(program, server):
    server.status = 401
    status, output, _cpu = program()
    assert status == 1
    assert "Which machines have work is not known: the API answers 401" in output
    assert json.loads((program.folder / "events.jsonl").read_text())["event"] == "unknown"
    assert "greenlab_wake_queue_known 0" in (program.folder / "wake.prom").read_text()


def test_a_dry_run_does_and_notes_nothing(program, server):
    server.rows(row(1, 1), row(2, 0))
    status, output, _cpu = program("--dry-run")
    assert status == 0
    assert "machine1: waking (driver magic_packet, waiting 1, why on demand)" in output
    assert output.endswith("Nothing was done.\n")
    assert not [name for name in ("state.json", "events.jsonl", "wake.prom") if (program.folder / name).exists()]


@pytest.mark.parametrize(
    ("name", "waiting", "says"),
    [
        ("machine1", 1, "It would be woken by magic_packet now (on demand)."),
        ("1", 0, "It would not be woken: no job waits."),
        ("machine2", 1, "It is awake (tcp): its client has to take the job."),
    ],
)
def test_explain(program, server, name, waiting, says):
    server.rows(row(1, waiting), row(2, waiting))
    status, output, _cpu = program("--explain", name)
    assert (status, output.splitlines()[-1]) == (0, says)


def test_explain_says_when_it_does_not_know(program, server):
    server.status = 500
    assert "It would not be woken." in program("--explain", "machine1")[1]


def test_two_runs_at_once_are_one(program, server):
    server.rows(row(1, 1))
    with (program.folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert program()[:2] == (0, "Another run is going on.\n")
    assert server.requests == []


def test_who_takes_over_waits_and_is_seen(program, server):
    server.rows(row(1, 0), row(2, 0))
    lock = str(program.folder / "lock")
    with ThreadPoolExecutor() as other:
        with memory.only_one(lock) as ours:
            assert ours
            assert not memory.is_to_hand_over(lock)
            second = other.submit(program, "--take-over")
            while not memory.is_to_hand_over(lock):
                time.sleep(0.01)
            assert (server.requests, second.done()) == ([], False)
        assert second.result()[:2] == (0, "")
    assert len(server.requests) == 1
    assert not memory.is_to_hand_over(lock)


def test_waking_by_hand_is_one_line_of_json_and_an_exit_status(program, server):
    server.rows(row(1, 0), row(2, 0))
    awake = {"machine": "machine2", "was": "awake", "awake": True, "seconds": 0.0, "by": "tcp"}
    status, output, _cpu = program("--wake", "2", errors=subprocess.DEVNULL)
    assert (status, {**json.loads(output), "seconds": 0.0}) == (0, awake)
    options = {"tcp_port": 1, "retries": [0, 1]}
    status, output, _cpu = program("--wake", "machine2", "--timeout", "2", errors=subprocess.DEVNULL, **options)
    result = json.loads(output)
    assert (status, result["was"], result["awake"], 2 <= result["seconds"] < 6) == (1, "asleep", False, True), result
    events = [json.loads(line)["event"] for line in (program.folder / "events.jsonl").read_text().splitlines()]
    assert (events[0], events[-1]) == ("waking", "failed")


def test_a_dry_run_by_hand_says_what_it_would_do(program, server):
    server.rows(row(1, 0), row(2, 0))
    status, output, _cpu = program("--wake", "machine2", "--dry-run", tcp_port=1, errors=subprocess.DEVNULL)
    assert (status, json.loads(output)["why"]) == (0, "it would be woken by magic_packet")
    assert not (program.folder / "events.jsonl").exists()


@pytest.mark.parametrize(
    ("args", "changes", "says"),
    [
        (["--wake", "nobody"], {}, "no machine 'nobody'; there are machine1, machine2"),
        (["--wake", "machine1", "--timeout", "0"], {}, "argument --timeout: invalid positive value: '0'"),
        (["--explain", "nobody"], {}, "no machine 'nobody'; there are machine1, machine2"),
        (["--config", "/nowhere"], {}, "No such file or directory: '/nowhere'"),
        ([], {"machines": [{"name": "m", "driver": "magic", "cycle_driver": ""}]}, "machine m: no driver 'magic'"),
    ],
)
def test_a_wrong_configuration_is_another_exit_status(program, args, changes, says):
    status, output, _cpu = program(*args, **changes)
    assert (status, says in output) == (2, True), output
