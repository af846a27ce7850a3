# SPDX-License-Identifier: GPL-3.0-or-later
"""The status page as a browser lays it out: on a desk, on a phone, in the dark, and with a thousand machines.

The page lets no script run, so a frame shows it unchanged, and the script of the page around it measures.
"""

from __future__ import annotations

import html
import json
import os
import random
import re
import resource
import shutil
import subprocess
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.greenlab.cluster.plugins.filter.status_page import status_page
from ansible_collections.greenlab.cluster.plugins.modules import gmt_history_info, gmt_machine_info

pytestmark = pytest.mark.slow  # each test starts a browser

PROGRAMS = ("chromium", "chromium-headless-shell", "google-chrome", "chrome")
SINCE, UNTIL = "2026-11-15T03:00:00+00:00", "2026-11-22T03:00:00+00:00"
DAY = 86400
HOSTILE = "</title></style><script>top.hacked=1</script><img src=x onerror=top.hacked=1>'\"&lt;"

# What is asked of the page: texts and places of elements, in pixels.
MEASURE = """
function place(element) {
  const r = element.getBoundingClientRect();
  const style = element.ownerDocument.defaultView.getComputedStyle(element);
  return {text: (element.innerText || element.textContent).trim(), left: r.left, right: r.right, top: r.top,
          bottom: r.bottom, width: r.width, shown: style.display !== 'none', stroke: style.stroke, class:
          element.getAttribute('class')};
}
function measure(page) {
  const all = selector => [...page.querySelectorAll(selector)].map(place);
  const root = page.documentElement;
  const closed = {open: all('details[open]').length, scrollWidth: root.scrollWidth, height: root.scrollHeight};
  page.querySelectorAll('details').forEach(each => each.open = true);
  const bar = page.querySelector('#m1 .bar svg');
  const drawn = [...bar?.querySelectorAll('g') ?? []].find(each => getComputedStyle(each).display !== 'none');
  const found = {
    text: page.body.innerText, title: page.title, background: getComputedStyle(page.body).backgroundColor,
    width: root.clientWidth, scrollWidth: root.scrollWidth, height: root.scrollHeight, closed,
    cards: all('#summary li'), rows: all('.list tbody tr'), attention: all('#attention tbody th'),
    bar: bar && place(bar), parts: [...drawn?.querySelectorAll('path') ?? []].map(place),
    cells: all('#m1 > *'), cellsOfAll: all('.list tbody tr > *'),
    timeLabels: [...page.querySelector('#machines .axis')?.children ?? []].map(place),
    energyLabels: all('#energy .axis span'), scale: all('.scale span'),
    plot: all('.bars svg')[0], energy: all('.bars rect'), values: all('.bars span'),
    fetched: page.defaultView.performance.getEntriesByType('resource').length, hacked: top.hacked ?? null,
  };
  const rows = page.querySelectorAll('#machines .list tr');
  const row = rows[Math.min(3, rows.length - 1)];
  page.defaultView.scrollTo(0, page.defaultView.scrollY + (row?.getBoundingClientRect().top ?? 0));
  found.stuck = all('#machines .list thead .bar')[0];
  return found;
}
"""

SHOW = """
onload = () => {
  const ready = performance.now();
  const found = {...measure(frames[0].document), ready, measured: performance.now()};
  const pre = document.createElement('pre');
  pre.id = 'found';
  pre.textContent = JSON.stringify(found);
  if (!location.hash) document.body.replaceChildren(pre);
}
"""


@pytest.fixture(scope="session")
def browser() -> str:
    found = next((path for path in map(shutil.which, PROGRAMS) if path), None)
    if found is None and "ID=debian" not in Path("/etc/os-release").read_text(encoding="utf8").split():
        pytest.skip(f"none of {', '.join(PROGRAMS)}, and no Debian to take it from")
    assert found, "no browser; `make tools` installs chromium-headless-shell"
    return found


