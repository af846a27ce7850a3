# Copyright (c) 2026, the greenlab.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Preflight in real runs of ansible-playbook: what is printed, the exit status, and that no host was contacted.

The hosts' ssh is a program that writes down its arguments. A second play connects to every host, so a test that says
"not contacted" would see it if preflight let the run go on.
"""

from __future__ import annotations

import itertools
import json
import os
import re
import subprocess
import sys
import typing as t
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

import pytest
import yaml
from ansible_collections.greenlab import cluster

pytestmark = pytest.mark.slow  # each test is a run of ansible-playbook

COLLECTIONS = Path(next(iter(cluster.__path__))).parents[2]
BIN = Path(sys.executable).parent

SPECS = """
argument_specs:
  main:
    options:
      gmt_machine_id: {type: int, required: true}
      gmt_mode: {type: str, choices: [client, cron], default: client}
      gmt_pin: {type: int, no_log: true}
      gmt_db_password: {type: str, no_log: true}
      gmt_packages: {type: list, elements: str}
"""

GROUPS = {
    "jobs_db": {"min_hosts": 1, "max_hosts": 1, "required": ["gmt_db_password"]},
    "machines": {
        "roles": ["gmt"],
        "required": ["gmt_machine_id", "gmt_machine_description"],
        "values": {
            "gmt_machine_id": {"type": "int", "min": 1, "max": 1024, "unique": True},
            "gmt_machine_description": {"type": "str", "not_empty": True, "single_line": True, "unique": True},
            "wake_target_mac": {"type": "mac", "unique": True},
            "ansible_host": {"unique": True},
        },
        "exclusive": [["gmt_client_enabled", "gmt_cron_enabled"]],
    },
}


def machine(number: int, **variables: t.Any) -> dict[str, t.Any]:
    return {
        "ansible_host": f"203.0.113.{number}",
        "gmt_machine_id": number,
        "gmt_machine_description": f"Machine {number}",
        "wake_target_mac": f"52:54:00:00:00:{number:02x}",
        **variables,
    }


@dataclass
class Run:
    """What a run of ansible-playbook left behind."""

    status: int
    output: str
    contacted: str  # the arguments of every call of ssh

    @property
    def result(self) -> dict[str, t.Any]:
        """Return the result of the failed task."""
        line = next(line for line in self.output.splitlines() if line.startswith("fatal: "))
        return json.loads(line.split(" => ", 1)[1])

    @property
    def errors(self) -> list[str]:
        """Return the lines that the task prints before it fails, without file and line."""
        task = self.output.split("TASK [", 1)[1].splitlines()[1:]
        named = itertools.takewhile(
            lambda line: line and not line.startswith(("[ERROR]", "[WARNING]", "fatal: ")), task
        )
        return [re.sub(r" \(in [^()]+\)$", "", line) for line in named]

    def assert_refused(self, *lines: str) -> None:
        """Check the whole message, that the run ended with it, and that nothing was contacted."""
        count = "1 problem" if len(lines) == 1 else f"{len(lines)} problems"
        assert self.errors == list(lines)
        assert self.result["msg"] == f"{count} in the inventory, named above; nothing was contacted or changed."
        assert self.result["changed"] is False
        assert self.status == 2, self.output
        assert self.contacted == ""
        assert "PLAY [Contact every host]" not in self.output


class Site:
    """A folder with an inventory, a role's specification and a playbook."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.task: dict[str, t.Any] = {"groups": GROUPS, "roles_path": str(path / "roles")}
        self.all: dict[str, t.Any] = {"gmt_db_password": "s3cret"}
        self.jobs_db: dict[str, t.Any] = {"server": {"ansible_host": "203.0.113.200"}}
        self.machines: dict[str, t.Any] = {"machine1": machine(1), "machine2": machine(2)}
        self.vars_text = ""  # group_vars/all, for YAML tags
        self.run_once = True

    def run(self, *arguments: str) -> Run:
        meta = self.path / "roles/gmt/meta"
        meta.mkdir(parents=True, exist_ok=True)
        (meta / "argument_specs.yml").write_text(SPECS, encoding="utf8")
        ssh = self.path / "ssh"
        ssh.write_text(f'#!/bin/sh\necho "$@" >>"{self.path}/contacted"\nexit 255\n', encoding="utf8")
        ssh.chmod(0o755)
        inventory = {
            "all": {
                "vars": {"ansible_ssh_executable": str(ssh), "ansible_ssh_retries": 0, **self.all},
                "children": {"jobs_db": {"hosts": self.jobs_db}, "machines": {"hosts": self.machines}},
            }
        }
        playbook: list[dict[str, t.Any]] = [
            {
                "name": "Check the inventory",
                "hosts": "all",
                "gather_facts": False,
                "tasks": [{"greenlab.cluster.preflight": self.task, "run_once": self.run_once}],
            },
            {
                "name": "Contact every host",
                "hosts": "all",
                "gather_facts": False,
                "tasks": [{"ansible.builtin.ping": {}}],
            },
        ]
        (self.path / "group_vars").mkdir(exist_ok=True)
        (self.path / "group_vars/all.yml").write_text(self.vars_text, encoding="utf8")
        (self.path / "hosts.yml").write_text(yaml.safe_dump(inventory, allow_unicode=True), encoding="utf8")
        (self.path / "site.yml").write_text(yaml.safe_dump(playbook), encoding="utf8")
        (self.path / "ansible.cfg").touch()
        environment = {
            **{name: value for name, value in os.environ.items() if not name.startswith("ANSIBLE_")},
            "ANSIBLE_COLLECTIONS_PATH": str(COLLECTIONS),
            "ANSIBLE_CONFIG": str(self.path / "ansible.cfg"),
            "ANSIBLE_LOCAL_TEMP": str(self.path / "tmp"),
            "ANSIBLE_NOCOLOR": "1",
            "LC_ALL": "C.UTF-8",
        }
        done = subprocess.run(
            [str(BIN / "ansible-playbook"), "-i", "hosts.yml", "site.yml", *arguments],
            cwd=self.path,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf8",
            check=False,
        )
        contacted = self.path / "contacted"
        return Run(done.returncode, done.stdout, contacted.read_text(encoding="utf8") if contacted.exists() else "")


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def test_a_good_inventory_passes_and_the_next_play_connects(site: Site) -> None:
    run = site.run()
    assert "PLAY [Contact every host]" in run.output
    assert all(f"203.0.113.{number}" in run.contacted for number in (1, 2, 200))
    assert run.status == 4, run.output  # our ssh reaches nobody


