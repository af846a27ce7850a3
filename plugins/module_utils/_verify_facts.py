# Copyright (c) 2026, the greenlab.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What several checks of a machine ask for: each answer is fetched once, the slow ones at the same time."""

from __future__ import annotations

import ipaddress
import json
import os
import re
import shlex
import time
import typing as t
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import cached_property

from ansible_collections.greenlab.cluster.plugins.module_utils._verify_machine import Account, Done, Machine

# Runs in the tool's own environment, as the client does, and says what that environment is like. Keys are picked one by
# one, so that no password leaves the machine.
PROBE = """
import json, locale, os, sys
said = {"encoding": [locale.getpreferredencoding().lower(), sys.getdefaultencoding().lower()]}
try:
    import yaml
    with open(sys.argv[1], encoding="utf8") as file:
        config = yaml.safe_load(file)
    said["config"] = {key: config.get(key) for key in ("machine", "measurement", "cluster", "client")}
    db = config["postgresql"]
    said["db_name"] = "{dbname} at {host}:{port} as {user}".format(**{"port": os.environ.get("PGPORT"), **db})
except Exception as error:
    said["config_flaw"] = "{}: {}".format(type(error).__name__, " ".join(str(error).split()))
else:
    try:
        import psycopg
        with psycopg.connect(
            host=db["host"], port=db.get("port"), dbname=db["dbname"], user=db["user"], password=db["password"],
            connect_timeout=5,
        ) as connection:
            row = connection.execute("SELECT description FROM machines WHERE id = %s", (config["machine"]["id"],))
            said["row"] = row.fetchone()
    except Exception as error:
        said["db_flaw"] = " ".join(str(error).split()) or type(error).__name__
json.dump(said, sys.stdout, default=str)
"""

# Load of the processors, in per cent, from which the tool warns, and how often we look before we do.
CPU_PERCENT = 5
CPU_LOOKS = 20

# Lines that a true sleep writes: the machine's own history, no disturbance of a run that starts later.
_SLEEP_UNITS = {"sleep.target", "suspend.target", "systemd-suspend.service"}
_SLEEP_PROGRAMS = {"kernel", "systemd-sleep", "systemd-logind"}


class Options(t.NamedTuple):
    """What the caller knows about the machine."""

    release: t.Mapping[str, t.Any]
    dir: str
    user: str
    group: str
    state_file: str
    mode: str
    scope: str
    machine_id: int | None
    journal_seconds: int


