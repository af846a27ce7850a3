# Copyright (c) 2026, the greenlab.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The command line. Exit status: 0; 1 when the queue could not be read, or the machine did not wake; 2 when the
configuration is wrong."""

from __future__ import annotations

import json
import sys
import time
import typing as t
from pathlib import Path

from .alarm import Alarms
from .control import Run, World, alone
from .drivers import DRIVERS
from .memory import Log, Memory, metrics, write_atomically

CONFIG = "/etc/greenlab-wake/config.json"
UNKNOWN, ASLEEP, WRONG = 1, 1, 2


class DryWorld(World):
    """Looks, but does nothing and does not wait."""

    def act(self, machine: t.Any, name: str, verb: str, options: t.Any) -> None:
        """Do nothing; the log says what would be done."""

    def is_to_hand_over(self) -> bool:
        """Stay, as nobody can wait for one who has no lock."""
        return False


def load(path: str) -> dict[str, t.Any]:
    """Read the configuration, which the role writes and checks."""
    config: dict[str, t.Any] = json.loads(Path(path).read_text(encoding="utf8"))
    for machine in config["machines"]:
        for driver in filter(None, (machine["driver"], machine["cycle_driver"])):
            if driver not in DRIVERS:
                raise ValueError(f"machine {machine['name']}: no driver {driver!r}; there are {', '.join(DRIVERS)}")
    return config


def find(config: dict[str, t.Any], name: str) -> dict[str, t.Any]:
    """Return a machine by its name or id."""
    for machine in config["machines"]:
        if name in (machine["name"], str(machine["id"])):
            return t.cast("dict[str, t.Any]", machine)
    names = ", ".join(machine["name"] for machine in config["machines"])
    raise ValueError(f"no machine {name!r}; there are {names}")


def positive(text: str) -> int:
    """Read a number of seconds."""
    number = int(text)
    if number < 1:
        raise ValueError(f"{text} is less than 1")
    return number


def parse(argv: list[str]) -> t.Any:
    """Read the command line."""
    import argparse  # noqa: PLC0415 the timer gives no arguments, and saves its memory

    parser = argparse.ArgumentParser(prog="greenlab-wake", description="Wake machines that have a job waiting.")
    parser.add_argument("--config", default=CONFIG, metavar="FILE", help=f"configuration ({CONFIG})")
    parser.add_argument("--dry-run", action="store_true", help="say what would be done, do and note nothing")
    parser.add_argument("--explain", metavar="MACHINE", help="say why a machine would or would not be woken now")
    parser.add_argument("--listen", metavar="PROGRAM", help="wait for new jobs in the jobs DB, start PROGRAM for each")
    parser.add_argument("--take-over", action="store_true", help="do not leave it to a run that is going on")
    parser.add_argument("--wake", metavar="MACHINE", help="wake this machine now, whatever windows and holds say")
    parser.add_argument("--timeout", type=positive, metavar="SECONDS", help="how long to try (as configured)")
    parser.add_argument("--force", action="store_true", help="wake it although its client was last seen at work")
    return parser.parse_args(argv)


def run(config: dict[str, t.Any], take_over: bool) -> int:
    """Do one run, unless another one is at it that is not to be taken over."""
    world = World(config)
    with alone(config, world, Log(config["log_file"], world.now), take_over) as one:
        if one is None:
            print("Another run is going on.")
            return 0
        known = one()
        if config["metrics_file"]:
            text = metrics(one.memory, config["machines"], known, world.now())
            write_atomically(config["metrics_file"], text, 0o644)
    return 0 if known else UNKNOWN


def wake(config: dict[str, t.Any], options: t.Any) -> int:
    """Wake a machine by hand; say what came of it as one line of JSON, all else on standard error."""
    from .hand import Hand  # noqa: PLC0415 the timer's runs need it not

    world = World(config)
    machine = find(config, options.wake)
    hand = Hand(config, world, machine, Log(config["log_file"], world.now, sys.stderr), options.timeout)
    result = hand(force=options.force, dry_run=options.dry_run)
    print(json.dumps(result))
    return 0 if result["awake"] or options.dry_run else ASLEEP


def listen(config: dict[str, t.Any], program: str) -> int:
    """Wait for new jobs for ever."""
    try:
        from . import listen as listener  # noqa: PLC0415 the timer's runs need it not

        listener.listen(config["listen"], program)
    except ImportError as error:
        raise OSError(f"install the package python3-psycopg2: {error}") from error


def look(config: dict[str, t.Any], explain: str) -> int:
    """Say what a run would do."""
    config["retries"] = [-60]  # nothing is worth waiting for
    world = DryWorld(config)
    memory = Memory(config["state_file"], world.now())
    log = Log("", world.now)
    looked = Run(config, world, memory, log, Alarms(config["alarm"], memory, log))
    if explain:
        print("\n".join(looked.explain(find(config, explain))))
        return 0
    known = looked()
    print("Nothing was done.")
    return 0 if known else UNKNOWN


def main(argv: list[str]) -> int:
    """Start the program."""
    options = parse(argv) if argv else None
    try:
        config = load(options.config if options else CONFIG)
        if options and options.listen:
            return listen(config, options.listen)
        if options and options.wake:
            return wake(config, options)
        if options and (options.dry_run or options.explain):
            return look(config, options.explain)
        return run(config, take_over=bool(options and options.take_over))
    except (OSError, ValueError, KeyError) as error:
        print(f"{time.strftime('%H:%M:%S')} greenlab-wake: {type(error).__name__}: {error}", file=sys.stderr)
        return WRONG
