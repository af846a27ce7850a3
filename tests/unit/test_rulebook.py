# SPDX-License-Identifier: GPL-3.0-or-later
"""The rulebook says what trigger, listener and playbook say. Run by hand with ansible-rulebook; see docs/wake.md."""

from __future__ import annotations

import re
from pathlib import Path

import yaml

CHECKOUT = Path(__file__).resolve().parents[2]
SQL = (CHECKOUT / "roles/jobs_db/files/notify.sql").read_text()
(RULES,) = yaml.safe_load((CHECKOUT / "extensions/eda/rulebooks/wake.yml").read_text())


def test_trigger_listener_and_rulebook_use_one_channel():
    listener = (CHECKOUT / "roles/wake_host/files/program/greenlab_wake/listen.py").read_text()
    channel = re.search(r"pg_notify\('(\w+)'", SQL)[1]
    assert RULES["sources"][0]["ansible.eda.pg_listener"]["channels"] == [channel]
    assert f'CHANNEL = "{channel}"' in listener
    assert re.search(r"tgname = '(\w+)'", listener)[1] in SQL


def test_the_rule_asks_for_what_the_trigger_sends_and_runs_a_playbook_that_knows_it():
    (rule,) = RULES["rules"]
    (key,) = re.findall(r"jsonb_build_object\('(\w+)'", SQL)
    assert rule["condition"] == f"event.{key} is defined"
    assert rule["throttle"]["group_by_attributes"] == [f"event.{key}"]
    action = rule["actions"][0]["run_playbook"]
    ((variable, value),) = action["extra_vars"].items()
    assert value == f"{{{{ event.{key} }}}}"
    playbook = CHECKOUT / f"playbooks/{action['name'].removeprefix('greenlab.cluster.')}.yml"
    assert variable in playbook.read_text()
