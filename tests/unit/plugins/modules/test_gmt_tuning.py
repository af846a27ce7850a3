# SPDX-License-Identifier: GPL-3.0-or-later
"""What the tuning modules hand on to Ansible, and that the notes survive a second tuning."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.testing import patch_module_args

from ansible_collections.greenlab.cluster.plugins.modules import gmt_tuning, gmt_tuning_info

TURBO = "devices/system/cpu/intel_pstate/no_turbo"


@pytest.fixture
def sysfs(tmp_path: Path) -> Path:
    (tmp_path / TURBO).parent.mkdir(parents=True)
    (tmp_path / TURBO).write_text("0\n", encoding="ascii")
    return tmp_path


@pytest.fixture(autouse=True)
def warnings(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    seen: list[str] = []
    monkeypatch.setattr(AnsibleModule, "warn", lambda _self, text: seen.append(text))
    return seen


def call(module: Any, capsys: pytest.CaptureFixture[str], **options: Any) -> dict[str, Any]:
    with patch_module_args(options), pytest.raises(SystemExit):
        module.main()
    return json.loads(capsys.readouterr().out)


def test_tuned_twice_and_reset(sysfs: Path, capsys: pytest.CaptureFixture[str], warnings: list[str]) -> None:
    where = {"sysfs": str(sysfs), "state_file": str(sysfs / "notes.json")}
    wanted = {"switches": {"turbo": False, "rapl_dram": 9}, **where}
    foretold = call(gmt_tuning, capsys, _ansible_check_mode=True, _ansible_diff=True, **wanted)
    assert (sysfs / TURBO).read_text(encoding="ascii") == "0\n"
    done = call(gmt_tuning, capsys, _ansible_diff=True, **wanted)
    assert foretold["diff"] == done["diff"] == {"before": f"{sysfs}/{TURBO}: 0\n", "after": f"{sysfs}/{TURBO}: 1\n"}
    assert done["changed"]
    assert warnings == [f"Not tuned: {done['missing'][0]}."] * 2
    assert not call(gmt_tuning, capsys, **wanted)["changed"]

    call(gmt_tuning, capsys, switches={"turbo": True}, **where)
    call(gmt_tuning, capsys, switches={"turbo": False}, **where)
    assert call(gmt_tuning, capsys, state="reset", **where)["changed"]
    assert (sysfs / TURBO).read_text(encoding="ascii") == "0"
    assert not (sysfs / "notes.json").exists()
    assert not call(gmt_tuning, capsys, state="reset", **where)["changed"]


def test_what_is_missing_can_be_an_error(sysfs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    failed = call(gmt_tuning, capsys, switches={"rapl_dram": 9}, missing="fail", sysfs=str(sysfs))
    assert "cannot be tuned as wanted: rapl_dram: there is no power limit for dram" in failed["msg"]
    assert "Leave these switches out" in failed["msg"]


def test_info(sysfs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    found = {one["name"]: one for one in call(gmt_tuning_info, capsys, sysfs=str(sysfs))["operations"]}
    assert found["turbo"]["files"] == {f"{sysfs}/{TURBO}": "0"}
    assert not found["turbo"]["missing"]
    assert found["smt"]["missing"]
