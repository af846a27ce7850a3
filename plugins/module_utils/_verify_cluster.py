# Copyright (c) 2026, the greenlab.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The checks that the tool does not make: is what this collection laid as it was, and was nothing left behind?"""

from __future__ import annotations

import hashlib
import json
import os
import re
import stat
import typing as t

from ansible_collections.greenlab.cluster.plugins.module_utils import _helpers
from ansible_collections.greenlab.cluster.plugins.module_utils._verify_facts import Facts
from ansible_collections.greenlab.cluster.plugins.module_utils._verify_tool import Check, Finding, none_of, skipped

# What the client calls at its work; without one of them a job or the maintenance fails.
_NEEDED_SUDO = ("maintenance", "hardware_info", "system_checks", "drop_caches")
_CRONTAB = "/etc/cron.d/green-metrics-tool"


def config_file(facts: Facts) -> Finding:
    """Who may read config.yml, which holds the password of the jobs DB."""
    wanted = f"root:{facts.o.group}, at most 0640"
    status = facts.m.stat(f"{facts.o.dir}/config.yml")
    if status is None:
        return Finding(False, "missing", wanted)
    owner = "root" if status.st_uid == facts.m.root_uid else str(status.st_uid)
    group = facts.m.group_name(status.st_gid)
    mode = stat.S_IMODE(status.st_mode)
    ok = owner == "root" and group == facts.o.group and not mode & ~0o640
    return Finding(ok, f"{owner}:{group}, {mode:04o}", wanted)


def config_content(facts: Facts) -> Finding:
    """Whether config.yml can be read by the client, and is of this machine."""
    wanted = "readable" if facts.o.machine_id is None else f"machine.id {facts.o.machine_id}"
    if "config_flaw" in facts.probe:
        return Finding(False, facts.probe["config_flaw"], wanted)
    found = facts.config("machine.id")
    return Finding(found == (facts.o.machine_id or found), f"machine.id {found}", wanted)


def machine_row(facts: Facts) -> Finding:
    """The machine's row in the jobs DB; a client without one ends at its first word."""
    if "row" not in facts.probe:
        return skipped("the jobs DB cannot be read, see db")
    row = facts.probe["row"]
    return Finding(row is not None, f"'{row[0]}'" if row else "no row", "a row of the id in config.yml")


def checkout(facts: Facts) -> Finding:
    """The commit that was installed."""
    installed = json.loads(facts.m.text(facts.o.state_file) or "{}").get("commit")
    if not installed:
        return skipped(f"no commit in {facts.o.state_file}")
    match = re.search(r"^# branch\.oid (\w+)", facts.git.out, re.M)
    found = match[1] if match else facts.git.last_words
    return Finding(found == installed, found, installed)


def helpers(facts: Facts) -> Finding:
    """The scripts that root runs: root's alone, those of the checkout, and with a sudo that survives their calls."""
    flaws = []
    for helper in facts.o.release["helpers"].values():
        path = _place(facts, helper["dest"])
        flaw = facts.m.flaw_of_root_file(path) or _helper_flaw(facts, path, helper["src"])
        flaws += [flaw] if flaw else []
    return Finding(not flaws, "; ".join(flaws) or "as in the checkout", "root's alone, as in the checkout")


def _helper_flaw(facts: Facts, path: str, src: str) -> str | None:
    names = (path, f"{facts.o.dir}/{src}")
    found, source = ((facts.m.content(name) or b"").decode(errors="surrogateescape") for name in names)
    mended = _helpers.with_a_variable(source)
    if found not in (source, mended):
        return f"{path} is not {src}"
    if found != mended and _helpers.is_crash(facts.m.run(*_helpers.PROBE).rc):
        return f"{path} calls sudo with an empty environment, which crashes it; run site again"
    return None


