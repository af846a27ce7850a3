# SPDX-License-Identifier: GPL-3.0-or-later
"""Module wake with the wake host's real program, which is told of a machine on this computer."""

from __future__ import annotations

import json
import socket
import sys
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.testing import patch_module_args

from ansible_collections.greenlab.cluster.plugins.modules import wake

PROGRAM = Path(__file__).resolve().parents[4] / "roles/wake_host/files/program"


@pytest.fixture
def port() -> Any:
    """A port of a machine: open, until the test closes it."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server


@pytest.fixture
def machine(tmp_path: Path, port: socket.socket, capsys: pytest.CaptureFixture[str]) -> Any:
    """Call the module for a machine whose driver notes in a file that it was asked."""
    number = port.getsockname()[1]
    driver = f"import pathlib; pathlib.Path({str(tmp_path / 'asked')!r}).write_text('on')"
    config = {
        "queue": {"source": "api", "url": "http://127.0.0.1:1", "token_file": "", "ca_file": "", "timeout": 1,
                  "endpoint": "machines", "columns": {"path": "/v1/machines"}},
        "machines": [{
            "id": 7, "name": "machine7", "description": "Seven", "mac": "", "address": "127.0.0.1", "driver": "command",
            "driver_options": {"on": [sys.executable, "-c", driver]}, "cycle_driver": "", "cycle_options": {},
            "windows": [], "excluded": False,
        }],
        "timeout": 300, "retries": [0, 1], "max_concurrent": 4, "gap": 0, "busy_timeout": 86400, "confirm": ["tcp"],
        "tcp_port": number, "alarm": {"repeat": 1, "command": [], "mail": {"to": []}},
        "state_file": str(tmp_path / "state.json"), "lock_file": str(tmp_path / "lock"),
        "log_file": str(tmp_path / "events.jsonl"),
    }  # fmt: skip
    (tmp_path / "config.json").write_text(json.dumps(config))
    program = tmp_path / "greenlab-wake"
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -I -S {PROGRAM} "$@"\n')
    program.chmod(0o755)

    def call(**options: Any) -> dict[str, Any]:
        own = {"name": "machine7", "program": str(program), "config": str(tmp_path / "config.json")}
        with patch_module_args({**own, **options}), pytest.raises(SystemExit) as end:
            wake.main()
        result = json.loads(capsys.readouterr().out)
        assert bool(end.value.code) == bool(result.get("failed"))
        return {key: value for key, value in result.items() if key != "invocation"}

    call.asked = tmp_path / "asked"  # type: ignore[attr-defined]
    return call


def test_a_machine_that_is_awake_is_no_change(machine: Any) -> None:
    result = machine()
    assert result.pop("seconds") < 5
    assert result == {"changed": False, "was": "awake", "awake": True, "by": "tcp", "built": True}
    assert not machine.asked.exists()


def test_check_mode_says_what_would_change_and_asks_no_driver(machine: Any, port: socket.socket) -> None:
    assert machine(_ansible_check_mode=True)["changed"] is False
    port.close()
    result = machine(_ansible_check_mode=True)
    assert (result["changed"], result["was"], result["awake"]) == (True, "asleep", False)
    assert not machine.asked.exists()


def test_a_machine_that_wakes_is_a_change(machine: Any, tmp_path: Path, port: socket.socket) -> None:
    """Its driver opens the port, as a machine that boots does."""
    number = port.getsockname()[1]
    port.close()
    config = json.loads((tmp_path / "config.json").read_text())
    code = f"import socket, time; s = socket.create_server(('127.0.0.1', {number})); time.sleep(20)"
    config["machines"][0]["driver_options"]["on"] = [
        sys.executable, "-c", f"import subprocess, sys; subprocess.Popen([sys.executable, '-c', {code!r}],"
        "stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)",
    ]  # fmt: skip
    (tmp_path / "config.json").write_text(json.dumps(config))
    result = machine(name="7", timeout=20)
    assert (result["changed"], result["was"], result["awake"], result["by"]) == (True, "asleep", True, "tcp")


def test_a_machine_that_does_not_wake_is_an_error_with_what_was_seen(machine: Any, port: socket.socket) -> None:
    port.close()
    result = machine(timeout=2)
    assert result["msg"] == "machine7 did not wake: no sign of life after 2 s and 1 tries"
    assert (result["was"], result["awake"], result["built"]) == ("asleep", False, True)
    assert machine.asked.read_text() == "on"


@pytest.mark.parametrize(
    ("options", "built", "says"),
    [
        ({"program": "/nowhere/wake"}, False, "has no /nowhere/wake, so it cannot wake machine7. Build the wake host"),
        ({"name": "nobody"}, True, "no machine 'nobody'; there are machine7"),
        ({"config": "/nowhere.json"}, True, "No such file or directory: '/nowhere.json'"),
        ({"timeout": 0}, True, "argument --timeout"),
        ({"program": "/bin/true"}, True, "did not say what became of machine7 (exit status 0): nothing"),
    ],
)
def test_errors_name_the_remedy(machine: Any, options: dict[str, Any], built: bool, says: str) -> None:
    result = machine(**options)
    assert (result["failed"], result["built"], says in result["msg"]) == (True, built, True), result


def test_force_is_handed_on() -> None:
    params = {"program": "p", "name": "m", "config": None, "timeout": None, "force": True}
    assert wake.argv(params, check_mode=False) == ["p", "--wake", "m", "--force"]
