# Copyright (c) 2026, the greenlab.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Networks that may send work to a host; what counts as one is in plugin_utils/_networks.py."""

from __future__ import annotations

DOCUMENTATION = r"""
name: allowed_networks
short_description: Check the networks that may send work to a host
version_added: 0.1.0
author:
  - greenlab.cluster contributors (!UNKNOWN)
description:
  - Returns the list as it is, or fails and says what to write instead.
options:
  _input:
    description:
      - IPv4 addresses and networks.
      - A network wider than V(/8), such as V(0.0.0.0/0), is an error, and so is the address of a host with a prefix.
    type: list
    elements: str
    required: true
seealso:
  - module: greenlab.cluster.preflight
"""

EXAMPLES = r"""
- name: Show who may send work
  ansible.builtin.debug:
    msg: "{{ ['10.168.168.0/24'] | greenlab.cluster.allowed_networks }}"
"""

RETURN = r"""
_value:
  description: The same list.
  type: list
  elements: str
"""

from collections.abc import Callable

from ansible.errors import AnsibleFilterError

from ansible_collections.greenlab.cluster.plugins.plugin_utils._networks import check_allowed


def allowed_networks(values: list[str]) -> list[str]:
    """Return the networks, or raise AnsibleFilterError."""
    wrong = check_allowed(values)
    if wrong:
        raise AnsibleFilterError(f"The list of networks {wrong}")
    return values


class FilterModule:
    """Hand the filter to Ansible."""

    def filters(self) -> dict[str, Callable[..., list[str]]]:
        """Return the filters of this file by name."""
        return {"allowed_networks": allowed_networks}
