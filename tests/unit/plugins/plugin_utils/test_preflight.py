# Copyright (c) 2026, the greenlab.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Preflight's checks one by one, without Ansible's engine: values in, lines out."""

from __future__ import annotations

import re
import typing as t
from collections.abc import Mapping
from pathlib import Path

import pytest
import yaml

from ansible_collections.greenlab.cluster.plugins.plugin_utils import _preflight
from ansible_collections.greenlab.cluster.plugins.plugin_utils._preflight import Value

ROOT = Path(__file__).resolve().parents[4]

SPECS = {
    "gmt": """
argument_specs:
  main:
    options: &options
      gmt_machine_id: {type: int, required: true}
      gmt_mode: {type: str, choices: [client, cron], default: client}
      gmt_tune: {type: bool}
      gmt_ports: {type: list, elements: int}
      gmt_config: {type: dict}
      gmt_old_name: {type: int, aliases: [gmt_older_name]}
      gmt_pin: {type: int, no_log: true}
      gmt_db:
        type: dict
        options:
          port: {type: int}
          mode: {type: str, choices: [a, b]}
      gmt_login:
        type: dict
        options:
          password: {type: int}
  absent:
    options:
      gmt_keep_data: {type: bool}
""",
    "gmt_client": """
argument_specs:
  main:
    options:
      gmt_client_release: {type: str, required: true}
""",
}


@pytest.fixture
def roles(tmp_path: Path) -> dict[str, _preflight.Role]:
    for name, text in SPECS.items():
        meta = tmp_path / name / "meta"
        meta.mkdir(parents=True)
        (meta / "argument_specs.yml").write_text(text, encoding="utf8")
    (tmp_path / "without_specs" / "tasks").mkdir(parents=True)
    return _preflight.load_roles(tmp_path)


OMIT = object()


class Host(dict[str, t.Any]):
    """Variables of a host; those that are no Value are wrapped when read."""

    def read(self, name: str) -> Value | None:
        value = self[name]
        if value is OMIT:
            return None
        return value if isinstance(value, Value) else Value(value)

    def origin(self, name: str) -> str:
        return ""


def lines_of(
    groups: Mapping[str, t.Any],
    hosts: Mapping[str, Mapping[str, t.Any]],
    roles: Mapping[str, _preflight.Role] | None = None,
    members: Mapping[str, list[str]] | None = None,
    **options: t.Any,
) -> list[str]:
    roles = roles or {}
    check = _preflight.Preflight(_preflight.parse_groups(groups, roles), roles, **options)
    members = members if members is not None else {group: list(hosts) for group in groups}
    check.check_sizes(members)
    for host, variables in hosts.items():
        check.check_host(host, [group for group, names in members.items() if host in names], Host(variables))
    check.finish()
    assert check.checked == len(hosts)
    return check.problems.lines()


def lines_of_values(rule: Mapping[str, t.Any], *values: t.Any) -> list[str]:
    """Check one variable, x, on as many hosts as there are values."""
    return lines_of({"g": {"values": {"x": rule}}}, {f"m{i}": {"x": value} for i, value in enumerate(values, 1)})


# --- values ---

ID = {"type": "int", "min": 1, "max": 1024, "unique": True}


@pytest.mark.parametrize("good", [1, 1024, 17])
def test_an_id_in_range_passes(good: int) -> None:
    assert lines_of_values(ID, good) == []


@pytest.mark.parametrize(
    ("bad", "line"),
    [
        ("one", "= 'one' is not an integer. Give a whole number from 1 to 1024 without quotes."),
        (True, "= True is not an integer. Give a whole number from 1 to 1024 without quotes."),
        (1.0, "= 1.0 is not an integer. Give a whole number from 1 to 1024 without quotes."),
        ([1], "= a list is not an integer. Give a whole number from 1 to 1024 without quotes."),
        ("$(touch x)", "= '$(touch x)' is not an integer. Give a whole number from 1 to 1024 without quotes."),
        ("1\n2", "= '1\\n2' is not an integer. Give a whole number from 1 to 1024 without quotes."),
        ("\u0661", "= '\u0661' is not an integer. Give a whole number from 1 to 1024 without quotes."),
        ("1", "= '1' is text, not an integer. Remove the quotes."),
        (0, "= 0 is out of range. Give a whole number from 1 to 1024."),
        (1025, "= 1025 is out of range. Give a whole number from 1 to 1024."),
    ],
)
def test_an_id_that_is_no_int_or_out_of_range(bad: t.Any, line: str) -> None:
    assert lines_of_values(ID, bad) == [f"m1: x {line}"]


@pytest.mark.parametrize(
    ("rule", "line"),
    [
        ({"type": "int"}, "Give a whole number without quotes."),
        ({"type": "int", "min": 3}, "Give a whole number of at least 3 without quotes."),
        ({"type": "int", "max": 3}, "Give a whole number of at most 3 without quotes."),
    ],
)
def test_the_wanted_range_is_named(rule: dict[str, t.Any], line: str) -> None:
    assert lines_of_values(rule, "one") == [f"m1: x = 'one' is not an integer. {line}"]


def test_digits_of_a_template_that_cannot_return_an_int_pass() -> None:
    assert lines_of_values(ID, Value("7", digits_are_int=True)) == []
    assert lines_of_values(ID, Value("1025", digits_are_int=True)) == [
        "m1: x = '1025' is out of range. Give a whole number from 1 to 1024."
    ]


@pytest.mark.parametrize("not_text", [5, True, 1.5])
def test_text_must_be_text(not_text: t.Any) -> None:
    assert lines_of_values({"type": "str"}, not_text) == [f"m1: x = {not_text!r} is not text. Put quotes around it."]


