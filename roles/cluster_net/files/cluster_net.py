# Copyright (c) 2026, the greenlab.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Change a network card's address, and take the change back unless it is confirmed in time.

look      print what the network is, as JSON
apply     write down what is, start a timer, then change
confirm   stop the timer; fails when the card has not the address
rollback  put back what was; called by the timer, and at boot when the power went in between
"""

from __future__ import annotations

import argparse
import fcntl
import ipaddress
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

STATE = Path("/var/lib/greenlab/cluster_net")
TIMER = "greenlab-cluster-net-rollback"
FILES = {
    "networkmanager": Path("/etc/NetworkManager/system-connections/greenlab-cluster.nmconnection"),
    "networkd": Path("/etc/systemd/network/05-greenlab-cluster.network"),
    "ifupdown": Path("/etc/network/interfaces.d/greenlab-cluster"),
}
MODES = {"networkmanager": 0o600, "networkd": 0o644, "ifupdown": 0o644}
INTERFACES = Path("/etc/network/interfaces")
# Marks lines of ifupdown that would give the card a second address.
MARK = "#greenlab cluster_net# "


class Refused(Exception):
    """The change cannot be made; the message says why."""


def call(*argv: str, check: bool = True) -> str:
    """Run a command and return what it prints; without `check` a failure is nothing."""
    try:
        done = subprocess.run(argv, check=False, capture_output=True, encoding="utf8", timeout=45)  # noqa: S603
    except (FileNotFoundError, subprocess.TimeoutExpired) as error:
        if check:
            raise Refused(f"{' '.join(argv)}: {error}") from error
        return ""
    if check and done.returncode:
        raise Refused(f"{' '.join(argv)} ended with {done.returncode}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout if done.returncode == 0 else ""


def addresses() -> dict[str, list[str]]:
    """Return the IPv4 addresses, with prefix, of each network card but the loopback."""
    return {
        link["ifname"]: [
            f"{info['local']}/{info['prefixlen']}" for info in link["addr_info"] if info.get("family") == "inet"
        ]
        for link in json.loads(call("ip", "-json", "address"))
        if link and "LOOPBACK" not in link["flags"]
    }


def default_routes() -> list[dict[str, Any]]:
    """Return the default routes, the best first."""
    routes = json.loads(call("ip", "-json", "-4", "route", "show", "default") or "[]")
    return sorted(routes, key=lambda route: route.get("metric", 0))


# -- what manages a card ----------------------------------------------------------------------------------------------


def manager_of(interface: str) -> str | None:
    """Return what manages the card, else what runs and would, or None when that is not clear."""
    state = dict(
        line.split(":", 1) for line in call("nmcli", "-t", "-f", "DEVICE,STATE", "device", check=False).splitlines()
    )
    if interface in state and not state[interface].startswith("unmanaged"):
        return "networkmanager"
    if any(has_stanza(file.read_text(encoding="utf8"), interface) for file in interfaces_files()):
        return "ifupdown"
    if networkd_state(interface) not in ("", "unmanaged"):
        return "networkd"
    running = [
        manager
        for manager, unit in (("networkd", "systemd-networkd.service"), ("ifupdown", "networking.service"))
        if call("systemctl", "is-active", unit, check=False).strip() == "active"
    ]
    return running[0] if len(running) == 1 else None


def networkd_state(interface: str) -> str:
    """Return what systemd-networkd says of its setup of a card, nothing when it does not run."""
    if call("systemctl", "is-active", "systemd-networkd.service", check=False).strip() != "active":
        return ""
    fields = call("networkctl", "--no-legend", "--no-pager", "list", interface, check=False).split()
    return fields[4] if len(fields) >= 5 else ""


def look(cidr: str | None, asked: str) -> dict[str, Any]:
    """Return what the network is: the card in the network, its manager, its file of ours, and the way out."""
    cards = addresses()
    if asked:
        candidates = [asked] if asked in cards else []
    else:
        network = ipaddress.ip_network(cidr) if cidr else None
        candidates = [
            card for card, own in cards.items() if network and any(ipaddress.ip_interface(a).ip in network for a in own)
        ]
    origin = STATE / "origin.json"
    interface = candidates[0] if len(candidates) == 1 else None
    return {
        "cards": cards,
        "candidates": candidates,
        "interface": interface,
        "manager": manager_of(interface) if interface else None,
        "files": {
            manager: file.read_text(encoding="utf8") if file.exists() else None for manager, file in FILES.items()
        },
        "origin": json.loads(origin.read_text(encoding="utf8")) if origin.exists() else None,
        "defaults": default_routes(),
    }


# -- files of ifupdown ------------------------------------------------------------------------------------------------


def interfaces_files() -> list[Path]:
    """Return the files of ifupdown that others wrote."""
    found = [INTERFACES, *sorted(INTERFACES.with_name("interfaces.d").glob("*"))]
    return [file for file in found if file.is_file() and file != FILES["ifupdown"]]


def _blocks(text: str) -> Iterator[tuple[list[str], list[str]]]:
    """Yield each stanza's first words and its lines; comments and blank lines belong to what stands before."""
    words: list[str] = []
    lines: list[str] = []
    for line in text.splitlines(keepends=True):
        first = line.split()
        if first and (
            first[0]
            in ("iface", "auto", "mapping", "source", "source-directory", "rename", "no-auto-down", "no-scripts")
            or first[0].startswith("allow-")
        ):
            if lines:
                yield words, lines
            words, lines = first, []
        lines.append(line)
    if lines:
        yield words, lines


