# Copyright (c) 2026, the greenlab.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What would disturb a measurement on this machine: read from systemctl, dpkg and files, and never changed here."""

from __future__ import annotations

import os
import re
import typing as t
from fnmatch import fnmatch
from pathlib import Path

if t.TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    # Runs a command and returns what it printed; a command that fails printed nothing.
    Run = Callable[[Sequence[str]], str]

_LISTING = ("--no-legend", "--no-pager", "--plain", "--full", "--all")
_ENABLED = ("enabled", "enabled-runtime")
_RUNS = ("active", "activating", "reloading")
# A unit that has no [Install] section can only be kept away by a mask.
_FIXED = ("static", "generated", "masked", "masked-runtime")
_VENDOR = ("usr/lib/systemd", "lib/systemd")
WATCHDOGS = ("watchdog", "nmi_watchdog", "soft_watchdog")

# Snaps hold each other up: applications go first, what they stand on last.
_SNAP_ORDER = {"app": 0, "gadget": 1, "kernel": 1, "base": 2, "core": 2, "snapd": 3}


class Unit(t.TypedDict):
    """A unit that is there and must not be, and what takes it away."""

    name: str
    state: str
    active: bool
    action: str
    links: list[str]


def unit_files(run: Run, scope: str, *types: str) -> dict[str, str]:
    """Return the state of each unit file, by name."""
    text = run(["systemctl", scope, "list-unit-files", *_LISTING, f"--type={','.join(types)}"])
    return {parts[0]: parts[1] for parts in map(str.split, text.splitlines()) if len(parts) > 1}


def loaded_units(run: Run, *where: str) -> dict[str, str]:
    """Return whether each unit in systemd's memory is active, by name."""
    text = run(["systemctl", *where, "list-units", *_LISTING])
    return {parts[0]: parts[2] for parts in map(str.split, text.splitlines()) if len(parts) > 2}


def listed_timers(run: Run, *where: str) -> list[str]:
    """Return what `systemctl list-timers --all` lists, which is what GMT's own check looks at."""
    text = run(["systemctl", *where, "list-timers", "--no-legend", "--no-pager", "--full", "--all"])
    return sorted({word for line in text.splitlines() for word in line.split() if word.endswith(".timer")})


def wants_of(root: Path, scope: str, name: str) -> list[str]:
    """Return the folders of the distribution, such as timers.target.wants, that pull a unit in."""
    found = {
        link.parent.name
        for base in _VENDOR
        for pattern in ("wants", "requires")
        for link in (root / base / scope).glob(f"*.{pattern}/{name}")
    }
    return sorted(found)


def open_links(root: Path, scope: str, name: str) -> list[str]:
    """Return the paths where a link to nothing is missing that keeps the distribution from pulling a unit in.

    A masked unit that is still wanted stays in `systemctl list-timers --all`, where GMT's check finds it.
    """
    paths = [f"etc/systemd/{scope}/{folder}/{name}" for folder in wants_of(root, scope, name)]
    return [f"/{path}" for path in paths if not _is_null(root / path)]


def _is_null(path: Path) -> bool:
    return path.is_symlink() and os.readlink(path) == os.devnull


def _to_mask(root: Path, scope: str, name: str, state: str, active: bool) -> Unit | None:
    links = open_links(root, scope, name) if name.endswith(".timer") else []
    if state.startswith("masked") and not links and not active:
        return None
    return Unit(name=name, state=state, active=active, action="mask", links=links)


def _to_silence(root: Path, scope: str, name: str, state: str, active: bool) -> Unit | None:
    if state in _FIXED:
        wanted = bool(wants_of(root, scope, name))
        return _to_mask(root, scope, name, state, active) if wanted or active else None
    if state in _ENABLED or active:
        return Unit(name=name, state=state, active=active, action="disable", links=[])
    return None


def _units(files: dict[str, str], loaded: dict[str, str], judge: Callable[[str, str, bool], Unit | None]) -> list[Unit]:
    judged = (judge(name, state, loaded.get(name) in _RUNS) for name, state in sorted(files.items()))
    return [unit for unit in judged if unit]


def system_units(run: Run, root: Path, keep: Sequence[str], services: Sequence[str], masks: Sequence[str]) -> t.Any:
    """Return the timers, services and masks of the machine that are not yet as wanted."""
    files = unit_files(run, "--system", "timer", "service", "target")
    loaded = loaded_units(run, "--system", "--type=timer,service,target")

    def some(names: Iterable[str]) -> dict[str, str]:
        # An alias goes with the unit that it stands for, a transient unit with the reboot.
        return {name: files[name] for name in names if files.get(name, "alias") not in ("alias", "transient")}

    timers = [name for name in files if name.endswith(".timer") and not kept(name, keep)]
    return {
        "timers": _units(some(timers), loaded, lambda *unit: _to_silence(root, "system", *unit)),
        "services": _units(some(services), loaded, lambda *unit: _to_silence(root, "system", *unit)),
        # What is masked is not stopped: it has run at this boot and does not at the next.
        "masks": _units(some(masks), {}, lambda *unit: _to_mask(root, "system", *unit)),
    }


