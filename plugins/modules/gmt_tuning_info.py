#!/usr/bin/python
# Copyright (c) 2026, the greenlab.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read turbo, multithreading, frequency, idle states and power caps of a machine."""

from __future__ import annotations

DOCUMENTATION = r"""
module: gmt_tuning_info
short_description: Read turbo, multithreading, frequency, idle states and power caps of a machine
version_added: 0.1.0
description:
  - Returns the switches that M(greenlab.cluster.gmt_tuning) knows, in its order, and what this machine has for each.
extends_documentation_fragment: [greenlab.cluster.attributes.reads]
options:
  sysfs:
    description: Where sysfs is, for tests.
    type: path
    default: /sys
seealso:
  - module: greenlab.cluster.gmt_tuning
author:
  - the greenlab.cluster contributors (!UNKNOWN)
"""

EXAMPLES = r"""
- name: See what the hardware offers
  greenlab.cluster.gmt_tuning_info:
  become: true
  register: hardware
"""

RETURN = r"""
operations:
  description: All switches in the order in which they are thrown.
  returned: success
  type: list
  elements: dict
  contains:
    name:
      description: Name of the switch, as in the options of M(greenlab.cluster.gmt_tuning).
      type: str
      sample: turbo
    why:
      description: Why it stands at this place of the order.
      type: str
      sample: before the frequency, whose highest value it changes
    missing:
      description: What the machine lacks, empty if the switch can be thrown.
      type: str
      sample: ""
    files:
      description: What its files hold, by path.
      type: dict
      sample: {/sys/devices/system/cpu/intel_pstate/no_turbo: "0"}
  sample:
    - name: turbo
      why: before the frequency, whose highest value it changes
      missing: ""
      files: {/sys/devices/system/cpu/intel_pstate/no_turbo: "0"}
"""

import typing as t
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.greenlab.cluster.plugins.module_utils._tuning import TuningError, show


def argument_spec() -> dict[str, dict[str, t.Any]]:
    """Return the options of the module."""
    return {"sysfs": {"type": "path", "default": "/sys"}}


def main() -> None:
    """Run the module."""
    module = AnsibleModule(argument_spec=argument_spec(), supports_check_mode=True)
    try:
        operations = show(Path(module.params["sysfs"]))
    except TuningError as error:
        module.fail_json(msg=f"{error}.")
    module.exit_json(changed=False, operations=operations)


if __name__ == "__main__":
    main()