def has_stanza(text: str, interface: str) -> bool:
    """Tell whether a file says how to set a card up."""
    return any(words[:2] == ["iface", interface] for words, _lines in _blocks(text))


def without_card(text: str, interface: str) -> str:
    """Return the text with all that is said of a card made a comment, to be found again."""
    result = []
    for words, lines in _blocks(text):
        if words[:2] == ["iface", interface]:
            result += [MARK + line if line.strip() and not line.lstrip().startswith("#") else line for line in lines]
        elif words and (words[0] == "auto" or words[0].startswith("allow-")) and interface in words[1:]:
            others = [word for word in words[1:] if word != interface]
            result.append(MARK + lines[0])
            result += [f"{words[0]} {' '.join(others)}\n"] if others else []
            result += lines[1:]
        else:
            result += lines
    return "".join(result)


def with_card(text: str) -> str:
    """Return the text as it was before `without_card`."""
    lines = text.splitlines(keepends=True)
    result: list[str] = []
    for place, line in enumerate(lines):
        if line.startswith(MARK):
            result.append(line[len(MARK) :])
        elif not (place and lines[place - 1].startswith(MARK) and _is_rest(line, lines[place - 1])):
            result.append(line)
    return "".join(result)


def _is_rest(line: str, marked: str) -> bool:
    """Tell whether a line is what `without_card` left of the marked one: the same but for the card."""
    old, new = marked[len(MARK) :].split(), line.split()
    return len(new) > 1 and len(new) == len(old) - 1 and old[0] == new[0] and set(new) < set(old)


# -- the change -------------------------------------------------------------------------------------------------------


def changes(manager: str, interface: str, wanted: str | None) -> dict[Path, str | None]:
    """Return what each file shall say, None for a file that shall not be."""
    new: dict[Path, str | None] = {file: None for file in FILES.values() if file.exists()}
    if wanted is not None:
        new[FILES[manager]] = wanted
    if manager == "ifupdown":
        for file in interfaces_files():
            text = file.read_text(encoding="utf8")
            edited = with_card(text) if wanted is None else without_card(text, interface)
            if edited != text:
                new[file] = edited
    return new


def write(path: Path, content: str | None, mode: int = 0o644) -> None:
    """Replace or remove a file in one step, so that a power cut leaves the old or the new one."""
    if content is None:
        path.unlink(missing_ok=True)
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(f".{path.name}.new")
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, mode)
    with os.fdopen(descriptor, "w", encoding="utf8") as stream:
        os.fchmod(stream.fileno(), mode)
        stream.write(content)
        stream.flush()
        os.fsync(stream.fileno())
    new.replace(path)


def write_all(files: dict[Path, str | None]) -> None:
    """Write all files, each with the mode that its manager wants."""
    modes = {file: MODES[manager] for manager, file in FILES.items()}
    for path, content in files.items():
        write(path, content, modes.get(path, 0o644))


def let_go(manager: str, interface: str) -> None:
    """Let ifupdown forget the card while its files still say what it was told."""
    if manager == "ifupdown":
        call("ifdown", "--force", interface, check=False)
        call("ip", "address", "flush", "dev", interface, "scope", "global", check=False)


def activate(manager: str, interface: str, connection: str, up: bool) -> None:
    """Let the manager read its files and set the card up; `up` for a card that has a file of ours."""
    if manager == "networkmanager":
        call("nmcli", "connection", "reload")
        if up:
            call("nmcli", "connection", "up", "filename", str(FILES[manager]))
        elif connection:
            call("nmcli", "connection", "up", "uuid", connection)
    elif manager == "networkd":
        call("networkctl", "reload")
        call("networkctl", "reconfigure", interface, check=up)
    elif up or any(has_stanza(file.read_text(encoding="utf8"), interface) for file in interfaces_files()):
        call("ifup", interface)


def promote(interface: str) -> None:
    """Let the other addresses of a network stay when the first one goes."""
    Path(f"/proc/sys/net/ipv4/conf/{interface}/promote_secondaries").write_text("1", encoding="utf8")


def settle(interface: str, old: set[str], new: set[str], gateways: Iterable[str] = ()) -> None:
    """Wait for the new addresses; give them by hand when no manager does. Then take the old ones away.

    An address from elsewhere, such as a DHCP server, is as good as a new one.
    """
    for _second in range(10):
        now = set(addresses().get(interface, []))
        if (new <= now and now) or now - old - new:
            break
        time.sleep(1)
    else:
        call("ip", "link", "set", interface, "up", check=False)
        for address in new:
            call("ip", "address", "add", address, "dev", interface, check=False)
        for gateway in gateways:
            call("ip", "route", "add", "default", "via", gateway, "dev", interface, check=False)
    promote(interface)
    for address in old - new:
        call("ip", "address", "delete", address, "dev", interface, check=False)