def kept(name: str, patterns: Sequence[str]) -> bool:
    """Tell whether a unit is one of those to keep."""
    return any(fnmatch(name, pattern) for pattern in patterns)


def global_timers(run: Run, root: Path, keep: Sequence[str]) -> list[Unit]:
    """Return the timers that the machine gives to every account."""
    files = {name: state for name, state in unit_files(run, "--global", "timer").items() if not kept(name, keep)}
    return _units(files, {}, lambda *unit: _to_silence(root, "user", *unit))


def account_timers(run: Run, root: Path, keep: Sequence[str]) -> list[dict[str, t.Any]]:
    """Return the timers that run for accounts whose service manager runs."""
    found = []
    for socket in sorted((root / "run/user").glob("*/systemd/private")):
        uid = int(socket.parts[-3])
        user = run(["id", "--name", "--user", str(uid)]).strip()
        if not user:
            continue
        where = ("--user", f"--machine={user}@")
        loaded = loaded_units(run, *where, "--type=timer")
        home = root / run(["getent", "passwd", user]).split(":")[5:6][0].lstrip("/")
        own = {path.name for path in home.glob(".config/systemd/user/*.wants/*.timer")}
        names = {name for name, state in loaded.items() if state in _RUNS} | own
        found += [
            {"user": user, "uid": uid, "name": name, "own": name in own, "active": loaded.get(name) in _RUNS}
            for name in sorted(names)
            if not kept(name, keep)
        ]
    return found


def installed(run: Run, names: Sequence[str]) -> list[str]:
    """Return those of the packages that are installed."""
    text = run(["dpkg-query", "--show", "--showformat=${Package} ${db:Status-Status}\\n"])
    there = {line.split()[0] for line in text.splitlines() if line.endswith(" installed")}
    return sorted(there.intersection(names))


def in_use(root: Path) -> dict[str, str]:
    """Return why some packages cannot be spared on this machine, by package."""
    uuids = [_text(path) for path in root.glob("sys/block/dm-*/dm/uuid")]
    arrays = re.search(r"^md\d+ *: active", _text(root / "proc/mdstat"), re.MULTILINE)
    reasons: dict[str, str] = {}
    if any(uuid.startswith("CRYPT-") for uuid in uuids):
        encrypted = "an encrypted disk is open"
        reasons |= dict.fromkeys(("cryptsetup", "cryptsetup-bin", "cryptsetup-initramfs"), encrypted)
    if arrays:
        reasons["mdadm"] = "a RAID array is active"
    if any(uuid.startswith("mpath-") for uuid in uuids):
        reasons["multipath-tools"] = "a disk has several paths"
    if any(root.glob("sys/class/iscsi_session/session*")):
        reasons["open-iscsi"] = "an iSCSI disk is attached"
    if any((root / "etc/networkd-dispatcher").glob("*.d/*")):
        reasons["networkd-dispatcher"] = "/etc/networkd-dispatcher has scripts"
    if any(root.glob("sys/class/net/ww*")):
        reasons["modemmanager"] = "the machine has a mobile network card"
    return reasons


def also_removed(run: Run, packages: Sequence[str]) -> list[str]:
    """Return what apt would remove beside the packages, since it depends on them."""
    if not packages:
        return []
    text = run(["apt-get", "--simulate", "--quiet=2", "remove", *packages])
    return sorted(set(re.findall(r"^Remv (\S+)", text, re.MULTILINE)) - set(packages))


def orphans(run: Run, packages: Sequence[str], also: Sequence[str]) -> list[str]:
    """Return what nothing installed would ask for any more, so that a later `apt autoremove` takes it away."""
    if not packages:
        return []
    text = run(["apt-get", "--simulate", "--quiet=2", "--auto-remove", "remove", *packages])
    return sorted(set(re.findall(r"^Remv (\S+)", text, re.MULTILINE)) - {*packages, *also})


def snap_mounts(root: Path) -> list[str]:
    """Return what is mounted in the snaps' own folders, the innermost first; while it is, snapd cannot remove them."""
    points = [line.split()[1] for line in _text(root / "proc/self/mounts").splitlines() if line.count(" ") > 1]
    plain = [re.sub(r"\\([0-7]{3})", lambda code: chr(int(code[1], 8)), point) for point in points]
    return sorted((point for point in plain if point.startswith("/var/snap/")), reverse=True)


