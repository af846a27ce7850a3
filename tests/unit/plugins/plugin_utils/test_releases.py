# SPDX-License-Identifier: GPL-3.0-or-later
"""Each boundary of the release table: the release before a change, and the one with it."""

from __future__ import annotations

import pytest
from ansible.errors import AnsibleFilterError

from ansible_collections.greenlab.cluster.plugins.filter.gmt_release import gmt_release
from ansible_collections.greenlab.cluster.plugins.plugin_utils import _releases

SENSORS = ["lm-sensors", "libsensors-dev", "libglib2.0-dev"]
BUILD = ["git", "gcc", "make", "libc6-dev", "python3-venv"]
MAINTENANCE = ["e2fsprogs", "lvm2", "logrotate", "psmisc"]
THERMOMETER = [f"machine.base_temperature_{part}" for part in ("value", "chip", "feature")]


def first_argv(release: str, purpose: str) -> list[str]:
    return _releases.merged(release)["sudo"][purpose][0]["argv"]


@pytest.mark.parametrize(
    ("release", "path", "expected"),
    [
        ("v0.16", ("client_program",), "tools/client.py"),
        ("v1.0", ("client_program",), "tools/client.py"),
        ("v1.1", ("client_program",), "cron/client.py"),
        ("v0.18", ("jobs_modes", "run"), "project"),
        ("v0.19", ("jobs_modes", "run"), "run"),
        ("v4.1", ("jobs_modes", "mail"), ["email"]),
        ("main", ("jobs_modes", "mail"), ["email-simple", "email-report"]),
        ("v0.19.1", ("config_paths", "client_sleep_time"), "client.sleep_time"),
        ("v0.20", ("config_paths", "client_sleep_time"), "client.sleep_time_no_job"),
        ("v0.21", ("config_paths", "client_sleep_time"), "client.sleep_time_no_job"),
        ("v0.21.1", ("config_paths", "client_sleep_time"), "cluster.client.sleep_time_no_job"),
        ("v0.23", ("config_paths", "error_log_file"), "machine.error_log_file"),
        ("v0.24", ("config_paths", "error_log_file"), "admin.error_file"),
        ("v1.4", ("config_paths", "metric_providers"), "measurement.metric-providers"),
        ("v2.0", ("config_paths", "metric_providers"), "measurement.metric_providers"),
        ("v0.23", ("service", "scope"), "system"),
        ("v0.24", ("service", "scope"), "user"),
        ("v0.21.1", ("service", "settings"), {}),
        ("v2.3", ("python",), "3.10"),
        ("v2.4", ("python",), "3.11"),
        ("v2.5", ("python",), "3.11"),
        ("v2.6", ("python",), "3.12"),
        ("v3.0", ("python",), "3.12"),
        ("v4.0", ("python",), "3.11"),
        ("v0.16", ("reads_pgport",), True),
        ("v0.17", ("reads_pgport",), False),
        ("v2.0", ("shutdown_values",), {"no": False, "suspend": True}),
        ("v2.1", ("shutdown_values",), {"no": False, "suspend": "suspend", "poweroff": "poweroff"}),
        ("v3.0", ("config_fixes",), {}),
        ("v2.6", ("provider_key", "separator"), "."),
        ("v3.0", ("provider_key", "separator"), "_"),
        ("v4.1", ("config_required",), []),
        ("v4.1", ("schema_files",), ["docker/structure.sql"]),
        ("v0.17.1", ("server",), {}),
        ("v0.18", ("server", "app"), "api:app"),
        ("v0.19.1", ("server", "app"), "api:app"),
        ("v0.20", ("server", "app"), "main:app"),
        ("v0.21", ("server", "health"), "/"),
        ("v0.21.1", ("server", "health"), "/v1/machines"),
        ("v0.23", ("server", "redis"), False),
        ("v0.24", ("server", "redis"), True),
        ("v0.24", ("server", "worker_class"), "uvicorn.workers.UvicornWorker"),
        ("v0.25", ("server", "worker_class"), "uvicorn_worker.UvicornWorker"),
        ("v1.4", ("server", "watchlist"), []),
        ("v2.0", ("server", "watchlist"), ["cron/watchlist.py", "schedule"]),
        ("v3.0", ("server", "activate"), ["scenario_runner", "eco_ci", "power_hog", "carbon_db"]),
        ("v4.0", ("server", "activate"), ["scenario_runner", "eco_ci", "power_hog", "carbon_db", "software_view"]),
        ("v0.23", ("config_paths", "notification_email"), "admin.email"),
        ("v0.24", ("config_paths", "notification_email"), "admin.notification_email"),
        ("v0.23", ("config_paths", "email_bcc"), "admin.bcc_email"),
        ("v0.24", ("config_paths", "email_bcc"), "admin.email_bcc"),
        ("v1.0", ("config_paths", "cors_allowed_origins"), "cluster.cors_allowed_origins"),
        ("v1.0", ("jobs_program",), "tools/jobs.py"),
        ("v1.1", ("jobs_program",), "cron/jobs.py"),
        ("v0.25", ("requirements",), ["requirements.txt"]),
        ("v1.0", ("requirements",), ["requirements.txt", "docker/requirements.txt"]),
        ("v0.20.2", ("submodules",), []),
        ("v0.21", ("submodules",), ["metric_providers/psu/energy/ac/xgboost/machine/model"]),
        ("v0.20.2", ("provider_packages",), SENSORS),
        ("v0.21", ("provider_packages",), [*SENSORS, "lshw"]),
        ("v0.24", ("provider_packages",), [*SENSORS, "lshw", "stress-ng"]),
        ("v2.4", ("provider_packages",), [*SENSORS, "lshw", "stress-ng"]),
        ("v2.5", ("provider_packages",), [*SENSORS, "lshw", "stress-ng", "libcurl4-openssl-dev"]),
        ("v2.1", ("packages",), BUILD),
        ("v2.2", ("packages",), [*BUILD, *MAINTENANCE]),
        ("v3.0", ("packages",), [*BUILD, *MAINTENANCE]),
        ("v4.0", ("packages",), [*BUILD, *MAINTENANCE, "pciutils", "usbutils"]),
        ("v2.1", ("needs_time_service",), False),
        ("v2.2", ("needs_time_service",), True),
        ("v0.21", ("shutdown_values",), {"no": False}),
        ("v0.21.1", ("shutdown_values",), {"no": False, "poweroff": True}),
        ("v0.25", ("shutdown_values",), {"no": False, "poweroff": True}),
        ("v1.0", ("shutdown_values",), {"no": False, "suspend": True}),
        ("v0.21", ("config_required",), []),
        ("v0.21.1", ("config_required",), THERMOMETER),
        ("v3.0", ("config_required",), THERMOMETER),
        ("v4.0", ("config_required",), []),
        ("v4.0", ("config_fixes",), {"machine.base_temperature_value": {"from": False, "to": None}}),
        ("v0.22", ("service", "settings", "KillSignal"), "SIGINT"),
        ("v0.22", ("service", "settings", "TimeoutStopSec"), "600"),
        ("v0.23", ("service", "name"), "green-coding-client-service"),
        ("v0.24", ("service", "name"), "green-coding-client"),
        ("v4.2", ("schema_files",), ["docker/structure.sql", "docker/tables.sql", "docker/seed-data.sql"]),
        ("v0.18", ("api",), {}),
        ("v0.20", ("api",), {"jobs": {"path": "/v1/jobs", "description": 5, "state": 6, "filter": False}}),
        ("v0.21", ("api", "jobs"), {"path": "/v1/jobs", "description": 6, "state": 7, "filter": False}),
        ("v0.21.1", ("api", "jobs", "filter"), True),
        ("v0.21.1", ("api", "machines", "waiting"), 11),
        ("v1.4", ("api", "jobs", "path"), "/v1/jobs"),
        ("v2.0", ("api", "jobs"), {"path": "/v2/jobs", "description": 7, "state": 8, "filter": True}),
        ("v4.1", ("api", "machines", "path"), "/v1/machines"),
        ("v0.23", ("queue", "waiting"), "j.state = 'WAITING' AND j.machine_id = m.id"),
        ("v0.24", ("queue", "waiting"), "j.type = 'run' AND j.state = 'WAITING' AND j.machine_id = m.id"),
        ("v3.0", ("postgresql",), 15),
        ("v4.0", ("postgresql",), 16),
        ("v4.1", ("postgresql",), 16),
        ("main", ("postgresql",), 15),
        ("v2.5", ("control_fails_on",), "error"),
        ("v2.6", ("control_fails_on",), "warn"),
        ("v2.5", ("config_paths", "host_reserved_memory"), "machine.host_reserved_memory"),
    ],
)
def test_value(release, path, expected):
    value = _releases.merged(release)
    for key in path:
        value = value[key]
    assert value == expected