@pytest.fixture
def look(browser: str, tmp_path: Path) -> Callable[..., dict[str, Any]]:
    """Return what MEASURE says of a page, in a window of that width; OUTPUT_DIR keeps a picture of it."""

    def run(text: str, width: int = 1280, dark: bool = False) -> dict[str, Any]:
        around = tmp_path / f"{width}{'-dark' if dark else ''}.html"
        around.write_text(
            f"<!DOCTYPE html><meta charset=utf-8><body style='margin:0'><script>{MEASURE}</script>"
            f"<iframe style='border:0;display:block' width={width} height=900 srcdoc=\"{html.escape(text)}\"></iframe>"
            f"<script>{SHOW}</script>",
            encoding="utf8",
        )
        command = [browser, "--headless", "--no-sandbox", "--disable-gpu", "--hide-scrollbars"]
        command += ["--disable-dev-shm-usage"]  # which is small in a container
        command += [f"--user-data-dir={tmp_path / 'profile'}", f"--window-size={max(width, 500)},900"]
        command += [f"--blink-settings=preferredColorScheme={0 if dark else 1}"]
        if pictures := os.environ.get("OUTPUT_DIR"):
            Path(pictures).mkdir(parents=True, exist_ok=True)
            picture = [f"--screenshot={Path(pictures).resolve() / around.stem}.png", f"{around.as_uri()}#picture"]
            subprocess.run([*command, *picture], check=True, capture_output=True, timeout=60)
        done = subprocess.run(
            [*command, "--dump-dom", around.as_uri()], check=True, capture_output=True, encoding="utf8", timeout=60
        )
        _before, found, rest = done.stdout.partition('<pre id="found">')
        assert found, done.stdout[:2000] + done.stderr
        return json.loads(html.unescape(rest.partition("</pre>")[0]))

    return run


def example(count: int = 12, changes: int = 100, name: str = "Fujitsu Esprimo P956") -> str:
    """Return a page of made-up machines, of which the first does the same as ever."""
    dice = random.Random(4)
    hosts, rows, histories = {}, [], []
    for number in range(1, count + 1):
        hosts[f"machine{number}"] = {
            "gmt_machine_id": number,
            "gmt_machine_description": f"{name} {number}",
            "gmt_release": "v4.1",
            "gmt_shutdown_on_job_no": "suspend",
            "status_idle_watts": 18,
            "status_sleep_watts": 2,
        }
        rows.append({
            "id": number,
            "description": f"{name} {number}",
            "last_status": "job_no",
            "jobs_waiting": 1,
            "jobs_running": 0,
            "running_job": {"id": 4700 + number, "name": f"Website {name}"},
            "gmt_hash": "86d4733" + "0" * 33,
            "held_by": "ada@office" if number == 3 else None,
            "held_for": name if number == 3 else None,
            "held_since": UNTIL if number == 3 else None,
        })
        times = sorted(dice.sample(range(7 * DAY), changes))
        states = ["idle", "measuring", "transient"] * changes
        text = " ".join(f"{at}:{state}" for at, state in zip(times, states))
        histories.append({"id": number, "changes": text})
    # A day awake, a day measuring, half an hour of failure, asleep.
    if histories:
        histories[0]["changes"] = f"0:transient {DAY}:measuring {2 * DAY}:failed {2 * DAY + 1800}:idle"
    history = {"since": SINCE, "until": UNTIL, "machines": histories, "holds": []}
    return status_page(list(hosts), hosts, rows, history, title=f"Lab {name}")


def assert_apart(places: list[dict[str, Any]]) -> None:
    shown = [place for place in places if place["shown"]]
    for left, right in zip(shown, shown[1:]):
        assert left["right"] <= right["left"], (left, right)


def near(wanted: float) -> Any:
    return pytest.approx(wanted, abs=1.5)


