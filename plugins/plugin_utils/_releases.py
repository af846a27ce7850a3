# Copyright (c) 2026, the greenlab.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What differs between releases of the Green Metrics Tool (GMT): one table, no conditionals elsewhere.

A row says what changed *since* a release. A later row wins; a dictionary is merged key by key, and a key
whose value is None is gone from then on. Read from the tool's git history (v0.16 to main of August 2026).

In sudo commands and paths, ``{dir}`` is the checkout, ``{helpers}`` the root-owned folder of helper scripts,
``{python}`` the real path of the machine's /usr/bin/python3.
"""

from __future__ import annotations

import copy
import re
import sys
import typing as t

HELPERS_DIR = "/usr/local/bin/green-metrics-tool"
NEWEST_KNOWN = "v4.1"

_ROOT_PYTHON = ["{python}", "-I", "-B", "-S"]
_OLD_HARDWARE_INFO = ["/usr/bin/python3", "-m", "lib.hardware_info_root"]
_RAPL = "--read-rapl-energy-filtering"

RELEASES: list[tuple[str, dict[str, t.Any]]] = [
    ("v0.16", {
        "client_program": "tools/client.py",
        "jobs_program": "tools/jobs.py",
        # Names of the jobs program's modes: one measures, the others send mail.
        "jobs_modes": {"run": "project", "mail": ["email"]},
        # Where a variable of ours stands in config.yml. What is not listed does not exist in the release.
        "config_paths": {
            "machine_id": "machine.id",
            "machine_description": "machine.description",
            "client_sleep_time": "client.sleep_time",
            "error_log_file": "machine.error_log_file",
            "metric_providers": "measurement.metric-providers",
            "api_url": "cluster.api_url",
            "metrics_url": "cluster.metrics_url",
            "notification_email": "admin.email",
            "smtp_server": "smtp.server",
            "smtp_port": "smtp.port",
            "smtp_sender": "smtp.sender",
            "smtp_user": "smtp.user",
            "smtp_password": "smtp.password",
        },
        # Values of the example that do not work as they stand there, by path.
        "config_fixes": {},
        # Keys that the example leaves open and the client cannot do without.
        "config_required": [],
        # How config.yml spells a metric provider: its folder's parts joined by `separator` are group 1 of `pattern`.
        "provider_key": {
            "pattern": r"(.+)\.provider\.\w+",
            "separator": ".",
            "example": "cpu.utilization.procfs.system.provider.CpuUtilizationProcfsSystemProvider",
        },
        # Whether the client takes the DB's port from PGPORT only.
        "reads_pgport": True,
        # What the machine can be told to do when its queue is empty, and how config.yml spells it.
        "shutdown_values": {"no": False},
        # The service of the instructions of that time.
        "service": {"name": "green-coding-client-service", "scope": "system", "settings": {}},
        # Scripts that the tool runs through sudo; they must belong to root.
        "helpers": {"cleanup": {"src": "tools/cluster/cleanup.sh", "dest": "{dir}/tools/cluster/cleanup.sh"}},
        # Exact commands, by what they are for. `cwd`: `python3 -m` imports from the folder it is started in.
        "sudo": {
            "maintenance": [{"argv": ["{dir}/tools/cluster/cleanup.sh"]}],
            "hardware_info": [{"argv": ["{dir}/venv/bin/python3", "{dir}/lib/hardware_info_root.py"]}],
            "ipmi": [{"argv": ["/usr/sbin/ipmi-dcmi", "--get-system-power-statistics"]}],
        },
        "requirements": ["requirements.txt"],
        "submodules": [],
        "python": "3.10",
        # Debian packages: what every machine needs, and what the metric providers are built with or run.
        "packages": ["git", "gcc", "make", "libc6-dev", "python3-venv"],
        # Whether maintenance sets the clock through systemd, and fails where no service does that.
        "needs_time_service": False,
        "provider_packages": ["lm-sensors", "libsensors-dev", "libglib2.0-dev"],
        # SQL files that fill an empty database, in order.
        "schema_files": ["docker/structure.sql"],
        # Least major version of PostgreSQL. The schema of v1.0 and later has NULLS NOT DISTINCT; that of older releases
        # was never tried on anything older.
        "postgresql": 15,
        # The web API and the dashboard. Empty: the release does not pin all that they need.
        "server": {},
        # Routes of the web API that tell a wake host what is waiting, and the columns of their rows, counted from 0.
        # `filter`: whether the jobs can be asked for by machine_id and state.
        "api": {},
        # Which jobs a machine (m) has to measure, and which (j) it measures, for a wake host that asks the database.
        "queue": {
            "waiting": "j.type = 'project' AND NOT j.running AND NOT j.failed"
                       " AND (j.machine_id = m.id OR j.machine_id IS NULL)",
            "running": "j.type = 'project' AND j.running AND NOT j.failed AND j.machine_id = m.id",
        },
        # The system checks that the release makes by itself, under its own names, and how severe it finds a failure.
        # Those of v0.19 and v0.20 are other ones, and not repeated here.
        "system_checks": {},
        # Least severity of a failed check that ends a control workload, and with it the client, before any job.
        "control_fails_on": "error",
        "system_limits": {
            # In bytes.
            "free_disk": 1024**3,
            "free_memory": 1024**3,
            # What the name of a provider that measures the energy of the whole machine contains.
            "energy_provider": [".energy", ".machine"],
            # Whether a domain that has no short term limit fails where a power cap is configured.
            "rapl_both_limits": True,
        },
    }),
    ("v0.17", {
        "reads_pgport": False,
    }),
    ("v0.18", {
        "server": {
            "packages": ["git", "python3-venv"],
            "requirements": ["docker/requirements.txt"],
            # What gunicorn is told to run, in which folder, by which class of worker.
            "app": "api:app",
            "folder": "api",
            "worker_class": "uvicorn.workers.UvicornWorker",
            # A path of the API that asks the database, for the health check.
            "health": "/",
            # Whether the API keeps what it computed in redis.
            "redis": False,
            # Keys of config.yml, and places in the dashboard's own settings, that switch a part of the tool on.
            "activate": [],
            # The program, with its argument, that submits what is to be measured again and again.
            "watchlist": [],
            # The dashboard's settings, below the folder that is served.
            "dashboard_config": "js/helpers/config.js",
        },
    }),
    ("v0.19", {
        "jobs_modes": {"run": "run"},
        "sudo": {"maintenance": [{"argv": ["/usr/bin/bash", "{dir}/tools/cluster/cleanup.sh"]}]},
        "api": {"jobs": {"path": "/v1/jobs", "description": 5, "state": 6, "filter": False}},
        "queue": {
            "waiting": "j.state = 'WAITING' AND j.machine_id = m.id",
            "running": "j.state = 'RUNNING' AND j.machine_id = m.id",
        },
    }),
    ("v0.20", {
        "config_paths": {"client_sleep_time": "client.sleep_time_no_job"},
        "server": {"app": "main:app"},
    }),
    ("v0.21", {
        "helpers": {"hardware_info": {
            "src": "lib/hardware_info_root_original.py", "dest": "{dir}/lib/hardware_info_root.py"}},
        "provider_packages": ["lm-sensors", "libsensors-dev", "libglib2.0-dev", "lshw"],
        "submodules": ["metric_providers/psu/energy/ac/xgboost/machine/model"],
        "config_paths": {"email_bcc": "admin.bcc_email"},
        "api": {"jobs": {"description": 6, "state": 7}},
        "system_checks": {
            "db": "ERROR",
            "docker_daemon": "ERROR",
            "containers_running": "WARN",
            "free_disk": "ERROR",
            "free_memory": "ERROR",
            "tmpfs_mount": "INFO",
        },
    }),
    ("v0.21.1", {
        "config_paths": {
            "client_sleep_time": "cluster.client.sleep_time_no_job",
            "shutdown_on_job_no": "cluster.client.shutdown_on_job_no",
        },
        "server": {"health": "/v1/machines"},
        "api": {
            "jobs": {"filter": True},
            "machines": {
                "path": "/v1/machines", "id": 0, "available": 2, "status": 3, "updated_at": 4, "waiting": 11},
        },
        "shutdown_values": {"poweroff": True},
        "config_required": [
            "machine.base_temperature_value", "machine.base_temperature_chip", "machine.base_temperature_feature"],
        "helpers": {"cleanup": {
            "src": "tools/cluster/cleanup_original.sh", "dest": "{dir}/tools/cluster/cleanup.sh"}},
        "sudo": {
            "maintenance": [{"argv": ["{dir}/tools/cluster/cleanup.sh"]}],
            "poweroff": [{"argv": ["/usr/sbin/shutdown"]}],
        },
        "system_checks": {"utf_encoding": "ERROR"},
    }),
    ("v0.22", {
        # Told to stop, a client finishes cleanly on SIGINT; SIGTERM leaves its job RUNNING for ever.
        "service": {"settings": {
            "TimeoutStopSec": "600",
            "KillSignal": "SIGINT",
            "RestartKillSignal": "SIGINT",
            "FinalKillSignal": "SIGKILL",
        }},
    }),
    ("v0.23", {
        "system_checks": {"one_energy_and_scope_machine_provider": "ERROR"},
    }),
    ("v0.24", {
        "config_paths": {
            "error_log_file": "admin.error_file",
            "notification_email": "admin.notification_email",
            "email_bcc": "admin.email_bcc",
            "redis_host": "redis.host",
        },
        "server": {"redis": True},
        "queue": {
            "waiting": "j.type = 'run' AND j.state = 'WAITING' AND j.machine_id = m.id",
            "running": "j.type = 'run' AND j.state = 'RUNNING' AND j.machine_id = m.id",
        },
        "service": {"name": "green-coding-client", "scope": "user"},
        "provider_packages": ["lm-sensors", "libsensors-dev", "libglib2.0-dev", "lshw", "stress-ng"],
        "system_checks": {"cpu_utilization": "WARN"},
    }),
    ("v0.25", {
        "server": {"worker_class": "uvicorn_worker.UvicornWorker"},
    }),
    ("v1.0", {
        "config_paths": {"cors_allowed_origins": "cluster.cors_allowed_origins"},
        "requirements": ["requirements.txt", "docker/requirements.txt"],
        "shutdown_values": {"poweroff": None, "suspend": True},
        "sudo": {
            "hardware_info": [
                {"argv": _OLD_HARDWARE_INFO, "cwd": "{dir}"},
                {"argv": [*_OLD_HARDWARE_INFO, _RAPL], "cwd": "{dir}"},
            ],
            "poweroff": None,
            "suspend": [{"argv": ["/usr/bin/systemctl", "suspend"]}],
        },
    }),
    ("v1.1", {
        "client_program": "cron/client.py",
        "jobs_program": "cron/jobs.py",
    }),
    ("v1.4", {
        "sudo": {"drop_caches": [{"argv": ["/usr/sbin/sysctl", "-w", "vm.drop_caches=3"]}]},
        "system_checks": {"swap_disabled": "WARN"},
    }),
    ("v2.0", {
        "config_paths": {"metric_providers": "measurement.metric_providers", "redis_port": "redis.port"},
        "api": {"jobs": {"path": "/v2/jobs", "description": 7, "state": 8}},
        "server": {
            "activate": ["scenario_runner", "eco_ci", "power_hog", "carbon_db"],
            "watchlist": ["cron/watchlist.py", "schedule"],
        },
    }),
    ("v2.1", {
        "shutdown_values": {"suspend": "suspend", "poweroff": "poweroff"},
        "sudo": {"poweroff": [{"argv": ["/usr/bin/systemctl", "poweroff"]}]},
        "system_checks": {"largest_sampling_rate": "WARN"},
    }),
    ("v2.2", {
        # Maintenance fails, and the client sleeps for hours, where e2scrub_all (which asks for lvm2) or logrotate is
        # missing; a machine that is too cold is warmed up with killall's help.
        "packages": [
            "git", "gcc", "make", "libc6-dev", "python3-venv", "e2fsprogs", "lvm2", "logrotate", "psmisc"],
        "needs_time_service": True,
        "helpers": {"cleanup": {
            "src": "tools/cluster/cleanup_original.py", "dest": "{dir}/tools/cluster/cleanup.py"}},
        "sudo": {"maintenance": [{"argv": ["{dir}/tools/cluster/cleanup.py"]}]},
        "system_checks": {"gmt_dir_dirty": "WARN", "ntp": "WARN", "suspend": "ERROR"},
    }),
    ("v2.3", {
        "system_checks": {"tty_attached": "WARN"},
    }),
    ("v2.4", {
        "python": "3.11",  # scipy 1.16 has no wheel for an older one
        "system_checks": {"docker_host_env": "ERROR", "steal_time": "ERROR"},
    }),
    ("v2.5", {
        "provider_packages": [
            "lm-sensors", "libsensors-dev", "libglib2.0-dev", "lshw", "stress-ng", "libcurl4-openssl-dev"],
        "system_checks": {
            "available_cpus": "ERROR",
            "docker_cpu_availability": "WARN",
            "assignable_cpus": "ERROR",
            "assignable_memory": "ERROR",
            "assignable_memory_oom": "WARN",
        },
        "system_limits": {"free_memory": 2 * 1024**3},
        "config_paths": {"host_reserved_memory": "machine.host_reserved_memory"},
    }),
    ("v2.6", {
        "control_fails_on": "warn",
        "python": "3.12",  # lib/error_helpers.py has quotes in an f-string that older ones cannot read
        "helpers": {
            "cleanup": None,
            "maintenance": {"src": "tools/cluster/maintenance_original.py", "dest": "{helpers}/maintenance.py"},
            "hardware_info": {
                "src": "lib/hardware_info_root_original.py", "dest": "{helpers}/hardware_info_root.py"},
        },
        "sudo": {
            "maintenance": [
                {"argv": [*_ROOT_PYTHON, "{helpers}/maintenance.py"]},
                {"argv": [*_ROOT_PYTHON, "{helpers}/maintenance.py", "--update-os-packages"]},
            ],
            "hardware_info": [
                {"argv": [*_ROOT_PYTHON, "{helpers}/hardware_info_root.py"]},
                {"argv": [*_ROOT_PYTHON, "{helpers}/hardware_info_root.py", _RAPL]},
            ],
        },
    }),
    ("v3.0", {
        "provider_key": {"pattern": "(.+)", "separator": "_", "example": "cpu_utilization_procfs_system"},
        "system_limits": {"energy_provider": ["_energy_", "_machine"]},
    }),
    ("v4.0", {
        "python": "3.11",
        "postgresql": 16,  # lib/phase_stats.py has a subquery in FROM without an alias
        "server": {"activate": ["scenario_runner", "eco_ci", "power_hog", "carbon_db", "software_view"]},
        "packages": [
            "git", "gcc", "make", "libc6-dev", "python3-venv", "e2fsprogs", "lvm2", "logrotate", "psmisc", "pciutils",
            "usbutils"],
        # The example's False goes into an integer column, and PostgreSQL refuses it.
        "config_fixes": {"machine.base_temperature_value": {"from": False, "to": None}},
        "config_required": [],
        "helpers": {"system_checks": {
            "src": "lib/system_checks_root.py", "dest": "{helpers}/system_checks_root.py"}},
        "sudo": {
            "system_checks": [{"argv": [*_ROOT_PYTHON, "{helpers}/system_checks_root.py"]}],
            "reboot": [{"argv": ["/usr/bin/systemctl", "reboot"]}],
        },
        "system_checks": dict.fromkeys([
            "temperature", "systemd_timers", "cron_files", "kernel_watchdog", "docker_registry_url",
            "rapl_power_capping_package", "rapl_power_capping_dram", "rapl_power_capping_psys",
            "cpu_cores", "dram", "usb_devices", "pci_devices", "cpu_governor", "cpu_smt", "cpu_turbo_boost",
            "cpu_frequency", "cpu_scaling_driver",
        ], "WARN"),
    }),
    ("v4.1", {
        "system_limits": {"rapl_both_limits": False},
    }),
    # Not tagged yet: the branch main of August 2026, which the next release will be cut from.
    ("v4.2", {
        "jobs_modes": {"mail": ["email-simple", "email-report"]},
        "postgresql": 15,
        "schema_files": ["docker/structure.sql", "docker/tables.sql", "docker/seed-data.sql"],
        "system_checks": {"ssh_session": "WARN", "guest_time": "ERROR"},
    }),
]


class UnknownRelease(ValueError):
    """The name is not a release number, or one that has no cluster mode."""


def parse(release: str) -> tuple[int, ...]:
    """Return the numbers of a release name, without trailing zeros: v1.4 and v1.4.0 are one. ``main`` is the newest."""
    if release == "main":
        return (sys.maxsize,)
    match = re.fullmatch(r"v?(\d+)\.(\d+)(?:\.(\d+))?", release)
    if not match:
        raise UnknownRelease(
            f"{release!r} is not a GMT release. Give a tag such as {NEWEST_KNOWN!r}, or 'main'. Another branch or a "
            "commit goes into gmt_version, beside the gmt_release it is nearest to (module gmt_release_info finds it)."
        )
    numbers = [int(part or 0) for part in match.groups()]
    while len(numbers) > 1 and numbers[-1] == 0:
        numbers.pop()
    return tuple(numbers)


def _merge(older: dict[str, t.Any], newer: dict[str, t.Any]) -> dict[str, t.Any]:
    result = dict(older)
    for key, value in newer.items():
        if value is None:
            result.pop(key, None)
        elif isinstance(value, dict) and isinstance(result.get(key), dict):
            result[key] = _merge(result[key], value)
        else:
            result[key] = value
    return result


def merged(release: str) -> dict[str, t.Any]:
    """Return the record of one release: every row up to it.

    Raises UnknownRelease for a name that is no release, and for one older than the first row.
    """
    wanted = parse(release)
    if wanted < parse(RELEASES[0][0]):
        raise UnknownRelease(f"{release} is too old: cluster mode begins with {RELEASES[0][0]}.")
    record: dict[str, t.Any] = {}
    for since, changes in RELEASES:
        if parse(since) <= wanted:
            record = _merge(record, changes)
    names = {changes["service"]["name"] for _since, changes in RELEASES if "name" in changes.get("service", {})}
    # What a machine may still have from another release.
    record |= {"release": release, "helpers_dir": HELPERS_DIR, "service_names": sorted(names)}
    return copy.deepcopy(record)


def is_newer_than_known(release: str) -> bool:
    """Tell whether the table was written before this release came out."""
    return release != "main" and parse(release) > parse(NEWEST_KNOWN)
