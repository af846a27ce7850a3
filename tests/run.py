# SPDX-License-Identifier: GPL-3.0-or-later
"""Run named checks, print how each went and how long it took, and count what passed.

    tests/run.py check            what is quick and needs no node
    tests/run.py test             everything
    tests/run.py ruff unit        some checks by name
    tests/run.py molecule --scenario cluster --scenario errors

The last line is "N passed, M failed": each unit test, each test on nodes (a task named "Test: …" or "Story: …"), each
command of the documentation that is run, and each other check counts one. What was skipped does not count. Exit status
1 if anything failed. The checks' full output is in .lab/test/logs.
"""

from __future__ import annotations

import argparse
import itertools
import os
import re
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import cores

CHECKOUT = Path(__file__).resolve().parents[1]
BIN = CHECKOUT / ".venv/bin"
LOGS = CHECKOUT / ".lab/test/logs"
LAB = os.environ.get("GREENLAB_LAB") or "test"
ENV = {
    **os.environ,
    "PATH": f"{BIN}:{os.environ['PATH']}",
    "ANSIBLE_CONFIG": str(CHECKOUT / "ansible.cfg"),
    "MOLECULE_PROJECT_DIRECTORY": str(CHECKOUT),
    "MOLECULE_GLOB": "molecule/*/molecule.yml",
}
# Rows of scenarios are told side by side, each on nodes of its own; in a leg, one may use what an earlier one built.
# A leg is told by the ansible-core of .venv, or by another one of tests/cores/ if this computer has a Python for it: so
# the oldest and the newest meet real nodes.
ROWS = [
    [("", ["cluster", "errors", "hold", "lab", "jobs_db"])],
    [("", ["compile_cluster", "compile_cow"]), ("2.21", ["server"]), ("2.18", ["seed"])],
]
APART = {"vm"}  # scenarios that run only when they are named
LIMIT = 75 * 60  # seconds; what has not ended by then hangs
STARTED, STARTED_AT = time.monotonic(), time.time()
TEST_TASKS = ("TASK [Test: ", "TASK [Story: ")
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")


@dataclass
class Count:
    """What passed and what failed."""

    passed: int
    failed: int
    note: str = ""
    why: Sequence[str] = ()  # it failed


def count_check(status: int, _log: str) -> Count:
    return Count(int(status == 0), int(status != 0))


def count_unit(status: int, log: str) -> Count:
    """Read pytest's closing line: "3 failed, 450 passed, 10 skipped, 1 error in 60.0s"."""
    found = {
        word: int(number) for number, word in re.findall(r"(\d+) (passed|failed|skipped|errors?)\b", last(log, " in "))
    }
    failed = found.get("failed", 0) + found.get("error", 0) + found.get("errors", 0)
    skipped = f"{found['skipped']} skipped" if "skipped" in found else ""
    return Count(found.get("passed", 0), failed or int(status != 0), skipped)


def count_coverage(status: int, log: str) -> Count:
    total = re.search(r"^TOTAL.*?([\d.]+%)$", log, re.MULTILINE)
    return Count(int(status == 0), int(status != 0), f"{total[1]} of plugins/" if total else "")


def count_cores(status: int, log: str) -> Count:
    """Count the versions of ansible-core that did it all, and tell how many this computer has no Python for."""
    lines = log.splitlines()
    skipped = sum(line.startswith("skipped: ") for line in lines)
    return Count(
        sum(line.startswith("works: ") for line in lines), int(status != 0), f"{skipped} skipped" if skipped else ""
    )


def count_docs(status: int, log: str) -> Count:
    """Count the commands of the documentation that did what their page says."""
    lines = log.splitlines()
    failed = sum(line.startswith("failed: ") for line in lines)
    skipped = sum(line.startswith("skipped: ") for line in lines)
    return Count(
        sum(line.startswith("passed: ") for line in lines),
        failed or int(status != 0),
        f"{skipped} skipped" if skipped else "",
    )


def count_stories(status: int, log: str) -> Count:
    """Count the stories in molecule's log that began and were told to the end, on every node that was in them."""
    told = 0
    story = ran = False
    for line in log.splitlines():
        if line.startswith(("TASK [", "PLAY [", "PLAY RECAP")):
            is_end = line.startswith("PLAY")
            if line.startswith(TEST_TASKS) or is_end:
                told += story and ran
                story, ran = not is_end, False
        elif line.startswith(("ok: ", "changed: ", "included: ")):
            ran = True
        elif line.startswith(("fatal: ", "failed: ")) and status != 0:
            story = False
    return Count(told, int(status != 0))


