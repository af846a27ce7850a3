# SPDX-License-Identifier: GPL-3.0-or-later
"""config.yml: nothing of the example is lost, what is set comes out as it went in, what would not work is refused."""

from __future__ import annotations

import os
import pathlib
import subprocess

import pytest
import yaml
from ansible.errors import AnsibleFilterError
from ansible.plugins.filter.core import to_nice_yaml

from ansible_collections.greenlab.cluster.plugins.filter.gmt_config import gmt_config
from ansible_collections.greenlab.cluster.plugins.plugin_utils import _config, _releases

EXAMPLES = pathlib.Path(__file__).parents[3] / "gmt"
HOSTILE = [
    'say "hi"', "it's", "a # b", "key: value", "- item", " x ", "two\nlines\n", "a\ttab", "a \\ backslash", "a\u2028b",
    "$(touch /tmp/x)", "{{ 7 * 7 }}", "Größe ☀ 🌡", "no", "null", "007", "1e3", "0x10",
]


def example(release):
    return yaml.safe_load((EXAMPLES / release / "config.yml.example").read_text(encoding="utf-8"))


def values(**changes):
    base = {
        "machine_id": 7,
        "machine_description": "Esprimo P956",
        "client_sleep_time": 60,
        "error_log_file": None,
        "shutdown_on_job_no": False,
        "postgresql": {"host": "db", "port": 5432, "dbname": "green-coding", "user": "client", "password": "secret"},
    }
    return {**base, **changes}


def keys(config, prefix=""):
    for key, value in config.items():
        yield f"{prefix}{key}"
        if isinstance(value, dict):
            yield from keys(value, f"{prefix}{key}.")


@pytest.mark.parametrize(
    ("release", "sleep_time"), [("v0.16", "client.sleep_time"), ("v4.1", "cluster.client.sleep_time_no_job")]
)
def test_values_stand_where_the_release_reads_them(release, sleep_time):
    config = gmt_config(example(release), values(), _releases.merged(release))
    assert config["machine"]["id"] == 7
    assert config["postgresql"]["password"] == "secret"
    assert _config.get_path(config, sleep_time) == 60


@pytest.mark.parametrize("release", ["v0.16", "v4.1"])
def test_no_key_of_the_example_is_lost(release):
    config = gmt_config(example(release), values(), _releases.merged(release))
    assert set(keys(example(release))) <= set(keys(config))


def test_what_a_release_has_no_place_for_is_left_out():
    config = gmt_config(example("v0.16"), values(), _releases.merged("v0.16"))
    assert "shutdown_on_job_no" not in config["client"]
    assert "client" not in config["cluster"]


def test_the_examples_temperature_that_the_database_refuses_is_mended():
    record = _releases.merged("v4.1")
    assert example("v4.1")["machine"]["base_temperature_value"] is False
    assert gmt_config(example("v4.1"), values(), record)["machine"]["base_temperature_value"] is None
    warm = gmt_config(example("v4.1"), values(), record, {"machine": {"base_temperature_value": 40}})
    assert warm["machine"]["base_temperature_value"] == 40


def test_a_releases_own_necessities_are_asked_for():
    record = _releases.merged("v2.6")
    with pytest.raises(AnsibleFilterError, match=r"machine.base_temperature_value is not set.*Set it in gmt_config"):
        gmt_config(example("v4.1"), values(), record)


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_survives_the_round_trip(text):
    config = gmt_config(
        example("v4.1"), values(machine_description=text), _releases.merged("v4.1"), {"machine": {"note": text}}
    )
    again = yaml.safe_load(to_nice_yaml(config, sort_keys=False))  # as the role writes it and the tool reads it
    assert again == config
    assert again["machine"]["description"] == text