@pytest.mark.parametrize(
    ("release", "expected"),
    [
        ("v0.18", ["{dir}/tools/cluster/cleanup.sh"]),
        ("v0.19", ["/usr/bin/bash", "{dir}/tools/cluster/cleanup.sh"]),
        ("v0.21", ["/usr/bin/bash", "{dir}/tools/cluster/cleanup.sh"]),
        ("v0.21.1", ["{dir}/tools/cluster/cleanup.sh"]),
        ("v2.1", ["{dir}/tools/cluster/cleanup.sh"]),
        ("v2.2", ["{dir}/tools/cluster/cleanup.py"]),
        ("v2.5", ["{dir}/tools/cluster/cleanup.py"]),
        ("v2.6", ["{python}", "-I", "-B", "-S", "{helpers}/maintenance.py"]),
    ],
)
def test_maintenance_command(release, expected):
    assert first_argv(release, "maintenance") == expected


@pytest.mark.parametrize(
    ("release", "purposes"),
    [
        ("v0.16", {"maintenance", "hardware_info", "ipmi"}),
        ("v0.22", {"maintenance", "hardware_info", "ipmi", "poweroff"}),
        ("v1.0", {"maintenance", "hardware_info", "ipmi", "suspend"}),
        ("v1.4.0", {"maintenance", "hardware_info", "ipmi", "suspend", "drop_caches"}),
        ("v2.1", {"maintenance", "hardware_info", "ipmi", "suspend", "poweroff", "drop_caches"}),
        (
            "v4.1",
            {"maintenance", "hardware_info", "ipmi", "suspend", "poweroff", "drop_caches", "system_checks", "reboot"},
        ),
    ],
)
def test_sudo_purposes(release, purposes):
    assert set(_releases.merged(release)["sudo"]) == purposes


