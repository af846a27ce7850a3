# SPDX-License-Identifier: GPL-3.0-or-later
"""The inventory plugin: real ansible-inventory and ansible-playbook processes on a real PostgreSQL."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from ansible_collections.greenlab.cluster.plugins.inventory import gmt_machines
from ansible_collections.greenlab.cluster.plugins.inventory.gmt_machines import host_name

pytestmark = pytest.mark.slow  # each test is a run of ansible-inventory

COLLECTIONS = Path(gmt_machines.__file__).parents[4]
NAME = "greenlab.cluster.gmt_machines"


class Inventory:
    """A configuration file, and what Ansible makes of it."""

    def __init__(self, folder: Path, login: dict[str, Any]) -> None:
        self.folder = folder
        self.path = folder / "gmt_machines.yml"
        self.login = login
        self.environment = dict(
            os.environ,
            ANSIBLE_COLLECTIONS_PATH=str(COLLECTIONS.parent),
            ANSIBLE_HOME=str(folder),
            ANSIBLE_INVENTORY_ANY_UNPARSED_IS_FAILED="true",
            ANSIBLE_LOCALHOST_WARNING="false",
        )

    def write(self, text: str = "", **options: Any) -> None:
        self.path.write_text(yaml.safe_dump({"plugin": NAME, **self.login, **options}) + text, encoding="utf8")

    def call(self, program: str, *args: str, **environment: str) -> subprocess.CompletedProcess[str]:
        command = [str(Path(sys.executable).parent / program), "-i", str(self.path), *args]
        return subprocess.run(
            command,
            cwd=self.folder,
            env={**self.environment, **environment},
            capture_output=True,
            encoding="utf8",
            check=False,
        )

    def list(self, *args: str, **environment: str) -> dict[str, Any]:
        done = self.call("ansible-inventory", "--list", *args, **environment)
        assert done.returncode == 0, done.stderr
        assert "WARNING" not in done.stderr
        # --list marks which texts are data and never a template.
        return json.loads(done.stdout, object_hook=lambda found: found.get("__ansible_unsafe", found))

    def fails(self, *args: str) -> str:
        done = self.call("ansible-inventory", "--list", *args)
        assert done.returncode != 0
        return " ".join(done.stderr.split())


@pytest.fixture
def inventory(tmp_path: Path, jobs_db: Any) -> Inventory:
    made = Inventory(tmp_path, jobs_db.login)
    made.write()
    return made


@pytest.fixture
def add(jobs_db: Any) -> Callable[..., None]:
    jobs_db.sql("DELETE FROM jobs; DELETE FROM machines")

    def add_machine(machine_id: int, description: str, available: bool = True, status: str | None = None) -> None:
        jobs_db.sql(
            "INSERT INTO machines (id, description, available, status_code) VALUES (%s, %s, %s, %s)",
            machine_id,
            description,
            available,
            status,
        )

    return add_machine


# Hosts and groups -----------------------------------------------------------------------------------------------------


def test_hosts_groups_and_variables(inventory: Inventory, jobs_db: Any, add: Any) -> None:
    add(1, "Dell R640", True, "job_no")
    add(2, "Raspberry Pi 5", False, "job_start")
    add(3, "warm", True, "warmup")
    add(4, "new")
    jobs_db.sql("INSERT INTO jobs (type, machine_id, user_id) VALUES ('run', 2, 1), ('run', 2, 1)")
    listed = inventory.list()
    assert listed["available"]["hosts"] == ["dell-r640", "warm", "new"]
    assert listed["retired"]["hosts"] == ["raspberry-pi-5"]
    assert listed["idle"]["hosts"] == ["dell-r640"]
    assert listed["measuring"]["hosts"] == ["raspberry-pi-5"]
    assert listed["transient"]["hosts"] == ["warm"]
    assert listed["unknown"]["hosts"] == ["new"]
    variables = listed["_meta"]["hostvars"]["raspberry-pi-5"]
    variables.pop("ansible_local", None)  # Ansible's own
    assert variables.pop("gmt_machine_updated_at", None) is None
    assert variables == {
        "gmt_machine_id": 2,
        "gmt_machine_description": "Raspberry Pi 5",
        "gmt_machine_available": False,
        "gmt_machine_state": "measuring",
        "gmt_machine_status_code": "job_start",
        "gmt_machine_status_since": None,
        "gmt_machine_last_status": None,
        "gmt_machine_jobs_waiting": 2,
        "gmt_machine_jobs_running": 0,
        "gmt_machine_running_job": None,
        "gmt_machine_gmt_hash": None,
        "gmt_machine_current_temperature": None,
        "gmt_machine_base_temperature": None,
        "gmt_machine_needs_revalidation": False,
        "gmt_machine_shutdown_on_job_no": None,
        "gmt_machine_held_by": None,
        "gmt_machine_held_for": None,
        "gmt_machine_held_since": None,
    }


def test_empty_groups_exist(inventory: Inventory, add: Any) -> None:
    done = inventory.call("ansible", "idle:measuring", "--list-hosts")
    assert "hosts (0)" in done.stdout
    assert "Could not match" not in done.stderr


def test_first_release(tmp_path: Path, old_jobs_db: Any) -> None:
    old_jobs_db.sql("INSERT INTO machines (id, description, available) VALUES (9, 'Pi', true)")
    inventory = Inventory(tmp_path, old_jobs_db.login)
    inventory.write()
    assert inventory.list()["_meta"]["hostvars"]["pi"]["gmt_machine_id"] == 9


@pytest.mark.parametrize(
    ("description", "name"),
    [
        ("Dell R640", "dell-r640"),
        ("  Büro – Pi (8 GB)!  ", "buro-pi-8-gb"),
        ("树莓派", "machine7"),
        ("", "machine7"),
        ("localhost", "machine7"),
        ("All", "machine7"),
        ("idle", "machine7"),
        # No description may lead Ansible to a computer of somebody's choice.
        ("evil.example.org", "evil-example-org"),
        ("127.0.0.1", "machine-127-0-0-1"),
        ("2130706433", "machine-2130706433"),
        ("0x7f000001", "machine-0x7f000001"),
        ("::1", "machine-1"),
        ("x -o ProxyCommand=touch", "x-o-proxycommand-touch"),
        ("a" * 62 + " b", "a" * 62),
    ],
)
def test_host_names(description: str, name: str) -> None:
    assert host_name(7, description) == name


def test_hosts_by_id(inventory: Inventory, add: Any) -> None:
    add(1, "Pi")
    add(2, "Pi")
    inventory.write(hostname="id")
    assert inventory.list()["available"]["hosts"] == ["machine1", "machine2"]


def test_collisions_name_both(inventory: Inventory, add: Any) -> None:
    add(1, "Pi 5")
    add(2, "pi-5")
    add(3, "machine4")
    add(4, "???")
    message = inventory.fails()
    assert "Machines 1 ('Pi 5') and 2 ('pi-5') would both be host pi-5." in message
    assert "Machines 3 ('machine4') and 4 ('???') would both be host machine4." in message
    assert "or set hostname: id" in message


def test_hostile_descriptions_are_never_templates(inventory: Inventory, add: Any, tmp_path: Path) -> None:
    hostile = "{{ lookup('ansible.builtin.pipe', 'touch pwned; echo ran') }} {% set x = 1 %} $(touch pwned)"
    add(1, hostile, True, "{{ lookup('ansible.builtin.pipe', 'touch pwned') }}")
    inventory.write(
        compose={"copied": "gmt_machine_description", "longer": "gmt_machine_description ~ '!'"},
        groups={"odd": "'lookup' in gmt_machine_description"},
        keyed_groups=[{"key": "gmt_machine_description", "prefix": "d"}],
    )
    listed = inventory.list("--limit", "odd")
    (variables,) = listed["_meta"]["hostvars"].values()

    assert variables["gmt_machine_description"] == variables["copied"] == hostile
    assert variables["longer"] == f"{hostile}!"
    playbook = tmp_path / "play.yml"
    show = {"ansible.builtin.debug": {"msg": "<{{ gmt_machine_description }}|{{ copied }}|{{ longer }}>"}}
    where = {"ansible.builtin.copy": {"content": "{{ copied }}", "dest": str(tmp_path / "copied")}}
    play = [{"hosts": "all", "connection": "local", "gather_facts": False, "tasks": [show, where]}]
    playbook.write_text(json.dumps(play), encoding="utf8")
    done = inventory.call("ansible-playbook", "-e", f"ansible_python_interpreter={sys.executable}", str(playbook))
    assert done.returncode == 0, done.stdout + done.stderr
    assert (tmp_path / "copied").read_text(encoding="utf8") == hostile
    assert not (tmp_path / "pwned").exists()


def test_constructed(inventory: Inventory, add: Any) -> None:
    add(1, "Pi", True, "job_no")
    add(2, "Dell", True, "job_start")
    inventory.write(
        compose={"ansible_host": "'node-%03d.example.org' | format(gmt_machine_id)"},
        groups={"even": "gmt_machine_id is divisibleby 2"},
        keyed_groups=[{"key": "gmt_machine_status_code", "prefix": "status"}],
    )
    listed = inventory.list()
    assert listed["_meta"]["hostvars"]["pi"]["ansible_host"] == "node-001.example.org"
    assert listed["even"]["hosts"] == ["dell"]
    assert listed["status_job_no"]["hosts"] == ["pi"]
    inventory.write(compose={"x": "nowhere.defined"})
    assert "x" not in inventory.list()["_meta"]["hostvars"]["pi"]
    inventory.write(compose={"x": "nowhere.defined"}, strict=True)
    assert "nowhere" in inventory.fails()


# Configuration --------------------------------------------------------------------------------------------------------


@pytest.fixture
def reader(postgres: Any, jobs_db: Any) -> Any:
    """A role that must show a password."""
    hba = Path(postgres.host) / "data/pg_hba.conf"
    trusting = hba.read_text(encoding="utf8")
    hba.write_text(f"local all inventory_reader scram-sha-256\n{trusting}", encoding="utf8")
    postgres.psql(stdin="CREATE ROLE inventory_reader LOGIN PASSWORD 'sec ret'; SELECT pg_reload_conf()")
    jobs_db.sql("GRANT SELECT ON machines, jobs, client_status TO inventory_reader")
    yield {**jobs_db.login, "login_user": "inventory_reader"}
    hba.write_text(trusting, encoding="utf8")
    jobs_db.sql("DROP OWNED BY inventory_reader")
    postgres.psql(stdin="DROP ROLE inventory_reader; SELECT pg_reload_conf()")


def test_password_from_file_environment_lookup_and_vault(inventory: Inventory, reader: Any, tmp_path: Path) -> None:
    """SELECT on three tables is all the inventory needs."""
    inventory.login = reader
    inventory.write()
    assert "the password is wrong or missing" in inventory.fails()
    assert inventory.list(GMT_JOBS_DB_PASSWORD="sec ret")["available"]
    inventory.write(login_password="sec ret")
    assert inventory.list()["available"]
    inventory.write(login_password="{{ lookup('ansible.builtin.env', 'MINE') }}")
    assert inventory.list(MINE="sec ret")["available"]
    key = tmp_path / "key"
    key.write_text("vault key", encoding="utf8")
    vault = [str(Path(sys.executable).parent / "ansible-vault"), "encrypt_string", "--vault-password-file", str(key)]
    secret = subprocess.run(
        [*vault, "sec ret", "--name", "login_password"], check=True, capture_output=True, encoding="utf8"
    ).stdout
    inventory.write(text=secret)
    assert inventory.list("--vault-password-file", str(key))["available"]
    inventory.write(login_password="wrong-hunter2")
    message = inventory.fails("-vvv")
    assert "the password is wrong or missing" in message
    assert "hunter2" not in message


def test_errors_are_those_of_the_modules(inventory: Inventory) -> None:
    inventory.write(login_db="nothing here")
    assert "There is no database 'nothing here'" in inventory.fails()
    inventory.write(hostname="mac")
    assert "hostname" in inventory.fails()


def test_only_files_with_our_name(inventory: Inventory, tmp_path: Path) -> None:
    plugin = gmt_machines.InventoryModule()
    for name, ours in ("gmt_machines.yml", True), ("lab.gmt_machines.yaml", True), ("machines.yml", False):
        path = tmp_path / name
        path.write_text("", encoding="utf8")
        assert plugin.verify_file(str(path)) == ours
    assert not plugin.verify_file(str(tmp_path / "nowhere/gmt_machines.yml"))


def test_cache(inventory: Inventory, jobs_db: Any, add: Any, tmp_path: Path) -> None:
    hostile = "{{ 7 * 7 }}"
    add(1, hostile)
    inventory.write(
        cache=True,
        cache_plugin="ansible.builtin.jsonfile",
        cache_connection=str(tmp_path / "cache"),
        compose={"copied": "gmt_machine_description"},
    )
    first = inventory.list()
    jobs_db.sql("UPDATE machines SET available = false")
    assert inventory.list() == first
    assert inventory.list("--flush-cache")["retired"]["hosts"] == ["machine-7-7"]
    # What comes from the file is no template either, whoever wrote it.
    inventory.write(cache=True, cache_plugin="ansible.builtin.jsonfile", cache_connection=str(tmp_path / "cache"))
    done = inventory.call(
        "ansible", "all", "-c", "local", "-m", "ansible.builtin.debug", "-a", "var=gmt_machine_description"
    )
    assert hostile in done.stdout
    assert "49" not in done.stdout


def test_five_thousand_machines(inventory: Inventory, jobs_db: Any) -> None:
    jobs_db.sql(
        "INSERT INTO machines (id, description, available, status_code)"
        " SELECT n, 'Machine No. ' || n, n % 2 = 0, 'job_no' FROM generate_series(2, 5000) AS n;"
        " INSERT INTO jobs (type, machine_id, user_id) SELECT 'run', n, 1 FROM generate_series(1, 5000) AS n"
    )
    inventory.write()
    script = inventory.folder / "parse.py"
    script.write_text(PARSE, encoding="utf8")
    done = subprocess.run(
        [sys.executable, script, NAME, inventory.path],
        env=inventory.environment,
        capture_output=True,
        encoding="utf8",
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert (found["hosts"], found["idle"]) == (5000, 4999)
    assert found["seconds"] < 2


# Ansible's own start is not what is measured.
PARSE = """
import json, sys, time
from ansible.inventory.data import InventoryData
from ansible.parsing.dataloader import DataLoader
from ansible.plugins.loader import init_plugin_loader, inventory_loader

init_plugin_loader()
data, plugin = InventoryData(), inventory_loader.get(sys.argv[1])
began = time.process_time()  # other work on this computer does not count
plugin.parse(data, DataLoader(), sys.argv[2], cache=False)
seconds = time.process_time() - began
print(json.dumps({"seconds": seconds, "hosts": len(data.hosts), "idle": len(data.groups["idle"].hosts)}))
"""
