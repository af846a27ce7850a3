# Copyright (c) 2026, the greenlab.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Compare a host with its manifest: one command, whose standard input is the program. It leaves no file behind.

A module would do the same at three times the cost on the host, whose processor is being measured soon: it is unpacked,
and imports what all modules have.
"""

from __future__ import annotations

import json
import shlex
import typing as t
from pathlib import Path

from ansible.errors import AnsibleActionFail
from ansible.plugins.action import ActionBase

ARGUMENT_SPEC: dict[str, dict[str, t.Any]] = {
    "path": {"type": "path", "default": "/var/lib/greenlab/manifest.json"},
    "fingerprint": {"type": "str", "required": True},
}
PROGRAM = Path(__file__).parents[1] / "module_utils/_manifest.py"
_CALL = "print(json.dumps(compared(Manifest({path!r}).load(), {fingerprint!r}, Reader())))\n"


class ActionModule(ActionBase):
    """Send the program, and read what it says."""

    TRANSFERS_FILES = False
    _supports_check_mode = True

    def run(self, tmp: t.Any = None, task_vars: dict[str, t.Any] | None = None) -> dict[str, t.Any]:
        """Return C(converged), C(why) and C(differences)."""
        result = super().run(tmp, task_vars)
        arguments = self.validate_argument_spec(argument_spec=ARGUMENT_SPEC)[1]
        python = str((task_vars or {}).get("ansible_python_interpreter", "auto"))
        if python.startswith("auto"):
            python = "/usr/bin/python3"
        program = PROGRAM.read_text(encoding="utf8") + _CALL.format(**{k: str(v) for k, v in arguments.items()})
        # Isolated and without site-packages: nothing of the host's Python is imported beside its standard library.
        done = self._low_level_execute_command(f"{shlex.quote(python)} -I -S -", in_data=program.encode())
        try:
            answer = json.loads(done["stdout"])
        except ValueError:
            said = (done.get("stderr") or done["stdout"]).strip().splitlines() or [f"exit status {done['rc']}"]
            raise AnsibleActionFail(f"{python} could not compare the host with its manifest: {said[-1]}") from None
        result.update(changed=False, **answer)
        return result