def test_providers_given_replace_those_of_their_architecture_only():
    mine = {"linux": {"psu_energy_ac_mcp_machine": {"sampling_rate": 99}}}
    config = gmt_config(example("v4.1"), values(metric_providers=mine), _releases.merged("v4.1"))
    providers = config["measurement"]["metric_providers"]
    assert providers["linux"] == mine["linux"]
    assert providers["common"] == example("v4.1")["measurement"]["metric_providers"]["common"]


def folders(release):
    """The metric providers of the stand-in's checkout, as the role finds them."""
    root = EXAMPLES / release / "metric_providers"
    return [str(path.parent.relative_to(root)) for path in root.rglob("provider.py")]


@pytest.mark.parametrize("release", ["v0.16", "v4.1"])
def test_the_examples_own_providers_are_known(release):
    assert folders(release)
    gmt_config(example(release), values(), _releases.merged(release), providers=folders(release))


@pytest.mark.parametrize(
    ("release", "name"),
    [
        ("v0.16", "cpu_utilization_procfs_system"),
        ("v0.16", "psu.energy.ac.mcp.machine.provider.PsuEnergyAcMcpMachineProvider"),
        ("v4.1", "cpu.utilization.procfs.system.provider.CpuUtilizationProcfsSystemProvider"),
        ("v4.1", "cpu_utilization_procfs_sistem"),
    ],
)
def test_a_provider_that_the_release_has_not_is_refused(release, name):
    mine = {"linux": {name: {"sampling_rate": 99}}}
    with pytest.raises(AnsibleFilterError) as error:
        gmt_config(
            example(release), values(metric_providers=mine), _releases.merged(release), providers=folders(release)
        )
    assert f".linux names what is no metric provider of {release}: {name}. Correct gmt_metric_" in str(error.value)


def test_another_systems_providers_are_not_looked_at():
    mine = {"macos": {"nothing": {}}}
    gmt_config(
        example("v4.1"), values(metric_providers=mine), _releases.merged("v4.1"), providers=folders("v4.1")
    )


@pytest.mark.parametrize("threshold", ["0.01", "1 %", True, None])
def test_a_threshold_that_is_no_number_is_refused(threshold):
    extra = {"cluster": {"client": {"control_workload": {"metrics": {"cpu_power": {"threshold": threshold}}}}}}
    with pytest.raises(AnsibleFilterError, match=r"control_workload.metrics.cpu_power.threshold = .* is not a number"):
        gmt_config(example("v4.1"), values(), _releases.merged("v4.1"), extra)
    extra["cluster"]["client"]["control_workload"]["metrics"]["cpu_power"]["threshold"] = 0.01
    gmt_config(example("v4.1"), values(), _releases.merged("v4.1"), extra)


def leaves(release):
    return [path for path in keys(example(release)) if not isinstance(_config.get_path(example(release), path), dict)]


@pytest.mark.parametrize("path", [path for path in leaves("v4.1") if path != "machine.id"])
def test_every_key_can_be_set(path):
    """What no variable stands for is set through gmt_config."""
    new = 31 if path.endswith(("threshold", "sleep_time_no_job")) else f"mine-{path}"
    extra = {}
    _config.set_path(extra, path, new)
    config = gmt_config(example("v4.1"), values(), _releases.merged("v4.1"), extra)
    assert _config.get_path(config, path) == new
    assert set(keys(example("v4.1"))) <= set(keys(config))


def test_extra_keys_are_merged_over_everything():
    config = gmt_config(
        example("v4.1"), values(), _releases.merged("v4.1"), {"cluster": {"client": {"jobs_processing": "fifo"}}}
    )
    assert config["cluster"]["client"]["jobs_processing"] == "fifo"
    assert config["cluster"]["client"]["sleep_time_no_job"] == 60


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"machine_id": "7"}, "machine.id = '7' is not an integer"),
        ({"machine_id": True}, "machine.id = True is not an integer"),
        ({"machine_description": "  "}, "machine.description is empty. Set gmt_machine_description."),
        ({"client_sleep_time": 0}, "sleep_time_no_job = 0 is not a number of seconds"),
        ({"postgresql": {"password": ""}}, "postgresql.password is empty. Set gmt_db_password."),
        ({"postgresql": {"password": "two words"}}, "postgresql.password has a space, a quote or a backslash"),
        ({"postgresql": {"password": "it's"}}, "postgresql.password has a space, a quote or a backslash"),
    ],
)
def test_what_would_not_work_is_refused(change, message):
    base = values()
    if "postgresql" in change:
        change = {"postgresql": {**base["postgresql"], **change["postgresql"]}}
    with pytest.raises(AnsibleFilterError) as error:
        gmt_config(example("v4.1"), {**base, **change}, _releases.merged("v4.1"))
    assert message in str(error.value)
    assert "two words" not in str(error.value) and "it's" not in str(error.value)


