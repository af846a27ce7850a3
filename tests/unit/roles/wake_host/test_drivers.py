# SPDX-License-Identifier: GPL-3.0-or-later
"""What each driver does to the world: requests, command lines, environments. Alarms too, which are hooks as well."""

from __future__ import annotations

import base64
import io
import json
import re
import socket
import threading
from pathlib import Path

import pytest
import yaml
from greenlab_wake import alarm, drivers, memory

ROLE = Path(__file__).resolve().parents[4] / "roles/wake_host"


@pytest.fixture
def recorder(tmp_path, monkeypatch):
    """Put a program into PATH that writes down how it was called; return how to read it."""

    def make(name, status=0):
        program = tmp_path / name
        program.write_text(
            "#!/bin/sh\n"
            f'printf "%s\\n" "$@" > {tmp_path}/argv\nenv > {tmp_path}/env\ncat > {tmp_path}/stdin\n'
            f"echo last words\nexit {status}\n"
        )
        program.chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")

        def read():
            pairs = (line.partition("=") for line in (tmp_path / "env").read_text().splitlines())
            return (tmp_path / "argv").read_text().split("\n")[:-1], {name: value for name, _is, value in pairs}

        return read

    return make


def test_the_role_offers_exactly_the_drivers_that_there_are():
    options = yaml.safe_load((ROLE / "meta/argument_specs.yml").read_text())["argument_specs"]["main"]["options"]
    of_a_machine = options["wake_host_machines"]["options"]
    assert of_a_machine["driver"]["choices"] == list(drivers.DRIVERS)
    can_cycle = [name for name, driver in drivers.DRIVERS.items() if driver.cycle]
    assert of_a_machine["cycle_driver"]["choices"] == ["", *can_cycle]


def test_command(recorder, machine):
    read = recorder("switch")
    options = {"on": ["switch", "outlet 3", "$(touch x)"], "cycle": ["switch", "off-and-on"]}
    drivers.DRIVERS["command"].on(machine(4), options)
    argv, environment = read()
    assert argv == ["outlet 3", "$(touch x)"]
    assert {name: environment[name] for name in environment if name.startswith("WAKE_")} == {
        "WAKE_ID": "4", "WAKE_NAME": "machine4", "WAKE_MAC": "02:00:00:00:00:04", "WAKE_ADDRESS": "192.0.2.4"}
    drivers.DRIVERS["command"].cycle(machine(4), options)
    assert read()[0] == ["off-and-on"]


def test_a_command_that_fails_says_its_last_words(recorder, machine):
    recorder("switch", status=3)
    with pytest.raises(drivers.DriverError, match="switch ended with status 3: last words"):
        drivers.DRIVERS["command"].on(machine(), {"on": ["switch"]})
    with pytest.raises(drivers.DriverError, match="no command is given for cycle"):
        drivers.DRIVERS["command"].cycle(machine(), {"on": ["switch"]})


@pytest.mark.parametrize(("verb", "word"), [("on", "on"), ("cycle", "cycle")])
def test_ipmi_keeps_the_password_off_the_command_line(recorder, machine, verb, word):
    read = recorder("ipmitool")
    getattr(drivers.DRIVERS["ipmi"], verb)(machine(), {"host": "bmc1", "user": "wake", "password": "pass word"})
    argv, environment = read()
    assert argv == ["-I", "lanplus", "-H", "bmc1", "-U", "wake", "-E", "chassis", "power", word]
    assert environment["IPMI_PASSWORD"] == "pass word"


@pytest.mark.parametrize(("verb", "reset"), [("on", "On"), ("cycle", "ForceRestart")])
def test_redfish(server, machine, verb, reset):
    options = {"url": server.url + "/", "user": "wake", "password": "secret", "system": "System.Embedded.1"}
    server.status = 204
    getattr(drivers.DRIVERS["redfish"], verb)(machine(), options)
    method, path, headers, body = server.requests[0]
    assert (method, path) == ("POST", "/redfish/v1/Systems/System.Embedded.1/Actions/ComputerSystem.Reset")
    assert json.loads(body) == {"ResetType": reset}
    assert base64.b64decode(headers["authorization"].removeprefix("Basic ")) == b"wake:secret"


