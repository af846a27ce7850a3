# SPDX-License-Identifier: GPL-3.0-or-later
"""The machines of a wake host: collected from the inventory, completed, and refused when they cannot be woken."""

from __future__ import annotations

import pytest
from ansible.errors import AnsibleFilterError

from ansible_collections.greenlab.cluster.plugins.filter.wake_machines import FilterModule as Machines
from ansible_collections.greenlab.cluster.plugins.filter.wake_targets import FilterModule as Targets

wake_machines = Machines().filters()["wake_machines"]
wake_targets = Targets().filters()["wake_targets"]

GIVEN = {"id": 1, "name": "machine1", "description": "One", "address": "192.0.2.1", "mac": "52-54-00-12-34-AB"}


def test_what_is_not_given_is_added_and_the_address_has_one_form():
    assert wake_machines([GIVEN]) == [
        {**GIVEN, "mac": "52:54:00:12:34:ab", "driver": "magic_packet", "driver_options": {}, "cycle_driver": "",
         "cycle_options": {}, "windows": [], "excluded": False}]


def test_targets_are_the_hosts_that_can_be_woken():
    one = {"gmt_machine_id": 1, "gmt_machine_description": "One", "ansible_host": "192.0.2.1"}
    hostvars = {
        "machine1": {**one, "wake_target_mac": "52:54:00:12:34:ab", "wake_target_excluded": True},
        "machine2": {**one, "gmt_machine_id": 2},
        "pi": {"gmt_machine_id": 3, "gmt_machine_description": "Pi", "wake_target_driver": "pdudaemon",
               "wake_target_driver_options": {"hostname": "pdu", "port": 1}},
    }
    assert wake_targets(["machine1", "machine2", "pi"], hostvars) == [
        {"id": 1, "name": "machine1", "description": "One", "address": "192.0.2.1", "mac": "52:54:00:12:34:ab",
         "excluded": True},
        {"id": 3, "name": "pi", "description": "Pi", "address": "pi", "driver": "pdudaemon",
         "driver_options": {"hostname": "pdu", "port": 1}},
    ]


def test_a_target_that_no_jobs_db_knows_is_numbered_by_its_place():
    options = {"on": ["/usr/local/bin/switch", "on"]}
    hostvars = {"worker1": {}, "worker2": {"wake_target_driver": "command", "wake_target_driver_options": options}}
    assert wake_targets(["worker1", "worker2"], hostvars) == [
        {"id": 2, "name": "worker2", "description": "worker2", "address": "worker2", "driver": "command",
         "driver_options": options}]


def test_windows_get_their_defaults():
    windows = [
        {"kind": "daily", "at": "13:00"},
        {"kind": "sun", "above": 15, "latitude": "52.5", "longitude": 13.4, "deadline": 48},
        {"kind": "carbon", "below": 200, "url": "https://example.org"},
    ]
    assert wake_machines([{**GIVEN, "windows": windows}])[0]["windows"] == [
        {"kind": "daily", "at": "13:00", "minutes": 60, "deadline": 24},
        {"kind": "sun", "above": 15, "latitude": 52.5, "longitude": 13.4, "fallback_hours": 2, "deadline": 48},
        {"kind": "carbon", "below": 200, "url": "https://example.org", "key": "carbon_intensity", "header": "",
         "token": "", "ca_file": "", "deadline": 24},
    ]


SUN = {"kind": "sun", "above": 15, "latitude": 52.5, "longitude": 13.4}


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"mac": ""}, "machine1: mac is missing, which the driver magic_packet needs"),
        ({"mac": "52:54"}, "machine1: mac '52:54' is not a MAC address"),
        ({"driver": "ipmi", "driver_options": {"host": "b", "user": "u"}}, "driver_options.password is missing"),
        ({"driver_options": {"interfaces": "eth1"}}, "driver_options.interfaces is unknown to the driver magic_packet"),
        ({"driver_options": {"secureon": "01:02:03"}}, "driver_options.secureon must be 4 or 6 pairs"),
        ({"driver_options": {"secureon": "01:02:03:04:05"}}, "driver_options.secureon must be 4 or 6 pairs"),
        ({"driver": "command", "driver_options": {"on": "reboot now"}}, "driver_options.on must be a list"),
        ({"cycle_driver": "command", "cycle_options": {"on": ["x"]}}, "cycle_options.cycle must be a list"),
        ({"windows": [{"kind": "moon"}]}, "no kind 'moon'; there are daily, sun, carbon"),
        ({"windows": [{"kind": "daily"}]}, "a window of kind daily needs at"),
        ({"windows": [{"kind": "daily", "at": 780}]}, "at is 780. Write a time such as '13:00', in quotes"),
        ({"windows": [{"kind": "daily", "at": "24:00"}]}, "at is '24:00'"),
        ({"windows": [{"kind": "daily", "at": "13:00", "minutes": 0}]}, "minutes is 0. Give a number from 1 to 1440"),
        ({"windows": [{**SUN, "latitude": 91}]}, "latitude is 91. Give a number from -90 to 90"),
        ({"windows": [{**SUN, "above": "high"}]}, "above is 'high'. Give a number from -90 to 90"),
        ({"windows": [{**SUN, "above": True}]}, "above is True"),
        ({"windows": [{**SUN, "deadline": -1}]}, "deadline is -1"),
        ({"windows": [{**SUN, "height": 1}]}, "a window of kind sun knows no height"),
    ],
)
def test_what_cannot_work_is_refused(change, says):
    with pytest.raises(AnsibleFilterError) as caught:
        wake_machines([{**GIVEN, **change}])
    assert str(caught.value).startswith("wake_machines: machine1: ")
    assert says in str(caught.value)


@pytest.mark.parametrize("key", ["id", "name", "mac"])
def test_no_two_machines_share_what_tells_them_apart(key):
    other = {"id": 2, "name": "machine2", "mac": "52:54:00:00:00:02", key: GIVEN[key]}
    with pytest.raises(AnsibleFilterError, match=f"have the same {key}, "):
        wake_machines([GIVEN, {**GIVEN, **other}])


@pytest.mark.parametrize("secureon", ["01:02:03:04", "010203040506", "01-02-03-04-05-06"])
def test_secureon(secureon):
    options = {"secureon": secureon, "interface": "eth1"}
    assert wake_machines([{**GIVEN, "driver_options": options}])[0]["driver_options"] == options
