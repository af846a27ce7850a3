# SPDX-License-Identifier: GPL-3.0-or-later
"""Each boundary of the release table: the release before a change, and the one with it."""

from __future__ import annotations

import pytest
from ansible.errors import AnsibleFilterError

from ansible_collections.greenlab.cluster.plugins.filter.gmt_release import gmt_release
from ansible_collections.greenlab.cluster.plugins.plugin_utils import _releases


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


def test_modules_run_with_python_m_are_pinned_to_a_folder():
    """`python3 -m` imports from the folder it stands in, which the user chooses unless the rule does."""
    for since, _changes in _releases.RELEASES:
        for rules in _releases.merged(since)["sudo"].values():
            for rule in rules:
                assert ("-m" not in rule["argv"]) or rule["cwd"] == "{dir}"


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
