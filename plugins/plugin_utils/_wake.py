# Copyright (c) 2026, the greenlab.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The machines that a wake host wakes: from the inventory, complete, checked."""

from __future__ import annotations

import re
import typing as t

from ansible_collections.greenlab.cluster.plugins.plugin_utils._mac import normalise_mac

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

Machine = dict[str, t.Any]

# Options that a driver cannot do without; the rest are optional.
DRIVER_OPTIONS: dict[str, tuple[tuple[str, ...], tuple[str, ...]]] = {
    "magic_packet": ((), ("interface", "broadcast", "port", "secureon")),
    "command": ((), ("on", "cycle")),
    "ipmi": (("host", "user", "password"), ()),
    "redfish": (("url", "user", "password"), ("system", "ca_file")),
    "pdudaemon": (("hostname", "port"), ("url", "request", "delay")),
}
# What a window must have, and what it gets if that is not given.
WINDOW_OPTIONS: dict[str, tuple[tuple[str, ...], dict[str, t.Any]]] = {
    "daily": (("at",), {"minutes": 60}),
    "sun": (("above", "latitude", "longitude"), {"fallback_hours": 2}),
    "carbon": (("below", "url"), {"key": "carbon_intensity", "header": "", "token": "", "ca_file": ""}),
}
DEADLINE = 24  # hours
SECUREON = re.compile(r"([0-9A-Fa-f]{2}[:-]?){4}(([0-9A-Fa-f]{2}[:-]?){2})?")
RANGES = {
    "above": (-90, 90), "latitude": (-90, 90), "longitude": (-180, 180), "minutes": (1, 1440),
    "fallback_hours": (0, 12), "below": (0, 10_000), "deadline": (0, 8760),
}  # fmt: skip

# What a machine gets if it is not given.
DEFAULTS: Machine = {
    "mac": "",
    "driver": "magic_packet",
    "driver_options": {},
    "cycle_driver": "",
    "cycle_options": {},
    "windows": [],
    "excluded": False,
}


class BadMachine(ValueError):
    """A machine cannot be woken like this; the text says which one, what is wrong, and what to do."""


def targets(hosts: Iterable[str], hostvars: Mapping[str, Mapping[str, t.Any]]) -> list[Machine]:
    """Return the machines that can be woken: those with a MAC address or a driver.

    A machine that the jobs DB does not know, because another queue tells of it, is numbered by its place.
    """
    machines = []
    # hostvars[host] makes a new templating engine, and most hosts of a large cluster may have neither.
    has = getattr(hostvars, "raw_get", hostvars.__getitem__)
    for place, host in enumerate(hosts, start=1):
        if not {"wake_target_mac", "wake_target_driver"}.intersection(has(host)):
            continue
        variables = hostvars[host]
        own = {key: variables[f"wake_target_{key}"] for key in DEFAULTS if f"wake_target_{key}" in variables}
        machines.append(
            {
                "id": variables.get("gmt_machine_id", place),
                "name": host,
                "description": variables.get("gmt_machine_description", host),
                "address": variables.get("ansible_host", host),
                **own,
            }
        )
    return machines


def complete(machines: Iterable[Mapping[str, t.Any]]) -> list[Machine]:
    """Return the machines with all defaults and one form of address. Raises BadMachine."""
    result: list[Machine] = []
    for given in machines:
        machine = {**DEFAULTS, **given}
        machine["mac"] = _mac(machine)
        _check_driver(machine, "driver", "driver_options")
        if machine["cycle_driver"]:
            _check_driver(machine, "cycle_driver", "cycle_options")
        machine["windows"] = [_window(machine, window) for window in machine["windows"]]
        for key in ("id", "name", "mac"):
            twin = next((other for other in result if other[key] and other[key] == machine[key]), None)
            if twin:
                raise BadMachine(f"{machine['name']} and {twin['name']} have the same {key}, {machine[key]!r}.")
        result.append(machine)
    return result


def _mac(machine: Machine) -> str:
    if not machine["mac"]:
        if machine["driver"] == "magic_packet":
            raise BadMachine(f"{machine['name']}: mac is missing, which the driver magic_packet needs.")
        return ""
    try:
        return normalise_mac(machine["mac"])
    except ValueError as error:
        raise BadMachine(f"{machine['name']}: mac {machine['mac']!r} {error}") from error


def _check_driver(machine: Machine, driver: str, options: str) -> None:
    name, given = machine[driver], machine[options]
    needed, optional = DRIVER_OPTIONS[name]
    if name == "command":
        verb = "on" if driver == "driver" else "cycle"
        if not isinstance(given.get(verb), list) or not given[verb]:
            raise BadMachine(f"{machine['name']}: {options}.{verb} must be a list, a program and its arguments.")
    for key in needed:
        if given.get(key) in (None, ""):
            raise BadMachine(f"{machine['name']}: {options}.{key} is missing, which the driver {name} needs.")
    for key in given:
        if key not in (*needed, *optional):
            known = ", ".join((*needed, *optional))
            raise BadMachine(f"{machine['name']}: {options}.{key} is unknown to the driver {name}; it knows {known}.")
    if given.get("secureon") and not SECUREON.fullmatch(str(given["secureon"])):
        raise BadMachine(f"{machine['name']}: {options}.secureon must be 4 or 6 pairs of hexadecimal digits.")


def _window(machine: Machine, given: Mapping[str, t.Any]) -> Machine:
    kind = given.get("kind")
    if kind not in WINDOW_OPTIONS:
        raise BadMachine(f"{machine['name']}: windows: no kind {kind!r}; there are {', '.join(WINDOW_OPTIONS)}.")
    needed, defaults = WINDOW_OPTIONS[kind]
    window = {"deadline": DEADLINE, **defaults, **given}
    for key in needed:
        if key not in window:
            raise BadMachine(f"{machine['name']}: a window of kind {kind} needs {key}.")
    for key, value in window.items():
        if key not in ("kind", "deadline", *needed, *defaults):
            raise BadMachine(f"{machine['name']}: a window of kind {kind} knows no {key}.")
        if key in RANGES:
            window[key] = _number(machine, key, value)
    if kind == "daily" and not re.fullmatch(r"([01]?[0-9]|2[0-3]):[0-5][0-9]", str(window["at"])):
        raise BadMachine(
            f"{machine['name']}: windows: at is {window['at']!r}. Write a time such as '13:00', in quotes."
        )
    return window


def _number(machine: Machine, key: str, value: t.Any) -> float:
    lowest, highest = RANGES[key]
    try:
        number = float(value)
    except (TypeError, ValueError):
        number = highest + 1.0
    if isinstance(value, bool) or not lowest <= number <= highest:
        raise BadMachine(f"{machine['name']}: windows: {key} is {value!r}. Give a number from {lowest} to {highest}.")
    return int(number) if number == int(number) else number
