# SPDX-License-Identifier: GPL-3.0-or-later
"""The machines of the inventory, and what became of them."""

from __future__ import annotations

import typing as t

from ansible_collections.greenlab.cluster.plugins.filter.site_table import FilterModule
from ansible_collections.greenlab.cluster.plugins.plugin_utils import _cluster

site_table = FilterModule().filters()["site_table"]
HOSTVARS = {
    "machine1": {"gmt_machine_id": 1, "gmt_machine_description": "One", "gmt_client_state": "active"},
    "machine2": {"gmt_machine_id": 2, "gmt_machine_description": "Two"},
}


def test_machines_come_in_the_order_of_the_inventory():
    assert _cluster.machines(["machine2", "machine1"], HOSTVARS) == [
        {"id": 2, "description": "Two"},
        {"id": 1, "description": "One"},
    ]


def test_a_plain_variable_needs_no_templating_engine_and_a_template_does():
    class HostVars(dict):
        """As Ansible's: raw_get() as the inventory has it."""

        looks: t.ClassVar = []

        def raw_get(self, host):
            self.looks.append(host)
            return {"gmt_machine_id": 7, "gmt_machine_description": "{{ name }}"} if host == "one" else {}

    hostvars = HostVars(one={"gmt_machine_id": "never looked at", "gmt_machine_description": "templated"})
    assert _cluster.machines(["one"], hostvars) == [{"id": 7, "description": "templated"}]
    assert hostvars.looks == ["one"]  # each look puts all variables of the host together


def test_each_machine_says_what_became_of_it():
    hostvars = {"one": {"site_outcome": "left alone", "site_why": "a job is RUNNING"}, "two": {}}
    assert site_table(["one", "two"], hostvars) == [
        "machine  outcome     why, or what changed",
        "-------  ----------  --------------------",
        "one      left alone  a job is RUNNING",
        "two      not begun",
    ]


def test_a_host_that_is_no_machine_needs_an_outcome_to_be_in_the_table():
    hostvars = {"one": {}, "server": {"site_outcome": "as wanted"}, "pi": {}}
    assert [line.split()[0] for line in site_table(list(hostvars), hostvars, ["one", "two"])[2:]] == ["one", "server"]
    assert site_table(["pi"], hostvars, ["one"]) == []


def test_a_machine_that_the_plan_has_nothing_for_is_unchanged():
    run = {"site_plan": {"hosts": {"one": {}, "two": {}}}, "site_work": ["two"]}
    rows = _cluster.outcome_rows(["one", "two", "three"], {"localhost": run, "one": {}, "two": {}, "three": {}})
    assert [row[1] for row in rows] == ["unchanged", "not begun", "not begun"]


def test_what_is_left_comes_with_a_remedy_and_nothing_else_does():
    hostvars = {
        "one": {"site_outcome": "left alone", "site_why": "a job is RUNNING"},
        "two": {"site_outcome": "built", "site_why": "gmt_release"},
        "three": {},
        "four": {"site_outcome": "lost", "site_why": "it does not answer"},
    }
    left = _cluster.site_left(list(hostvars), hostvars)
    assert [line.split(". ")[0] for line in left] == [
        "one: left alone, because a job is RUNNING",
        "four: lost, because it does not answer",
    ]
    assert "site_wait" in left[0] and "release.yml" in left[1]


def test_who_holds_what_is_a_table():
    held = {
        "id": 1,
        "description": "Dell R640",
        "held": True,
        "owner": "ada@office",
        "reason": "new fan",
        "since": "2026-11-21T23:18:05+00:00",
        "jobs": [4, 5],
        "idle": False,
        "busy_with": "a job is RUNNING",
    }
    assert _cluster.hold_table([held]) == [
        "id  description  held by     why      since (UTC)       paused  at work",
        "--  -----------  ----------  -------  ----------------  ------  ----------------",
        "1   Dell R640    ada@office  new fan  2026-11-21 23:18  2       a job is RUNNING",
    ]
    assert _cluster.hold_table([]) == ["No machine is held."]
