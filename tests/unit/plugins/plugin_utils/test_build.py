# SPDX-License-Identifier: GPL-3.0-or-later
"""What a machine is built from, and what differs."""

from __future__ import annotations

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
    assert set(of()) == {"collection", "gmt_release", "gmt_db_password", "gmt_config"}
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


def test_the_collection_counts_by_what_has_an_effect(tmp_path: Path):
    task = tmp_path / "roles/gmt/tasks/main.yml"
    for file in (task, tmp_path / "roles/gmt/README.md", tmp_path / "plugins/modules/__pycache__/x.pyc"):
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("one")

    def now() -> str:
        _build.of_collection.cache_clear()
        return _build.of_collection(tmp_path)

    before = now()
    (tmp_path / "roles/gmt/README.md").write_text("two")
    (tmp_path / "plugins/modules/__pycache__/x.pyc").write_text("two")
    assert now() == before
    task.write_text("two")
    assert now() != before
    _build.of_collection.cache_clear()
