#!/usr/bin/python
# Copyright (c) 2026, the greenlab.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Set turbo, multithreading, frequency, idle states and power caps of a machine, or set them back."""

from __future__ import annotations

DOCUMENTATION = r"""
module: gmt_tuning
short_description: Set turbo, multithreading, frequency, idle states and power caps of a machine
version_added: 0.1.0
description:
  - Throws the hardware's switches through C(/sys), in an order in which none undoes another, and reads each value
    again.
  - Notes what a file held before it is first written, so that O(state=reset) can write it back.
  - Lasts until the next boot; the role P(greenlab.cluster.machine_tuning#role) makes it last.
attributes:
  check_mode:
    description: Can run in C(check_mode) and return changed status prediction without modifying target.
    support: full
    details:
      - With O(switches.smt=false), also lists files of processors that a real run would have taken away by then.
  diff_mode:
    description: Returns details on what has changed (or possibly needs changing in C(check_mode)), when in diff mode.
    support: full
options:
  state:
    description:
      - V(tuned) throws the switches in O(switches).
      - V(reset) writes back what O(state_file) holds, and removes it.
    type: str
    choices: [tuned, reset]
    default: tuned
  switches:
    description: What to set. What is left out is not touched.
    type: dict
    default: {}
    suboptions:
      smt:
        description: Simultaneous multithreading (hyper-threading). V(false) takes the second threads away.
        type: bool
      turbo:
        description: Whether the processor may exceed its base frequency.
        type: bool
      governor:
        description:
          - Name of the frequency governor, such as V(performance), V(powersave) or V(schedutil).
          - V(dynamic) is one that follows the load. The present one stays if it does.
        type: str
      frequency:
        description:
          - Fixed frequency in MHz, or V(base) for the highest one without turbo, where the processor tells it.
          - V(any) removes the limits. The frequency then lies between the processor's lowest and highest one.
          - An error if the processor has no such frequency.
        type: str
      max_c_state:
        description:
          - Deepest idle state that the processor may enter, such as V(C1). Deeper ones are disabled.
          - V(C1) is C1E or WFI where the processor has that instead. V(C0) only polls. V(any) allows all states.
        type: str
      rapl_package:
        description: Power cap of each processor package in watts, for the long and the short term.
        type: int
      rapl_dram:
        description: Power cap of memory in watts.
        type: int
      rapl_psys:
        description: Power cap of the platform in watts.
        type: int
  missing:
    description:
      - What to do when the machine lacks a switch, as virtual machines and containers do.
      - V(report) returns it in RV(missing) and warns, V(fail) is an error.
    type: str
    choices: [report, fail]
    default: report
  sysfs:
    description: Where sysfs is, for tests.
    type: path
    default: /sys
  state_file:
    description: Where to note how the machine was. Its folder must exist.
    type: path
    default: /var/lib/greenlab/tuning.json
seealso:
  - module: greenlab.cluster.gmt_tuning_info
author:
  - the greenlab.cluster contributors (!UNKNOWN)
"""

EXAMPLES = r"""
- name: Fix the frequency
  greenlab.cluster.gmt_tuning:
    switches:
      turbo: false
      governor: performance
      frequency: base
  become: true

- name: Let the machine be as it was
  greenlab.cluster.gmt_tuning:
    state: reset
  become: true
"""

RETURN = r"""
operations:
  description: What was done, in order. RV(ignore:before) and RV(ignore:after) hold only files that changed.
  returned: success
  type: list
  elements: dict
  sample:
    - name: turbo
      why: before the frequency, whose highest value it changes
      missing: ""
      before: {/sys/devices/system/cpu/intel_pstate/no_turbo: "0"}
      after: {/sys/devices/system/cpu/intel_pstate/no_turbo: "1"}
missing:
  description: What the machine lacks, one sentence for each switch that could not be thrown.
  returned: success
  type: list
  elements: str
  sample: ["rapl_dram: there is no power limit for dram (devices/virtual/powercap/intel-rapl)"]
"""

import dataclasses
import json
import os
import typing as t
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.greenlab.cluster.plugins.module_utils._tuning import TuningError, reset, tune

if t.TYPE_CHECKING:
    from ansible_collections.greenlab.cluster.plugins.module_utils._tuning import Outcome


def argument_spec() -> dict[str, dict[str, t.Any]]:
    """Return the options of the module."""
    return {
        "state": {"type": "str", "choices": ["tuned", "reset"], "default": "tuned"},
        "switches": {
            "type": "dict",
            "default": {},
            "options": {
                "smt": {"type": "bool"},
                "turbo": {"type": "bool"},
                "governor": {"type": "str"},
                "frequency": {"type": "str"},
                "max_c_state": {"type": "str"},
                "rapl_package": {"type": "int"},
                "rapl_dram": {"type": "int"},
                "rapl_psys": {"type": "int"},
            },
        },
        "missing": {"type": "str", "choices": ["report", "fail"], "default": "report"},
        "sysfs": {"type": "path", "default": "/sys"},
        "state_file": {"type": "path", "default": "/var/lib/greenlab/tuning.json"},
    }


def run(options: dict[str, t.Any], check: bool) -> list[Outcome]:
    """Tune or reset; raise `TuningError` where the hardware refuses."""
    root, notes = Path(options["sysfs"]), Path(options["state_file"])
    noted: dict[str, str] = json.loads(notes.read_text(encoding="utf8")) if notes.exists() else {}

    def note(before: dict[str, str]) -> None:
        noted.update({file: value for file, value in before.items() if file not in noted})
        beside = notes.with_suffix(".new")
        beside.write_text(json.dumps(noted, indent=2) + "\n", encoding="utf8")
        os.replace(beside, notes)

    if options["state"] == "tuned":
        return tune(root, options["switches"] or {}, note, check)
    outcomes = reset(root, noted, check)
    if not check:
        notes.unlink(missing_ok=True)
    return outcomes


def main() -> None:
    """Run the module."""
    module = AnsibleModule(argument_spec=argument_spec(), supports_check_mode=True)
    try:
        outcomes = run(module.params, module.check_mode)
    except TuningError as error:
        module.fail_json(msg=f"{error}.")
    missing = [f"{one.name}: {one.missing}" for one in outcomes if one.missing]
    if missing and module.params["missing"] == "fail":
        module.fail_json(
            msg=f"This machine cannot be tuned as wanted: {'; '.join(missing)}."
            " Leave these switches out, or set missing to report."
        )
    for line in missing:
        module.warn(f"Not tuned: {line}.")
    result: dict[str, t.Any] = {
        "changed": any(one.after for one in outcomes),
        "operations": [dataclasses.asdict(one) for one in outcomes],
        "missing": missing,
    }
    if module._diff:
        result["diff"] = {
            end: "".join(f"{file}: {value}\n" for one in outcomes for file, value in getattr(one, end).items())
            for end in ("before", "after")
        }
    module.exit_json(**result)


if __name__ == "__main__":
    main()
