# SPDX-License-Identifier: GPL-3.0-or-later
"""What a run costs: the same machines by our site.yml, by pyinfra, by a shell script; and the least a look can cost.

    .venv/bin/python tests/benchmarks/converge.py --rounds 5 --sizes 1,4,8
    .venv/bin/python tests/benchmarks/converge.py --report

Each way finds the same machines converged, and then builds new ones; these are compared, file by file, with those that
site.yml built. The ways take turns in each round. New nodes have the Debian packages already, and wheels are at hand,
for site.yml as the environment that is made of them.
All nodes share this computer: compare figures of one run only. What was measured is in .lab/benchmarks/converge.json;
--report prints it again, and --picture draws it.
"""

from __future__ import annotations

import argparse
import base64
import functools
import http.server
import importlib
import json
import os
import re
import shlex
import shutil
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import goals
from lab import ROOT, Cluster, Cost, run_all
from picture import Bar, short, svg

sys.path.insert(0, str(ROOT / "tests/unit"))
importlib.import_module("conftest")  # makes the collection importable
_releases = importlib.import_module("ansible_collections.greenlab.cluster.plugins.plugin_utils._releases")

RIVALS = ROOT / "tests/benchmarks/rivals"
KEPT = ROOT / ".lab/benchmarks"
RESULTS = KEPT / "converge.json"
RELEASE = "v4.1"
DIR, USER, SERVICE = "/opt/green-metrics-tool", "gc", "green-coding-client"
MEMORY = "/var/lib/greenlab-client"
# The operator's services on a node end with the login, so that each run meets a node that nobody is logged in to.
NO_LINGERING = (
    "mkdir -p /etc/systemd/logind.conf.d;"
    " printf '[Login]\\nUserStopDelaySec=0\\n' >/etc/systemd/logind.conf.d/benchmark.conf"
)
WAYS = {
    "limit": "ssh and Python (the limit)",
    "empty": "ansible-playbook without tasks",
    "site": "site.yml",
    "look": "site.yml, looking at each",
    "full": "site.yml, all roles",
    "pyinfra": "pyinfra",
    "shell": "shell script",
    "ours": "environment by site.yml",
    "pip": "environment by pip",
}


