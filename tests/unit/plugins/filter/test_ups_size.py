# SPDX-License-Identifier: GPL-3.0-or-later
"""The size of a UPS: worked examples, each figure calculated by hand, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest
from ansible.errors import AnsibleFilterError

from ansible_collections.greenlab.cluster.plugins.filter.ups_size import FilterModule

ups_size = FilterModule().filters()["ups_size"]


def test_eight_raspberry_pis_for_a_quarter_of_an_hour() -> None:
    # 8 * 5 W * 0.25 h * 2 = 20 Wh; 20 / (0.85 * 0.8) = 29.41; 40 / (0.6 * 0.8) = 83.33
    assert ups_size([5] * 8, hours=0.25) == {"watts": 40, "load_wh": 20, "battery_wh": 29.4, "va": 83.3}


def test_every_factor_counts_where_it_belongs() -> None:
    ideal = dict.fromkeys(["safety", "inverter", "usable", "power_factor", "load"], 1)
    one = ups_size([100, 20], hours=0.5, **ideal)
    assert one == {"watts": 120, "load_wh": 60, "battery_wh": 60, "va": 120}
    assert ups_size(120, 0.5, **{**ideal, "safety": 1.5})["load_wh"] == 90
    assert ups_size(120, 0.5, **{**ideal, "inverter": 0.5}) == {**one, "battery_wh": 120}
    assert ups_size(120, 0.5, **{**ideal, "usable": 0.5}) == {**one, "battery_wh": 120}
    assert ups_size(120, 0.5, **{**ideal, "power_factor": 0.5}) == {**one, "va": 240}
    assert ups_size(120, 0.5, **{**ideal, "load": 0.5}) == {**one, "va": 240}


def test_time_changes_the_battery_and_not_the_inverter() -> None:
    assert ups_size(40, 1)["va"] == ups_size(40, 2)["va"]
    assert ups_size(40, 2)["battery_wh"] == pytest.approx(2 * ups_size(40, 1)["battery_wh"], abs=0.15)  # rounded twice


def test_numbers_that_yaml_left_as_text_are_numbers() -> None:
    assert ups_size(["5", 5.0], hours="0.25")["watts"] == 10


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"watts": []}, "there is no machine"),
        ({"watts": [5, 0]}, r"power of machine 2 is 0\. Give W, more than 0"),
        ({"watts": -5}, r"power of machine 1 is -5\. Give W"),
        ({"watts": "5 W"}, r"power of machine 1 is '5 W', which is no number\. Give W"),
        ({"watts": None}, "is None, which is no number"),
        ({"watts": True}, "is True, which is no number"),
        ({"watts": float("nan")}, "is nan"),
        ({"watts": float("inf")}, "is inf"),
        ({"hours": 0}, "hours is 0"),
        ({"hours": "15m"}, r"hours is '15m', which is no number\. Give hours"),
        ({"safety": 0.5}, r"safety is 0\.5\. Give a factor, at least 1"),
        ({"inverter": 0}, "inverter is 0"),
        ({"inverter": 85}, r"inverter is 85\. Give a share from more than 0 to 1"),
        ({"usable": 1.1}, "usable is 1.1"),
        ({"power_factor": 60}, "power_factor is 60"),
        ({"load": -0.1}, "load is -0.1"),
    ],
)
def test_what_makes_no_sense_is_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(AnsibleFilterError, match=f"ups_size: .*{message}"):
        ups_size(**{"watts": [5], "hours": 0.25, **options})