@pytest.mark.parametrize("empty", ["", "  \n", None])
def test_not_empty(empty: str | None) -> None:
    assert lines_of_values({"type": "str", "not_empty": True}, empty) == ["m1: x is empty. Give it a value."]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("a\nb", "a\\nb"),
        ("a\tb", "a\\tb"),
        ("a\x1b[31m", "a\\x1b[31m"),
        ("a\u2028b", "a\\u2028b"),
        ("a\x85b", "a\\x85b"),
    ],
)
def test_single_line(text: str, shown: str) -> None:
    assert lines_of_values({"type": "str", "single_line": True}, text) == [
        f"m1: x = '{shown}' has a line break or another control character in it. Write it on one line."
    ]


@pytest.mark.parametrize("text", ["Maschine № 1 – Küche", 'it\'s "quoted"', "$(touch x)", "{{ 1 }}", "机器"])
def test_other_hostile_text_is_one_line_and_passes(text: str) -> None:
    assert lines_of_values({"type": "str", "single_line": True, "not_empty": True, "unique": True}, text) == []


def test_a_mac_address_says_why_it_is_refused() -> None:
    rule = {"type": "mac"}
    assert lines_of_values(rule, "52:54:00:12:34:56", "52-54-00-12-34-56", "525400123456") == []
    assert lines_of_values(rule, "00:00:00:00:00:00") == [
        "m1: x = '00:00:00:00:00:00' is the all-zero MAC address, which no network card has. "
        "Write the card's own address."
    ]
    assert lines_of_values(rule, 8041827012) == [
        "m1: x = 8041827012 is not text, so it is no MAC address. Put quotes around the address."
    ]


@pytest.mark.parametrize(
    ("rule", "values", "shown"),
    [
        (ID, (3, 3), "3"),
        ({"type": "mac", "unique": True}, ("52:54:00:12:34:AB", "5254001234ab"), "'52:54:00:12:34:AB'"),
        ({"type": "str", "unique": True}, (" Straße", "STRASSE "), "' Straße'"),
        ({"type": "str", "unique": True}, ("\u00e9", "e\u0301"), "'\u00e9'"),
        ({"unique": True}, ([1, {"a": 2}], [1, {"a": 2}]), "a list"),
    ],
)
def test_two_hosts_with_one_value_are_one_line(rule: dict[str, t.Any], values: tuple[t.Any, ...], shown: str) -> None:
    assert lines_of_values(rule, *values) == [f"m1, m2: x = {shown} is used by 2 hosts. Give each host its own."]


def test_an_int_and_the_same_number_in_quotes_are_both_told() -> None:
    assert lines_of_values(ID, 3, "3") == [
        "m1, m2: x = 3 is used by 2 hosts. Give each host its own.",
        "m2: x = '3' is text, not an integer. Remove the quotes.",
    ]


def test_values_that_are_not_set_or_empty_are_no_duplicates() -> None:
    groups = {"g": {"values": {"x": {"unique": True}}}}
    assert lines_of(groups, {"m1": {}, "m2": {}, "m3": {"x": ""}, "m4": {"x": None}, "m5": {"x": ""}}) == []


def test_unique_holds_within_a_group() -> None:
    groups = {name: {"values": {"ansible_host": {"unique": True}}} for name in ("db", "machines")}
    hosts = {"server": {"ansible_host": "10.0.0.1"}, "machine1": {"ansible_host": "10.0.0.1"}}
    assert lines_of(groups, hosts, members={"db": ["server"], "machines": ["machine1"]}) == []


# --- required, exclusive, sizes ---


def test_required_is_set_and_not_empty() -> None:
    groups = {"g": {"required": ["a_password", "b"], "values": {"b": {"type": "str", "not_empty": True}}}}
    hosts = {"m1": {"b": ""}, "m2": {"a_password": None, "b": "x"}, "m3": {"a_password": "x", "b": "y"}}
    assert lines_of(groups, hosts) == [
        "m1: a_password is not set. Add it to the variables of the host or of its group.",
        "m1: b is empty. Give it a value.",
        "m2: a_password is empty. Give it a value.",
    ]


def test_a_template_that_omits_the_value_leaves_it_unset() -> None:
    assert lines_of({"g": {"required": ["b"]}}, {"m1": {"b": OMIT}}) == [
        "m1: b is not set. Add it to the variables of the host or of its group."
    ]


@pytest.mark.parametrize("on", [True, "yes", "client", 1, ["x"]])
def test_at_most_one_of_an_exclusive_set(on: t.Any) -> None:
    groups = {"g": {"exclusive": [["client_enabled", "cron_enabled"]]}}
    assert lines_of(groups, {"m1": {"client_enabled": on, "cron_enabled": True}}) == [
        "m1: client_enabled and cron_enabled exclude each other. Keep one and set the rest to false."
    ]


@pytest.mark.parametrize("off", [False, "no", "false", "", " ", None, 0, []])
def test_false_and_empty_values_exclude_nothing(off: t.Any) -> None:
    groups = {"g": {"exclusive": [["client_enabled", "cron_enabled", "third"]]}}
    assert lines_of(groups, {"m1": {"client_enabled": off, "cron_enabled": True}}) == []


IMPOSSIBLE = {"values": {"parts": "quiet", "mode": "cron", "quiet_cron": True}, "why": "Choose one."}


