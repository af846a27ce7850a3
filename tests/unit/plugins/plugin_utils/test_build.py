# SPDX-License-Identifier: GPL-3.0-or-later
"""What a machine is built from, and what differs."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.greenlab.cluster.plugins.plugin_utils import _build
from ansible_collections.greenlab.cluster.plugins.plugin_utils._build import changes
from ansible_collections.greenlab.cluster.plugins.plugin_utils._preflight import Value

HOST = {"gmt_release": "v4.1", "gmt_db_password": "for a test", "gmt_config": {"b": 1, "a": [2]}, "lab_prefix": "10.1"}


class Inventory(dict[str, Any]):
    """A host's variables as the action plugin reads them."""

    def read(self, name: str) -> Value:
        return self[name] if isinstance(self[name], Value) else Value(self[name])


def of(*also: str, branch: str | None = None, **values: Any) -> dict[str, str]:
    return _build.parts(Inventory({**HOST, **values}), ["gmt"], also, branch=branch)


def test_each_option_of_the_roles_counts_and_nothing_else():
    assert set(of()) == {"role gmt", "gmt_release", "gmt_db_password", "gmt_config"}
    assert of(lab_prefix="10.2") == of()
    assert changes(of(gmt_release="v4.0", gmt_dir="/opt/x"), of()) == ["gmt_dir", "gmt_release"]
    assert changes(of(), of(gmt_dir="/opt/x")) == ["gmt_dir"]
    assert changes(of(gmt_config={"a": [2], "b": 1}), of()) == []
    assert changes(of(branch="abc"), of()) == ["branch"]
    assert changes(of("lab_prefix"), of()) == ["lab_prefix"]
    assert changes(of("nothing", "lab_prefix.key"), of()) == []


def test_a_key_of_a_dictionary_counts_alone():
    one, other = ({"options": {"color": color, "size": 1}} for color in ("red", "green"))
    assert of("options.size", **one) == of("options.size", **other)
    assert changes(of("options.color", **one), of("options.color", **other)) == ["options.color"]


@pytest.mark.parametrize(
    ("values", "branch"),
    [
        ({"gmt_release": "v4.1"}, None),
        ({"gmt_release": "v4.1", "gmt_version": "0" * 40}, None),
        ({"gmt_release": "v4.1", "gmt_version": "dev"}, ("git://x", "dev")),
        ({"gmt_release": "main"}, ("git://x", "main")),
    ],
)
def test_a_branch_may_have_moved(values: dict[str, str], branch: Any):
    assert _build.branch_of(Inventory({"gmt_repo": "git://x", **values})) == branch


def test_the_content_of_a_file_of_the_control_node_counts(tmp_path: Path):
    host = Inventory({"key": str(tmp_path / "key"), "certificate": "", "other": str(tmp_path / "nothing")})
    names = ["key", "certificate", "other", "unset"]
    assert _build.contents(host, names) == {}
    (tmp_path / "key").write_text("one")
    one = _build.contents(host, names)
    (tmp_path / "key").write_text("two")
    assert list(one) == ["content of key"]
    assert _build.contents(host, names) != one


def test_a_fingerprint_is_that_of_all_parts():
    assert _build.fingerprint(of()) == _build.fingerprint(dict(reversed(of().items())))
    assert _build.fingerprint(of()) != _build.fingerprint(of(gmt_release="v4.0"))


def test_what_only_facts_or_nobody_can_tell_does_not_count():
    assert of(gmt_dir=Value(from_facts=True), gmt_user=Value(problem="cannot be read")) == of()


@pytest.mark.parametrize("unknown", [None, {}])
def test_without_a_record_everything_changes(unknown: Any):
    assert changes(of(), unknown) == ["everything"]


def test_equal_values_of_different_variables_do_not_show():
    found = of(gmt_user="same", gmt_group="same")
    assert found["gmt_user"] != found["gmt_group"]