class Bench:
    """The nodes, and the ways to build them."""

    def __init__(self, machines: int) -> None:
        KEPT.mkdir(parents=True, exist_ok=True)
        self.cluster = Cluster(KEPT, machines)
        self.folder = ROOT / ".lab" / self.cluster.name
        self.prefix = ""
        self.state: dict[str, Any] = {}
        self.ssh: list[str] = []
        self.written: set[str] = set()
        self.image = f"localhost/greenlab-node:{self.cluster.name}-packages"
        self.served = Wheelhouse(KEPT / "wheelhouse")

    # Preparation

    def prepare(self) -> None:
        """Build the machines by site.yml, creating those that are missing, and remember what they are like."""
        traits = _releases.merged(RELEASE)
        if not {"server", *self.cluster.machines} <= set(self.cluster.pids()):
            self.make_image([*traits["packages"], *traits["provider_packages"]])
            say(f"creating {len(self.cluster.machines)} machines")
            self.reset(self.cluster.machines)
        self.on(self.cluster.machines, f"{NO_LINGERING}; systemctl restart systemd-logind")
        self.prefix = self.address("server").rpartition(".")[0]
        self.cluster.spell_out(self.prefix)
        self.ssh = ["ssh", "-i", str(self.folder / "id_ed25519"), "-o", "ControlPath=none", "-o", "LogLevel=ERROR"]
        self.ssh += ["-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null"]
        say("building them by site.yml")
        cost = self.cluster.cost(self.site(["server", *self.cluster.machines]))
        say(f"took {short(cost.wall)} s")
        self.fill_wheelhouse()
        self.record(traits)

    def address(self, host: str) -> str:
        name = f"greenlab-{self.cluster.name}-{host}"
        form = "{{range .NetworkSettings.Networks}}{{.IPAddress}}{{end}}"
        return subprocess.check_output(["podman", "inspect", "--format", form, name], text=True).strip()

    def make_image(self, packages: list[str]) -> None:
        """Make the image of new machines of a node: with the packages, and without the wait for the end of a login."""
        say("installing the Debian packages for new machines, once")
        machine = self.cluster.machines[0]
        self.cluster.lab("create", limit=["server", machine])
        install = f"apt-get -qq install --no-install-recommends {' '.join(packages)} >/dev/null"
        # Each node gets these at its first start.
        forget = "rm -rf /etc/ssh/ssh_host_* /etc/hosts /home/operator/.ssh; : >/etc/machine-id"
        script = f"export DEBIAN_FRONTEND=noninteractive; apt-get -qq update; {install}"
        self.on([machine], f"set -e; {script}; {NO_LINGERING}; {forget}")
        commit = ["podman", "commit", "--quiet", f"greenlab-{self.cluster.name}-{machine}", self.image]
        run_all([commit], self.cluster.environment)

    def reset(self, machines: list[str]) -> None:
        """Replace machines by new ones, which the jobs DB does not know to be built."""
        names = [f"greenlab-{self.cluster.name}-{machine}" for machine in machines]
        run_all([["podman", "rm", "--force", "--ignore", "--time=0", *names]], self.cluster.environment)
        self.cluster.lab("create", f"--extra-vars=lab_image={self.image}", limit=["server", *machines])
        if self.state:
            self.psql("DELETE FROM greenlab.builds")

    def psql(self, statement: str) -> None:
        """Change the jobs DB."""
        psql = ["runuser", "-u", "postgres", "--", "psql", "-qc", statement, "green-coding"]
        run_all([["podman", "exec", f"greenlab-{self.cluster.name}-server", *psql]], self.cluster.environment)

    def on(self, machines: list[str], script: str) -> None:
        """Change machines, as root, without a login."""
        for machine in machines:
            command = ["podman", "exec", f"greenlab-{self.cluster.name}-{machine}", "sh", "-c", script]
            run_all([command], self.cluster.environment)

    def copy(self, folder: Path, machine: str, there: str) -> None:
        """Copy a folder to a machine."""
        command = ["podman", "cp", str(folder), f"greenlab-{self.cluster.name}-{machine}:{there}"]
        run_all([command], self.cluster.environment)

    def fill_wheelhouse(self) -> None:
        """Get the wheels of what site.yml has installed, for the others."""
        machine, there = self.cluster.machines[0], "/var/tmp/wheelhouse"
        pip = f"{DIR}/venv/bin/python -m pip wheel --quiet --no-deps --require-hashes --no-cache-dir"
        self.on([machine], f"{pip} --wheel-dir {there} --requirement {DIR}/venv/greenlab.lock")
        copy = ["podman", "cp", f"greenlab-{self.cluster.name}-{machine}:{there}/.", str(self.served.folder)]
        run_all([copy], self.cluster.environment)
        self.on([machine], f"rm -r {there}")

    def record(self, traits: dict[str, Any]) -> None:
        """Ask the machines what they are like, and write it down for the rivals, who shall build the same."""
        helpers = [helper["dest"].replace("{helpers}", traits["helpers_dir"]) for helper in traits["helpers"].values()]
        self.looks = {
            "dir": DIR,
            "user": USER,
            "service": f"{SERVICE}.service",
            "packages": [*traits["packages"], *traits["provider_packages"]],
            "paths": [
                f"{DIR}/config.yml",
                "/etc/sudoers.d/green-metrics-tool",
                f"/etc/systemd/user/{SERVICE}.service",
                "/usr/local/lib/greenlab-requeue.py",
                f"/home/{USER}/.gitconfig",
                *helpers,
            ],
        }
        seen = self.look(self.cluster.machines)
        for machine, found in seen.items():
            if found["missing packages"] or found["imports"] != "yes" or "ActiveState=active" not in found["service"]:
                sys.exit(f"{machine} was not built: {found}")
        first = seen[self.cluster.machines[0]]
        # config.yml is a machine's own, and so is what has its hash in it.
        files = [found["files"] for found in seen.values()]
        own = {0} | {n for one in files for n, file in enumerate(one) if file != first["files"][n]}
        requirements = [line for line in first["python"] if re.fullmatch(r"[\w.-]+==[\w.]+", line)]
        self.state = {
            "key": str(self.folder / "id_ed25519"),
            "shared": {
                "dir": DIR,
                "user": USER,
                "group": USER,
                "service": SERVICE,
                "memory": MEMORY,
                "packages": self.looks["packages"],
                "repo": f"git://{self.prefix}.2/gmt.git",
                "version": RELEASE,
                "commit": first["commit"],
                "requirements": requirements,
                "wheels": self.served.url(f"{self.prefix}.1"),
                "wheels_host": f"{self.prefix}.1",
                "makefiles": first["makefiles"],
                "files": [file for n, file in enumerate(first["files"]) if n not in own],
            },
            "machines": {
                machine: {
                    "ssh_hostname": self.machine_address(machine),
                    "own_files": [found["files"][n] for n in sorted(own)],
                }
                for machine, found in seen.items()
            },
        }
        self.seen = seen

    def machine_address(self, machine: str) -> str:
        return f"{self.prefix}.{self.cluster.octets[machine]}"

    def look(self, machines: list[str]) -> dict[str, Any]:
        """Return what machines are like (rivals/look.py)."""
        program = base64.b64encode((RIVALS / "look.py").read_bytes()).decode()
        start = f"import base64; exec(base64.b64decode('{program}'))"
        found = {}
        for machine in machines:
            command = [*self.ssh, f"operator@{self.machine_address(machine)}", f'sudo python3 -c "{start}"']
            text = subprocess.run(
                command, input=json.dumps(self.looks), check=True, stdout=subprocess.PIPE, text=True
            ).stdout
            found[machine] = json.loads(text)
        return found

    def check(self, way: str, machines: list[str]) -> None:
        """End where a way did not lead to the same machines as site.yml."""
        for machine, found in self.look(machines).items():
            for what, wanted in self.seen[machine].items():
                if found[what] != wanted:
                    sys.exit(f"{way} built another {machine}. {what}: {found[what]!r}, not {wanted!r}")

    # The ways. Each returns the commands that are run side by side.

    def site_options(self, limit: list[str], *more: str) -> list[str]:
        archives = str(self.folder / "archives")
        variables = {"site_serial": "100%", "gmt_client_sleep_time": 300, "gmt_archives_dir": archives}
        return [f"--extra-vars={json.dumps(variables)}", *more, f"--limit={','.join(limit)}", "playbooks/site.yml"]

    def site(self, machines: list[str], *more: str) -> list[list[str]]:
        return [self.cluster.command("ansible-playbook", *self.site_options(machines, *more), limit=machines)]

    def empty(self, machines: list[str]) -> list[list[str]]:
        """Return what ansible-playbook costs before it does anything."""
        play = KEPT / "empty.yml"
        play.write_text(json.dumps([{"hosts": "machines", "gather_facts": False}]), encoding="utf8")
        return [self.cluster.command("ansible-playbook", str(play), limit=machines)]

    def limit(self, machines: list[str]) -> list[list[str]]:
        return self.logins(machines, "python3 -c pass")

    def logins(self, machines: list[str], command: str) -> list[list[str]]:
        return [[*self.ssh, f"operator@{self.machine_address(machine)}", command] for machine in machines]

    def pyinfra(self, machines: list[str]) -> list[list[str]]:
        state = KEPT / "state.json"
        wanted = {machine: self.state["machines"][machine] for machine in machines}
        state.write_text(json.dumps({**self.state, "machines": wanted}), encoding="utf8")
        self.cluster.environment["STATE"] = str(state)
        return [[str(KEPT / "venv/bin/pyinfra"), "--chdir", str(RIVALS), "--yes", "inventory.py", "deploy.py"]]

    def shell(self, machines: list[str]) -> list[list[str]]:
        remote = 'd=$(mktemp -d) && tar -xC "$d" && cd "$d" && sudo sh docs_page.sh; s=$?; cd /; rm -rf "$d"; exit $s'
        commands = []
        for machine in machines:
            ssh = shlex.join([*self.ssh, f"operator@{self.machine_address(machine)}", remote])
            commands.append(["sh", "-c", f"tar -cC {shlex.quote(str(self.shell_folder(machine)))} . | {ssh}"])
        return commands

    def shell_folder(self, machine: str) -> Path:
        """Return the folder with what the script is given for a machine, written at the first time."""
        folder = KEPT / "shell" / machine
        if machine in self.written:
            return folder
        self.written.add(machine)
        at = self.state["shared"]
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        shutil.copy(RIVALS / "docs_page.sh", folder)
        rows = []
        for file in [*at["files"], *self.state["machines"][machine]["own_files"]]:
            target = folder / "files" / file["path"].lstrip("/")
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(file["content"], encoding="utf8")
            rows.append(f"{file['mode']} {file['owner']} {file['group']} {file['path']}\n")
        (folder / "list").write_text("".join(rows), encoding="utf8")
        settings = {
            "DIR": at["dir"],
            "USER_NAME": at["user"],
            "REPO": at["repo"],
            "VERSION": at["version"],
            "COMMIT": at["commit"],
            "PACKAGES": " ".join(at["packages"]),
            "REQUIREMENTS": " ".join(at["requirements"]),
            "WHEELS": at["wheels"],
            "WHEELS_HOST": at["wheels_host"],
            "MAKEFILES": " ".join(at["makefiles"]),
            "SERVICE": f"{at['service']}.service",
            "MEMORY": at["memory"],
        }
        text = "".join(f"{name}={shlex.quote(value)}\n" for name, value in settings.items())
        (folder / "settings").write_text(text, encoding="utf8")
        return folder

    def ways(self) -> dict[str, Callable[[list[str]], list[list[str]]]]:
        return {
            "limit": self.limit,
            "site": self.site,
            "look": lambda machines: self.site(machines, "--extra-vars=site_look=true"),
            "empty": self.empty,
            "full": lambda machines: self.site(machines, "--extra-vars=site_full=true"),
            "pyinfra": self.pyinfra,
            "shell": self.shell,
        }

    def changed(self, way: str) -> list[str]:
        """Return the lines in which the last run says that it changed something."""
        text = "\n".join(self.cluster.outputs)
        if way in ("site", "look", "full"):
            return re.findall(r"^\S+ +: ok=\d+ +changed=[1-9].*$", text, re.MULTILINE)
        if way == "pyinfra":
            return re.findall(r"^.*\] .*Success.*$", text, re.MULTILINE)
        return re.findall(r"^changed$", text, re.MULTILINE)


