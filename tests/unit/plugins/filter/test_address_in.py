# SPDX-License-Identifier: GPL-3.0-or-later
"""An address belongs into its network, or the error says which would."""

from __future__ import annotations

import pytest
from ansible.errors import AnsibleFilterError

from ansible_collections.greenlab.cluster.plugins.filter.address_in import FilterModule

address_in = FilterModule().filters()["address_in"]


def test_an_address_gets_its_networks_prefix() -> None:
    assert address_in("10.168.168.11", "10.168.168.0/24") == "10.168.168.11/24"
    assert address_in("10.0.0.2", "10.0.0.0/30") == "10.0.0.2/30"


@pytest.mark.parametrize(
    ("address", "cidr", "message"),
    [
        (
            "10.168.169.11",
            "10.168.168.0/24",
            r"not in 10\.168\.168\.0/24\. Write one of 10\.168\.168\.1 to 10\.168\.168\.254",
        ),
        ("10.168.168.0", "10.168.168.0/24", "the network's own address"),
        ("10.168.168.255", "10.168.168.0/24", "the broadcast address"),
        ("10.168.168.11/24", "10.168.168.0/24", "is no IPv4 address"),
        ("010.168.168.11", "10.168.168.0/24", "is no IPv4 address"),
        ("fd00::1", "10.168.168.0/24", "is no IPv4 address"),
        ("$(id)", "10.168.168.0/24", "is no IPv4 address"),
        (None, "10.168.168.0/24", "is no IPv4 address"),
        ("10.168.168.11", "0.0.0.0/0", "is no network of a cluster"),
        ("10.168.168.11", "10.168.168.11/32", "is no network of a cluster"),
        ("10.168.168.11", "10.168.168.11/24", "has host bits set.*Write it as 10.168.168.0/24"),
        ("10.168.168.11", "here", "'here' is no network"),
    ],
)
def test_anything_else_is_refused_with_the_remedy(address: object, cidr: object, message: str) -> None:
    with pytest.raises(AnsibleFilterError, match=message):
        address_in(address, cidr)


def test_the_error_names_the_variable_if_told() -> None:
    with pytest.raises(AnsibleFilterError, match=r"^cluster_net_address: 10\.9\.9\.9 is not in 10\.0\.0\.0/24"):
        address_in("10.9.9.9", "10.0.0.0/24", "cluster_net_address")