def test_values_that_no_host_may_have_together() -> None:
    options = {"mode": {"type": "str", "default": "client"}, "quiet_cron": {"type": "bool", "default": True}}
    roles = {"quiet": _preflight.Role("quiet", options, frozenset(options))}
    hosts = {
        "m1": {"parts": ["docker", "quiet"], "mode": "cron"},
        "m2": {"parts": ["docker", "quiet"]},
        "m3": {"parts": ["docker"], "mode": "cron"},
        "m4": {"parts": ["quiet"], "mode": "cron", "quiet_cron": "no"},
        "m5": {"parts": ["quiet"], "mode": "cron", "quiet_cron": "yes"},
        "m6": {"mode": "cron"},
    }
    assert lines_of({"g": {"impossible": [IMPOSSIBLE]}}, hosts, roles=roles) == [
        "m1, m5: parts = 'quiet', mode = 'cron', quiet_cron = True: they do not go together. Choose one."
    ]


def test_a_host_that_cannot_be_read_is_not_impossible() -> None:
    hosts = {"m1": {"parts": Value(problem="is broken."), "mode": "cron", "quiet_cron": True}}
    assert lines_of({"g": {"impossible": [IMPOSSIBLE]}}, hosts) == ["m1: parts is broken."]


def our_groups() -> dict[str, t.Any]:
    """Return what playbook preflight asks of each group."""
    plays = yaml.safe_load((ROOT / "playbooks/preflight.yml").read_text())
    tasks = [task for play in plays for task in play.get("tasks", []) if "greenlab.cluster.preflight" in task]
    return dict(tasks[0]["greenlab.cluster.preflight"]["groups"])


def test_our_playbook_refuses_to_make_a_machine_quiet_whose_jobs_cron_takes() -> None:
    groups = {"machines": {"impossible": our_groups()["machines"]["impossible"]}}
    cron = {"machine_parts": ["docker", "quiet_os"], "gmt_mode": "cron"}
    hosts = {"m1": cron, "m2": {**cron, "gmt_mode": "client"}, "m3": {**cron, "quiet_os_cron": False}}
    (line,) = lines_of(groups, hosts, roles=_preflight.load_roles(ROOT / "roles"))
    assert line.startswith("m1: machine_parts = 'quiet_os', gmt_mode = 'cron', quiet_os_cron = True: they do not go")
    assert "Set gmt_mode to client" in line


def test_number_of_hosts() -> None:
    groups = {"db": {"min_hosts": 1, "max_hosts": 1}, "machines": {"min_hosts": 2}, "wake": {"max_hosts": 1}, "x": None}
    hosts: dict[str, dict[str, t.Any]] = {"s1": {}, "s2": {}, "m1": {}}
    assert lines_of(groups, hosts, members={"db": ["s1", "s2"], "machines": ["m1"]}) == [
        "group db has 2 hosts (s1, s2), but may have at most 1. Take the others out of it.",
        "group machines has 1 hosts, but needs at least 2 hosts. Add hosts to the group machines.",
    ]
    assert lines_of(groups, hosts, members={}) == [
        "group db is missing. Add a group db with at least 1 host to the inventory.",
        "group machines is missing. Add a group machines with at least 2 hosts to the inventory.",
    ]


# --- roles ---


def role_lines(roles: Mapping[str, _preflight.Role], **variables: t.Any) -> list[str]:
    groups = {"g": {"roles": ["gmt"]}}
    return lines_of(groups, {"m1": {"gmt_machine_id": 1, **variables}}, roles)


def test_values_of_the_right_types_pass(roles: dict[str, _preflight.Role]) -> None:
    good = {
        "gmt_machine_id": 1,
        "gmt_mode": "cron",
        "gmt_tune": True,
        "gmt_ports": [1, 2],
        "gmt_config": {"any": ["thing"]},
        "gmt_db": {"port": 5432},
        "gmt_older_name": 3,
        "gmt_keep_data": "x",
        "gmt_pin": None,
    }
    assert role_lines(roles, **good) == []


@pytest.mark.parametrize(
    ("variable", "value", "line"),
    [
        ("gmt_tune", "maybe", "= 'maybe' is of the wrong type: role gmt needs true or false."),
        ("gmt_config", 3, "= 3 is of the wrong type: role gmt needs a dictionary."),
        ("gmt_ports", {"a": 1}, "= a dictionary is of the wrong type: role gmt needs a list."),
        ("gmt_older_name", "$(touch x)", "= '$(touch x)' is of the wrong type: role gmt needs a whole number."),
        ("gmt_mode", "Cron", "= 'Cron' is not one of 'client', 'cron', which role gmt knows. Did you mean cron?"),
        ("gmt_pin", "1234x", "= (hidden) is of the wrong type: role gmt needs a whole number."),
        (
            "gmt_login",
            {"password": "s3cret"},
            "has .password = (hidden), which is of the wrong type: role gmt needs a whole number.",
        ),
    ],
)
def test_a_value_that_does_not_fit_the_role(
    roles: dict[str, _preflight.Role], variable: str, value: t.Any, line: str
) -> None:
    assert role_lines(roles, **{variable: value}) == [f"m1: {variable} {line}"]


@pytest.mark.parametrize(
    ("variable", "value", "words"),
    [
        ("gmt_db", {"mode": "c"}, ("role gmt", "mode", "a, b", "gmt_db")),
        ("gmt_db", {"prot": 1}, ("role gmt", "prot", "port")),
    ],
)
def test_suboptions_are_explained_in_cores_words(
    roles: dict[str, _preflight.Role], variable: str, value: t.Any, words: tuple[str, ...]
) -> None:
    (line,) = role_lines(roles, **{variable: value})
    assert line.startswith(f"m1: {variable} does not fit the specification of role gmt: ")
    assert all(word in line for word in words), line


