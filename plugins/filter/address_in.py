# Copyright (c) 2026, the greenlab.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""An address that a host of a network can have."""

from __future__ import annotations

DOCUMENTATION = r"""
name: address_in
short_description: Write an address with the prefix of its network
version_added: 0.1.0
author:
  - greenlab.cluster contributors (!UNKNOWN)
description:
  - Returns address and prefix in one, as files of network managers have it.
  - An error is an address outside the network, the network's own and its broadcast address, and a network that is none.
options:
  _input:
    description: An IPv4 address, such as C(10.168.168.11).
    type: str
    required: true
  cidr:
    description: The network, such as C(10.168.168.0/24). V(0.0.0.0/0) is an error.
    type: str
    required: true
  name:
    description: What errors begin with, such as the variable that has the address.
    type: str
    default: address_in
"""

EXAMPLES = r"""
- name: Show a node's address
  ansible.builtin.debug:
    msg: "{{ '10.168.168.11' | greenlab.cluster.address_in('10.168.168.0/24') }}"
  # => 10.168.168.11/24
"""

RETURN = r"""
_value:
  description: The address with its network's prefix.
  type: str
"""

import ipaddress
from collections.abc import Callable

from ansible.errors import AnsibleFilterError


def address_in(value: object, cidr: object, name: str = "address_in") -> str:
    """Return address/prefix, or raise AnsibleFilterError."""
    try:
        network = ipaddress.IPv4Network(str(cidr))
    except ValueError as error:
        raise AnsibleFilterError(f"{name}: {cidr!r} is no network: {error}. Write it as 10.168.168.0/24.") from error
    if not 8 <= network.prefixlen <= 30:
        raise AnsibleFilterError(f"{name}: {cidr!r} is no network of a cluster. Give a prefix from /8 to /30.")
    try:
        address = ipaddress.IPv4Address(str(value))
    except ValueError as error:
        raise AnsibleFilterError(f"{name}: {value!r} is no IPv4 address. Write one of {_range(network)}.") from error
    if address not in network:
        raise AnsibleFilterError(f"{name}: {value} is not in {network}. Write one of {_range(network)}.")
    if address in (network.network_address, network.broadcast_address):
        kind = "the network's own address" if address == network.network_address else "the broadcast address"
        raise AnsibleFilterError(f"{name}: {value} is {kind} of {network}. Write one of {_range(network)}.")
    return f"{address}/{network.prefixlen}"


def _range(network: ipaddress.IPv4Network) -> str:
    return f"{network.network_address + 1} to {network.broadcast_address - 1}"


class FilterModule:
    """Hand the filter to Ansible."""

    def filters(self) -> dict[str, Callable[..., str]]:
        """Return the filters of this file by name."""
        return {"address_in": address_in}