@pytest.mark.skipif(version("ansible-core") < "2.19", reason="knows no lines")
def test_file_and_line_of_a_value_are_printed(site: Site) -> None:
    site.vars_text = "# first line\ngmt_mode: con\ngmt_mashine: [1]\n"
    output = site.run().output
    assert "Did you mean cron? (in group_vars/all.yml, line 2)\n" in output
    assert "gmt_machine_id? (in group_vars/all.yml, line 3)\n" in output


def test_limit_still_finds_the_fault_of_another_machine(site: Site) -> None:
    site.machines["machine2"]["gmt_machine_id"] = "one"
    run = site.run("--limit", "machine1")
    run.assert_refused(
        "machine2: gmt_machine_id = 'one' is not an integer. Give a whole number from 1 to 1024 without quotes."
    )
    assert run.result["checked"] == 3


def test_limit_finds_of_another_machine_what_concerns_the_cluster_and_no_more(site: Site) -> None:
    site.task["groups"] = {**GROUPS, "machines": {**GROUPS["machines"], "read_by": ["wake_host"]}}
    fault = "machine2: gmt_mode = 'con' is not one of 'client', 'cron', which role gmt knows. Did you mean cron?"
    site.machines["machine2"]["gmt_mode"] = "con"
    site.run("--limit", "machine2").assert_refused(fault)
    assert "PLAY [Contact every host]" in site.run("--limit", "machine1").output
    (site.path / "contacted").unlink()
    site.machines["machine2"]["gmt_machine_description"] = "Machine 1"
    run = site.run("--limit", "machine1")
    run.assert_refused(
        "machine1, machine2: gmt_machine_description = 'Machine 1' is used by 2 hosts. Give each host its own."
    )
    assert (run.result["checked"], run.result["checked_essentials"]) == (2, 1)