def test_what_another_host_is_told_does_not_count():
    host = Inventory({**HOST, "gmt_dir": "/opt/x"})
    assert _build.parts(host, ["gmt"], ignore=["gmt_dir"]) == of()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("gmt_db_password", "another"),
        ("gmt_config", {"smtp": {"password": "another"}}),
        ("gmt_config", [{"secureon": "00:11:22:33:44:66"}]),
        ("gmt_user", Value("another", secret=True)),
    ],
)
def test_a_secret_is_as_hard_to_guess_as_scrypt_makes_it(monkeypatch: pytest.MonkeyPatch, name: str, value: Any):
    asked = []
    real = _build.hashlib.scrypt
    monkeypatch.setattr(
        _build.hashlib, "scrypt", lambda *args, **options: asked.append(options) or real(*args, **options)
    )
    _build._hash.cache_clear()
    assert of(**{name: value})[name] != of().get(name)
    assert any(options["n"] == 2**14 and name.encode() in options["salt"] for options in asked)


@pytest.fixture
def collection(tmp_path: Path) -> Iterator[Path]:
    """A small collection: role one uses a module, a filter and role two; role three and a module are used by none."""
    texts = {
        "roles/one/tasks/main.yml": '- greenlab.cluster.worker: {x: "{{ 1 | greenlab.cluster.halve }}"}',
        "roles/one/meta/main.yml": "dependencies: [greenlab.cluster.two]",
        "roles/one/README.md": "greenlab.cluster.three",
        "roles/two/templates/a.j2": "{{ lookup('file', '../../plugins/module_utils/_deep.py') }}",
        "roles/three/tasks/main.yml": "[]",
        "plugins/modules/worker.py": "from ..module_utils._direct import x  # see greenlab.cluster.three",
        "plugins/action/worker.py": "",
        "plugins/filter/halve.py": "",
        "plugins/module_utils/_direct.py": "from ..module_utils import _indirect",
        "plugins/module_utils/_indirect.py": "",
        "plugins/module_utils/_deep.py": "",
        "plugins/module_utils/_unused.py": "",
        "plugins/modules/unused.py": "",
    }
    for name, text in texts.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    yield tmp_path
    _build.of_role.cache_clear()
    _build.files_of_role.cache_clear()


@pytest.mark.parametrize(
    ("file", "counts"),
    [
        ("roles/one/tasks/main.yml", True),
        ("roles/two/templates/a.j2", True),
        ("plugins/modules/worker.py", True),
        ("plugins/action/worker.py", True),
        ("plugins/filter/halve.py", True),
        ("plugins/module_utils/_direct.py", True),
        ("plugins/module_utils/_indirect.py", True),
        ("plugins/module_utils/_deep.py", True),
        ("roles/one/README.md", False),
        ("roles/three/tasks/main.yml", False),
        ("plugins/modules/unused.py", False),
        ("plugins/module_utils/_unused.py", False),
    ],
)
def test_a_role_counts_with_what_it_uses_and_nothing_else(collection: Path, file: str, counts: bool):
    before = _build.of_role("one", collection)
    with (collection / file).open("a") as changed:
        changed.write("\n# changed")
    _build.of_role.cache_clear()
    assert (_build.of_role("one", collection) != before) == counts


def test_each_role_counts_with_the_plugins_that_it_calls():
    """By the names as Ansible resolves them: in the tasks of a role, the keys of a task."""
    for folder in sorted((_build.COLLECTION_ROOT / "roles").iterdir()):
        files = _build.files_of_role(folder.name)
        assert set(files) >= {path for path in (folder / "tasks").iterdir() if path.is_file()}
        for task_file in (folder / "tasks").rglob("*.yml"):
            called = set(re.findall(r"^ *(?:- )?greenlab\.cluster\.(\w+):", task_file.read_text(), re.MULTILINE))
            assert called <= {path.stem for path in files if path.parent.name == "modules"}, task_file
