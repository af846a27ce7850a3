# Copyright (c) 2026, the greenlab.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A MAC address in one form; what counts as one is in plugin_utils/_mac.py."""

from __future__ import annotations

DOCUMENTATION = r"""
name: mac_address
short_description: Write a MAC address in one form
version_added: 0.1.0
author:
  - greenlab.cluster contributors (!UNKNOWN)
description:
  - Returns the address in lower case, its six bytes joined by colons.
  - Fails on anything that cannot be the address of a network card.
  - The same check is the type V(mac) of M(greenlab.cluster.preflight).
options:
  _input:
    description:
      - Six pairs of hexadecimal digits, joined by V(:), by V(-) or by nothing.
      - Quote it in YAML, which reads some addresses, such as C(10:20:30:40:50:12), as a number.
      - A multicast, broadcast or all-zero address is an error, because no network card has one.
    type: str
    required: true
seealso:
  - module: greenlab.cluster.preflight
"""

EXAMPLES = r"""
- name: Show a MAC address as the wake host writes it
  ansible.builtin.debug:
    msg: "{{ '52-54-00-12-34-AB' | greenlab.cluster.mac_address }}"
  # => 52:54:00:12:34:ab
"""

RETURN = r"""
_value:
  description: The address in lower case with colons.
  type: str
"""

from collections.abc import Callable

from ansible.errors import AnsibleFilterError

from ansible_collections.greenlab.cluster.plugins.plugin_utils._mac import normalise_mac


def mac_address(value: object) -> str:
    """Return the MAC address in lower case with colons, or raise AnsibleFilterError."""
    try:
        return normalise_mac(value)
    except ValueError as error:
        raise AnsibleFilterError(f"mac_address: {value!r} {error}") from error


class FilterModule:
    """Hand the filter to Ansible."""

    def filters(self) -> dict[str, Callable[..., str]]:
        """Return the filters of this file by name."""
        return {"mac_address": mac_address}
