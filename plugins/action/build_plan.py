# Copyright (c) 2026, the greenlab.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Compare what hosts would be built from with what they were, on the controller (see plugin_utils/_build.py)."""

from __future__ import annotations

import typing as t

from ansible.plugins.action import ActionBase

from ansible_collections.greenlab.cluster.plugins.plugin_utils import _build, _variables

_ARGUMENTS: dict[str, t.Any] = {
    "hosts": {"type": "list", "elements": "str", "required": True},
    "id_variable": {"type": "str", "default": "gmt_machine_id"},
    "roles": {"type": "list", "elements": "str", "required": True},
    "built": {"type": "list", "elements": "dict", "required": True},
    "more": {"type": "dict", "default": {}},
    "ignore": {"type": "list", "elements": "str", "default": []},
}


class ActionModule(ActionBase):
    """Make the plan once for all hosts."""

    TRANSFERS_FILES = False
    BYPASS_HOST_LOOP = True
    _requires_connection = False

    def run(self, tmp: t.Any = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        """Return C(hosts): for each its C(parts) and its C(changes)."""
        result = super().run(tmp, task_vars)
        arguments = self.validate_argument_spec(argument_spec=_ARGUMENTS)[1]
        built = {row["id"]: row["parts"] for row in arguments["built"]}
        variables = _variables.of_hosts(task_vars or {}, self._templar)
        plan = {}
        for host in arguments["hosts"]:
            of_host = variables(host)
            number = of_host.read(arguments["id_variable"]) if arguments["id_variable"] in of_host else None
            parts = _build.parts(of_host, arguments["roles"], arguments["more"].get(host), arguments["ignore"])
            plan[host] = {
                "parts": parts,
                "changes": _build.changes(parts, built.get(number.value if number else None)),
            }
        result.update(changed=False, hosts=plan)
        return result