def test_required_options_of_a_role(roles: dict[str, _preflight.Role]) -> None:
    hosts = {"m1": {}, "m2": {"gmt_machine_id": None}}
    groups = {"g": {"roles": ["gmt", "gmt_client"], "provided": ["gmt_client_release"]}}
    assert lines_of(groups, hosts, roles) == [
        "m1: gmt_machine_id is not set. Add it to the variables of the host or of its group.",
        "m2: gmt_machine_id is empty. Give it a value.",
    ]


def test_one_fault_of_one_variable_is_told_once(roles: dict[str, _preflight.Role]) -> None:
    groups = {"g": {"roles": ["gmt"], "required": ["gmt_machine_id"], "values": {"gmt_machine_id": ID}}}
    (line,) = lines_of(groups, {"m1": {"gmt_machine_id": "one"}}, roles)
    assert line.startswith("m1: gmt_machine_id = 'one' is not an integer.")


def test_hosts_outside_a_group_are_left_alone(roles: dict[str, _preflight.Role]) -> None:
    groups = {"g": {"roles": ["gmt"], "required": ["x"], "values": {"x": ID}}}
    assert lines_of(groups, {"m1": {"gmt_tune": "maybe", "x": "one"}}, roles, members={"g": []}) == []


# --- look-alikes ---


def test_a_misspelt_variable_gets_a_suggestion(roles: dict[str, _preflight.Role]) -> None:
    hosts = {
        "m1": {
            "gmt_mashine_id": 1,
            "gmt_client_relase": "v4.1",
            "gmt_nothing_like_it_at_all": 1,
            "gmt_x\nyz.z": 1,
            "gmt_keep_data": True,  # of the entry point absent
            "gmt_older_name": 1,  # an alias
            "gmt_by_the_playbook": 1,
            "gmt_for_a_playbook": 1,
            "__gmt_private": 1,
            "gmtx": 1,
            "other_mashine_id": 1,
        }
    }
    groups = {"g": {"values": {"gmt_by_the_playbook": {}}}}
    assert lines_of(groups, hosts, roles, known=["gmt_for_a_playbook"]) == [
        "m1: gmt_client_relase is no option of role gmt_client. Did you mean gmt_client_release?",
        "m1: gmt_mashine_id is no option of role gmt. Did you mean gmt_machine_id?",
        "m1: gmt_nothing_like_it_at_all is no option of role gmt. Remove it, or see the role's documentation.",
        "m1: gmt_x\\nyz.z is no option of role gmt. Remove it, or see the role's documentation.",
    ]


def test_look_alikes_can_be_warnings_or_ignored(roles: dict[str, _preflight.Role]) -> None:
    for unknown, warnings in (("warn", 1), ("ignore", 0)):
        check = _preflight.Preflight([], roles, unknown)
        check.check_host("m1", [], Host(gmt_mashine_id=1))
        assert check.problems.lines() == []
        assert len(check.warnings.lines()) == warnings


# --- unreadable values, secrets, form ---


def test_a_value_that_cannot_be_read_is_told_once_and_not_checked_further(roles: dict[str, _preflight.Role]) -> None:
    groups = {
        "g": {
            "roles": ["gmt"],
            "required": ["gmt_machine_id"],
            "values": {"gmt_machine_id": ID},
            "exclusive": [["gmt_machine_id", "gmt_tune"]],
        }
    }
    unreadable = Value(problem="cannot be read: 'vault_x' is undefined. Define it or correct the name.")
    assert lines_of(groups, {"m1": {"gmt_machine_id": unreadable, "gmt_tune": True}}, roles) == [
        "m1: gmt_machine_id cannot be read: 'vault_x' is undefined. Define it or correct the name."
    ]


def test_a_value_made_from_facts_passes_unless_it_has_a_rule(roles: dict[str, _preflight.Role]) -> None:
    hosts = {"m1": {"gmt_machine_id": Value(from_facts=True), "x": Value(from_facts=True)}}
    groups = {"g": {"roles": ["gmt"], "required": ["gmt_machine_id", "x"], "values": {"x": {"unique": True}}}}
    assert lines_of(groups, hosts, roles) == [
        "m1: x is made from facts, which are not known before the host is contacted. Write the value."
    ]


@pytest.mark.parametrize(
    "name",
    ["gmt_db_password", "API_TOKEN", "my_secret", "ssh_private_key", "tls_key", "become_pass", "vault_x", "passphrase"],
)
def test_secrets_are_known_by_their_name_and_hidden(name: str) -> None:
    groups = {"g": {"values": {name: {"type": "int", "unique": True}}}}
    lines = lines_of(groups, {"m1": {name: "s3cret"}, "m2": {name: "s3cret"}})
    assert lines == [
        f"m1, m2: {name} = (hidden) is not an integer. Give a whole number without quotes.",
        f"m1, m2: {name} = (hidden) is used by 2 hosts. Give each host its own.",
    ]


@pytest.mark.parametrize("name", ["gmt_keyboard", "monkey", "passenger", "gmt_machine_id", "bypass_proxy"])
def test_other_names_are_not_hidden(name: str) -> None:
    assert not _preflight.is_secret(name)


def test_a_value_out_of_a_vault_is_hidden() -> None:
    assert lines_of({"g": {"values": {"x": ID}}}, {"m1": {"x": Value("s3cret", secret=True)}}) == [
        "m1: x = (hidden) is not an integer. Give a whole number from 1 to 1024 without quotes."
    ]


