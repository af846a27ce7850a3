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
    "roles_variable": {"type": "str"},
    "built": {"type": "list", "elements": "dict", "default": []},
    "also": {"type": "list", "elements": "str", "default": []},
    "branches": {"type": "list", "elements": "dict", "default": []},
    "commits": {"type": "list", "elements": "str", "default": []},
    "more": {"type": "dict", "default": {}},
    "files": {"type": "list", "elements": "str", "default": []},
    "ignore": {"type": "list", "elements": "str", "default": []},
}


class ActionModule(ActionBase):
    """Make the plan once for all hosts."""

    TRANSFERS_FILES = False
    BYPASS_HOST_LOOP = True
    _requires_connection = False

    def run(self, tmp: t.Any = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        """Return C(hosts), for each its C(parts), C(fingerprint) and C(changes), and the lists made of them."""
        result = super().run(tmp, task_vars)
        arguments = self.validate_argument_spec(argument_spec=_ARGUMENTS)[1]
        built = {row["id"]: row["parts"] for row in arguments["built"]}
        asked = [(row["repo"], row["version"]) for row in arguments["branches"]]
        commits = dict(zip(asked, arguments["commits"]))
        unknown = [f"{version} of {repo}" for (repo, version), commit in commits.items() if not commit]
        variables = _variables.of_hosts(task_vars or {}, self._templar)
        more = {name: _build.hash_of(name, value) for name, value in arguments["more"].items()}
        plan: dict[str, t.Any] = {}
        branches = set()
        for host in arguments["hosts"]:
            of_host = variables(host)
            branch = _build.branch_of(of_host)
            branches.update([branch] if branch else [])
            name = arguments["roles_variable"]
            own = of_host.read(name).value or [] if name and name in of_host else []
            roles = [*arguments["roles"], *own]
            parts = {
                **_build.parts(of_host, roles, arguments["also"], arguments["ignore"], commits.get(branch) or None),
                **more,
                **_build.contents(of_host, arguments["files"]),
            }
            number = of_host.read(arguments["id_variable"]) if arguments["id_variable"] in of_host else None
            known = built.get(number.value if number else None)
            if branch and "branch" not in parts and known and "branch" in known:
                parts["branch"] = known["branch"]  # a git server that does not answer has changed nothing
            plan[host] = {
                "id": number.value if number else None,
                "parts": parts,
                "fingerprint": _build.fingerprint(parts),
                "changes": _build.changes(parts, known),
            }
        result.update(
            changed=False,
            hosts=plan,
            different=[host for host, of_it in plan.items() if of_it["changes"]],
            unchanged=[host for host, of_it in plan.items() if not of_it["changes"]],
            branches=[{"repo": repo, "version": version} for repo, version in sorted(branches)],
        )
        if unknown:
            result["warnings"] = [
                f"No commit could be read for {', '.join(unknown)}. Whether it has moved is not known, so it counts as"
                " it was. Correct gmt_repo or gmt_version, or run the playbook again when the git server answers."
            ]
        return result
