#!/usr/bin/python
# Copyright (c) 2026, the greenlab.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Look whether a machine is fit to measure: all checks in one process, which writes nothing."""

from __future__ import annotations

DOCUMENTATION = r"""
module: gmt_verify
short_description: Look whether a machine is fit to measure
version_added: 0.1.0
description:
  - Makes the checks that the Green Metrics Tool (GMT) makes before and after a measurement, and checks whether what
    this collection laid is still as it was.
  - One process reads all with Python's standard library. It changes and starts nothing, and a failed check does not
    make the module fail. The role P(greenlab.cluster.verify#role) decides what follows from it.
  - Ansible itself unpacks each module into a temporary folder of the machine and removes it again. It writes the call
    into the machine's journal unless C(ansible_no_target_syslog) is true.
extends_documentation_fragment: [greenlab.cluster.attributes.reads]
attributes:
  platform:
    description: Target OS/families that can be operated against.
    support: full
    platforms: linux
options:
  release:
    description: The record of the installed release, as the filter P(greenlab.cluster.gmt_release#filter) returns it.
    type: dict
    required: true
  dir:
    description: Folder of the checkout.
    type: path
    default: /opt/green-metrics-tool
  user:
    description: Account that measures.
    type: str
    default: gc
  group:
    description: Its group.
    type: str
    default: gc
  state_file:
    description: File that remembers which commit was installed.
    type: path
    default: /var/lib/greenlab/gmt.json
  mode:
    description: Program that takes the jobs, the client service, cron, or none.
    type: str
    choices: [client, cron, none]
    default: client
  scope:
    description: Whose the client service is. Without it, that of the release.
    type: str
    choices: [system, user]
  machine_id:
    description: Number of the machine in the jobs DB. Without it, any number in C(config.yml) will do.
    type: int
  skip:
    description: Names of checks to leave out. A name that no check has is an error.
    type: list
    elements: str
    default: []
  journal_seconds:
    description: How far back the journal is searched for lines that would make a run fail, in seconds.
    type: int
    default: 3600
seealso:
  - plugin: greenlab.cluster.gmt_release
    plugin_type: filter
author:
  - the greenlab.cluster contributors (!UNKNOWN)
"""

EXAMPLES = r"""
- name: Look at a machine
  greenlab.cluster.gmt_verify:
    release: "{{ 'v4.1' | greenlab.cluster.gmt_release }}"
    machine_id: "{{ gmt_machine_id }}"
    skip: [steal_time]
  become: true
  register: machine

- name: Name what is wrong
  ansible.builtin.debug:
    msg: "{{ machine.checks | selectattr('state', 'equalto', 'failed') | map(attribute='check') }}"
"""

RETURN = r"""
checks:
  description: One dict a check, first those of the tool.
  returned: success
  type: list
  elements: dict
  contains:
    check:
      description: Its name; for a check of the tool, that of the tool's function without C(check_).
      type: str
      sample: swap_disabled
    origin:
      description: V(tool), the release makes this check itself. V(cluster), only this collection makes it.
      type: str
      sample: tool
    severity:
      description: How bad a failure is, V(ERROR), V(WARN) or V(INFO), as the release has it.
      type: str
      sample: WARN
    state:
      description: V(ok), V(failed) or V(skipped).
      type: str
      sample: failed
    value:
      description: What was found, or why the check was skipped.
      type: str
      sample: 2.0 GiB
    wanted:
      description: What should have been found. Empty when the check was skipped.
      type: str
      sample: none
    meaning:
      description: What the check looks at.
      type: str
      sample: Swap space.
summary:
  description: Number of failed checks by severity (C(error), C(warn), C(info)), of passed (C(ok)) and C(skipped) ones.
  returned: success
  type: dict
  sample: {"error": 0, "warn": 1, "info": 0, "ok": 48, "skipped": 6}
"""

import os
import typing as t

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.greenlab.cluster.plugins.module_utils._verify import summary, unknown_names, verify
from ansible_collections.greenlab.cluster.plugins.module_utils._verify_facts import Facts, Options
from ansible_collections.greenlab.cluster.plugins.module_utils._verify_machine import Machine

ARGUMENT_SPEC: dict[str, dict[str, t.Any]] = {
    "release": {"type": "dict", "required": True},
    "dir": {"type": "path", "default": "/opt/green-metrics-tool"},
    "user": {"type": "str", "default": "gc"},
    "group": {"type": "str", "default": "gc"},
    "state_file": {"type": "path", "default": "/var/lib/greenlab/gmt.json"},
    "mode": {"type": "str", "choices": ["client", "cron", "none"], "default": "client"},
    "scope": {"type": "str", "choices": ["system", "user"]},
    "machine_id": {"type": "int"},
    "skip": {"type": "list", "elements": "str", "default": []},
    "journal_seconds": {"type": "int", "default": 3600},
}


def run(params: t.Mapping[str, t.Any], machine: Machine) -> dict[str, t.Any]:
    """Return the module's result."""
    values = {name: params[name] for name in Options._fields}
    values["scope"] = values["scope"] or values["release"]["service"]["scope"]
    records = verify(Facts(machine, Options(**values)), params["skip"])
    return {"changed": False, "checks": records, "summary": summary(records)}


def main() -> None:
    """Run the module."""
    module = AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True)
    unknown = unknown_names(module.params["skip"])
    if unknown:
        module.fail_json(msg=f"skip: no check is called {', '.join(unknown)}. Look the names up in docs/verify.md.")
    if os.geteuid() != 0:
        module.fail_json(msg="Only root can look at everything. Set become: true.")
    module.exit_json(**run(module.params, Machine()))


if __name__ == "__main__":
    main()
