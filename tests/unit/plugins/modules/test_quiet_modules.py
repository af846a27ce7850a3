# SPDX-License-Identifier: GPL-3.0-or-later
"""What the modules that look at a machine hand on to Ansible."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.testing import patch_module_args

from ansible_collections.greenlab.cluster.plugins.modules import gmt_baseline_info, gmt_noise_info, gmt_quiet_info


def call(module: Any, capsys: pytest.CaptureFixture[str], **options: Any) -> dict[str, Any]:
    with patch_module_args(options), pytest.raises(SystemExit):
        module.main()
    return json.loads(capsys.readouterr().out)


def test_noise_of_this_computer(capsys: pytest.CaptureFixture[str]) -> None:
    found = call(gmt_noise_info, capsys, seconds=1, windows=1)
    assert found["seconds"] >= 1
    assert found["context_switches"] > 0
    assert found["who"] == sorted(found["who"], key=lambda who: -who["wakeups"])


@pytest.mark.parametrize("wrong", [{"seconds": 0.5}, {"seconds": 601}, {"windows": 0}, {"windows": 101}])
def test_noise_of_an_impossible_time(capsys: pytest.CaptureFixture[str], wrong: dict[str, float]) -> None:
    ((name, value),) = wrong.items()
    assert call(gmt_noise_info, capsys, **wrong)["msg"].startswith(f"{name} = {value:g} is not from 1 to ")


def test_quiet(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gmt_quiet_info, "Path", lambda path: tmp_path / path.lstrip("/"))
    monkeypatch.setattr(gmt_quiet_info.shutil, "which", lambda _name: None)
    assert "was not booted by systemd" in call(gmt_quiet_info, capsys)["msg"]
    for name in ("run/systemd/system/x", "etc/cron.daily/x"):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).touch()
    found = call(gmt_quiet_info, capsys, packages=["no-such-package"])
    assert found["cron_files"] == ["/etc/cron.daily/x"]
    assert found["packages"] == found["also_removed"] == []
    assert not found["changed"]


@pytest.mark.parametrize(
    ("failing", "is_error"),
    [
        ("systemctl --system", True),
        ("systemctl --global", True),
        ("dpkg-query", True),
        ("apt-get", True),
        ("snap", False),
    ],
)
def test_a_program_that_fails_is_not_taken_for_silence(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: str, is_error: bool
) -> None:
    def answer(_module: AnsibleModule, command: list[str], **_options: Any) -> tuple[int, str, str]:
        if " ".join(command).startswith(failing):
            return 1, "", "Connection timed out\n"
        return 0, "mdadm installed\n" if command[0] == "dpkg-query" else "", ""

    monkeypatch.setattr(gmt_quiet_info, "Path", lambda path: tmp_path / path.lstrip("/"))
    monkeypatch.setattr(gmt_quiet_info.shutil, "which", lambda name: name)
    monkeypatch.setattr(AnsibleModule, "run_command", answer)
    (tmp_path / "run/systemd/system").mkdir(parents=True)
    found = call(gmt_quiet_info, capsys, packages=["mdadm"])
    if is_error:
        assert found["msg"].startswith(failing)
        assert found["msg"].endswith("failed: Connection timed out. Mend that on this machine, and try again.")
    else:
        assert found["packages"] == ["mdadm"]


def test_baseline(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    online = tmp_path / "devices/system/cpu/online"
    online.parent.mkdir(parents=True)
    online.write_text("0-7\n", encoding="ascii")
    found = call(gmt_baseline_info, capsys, sysfs=str(tmp_path), expected={"cpu_cores": 4, "cpu_smt": False})
    assert found["machine"]["cpu_cores"] == 8
    assert found["drift"] == ["cpu_cores is 8, was 4"]
