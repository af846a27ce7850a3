# Copyright (c) 2026, the greenlab.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Check the variables of all hosts on the controller; the checks themselves are in plugin_utils/_preflight.py."""

from __future__ import annotations

import typing as t
from pathlib import Path

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase
from ansible.utils.display import Display

from ansible_collections.greenlab.cluster.plugins.plugin_utils import _preflight, _variables
from ansible_collections.greenlab.cluster.plugins.plugin_utils._refuse import refuse

COLLECTION_ROOT = Path(__file__).parents[2]

_ARGUMENTS: dict[str, t.Any] = {
    "groups": {"type": "dict", "required": True},
    "flags": {"type": "list", "elements": "str", "default": []},
    "known": {"type": "list", "elements": "str", "default": []},
    "roles_path": {"type": "path"},
    "unknown": {"type": "str", "choices": ["error", "warn", "ignore"], "default": "error"},
}


class ActionModule(ActionBase):
    """Run the checks once for the whole inventory."""

    TRANSFERS_FILES = False
    BYPASS_HOST_LOOP = True
    _requires_connection = False

    def run(self, tmp: t.Any = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        """Return how many hosts were checked; when something is wrong, print a line for each problem, and fail."""
        result = super().run(tmp, task_vars)
        task_vars = task_vars or {}
        arguments = self.validate_argument_spec(argument_spec=_ARGUMENTS)[1]
        try:
            roles = _preflight.load_roles(arguments["roles_path"] or COLLECTION_ROOT / "roles")
            groups = _preflight.parse_groups(arguments["groups"], roles)
        except _preflight.BadRequest as error:
            raise AnsibleActionFail(f"The task cannot check what it is asked to: {error}") from error

        check = _preflight.Preflight(groups, roles, arguments["unknown"], arguments["known"], arguments["flags"])
        members = task_vars["groups"]
        check.check_sizes(members)
        groups_of: dict[str, list[str]] = {host: [] for host in members["all"]}
        for group in groups:
            for host in members.get(group.name, []):
                groups_of[host].append(group.name)
        variables = _variables.of_hosts(task_vars, self._templar)
        # Those that --limit leaves out too, as far as they concern the others.
        concerned = _preflight.concerned(groups, members, task_vars["ansible_play_hosts_all"])
        for host, its_groups in groups_of.items():
            check.check_host(host, its_groups, variables(host), essentials=host not in concerned)
        check.finish()

        for line in check.warnings.lines():
            Display().warning(line)
        errors = check.problems.lines()
        result.update(changed=False, checked=check.checked, checked_essentials=check.checked_essentials)
        if errors:
            refuse(result, errors, "the inventory")
        return result