def test_all_that_is_wrong_is_said_at_once():
    with pytest.raises(AnsibleFilterError) as error:
        gmt_config({}, values(machine_id=None, machine_description=""), _releases.merged("v4.1"))
    assert "machine.id" in str(error.value) and "machine.description" in str(error.value)


def server_values():
    return {
        "smtp_server": "mail.example.org",
        "smtp_port": 465,
        "email_bcc": None,
        "cors_allowed_origins": ["https://api.example.org"],
        "postgresql": {"host": "db", "port": 5432, "dbname": "green-coding", "user": "server", "password": "secret"},
    }


def test_a_server_has_no_number_and_so_takes_no_jobs():
    record = _releases.merged("v2.6")  # asks machines for a thermometer
    config = gmt_config(example("v4.1"), server_values(), record, {"activate_scenario_runner": True}, part="server")
    assert config["machine"]["id"] is None
    assert config["smtp"]["server"] == "mail.example.org"
    assert config["admin"]["email_bcc"] is False
    assert config["cluster"]["cors_allowed_origins"] == ["https://api.example.org"]
    assert config["activate_scenario_runner"] is True
    assert set(keys(example("v4.1"))) <= set(keys(config))


def test_a_servers_mistakes_name_its_own_variables():
    wrong = {**server_values(), "postgresql": {"host": "db", "password": "two words"}}
    with pytest.raises(AnsibleFilterError, match="Choose another gmt_server_db_password"):
        gmt_config(example("v4.1"), wrong, _releases.merged("v4.1"), {}, "server")


REAL_GMT = pathlib.Path(os.environ.get("GMT_REPO", "/nowhere"))  # a local copy of GMT's repository


def git(*arguments):
    return subprocess.run(["git", "-C", REAL_GMT, *arguments], check=True, capture_output=True, text=True).stdout


@pytest.mark.skipif(not REAL_GMT.is_dir(), reason="GMT_REPO names no copy of GMT's repository")
@pytest.mark.parametrize("release", [since for since, _changes in _releases.RELEASES[:-1]] + ["main"])
def test_the_real_release_has_what_its_record_says(release):
    """Its files are there, and its own example passes with nothing but what a machine must set."""
    record = _releases.merged(release)
    tag = {"v1.4": "v1.4.0"}.get(release, release)
    files = set(git("ls-tree", "-r", "--name-only", tag).splitlines())
    named = [record["client_program"], record["jobs_program"], *record["requirements"], *record["schema_files"]]
    assert {*named, *(helper["src"] for helper in record["helpers"].values())} <= files
    extra = {}
    for path in record["config_required"]:
        _config.set_path(extra, path, 40)
    providers = [
        path.removeprefix("metric_providers/").removesuffix("/provider.py")
        for path in files
        if path.startswith("metric_providers/") and path.endswith("/provider.py")
    ]
    real = yaml.safe_load(git("show", f"{tag}:config.yml.example"))
    config = gmt_config(real, values(), record, extra, providers=providers)
    for name, path in record["config_paths"].items():
        parent = path.rpartition(".")[0]
        assert isinstance(_config.get_path(real, parent), dict), f"{name}: the example has no {parent}"
    assert set(keys(real)) <= set(keys(config))
