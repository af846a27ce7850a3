# SPDX-License-Identifier: GPL-3.0-or-later
"""What the roles declare, with what their other tasks would have found: one run of ansible-playbook on no node."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.greenlab import cluster

from ansible_collections.greenlab.cluster.plugins.module_utils._manifest import KINDS

ROLES = Path(next(iter(cluster.__path__))) / "roles"
DECLARING = sorted(path.parents[1].name for path in ROLES.glob("*/tasks/managed.yml"))
ACCOUNT = ["x", "1001", "1001", "", "/home/gc", "/bin/bash"]

# What the roles' tasks register on a machine before they declare.
FOUND: dict[str, Any] = {
    "gmt_release": "v4.1",
    "ansible_facts": {"getent_passwd": {"gc": ACCOUNT}},
    "__gmt_purelib": {"stdout": "/opt/green-metrics-tool/venv/lib/python3.11/site-packages"},
    "__gmt_account": {"home": "/home/gc"},
    "__docker_os_release": {"content": "SUQ9ZGViaWFuClZFUlNJT05fQ09ERU5BTUU9Ym9va3dvcm0K"},  # Debian bookworm
    "__quiet_os_old": {
        "units": {"apt-daily.timer": "enabled", "swap.target": "static"},
        "files": ["/etc/cron.d/e2scrub_all"],
    },
    "__quiet_os_found": {
        "timers": [{"name": "fstrim.timer", "state": "enabled", "active": True, "action": "disable", "links": []}],
        "global_timers": [
            {"name": "sync.timer", "state": "static", "active": False, "links": ["/etc/systemd/user/x/sync.timer"]}
        ],
        "container": False,
        **dict.fromkeys(
            [
                "services",
                "masks",
                "account_timers",
                "packages",
                "also_removed",
                "orphans",
                "snaps",
                "cron_files",
                "motd_files",
                "swaps",
                "fstab_swaps",
                "watchdogs",
            ],
            [],
        ),
    },
    "__machine_tuning_loaders": {"results": [{"item": "/boot/firmware/cmdline.txt", "stat": {"exists": True}}]},
    "machine_tuning_sysfs": "/sys",
    "wake_target_driver": "smart_plug",
    "gmt_client_release": "v4.1",
    "gmt_cron_release": "v4.1",
    "jobs_db_release": "v4.1",
    "__jobs_db_clusters": {"stdout": '[{"version": "15", "cluster": "main", "configdir": "/etc/postgresql/15/main"}]'},
    "wake_host_release": "v4.1",
    "wake_host_machines": [],
    "wake_host_source": "db",
    "wake_host_db_password": "for a test",
}
EXPECTED = {
    "gmt": {"paths": "/opt/green-metrics-tool/config.yml", "checkouts": "/opt/green-metrics-tool", "accounts": "gc"},
    "docker": {"units": "docker.service gc", "packages": "rootlesskit", "paths": "/etc/systemd/user/docker.service"},
    "quiet_os": {
        "units": "apt-daily.timer",
        "unit_files": "swap.target",
        "paths": "/etc/systemd/user/sync.timer",
        "packages": "unattended-upgrades",
        "values": "/proc/swaps",
    },
    "machine_tuning": {
        "unit_files": "greenlab-tuning.service",
        "paths": "/boot/firmware/cmdline.txt",
        "values": "/proc/cmdline",
    },
    "wake_target": {"paths": "/etc/default/grub.d/91-greenlab-wake.cfg", "values": "/sys/power/mem_sleep"},
    "gmt_client": {
        "units": "green-coding-client.service gc",
        "folders": "/etc/sudoers.d",
        "paths": "/etc/systemd/user/green-coding-client.service",
    },
    "gmt_cron": {"units": "cron.service", "paths": "/etc/cron.d/green-metrics-tool"},
    "jobs_db": {
        "units": "postgresql@15-main.service",
        "certificates": "/etc/postgresql/15/main/greenlab-tls/server.crt",
    },
    "wake_host": {"units": "greenlab-wake.timer", "folders": "/etc/greenlab-wake", "packages": "postgresql-client"},
}


@pytest.fixture(scope="module")
def declared(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, list[str]]]:
    """Return what each role declares."""
    folder = tmp_path_factory.mktemp("managed")
    include = [
        {"ansible.builtin.include_role": {"name": f"greenlab.cluster.{role}", "tasks_from": "managed"}}
        for role in DECLARING
    ]
    content = "{{ " + "{" + ", ".join(f"'{role}': {role}_managed" for role in DECLARING) + "}" + " | to_json }}"
    write = {"ansible.builtin.copy": {"content": content, "dest": str(folder / "declared.json"), "mode": "0600"}}
    play = {
        "hosts": "localhost",
        "connection": "local",
        "gather_facts": False,
        "vars": FOUND,
        "tasks": [*include, write],
    }
    (folder / "play.yml").write_text(yaml.safe_dump([play]))
    command = [Path(sys.executable).parent / "ansible-playbook", "-i", "localhost,", folder / "play.yml"]
    done = subprocess.run(command, env=dict(os.environ), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads((folder / "declared.json").read_text())


@pytest.mark.parametrize("role", DECLARING)
def test_what_a_role_declares(declared: dict[str, dict[str, list[str]]], role: str):
    assert set(declared[role]) <= set(KINDS)
    for kind, names in declared[role].items():
        assert all(isinstance(name, str) for name in names), (kind, names)
        if kind not in ("packages", "units", "unit_files", "accounts", "queries"):
            assert all(name.startswith("/") and "//" not in name for name in names), (kind, names)
    missing = {kind: name for kind, name in EXPECTED[role].items() if name not in declared[role][kind]}
    assert not missing, declared[role]


def test_a_query_names_account_port_and_database(declared: dict[str, dict[str, list[str]]]):
    assert declared["jobs_db"]["queries"][0].startswith("postgres 5432 green-coding -- SPDX")
