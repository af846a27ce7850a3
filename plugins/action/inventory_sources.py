# Copyright (c) 2026, the greenlab.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Check on the controller that the inventory could be read; the checks themselves are in plugin_utils/_sources.py."""

from __future__ import annotations

import typing as t

from ansible.plugins.action import ActionBase

from ansible_collections.greenlab.cluster.plugins.plugin_utils import _sources
from ansible_collections.greenlab.cluster.plugins.plugin_utils._refuse import refuse


class ActionModule(ActionBase):
    """Run the checks once."""

    TRANSFERS_FILES = False
    BYPASS_HOST_LOOP = True
    _requires_connection = False

    def run(self, tmp: t.Any = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        """Return nothing; where something is wrong, print a line for each problem, and fail."""
        result = super().run(tmp, task_vars)
        task_vars = task_vars or {}
        spec = {"groups": {"type": "list", "elements": "str", "required": True}}
        wanted = self.validate_argument_spec(argument_spec=spec)[1]["groups"]

        # Ansible tells plays nothing of a source that it could not read.
        manager = getattr(task_vars["hostvars"], "_inventory", None)
        were_read = getattr(getattr(manager, "_inventory", None), "processed_sources", None)

        def limited(group: str) -> bool:
            return not manager or bool(manager.get_hosts(group, ignore_restrictions=True))

        sources = [str(source) for source in task_vars["ansible_inventory_sources"]]
        errors = _sources.problems(self._loader, sources, were_read)
        errors += _sources.unread_variables(sources, list(task_vars["groups"]))
        if not errors:
            limit = str(task_vars.get("ansible_limit") or "")
            idle = _sources.nothing_to_do(wanted, task_vars["groups"], limited, limit)
            read = ", ".join(_sources.shorten(source) for source in sources)
            errors = [f"{read}: {idle}"] if idle else []
        result["changed"] = False
        if errors:
            refuse(result, errors, "the inventory")
        return result
