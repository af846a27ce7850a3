# SPDX-License-Identifier: GPL-3.0-or-later
"""The status page as text: what is in it, and what never gets into it. What it looks like: test_page_in_browser.py."""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.greenlab.cluster.plugins.plugin_utils import _page, _status
from ansible_collections.greenlab.cluster.plugins.plugin_utils._status import Cluster, Machine, Span, Window

VOID = {"meta", "path", "rect"}
HOSTILE = "</title></style><script>alert(1)</script>\"'><img src=x onerror=alert(1)>&lt;{{ 1 }}\n\u202e%(light)s"
CHECKOUT = Path(__file__).parents[4]
HOUR, DAY = 3600, 86400
MAKER = _page.Maker(datetime(2026, 11, 22, 3, 0, 5, 123456, tzinfo=timezone.utc), "1.2.3")


class Parsed(HTMLParser):
    """The elements and texts of a page; an element that is not closed in its turn is an error."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[tuple[str, str]] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in VOID
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append((self.open[-1] if self.open else "", data))

    @property
    def text(self) -> str:
        return " ".join(data for tag, data in self.texts if tag not in ("style", "title"))


def window(seconds: float = 7 * DAY, until: str = "2026-11-22T03:00:00+00:00") -> Window:
    end = datetime.fromisoformat(until)
    return Window(end - timedelta(seconds=seconds), end)


def machine(number: int = 1, spans: list[Span] | None = None, state: str = "idle", **more: Any) -> Machine:
    values: dict[str, Any] = {"host": f"machine{number}", "description": f"Machine {number}", **more}
    return Machine(id=number, spans=spans or [], state=state, **values)


def page(*machines: Machine, has_wake_log: bool = False, time: Window | None = None, title: str = "Lab") -> str:
    return _page.page(Cluster(time or window(), list(machines), has_wake_log), title, MAKER)


def full(text: str) -> Machine:
    """Return a machine that has a text in every place for one."""
    return machine(
        spans=[Span(0, 600, "measuring"), Span(600, 7 * DAY, "asleep")],
        host=text,
        description=text,
        since=window().since,
        job=text,
        waiting=2,
        held_by=text,
        held_for=text,
        held_since=window().since,
        release=text,
        temperature=text,
        drift=(text,),
        problems=(text,),
        saved_watts=10.0,
    )


# --- what is outside stays outside -----------------------------------------------------------------------------------


def test_hostile_texts_are_texts() -> None:
    harmless, hostile = (Parsed(page(full(text), title=text)) for text in ("harmless", HOSTILE))
    assert [(tag, sorted(attributes)) for tag, attributes in hostile.elements] == [
        (tag, sorted(attributes)) for tag, attributes in harmless.elements
    ]
    shown = HOSTILE.replace("\n", "�").replace("\u202e", "�")
    assert sum(text.count(shown) for _tag, text in hostile.texts) == sum(
        text.count("harmless") for _tag, text in harmless.texts
    )
    assert ("title", shown) in hostile.texts
    assert [text for tag, text in hostile.texts if tag == "style"] == [
        text for tag, text in harmless.texts if tag == "style"
    ]


def test_nothing_is_fetched_and_nothing_runs() -> None:
    text = page(full("x"))
    parsed = Parsed(text)
    policy = next(attributes["content"] for tag, attributes in parsed.elements if "http-equiv" in attributes)
    assert policy == "default-src 'none'; style-src 'unsafe-inline'"
    for tag, attributes in parsed.elements:
        assert tag not in ("script", "link", "img", "iframe", "object", "use")
        assert (attributes.get("href") or "#").startswith("#")
        assert not any(name == "src" or name.startswith("on") for name in attributes)
    assert not re.search(r"url\(|@import|//(?!\s)", text.replace("http://www.w3.org/2000/svg", ""))


def test_every_link_leads_somewhere() -> None:
    for machines in ([], [machine(1, problems=("x",))], [machine(1)], [machine(1, problems=("x",)), machine(2)]):
        parsed = Parsed(page(*machines))
        ids = [attributes["id"] for _tag, attributes in parsed.elements if "id" in attributes]
        links = [attributes["href"] for _tag, attributes in parsed.elements if "href" in attributes]
        assert links == (["#attention", "#energy", "#machines", "#notes"] if machines else [])
        assert {(link or "")[1:] for link in links} <= set(ids)
        assert len(ids) == len(set(ids))


def test_the_head_says_what_made_the_page_and_when() -> None:
    text = Parsed(page(machine())).text
    made = "2026-11-22T03:00:05+00:00 by greenlab.cluster 1.2.3 ( ansible-playbook greenlab.cluster.status )."
    assert f"Generated at {made}" in " ".join(text.split())


def test_the_commands_playbook_exists() -> None:
    program, playbook = _page.COMMAND.split()
    assert program == "ansible-playbook"
    assert (CHECKOUT / f"playbooks/{playbook.removeprefix('greenlab.cluster.')}.yml").is_file()


# --- summary and details ---------------------------------------------------------------------------------------------


def cards(text: str) -> str:
    summary = re.search(r'<ul class="cards" id="summary">(.*?)</ul>', text)
    assert summary
    return " ".join(re.sub(r"<[^>]*>", " ", summary[1]).split())


def test_summary_counts_machines_by_state_and_shows_their_shares_of_the_time() -> None:
    states = ["measuring", "measuring", "preparing", "idle", "asleep", "held", "failed", "failed"]
    machines = [machine(number, state=state, waiting=number) for number, state in enumerate(states)]
    assert re.sub(" 0 % of the time(, assumed)?", "", cards(page(*machines))) == (
        "2 measuring 1 preparing 1 idle 1 asleep 1 held 2 failed 28 jobs waiting"
    )
    assert cards(page(machine(state="unknown", waiting=1))).endswith("time 1 job waiting")
    half = [Span(-HOUR, 3.5 * DAY, "measuring"), Span(3.5 * DAY, 7 * DAY, "asleep")]
    text = cards(page(machine(1, half), machine(2, [Span(0, 7 * DAY, "asleep")])))
    assert "measuring 25 % of the time 0 preparing" in text
    assert "asleep 75 % of the time, assumed" in text
    assert "assumed" not in cards(page(machine(state="asleep"), has_wake_log=True))


def sections(text: str) -> dict[str, list[str]]:
    """Return the hosts in each section, as they are in the page."""
    parts = re.split(r'<section id="(\w+)">', text)[1:]
    return {name: re.findall(r'<th scope="row">(machine\d+) ', part) for name, part in zip(parts[::2], parts[1::2])}


def test_all_machines_that_need_attention_are_shown_and_each_machine_once() -> None:
    """Of 300, where 12 failed: none is cut off, none is in two lists."""
    failed = range(25, 301, 25)
    machines = [
        machine(number, state="failed", problems=("failed (job_error)",)) if number in failed else machine(number)
        for number in range(1, 301)
    ]
    text = page(*machines)
    found = sections(text)
    assert found["attention"] == [f"machine{number}" for number in failed]
    assert sorted(found["attention"] + found["machines"]) == sorted(machine.host for machine in machines)
    assert "Needs attention (12)" in text
    assert "Other machines (288)" in text
    assert text.index('id="attention"') < text.index('id="energy"') < text.index('id="machines"')
    many = sections(page(*(machine(number, problems=("x",)) for number in range(1000))))
    assert len(many["attention"]) == 1000


def test_the_page_keeps_the_order_of_the_machines() -> None:
    machines = [machine(3, problems=("x",)), machine(1, problems=("y",)), machine(9), machine(4)]
    assert sections(page(*machines)) == {
        "attention": ["machine3", "machine1"],
        "energy": [],
        "machines": ["machine9", "machine4"],
        "notes": [],
    }


def test_a_large_group_is_closed_and_says_how_many_are_in_it() -> None:
    machines = [machine(number, state="asleep", waiting=2) for number in range(101)]
    machines += [machine(number, state="idle") for number in range(200, 300)]
    text = page(*machines)
    groups = re.findall(r'<details class="group"( open)?>.*?</svg> (\w+) <small>([^<]*)</small>', text)
    assert groups == [
        (" open", "idle", "100 machines, 0 jobs waiting"),
        ("", "asleep", "101 machines, 202 jobs waiting"),
    ]


def cells(text: str) -> list[str]:
    rows = re.findall(r'<tr id="m\d+">(.*?)</tr>', text)
    return [
        re.sub("\\s+", " ", re.sub(r"<[^>]*>", "", re.sub(r"(?<=.)<(small|svg)", r" <\1", cell)))
        for cell in re.findall(r"<t[hd][^>]*>(.*?)</t[hd]>", rows[0])
    ]


def test_row_of_a_machine_that_needs_attention() -> None:
    assert cells(page(full("x"))) == [
        "x x",
        "x Hold: x State: idle since 15 Nov 03:00 Job: x",
        " asleep 100 % · measuring &lt;1 %",
        "2",
        "x",
        "x",
    ]


def test_row_of_another_machine() -> None:
    known = machine(since=window(400 * DAY).since, job="7 App", waiting=0, release="v4.1", needs_validation=True)
    assert cells(page(known)) == [
        "machine1 Machine 1",
        "idle since 18 Oct 2025 03:00",
        "no report in this time",
        "0",
        "7 App",
        "v4.1 to be validated",
        "",
    ]
    assert cells(page(machine())) == ["machine1 Machine 1", "idle", "no report in this time", *[""] * 3]


def test_what_is_empty_has_a_reason() -> None:
    assert "group <code>machines</code> of the inventory is empty" in page()
    text = page(machine())
    assert "None: no machine failed, stopped to report, is held or drifted." in text
    assert "no report in this time" in text
    assert "Here it says nothing, or there is no wake host." in text
    assert "Here it says nothing" not in page(machine(), has_wake_log=True)
    assert "None: each machine needs attention" in page(machine(problems=("x",)))
    assert "The jobs DB gave no answer" in page(machine(state="unknown"), time=window(0))
    awake = page(machine(spans=[Span(0, 7 * DAY, "idle")], saved_watts=3.0))
    assert "None: no machine with <code>status_idle_watts</code>" in awake
    assert "<rect" not in awake


# --- timelines -------------------------------------------------------------------------------------------------------


def paths(text: str, width: str = "fine") -> dict[str, str]:
    timeline = re.search(rf'<g class="{width}">(.*?)</g>', text)
    assert timeline
    return dict(re.findall(r'<path class="(\w+)" d="([^"]*)"', timeline[1]))


def shares(text: str) -> str:
    found = re.search(r"</svg><small>([^<]*)</small>", text)
    assert found
    return found[1].replace("\N{NO-BREAK SPACE}", " ")


def test_a_bar_maps_time_to_columns() -> None:
    spans = [Span(-HOUR, 17 * HOUR, "idle"), Span(17 * HOUR, 22 * HOUR, "measuring"), Span(22 * HOUR, 7 * DAY, "held")]
    text = page(machine(spans=spans))
    assert paths(text) == {"idle": "M0 5h102", "measuring": "M102 5h30", "held": "M132 5h876"}  # 6 columns an hour
    # Steps of 3 hours begin at 03:00, and the hour from 20:00 to 21:00 has no majority in its step.
    assert paths(text, "coarse") == {"idle": "M0 5h108", "measuring": "M108 5h18", "held": "M126 5h882"}
    assert shares(text) == "held 87 % · idle 10 % · measuring 3 %"


def test_a_step_shows_what_took_most_of_it_and_any_failure() -> None:
    spans = [
        Span(0, 10.3 * HOUR, "idle"),
        Span(10.3 * HOUR, 10.8 * HOUR, "measuring"),  # with the next but one the most of its hour
        Span(10.8 * HOUR, 10.9 * HOUR, "idle"),
        Span(10.9 * HOUR, 11.0 * HOUR, "measuring"),
        Span(11.0 * HOUR, 12.2 * HOUR, "idle"),
        Span(12.2 * HOUR, 12.5 * HOUR, "measuring"),  # less than half of its hour
        Span(12.5 * HOUR, 20.5 * HOUR, "idle"),
        Span(20.5 * HOUR, 20.6 * HOUR, "failed"),
        Span(20.6 * HOUR, 7 * DAY, "idle"),
    ]
    text = page(machine(spans=spans))
    assert paths(text) == {"idle": "M0 5h60M66 5h54M126 5h882", "measuring": "M60 5h6", "failed": "M120 5h6"}
    assert shares(text) == "idle 99 % · measuring 1 % · failed &lt;1 %"


def test_a_busy_week_is_no_barcode() -> None:
    """A job every 20 minutes: steps that a phone's 300 pixels can show, and few bytes."""
    spans = [
        Span(at * 1200 + begin, at * 1200 + end, state)
        for at in range(7 * DAY // 1200)
        for begin, end, state in ((0, 900, "measuring"), (900, 1200, "idle"))
    ]
    text = page(machine(spans=spans))
    assert paths(text) == paths(text, "coarse") == {"measuring": "M0 5h1008"}
    assert shares(text) == "measuring 75 % · idle 25 %"
    fast = [Span(place * 60, place * 60 + 60, ("idle", "measuring")[place % 2]) for place in range(7 * DAY // 60)]
    assert len(page(machine(spans=fast))) - len(page(machine())) < 3000


@pytest.mark.parametrize(
    ("seconds", "fine", "coarse"),
    [
        (60, "5 seconds", "5 seconds"),
        (HOUR, "30 seconds", "2 minutes"),
        (DAY, "10 minutes", "30 minutes"),
        (7 * DAY, "1 hour", "3 hours"),
        (30 * DAY, "6 hours", "1 day"),
        (365 * DAY, "7 days", "7 days"),
        (90_000 * DAY, "364 days", "364 days"),
    ],
)
def test_steps_are_round_and_have_a_unit(seconds: int, fine: str, coarse: str) -> None:
    spans = [Span(0, seconds / 2, "idle"), Span(seconds / 2, seconds, "measuring")]
    text = page(machine(spans=spans), time=window(seconds))
    assert f'steps of <span class="fine">{fine}</span><span class="coarse">{coarse}</span>.' in text
    assert set(paths(text)) == set(paths(text, "coarse")) == {"idle", "measuring"}


def test_shares_are_of_the_window_alone() -> None:
    spans = [Span(-HOUR, -60, "idle"), Span(-60, 7 * DAY, "asleep")]
    assert shares(page(machine(spans=spans))) == "asleep 100 %"
    assert paths(page(machine(spans=spans))) == {"asleep": "M0 5h1008"}


def test_a_small_share_is_left_out_but_for_measuring_and_failed() -> None:
    states = ["measuring", "preparing", "asleep", "held", "failed"]
    spans = [Span(600 * place, 600 * place + 600, state) for place, state in enumerate(states)]
    spans.append(Span(3000, 7 * DAY, "idle"))
    assert shares(page(machine(spans=spans))) == "idle 100 % · measuring &lt;1 % · failed &lt;1 %"


def test_nothing_known_is_a_page_too() -> None:
    text = page(machine(state="unknown"), time=window(0))
    Parsed(text)
    assert "1 unknown" in cards(text)
    Parsed(page())


# --- the time axis ---------------------------------------------------------------------------------------------------


def labels(seconds: float, until: str = "2026-11-22T03:00:00+00:00") -> list[tuple[float, str]]:
    return [(round(place, 4), label.replace("\n", " ")) for place, label in _page._ticks(window(seconds, until))]


def test_a_week_has_a_label_at_each_midnight() -> None:
    assert labels(7 * DAY) == [
        (round((21 + 24 * place) / 168, 4), label)
        for place, label in enumerate(
            ["Mon 16 Nov", "Tue 17 Nov", "Wed 18 Nov", "Thu 19 Nov", "Fri 20 Nov", "Sat 21 Nov", "Sun 22 Nov"]
        )
    ]


@pytest.mark.parametrize(
    ("seconds", "first", "step"),
    [
        (HOUR, "02:15 22 Nov", 900),
        (DAY, "06:00 21 Nov", 3 * HOUR),
        (3 * DAY, "12:00 19 Nov", 12 * HOUR),
        (30 * DAY, "Mon 26 Oct", 7 * DAY),
        (365 * DAY, "26 Jan 2026", 91 * DAY),
    ],
)
def test_other_windows_have_round_labels_too(seconds: int, first: str, step: int) -> None:
    found = labels(seconds)
    assert found[0][1] == first
    assert len(found) <= 8
    assert {round((later[0] - earlier[0]) * seconds / step, 1) for earlier, later in zip(found, found[1:])} == {1.0}


def test_a_window_that_begins_at_midnight() -> None:
    assert labels(2 * DAY, "2026-11-22T00:00:00+00:00")[0] == (0.125, "06:00 20 Nov")


def test_both_plots_have_the_axis_and_no_label_is_cut_off() -> None:
    text = page(machine(spans=[Span(0, 7 * DAY, "asleep")], saved_watts=1.0))
    axes = re.findall(r'<div class="axis" aria-hidden="true">(.*?)</div>', text, re.DOTALL)
    assert len(axes) == 2
    assert axes[0] == axes[1]
    assert "left:12.50%" in axes[0]
    assert "22 Nov" not in axes[0]  # three hours before the end


# --- energy ----------------------------------------------------------------------------------------------------------


def test_energy_is_the_time_asleep_times_the_power_that_it_saves() -> None:
    spans = [Span(0, 21 * HOUR, "idle"), Span(21 * HOUR, 31 * HOUR, "asleep"), Span(31 * HOUR, 7 * DAY, "idle")]
    text = page(machine(1, spans, saved_watts=16.2), machine(2, spans, saved_watts=10.0), machine(3, spans))
    # 10 h × (16.2 W + 10 W), all of it on Monday.
    assert "<b>0.262 kWh</b> by 2 of 3 machines. 1 without <code>status_idle_watts</code>" in text
    heights = [float(height) for height in re.findall(r'<rect .*?height="([\d.]+)"/>', text)]
    assert len(heights) == 8
    assert [height > 0 for height in heights] == [False, True, *[False] * 6]
    assert '<th scope="row">2026-11-16 00:00</th><td class="n">0.262</td>' in text  # for those who cannot see the plot
    assert "<b>2.62 Wh</b> by 1 of 1 machines.<" in page(machine(1, spans, saved_watts=0.262))


@pytest.mark.parametrize(
    ("value", "text"), [(0, "0"), (0.0123, "0.012"), (9.87, "9.9"), (98.7, "99"), (135.2, "135"), (2150.4, "2,150")]
)
def test_figures_have_no_exponents(value: float, text: str) -> None:
    assert _page._figure(value, 2) == text


def test_energy_of_a_time_is_that_of_its_part_of_the_span() -> None:
    known = [machine(1, [Span(-5 * HOUR, 30 * HOUR, "asleep")], saved_watts=100.0)]
    bars = _page._bars(window(3 * DAY, "2026-11-22T00:00:00+00:00"))
    assert _page._saved(known, bars) == pytest.approx([2400, 600, 0])
    assert _page._saved(known * 3, [(0, HOUR), (29.5 * HOUR, 31 * HOUR)]) == pytest.approx([300, 150])


@pytest.mark.parametrize("days", [1, 2, 30, 31, 200, 800, 3000])
def test_bars_cover_the_window_and_stay_few(days: int) -> None:
    time = window(days * DAY)
    bars = _page._bars(time)
    assert bars[0][0] == 0
    assert bars[-1][1] == time.seconds
    assert all(earlier[1] == later[0] for earlier, later in zip(bars, bars[1:]))
    assert len(bars) <= 33


def test_without_watts_there_is_no_plot_and_no_figure() -> None:
    text = page(machine(spans=[Span(0, 7 * DAY, "asleep")]))
    assert "Not known: no machine has <code>status_idle_watts</code>" in text
    assert "kWh" not in text
    assert "<rect" not in text


@pytest.mark.parametrize(
    ("highest", "top", "step"),
    [(0, 1, 1), (1, 1, 0.25), (1.1, 1.5, 0.5), (7.9, 10, 2.5), (262, 300, 100), (0.04, 0.04, 0.01)],
)
def test_the_scale_has_round_marks_and_holds_the_highest_bar(highest: float, top: float, step: float) -> None:
    assert _page._scale(highest) == pytest.approx((top, step))


# --- colours ---------------------------------------------------------------------------------------------------------


def luminance(colour: str) -> float:
    """Return the relative luminance of WCAG 2.2."""
    parts = [int(colour[place : place + 2], 16) / 255 for place in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    lighter, darker = sorted((luminance(one), luminance(other)), reverse=True)
    return (lighter + 0.05) / (darker + 0.05)


def test_colours_have_the_contrast_of_wcag() -> None:
    style = _page._style([])
    for variables in re.findall(r":root\{([^}]*)\}", style):
        colours = dict(re.findall(r"--(\w+):(#\w+)", variables))
        colours = {name: value if len(value) == 7 else "#" + value[1] * 6 for name, value in colours.items()}
        for state in _status.STATES:
            assert contrast(colours[state], colours["bg"]) >= 3, state
            assert contrast(colours[state], colours["card"]) >= 3, state
        for text in ("fg", "muted"):
            assert contrast(colours[text], colours["bg"]) >= 4.5, text
            assert contrast(colours[text], colours["card"]) >= 4.5, text


def test_states_can_be_told_apart_without_colour() -> None:
    shapes = [look[2:] for look in _page._LOOKS.values()]
    assert len(set(shapes)) == len(shapes)


def test_times_are_utc() -> None:
    assert window().since.tzinfo == timezone.utc
    assert "2026-11-15 03:00 to 2026-11-22 03:00. All times are UTC." in page(machine())
