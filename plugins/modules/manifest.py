#!/usr/bin/python
# Copyright (c) 2026, the greenlab.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Write down how all that is managed on a host is, or take what was written away."""

from __future__ import annotations

DOCUMENTATION = r"""
module: manifest
short_description: Write down how all that is managed on a host is
version_added: 0.1.0
description:
  - Reads all that O(managed) names and writes it, with O(fingerprint), into a file that only root may read.
    M(greenlab.cluster.manifest_info) compares the host with it later, in one call.
  - Files are kept as their hash, owner, group and mode, never as their content.
  - Call it last, when the host was built and is found fit, and with O(state=absent) before anything is changed. Work
    that is cut off then leaves nothing that could be believed.
attributes:
  check_mode:
    description: Can run in C(check_mode) and return changed status prediction without modifying target.
    support: full
  diff_mode:
    description: Returns details on what has changed (or possibly needs changing in C(check_mode)), when in diff mode.
    support: none
options:
  path:
    description: The file. It is written beside and renamed, and belongs to root with mode 0600.
    type: path
    default: /var/lib/greenlab/manifest.json
  state:
    description: V(present) writes it, V(absent) removes it.
    type: str
    choices: [present, absent]
    default: present
  fingerprint:
    description:
      - What the host was built from, as M(greenlab.cluster.build_plan) returns it. Required for O(state=present).
    type: str
  managed:
    description:
      - What is managed, one dict for each role. Required for O(state=present).
      - Each has lists of names under C(paths) (a file, link or folder, or that it is absent), C(folders) (with all that
        is in it), C(names) (a folder and the names in it), C(checkouts) (of git), C(units) (enabled, masked and active;
        those of an account with a blank and its name), C(unit_files) (enabled or masked), C(packages), C(accounts),
        C(values) (files of the kernel), C(certificates) (valid for another 30 days) and C(queries) (account, port,
        database and a query for PostgreSQL, with blanks between).
    type: list
    elements: dict
author:
  - the greenlab.cluster contributors (!UNKNOWN)
seealso:
  - module: greenlab.cluster.manifest_info
  - module: greenlab.cluster.build_plan
"""

EXAMPLES = r"""
- name: Write down how the machine is
  greenlab.cluster.manifest:
    fingerprint: "{{ plan.hosts[inventory_hostname].fingerprint }}"
    managed:
      - paths: [/etc/sudoers.d/green-metrics-tool]
        units: [docker.service, green-coding-client.service gc]
        accounts: [gc]
  become: true
"""

RETURN = r"""
number:
  description: How many things were written down.
  returned: success
  type: int
  sample: 96
"""

import typing as t

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.greenlab.cluster.plugins.module_utils._manifest import Manifest, ManifestError, Reader, merged

ARGUMENT_SPEC: dict[str, dict[str, t.Any]] = {
    "path": {"type": "path", "default": "/var/lib/greenlab/manifest.json"},
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "fingerprint": {"type": "str"},
    "managed": {"type": "list", "elements": "dict"},
}


def run(params: t.Mapping[str, t.Any], check_mode: bool, reader: Reader) -> dict[str, t.Any]:
    """Write or remove the manifest, and return the module's result."""
    manifest = Manifest(params["path"])
    before = manifest.load()
    if params["state"] == "absent":
        return {"changed": before is not None if check_mode else manifest.remove(), "number": 0}
    managed = merged(params["managed"])
    found = reader.read(managed)
    wanted = {"fingerprint": params["fingerprint"], "managed": managed, "found": found, "seen": reader.seen}
    changed = before is None or any(before.get(key) != value for key, value in wanted.items())
    if changed and not check_mode:
        manifest.store(**wanted)
    return {"changed": changed, "number": sum(map(len, found.values()))}


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec=ARGUMENT_SPEC,
        required_if=[("state", "present", ["fingerprint", "managed"])],
        supports_check_mode=True,
    )
    try:
        module.exit_json(**run(module.params, module.check_mode, Reader()))
    except ManifestError as error:
        module.fail_json(msg=f"managed: {error}")


if __name__ == "__main__":
    main()