def snaps(run: Run) -> list[dict[str, t.Any]]:
    """Return the snaps in the order in which they can be removed."""
    found = []
    for line in run(["snap", "list"]).splitlines()[1:]:
        name, _version, _revision, channel, _publisher, notes = (line.split() + [""] * 6)[:6]
        # A long channel is cut, and one that was installed from a file has none.
        channel = re.sub(r"/(…|\.\.\.)$", "", channel).strip("-")
        kind = next((word for word in notes.split(",") if word in _SNAP_ORDER), "app")
        found.append({"name": name, "channel": channel, "classic": "classic" in notes, "kind": kind})
    return sorted(found, key=lambda snap: (_SNAP_ORDER[snap["kind"]], snap["name"]))


def files_below(root: Path, *patterns: str) -> list[str]:
    """Return the files and links below folders, as GMT's check finds them."""
    found = set()
    for pattern in patterns:
        for top in root.glob(pattern):
            below = top.rglob("*") if top.is_dir() else [top]
            found |= {f"/{path.relative_to(root)}" for path in below if path.is_symlink() or path.is_file()}
    return sorted(found)


def fstab_swaps(root: Path) -> list[str]:
    """Return the lines of /etc/fstab that switch swap on at boot."""
    lines = _text(root / "etc/fstab").splitlines()
    return [line for line in lines if line.split()[2:3] == ["swap"] and not line.lstrip().startswith("#")]


def swaps(root: Path) -> list[str]:
    """Return what the kernel swaps to."""
    return [line.split()[0] for line in _text(root / "proc/swaps").splitlines()[1:] if line.strip()]


def watchdogs(root: Path) -> list[dict[str, t.Any]]:
    """Return the kernel's watchdogs that this kernel has, and whether they can be switched here."""
    paths = [root / "proc/sys/kernel" / name for name in WATCHDOGS]
    return [
        {"name": path.name, "value": int(_text(path) or 0), "writable": os.access(path, os.W_OK)}
        for path in paths
        if path.exists()
    ]


def services_in_use(root: Path) -> dict[str, str]:
    """Return why some services cannot be spared on this machine, by service."""
    routes = [line.split() for line in _text(root / "proc/net/route").splitlines()[1:]]
    cards = [route[0] for route in routes if route[1:2] == ["00000000"]]
    routes = [line.split() for line in _text(root / "proc/net/ipv6_route").splitlines()]
    cards += [route[-1] for route in routes if route[:2] == ["0" * 32, "00"]]
    keyfiles = [path for top in ("etc", "run") for path in root.glob(f"{top}/NetworkManager/system-connections/*")]
    if any((root / "sys/class/net" / card / "wireless").exists() for card in cards):
        return {"wpa_supplicant.service": "the machine is online by radio"}
    if any("[802-1x]" in _text(path) for path in keyfiles):
        return {"wpa_supplicant.service": "a network asks for a login (802.1X)"}
    return {}


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf8", errors="replace")
    except OSError:
        return ""


def look(
    run: Run, root: Path, *, keep: Sequence[str], services: Sequence[str], masks: Sequence[str], packages: Sequence[str]
) -> dict[str, t.Any]:
    """Return all that would disturb a measurement, by group."""
    needed = in_use(root)
    busy = {name: reason for name, reason in services_in_use(root).items() if name in services}
    there = installed(run, packages)
    removable = [name for name in there if name not in needed]
    also = also_removed(run, removable)
    return {
        **system_units(run, root, keep, [name for name in services if name not in busy], masks),
        "services_in_use": busy,
        "global_timers": global_timers(run, root, keep),
        "account_timers": account_timers(run, root, keep),
        "listed_timers": [name for name in listed_timers(run, "--system") if not kept(name, keep)],
        "packages": removable,
        "packages_in_use": {name: needed[name] for name in there if name in needed},
        "also_removed": also,
        "orphans": orphans(run, removable, also),
        "snaps": snaps(run),
        "snap_mounts": snap_mounts(root),
        "cron_files": files_below(root, "etc/cron*", "var/spool/cron"),
        "motd_files": files_below(root, "etc/update-motd.d"),
        "swaps": swaps(root),
        "fstab_swaps": fstab_swaps(root),
        "watchdogs": watchdogs(root),
        "network_manager": (root / "usr/sbin/NetworkManager").exists(),
        "container": (root / "run/systemd/container").exists(),
    }
