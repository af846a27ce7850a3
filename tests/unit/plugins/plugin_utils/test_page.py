# SPDX-License-Identifier: GPL-3.0-or-later
"""The status page as text: what is in it, and what never gets into it. What it looks like: test_page_in_browser.py."""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone
from html.parser import HTMLParser
from typing import Any

import pytest

from ansible_collections.greenlab.cluster.plugins.plugin_utils import _page, _status
from ansible_collections.greenlab.cluster.plugins.plugin_utils._status import Cluster, Machine, Span, Window

VOID = {"br", "meta", "path"}
HOSTILE = "</title></style><script>alert(1)</script>\"'><img src=x onerror=alert(1)>&lt;{{ 1 }}\n\u202e%(light)s"
HOUR, DAY = 3600, 86400


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
    return _page.page(Cluster(time or window(), list(machines), has_wake_log), title)


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
    parsed = Parsed(page(machine(1, problems=("x",)), machine(2)))
    ids = {attributes["id"] for _tag, attributes in parsed.elements if "id" in attributes}
    links = [attributes["href"] for _tag, attributes in parsed.elements if "href" in attributes]
    assert links == ["#m1", "#m1", "#m2"]
    assert {(link or "")[1:] for link in links} <= ids


# --- summary and details ---------------------------------------------------------------------------------------------


def cards(text: str) -> str:
    summary = re.search(r'<ul class="cards" id="summary">(.*?)</ul>', text)
    assert summary
    return " ".join(re.sub(r"<[^>]*>", " ", summary[1]).split())


def test_summary_counts_machines_by_state() -> None:
    states = ["measuring", "measuring", "preparing", "idle", "asleep", "held", "failed", "failed"]
    machines = [machine(number, state=state, waiting=number) for number, state in enumerate(states)]
    assert cards(page(*machines)) == (
        "2 measuring 1 preparing 1 idle 1 asleep (assumed) 1 held 2 failed 28 jobs waiting"
    )
    assert "1 unknown 1 job waiting" in cards(page(machine(state="unknown", waiting=1)))
    assert "1 asleep 0 held" in cards(page(machine(state="asleep"), has_wake_log=True))


def test_problems_come_first_and_do_not_fill_the_page() -> None:
    assert "Look at these" not in page(machine())
    machines = [machine(number, problems=(f"broken {number}", "twice")) for number in range(25)]
    text = page(*machines)
    assert text.index("broken 3; twice") < text.index("Timeline")
    assert "broken 19" in text
    assert "broken 20" not in text
    assert "… and 5 more, see the table" in text


def test_details() -> None:
    cells = re.findall(r"<td[^>]*>(.*?)</td>", page(full("x")))
    assert [re.sub(r"<[^>]*>", "", cell) for cell in cells] == [
        "idle",
        "2026-11-15 03:00",
        "x",
        "2",
        "x since 2026-11-15 03:00: x",
        "x",
        "x",
        "x",
    ]
    assert "<td>v4.1<br><small>to be validated</small></td>" in page(machine(release="v4.1", needs_validation=True))
    unknown = re.findall(r"<td[^>]*>(.*?)</td>", page(machine()))
    assert unknown[1:] == ["–"] * 7


# --- timelines -------------------------------------------------------------------------------------------------------


def paths(text: str) -> dict[str, str]:
    timeline = text[text.index('id="timeline"') : text.index('id="machines"')]
    return dict(re.findall(r'<path class="(\w+)" d="([^"]*)"', timeline))


def test_a_bar_maps_time_to_columns() -> None:
    column = 7 * DAY / _page.COLUMNS
    spans = [Span(-50 * column, 100 * column, "idle"), Span(100 * column, 130 * column, "measuring")]
    spans.append(Span(130 * column, 7 * DAY, "held"))
    text = page(machine(spans=spans))
    assert paths(text) == {"idle": "M0 5h100", "measuring": "M100 5h30", "held": "M130 5h878"}
    assert 'aria-label="machine1: measuring 3%, idle 10%, held 87%"' in text


def test_a_column_shows_what_took_most_of_it_and_any_failure() -> None:
    column = 7 * DAY / _page.COLUMNS
    spans = [
        Span(0, 10.4 * column, "idle"),
        Span(10.4 * column, 11.0 * column, "measuring"),  # most of its column
        Span(11.0 * column, 12.2 * column, "idle"),
        Span(12.2 * column, 12.5 * column, "measuring"),  # less than half of it
        Span(12.5 * column, 20.5 * column, "idle"),
        Span(20.5 * column, 20.6 * column, "failed"),
        Span(20.6 * column, 7 * DAY, "idle"),
    ]
    assert paths(page(machine(spans=spans))) == {
        "idle": "M0 5h10M11 5h9M21 5h987",
        "measuring": "M10 5h1",
        "failed": "M20 5h1",
    }


def test_the_bars_of_a_thousand_changes_stay_small() -> None:
    spans = [Span(place * 60, place * 60 + 60, ("idle", "measuring")[place % 2]) for place in range(7 * DAY // 60)]
    assert len(page(machine(spans=spans))) - len(page(machine())) < 20 * _page.COLUMNS


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
    text = page(machine(saved_watts=1.0))
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
    heights = [float(height) for height in re.findall(r'<rect .*?height="([\d.]+)">', text)]
    assert len(heights) == 8
    assert [height > 0 for height in heights] == [False, True, *[False] * 6]
    assert "<title>2026-11-16 00:00: 0.262 kWh</title>" in text
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
