# SPDX-License-Identifier: GPL-3.0-or-later
"""What playbook init writes, and that the folder works: real runs, without any inventory."""

from __future__ import annotations

import configparser
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from ansible_collections.greenlab import cluster

pytestmark = pytest.mark.slow  # each test is a run of ansible-playbook or a fixture's

COLLECTIONS = Path(next(iter(cluster.__path__))).parents[2]
BIN = Path(sys.executable).parent
INVENTORIES = Path(__file__).resolve().parents[2] / "inventories"
CHOICES = ["example", "single", "compile"]
WRITTEN = {".gitignore", ".vault_password", "ansible.cfg", "inventory", "requirements.yml", "site.yml"}
VAULT = "inventory/group_vars/all/vault.yml"


def run(folder: Path, *command: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run a program of Ansible in a folder, as a user whose only setting is where the collections are."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("ANSIBLE_", "GREENLAB_"))}
    return subprocess.run(
        [BIN / command[0], *command[1:]],
        cwd=folder,
        env={**kept, "ANSIBLE_COLLECTIONS_PATH": str(COLLECTIONS), "ANSIBLE_NOCOLOR": "1", **variables},
        capture_output=True,
        text=True,
        check=False,
    )


def init(folder: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return run(folder, "ansible-playbook", "greenlab.cluster.init", *arguments, **variables)


def files(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def secrets(folder: Path) -> dict[str, str]:
    """Return what is in the vault, read as an operator does: without an option."""
    done = run(folder, "ansible-vault", "view", VAULT)
    assert done.returncode == 0, done.stderr
    return yaml.safe_load(done.stdout)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with one cluster of each kind, and what was printed meanwhile."""
    folder = tmp_path_factory.mktemp("made")
    for choice in CHOICES:
        done = init(folder, "-e", f"dest={choice}", *(["-e", f"inventory={choice}"] if choice != "example" else []))
        assert done.returncode == 0, done.stdout + done.stderr
        (folder / f"{choice}.log").write_text(done.stdout + done.stderr, encoding="utf8")
    return folder


@pytest.mark.parametrize("choice", CHOICES)
def test_the_inventory_is_the_collections_own_with_comments(made: Path, choice: str):
    folder = made / choice
    assert {path.name for path in folder.iterdir()} == WRITTEN
    copied, source = files(folder / "inventory"), files(INVENTORIES / choice)
    assert copied.keys() == source.keys()
    copied.pop("group_vars/all/vault.yml", None)
    assert copied.items() <= source.items()


@pytest.mark.parametrize("choice", CHOICES)
def test_only_the_owner_reads_the_password_and_git_ignores_it(made: Path, choice: str):
    folder = made / choice
    assert (folder / ".vault_password").stat().st_mode & 0o777 == 0o600
    assert re.fullmatch(r"[A-Za-z0-9]{32,}\n", (folder / ".vault_password").read_text())
    subprocess.run(["git", "init", "--quiet", folder], check=True)
    listed = ["git", "-C", folder, "ls-files", "--others", "--exclude-standard"]
    known = subprocess.run(listed, capture_output=True, text=True, check=True).stdout.splitlines()
    assert ".vault_password" not in known
    assert {"ansible.cfg", ".gitignore", "site.yml", "requirements.yml", "inventory/hosts.yml"} <= set(known)


@pytest.mark.parametrize("choice", CHOICES)
def test_no_file_names_this_computer(made: Path, choice: str):
    for name, content in files(made / choice).items():
        if not name.startswith(".git/"):
            assert str(made).encode() not in content, name


@pytest.mark.parametrize("choice", ["example", "single"])
def test_the_databases_password_is_random_and_was_never_shown(made: Path, choice: str):
    folder = made / choice
    assert (folder / VAULT).read_text(encoding="utf8").startswith("$ANSIBLE_VAULT;")
    password = secrets(folder)["vault_gmt_db_password"]
    assert re.fullmatch(r"[A-Za-z0-9]{32,}", password)
    printed = (made / f"{choice}.log").read_text(encoding="utf8")
    assert password not in printed
    assert (folder / ".vault_password").read_text().strip() not in printed


def test_each_run_chooses_other_passwords(made: Path):
    passwords = [secrets(made / choice)["vault_gmt_db_password"] for choice in ("example", "single")]
    passwords += [(made / choice / ".vault_password").read_text().strip() for choice in CHOICES]
    assert len(set(passwords)) == 5


@pytest.mark.parametrize("choice", CHOICES)
def test_the_inventory_parses_without_an_option(made: Path, choice: str):
    done = run(made / choice, "ansible-inventory", "--list")
    assert done.returncode == 0, done.stderr
    hosts = set(json.loads(done.stdout)["_meta"]["hostvars"])
    assert hosts >= {"example": {"server", "machine1"}, "single": {"workstation"}, "compile": {"head"}}[choice]
    assert "WARNING" not in done.stderr


def test_a_playbook_runs_in_the_folder_without_an_option(made: Path):
    done = run(made / "example", "ansible-playbook", "--syntax-check", "greenlab.cluster.site", "site.yml")
    assert done.returncode == 0, done.stdout + done.stderr


def test_preflight_names_what_is_to_fill_in(made: Path):
    done = run(made / "example", "ansible-playbook", "greenlab.cluster.preflight")
    assert done.returncode == 2
    for host, address in {"server": "192.0.2.10", "machine1": "192.0.2.11", "machine2": "192.0.2.12"}.items():
        assert re.search(rf"{host}.*ansible_host.*{re.escape(address)}", done.stdout), done.stdout
    assert "gmt_db_password" not in done.stdout


@pytest.mark.parametrize("choice", ["example", "single"])
def test_a_machine_is_given_the_docker_in_which_it_measures(choice: str):
    text = (INVENTORIES / choice / "group_vars/all/main.yml").read_text(encoding="utf8")
    assert {"docker", "quiet_os"} <= set(yaml.safe_load(text)["machine_parts"])


def test_a_broken_inventory_is_an_error(made: Path, tmp_path: Path):
    for name, content in files(made / "single").items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(content)
    (tmp_path / "inventory/hosts.yml").write_text("machines:\n\thosts:\n")
    done = run(tmp_path, "ansible-playbook", "greenlab.cluster.preflight")
    assert done.returncode != 0
    assert "hosts.yml" in done.stderr


def test_the_settings_say_what_the_checkouts_own_say(made: Path):
    """Another setting of the checkout's ansible.cfg is forgotten in one place only."""
    ours, users = configparser.ConfigParser(), configparser.ConfigParser()
    ours.read(INVENTORIES.parent / "ansible.cfg")
    users.read(made / "example/ansible.cfg")
    for section in ours.sections():
        for name, value in ours[section].items():
            if name not in ("inventory", "collections_path"):
                assert users[section].get(name) == value or value == "false", name
    assert users["inventory"] == {"any_unparsed_is_failed": "true", "unparsed_is_failed": "true"}


def test_a_link_is_not_written_through(tmp_path: Path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine/.vault_password").symlink_to(tmp_path / "elsewhere")
    done = init(tmp_path, "-e", "dest=mine")
    assert done.returncode == 2
    assert f"There already: {tmp_path}/mine/.vault_password. Nothing was written. Give another folder" in done.stdout
    assert [path.name for path in tmp_path.rglob("*")] == ["mine", ".vault_password"]


def test_a_second_run_changes_nothing(made: Path):
    before = files(made / "example")
    done = init(made, "-e", "dest=example")
    assert done.returncode == 2
    for name in WRITTEN:
        assert f"{made}/example/{name}" in done.stdout
    assert files(made / "example") == before


def test_an_empty_folder_and_a_path_will_do(tmp_path: Path):
    (tmp_path / "a/b").mkdir(parents=True)
    done = init(tmp_path / "a/b", "-e", "dest=.", GREENLAB_URL="https://git.example.org/x.git")
    assert done.returncode == 0, done.stdout + done.stderr
    assert {path.name for path in (tmp_path / "a/b").iterdir()} == WRITTEN
    wanted = yaml.safe_load((tmp_path / "a/b/requirements.yml").read_text(encoding="utf8"))["collections"]
    assert wanted == [{"name": "https://git.example.org/x.git", "type": "git", "version": "HEAD"}]


def test_check_mode_writes_nothing(tmp_path: Path):
    done = init(tmp_path, "-e", "dest=mine", "--check", "--diff")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "changed=0" not in done.stdout
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("arguments", [[], ["-e", "dest="], ["-e", "dest=mine", "-e", "inventory=lab"]])
def test_what_is_asked_for_wrongly_is_refused_with_a_remedy(tmp_path: Path, arguments: list[str]):
    done = init(tmp_path, *arguments)
    assert done.returncode == 2
    assert "ansible-playbook greenlab.cluster.init -e dest=mycluster -e inventory=compile|example|single" in done.stdout
    assert not list(tmp_path.iterdir())