@pytest.mark.parametrize("run_once", [True, False])
def test_all_faults_are_printed_together_and_once(site: Site, run_once: bool) -> None:
    site.run_once = run_once
    site.jobs_db["server2"] = {}
    site.all["gmt_mashine_id"] = 7
    site.machines = {
        "machine1": machine(1, gmt_machine_description="Box\n", gmt_mode="con"),
        "machine2": machine(1, wake_target_mac="52-54-00-00-00-03", gmt_client_enabled=True, gmt_cron_enabled=True),
        "machine3": machine(3, gmt_machine_id=None, gmt_pin="12x"),
    }
    run = site.run()
    run.assert_refused(
        "group jobs_db has 2 hosts (server, server2), but may have at most 1. Take the others out of it.",
        "machine1, machine2: ansible_host = '203.0.113.1' is used by 2 hosts. Give each host its own.",
        "machine1: gmt_machine_description = 'Box\\n' has a line break or another control character in it. "
        "Write it on one line.",
        "machine1, machine2: gmt_machine_id = 1 is used by 2 hosts. Give each host its own.",
        "machine1, machine2 and 3 more: gmt_mashine_id is no option of role gmt. Did you mean gmt_machine_id?",
        "machine1: gmt_mode = 'con' is not one of 'client', 'cron', which role gmt knows. Did you mean cron?",
        "machine2: gmt_client_enabled and gmt_cron_enabled exclude each other. Keep one and set the rest to false.",
        "machine2, machine3: wake_target_mac = '52-54-00-00-00-03' is used by 2 hosts. Give each host its own.",
        "machine3: gmt_machine_id is empty. Give it a value.",
        "machine3: gmt_pin = (hidden) is of the wrong type: role gmt needs a whole number.",
    )
    assert run.output.count("fatal: ") == 1
    assert "12x" not in run.output


def test_check_mode_does_the_same(site: Site) -> None:
    site.machines["machine1"]["gmt_machine_id"] = 1025
    site.run("--check", "--diff").assert_refused(
        "machine1: gmt_machine_id = 1025 is out of range. Give a whole number from 1 to 1024."
    )


def test_an_undefined_name_is_an_error_with_host_variable_and_name(site: Site) -> None:
    site.all["gmt_db_password"] = "{{ vault_gmt_db_password }}"
    site.machines["machine2"]["gmt_machine_id"] = "{{ ids['machine2'] }}"
    site.all["ids"] = {"machine1": 1}
    run = site.run()
    assert run.status == 2 and run.contacted == ""
    first, second = run.errors
    assert first.startswith("machine1, machine2, server: gmt_db_password cannot be read: ")
    assert first.endswith("'vault_gmt_db_password' is undefined. Define it or correct the name.")
    assert second.startswith("machine2: gmt_machine_id cannot be read: has no attribute ")
    assert second.endswith("machine2'. Define it or correct the name.")
    assert "Traceback" not in run.output


def vaulted(path: Path, name: str, text: str) -> str:
    """Return a variable with a value that only the password file "right" opens."""
    (path / "right").write_text("right", encoding="utf8")
    (path / "wrong").write_text("wrong", encoding="utf8")
    command = [
        str(BIN / "ansible-vault"),
        "encrypt_string",
        "--vault-password-file",
        str(path / "right"),
        "-n",
        name,
        text,
    ]
    return subprocess.run(command, check=True, capture_output=True, encoding="utf8").stdout


def test_a_vault_that_cannot_be_opened_is_an_error_and_not_a_traceback(site: Site) -> None:
    site.vars_text = vaulted(site.path, "gmt_pin", "12") + vaulted(site.path, "vault_password", "s3cret")
    site.all["gmt_db_password"] = "{{ vault_password }}"
    run = site.run("--vault-password-file", "wrong")
    sentence = "cannot be decrypted. Give the vault's password with --ask-vault-pass or --vault-id."
    run.assert_refused(
        f"machine1, machine2, server: gmt_db_password {sentence}",
        f"machine1, machine2: gmt_pin {sentence}",
    )
    assert "Traceback" not in run.output


def test_an_opened_vault_is_checked_and_never_shown(site: Site) -> None:
    site.vars_text = vaulted(site.path, "gmt_machine_description", "Secret place")
    for variables in site.machines.values():
        del variables["gmt_machine_description"]
    site.machines["machine1"]["gmt_mode"] = "{{ gmt_machine_description }}"
    run = site.run("--vault-password-file", "right")
    run.assert_refused(
        "machine1, machine2: gmt_machine_description = (hidden) is used by 2 hosts. Give each host its own.",
        "machine1: gmt_mode = (hidden) is not one of 'client', 'cron', which role gmt knows.",
    )
    assert "Secret place" not in run.output


