# Copyright (c) 2026, the greenlab.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A MAC address has one form, and what no network card can have is refused."""

from __future__ import annotations

import pytest
from ansible.errors import AnsibleFilterError

from ansible_collections.greenlab.cluster.plugins.filter.mac_address import FilterModule

mac_address = FilterModule().filters()["mac_address"]


@pytest.mark.parametrize(
    "written",
    ["52:54:00:12:34:ab", "52:54:00:12:34:AB", "52-54-00-12-34-Ab", "5254001234AB", "  5254001234ab\n"],
)
def test_every_accepted_form_becomes_the_same(written: str) -> None:
    assert mac_address(written) == "52:54:00:12:34:ab"


def test_a_locally_administered_address_is_accepted() -> None:
    assert mac_address("02:00:00:00:00:01") == "02:00:00:00:00:01"


@pytest.mark.parametrize(
    "hostile",
    [
        "",
        "52:54:00:12:34",
        "52:54:00:12:34:ab:cd",
        "52:54-00:12:34:ab",
        "5254.0012.34ab",
        "5254:001234ab",
        "52:54:00:12:34:ag",
        "52:54:00:12:34:a\u0661",  # an Arabic digit, which int() would take
        "52:54:00\n:12:34:ab",
        "$(touch x)",
        "{{ 1 }}",
        "'; --",
    ],
)
def test_any_other_form_is_refused(hostile: str) -> None:
    with pytest.raises(AnsibleFilterError, match=r"is not a MAC address\. Write six pairs of hexadecimal digits"):
        mac_address(hostile)


@pytest.mark.parametrize("number", [8041827012, 1122334455, None, True, ["52:54:00:12:34:ab"]])
def test_what_yaml_turned_into_something_else_asks_for_quotes(number: object) -> None:
    with pytest.raises(AnsibleFilterError, match="Put quotes around the address"):
        mac_address(number)


def test_the_error_has_the_value_in_it() -> None:
    with pytest.raises(AnsibleFilterError, match=r"^mac_address: 'nonsense' is not a MAC address"):
        mac_address("nonsense")


@pytest.mark.parametrize("group_address", ["01:00:5e:00:00:01", "ff:ff:ff:ff:ff:ff", "33-33-00-00-00-01"])
def test_multicast_and_broadcast_are_refused_with_the_reason(group_address: str) -> None:
    with pytest.raises(AnsibleFilterError, match=r"multicast MAC address \(the lowest bit of its first byte is set\)"):
        mac_address(group_address)


@pytest.mark.parametrize("nobody", ["00:00:00:00:00:00", "000000000000"])
def test_the_all_zero_address_is_refused_with_the_reason(nobody: str) -> None:
    with pytest.raises(AnsibleFilterError, match="all-zero MAC address, which no network card has"):
        mac_address(nobody)