@pytest.mark.parametrize("width", [1280, 360])
def test_axes_bars_and_texts_are_where_they_belong(look: Callable[..., dict[str, Any]], width: int) -> None:
    found = look(example(), width)
    assert found["scrollWidth"] <= found["width"] == width

    # The axis: each midnight is where it is in time, no label touches another or the edge.
    shown = [label for label in found["timeLabels"] if label["shown"]]
    days = ["Mon\n16 Nov", "Tue\n17 Nov", "Wed\n18 Nov", "Thu\n19 Nov", "Fri\n20 Nov", "Sat\n21 Nov"]
    assert [label["text"] for label in shown] == days[:: 1 if width > 640 else 2]
    strip = found["bar"]
    for label in shown:
        hours = 21 + 24 * days.index(label["text"])
        assert label["left"] == near(strip["left"] + strip["width"] * hours / 168)
    assert_apart(found["timeLabels"])
    assert_apart(found["energyLabels"])
    assert all(label["right"] <= width for label in found["timeLabels"] + found["energyLabels"] if label["shown"])
    assert found["stuck"]["top"] == near(0)  # stays in sight

    # The first machine's bar: each state where it was in time.
    parts = {part["class"]: part for part in found["parts"]}
    assert set(parts) == {"preparing", "measuring", "failed", "asleep"}
    assert parts["measuring"]["left"] == near(strip["left"] + strip["width"] / 7)
    assert parts["measuring"]["right"] == near(strip["left"] + strip["width"] * 2 / 7)
    assert parts["asleep"]["right"] == near(strip["right"])
    assert parts["failed"]["width"] >= 2  # half an hour of a week
    strokes = {name: part["stroke"] for name, part in parts.items()}
    assert strokes["measuring"] == strokes["preparing"] == "rgb(0, 114, 178)"  # told apart by height
    assert len(set(strokes.values())) == 3

    # Rows: each machine once, those that need attention first, as wide as the page, one below the other.
    assert [cell["text"].split()[0] for cell in found["attention"]] == ["machine3"]
    assert len(found["rows"]) == 12
    assert all(upper["bottom"] <= lower["top"] + 1 for upper, lower in zip(found["rows"], found["rows"][1:]))
    others = found["rows"][len(found["attention"]) :]
    assert max(row["bottom"] - row["top"] for row in others) < (60 if width > 640 else 120)
    assert strip["width"] > 300
    for cell in found["cellsOfAll"]:
        assert -1 <= cell["left"] <= cell["right"] <= width + 1, cell
    assert [cell["text"].split("\n") for cell in found["cells"]] == [
        ["machine1 Fujitsu Esprimo P956 1"],
        ["asleep since 17 Nov 03:31" if width > 640 else "since 17 Nov 03:31"],  # below the group's heading
        ["asleep\N{NO-BREAK SPACE}71\N{NO-BREAK SPACE}% · preparing\N{NO-BREAK SPACE}14\N{NO-BREAK SPACE}% ·"
         " measuring\N{NO-BREAK SPACE}14\N{NO-BREAK SPACE}% · failed\N{NO-BREAK SPACE}<1\N{NO-BREAK SPACE}%"],
        ["1"],
        ["4701 Website Fujitsu Esprimo P956"],
        ["v4.1 86d4733"],
        [""],
    ]

    # The energy plot: a mark of the scale is as high as its value, and the values are readable.
    plot = found["plot"]
    height = plot["bottom"] - plot["top"] - 1
    top = float(found["scale"][-1]["text"].removesuffix(" kWh"))
    for mark in found["scale"]:
        value = float(mark["text"].removesuffix(" kWh"))
        middle = (mark["top"] + mark["bottom"]) / 2
        assert middle == pytest.approx(plot["bottom"] - 1 - height * value / top, abs=3)
        assert mark["left"] >= 0
        assert mark["right"] <= plot["left"]
    assert_apart(found["values"])
    for value in found["values"]:
        assert value["bottom"] - value["top"] < 20  # one line
        middle = (value["left"] + value["right"]) / 2
        column = next(rect for rect in found["energy"] if rect["left"] <= middle <= rect["right"])
        assert value["bottom"] == pytest.approx(column["top"], abs=3)
        assert float(value["text"]) / top == pytest.approx((plot["bottom"] - 1 - column["top"]) / height, abs=0.06)

    assert found["cards"][-1]["text"].split() == ["12", "jobs", "waiting"]
    assert found["background"] == "rgb(255, 255, 255)"


def test_dark(look: Callable[..., dict[str, Any]]) -> None:
    found = look(example(), dark=True)
    assert found["background"] == "rgb(13, 17, 23)"
    measuring = next(part for part in found["parts"] if part["class"] == "measuring")
    assert measuring["stroke"] == "rgb(86, 180, 233)"


@pytest.mark.parametrize("width", [1280, 360])
def test_hostile_texts_are_shown_and_do_nothing(look: Callable[..., dict[str, Any]], width: int) -> None:
    found = look(example(name=HOSTILE), width)
    assert found["hacked"] is None
    assert found["fetched"] == 0
    assert found["title"] == f"Lab {HOSTILE}"
    assert found["text"].count(HOSTILE) > 20
    assert found["scrollWidth"] <= found["width"]
    assert found["closed"]["scrollWidth"] <= found["width"]
    assert found["background"] == "rgb(255, 255, 255)"


def test_long_names_do_not_widen_the_page(look: Callable[..., dict[str, Any]]) -> None:
    found = look(example(3, name="Grünes_Labor_" * 30), 360)
    assert found["scrollWidth"] <= found["width"]