def venv_python(facts: Facts) -> Finding:
    """The interpreter whose real name the sudo rules hold; the tool calls its helpers with that of its environment."""
    if "system_checks" not in facts.o.release["helpers"]:
        return skipped("the release does not ask for it")
    wanted = _real_python(facts)
    # An absolute link of the environment leads out of a test's root.
    found = os.path.realpath(facts.m.path(facts.python))
    return Finding(os.path.basename(found) == os.path.basename(wanted), os.path.basename(found), wanted)


def sudoers(facts: Facts) -> Finding:
    """The syntax of all sudo rules; one mistake switches sudo off."""
    return Finding(facts.sudoers_flaw is None, facts.sudoers_flaw or "valid", "valid")


def sudo_rules(facts: Facts) -> Finding:
    """The commands that the client calls as root."""
    purposes = [*_NEEDED_SUDO, *_power_purposes(facts)]
    rules = [rule for purpose in purposes for rule in facts.o.release["sudo"].get(purpose, [])]
    wanted = [" ".join(_place(facts, part) for part in rule["argv"]) for rule in rules]
    files = ["/etc/sudoers", *facts.m.names("/etc/sudoers.d/*")]
    text = "\n".join(facts.m.text(file) or "" for file in files).replace("\\", "")
    allowed = set(re.findall(rf"^{re.escape(facts.o.user)}\s.*NOPASSWD:\s*(.*?)(?: \"\")?\s*$", text, re.M))
    missing = [command for command in wanted if command not in allowed]
    return Finding(not missing, "missing: " + "; ".join(missing) if missing else f"{len(wanted)}", f"{len(wanted)}")


def _power_purposes(facts: Facts) -> list[str]:
    path = facts.o.release["config_paths"].get("shutdown_on_job_no")
    value = facts.config(path) if path else None
    names = [name for name, spelled in facts.o.release["shutdown_values"].items() if spelled == value and value]
    return names


def _real_python(facts: Facts) -> str:
    link = facts.m.path("/usr/bin/python3")
    return os.path.join("/usr/bin", os.readlink(link)) if link.is_symlink() else "/usr/bin/python3"


def _place(facts: Facts, text: str) -> str:
    places = {"{dir}": facts.o.dir, "{helpers}": facts.o.release["helpers_dir"], "{python}": _real_python(facts)}
    for name, place in places.items():
        text = text.replace(name, place)
    return text


# The program that takes the jobs


def one_client(facts: Facts) -> Finding:
    """Service or crontab: two would take the same jobs."""
    units = [f"/etc/systemd/{scope}/{facts.unit_name}" for scope in ("system", "user")]
    names = {"client": [f"/etc/systemd/{facts.o.scope}/{facts.unit_name}"], "cron": [_CRONTAB]}
    wanted = names.get(facts.o.mode, [])
    found = [path for path in [*units, _CRONTAB] if facts.m.stat(path)]
    return Finding(found == wanted, ", ".join(found) or "none", ", ".join(wanted) or "none")


def _of_the_service(check: Check) -> Check:
    def checked(facts: Facts) -> Finding:
        if facts.o.mode != "client":
            return skipped(f"no client service, for the machine's mode is {facts.o.mode}")
        if "flaw" in facts.unit:
            return Finding(False, facts.unit["flaw"], facts.unit_name)
        return check(facts)

    checked.__doc__ = check.__doc__
    return checked


@_of_the_service
def client_unit(facts: Facts) -> Finding:
    """The client's unit file, without additions by hand, started at boot."""
    unit, path = facts.unit, f"/etc/systemd/{facts.o.scope}/{facts.unit_name}"
    # Debian's service manager of an account comes through the link /etc/xdg/systemd/user.
    value = [facts.m.real_name(unit.get("FragmentPath") or "/missing"), unit.get("UnitFileState") or "not enabled"]
    value += [unit["DropInPaths"]] if unit.get("DropInPaths") else []
    value += ["not reloaded"] if unit.get("NeedDaemonReload") == "yes" else []
    return Finding(value == [path, "enabled"], ", ".join(value), f"{path}, enabled")