@pytest.mark.parametrize(
    ("release", "expected"),
    [
        ("v0.20", {"cleanup.sh": "cleanup.sh"}),
        ("v0.21", {"cleanup.sh": "cleanup.sh", "hardware_info_root_original.py": "{dir}/lib/hardware_info_root.py"}),
        (
            "v0.21.1",
            {"cleanup_original.sh": "cleanup.sh", "hardware_info_root_original.py": "{dir}/lib/hardware_info_root.py"},
        ),
        (
            "v2.2",
            {"cleanup_original.py": "cleanup.py", "hardware_info_root_original.py": "{dir}/lib/hardware_info_root.py"},
        ),
        (
            "v2.6",
            {
                "maintenance_original.py": "{helpers}/maintenance.py",
                "hardware_info_root_original.py": "{helpers}/hardware_info_root.py",
            },
        ),
        (
            "v4.0",
            {
                "maintenance_original.py": "{helpers}/maintenance.py",
                "hardware_info_root_original.py": "{helpers}/hardware_info_root.py",
                "system_checks_root.py": "{helpers}/system_checks_root.py",
            },
        ),
    ],
)
def test_helper_scripts(release, expected):
    helpers = _releases.merged(release)["helpers"].values()
    found = {h["src"].rpartition("/")[2]: h["dest"].replace("{dir}/tools/cluster/", "") for h in helpers}
    assert found == expected


