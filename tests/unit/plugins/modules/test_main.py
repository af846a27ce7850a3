# SPDX-License-Identifier: GPL-3.0-or-later
"""What all modules of the jobs DB do alike: hand on the result, the diff, the warnings, the error."""

from __future__ import annotations

import json
import sys
from typing import Any

import pytest
from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.testing import patch_module_args

from ansible_collections.greenlab.cluster.plugins.modules import (
    gmt_history_info,
    gmt_job,
    gmt_job_info,
    gmt_machine,
    gmt_machine_info,
    gmt_user,
)

CALLS: list[tuple[Any, dict[str, Any]]] = [
    (gmt_history_info, {}),
    (gmt_job, {"jobs": [{"id": 1}], "state": "waiting"}),
    (gmt_job_info, {}),
    (gmt_machine, {"machines": [{"id": 77}], "state": "retired"}),
    (gmt_machine_info, {}),
    (gmt_user, {"users": [{"name": "nobody"}], "state": "disabled"}),
]


def call(module: Any, capsys: pytest.CaptureFixture[str], **options: Any) -> dict[str, Any]:
    """Run main() as Ansible does, and return what it prints."""
    with patch_module_args(options), pytest.raises(SystemExit) as end:
        module.main()
    result = json.loads(capsys.readouterr().out)
    assert bool(end.value.code) == bool(result.get("failed"))
    return result


@pytest.mark.parametrize(("module", "options"), CALLS)
def test_main(
    module: Any, options: dict[str, Any], jobs_db: Any, capsys: pytest.CaptureFixture[str], monkeypatch: Any
) -> None:
    jobs_db.sql("UPDATE jobs SET state = 'FAILED'; UPDATE machines SET available = false")
    options = {**jobs_db.login, **options}
    # Where they go is Ansible's affair, and depends on what else this process has imported.
    warnings: list[str] = []
    monkeypatch.setattr(AnsibleModule, "warn", lambda _self, text: warnings.append(text))
    info = module.__name__.endswith("_info")
    result = call(module, capsys, _ansible_check_mode=True, _ansible_diff=True, **options)
    assert not result.get("failed"), result
    assert ("diff" in result) == (not info)
    result = call(module, capsys, **options)
    assert "diff" not in result
    assert bool(warnings) == (not info)
    assert result["changed"] == (module is gmt_job)

    failed = call(module, capsys, **{**options, "login_db": "nothing here"})
    assert "There is no database 'nothing here'" in failed["msg"]
    monkeypatch.setitem(sys.modules, "psycopg", None)
    assert "Failed to import the required Python library (psycopg)" in call(module, capsys, **options)["msg"]