def reason(log: str) -> list[str]:
    """Return the lines of a log that say most of what failed, for who reads only the end of everything."""
    lines = log.splitlines()
    if tests := [line for line in lines if line.startswith(("FAILED ", "ERROR ")) and "::" in line]:
        return tests[:40]
    heads = [at for at, line in enumerate(lines) if line.startswith(("TASK [", "PLAY "))]
    sections = [lines[begin:end] for begin, end in itertools.pairwise([*heads, len(lines)])]
    failed = [part for part in sections if any(line.startswith(("fatal: ", "failed: ")) for line in part)]
    # A host that failed leaves the others without it: what fails last may be only what comes of it.
    return [line for part in failed[-3:] for line in part[:60]] or lines[-20:]


def last(log: str, part: str) -> str:
    return next((line for line in reversed(log.splitlines()) if part in line), "")


@dataclass
class Step:
    """A check: its command, and how to count what it did."""

    name: str
    command: list[str]
    count: Callable[[int, str], Count] = count_check
    shows: tuple[str, ...] = ()  # begins of lines to print as they come
    lab: str = LAB  # whose nodes it uses
    core: str = ""  # another ansible-core than that of .venv
    row: int = 0  # on nodes: steps of a row follow each other, rows go side by side

    def run(self) -> None:
        """Run it, print a section, and keep the count."""
        started = time.monotonic()
        programs = cores.programs(self.core) if self.core else None
        log = LOGS / f"{self.name}.log"
        lines = []
        with log.open("w", encoding="utf8") as file:
            process = subprocess.Popen(
                self.command,
                cwd=CHECKOUT,
                env={
                    **ENV,
                    "PATH": f"{programs}:{ENV['PATH']}" if programs else ENV["PATH"],
                    "GREENLAB_LAB": self.lab,
                    "MOLECULE_EPHEMERAL_DIRECTORY": str(CHECKOUT / f".lab/{self.lab}/molecule"),
                },
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                encoding="utf8",
                errors="replace",
            )
            for coloured in process.stdout or ():
                line = _COLOUR.sub("", coloured)
                file.write(line)
                lines.append(line)
                if self.shows and line.startswith(self.shows):
                    print(clock(), line.removeprefix("TASK [").rstrip(" *\n").removesuffix("]"), flush=True)
        status = process.wait()
        done = self.count(status, "".join(lines))
        if done.failed:
            done.why = reason("".join(lines))
        RESULTS[self.name] = done
        word = "FAILED" if done.failed else "ok    "
        line = f"{clock()} {word} {self.name:13} {time.monotonic() - started:6.1f} s"
        figures = f"{done.passed} passed" if done.passed > 1 else ""
        core = f"ansible-core {self.core}" if programs else f"no Python for {self.core} here" if self.core else ""
        section = "  ".join(part for part in (line, figures, core, done.note) if part)
        if done.failed:
            section += f"\n{''.join(lines[-200:])}\n(exit status {status}; all of it: {log.relative_to(CHECKOUT)})\n"
        print(section, flush=True)


RESULTS: dict[str, Count] = {}
DOCS = Step("docs-commands", [sys.executable, "tests/docs_commands.py"], count_docs, lab=f"{LAB}-docs", row=1)
COVERAGE = Step("coverage", ["sh", "-c", "coverage combine --quiet && coverage report"], count_coverage)


def clock() -> str:
    """Return how long all this has been going on, in minutes and seconds."""
    minutes, seconds = divmod(int(time.monotonic() - STARTED), 60)
    return f"{minutes:3}:{seconds:02}"


def give_up() -> None:
    """Show where every step stands that has not come to its end, and stop without waiting for any."""
    for log in sorted(LOGS.glob("*.log")):
        if log.stem not in RESULTS and log.stat().st_mtime > STARTED_AT:
            print(f"{clock()} UNFINISHED {log.stem}\n{''.join(log.read_text().splitlines(keepends=True)[-100:])}")
    print(f"Gave up after {LIMIT // 60} minutes", flush=True)
    os._exit(1)


def tracked(*patterns: str) -> list[str]:
    """Return the files that git knows or would take, of those that match."""
    listed = ["git", "ls-files", "--cached", "--others", "--exclude-standard", "--", *patterns]
    names = subprocess.run(listed, cwd=CHECKOUT, capture_output=True, text=True, check=True).stdout.splitlines()
    return [name for name in names if (CHECKOUT / name).is_file()]


def rows(scenarios: list[str]) -> list[list[tuple[str, list[str]]]]:
    """Return rows of legs: those given in one, told by .venv's ansible-core, else all."""
    there = {path.parent.name for path in CHECKOUT.glob("molecule/*/molecule.yml")} - {"default"} - APART
    if there != {name for row in ROWS for _core, leg in row for name in leg}:
        sys.exit(f"ROWS in tests/run.py and the scenarios in molecule/ differ: {', '.join(sorted(there))}")
    return [[("", scenarios)]] if scenarios else ROWS