@pytest.mark.parametrize(
    ("release", "expected"),
    [
        ("v0.25", ["{dir}/venv/bin/python3", "{dir}/lib/hardware_info_root.py"]),
        ("v1.0", ["/usr/bin/python3", "-m", "lib.hardware_info_root"]),
        ("v2.5", ["/usr/bin/python3", "-m", "lib.hardware_info_root"]),
        ("v2.6", ["{python}", "-I", "-B", "-S", "{helpers}/hardware_info_root.py"]),
    ],
)
def test_hardware_info_command(release, expected):
    assert first_argv(release, "hardware_info") == expected


def leaves(record, prefix=()):
    """Go through what a dictionary says, key by key."""
    for key, value in record.items():
        if isinstance(value, dict) and value:
            yield from leaves(value, (*prefix, key))
        else:
            yield (*prefix, key), value


@pytest.mark.parametrize("number", range(1, len(_releases.RELEASES)))
def test_a_row_changes_all_that_it_names_and_nothing_else(number):
    since, changes = _releases.RELEASES[number]
    before, after = (dict(leaves(_releases.merged(release))) for release in (_releases.RELEASES[number - 1][0], since))
    changed = {key[:2] for key in {*before, *after} - {("release",)} if before.get(key) != after.get(key)}
    named = {key[:2] for key, _value in leaves(changes)}
    # An empty dictionary is a leaf of its own, one level up.
    assert all(key in changed or key[:1] in changed for key in named), "the row says what was so before"
    assert {key[0] for key in changed} == {key[0] for key in named}, "the record changes where the row says nothing"


def test_modules_run_with_python_m_are_pinned_to_a_folder():
    """`python3 -m` imports from the folder it stands in, which the user chooses unless the rule does."""
    for since, _changes in _releases.RELEASES:
        for rules in _releases.merged(since)["sudo"].values():
            for rule in rules:
                assert ("-m" not in rule["argv"]) or rule["cwd"] == "{dir}"


@pytest.mark.parametrize("since", [since for since, _changes in _releases.RELEASES])
def test_sudo_commands_are_exact(since):
    """An absolute path, no pattern, no interpreter alone, and scripts only from places that our roles give to root."""
    record = _releases.merged(since)
    roots = {helper["dest"] for helper in record["helpers"].values()} | {"{dir}/lib/hardware_info_root.py"}
    for rules in record["sudo"].values():
        for rule in rules:
            program, *arguments = rule["argv"]
            assert program.startswith(("/usr/", "{dir}/", "{python}"))
            assert not set("*?[]!,:=\\\"'") & set("".join(rule["argv"]).replace("vm.drop_caches=3", ""))
            assert arguments or program in roots | {"/usr/sbin/shutdown"}
            scripts = {word for word in rule["argv"] if word.endswith((".py", ".sh"))}
            assert scripts <= roots


def test_every_release_has_every_key():
    keys = set(_releases.merged("v0.16"))
    for since, changes in _releases.RELEASES:
        assert set(changes) <= keys, since


def test_a_record_is_the_callers_own():
    _releases.merged("v4.1")["packages"].append("x")
    assert "x" not in _releases.merged("v4.1")["packages"]


def test_spelling_of_a_release_does_not_matter():
    assert _releases.parse("v1.4.0") == _releases.parse("v1.4") == _releases.parse("1.4")


@pytest.mark.parametrize("name", ["", "master", "v1", "4.1; reboot", "latest"])
def test_what_is_no_release_is_refused(name):
    with pytest.raises(AnsibleFilterError, match="is not a GMT release. Give a tag such as 'v4.1'"):
        gmt_release(name)


def test_a_release_without_cluster_mode_is_refused():
    with pytest.raises(AnsibleFilterError, match="too old: cluster mode begins with v0.16"):
        gmt_release("v0.15")


def test_a_newer_release_is_the_newest_known_with_a_warning(monkeypatch):
    warnings = []
    monkeypatch.setattr("ansible.utils.display.Display.warning", lambda self, text: warnings.append(text))
    assert gmt_release("v9.0")["client_program"] == "cron/client.py"
    assert "newer than v4.1" in warnings[0]
    gmt_release("main")
    assert len(warnings) == 1


@pytest.mark.parametrize("release", ["v0.16", "v4.1"])
def test_services_of_other_releases_are_known(release):
    assert _releases.merged(release)["service_names"] == ["green-coding-client", "green-coding-client-service"]
