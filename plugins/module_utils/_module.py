# Copyright (c) 2026, the greenlab.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What all modules of the jobs DB do alike: take the options, hand on the result, the warnings, the diff, the error."""

from __future__ import annotations

import typing as t

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.greenlab.cluster.plugins.module_utils._jobs_db import JobsDBError, MissingLibrary

if t.TYPE_CHECKING:
    from collections.abc import Callable

    Result = dict[str, t.Any]


def run_module(argument_spec: dict[str, dict[str, t.Any]], run: Callable[[dict[str, t.Any], bool], Result]) -> None:
    """Call `run` with the options and whether it is check mode, and end as a module does.

    Of its result `warnings` are shown, and `diff` is kept only when it was asked for.
    """
    module = AnsibleModule(argument_spec=argument_spec, supports_check_mode=True)
    try:
        result = run(module.params, module.check_mode)
    except MissingLibrary as exc:
        module.fail_json(msg=str(exc), exception=exc.details)
    except JobsDBError as exc:
        module.fail_json(msg=str(exc))
    for warning in result.pop("warnings", []):
        module.warn(warning)
    if not module._diff:
        result.pop("diff", None)
    module.exit_json(**result)
