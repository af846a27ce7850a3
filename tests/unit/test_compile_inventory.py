# SPDX-License-Identifier: GPL-3.0-or-later
"""The example of a compile cluster is good but for its address, and preflight refuses what would hurt."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from ansible_collections.greenlab import cluster

pytestmark = pytest.mark.slow  # each test is a run of ansible-playbook

ROOT = Path(__file__).resolve().parents[2]
PREFLIGHT = [
    str(Path(sys.executable).parent / "ansible-playbook"),
    f"--inventory={ROOT}/inventories/compile",
    str(ROOT / "playbooks/preflight.yml"),
]


def preflight(tmp_path: Path, inventory: dict) -> subprocess.CompletedProcess[str]:
    """Run preflight on the example and what is laid over it."""
    over = tmp_path / "over.json"
    over.write_text(json.dumps(inventory), encoding="utf8")
    real = tmp_path / "real.json"
    real.write_text('{"compile_head": {"hosts": {"head": {"ansible_host": "10.1.1.30"}}}}', encoding="utf8")
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")},
        "ANSIBLE_COLLECTIONS_PATH": str(Path(next(iter(cluster.__path__))).parents[2]),
        "ANSIBLE_LOCAL_TEMP": str(tmp_path),
        "ANSIBLE_NOCOLOR": "1",
    }
    command = [*PREFLIGHT, f"--inventory={real}", f"--inventory={over}"]
    return subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)


def test_the_example_needs_no_jobs_db(tmp_path: Path):
    done = preflight(tmp_path, {})
    assert done.returncode == 0, done.stdout


def test_workers_may_sleep_and_be_woken(tmp_path: Path):
    parts = ["headless", "cluster_net", "distcc", "mpi", "wake_target", "autosuspend", "wake_host"]
    good = {"compile_parts": parts, "wake_target_mac": "52:54:00:12:34:ab", "autosuspend_idle": 1800}
    switched = {"wake_target_driver": "command", "wake_target_driver_options": {"on": ["/usr/local/bin/switch", "on"]}}
    done = preflight(tmp_path, {"compile_workers": {"hosts": {"worker1": good, "worker2": switched}}})
    assert done.returncode == 0, done.stdout
    done = preflight(tmp_path, {"compile_workers": {"hosts": {"worker1": {"autosuspend_idel": 1800}}}})
    assert done.returncode == 2
    assert "autosuspend_idle" in done.stdout


def test_all_that_would_hurt_is_refused_at_once(tmp_path: Path):
    done = preflight(
        tmp_path,
        {
            "compile_head": {"hosts": {"worker3": {}}},
            "compile_workers": {
                "hosts": {
                    "worker1": {
                        "cluster_net_address": "10.9.9.9",
                        "distcc_allow": ["0.0.0.0/0"],
                        "distcc_backoff": 0,
                        "distcc_io_timeout": 0,
                        "distcc_listen": "10.168.168.99",
                    },
                    "worker3": {"ansible_host": "10.168.168.13", "cluster_net_address": "10.168.168.12"},
                }
            },
            "machines": {"hosts": {"worker1": {}}},
        },
    )
    assert done.returncode == 2
    assert {line.partition(" (in ")[0] for line in done.stdout.splitlines()} > {
        "group compile_cluster and group machines both have worker1. Whoever compiles for others cannot measure, for "
        "work comes at any time. Take it out of one of them.",
        "group compile_head has 2 hosts (head, worker3), but may have at most 1. Take the others out of it.",
        "worker1: cluster_net_address = '10.9.9.9' is outside cluster_net_cidr = '10.168.168.0/24'. "
        "Give it an address of the cluster's network, or correct that.",
        "worker1: distcc_allow has '0.0.0.0/0', so that half the Internet or more could run programs here. "
        "Name the cluster's own network, such as 10.168.168.0/24.",
        "worker1: distcc_backoff = 0 is out of range. Give a whole number of at least 1. "
        "With 0 a client asks a dead worker for ever. Leave it out for 10 seconds.",
        "worker1: distcc_io_timeout = 0 is out of range. Give a whole number of at least 1. "
        "Give twice the seconds that the longest file needs. Leave it out for 120.",
        "worker1: distcc_listen = '10.168.168.99' is not cluster_net_address or ansible_host of this host. "
        "Leave it out, and the server listens in the cluster's network alone.",
        "worker2, worker3: cluster_net_address = '10.168.168.12' is used by 2 hosts. Give each host its own.",
    }