class Facts:
    """A machine's answers. `m` reads the machine, `o` is what the caller told."""

    def __init__(self, machine: Machine, options: Options, sleep: t.Callable[[float], None] = time.sleep) -> None:
        self.m = machine
        self.o = options
        self._sleep = sleep

    def fetch(self) -> None:
        """Ask all slow questions at once, then measure the processor's load while nothing of ours runs."""
        self._ask("client_env")  # which the others want
        slow = ["probe", "docker", "docker_names", "git", "journal", "timers", "ntp_units", "sudoers_flaw", "who"]
        with ThreadPoolExecutor(len(slow)) as pool:
            list(pool.map(self._ask, slow))
        self._ask("cpu_percent")

    def _ask(self, name: str) -> None:
        with suppress(Exception):  # the check that wants it will tell
            getattr(self, name)

    # The account and its client

    @cached_property
    def account(self) -> Account:
        """Return the account that measures; root's rights are never used in its place."""
        return self.m.account(self.o.user) or Account(self.o.user, 65534, 65534, "/nonexistent")

    @cached_property
    def runtime_dir(self) -> str:
        """Return where the account's service manager listens."""
        return f"/run/user/{self.account.uid}"

    def as_client(self, *argv: str) -> Done:
        """Run a command as the client would."""
        return self.m.run(*argv, account=self.account, env=self.client_env)

    def systemctl(self, scope: str, *argv: str) -> Done:
        """Ask the service manager of the machine, or of the account."""
        if scope == "system":
            return self.m.run("systemctl", *argv)
        env = {"XDG_RUNTIME_DIR": self.runtime_dir, "HOME": self.account.home}
        return self.m.run("systemctl", "--user", *argv, account=self.account, env=env)

    @cached_property
    def unit_name(self) -> str:
        """Return the client's unit."""
        return f"{self.o.release['service']['name']}.service"

    @cached_property
    def unit(self) -> dict[str, str]:
        """Return what systemd knows about the client."""
        wanted = "ActiveState,SubState,UnitFileState,FragmentPath,DropInPaths,NeedDaemonReload,MainPID,Environment"
        done = self.systemctl(self.o.scope, "show", self.unit_name, f"--property={wanted}")
        if done.rc:
            return {"flaw": done.last_words}
        return dict(line.split("=", 1) for line in done.out.splitlines() if "=" in line)

    @cached_property
    def client_env(self) -> dict[str, str]:
        """Return the environment of the running client, or what its unit would give it."""
        raw = self.m.content(f"/proc/{self.unit.get('MainPID', '0')}/environ")
        if raw:
            pairs = [pair for pair in raw.decode(errors="replace").split("\0") if "=" in pair]
        else:
            pairs = shlex.split(self.unit.get("Environment", ""))
            pairs += [f"HOME={self.account.home}", f"XDG_RUNTIME_DIR={self.runtime_dir}"]
        return dict(pair.split("=", 1) for pair in pairs) | {"PYTHONDONTWRITEBYTECODE": "1"}

    # The tool and its configuration

    @cached_property
    def python(self) -> str:
        """Return the interpreter of the tool's environment."""
        return f"{self.o.dir}/venv/bin/python3"

    @cached_property
    def probe(self) -> dict[str, t.Any]:
        """Return what the tool's environment says, or `flaw`."""
        done = self.as_client(self.python, "-c", PROBE, f"{self.o.dir}/config.yml")
        try:
            return json.loads(done.out)
        except ValueError:
            return {"flaw": done.last_words, "config_flaw": done.last_words, "db_flaw": done.last_words}

    def config(self, path: str) -> t.Any:
        """Return a value of config.yml by its path, None when it is not there."""
        value: t.Any = self.probe.get("config", {})
        for key in path.split("."):
            value = value.get(key) if isinstance(value, dict) else None
        return value

    @cached_property
    def providers(self) -> dict[str, t.Any]:
        """Return the metric providers that this machine uses, as the tool picks them."""
        of = self.config(self.o.release["config_paths"]["metric_providers"]) or {}
        return {**(of.get("linux") or {}), **(of.get("common") or {})}

    @cached_property
    def git(self) -> Done:
        """Return the checkout's commit and changes as the client sees them, without touching its index."""
        argv = ["git", "--no-optional-locks", "-C", self.o.dir, "status", "--porcelain=v2", "--branch"]
        return self.as_client(*argv)

    # Docker

    @cached_property
    def docker(self) -> dict[str, t.Any] | None:
        """Return what the docker daemon says of itself, None when it cannot be reached."""
        if self.as_client("docker", "version").rc:
            return None
        done = self.as_client("docker", "info", "--format", "{{json .}}")
        try:
            return json.loads(done.out)
        except ValueError:
            return None

    @cached_property
    def docker_names(self) -> Done:
        """Return the containers that run."""
        return self.as_client("docker", "ps", "--format", "{{.Names}}")

    # What runs beside the measurement

    @cached_property
    def cpu_percent(self) -> float:
        """Return the processors' load over 0.1 s, as psutil.cpu_percent has it, which the tool asks.

        It is the least of some looks: what was done here a moment ago, to install or to check, still settles.
        """
        loads, before = [], self.cpu_times
        for _look in range(CPU_LOOKS):
            self._sleep(0.1)
            now = self._cpu_times()
            spent = {name: value - before[name] for name, value in now.items()}
            # The kernel counts guests in user and nice, too.
            total = sum(spent.values()) - spent["guest"] - spent["guest_nice"]
            if total > 0:
                loads.append(round(100 * (total - spent["idle"] - spent["iowait"]) / total, 1))
            if loads and loads[-1] < CPU_PERCENT:
                break
            before = now
        return min(loads, default=0.0)

    @cached_property
    def cpu_times(self) -> dict[str, int]:
        """Return the clock ticks that the processors spent since boot."""
        return self._cpu_times()

    def _cpu_times(self) -> dict[str, int]:
        names = ["user", "nice", "system", "idle", "iowait", "irq", "softirq", "steal", "guest", "guest_nice"]
        line = (self.m.text("/proc/stat") or "cpu").splitlines()[0].split()[1:]
        return dict(zip(names, [*map(int, line), *[0] * len(names)]))

    @cached_property
    def timers(self) -> dict[str, list[str] | str]:
        """Return the timers of the machine and of the account that will fire; a text says why they cannot be read."""
        found: dict[str, list[str] | str] = {}
        for scope in ("system", "user"):
            done = self.systemctl(scope, "list-timers", "--all", "--output=json")
            try:
                found[scope] = [timer["unit"] for timer in json.loads(done.out) if timer["next"]]
            except ValueError:
                found[scope] = done.last_words
        return found

    @cached_property
    def ntp_units(self) -> dict[str, str]:
        """Return the state of each time service that is installed, as timedatectl finds them, without waking it."""
        folders = ["/usr/lib", "/lib", "/usr/local/lib", "/run", "/etc"]
        lists = {
            os.path.basename(path): path
            for folder in folders
            for path in self.m.names(f"{folder}/systemd/ntp-units.d/*.list")
        }
        lines = [line.strip() for path in lists.values() for line in (self.m.text(path) or "").splitlines()]
        units = sorted({line for line in lines if line and not line.startswith("#")})
        if not units:
            return {}
        done = self.m.run("systemctl", "show", "--property=Id,LoadState,ActiveState", *units)
        blocks = [dict(re.findall(r"^(\w+)=(.*)$", block, re.M)) for block in done.out.strip().split("\n\n")]
        return {block["Id"]: block["ActiveState"] for block in blocks if block.get("LoadState") == "loaded"}

    @cached_property
    def sudoers_flaw(self) -> str | None:
        """Return what visudo has against the sudo rules, or None."""
        done = self.m.run("visudo", "--check")
        return done.last_words if done.rc else None

    @cached_property
    def who(self) -> list[str]:
        """Return remote logins as `who` and the tool tell them."""
        lines = [line for line in self.m.run("who").out.splitlines() if "pts/" in line and "(" in line]
        return [line.split()[0] for line in lines if line.rsplit("(", 1)[-1].rstrip(")") not in ("", ":0", "0.0")]

    @cached_property
    def journal(self) -> list[str]:
        """Return who wrote the word that the tool's end check looks for, but for true sleeps."""
        since = f"--since=-{self.o.journal_seconds}s"
        fields = "--output-fields=MESSAGE,SYSLOG_IDENTIFIER,UNIT"
        done = self.m.run("journalctl", "--quiet", "--no-pager", "--grep=suspend", since, "--output=json", fields)
        found = [f"journalctl: {done.last_words}"] if done.err.strip() else []
        for line in done.out.splitlines():
            entry = json.loads(line)
            message, program = str(entry.get("MESSAGE")), entry.get("SYSLOG_IDENTIFIER") or "?"
            sleeps = program in _SLEEP_PROGRAMS or entry.get("UNIT") in _SLEEP_UNITS
            asked = program == "sudo" and message.endswith("COMMAND=/usr/bin/systemctl suspend")
            if "suspend" in message and not sleeps and not asked:
                found.append(f"{program}: {message}")
        return found

    # Ssh

    @cached_property
    def ssh_peers(self) -> list[str]:
        """Return the other ends of ssh connections, without the one that this process came through."""
        text = self.m.text("/etc/ssh/sshd_config") or ""
        ports = {int(port) for port in re.findall(r"^\s*Port\s+(\d+)", text, re.M | re.I)} or {22}
        peers = []
        tables = [self.m.text(f"/proc/net/{name}") or "" for name in ("tcp", "tcp6")]
        for fields in [line.split() for table in tables for line in table.splitlines()]:
            if len(fields) < 10 or fields[3] != "01":  # established
                continue
            local, remote = (int(address.rsplit(":", 1)[1], 16) for address in fields[1:3])
            if (local in ports or remote in ports) and fields[9] not in self._own_sockets:
                peers.append(_address(fields[2]))
        return peers

    @cached_property
    def _own_sockets(self) -> set[str]:
        """Return the sockets of this process and of those that started it, among them its sshd."""
        found: set[str] = set()
        pid = self.m.pid
        while pid > 1:
            folder = self.m.path(f"/proc/{pid}/fd")
            try:
                links = [os.readlink(entry.path) for entry in os.scandir(folder)]
            except OSError:
                links = []
            found |= {link[8:-1] for link in links if link.startswith("socket:[")}
            status = self.m.text(f"/proc/{pid}/stat") or ""
            parent = status.rpartition(")")[2].split()[1:2]  # the name before it may hold anything
            pid = int(parent[0]) if parent else 0
        return found


def _address(text: str) -> str:
    """Return an address of /proc/net/tcp as people write it."""
    digits, _colon, port = text.rpartition(":")
    words = [int(digits[at : at + 8], 16).to_bytes(4, "little") for at in range(0, len(digits), 8)]
    address = ipaddress.ip_address(b"".join(words))
    mapped = getattr(address, "ipv4_mapped", None)
    return f"{mapped or address}:{int(port, 16)}"
