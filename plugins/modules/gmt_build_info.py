#!/usr/bin/python
# Copyright (c) 2026, the greenlab.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read from the jobs DB what each machine was last built from."""

from __future__ import annotations

DOCUMENTATION = r"""
module: gmt_build_info
short_description: Read from the jobs DB what each machine of a GMT cluster was last built from
version_added: 0.1.0
description:
  - Reads what M(greenlab.cluster.gmt_build) has written.
extends_documentation_fragment:
  - greenlab.cluster.jobs_db
  - greenlab.cluster.jobs_db.module
  - greenlab.cluster.attributes.reads
options:
  ids:
    description: Return only machines with one of these ids.
    type: list
    elements: int
seealso:
  - module: greenlab.cluster.gmt_build
  - module: greenlab.cluster.build_plan
author:
  - the greenlab.cluster contributors (!UNKNOWN)
"""

EXAMPLES = r"""
- name: Read what the machines were last built from
  greenlab.cluster.gmt_build_info:
    login_unix_socket: /var/run/postgresql
  register: built
"""

RETURN = r"""
machines:
  description: What is known of the machines, by id. A machine of which nothing is known is left out.
  returned: success
  type: list
  elements: dict
  contains:
    id:
      description: Number of the machine.
      type: int
    parts:
      description: What it was built from. Empty when a build was begun and not finished.
      type: dict
    built_at:
      description: When that was written, in ISO 8601, UTC.
      type: str
  sample:
    - id: 1
      parts: {"role gmt": "8c7d1f0a52d94e0c", "gmt_release": "5f3a0c9d4be6a1b2"}
      built_at: "2026-11-21T23:18:05.123456+00:00"
"""

import typing as t

from ansible_collections.greenlab.cluster.plugins.module_utils._holds import known_builds, require_holds
from ansible_collections.greenlab.cluster.plugins.module_utils._jobs_db import jobs_db_argument_spec, report
from ansible_collections.greenlab.cluster.plugins.module_utils._module import run_module

if t.TYPE_CHECKING:
    from collections.abc import Mapping

    from ansible_collections.greenlab.cluster.plugins.module_utils._jobs_db import Connection, Row, Schema


def argument_spec() -> dict[str, dict[str, t.Any]]:
    """Return the options of the module."""
    return dict(jobs_db_argument_spec(), ids={"type": "list", "elements": "int"})


def run(params: Mapping[str, t.Any]) -> dict[str, t.Any]:
    """Return the module's result; raise `JobsDBError` when the DB cannot be read."""

    def look(connection: Connection, _schema: Schema) -> list[Row]:
        require_holds(connection, params)
        return known_builds(connection, params["ids"])

    return {"changed": False, "machines": report(params, look)}


def main() -> None:
    """Run the module."""
    run_module(argument_spec(), lambda params, _check_mode: run(params))


if __name__ == "__main__":
    main()
