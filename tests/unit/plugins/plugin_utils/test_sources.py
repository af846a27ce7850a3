# SPDX-License-Identifier: GPL-3.0-or-later
"""What is wrong with an inventory's files, without a run of Ansible."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible.parsing.dataloader import DataLoader

from ansible_collections.greenlab.cluster.plugins.plugin_utils import _sources

COMPARE = "Compare the indentation and the colons of this line and of the lines before it."


@pytest.mark.parametrize(
    ("text", "number", "says"),
    [
        ("machines:\n  hosts:\n\tmachine1:\n", 3, "a tab. Indent with blanks."),
        ("machines:\n  hosts:\n    machine1:\n   ansible_host: 10.0.0.1\n", 4, COMPARE),
        ("machines:\n  hosts:\n    machine1\n      ansible_host: 10.0.0.1\n", 4, COMPARE),
        ("machines:\n  hosts: [machine1\n", 3, COMPARE),
        ("", 0, "is empty. Write groups and hosts into it."),
        ("---\n# nothing yet\n", 0, "is empty. Write groups and hosts into it."),
        ("- machine1\n", 1, "is no dictionary of groups."),
        ("machines:\nhosts:\n  machine1:\n", 2, "hosts is not below a group. Indent it"),
        ("machines: machine1\n", 1, "group machines is no dictionary."),
        (
            "machines:\n  host:\n    machine1:\n",
            2,
            "group machines has host, but may have hosts, children and vars only. Did",
        ),
        (
            "machines:\n  machine1:\n",
            2,
            "group machines has machine1, but may have hosts, children and vars only. Correct",
        ),
        (
            "machines:\n  hosts:\n    - machine1\n",
            3,
            "hosts of group machines is no dictionary. Write each name with a colon",
        ),
        (
            "machines:\n  hosts:\n    m1:\n    ansible_host: secret\n",
            4,
            "host ansible_host of group machines has a value.",
        ),
        ("all:\n  children:\n    machines:\n      hosts: m1\n", 4, "hosts of group machines is no dictionary."),
    ],
)
def test_a_mistake_is_named_with_its_line_and_without_values(text: str, number: int, says: str) -> None:
    ((line, problem),) = _sources.of_yaml(text)
    assert line == number
    assert says in problem
    assert "secret" not in problem


@pytest.mark.parametrize(
    "text",
    [
        "machines:\n  hosts:\n    machine1:\n    machine2: {x: !vault abc, y: !unsafe '{{'}\n  vars:\n",
        "all:\n  vars: {a: 1}\n  children:\n    machines:\n    jobs_db: {hosts: {server: }}\n",
        "x: &x {vars: {a: 1}}\nmachines:\n  <<: *x\n  hosts:\n",
        "plugin: greenlab.cluster.gmt_machines\nhosts: anything\n",
        '{"machines": {"hosts": {"machine1": {}}}}',
    ],
)
def test_what_ansible_takes_passes(text: str) -> None:
    assert _sources.of_yaml(text) == []


def test_a_file_that_ansible_could_read_in_another_format_passes(tmp_path: Path) -> None:
    ini = tmp_path / "hosts"
    ini.write_text("[machines]\nmachine1 ansible_host=10.0.0.1\n", encoding="utf8")
    (tmp_path / "group_vars").mkdir()
    (tmp_path / "group_vars/all.yml").write_text("- none of an inventory's forms\n", encoding="utf8")
    (tmp_path / "README.md").write_text("no inventory\n", encoding="utf8")
    assert _sources.problems(DataLoader(), [str(tmp_path), "machine1,"], [str(ini)]) == []


def test_what_ansible_says_of_another_format_is_passed_on(tmp_path: Path) -> None:
    ini = tmp_path / "hosts.ini"
    ini.write_text("[machines]\nmachine1 10.0.0.1\n", encoding="utf8")
    (line,) = _sources.problems(DataLoader(), [str(ini)], [])
    assert line.startswith(str(ini))
    assert "Expected key=value host variable assignment, got: 10.0.0.1" in line


def test_a_path_that_is_not_there_and_a_folder_without_an_inventory(tmp_path: Path) -> None:
    (tmp_path / "group_vars").mkdir()
    lines = _sources.problems(DataLoader(), [str(tmp_path / "hosst.yml"), str(tmp_path)], [])
    assert lines == [
        f"{tmp_path}/hosst.yml: there is no such file or folder. Name your inventory with -i, or in ansible.cfg.",
        f"{tmp_path}: the folder has no inventory in it. Write its hosts into hosts.yml there.",
    ]


def test_what_an_inventory_plugin_says_is_passed_on(tmp_path: Path) -> None:
    settings = tmp_path / "gmt.yml"
    settings.write_text("plugin: greenlab.cluster.no_such_plugin\n", encoding="utf8")
    (line,) = _sources.problems(DataLoader(), [str(settings)], [])
    assert line.startswith(f"{settings}: ")
    assert "greenlab.cluster.no_such_plugin" in line


def test_a_script_that_fails_is_named(tmp_path: Path) -> None:
    script = tmp_path / "hosts.py"
    script.write_text("#!/bin/sh\necho no database >&2\nexit 1\n", encoding="utf8")
    script.chmod(0o755)
    (line,) = _sources.problems(DataLoader(), [str(script)], [])
    assert line.startswith(f"{script}: Inventory script ")


def test_an_inventory_without_hosts_to_work_on_is_explained() -> None:
    members = {"all": ["m1"], "ungrouped": [], "machine": ["m1"], "machines": []}
    text = _sources.nothing_to_do(["jobs_db", "machines"], members, lambda _group: True, "")
    assert text.startswith("no host in the groups jobs_db, machines, so there is nothing to do.")
    assert "It has machine (did you mean machines?)." in text
    members = {"all": ["m1", "pi"], "machines": ["m1"], "wake_host": ["pi"]}
    assert _sources.nothing_to_do(["machines"], members, lambda group: group == "machines", "m1") == ""
    text = _sources.nothing_to_do(["machines"], members, lambda _group: False, "pi")
    assert text == "--limit pi leaves no host of group machines, so there is nothing to do. Name a host of it."


def test_a_misspelt_file_of_group_vars_is_named(tmp_path: Path) -> None:
    (tmp_path / "group_vars").mkdir()
    for name in ("machine.yml", "all.yml", "Jobs_DB", "rack2.yml", "compile_head.yml"):
        (tmp_path / "group_vars" / name).touch()
    groups = ["all", "machines", "jobs_db", "rack1"]
    assert _sources.unread_variables([str(tmp_path / "hosts.yml"), str(tmp_path), "m1,"], groups) == [
        f"{tmp_path}/group_vars/Jobs_DB: there is no group Jobs_DB, so Ansible does not read this. "
        "Did you mean jobs_db?",
        f"{tmp_path}/group_vars/machine.yml: there is no group machine, so Ansible does not read this. "
        "Did you mean machines?",
    ]
