# SPDX-License-Identifier: GPL-3.0-or-later
"""The benchmarks' own arithmetic: what a control group has used, medians and ratios, the plot."""

from __future__ import annotations

import sys
import xml.etree.ElementTree as ET
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).resolve().parents[1] / "benchmarks"


@pytest.fixture(autouse=True)
def _beside_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "path", [str(BENCHMARKS), *sys.path])


def write(file: Path, text: str) -> None:
    file.parent.mkdir(parents=True)
    file.write_text(text, encoding="utf8")


@pytest.mark.parametrize(
    ("groups", "file", "content"),
    [
        (
            "4:memory:/pod/x/init.scope\n2:cpuacct:/pod/x\n0::/pod/x/init.scope\n",
            "cpuacct/pod/x/cpuacct.usage",
            "1500000000\n",
        ),
        ("3:cpu,cpuacct:/pod/x\n", "cpu,cpuacct/pod/x/cpuacct.usage", "1500000000\n"),
        ("0::/pod/x/init.scope\n", "pod/x/cpu.stat", "usage_usec 1500000\nuser_usec 1000000\n"),
        ("0::/pod/x\n", "pod/x/cpu.stat", "usage_usec 1500000\nuser_usec 1000000\n"),
    ],
    ids=["hybrid", "version 1", "version 2 with systemd", "version 2"],
)
def test_cpu_of_a_control_group(tmp_path: Path, groups: str, file: str, content: str) -> None:
    import lab

    write(tmp_path / "proc/7/cgroup", groups)
    write(tmp_path / "sys/fs/cgroup" / file, content)
    assert lab.cgroup_cpu(7, tmp_path) == 1.5


def run(way: str, wall: float, machines: int = 1, kind: str = "converged") -> dict[str, object]:
    return {"kind": kind, "way": way, "machines": machines, "wall": wall, "control": 1.0, "nodes": 2.0, "server": 4.0}


def test_a_figure_is_the_median_of_one_way_alone() -> None:
    import goals

    runs = [run("look", 1.0), run("look", 9.0), run("look", 2.0), run("look", 50.0, machines=8), run("limit", 60.0)]
    assert goals.figure(runs, "converged", "look", 1, "wall") == 2.0
    assert goals.figure(runs, "converged", "look", 1, "cpu") == 7.0
    assert goals.figure(runs, "converged", "look", 4, "wall") is None


def test_goals_say_what_is_met_and_what_was_not_measured(capsys: pytest.CaptureFixture[str]) -> None:
    import goals

    runs = [run("look", 8.0), run("site", 3.0), run("limit", 1.0), run("pyinfra", 10.0)]
    goals.table({"runs": runs, "about": {"notes": ["as it was"]}})
    rows = {line.split("|")[1].strip(): line for line in capsys.readouterr().out.splitlines() if line.startswith("|")}
    assert rows["1"].endswith("| 8 | 8.00 | met | 3.00 |")
    assert rows["3"].endswith("| 0.35 | 0.80 | not met | 0.30 |")
    assert "not measured" in rows["6"]


def test_the_plot_has_two_bars_for_each_way() -> None:
    import picture

    bars = [picture.Bar("1 machine", "a <way>", 0.4, 0.05), picture.Bar("8 machines", "b", 100.0, 30.0)]
    drawn = ET.fromstring(picture.svg("Costs & more", bars))
    space = "{http://www.w3.org/2000/svg}"
    widths = {
        kind: [float(part.get("width", 0)) for part in drawn.iter(f"{space}rect") if part.get("class") == kind]
        for kind in ("wall", "nodes")
    }
    assert widths["wall"][1] == pytest.approx(picture.SPAN)  # the longest takes the whole width
    assert 0 < widths["nodes"][0] < widths["wall"][0] < widths["wall"][1]
    assert "a <way>" in [part.text for part in drawn.iter(f"{space}text")]