@contextmanager
def alone() -> Iterator[None]:
    """Let confirmation and timer not meet."""
    STATE.mkdir(parents=True, exist_ok=True)
    with (STATE / "lock").open("w", encoding="utf8") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield


def apply(manager: str, interface: str, wanted: str | None, address: str, seconds: int) -> None:
    """Write down what is, start the timer, and change; without `wanted`, back to what the card had at the beginning."""
    pending, origin = STATE / "pending.json", STATE / "origin.json"
    with alone():
        if pending.exists():
            raise Refused("An earlier change is neither confirmed nor taken back yet. Wait a minute.")
        new = changes(manager, interface, wanted)
        before: dict[str, Any] = {
            "manager": manager,
            "interface": interface,
            "address": address,
            "files": {str(path): path.read_text(encoding="utf8") if path.exists() else None for path in new},
            "addresses": addresses().get(interface, []),
            "gateways": [r["gateway"] for r in default_routes() if r.get("dev") == interface and "gateway" in r],
            "connection": call("nmcli", "-g", "GENERAL.CON-UUID", "device", "show", interface, check=False).strip(),
        }
        write(pending, json.dumps(before, indent=1), 0o600)
        if not any(file.exists() for file in FILES.values()):
            write(origin, json.dumps(before, indent=1), 0o600)
        first = json.loads(origin.read_text(encoding="utf8")) if origin.exists() else before
        call(
            "systemd-run",
            f"--unit={TIMER}",
            f"--on-active={seconds}",
            "--timer-property=AccuracySec=1s",
            "--collect",
            sys.executable,
            str(Path(__file__).resolve()),
            "rollback",
        )
    try:
        let_go(manager, interface)
        write_all(new)
        activate(manager, interface, first["connection"], up=wanted is not None)
        if wanted is not None:
            settle(interface, set(before["addresses"]), {address})
        else:
            settle(interface, set(before["addresses"]), set(first["addresses"]), first["gateways"])
    except Refused as refused:
        rollback()
        raise Refused(f"{refused}. The old network is back.") from refused


def confirm() -> None:
    """Keep the change, if the card has the address."""
    pending = STATE / "pending.json"
    with alone():
        if not pending.exists():
            raise Refused("There is nothing to confirm: the change is not made yet, or was taken back.")
        change = json.loads(pending.read_text(encoding="utf8"))
        interface, address = change["interface"], change["address"]
        if address and addresses().get(interface, []) != [address]:
            raise Refused(f"{interface} has not got {address}, or not only that, so the change is not confirmed.")
        pending.unlink()
    call("systemctl", "stop", f"{TIMER}.timer", check=False)


def rollback(boot: bool = False) -> None:
    """Put back what was; at boot the files only, before a manager reads them."""
    pending = STATE / "pending.json"
    with alone():
        if not pending.exists():
            return
        before = json.loads(pending.read_text(encoding="utf8"))
        files = {Path(path): content for path, content in before["files"].items()}
        if boot:
            write_all(files)
        else:
            manager, interface = before["manager"], before["interface"]
            now = set(addresses().get(interface, []))
            let_go(manager, interface)
            write_all(files)
            try:
                had_ours = before["files"].get(str(FILES[manager])) is not None
                activate(manager, interface, before["connection"], up=had_ours)
            except Refused as refused:
                print(refused, file=sys.stderr)
            settle(interface, now, set(before["addresses"]), before["gateways"])
        pending.unlink()
    print("The change of the network was not confirmed: the old one is back.")


def main() -> None:
    """Run what is asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    what = parser.add_subparsers(dest="what", required=True)
    looking = what.add_parser("look")
    looking.add_argument("--cidr")
    looking.add_argument("--interface", default="")
    applying = what.add_parser("apply")
    applying.add_argument("--manager", required=True, choices=list(FILES))
    applying.add_argument("--interface", required=True)
    applying.add_argument("--wanted", type=Path, help="the new file; without it ours is removed")
    applying.add_argument("--address", default="", help="the address that the card must have to be confirmed")
    applying.add_argument("--rollback-after", type=int, required=True, metavar="SECONDS")
    what.add_parser("confirm")
    what.add_parser("rollback").add_argument("--boot", action="store_true")
    options = parser.parse_args()
    try:
        if options.what == "look":
            print(json.dumps(look(options.cidr, options.interface)))
        elif options.what == "apply":
            wanted = options.wanted.read_text(encoding="utf8") if options.wanted else None
            apply(options.manager, options.interface, wanted, options.address, options.rollback_after)
        elif options.what == "confirm":
            confirm()
        else:
            rollback(options.boot)
    except Refused as refused:
        sys.exit(str(refused))


if __name__ == "__main__":
    main()
