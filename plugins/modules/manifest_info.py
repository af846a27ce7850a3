#!/usr/bin/python
# Copyright (c) 2026, the greenlab.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation of the action plugin of the same name."""

from __future__ import annotations

DOCUMENTATION = r"""
module: manifest_info
short_description: Tell what of a host is not as it was built
version_added: 0.1.0
description:
  - Reads what M(greenlab.cluster.manifest) wrote and looks at each of these things again, in one call that takes a
    fraction of a second. It changes nothing.
  - The program is sent to the host's Python on its standard input. The host gets no file, and no line in its journal
    but that of C(sudo).
  - A manifest that is missing, of another fingerprint, not root's or readable for others is not believed, and the host
    counts as one that has to be built.
extends_documentation_fragment: [greenlab.cluster.attributes.reads]
attributes:
  action:
    description: Sends the program from the controller.
    support: full
options:
  path:
    description: The file.
    type: path
    default: /var/lib/greenlab/manifest.json
  fingerprint:
    description: What the host would be built from now, as M(greenlab.cluster.build_plan) returns it.
    type: str
    required: true
notes:
  - Files of a git checkout are read only where sizes or times are not as they were, as git does. Of a Python
    environment it sees which packages and versions are there, not their content.
author:
  - the greenlab.cluster contributors (!UNKNOWN)
seealso:
  - module: greenlab.cluster.manifest
"""

EXAMPLES = r"""
- name: Look whether somebody has changed something by hand
  greenlab.cluster.manifest_info:
    fingerprint: "{{ plan.hosts[inventory_hostname].fingerprint }}"
  become: true
  register: look
"""

RETURN = r"""
converged:
  description: Whether the host is as it was built, and would be built the same way again.
  returned: success
  type: bool
  sample: false
why:
  description: All differences in one line, or why the manifest is not believed. Empty when converged.
  returned: success
  type: str
  sample: "/etc/sudoers.d/green-metrics-tool: content changed, mode 0440 -> 0644"
differences:
  description: What is not as it was.
  returned: success
  type: list
  elements: dict
  contains:
    kind:
      description: What kind of thing it is, such as V(paths) or V(units).
      type: str
    name:
      description: Its name.
      type: str
    differs:
      description: What of it differs. Hashes of contents and passwords are V(hidden).
      type: list
      elements: dict
  sample:
    - kind: units
      name: docker.service
      differs: [{"of": "ActiveState", "before": "active", "after": "inactive"}]
"""