def stories(row: int, leg: int, core: str, scenarios: list[str]) -> Step:
    """Return the step that tells the stories of a leg, on the nodes of its row."""
    command = ["molecule", "test", "--no-command-borders", *(f"--scenario-name={name}" for name in scenarios)]
    lab = LAB if row == 1 else f"{LAB}-{row}"
    return Step(f"stories-{row}.{leg}", command, count_stories, shows=TEST_TASKS, lab=lab, core=core, row=row)


def tell(row: list[Step]) -> None:
    for step in row:
        step.run()


def steps(scenarios: list[str]) -> dict[str, list[Step]]:
    """Return all steps, by the group that they belong to; the slow ones first."""
    unit = ["pytest", "--color=no", "-m"]
    return {
        "slow": [
            Step("unit-slow", [*unit, "slow"], count_unit),
            Step("docs-site", [sys.executable, "tests/docs_site.py"]),
        ],
        "sanity": [Step("sanity", ["tests/sanity.sh"])],
        "check": [
            # Two halves, side by side: both wait for PostgreSQL now and then.
            Step("unit-modules", [*unit, "not slow", "tests/unit/plugins/modules"], count_unit),
            Step("unit", [*unit, "not slow", "--ignore=tests/unit/plugins/modules"], count_unit),
            Step("ansible-lint", ["ansible-lint", "--profile=production", "--offline", "--nocolor", "--strict"]),
            Step("docs", ["antsibull-docs", "lint-collection-docs", "--plugin-docs", "."]),
            Step("role-readmes", [sys.executable, "tests/role_readmes.py"]),
            Step("changelog", [sys.executable, "tests/check_changelog.py"]),
            Step("mypy", ["mypy"]),
            Step("yamllint", ["yamllint", "--strict", *tracked("*.yml", "*.yaml")]),
            Step("ruff", ["ruff", "check"]),
            Step("spelling", ["codespell", *tracked()]),
            Step("roles", [sys.executable, "tests/check_roles.py"]),
            Step("private", [sys.executable, "tests/check_private.py"]),
        ],
        "tarball-test": [
            Step("tarball", [sys.executable, "tests/tarball.py"]),
            Step("cores", [sys.executable, "tests/cores.py"], count_cores),
        ],
        # The first lab prepares this computer and makes the image for all.
        "molecule": [
            Step("nodes", ["ansible-playbook", "--inventory=inventories/lab", "tests/lab/create.yml"]),
            *(
                stories(number, leg, *told)
                for number, row in enumerate(rows(scenarios), start=1)
                for leg, told in enumerate(row, start=1)
            ),
            *([] if scenarios else [DOCS]),
        ],
    }


def main() -> None:
    """Run what was asked for: what needs no nodes side by side, then the nodes with the computer for themselves."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="+", metavar="NAME", help="test, a group, or a check")
    parser.add_argument("--scenario", action="append", default=[], help="of molecule; all if not given")
    args = parser.parse_args()
    groups = steps(args.scenario)
    by_name = {step.name: [step] for group in groups.values() for step in group}
    by_name.update(groups)
    by_name["test"] = [step for group in groups.values() for step in group]
    if unknown := set(args.names) - set(by_name):
        parser.error(f"no check {', '.join(sorted(unknown))}; there are {', '.join(by_name)}")
    chosen = {step.name: step for name in args.names for step in by_name[name]}
    all_units = ("unit", "unit-modules", "unit-slow")
    is_covered = set(all_units) <= set(chosen)  # some alone cover too little, and counting doubles their time
    for name in all_units if is_covered else ():
        chosen[name].command[:0] = ["coverage", "run", "-m"]
    LOGS.mkdir(parents=True, exist_ok=True)
    watch = threading.Timer(LIMIT, give_up)
    watch.daemon = True
    watch.start()

    shutil.rmtree(CHECKOUT / ".lab/test/coverage", ignore_errors=True)
    on_nodes = [step for step in groups["molecule"] if step.name in chosen]
    with ThreadPoolExecutor(max_workers=min((os.cpu_count() or 1) + 1, 4)) as pool:
        list(pool.map(Step.run, [step for step in chosen.values() if step not in on_nodes]))
    if is_covered:
        COVERAGE.run()
    if on_nodes:
        print("Telling the stories on nodes, which takes many minutes", flush=True)
        on_nodes[0].run()
        by_row = sorted(on_nodes[1:], key=lambda step: step.row)
        told = [list(row) for _number, row in itertools.groupby(by_row, key=lambda step: step.row)]
        with ThreadPoolExecutor(max_workers=max(len(told), 1)) as pool:
            list(pool.map(tell, told))

    passed = sum(count.passed for count in RESULTS.values())
    failed = sum(count.failed for count in RESULTS.values())
    if failed:
        for name, count in RESULTS.items():
            if count.failed:
                print(f"Failed: {name}", *count.why, sep="\n")
    print(f"Took {time.monotonic() - STARTED:.0f} s")
    print(f"{passed} passed, {failed} failed")
    sys.exit(failed > 0)


if __name__ == "__main__":
    main()
