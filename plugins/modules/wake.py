#!/usr/bin/python
# Copyright (c) 2026, the greenlab.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Wake a machine that sleeps, and wait until it is awake."""

from __future__ import annotations

DOCUMENTATION = r"""
module: wake
short_description: Wake a machine that sleeps, and wait until it is awake
version_added: 0.1.0
description:
  - Runs on the wake host, which the role P(greenlab.cluster.wake_host#role) has built, and there asks its program to
    wake one machine now, through the machine's driver, whatever its windows, its limits and holds say.
  - A machine that is awake costs one look at its port 22 or one ping. One whose client was last seen at work is awake,
    and is not contacted.
  - A machine without a job is switched off again by its client. Hold it first, P(greenlab.cluster.gmt_hold#module).
attributes:
  check_mode:
    support: full
    description: Can run in check_mode and return changed status prediction without modifying target.
  diff_mode:
    support: none
    description: Will return details on what has changed (or possibly needs changing in check_mode), when in diff mode.
options:
  name:
    description: The machine, by its name in the inventory or its number in the jobs DB.
    type: str
    required: true
  timeout:
    description: >-
      Seconds after which a machine that gave no sign of life has not woken. If not given, C(wake_host_timeout).
    type: int
  force:
    description: Wake it although its client was last seen at work. The client's last word outlives a power cut.
    type: bool
    default: false
  program:
    description: The wake host's program.
    type: path
    default: /usr/local/bin/greenlab-wake
  config:
    description: The program's configuration. If not given, the one that the role writes.
    type: path
notes:
  - Needs root on the wake host, as the program runs as an account of its own.
author:
  - the greenlab.cluster contributors (!UNKNOWN)
"""

EXAMPLES = r"""
- name: Wake the machine
  greenlab.cluster.wake:
    name: "{{ inventory_hostname }}"
    timeout: 120
  delegate_to: "{{ groups['wake_host'] | first }}"
  become: true
"""

RETURN = r"""
was:
  description: What the machine was before.
  returned: when the program has looked at it
  type: str
  sample: asleep
awake:
  description: Whether it is awake now.
  returned: when the program has looked at it
  type: bool
seconds:
  description: How long it took.
  returned: when the program has looked at it
  type: float
  sample: 14.2
by:
  description: >-
    What tells that it is awake, V(tcp) (its port 22 is open), V(ping), or V(row) (its client was last seen at work).
    Empty if nothing does.
  returned: when the program has looked at it
  type: str
  sample: tcp
built:
  description: Whether the program is there.
  returned: always
  type: bool
"""

import json
import os
import platform
import typing as t

from ansible.module_utils.basic import AnsibleModule

NOT_BUILT = (
    "{host} has no {program}, so it cannot wake {name}. Build the wake host: playbook greenlab.cluster.wake_host, or"
    " role greenlab.cluster.wake_host."
)
UNREADABLE = "The program {program} on {host} did not say what became of {name} (exit status {status}): {words}"


def argv(params: dict[str, t.Any], check_mode: bool) -> list[str]:
    """Return the program's command line."""
    command = [params["program"], "--wake", params["name"]]
    command += ["--config", params["config"]] if params["config"] else []
    command += ["--timeout", str(params["timeout"])] if params["timeout"] is not None else []
    command += ["--force"] if params["force"] else []
    command += ["--dry-run"] if check_mode else []
    return command


def outcome(params: dict[str, t.Any], host: str, status: int, out: str, err: str) -> dict[str, t.Any]:
    """Return the module's result of what the program has printed; with a `msg` when it failed."""
    try:
        told = json.loads(out.splitlines()[-1])
        result = {key: told[key] for key in ("was", "awake", "seconds", "by")}
    except (ValueError, IndexError, KeyError, TypeError):
        words = err.strip() or out.strip() or "nothing"
        return {"msg": UNREADABLE.format(host=host, status=status, words=words, **params), "built": True}
    result.update(built=True, changed=told["was"] == "asleep")
    if status != 0:
        result["msg"] = f"{told['machine']} did not wake: {told.get('why', err.strip())}"
    return result


def run(module: AnsibleModule) -> dict[str, t.Any]:
    """Have the program do it."""
    params, host = module.params, platform.node()
    if not os.access(params["program"], os.X_OK):
        return {"msg": NOT_BUILT.format(host=host, **params), "built": False}
    status, out, err = module.run_command(argv(params, module.check_mode))
    return outcome(params, host, status, out, err)


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "name": {"type": "str", "required": True},
            "timeout": {"type": "int"},
            "force": {"type": "bool", "default": False},
            "program": {"type": "path", "default": "/usr/local/bin/greenlab-wake"},
            "config": {"type": "path"},
        },
        supports_check_mode=True,
    )
    result = run(module)
    if "msg" in result:
        module.fail_json(**result)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