@pytest.mark.parametrize("width", [1280, 390])
def test_three_hundred_machines_fit(look: Callable[..., dict[str, Any]], width: int) -> None:
    """Nothing is wider than the screen, and a machine takes no more than a few lines of it."""
    found = look(example(300), width)
    assert found["scrollWidth"] <= found["width"] == width
    assert found["closed"]["scrollWidth"] <= width
    assert len(found["rows"]) == 300
    assert found["closed"]["height"] < 3000  # they are all in one group, which is closed
    assert found["height"] < (18000 if width > 640 else 36000)  # as a reader opens it


def test_paper_shows_what_is_closed_on_the_screen(browser: str, tmp_path: Path) -> None:
    text = example(150)
    closed = '<details class="group">'
    assert closed in text

    def pages(name: str, content: str) -> int:
        (tmp_path / f"{name}.html").write_text(content, encoding="utf8")
        command = [browser, "--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"]
        command += [f"--user-data-dir={tmp_path / 'profile'}", f"--print-to-pdf={tmp_path / name}.pdf"]
        subprocess.run([*command, (tmp_path / f"{name}.html").as_uri()], check=True, capture_output=True, timeout=60)
        return len(re.findall(rb"/Type /Page\b(?!s)", (tmp_path / f"{name}.pdf").read_bytes()))

    assert pages("closed", text) == pages("open", text.replace(closed, closed[:-1] + " open>")) > 4


@pytest.mark.parametrize("width", [1280, 390])
def test_no_machines_are_a_sentence(look: Callable[..., dict[str, Any]], width: int) -> None:
    found = look(example(0), width)
    assert found["rows"] == found["cards"] == []
    assert "No machines: group machines of the inventory is empty." in found["text"]
    assert found["scrollWidth"] <= found["width"] == width


def test_a_thousand_machines_and_a_week(
    jobs_db: Any, look: Callable[..., dict[str, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    """From the jobs DB to what is on the screen in 5 s of this computer's time; `pytest -rP` shows the figures."""
    jobs_db.sql(
        "SET session_replication_role = replica;"  # no foreign keys: a client would not write all at once
        "INSERT INTO machines (id, description) SELECT n, 'Machine ' || n FROM generate_series(2, 1000) AS n;"
        "INSERT INTO client_status (machine_id, status_code, created_at)"
        " SELECT n, (array['job_no', 'job_start', 'job_end', 'maintenance_start', 'maintenance_end'])[1 + k % 5],"
        " now() - make_interval(secs => 1512 * (400 - k) + n % 1000)"
        " FROM generate_series(1, 1000) AS n, generate_series(1, 400) AS k"
    )
    hosts = {
        f"machine{number}": {
            "gmt_machine_id": number,
            "gmt_machine_description": f"Machine {number}",
            "gmt_release": "v4.1",
            "gmt_shutdown_on_job_no": "suspend",
            "status_idle_watts": 18,
            "status_sleep_watts": 2,
        }
        for number in range(1, 1001)
    }

    def stop(what: str, work: Callable[[], Any]) -> Any:
        wall, own, others = time.monotonic(), time.process_time(), resource.getrusage(resource.RUSAGE_CHILDREN)
        result = work()
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        cpu = time.process_time() - own + after.ru_utime + after.ru_stime - others.ru_utime - others.ru_stime
        print(f"{what}: {time.monotonic() - wall:.2f} s, {cpu:.2f} s of CPU")
        return result

    def run(module: Any) -> Any:
        return module.run(jobs_db.options(module.argument_spec()))

    rows = stop("gmt_machine_info", lambda: run(gmt_machine_info))["machines"]
    history = stop("gmt_history_info", lambda: run(gmt_history_info))
    text = stop("status_page", lambda: status_page(list(hosts), hosts, rows, history))
    changes = sum(len(machine["changes"].split()) for machine in history["machines"])
    print(f"1000 machines, 400000 rows, {changes} changes, a page of {len(text) / 1e6:.1f} MB")
    found = stop("browser", lambda: look(text))
    print(f"loaded after {found['ready'] / 1000:.2f} s, every row laid out after {found['measured'] / 1000:.2f} s")
    assert len(found["rows"]) == 1000
    assert found["rows"][-1]["bottom"] > 20000
    assert len(text) < 2_000_000
    assert datetime.fromisoformat(history["until"]) - datetime.fromisoformat(history["since"]) == timedelta(days=7)