def test_a_container_with_a_secret_in_it_is_hidden(roles: dict[str, _preflight.Role]) -> None:
    (line,) = role_lines(roles, gmt_db={"mode": "x", "extra": [{"password": "s3cret"}]})
    assert "s3cret" not in line and "hidden" in line


def test_a_long_value_is_cut() -> None:
    (line,) = lines_of_values({"type": "int"}, "x" * 1000)
    assert "x..." in line and len(line) < 200


def test_lines_are_sorted_by_host_then_variable_in_natural_order() -> None:
    groups = {"g": {"values": {"b": {"type": "int"}, "a": {"type": "int"}}}}
    hosts = {f"machine{i}": {"b": f"b{i}", "a": f"a{i}"} for i in (10, 2, 1)}
    assert [line.split(" =")[0] for line in lines_of(groups, hosts)] == [
        "machine1: a",
        "machine1: b",
        "machine2: a",
        "machine2: b",
        "machine10: a",
        "machine10: b",
    ]


@pytest.mark.parametrize(
    ("count", "shown"),
    [(1, "m1"), (2, "m1, m2"), (3, "m1, m2, m3"), (4, "m1, m2 and 2 more"), (1000, "m1, m2 and 998 more")],
)
def test_one_fault_of_many_hosts_is_one_line(count: int, shown: str) -> None:
    groups = {"g": {"values": {"x": {"type": "int"}}}}
    assert lines_of(groups, {f"m{i}": {"x": "one"} for i in range(count, 0, -1)}) == [
        f"{shown}: x = 'one' is not an integer. Give a whole number without quotes."
    ]


# --- what the playbook gets wrong ---


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        ({"g": {"role": ["gmt"]}}, "groups.g: .*role"),
        ({"g": []}, "groups.g must be a dictionary"),
        ({"g": {"roles": ["gtm"]}}, "groups.g.roles: there is no role gtm"),
        ({"g": {"roles": ["without_specs"]}}, "there is no role without_specs"),
        (
            {"g": {"values": {"x": {"type": "float"}}}},
            "groups.g.values.x: .*address, bool, hba, int, list, mac, networks, release, str",
        ),
        ({"g": {"values": {"x": {"uniq": True}}}}, "groups.g.values.x: .*uniq"),
        ({"g": {"values": {"x": {"min": 1}}}}, "groups.g.values.x: min and max need type: int"),
        ({"g": {"max_hosts": "many"}}, "groups.g: .*max_hosts"),
    ],
)
def test_a_wrong_request_is_refused(roles: dict[str, _preflight.Role], groups: t.Any, message: str) -> None:
    with pytest.raises(_preflight.BadRequest, match=message):
        _preflight.parse_groups(groups, roles)


@pytest.mark.parametrize("text", ["", "- a list", "argument_specs: [", "argument_specs: {main: [1]}"])
def test_a_broken_specification_is_refused_by_name(tmp_path: Path, text: str) -> None:
    (tmp_path / "broken/meta").mkdir(parents=True)
    (tmp_path / "broken/meta/argument_specs.yml").write_text(text, encoding="utf8")
    with pytest.raises(_preflight.BadRequest, match=r"broken/meta/argument_specs\.yml is not a role's argument"):
        _preflight.load_roles(tmp_path)


