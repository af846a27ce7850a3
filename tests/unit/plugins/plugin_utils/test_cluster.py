# SPDX-License-Identifier: GPL-3.0-or-later
"""The machines of the inventory and the table of their status."""

from __future__ import annotations

from ansible_collections.greenlab.cluster.plugins.filter.status_table import status_table
from ansible_collections.greenlab.cluster.plugins.plugin_utils import _cluster

HOSTVARS = {
    "machine1": {"gmt_machine_id": 1, "gmt_machine_description": "One", "gmt_client_state": "active"},
    "machine2": {"gmt_machine_id": 2, "gmt_machine_description": "Two"},
}


def test_machines_come_in_the_order_of_the_inventory():
    assert _cluster.machines(["machine2", "machine1"], HOSTVARS) == [
        {"id": 2, "description": "Two"},
        {"id": 1, "description": "One"},
    ]


def test_table_shows_what_is_known_and_a_dash_for_what_is_not():
    rows = [{
        "id": 1, "description": "One", "last_status": "job_no", "status_since": "2026-11-21T11:00:00.5+01:00",
        "jobs_waiting": 3,
    }]
    assert status_table(["machine1", "machine2"], HOSTVARS, rows) == [
        "machine   id  description  client service  last status  since (UTC)          waiting",
        "--------  --  -----------  --------------  -----------  -------------------  -------",
        "machine1  1   One          active          job_no       2026-11-21 10:00:00  3",
        "machine2  2   Two          -               -            -                    -",
    ]


def row(**changes):
    return {"id": 1, "jobs_running": 0, "jobs_waiting": 0, "last_status": "job_no", "state": "idle", **changes}


def test_only_an_idle_machine_with_an_empty_queue_may_be_touched():
    rows = [
        row(id=1),
        row(id=2, jobs_running=1),
        row(id=3, last_status="measurement_control_start", state="measuring"),
        row(id=4, last_status="a_code_of_tomorrow", state="unknown"),
        row(id=5, jobs_waiting=2),
    ]
    assert _cluster.busy(rows) == {
        2: "a job is RUNNING",
        3: "its last status is measurement_control_start",
        4: "its last status is a_code_of_tomorrow",
        5: "jobs are waiting for it: 2",
    }


def test_a_machine_without_a_client_counts_by_its_jobs():
    assert _cluster.busy([row(last_status=None, state="unknown")]) == {}
    assert _cluster.busy([row(last_status=None, state="unknown", jobs_running=1)]) == {1: "a job is RUNNING"}