def test_values_are_templated_for_their_own_host(site: Site) -> None:
    site.all["gmt_machine_description"] = "Machine {{ inventory_hostname }} of {{ hostvars['server'].ansible_host }}"
    site.all["number_of_host"] = "{{ groups['machines'].index(inventory_hostname) + 1 }}"
    site.all["gmt_machine_id"] = "{{ number_of_host }}"
    for variables in site.machines.values():
        del variables["gmt_machine_description"], variables["gmt_machine_id"]
    assert site.run().status == 4
    site.all["number_of_host"] = "{{ groups['machines'] | length }}"
    (line,) = site.run().errors
    assert line.startswith("machine1, machine2: gmt_machine_id = ")
    assert line.endswith(" is used by 2 hosts. Give each host its own.")


def test_omit_and_facts_pass(site: Site) -> None:
    site.all["gmt_mode"] = "{{ omit }}"
    site.all["gmt_packages"] = ["{{ ansible_facts.kernel }}", "{{ ansible_kernel }}"]
    assert site.run().status == 4


def test_hostile_values_are_text_and_nothing_more(site: Site) -> None:
    site.vars_text = 'gmt_mode: !unsafe "{{ 1 }}$(touch x)"\n'
    site.machines["machine1"]["gmt_machine_description"] = "$(touch x); 'quoted' \"twice\" \u202e 机器"
    site.machines["machine2"]["gmt_machine_id"] = "`touch x`\n- injected: line"
    run = site.run()
    run.assert_refused(
        "machine1, machine2: gmt_mode = '{{ 1 }}$(touch x)' is not one of 'client', 'cron', which role gmt knows.",
        "machine2: gmt_machine_id = '`touch x`\\n- injected: line' is not an integer. "
        "Give a whole number from 1 to 1024 without quotes.",
    )
    assert not (site.path / "x").exists()


def test_a_missing_group_is_named(site: Site) -> None:
    site.task["groups"] = {**GROUPS, "wake_hosts": {"min_hosts": 1}, "pis": {"required": ["anything"]}}
    site.run().assert_refused(
        "group wake_hosts is missing. Add a group wake_hosts with at least 1 host to the inventory."
    )


def test_extra_vars_are_seen(site: Site) -> None:
    run = site.run("-e", "gmt_mode=con")
    run.assert_refused(
        "machine1, machine2: gmt_mode = 'con' is not one of 'client', 'cron', which role gmt knows. Did you mean cron?"
    )


def test_look_alikes_as_warnings_let_the_run_go_on(site: Site) -> None:
    site.all["gmt_mashine_id"] = 7
    site.task["unknown"] = "warn"
    run = site.run()
    message = "machine1, machine2, server: gmt_mashine_id is no option of role gmt. Did you mean gmt_machine_id?"
    assert f"[WARNING]: {message}" in " ".join(run.output.split())
    assert run.status == 4
    site.task["unknown"] = "error"
    site.task["known"] = ["gmt_mashine_id"]
    assert site.run().status == 4


@pytest.mark.parametrize(
    ("task", "message"),
    [
        ({"groups": {"machines": {"roles": ["gtm"]}}}, "groups.machines.roles: there is no role gtm"),
        ({"groups": {"machines": {"valves": {}}}}, "groups.machines: "),
        ({}, "missing required arguments: groups"),
    ],
)
def test_a_wrong_task_is_refused_before_anything_is_contacted(site: Site, task: dict[str, t.Any], message: str) -> None:
    site.task = {**task, "roles_path": site.task["roles_path"]}
    run = site.run()
    assert message in run.result["msg"]
    assert run.status == 2 and run.contacted == ""


def test_without_roles_path_the_collections_own_roles_are_used(site: Site) -> None:
    del site.task["roles_path"]
    site.task["groups"] = {"machines": {"roles": ["no_such_role"]}}
    assert "there is no role no_such_role" in site.run().result["msg"]


def test_a_thousand_machines_with_two_faults_name_both(site: Site) -> None:
    site.all["gmt_mode"] = "{{ mode_of_all }}"
    site.all["mode_of_all"] = "client"
    site.machines = {
        f"machine{n}": machine(n, ansible_host=f"10.0.{n >> 8}.{n & 255}", wake_target_mac=f"02000000{n:04x}")
        for n in range(1, 1001)
    }
    site.machines["machine500"]["gmt_machine_id"] = "one"
    site.machines["machine777"]["wake_target_mac"] = "02:00:00:00:00:03"
    run = site.run()
    run.assert_refused(
        "machine3, machine777: wake_target_mac = '020000000003' is used by 2 hosts. Give each host its own.",
        "machine500: gmt_machine_id = 'one' is not an integer. Give a whole number from 1 to 1024 without quotes.",
    )
    assert run.result["checked"] == 1001
