# Copyright (c) 2026, the greenlab.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A root helper of the Green Metrics Tool, for a machine whose sudo crashes with an empty environment."""

from __future__ import annotations

DOCUMENTATION = r"""
name: gmt_helper
short_description: Mend a root helper for a sudo that crashes
version_added: 0.1.0
author:
  - greenlab.cluster contributors (!UNKNOWN)
description:
  - The helpers that the Green Metrics Tool runs as root empty their environment, and some then call C(sudo).
    The C(sudo) of Debian 13 (1.9.16p2-3+deb13u5) crashes where there is no variable at all.
  - Returns the script with one line more, which sets C(LANG=C) after the environment is emptied. This is what programs
    assume without the variable.
  - A script that does not empty its environment, or does not call C(/usr/bin/sudo), is returned as it is.
options:
  _input:
    description: The script.
    type: str
    required: true
seealso:
  - plugin: greenlab.cluster.gmt_release
    plugin_type: filter
"""

EXAMPLES = r"""
- name: Install the maintenance script where sudo crashes
  ansible.builtin.copy:
    content: "{{ script.content | b64decode | greenlab.cluster.gmt_helper }}"
    dest: /usr/local/bin/green-metrics-tool/maintenance.py
    mode: "0755"
"""

RETURN = r"""
_value:
  description: The script that this sudo can be called from.
  type: str
"""

from collections.abc import Callable

from ansible_collections.greenlab.cluster.plugins.module_utils._helpers import with_a_variable


class FilterModule:
    """Hand the filter to Ansible."""

    def filters(self) -> dict[str, Callable[..., str]]:
        """Return the filters of this file by name."""
        return {"gmt_helper": with_a_variable}
