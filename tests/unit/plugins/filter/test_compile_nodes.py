# SPDX-License-Identifier: GPL-3.0-or-later
"""The nodes of a compile cluster, and who may send them work."""

from __future__ import annotations

import pytest
from ansible.errors import AnsibleFilterError

from ansible_collections.greenlab.cluster.plugins.filter.allowed_networks import allowed_networks
from ansible_collections.greenlab.cluster.plugins.filter.compile_nodes import compile_nodes

HOSTVARS = {
    "head": {"ansible_host": "192.0.2.30", "cluster_net_address": "10.168.168.1", "mpi_slots": 2},
    "worker1": {"ansible_host": "192.0.2.31", "distcc_jobs": 4},
    "worker2": {},
}


def test_a_node_is_known_by_its_address_in_the_cluster():
    assert compile_nodes(["worker2", "head", "worker1"], HOSTVARS, ["jobs", "slots"]) == [
        {"name": "worker2", "address": "worker2"},
        {"name": "head", "address": "10.168.168.1", "slots": 2},
        {"name": "worker1", "address": "192.0.2.31", "jobs": 4},
    ]
    assert compile_nodes(["head"], HOSTVARS) == [{"name": "head", "address": "10.168.168.1"}]


def test_networks_of_a_lab_pass_and_the_internet_does_not():
    good = ["10.0.0.0/8", "192.0.2.7"]
    assert allowed_networks(good) == good
    with pytest.raises(AnsibleFilterError, match=r"has '0\.0\.0\.0/0', so that half the Internet"):
        allowed_networks(["10.0.0.0/8", "0.0.0.0/0"])
