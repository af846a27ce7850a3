#!/usr/bin/python
# Copyright (c) 2026, the greenlab.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read what a machine is made of, and compare it with what it was made of."""

from __future__ import annotations

DOCUMENTATION = r"""
module: gmt_baseline_info
short_description: Read what a machine is made of, in the words of GMT's config.yml
version_added: 0.1.0
description:
  - Measures what the optional machine checks of the Green Metrics Tool (GMT, since v4.0) compare before each run, so
    that nobody has to collect it by hand.
  - Compares it with what is expected, and names each part that differs.
extends_documentation_fragment: [greenlab.cluster.attributes.reads]
options:
  expected:
    description: What was measured before, RV(machine) of an earlier run or a part of it. Empty compares nothing.
    type: dict
    default: {}
  sysfs:
    description: Where sysfs is, for tests.
    type: path
    default: /sys
author:
  - the greenlab.cluster contributors (!UNKNOWN)
"""

EXAMPLES = r"""
- name: Has anybody changed the memory?
  greenlab.cluster.gmt_baseline_info:
    expected: {dram_gb: 32, cpu_cores: 8}
  become: true
  register: baseline
  failed_when: baseline.drift | length > 0
"""

RETURN = r"""
machine:
  description:
    - Keys and values for the section C(machine) of C(config.yml).
    - USB devices are vendor's and product's numbers, PCI devices are names as C(lspci) prints them.
  returned: success
  type: dict
  sample:
    cpu_cores: 8
    dram_gb: 32
    usb_devices: ["1d6b:0002"]
    pci_devices: ["Host bridge: Intel Corporation Device 3e1f (rev 08)"]
    cpu_governor: performance
    cpu_scaling_driver: intel_pstate
    cpu_smt: false
    cpu_turbo_boost: false
    cpu_frequency_mhz: 3200
left_out:
  description: Why a value cannot be told here, or would make GMT's check fail.
  returned: success
  type: dict
  sample: {rapl_power_capping: no domain has one power limit in whole watts for the long and the short term}
drift:
  description: One sentence for each part that is not as in O(expected).
  returned: success
  type: list
  elements: str
  sample: ["dram_gb is 16, was 32", "usb_devices: 046d:c52b (Logitech, Inc. Unifying Receiver) is new"]
"""

import shutil
import typing as t
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.greenlab.cluster.plugins.module_utils._quiet_baseline import drift, measure, usb_names

if t.TYPE_CHECKING:
    from collections.abc import Sequence


def argument_spec() -> dict[str, dict[str, t.Any]]:
    """Return the options of the module."""
    return {"expected": {"type": "dict", "default": {}}, "sysfs": {"type": "path", "default": "/sys"}}


def main() -> None:
    """Run the module."""
    module = AnsibleModule(argument_spec=argument_spec(), supports_check_mode=True)

    def run(command: Sequence[str]) -> str:
        if not shutil.which(command[0]):
            return ""
        status, output, _errors = module.run_command(list(command), environ_update={"LC_ALL": "C"})
        return output if status == 0 else ""

    found, left_out = measure(run, Path(module.params["sysfs"]))
    module.exit_json(
        changed=False, machine=found, left_out=left_out, drift=drift(module.params["expected"], found, usb_names(run))
    )


if __name__ == "__main__":
    main()