@pytest.mark.parametrize(
    ("verb", "request_word", "path"),
    [
        ("on", "on", "/power/control/on?hostname=pdu1&port=3"),
        ("on", "reboot", "/power/control/reboot?hostname=pdu1&port=3&delay=5"),
        ("cycle", "on", "/power/control/reboot?hostname=pdu1&port=3&delay=5"),
    ],
)
def test_pdudaemon(server, machine, verb, request_word, path):
    options = {"url": server.url, "hostname": "pdu1", "port": 3, "request": request_word}
    getattr(drivers.DRIVERS["pdudaemon"], verb)(machine(), options)
    assert server.requests[0][:2] == ("GET", path)


@pytest.mark.parametrize("name", ["redfish", "pdudaemon"])
def test_a_controller_that_refuses_is_an_error(server, machine, name):
    server.status, server.body = 403, b"no"
    options = {"url": server.url, "user": "u", "password": "p", "hostname": "h", "port": 1}
    with pytest.raises(drivers.DriverError, match="answers 403: no"):
        drivers.DRIVERS[name].on(machine(), options)
    with pytest.raises(drivers.DriverError, match="refused"):
        drivers.DRIVERS[name].on(machine(), {**options, "url": "http://127.0.0.1:1"})


# alarms ---------------------------------------------------------------------------------------------------------------


FAILS = "error (text the alarm could not be told by {}: "
MAIL = {"to": ["a@example.org", "b@example.org"], "sender": "wake@example.org", "server": "", "port": 25,
        "security": "none", "user": "", "password": ""}


@pytest.fixture
def raise_alarm(tmp_path):
    def deliver(command=(), **mail):
        settings = {"repeat": 60, "command": list(command), "mail": {**MAIL, "to": [], **mail}}
        out = io.StringIO()
        state = memory.Memory(str(tmp_path / "state.json"), 0)
        alarms = alarm.Alarms(settings, state, memory.Log("", lambda: 0, out))
        alarms.on("queue", "The queue\nis not known: \u00fc", 0)
        alarms.deliver()
        state.save()
        return out.getvalue()

    return deliver


def test_the_alarm_command_reads_what_is_wrong(recorder, raise_alarm, tmp_path):
    recorder("tell")
    assert raise_alarm(["tell", "me"]) == ""
    assert (tmp_path / "stdin").read_text() == "The queue\nis not known: \u00fc\n"


def test_an_alarm_command_that_fails_is_an_event(recorder, raise_alarm):
    recorder("tell", status=1)
    assert FAILS.format("command") in raise_alarm(["tell"])


def test_an_alarm_command_that_does_not_exist_is_an_event(raise_alarm):
    assert FAILS.format("command") in raise_alarm(["/nowhere/tell"])


def test_an_alarm_that_could_not_be_told_is_told_later(recorder, raise_alarm, tmp_path):
    recorder("tell", status=1)
    raise_alarm(["tell"])
    recorder("tell")
    # Its own repetition is not due yet.
    assert raise_alarm(["tell"]) == ""
    assert (tmp_path / "stdin").read_text() == "The queue\nis not known: \u00fc\n"
    (tmp_path / "stdin").unlink()
    raise_alarm(["tell"])
    assert not (tmp_path / "stdin").exists()


def test_mail(raise_alarm):
    """A mail server of twenty lines takes the mail."""
    got: list[str] = []
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve():
            connection, _address = listening.accept()
            with connection, connection.makefile("rw", encoding="utf8", newline="\r\n") as file:
                print("220 here", file=file, flush=True)
                in_data = False
                while "." not in got:
                    got.append(file.readline().rstrip())
                    if not in_data or got[-1] == ".":
                        in_data = got[-1] == "data"
                        print("354 go on" if in_data else "250 ok", file=file, flush=True)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        assert raise_alarm(to=MAIL["to"], server="127.0.0.1", port=listening.getsockname()[1]) == ""
        thread.join(5)
    assert [line.upper().split(" ")[1] for line in got if line.upper().startswith("RCPT")] == [
        "TO:<A@EXAMPLE.ORG>", "TO:<B@EXAMPLE.ORG>"]
    assert any(re.match(r"Subject: .*greenlab wake", line) for line in got)


def test_a_mail_server_that_is_away_is_an_event(raise_alarm):
    assert FAILS.format("mail") in raise_alarm(to=["a@example.org"], server="127.0.0.1", port=1)
