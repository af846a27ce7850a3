# Copyright (c) 2026, the greenlab.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How a machine is switched on, and how its power is cycled: one table, a row a driver.

A function gets the machine and the driver's options, and raises DriverError, OSError or ValueError when it fails. A new
driver is a function and a row here, and its name in the role's meta/argument_specs.yml.
"""

from __future__ import annotations

import base64
import os
import subprocess
import typing as t

from . import packet, web

Machine = dict[str, t.Any]
Options = dict[str, t.Any]
Action = t.Callable[[Machine, Options], t.Any]

SECONDS_A_COMMAND = 30


class DriverError(Exception):
    """The driver could not do it; says why."""


class Driver(t.NamedTuple):
    """What a driver can do; `repeats`: whether asking again is harmless and useful."""

    on: Action
    cycle: Action | None
    repeats: bool


def run(argv: list[str], environment: dict[str, str]) -> None:
    """Run a command to its end; its last words are the error."""
    try:
        done = subprocess.run(  # noqa: S603 from a file of root's, no shell
            argv,
            env={**os.environ, **environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=SECONDS_A_COMMAND,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise DriverError(f"{argv[0]} did not end within {SECONDS_A_COMMAND} s") from error
    if done.returncode != 0:
        words = done.stdout.decode("utf8", "replace").strip()[-200:]
        raise DriverError(f"{argv[0]} ended with status {done.returncode}: {words}")


def _fetch(url: str, options: Options, **more: t.Any) -> None:
    try:
        status, content = web.request(url, ca_file=options.get("ca_file", ""), **more)
    except web.WebError as error:
        raise DriverError(str(error)) from error
    if not 200 <= status < 300:
        raise DriverError(f"{url} answers {status}: {web.excerpt(content)}")


def magic_packet(machine: Machine, options: Options) -> None:
    """Send a magic packet."""
    packet.send(
        packet.magic_packet(machine["mac"], options.get("secureon", "")),
        address=machine["address"],
        interface=options.get("interface", ""),
        broadcast=options.get("broadcast", ""),
        port=options.get("port", packet.PORT),
    )


def command(verb: str) -> Action:
    """Run the operator's own command, which finds the machine in its environment."""

    def act(machine: Machine, options: Options) -> None:
        if not options.get(verb):
            raise DriverError(f"no command is given for {verb}")
        names = ("id", "name", "mac", "address")
        run(options[verb], {f"WAKE_{name.upper()}": str(machine[name]) for name in names})

    return act


def ipmi(verb: str) -> Action:
    """Ask the machine's board controller with ipmitool. The password is in its environment, not on its command line."""

    def act(_machine: Machine, options: Options) -> None:
        login = ["-H", options["host"], "-U", options["user"], "-E"]
        run(["ipmitool", "-I", "lanplus", *login, "chassis", "power", verb], {"IPMI_PASSWORD": options["password"]})

    return act


def redfish(reset_type: str) -> Action:
    """Ask the machine's board controller over HTTP (DMTF DSP0266, action ComputerSystem.Reset)."""

    def act(_machine: Machine, options: Options) -> None:
        login = base64.b64encode(f"{options['user']}:{options['password']}".encode()).decode()
        system = f"/redfish/v1/Systems/{options.get('system', '1')}"
        _fetch(
            options["url"].rstrip("/") + system + "/Actions/ComputerSystem.Reset",
            options,
            method="POST",
            headers={"Authorization": f"Basic {login}", "Content-Type": "application/json"},
            body=f'{{"ResetType": "{reset_type}"}}',
        )

    return act


def pdudaemon(request: str) -> Action:
    """Ask pdudaemon for a socket's or a PoE port's power. A machine that powered itself off wants `request: reboot`."""

    def act(_machine: Machine, options: Options) -> None:
        verb = request or options.get("request", "on")
        query = f"hostname={options['hostname']}&port={options['port']}"
        if verb == "reboot":
            query += f"&delay={options.get('delay', 5)}"
        _fetch(f"{options.get('url', 'http://127.0.0.1:16421').rstrip('/')}/power/control/{verb}?{query}", options)

    return act


DRIVERS: dict[str, Driver] = {
    "magic_packet": Driver(magic_packet, None, repeats=True),
    "command": Driver(command("on"), command("cycle"), repeats=False),
    "ipmi": Driver(ipmi("on"), ipmi("cycle"), repeats=True),
    "redfish": Driver(redfish("On"), redfish("ForceRestart"), repeats=False),
    # `request: reboot` cycles the power: never a second time while the machine boots.
    "pdudaemon": Driver(pdudaemon(""), pdudaemon("reboot"), repeats=False),
}
