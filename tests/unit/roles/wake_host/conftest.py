# SPDX-License-Identifier: GPL-3.0-or-later
"""The wake host's program, a world that it cannot hurt, and servers that it may ask."""

from __future__ import annotations

import io
import json
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

PROGRAM = Path(__file__).resolve().parents[4] / "roles/wake_host/files/program"
sys.path.insert(0, str(PROGRAM))

from greenlab_wake import alarm, control, hand, jobs, memory  # noqa: E402

MACHINE = {
    "id": 1, "name": "machine1", "description": "Machine 1", "mac": "02:00:00:00:00:01", "address": "192.0.2.1",
    "driver": "magic_packet", "driver_options": {}, "cycle_driver": "", "cycle_options": {}, "windows": [],
    "excluded": False,
}
SETTINGS = {
    "timeout": 300, "retries": [0, 10, 30], "retry_after": 3600, "max_concurrent": 4, "gap": 0, "min_sleep": 0,
    "max_wakes_per_day": 0, "busy_timeout": 86400, "stuck_after": 1800, "confirm": ["row", "tcp", "ping"],
    "tcp_port": 22, "watch": True,
    "alarm": {"repeat": 21600, "command": [], "mail": {"to": []}},
}


def make_machine(number: int = 1, **more: Any) -> dict[str, Any]:
    own = {"id": number, "name": f"machine{number}", "mac": f"02:00:00:00:00:{number:02x}"}
    return {**MACHINE, **own, "address": f"192.0.2.{number}", **more}


class FakeWorld(control.World):
    """Time passes only when the program sleeps. `after` says what happens when: seconds since the start, what."""

    def __init__(self, config: dict[str, Any]) -> None:
        super().__init__(config)
        self.clock = 1_700_000_000.0
        self.slept = 0.0
        self.queue: Any = {}
        self.up: set[str] = set()
        self.done: list[tuple[float, str, str, str]] = []
        self.asked: list[tuple[str, str]] = []
        self.after: list[tuple[float, Any]] = []
        self.broken: list[Exception] = []
        self.others_wait = False

    def now(self) -> float:
        return self.clock

    def monotonic(self) -> float:
        return self.slept

    def sleep(self, seconds: float) -> None:
        self.clock += seconds
        self.slept += seconds
        for event in [event for event in self.after if event[0] <= self.clock]:
            self.after.remove(event)
            event[1]()

    def in_seconds(self, seconds: float, what: Any) -> None:
        self.after.append((self.clock + seconds, what))

    def is_to_hand_over(self) -> bool:
        return self.others_wait

    def ask(self) -> jobs.Answers:
        if isinstance(self.queue, Exception):
            raise self.queue
        return dict(self.queue)

    def answers(self, machine: dict[str, Any], by: str) -> bool:
        self.asked.append((machine["name"], by))
        return machine["name"] in self.up or f"{machine['name']} {by}" in self.up

    def act(self, machine: dict[str, Any], name: str, verb: str, options: dict[str, Any]) -> None:
        self.done.append((self.clock, machine["name"], name, verb))
        for error in self.broken:
            raise error


class Cluster:
    """Machines of a wake host, from run to run: the state file is written and read between them."""

    def __init__(self, folder: Path, machines: list[dict[str, Any]], **settings: Any) -> None:
        files = {"state_file": str(folder / "state.json"), "lock_file": str(folder / "lock")}
        self.config = {**SETTINGS, **files, "machines": machines, **settings}
        self.folder = folder
        self.world = FakeWorld(self.config)
        self.messages: list[str] = []

    def run(self, lasts: int = 60, **answers: jobs.Answer) -> list[str]:
        """Do one run and return its events as "machine1 waking"; time passes until the next minute afterwards."""
        if answers:
            self.world.queue = {int(name.removeprefix("machine")): answer for name, answer in answers.items()}
        started = self.world.clock
        state = memory.Memory(str(self.folder / "state.json"), self.world.now())
        before = len(self.events())
        alarms = alarm.Alarms(self.config["alarm"], state, self.log())
        self.known = control.Run(self.config, self.world, state, self.log(), alarms)()
        self.messages += alarms.messages
        state.save()
        self.world.clock = max(self.world.clock, started + lasts)
        return self.names(before)

    def wake(self, number: int = 1, timeout: int | None = None, **options: Any) -> dict[str, Any]:
        """Wake a machine by hand; what that does in the world needs no run."""
        machine = next(m for m in self.config["machines"] if m["id"] == number)
        return hand.Hand(self.config, self.world, machine, self.log(), timeout)(**options)

    def log(self) -> memory.Log:
        return memory.Log(str(self.folder / "events.jsonl"), self.world.now, io.StringIO())

    def names(self, since: int = 0) -> list[str]:
        return [f"{e.get('machine', '')} {e['event']}".strip() for e in self.events()[since:]]

    def runs(self, times: int) -> list[str]:
        return [event for _time in range(times) for event in self.run()]

    def events(self) -> list[dict[str, Any]]:
        file = self.folder / "events.jsonl"
        return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []

    def state(self, number: int = 1) -> str:
        return self.record(number)["state"]

    def record(self, number: int = 1) -> dict[str, Any]:
        return json.loads((self.folder / "state.json").read_text())["machines"][str(number)]

    def sent(self, name: str = "machine1") -> list[float]:
        """Return when a machine was asked to wake, in seconds since the first time."""
        times = [at for at, who, _driver, verb in self.world.done if who == name and verb == "on"]
        return [at - times[0] for at in times]


@pytest.fixture
def machine():
    return make_machine


@pytest.fixture
def cluster(tmp_path):
    def make(*machines: dict[str, Any], **settings: Any) -> Cluster:
        return Cluster(tmp_path, list(machines) or [make_machine()], **settings)

    return make


class Server:
    """An HTTP server that answers what it is told to, and remembers what it was asked."""

    def __init__(self) -> None:
        self.status, self.body = 200, b""
        self.requests: list[tuple[str, str, dict[str, str], str]] = []
        self.delay = threading.Event()
        self.slow = 0.0
        outer = self

        class Handler(BaseHTTPRequestHandler):
            def answer(self) -> None:
                length = int(self.headers.get("Content-Length") or 0)
                headers = {key.lower(): value for key, value in self.headers.items()}
                outer.requests.append((self.command, self.path, headers, self.rfile.read(length).decode()))
                outer.delay.wait(outer.slow)
                self.send_response(outer.status)
                self.end_headers()
                self.wfile.write(outer.body)

            do_GET = do_POST = answer

            def log_message(self, *_args: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, args=[0.01], daemon=True).start()

    def rows(self, *rows: list[Any]) -> None:
        self.status, self.body = 200, json.dumps({"success": True, "data": rows}).encode()


@pytest.fixture
def server():
    server = Server()
    yield server
    server.delay.set()
    server.server.shutdown()
    server.server.server_close()