@_of_the_service
def client_active(facts: Facts) -> Finding:
    """Whether the client runs."""
    value = f"{facts.unit.get('ActiveState')} ({facts.unit.get('SubState')})"
    return Finding(value == "active (running)", value, "active (running)")


@_of_the_service
def client_paused(facts: Facts) -> Finding:
    """Whether the client stands still, stopped by a signal. A playbook that works here does that, and undoes it."""
    status = facts.m.text(f"/proc/{facts.unit.get('MainPID')}/stat") or ""
    state = status.rpartition(")")[2].split()[:1]
    return Finding(state != ["T"], "stopped" if state == ["T"] else "goes on", "goes on")


@_of_the_service
def client_fresh(facts: Facts) -> Finding:
    """Whether the client read its files as they are now; the unit remembers their hashes from its start."""
    text = facts.m.text(f"/etc/systemd/{facts.o.scope}/{facts.unit_name}") or ""
    known = dict(re.findall(r"^([\w.-]+)=(\w+)$", text.partition("[X-Greenlab]")[2], re.M))
    files = {os.path.basename(path): path for path in (f"{facts.o.dir}/config.yml", facts.o.state_file)}
    now = {name: hashlib.sha256(facts.m.content(path) or b"").hexdigest() for name, path in files.items()}
    changed = [files[name] for name in files if name in known and known[name] != now[name]]
    return Finding(not changed, "changed: " + ", ".join(changed) if changed else "as it read them", "as it read them")


@_of_the_service
def linger(facts: Facts) -> Finding:
    """Whether the account's services run without a login."""
    if facts.o.scope != "user":
        return skipped("a service of the machine")
    found = facts.m.stat(f"/var/lib/systemd/linger/{facts.o.user}")
    return Finding(found is not None, "on" if found else "off", "on")


# What Ansible may have left


def ansible_files(facts: Facts) -> Finding:
    """Temporary files of Ansible, of a run that was killed or went without pipelining."""
    homes = {account.home for account in facts.m.accounts() if account.home.startswith(("/home/", "/root"))}
    found = [path for home in sorted(homes) for path in facts.m.names(f"{home}/.ansible/tmp/*")]
    found += [path for home in sorted(homes) for path in facts.m.names(f"{home}/.ansible_async/*")]
    folders = ("/tmp", "/var/tmp")  # noqa: S108 - only read
    payloads = [path for folder in folders for path in facts.m.names(f"{folder}/ansible[_-]*")]
    return none_of(found + [path for path in payloads if not _is_ours(path)])


def _is_ours(path: str) -> bool:
    """Tell whether this very module was unpacked there; Ansible removes that folder when the module has ended."""
    return __file__.startswith(path + os.sep)


OWN: dict[str, tuple[str, Check]] = {
    "config_file": ("ERROR", config_file),
    "config_content": ("ERROR", config_content),
    "machine_row": ("ERROR", machine_row),
    "checkout": ("WARN", checkout),
    "helpers": ("ERROR", helpers),
    "venv_python": ("WARN", venv_python),
    "sudoers": ("ERROR", sudoers),
    "sudo_rules": ("ERROR", sudo_rules),
    "one_client": ("ERROR", one_client),
    "client_unit": ("ERROR", client_unit),
    "client_active": ("ERROR", client_active),
    "client_paused": ("WARN", client_paused),
    "client_fresh": ("WARN", client_fresh),
    "linger": ("ERROR", linger),
    "ansible_files": ("WARN", ansible_files),
}

# Checks of newer releases that tell for every release whether a measurement would be disturbed.
ALWAYS: t.Sequence[str] = (
    "gmt_dir_dirty",
    "ntp",
    "systemd_timers",
    "cron_files",
    "swap_disabled",
    "kernel_watchdog",
    "ssh_session",
)