def normalised(name: str) -> str:
    """Return a package's name as package indexes write it."""
    return re.sub(r"[-_.]+", "-", name).lower()


class Wheelhouse:
    """A folder of wheels that pip on the nodes is pointed at, also as an index, and how often each was fetched."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.fetched: list[str] = []
        folder.mkdir(parents=True, exist_ok=True)
        fetched = self.fetched

        class Handler(http.server.SimpleHTTPRequestHandler):
            def do_GET(self) -> None:
                if self.path.endswith(".whl"):
                    fetched.append(Path(self.path).name)
                    self.path = f"/{Path(self.path).name}"
                elif self.path.startswith("/simple/"):
                    return self.list_wheels(self.path.split("/")[2])
                return super().do_GET()

            def list_wheels(self, name: str) -> None:
                """Answer as a package index does: with the wheels of one package."""
                mine = [path.name for path in folder.glob("*.whl") if normalised(path.name.split("-")[0]) == name]
                page = "".join(f'<a href="/{wheel}">{wheel}</a>' for wheel in sorted(mine)).encode()
                self.send_response(200 if mine else 404)
                self.send_header("Content-Type", "text/html")
                self.send_header("Content-Length", str(len(page)))
                self.end_headers()
                self.wfile.write(page)

            def log_message(self, *_arguments: Any) -> None:
                pass

        self.server = http.server.ThreadingHTTPServer(("", 0), functools.partial(Handler, directory=str(folder)))
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def url(self, host: str) -> str:
        return f"http://{host}:{self.server.server_port}/"


class Log:
    """What was measured, kept in a file from the first figure on."""

    def __init__(self, about: dict[str, Any]) -> None:
        self.about = {**about, "cores": os.cpu_count(), "began": time.strftime("%Y-%m-%d %H:%M"), "notes": []}
        self.runs: list[dict[str, Any]] = []

    def add(self, kind: str, way: str, machines: int, number: int, cost: Cost) -> None:
        load = os.getloadavg()[0]
        self.runs.append(
            {"kind": kind, "way": way, "machines": machines, "round": number, "load": load, **cost._asdict()}
        )
        cpu = f"CPU {short(cost.control)} here, {short(cost.nodes)} machines, {short(cost.server)} server"
        where = f"{kind}, {machines} machines, round {number}: {WAYS[way]:26}"
        say(f"{where} {short(cost.wall):>6} s, {cpu}; load {load:.1f}")
        self.keep()

    def note(self, text: str) -> None:
        say(text)
        self.about["notes"].append(text)
        self.keep()

    def keep(self) -> None:
        RESULTS.write_text(json.dumps({"about": self.about, "runs": self.runs}, indent=1), encoding="utf8")


STARTED = time.monotonic()


def say(text: str) -> None:
    """Print a line with the time since the beginning."""
    minutes, seconds = divmod(int(time.monotonic() - STARTED), 60)
    print(f"{minutes:3}:{seconds:02} {text}", flush=True)


def converged(bench: Bench, log: Log, options: argparse.Namespace, late: Callable[[], bool]) -> None:
    """Let each way find nothing to do."""
    ways = bench.ways()
    for way in (way for way in options.ways if way in ("pyinfra", "shell")):
        say(f"once without measuring: {WAYS[way]}")  # each leaves its own marks, such as when it last read apt's lists
        bench.cluster.cost(ways[way](bench.cluster.machines[: max(options.sizes)]))
    bench.check("one of them", bench.cluster.machines[: max(options.sizes)])
    for size in options.sizes:
        machines = bench.cluster.machines[:size]
        for number in range(1, options.rounds + 1):
            if late():
                say(f"the time is up: converged, {size} machines, ends before round {number}")
                return
            for way in turns(options.ways, number):
                if way == "full" and (size > options.full_size or number > options.full_rounds):
                    continue
                cost = bench.cluster.cost(ways[way](machines), cold=True, machines=machines)
                if changes := bench.changed(way):
                    sys.exit(f"{way} found something to change: {changes}")
                log.add("converged", way, size, number, cost)


def first(bench: Bench, log: Log, options: argparse.Namespace, late: Callable[[], bool]) -> None:
    """Let each way build new machines, and see that they are the same."""
    ways = bench.ways()
    for size in options.first_sizes:
        machines = bench.cluster.machines[:size]
        for number in range(1, options.first_rounds + 1):
            for way in turns([way for way in options.ways if way in ("site", "pyinfra", "shell")], number):
                if late():
                    say(f"the time is up: first apply, {size} machines, ends in round {number}")
                    return
                bench.reset(machines)
                cost = bench.cluster.cost(ways[way](machines), cold=True, machines=machines)
                bench.check(way, machines)
                log.add("first", way, size, number, cost)


def turns(ways: list[str], number: int) -> list[str]:
    """Return the ways in another order for each round, so that none always follows the same one."""
    begin = number % len(ways) if ways else 0
    return [*ways[begin:], *ways[:begin]]


def median(runs: list[dict[str, Any]], kind: str, way: str, machines: int) -> Cost | None:
    """Return the medians of what one way took."""
    found = [
        [run[name] for name in Cost._fields]
        for run in runs
        if (run["kind"], run["way"], run["machines"]) == (kind, way, machines)
    ]
    return Cost(*map(statistics.median, zip(*found, strict=True))) if found else None


KINDS = {"converged": "{}, nothing to do", "first": "{}, new"}


def report(kept: dict[str, Any], picture: Path | None) -> None:
    """Print the table, and draw the plot."""
    runs, about = kept["runs"], kept["about"]
    loads = [run["load"] for run in runs]
    print(
        f"{about['began']}, {about['cores']} cores, load {min(loads):.1f} to {max(loads):.1f}; ansible-core"
        f" {about['ansible']}, pyinfra {about['pyinfra']}. Medians; seconds, CPU seconds, MB."
    )
    bars = []
    for kind, title in KINDS.items():
        for size in sorted({run["machines"] for run in runs if run["kind"] == kind}):
            name = title.format(f"{size} machine{'s' if size > 1 else ''}")
            print(f"\n{name}\n")
            print("| way | rounds | wall | CPU here | CPU machines | CPU server | memory here | wall ÷ limit |")
            print("|---|---|---|---|---|---|---|---|")
            limit = median(runs, "converged", "limit", size)
            for way, words in WAYS.items():
                cost = median(runs, kind, way, size)
                if cost is None:
                    continue
                rounds = sum((run["kind"], run["way"], run["machines"]) == (kind, way, size) for run in runs)
                ratio = f"{cost.wall / limit.wall:.1f}" if limit else ""
                cells = [words, rounds, *(short(value) for value in cost[:4]), f"{cost.memory:.0f}", ratio]
                print(f"| {' | '.join(map(str, cells))} |")
                bars.append(Bar(name, words, cost.wall, cost.nodes))
    goals.table(kept)
    if picture:
        picture.write_text(svg("What a run costs", bars), encoding="utf8")
        print(f"\nDrawn in {picture}")


def make_environment() -> str:
    """Install pyinfra in an environment of its own, and return its version."""
    wanted = (RIVALS / "requirements.txt").read_text(encoding="utf8")
    stamp = KEPT / "venv/requirements.txt"
    if not stamp.exists() or stamp.read_text(encoding="utf8") != wanted:
        say("installing pyinfra")
        pip = [str(KEPT / "venv/bin/python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        for command in (
            [sys.executable, "-m", "venv", "--clear", str(KEPT / "venv")],
            [*pip, "--requirement", str(RIVALS / "requirements.txt")],
        ):
            run_all([command], dict(os.environ))
        stamp.write_text(wanted, encoding="utf8")
    return re.search(r"^pyinfra==(\S+)", wanted, re.MULTILINE)[1]


def main() -> None:
    """Measure and print, or print what was measured before."""

    def numbers(text: str) -> list[int]:
        return [int(part) for part in text.split(",") if part]

    parser = argparse.ArgumentParser(description="Measure what a run costs.")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--sizes", type=numbers, default=[1, 4, 8], help="numbers of machines")
    parser.add_argument("--first-rounds", type=int, help="of building new machines; --rounds if not given")
    parser.add_argument("--first-sizes", type=numbers, default=[1, 8])
    parser.add_argument("--full-size", type=int, default=8, help="not all roles for more machines than this")
    parser.add_argument("--full-rounds", type=int, help="of all roles, which take minutes; --rounds if not given")
    parser.add_argument("--ways", type=lambda text: text.split(","), default=list(WAYS)[:7])
    parser.add_argument("--one-rounds", type=int, help="of one machine in a cluster of 1,000 and of 3")
    parser.add_argument("--wheels-rounds", type=int, help="of new Python environments on four machines")
    parser.add_argument("--minutes", type=float, default=120, help="begin nothing new after this time")
    parser.add_argument("--keep", action="store_true", help="leave the nodes, which the next time takes as they are")
    parser.add_argument("--picture", type=Path, help="where to draw the plot")
    parser.add_argument("--report", action="store_true", help="measure nothing, print what was measured last")
    options = parser.parse_args()
    for name in ("first_rounds", "full_rounds", "one_rounds", "wheels_rounds"):
        if getattr(options, name) is None:
            setattr(options, name, options.rounds)
    if not options.report:
        measure(options)
    report(json.loads(RESULTS.read_text(encoding="utf8")), options.picture)


def measure(options: argparse.Namespace) -> None:
    """Measure all that was asked for."""
    import ansible

    pyinfra = make_environment()
    bench = Bench(max([*options.sizes, *options.first_sizes]))

    def late() -> bool:
        return time.monotonic() - STARTED > options.minutes * 60

    bench.prepare()
    log = Log({"ansible": ansible.release.__version__, "pyinfra": pyinfra, "release": RELEASE})
    converged(bench, log, options, late)
    goals.one(bench, log, options.one_rounds, late)
    goals.wheels(bench, log, options.wheels_rounds, bench.cluster.machines[:4], late)
    first(bench, log, options, late)
    if not options.keep:
        bench.cluster.lab("destroy")
        run_all([["podman", "rmi", "--force", bench.image]], bench.cluster.environment)


if __name__ == "__main__":
    main()
