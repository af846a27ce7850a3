#!/usr/bin/python
# Copyright (c) 2026, the greenlab.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read who holds which machine, and whether it is idle."""

from __future__ import annotations

DOCUMENTATION = r"""
module: gmt_hold_info
short_description: Read who holds which machine of a GMT cluster, and whether it is idle
version_added: 0.1.0
description:
  - Reads the holds that M(greenlab.cluster.gmt_hold) has written, and what each machine does.
  - Reads the database only and never contacts a machine.
extends_documentation_fragment:
  - greenlab.cluster.jobs_db
  - greenlab.cluster.jobs_db.module
  - greenlab.cluster.attributes.reads
options:
  ids:
    description:
      - Return these machines, held or not. An id that is not registered is no error, its row is just not there.
      - Without it, all machines that are held.
    type: list
    elements: int
seealso:
  - module: greenlab.cluster.gmt_hold
author:
  - the greenlab.cluster contributors (!UNKNOWN)
"""

EXAMPLES = r"""
- name: See who holds what
  greenlab.cluster.gmt_hold_info:
    login_unix_socket: /var/run/postgresql
"""

RETURN = r"""
machines:
  description: The machines, by id. Without O(ids) those that are held.
  returned: success
  type: list
  elements: dict
  contains:
    id:
      description: Number of the machine.
      type: int
    description:
      description: Name of the machine.
      type: str
    held:
      description: Whether it is held now.
      type: bool
    owner:
      description: Who holds it. Null when nobody does; the same goes for the next three.
      type: str
    reason:
      description: Why.
      type: str
    since:
      description: Since when, in ISO 8601.
      type: str
    jobs:
      description: Ids of the jobs that are paused, in the order in which they wait.
      type: list
      elements: int
    idle:
      description: Whether the machine was idle when it was asked.
      type: bool
    busy_with:
      description: What keeps it from being idle, null when it is.
      type: str
  sample:
    - id: 1
      description: Dell R640
      held: true
      owner: ada@office
      reason: new fan
      since: "2026-11-21T23:18:05.123456+00:00"
      jobs: [4711, 4712]
      idle: false
      busy_with: a job is RUNNING
"""

import typing as t

from ansible_collections.greenlab.cluster.plugins.module_utils._holds import open_holds, require_holds, rows_of
from ansible_collections.greenlab.cluster.plugins.module_utils._jobs_db import jobs_db_argument_spec, report
from ansible_collections.greenlab.cluster.plugins.module_utils._machines import read_machines
from ansible_collections.greenlab.cluster.plugins.module_utils._module import run_module

if t.TYPE_CHECKING:
    from collections.abc import Mapping

    from ansible_collections.greenlab.cluster.plugins.module_utils._jobs_db import Connection, Schema


def argument_spec() -> dict[str, dict[str, t.Any]]:
    """Return the options of the module."""
    return dict(jobs_db_argument_spec(), ids={"type": "list", "elements": "int"})


def run(params: Mapping[str, t.Any]) -> dict[str, t.Any]:
    """Return the module's result; raise `JobsDBError` when the DB cannot be read."""

    def look(connection: Connection, schema: Schema) -> list[dict[str, t.Any]]:
        require_holds(connection, params)
        holds = open_holds(connection, params["ids"])
        ids = sorted(holds) if params["ids"] is None else params["ids"]
        return rows_of(read_machines(connection, schema, ids), holds)

    return {"changed": False, "machines": report(params, look)}


def main() -> None:
    """Run the module."""
    run_module(argument_spec(), lambda params, _check_mode: run(params))


if __name__ == "__main__":
    main()