def test_a_repeated_value_is_validated_once(roles: dict[str, _preflight.Role], monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    validate = _preflight.ArgumentSpecValidator.validate
    monkeypatch.setattr(
        _preflight.ArgumentSpecValidator,
        "validate",
        lambda self, *args: calls.append(args) or validate(self, *args),
    )
    groups = _preflight.parse_groups({"g": {"roles": ["gmt"]}}, roles)
    calls.clear()
    check = _preflight.Preflight(groups, roles)
    for i in range(100):
        check.check_host(f"m{i}", ["g"], Host(gmt_machine_id=i, gmt_mode="client"))
    assert [list(call[0]) for call in calls] == [["gmt_mode"]]  # a number for a number needs no validator


# --- networks ---

NETWORK = {
    "address": {"type": "address", "inside": "network", "unique": True, "remedy": "Give it an address of the cluster."},
    "listen": {"one_of": ["address", "office"], "remedy": "It can only listen on its own."},
    "allow": {"type": "networks"},
}


def lines_of_network(**variables: t.Any) -> list[str]:
    given = {"network": "10.168.168.0/24", "address": "10.168.168.11", **variables}
    return lines_of({"g": {"values": NETWORK}}, {"worker1": given})


def test_a_host_of_the_network_passes() -> None:
    assert lines_of_network(listen="10.168.168.11", allow=["10.168.168.0/24", "10.168.168.1"]) == []
    assert lines_of_network(listen="192.0.2.1", office="192.0.2.1") == []


@pytest.mark.parametrize(
    ("variables", "line"),
    [
        ({"address": "10.9.9.9"}, "address = '10.9.9.9' is outside network = '10.168.168.0/24'. "
         "Give it an address of the cluster."),
        ({"address": "worker1"}, "address = 'worker1' is no IPv4 address. Write one such as 10.168.168.11, "
         "without a prefix."),
        ({"listen": "10.168.168.12"}, "listen = '10.168.168.12' is not address or office of this host. "
         "It can only listen on its own."),
        ({"allow": ["10.168.168.0/24", "0.0.0.0/0"]}, "allow has '0.0.0.0/0', so that half the Internet or more could "
         "run programs here. Name the cluster's own network, such as 10.168.168.0/24."),
        ({"allow": ["10.168.168.1/24"]}, "allow has '10.168.168.1/24', which is the address of a host, not of a "
         "network. Write 10.168.168.0/24."),
        ({"allow": ["lan"]}, "allow has 'lan', which is no IPv4 network. Write one such as 10.168.168.0/24."),
    ],
)  # fmt: skip
def test_a_host_that_does_not_fit_its_network(variables: dict[str, t.Any], line: str) -> None:
    assert lines_of_network(**variables) == [f"worker1: {line}"]


def test_a_remedy_follows_a_number_out_of_range() -> None:
    rule = {"type": "int", "min": 1, "remedy": "A dead worker would be asked for ever."}
    assert lines_of_values(rule, 0) == [
        "m1: x = 0 is out of range. Give a whole number of at least 1. A dead worker would be asked for ever."
    ]


def test_a_host_of_two_groups_that_must_be_apart() -> None:
    groups = {"compile": {"apart_from": {"machines": "Who compiles for others cannot measure."}}}
    members = {"compile": ["a", "b"], "machines": ["b", "c"]}
    assert lines_of(groups, {}, members=members) == [
        "group compile and group machines both have b. Who compiles for others cannot measure. "
        "Take it out of one of them."
    ]
    assert lines_of(groups, {}, members={"compile": ["a"], "machines": ["b"]}) == []


def test_a_group_may_be_needed_by_others_only() -> None:
    groups = {"jobs_db": {"min_hosts": 1, "needed_by": ["machines"]}}
    assert lines_of(groups, {}, members={"compile": ["a"]}) == []
    (line,) = lines_of(groups, {}, members={"machines": ["a"]})
    assert line.startswith("group jobs_db is missing.")


@pytest.mark.parametrize(("value", "means"), [("false", "false"), ("yes", "true"), ("no", "false"), (1, "true")])
def test_text_is_no_bool_for_all_of_it_counts_as_true(
    roles: dict[str, _preflight.Role], value: t.Any, means: str
) -> None:
    (line,) = lines_of({"g": {"roles": ["gmt"]}}, {"m1": {"gmt_machine_id": 1, "gmt_tune": value}}, roles)
    assert line.startswith(f"m1: gmt_tune = {value!r} is not true or false. Write {means} without quotes")
    assert f"-e '{{\"gmt_tune\": {means}}}'" in line


def test_flags_may_be_text_and_must_still_mean_something(roles: dict[str, _preflight.Role]) -> None:
    for value, wrong in [("true", 0), (False, 0), ("perhaps", 1)]:
        host = {"gmt_machine_id": 1, "gmt_tune": value}
        assert len(lines_of({"g": {"roles": ["gmt"]}}, {"m1": host}, roles, flags=["gmt_tune"])) == wrong


# --- hosts that a play leaves out ---

MACHINES = {
    "read_by": ["pi"],
    "roles": ["gmt"],
    "required": ["gmt_repo"],
    "values": {
        "gmt_machine_id": ID,
        "ansible_host": {"type": "str", "unique": True},
        "gmt_mac": {"type": "mac", "unique": True},
        "gmt_name": {"type": "str", "not_empty": True, "single_line": True, "unique": True},
        "gmt_release": {"matches": "v[0-9]+"},
    },
    "exclusive": [["gmt_client", "gmt_cron"]],
    "impossible": [{"values": {"gmt_mode": "cron", "gmt_tune": True}, "why": "So it is."}],
}
OTHERS = {
    "gmt_machine_id": 2,
    "ansible_host": "h2",
    "gmt_mac": "02:00:00:00:00:02",
    "gmt_name": "Two",
    "gmt_repo": "r",
}


def lines_of_another(roles: Mapping[str, _preflight.Role], **variables: t.Any) -> list[str]:
    """Check one host wholly and another one's essentials; a variable that is OMIT is not set."""
    check = _preflight.Preflight(_preflight.parse_groups({"machines": MACHINES}, roles), roles)
    one = {
        "gmt_machine_id": 1,
        "ansible_host": "h1",
        "gmt_mac": "02:00:00:00:00:01",
        "gmt_name": "One",
        "gmt_repo": "r",
    }
    two = {name: value for name, value in {**OTHERS, **variables}.items() if value is not OMIT}
    check.check_host("one", ["machines"], Host(one))
    check.check_host("two", ["machines"], Host(two), essentials=True)
    check.finish()
    assert (check.checked, check.checked_essentials) == (1, 1)
    return check.problems.lines()


@pytest.mark.parametrize(
    ("name", "value", "line"),
    [
        ("gmt_machine_id", 1, "one, two: gmt_machine_id = 1 is used by 2 hosts. Give each host its own."),
        ("gmt_name", "one ", "one, two: gmt_name = 'One' is used by 2 hosts. Give each host its own."),
        ("ansible_host", "h1", "one, two: ansible_host = 'h1' is used by 2 hosts. Give each host its own."),
        ("gmt_mac", "02-00-00-00-00-01", "one, two: gmt_mac = '02:00:00:00:00:01' is used by 2 hosts. Give each"),
        ("gmt_machine_id", "2", "two: gmt_machine_id = '2' is text, not an integer. Remove the quotes."),
        ("gmt_machine_id", 1025, "two: gmt_machine_id = 1025 is out of range."),
        ("gmt_machine_id", OMIT, "two: gmt_machine_id is not set. Add it to the variables of the host"),
        ("gmt_name", "Two\nlines", "two: gmt_name = 'Two\\nlines' has a line break or another control character"),
        ("gmt_name", " ", "two: gmt_name is empty. Give it a value."),
        ("gmt_mac", "02:00", "two: gmt_mac = '02:00' "),
        ("gmt_repo", OMIT, "two: gmt_repo is not set. Add it to the variables of the host"),
        ("gmt_repo", Value(problem="cannot be read: why."), "two: gmt_repo cannot be read: why."),
    ],
)
def test_of_a_host_outside_of_the_play_the_essentials_are_checked(
    roles: dict[str, _preflight.Role], name: str, value: t.Any, line: str
) -> None:
    (found,) = lines_of_another(roles, **{name: value})
    assert found.startswith(line)


def test_nothing_else_of_it_is(roles: dict[str, _preflight.Role]) -> None:
    others = {"gmt_mode": "cron", "gmt_tune": True, "gmt_client": True, "gmt_cron": True, "gmt_ports": "x"}
    wrong = {**others, "gmt_release": "new", "gmt_mashine_id": 3, "gmt_pin": "12x"}
    assert lines_of_another(roles, **wrong) == []
    groups = _preflight.parse_groups({"machines": MACHINES}, roles)
    check = _preflight.Preflight(groups, roles)
    check.check_host("two", ["machines"], Host({**OTHERS, **wrong}))
    assert len(check.problems.lines()) == 6  # the same host in the play


INVENTORY = {
    "all": ["server", "pi1", "m1", "m2", "both", "alone"],
    "jobs_db": ["server"],
    "pi": ["pi1"],
    "machines": ["m1", "m2", "both"],
    "heads": ["both"],
}


@pytest.mark.parametrize(
    ("played", "apart"),
    [
        (["m1"], ["m2"]),  # who is in no group, or in one more, is read by whoever
        (["server"], ["m1", "m2"]),
        (["pi1"], []),
        (INVENTORY["all"], []),
    ],
)
def test_whoever_a_play_does_not_read_does_not_concern_it(played: list[str], apart: list[str]) -> None:
    groups = _preflight.parse_groups({"machines": {"read_by": ["pi"]}, "jobs_db": {}, "pi": {}, "heads": {}}, {})
    assert sorted(set(INVENTORY["all"]) - _preflight.concerned(groups, INVENTORY, played)) == apart


def test_a_group_that_nobody_reads_has_an_empty_list() -> None:
    groups = _preflight.parse_groups({"machines": {"read_by": []}}, {})
    members = {"all": ["m1", "m2"], "machines": ["m1", "m2"]}
    assert _preflight.concerned(groups, members, ["m1"]) == {"m1"}


# --- our own playbooks and roles ---

OURS = _preflight.load_roles(ROOT / "roles")
NOT_TEXT = ("int", "float", "list", "dict", "bool")


def parts_of(spec: Mapping[str, t.Any], wrap: t.Callable[[t.Any], t.Any]) -> t.Iterator[tuple[str, t.Any]]:
    """Go through the parts of an option that are no text: the type, and the option's value with text for the part."""
    if spec.get("type") in NOT_TEXT:
        yield spec["type"], wrap("5")

    def inside(value: t.Any) -> t.Any:
        return wrap([value] if spec.get("type") == "list" else value)

    if spec.get("elements") in NOT_TEXT:
        yield spec["elements"], inside("5")
    for name, suboption in (spec.get("options") or {}).items():
        yield from parts_of(suboption, lambda value, name=name: inside({name: value}))


@pytest.mark.parametrize(
    ("role", "option", "kind", "value"),
    [
        pytest.param(role.name, name, kind, value, id=f"{role.name}: {name} = {value} for {kind}")
        for role in OURS.values()
        for name, spec in role.options.items()
        for kind, value in parts_of(spec, lambda value: value)
    ],
)
def test_text_for_anything_else_is_refused_in_each_option_of_each_role(
    role: str, option: str, kind: str, value: t.Any
) -> None:
    lines = lines_of({"g": {"roles": [role], "provided": list(OURS[role].names)}}, {"m1": {option: value}}, OURS)
    (line,) = lines
    assert line.startswith(f"m1: {option} "), line
    words = {"int": "a whole number", "float": "a number", "list": "a list", "dict": "a dictionary"}
    assert kind == "bool" or f"not {words[kind]}." in line or f"needs {words[kind]}." in line, line
    if kind in ("int", "list"):
        assert "Write " in line and "quotes" in line or "(hidden)" in line, line


@pytest.mark.parametrize("role", OURS)
def test_the_defaults_of_each_role_pass(role: str) -> None:
    given = {name: spec["default"] for name, spec in OURS[role].options.items() if "default" in spec}
    plain = {name: value for name, value in given.items() if not (isinstance(value, str) and "{{" in value)}
    assert lines_of({"g": {"roles": [role], "provided": list(OURS[role].names)}}, {"m1": plain}, OURS) == []


def test_no_without_quotes_passes_where_it_is_a_choice() -> None:
    groups = {"g": {"roles": ["gmt"], "provided": list(OURS["gmt"].names)}}
    assert lines_of(groups, {"m1": {"gmt_shutdown_on_job_no": yaml.safe_load("no")}}, OURS) == []
    (line,) = lines_of(groups, {"m1": {"gmt_shutdown_on_job_no": yaml.safe_load("yes")}}, OURS)
    assert "is not one of 'no', 'suspend', 'poweroff'" in line


def read_by_the_playbooks() -> set[str]:
    """Return the variables that playbooks read and neither they nor a role sets: what an operator may write."""
    files = [file for file in (ROOT / "playbooks").rglob("*.yml") if file.name != "preflight.yml"]
    text = "\n".join(line for file in files for line in re.sub(r"#.*", "", file.read_text()).splitlines())
    read = set(re.findall(r"(?<![\w.])([a-z]+_[a-z_]+) (?:\| default\(|is (?:not )?defined)", text))
    own = set(re.findall(r"^\s*(?:- )?([a-z]+_[a-z_]+):", text, re.MULTILINE))
    own |= set(re.findall(r"(?:register|loop_var): ([a-z_]+)", text))
    return read - own - {name for role in OURS.values() for name in role.names}


# Of Ansible, of roles, and of playbooks that import others.
NOT_OPERATORS = {
    "ansible_limit",
    "ansible_failed_result",
    "preflight_hosts",
    "status_hosts",
    "inventory_groups",
    "docker_host",
    "verify_result",
}


def test_each_variable_that_a_playbook_reads_is_known_with_its_type() -> None:
    known = {name for group in our_groups().values() for name in group.get("values", {})}
    missing = read_by_the_playbooks() - known - NOT_OPERATORS
    assert not missing
    assert {"machine_parts", "site_serial", "site_force", "site_wait"} <= read_by_the_playbooks()


MACHINE = {
    "ansible_host": "10.1.1.2",
    "gmt_release": "v4.1",
    "gmt_repo": "https://example.com/gmt.git",
    "gmt_db_host": "10.1.1.1",
    "gmt_db_password": "s3cret",
    "gmt_machine_id": 1,
    "gmt_machine_description": "One",
}


def our_lines(**variables: t.Any) -> list[str]:
    """Check a cluster of a server and a machine, which have what an operator writes for all."""
    given = {**MACHINE, "jobs_db_networks": ["10.1.1.0/24"], **variables}
    hosts = {"server": {**given, "ansible_host": "10.1.1.1"}, "m1": given}
    return lines_of(our_groups(), hosts, OURS, {"jobs_db": ["server"], "machines": ["m1"]})


def test_a_good_cluster_passes() -> None:
    assert our_lines() == []


@pytest.mark.parametrize(
    ("name", "value", "says"),
    [
        ("machine_parts", ["quietos"], "has 'quietos', which is not one of"),
        ("machine_parts", ["docker", "dockr"], "Did you mean docker?"),
        ("machine_parts", "quiet_os", "is not a list. Write [quiet_os]."),
        ("machine_part", ["docker"], "Did you mean machine_parts?"),
        ("site_seriel", 1, "Did you mean site_serial?"),
        ("site_serial", "lots", "Give a number of machines, or a percentage such as 25%."),
        ("site_serial", 0, "Give a number of machines"),
        ("site_max_fail_percentage", 101, "Give a number from 0 to 100."),
        ("site_wait", "soon", "Give seconds, or a time such as 90s"),
        ("site_force", "maybe", "is not true or false."),
        ("gmt_release", "v0.10", "is older than v0.16"),
        ("gmt_release", "v9.9", "is newer than all that is known here"),
        ("gmt_release", 4.1, "is no tag of GMT. Write v4.1."),
        ("gmt_release", "4.1", "is no tag of GMT. Write v4.1."),
        ("jobs_db_networks", ["lab"], "has 'lab', which is no network."),
        ("jobs_db_networks", ["10.1.1.7/24"], "has host bits set"),
        ("jobs_db_networks", [], "is empty."),
        ("jobs_db_networks", ["10.2.0.0/16"], "leaves out m1 (m1: 10.1.1.2)."),
        ("jobs_db_networks", ["192.0.2.0/24"], "for examples only (RFC 5737)"),
        ("gmt_db_host", "", "is empty. Give it a value."),
        ("gmt_db_host", "192.0.2.10", "for examples only (RFC 5737)"),
        ("gmt_packages_extra", "python3.11", "is text, not a list. Write [python3.11] without quotes"),
        ("gmt_client_sleep_time", "5", """-e '{"gmt_client_sleep_time": 5}'"""),
    ],
)
def test_what_passed_silently_is_named(name: str, value: t.Any, says: str) -> None:
    lines = our_lines(**{name: value})
    assert len(lines) == 1, lines
    assert f": {name} " in lines[0] and says in lines[0]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("machine_parts", []),
        ("site_serial", "100%"),
        ("site_serial", "1"),
        ("site_wait", "1h30m"),
        ("site_wait", 30),
        ("site_full", "true"),
        ("site_full", True),
        ("gmt_release", "main"),
        ("gmt_release", "v4.3"),
        ("gmt_release", "v0.16"),
        ("jobs_db_networks", ["fd00::/64", "10.1.1.2/32"]),
        ("my_site_name", "Berlin"),
        ("site_name", "Berlin"),
        ("vault_jobs_db_server_password", "s3cret"),
        ("status_page_of_lab", "x"),
    ],
)
def test_what_is_right_passes(name: str, value: t.Any) -> None:
    assert our_lines(**{name: value}) == []


def test_no_machines_a_misspelt_group_and_a_machine_that_wakes_itself() -> None:
    server = {**MACHINE, "ansible_host": "10.1.1.1", "jobs_db_networks": ["10.1.1.0/24"]}
    hosts = {"server": server, "m1": MACHINE}
    assert lines_of(our_groups(), hosts, OURS, {"jobs_db": ["server"], "machine": ["m1"]}) == [
        "group machine has m1, and no playbook reads it. Did you mean machines?",
        "group machines is missing. Add a group machines with at least 1 host to the inventory.",
    ]
    members = {"jobs_db": ["server"], "machines": ["m1"], "wake_host": ["m1"], "machines_of_room_1": ["m1"]}
    (line,) = lines_of(our_groups(), hosts, OURS, members)
    assert line.startswith("group wake_host and group machines both have m1. A machine that sleeps cannot wake itself")
