# SPDX-License-Identifier: GPL-3.0-or-later
"""Capabilities: what is merged, what is kept, what GMT could not read."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.greenlab.cluster.plugins.module_utils._users import (
    flaws_of,
    least_capabilities,
    merged,
    quotas_to_keep,
    stored_token,
)


@pytest.mark.parametrize(
    ("old", "wanted", "exact", "expected"),
    [
        ({"a": 1}, {"b": 2}, False, {"a": 1, "b": 2}),
        ({"a": {"b": 1, "c": 2}}, {"a": {"b": None, "d": [1]}}, False, {"a": {"c": 2, "d": [1]}}),
        ([1, 2], [2, 3, 3], False, [1, 2, 3]),
        ([1], [True], False, [1, True]),
        ([1, 2], [2, 3], True, [2, 3]),
        ([1, 2], [2, 1], True, [1, 2]),
        ({"a": "text"}, {"a": {"b": 1}}, False, {"a": {"b": 1}}),
        (None, {"a": {"b": None}}, False, {"a": {}}),
    ],
)
def test_merging(old: Any, wanted: Any, exact: bool, expected: Any) -> None:
    assert merged(old, wanted, exact) == expected


def test_quotas_that_count_down_are_kept() -> None:
    wanted = {"api": {"quotas": {"/a": 5, "/b": 5, "/c": None}}, "measurement": {"quotas": {"1": 9}}}
    quotas_to_keep({"api": {"quotas": {"/a": 1, "/c": 2}}, "measurement": "broken"}, wanted)
    assert wanted == {"api": {"quotas": {"/b": 5, "/c": None}}, "measurement": {"quotas": {"1": 9}}}


def test_flaws() -> None:
    assert flaws_of(least_capabilities(2)) == []
    assert flaws_of({}) == []
    assert flaws_of([]) == ["capabilities must be an object, but are []"]
    broken = {
        "user": {"visible_users": ["ada"]},
        "api": {"routes": "/v1/jobs", "quotas": {"/a": "5"}},
        "jobs": [],
        "machines": [True],
        "measurement": {"quotas": []},
    }
    assert [flaw.partition(" ")[0] for flaw in flaws_of(broken)] == [
        "user.visible_users",
        "api.routes",
        "api.quotas",
        "jobs",
        "machines",
        "measurement.quotas",
    ]


def test_token_is_stored_as_in_the_seed_data() -> None:
    assert stored_token("DEFAULT") == "89dbf71048801678ca4abfbaa3ea8f7c651aae193357a3e23d68e21512cd07f5"
