# SPDX-License-Identifier: GPL-3.0-or-later
"""gmt_verify as Ansible runs it, on whatever this computer is. The checks themselves: test_verify.py."""

from __future__ import annotations

import json
import os
from typing import Any

import pytest
import yaml
from ansible.module_utils.testing import patch_module_args

from ansible_collections.greenlab.cluster.plugins.modules import gmt_verify
from ansible_collections.greenlab.cluster.plugins.plugin_utils import _releases


def call(capsys: pytest.CaptureFixture[str], **options: Any) -> dict[str, Any]:
    with patch_module_args({"release": _releases.merged("main"), **options}), pytest.raises(SystemExit):
        gmt_verify.main()
    return json.loads(capsys.readouterr().out)


def test_a_name_that_no_check_has(capsys: pytest.CaptureFixture[str]) -> None:
    result = call(capsys, skip=["db", "swap", "clock"])
    assert result["failed"]
    assert "no check is called clock, swap" in result["msg"]


@pytest.mark.skipif(os.geteuid() != 0, reason="wants root")
def test_report_of_this_computer(capsys: pytest.CaptureFixture[str]) -> None:
    result = call(capsys, user="no-such-account", dir="/nowhere", _ansible_check_mode=True)
    assert not result.get("failed")
    assert result["changed"] is False
    assert [check for check in result["checks"] if "broke" in check["value"]] == []
    assert sum(result["summary"].values()) == len(result["checks"])
    documented = yaml.safe_load(gmt_verify.RETURN)
    assert set(result["checks"][0]) == set(documented["checks"]["contains"])


def test_without_root(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 1000)
    assert "Set become: true" in call(capsys)["msg"]


def test_documentation_agrees_with_the_options() -> None:
    options = yaml.safe_load(gmt_verify.DOCUMENTATION)["options"]
    assert set(options) == set(gmt_verify.ARGUMENT_SPEC)
    for name, option in gmt_verify.ARGUMENT_SPEC.items():
        assert {key: value for key, value in options[name].items() if key != "description"} == option
