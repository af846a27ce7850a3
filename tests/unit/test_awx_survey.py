# SPDX-License-Identifier: GPL-3.0-or-later
"""The survey for AWX asks only for what playbook `site` reads, and offers what is so without it."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
import yaml

CHECKOUT = Path(__file__).resolve().parents[2]
SURVEY = json.loads((CHECKOUT / "extensions/awx/site_survey.json").read_text(encoding="utf8"))
QUESTIONS = {question["variable"]: question for question in SURVEY["spec"]}
IMPORTS = ("ansible.builtin.import_tasks", "ansible.builtin.include_tasks", "ansible.builtin.import_playbook")


def files_of(path: Path) -> set[Path]:
    """Return a playbook and all that it imports by a literal name."""
    found, todo = set(), [path]
    while todo:
        file = todo.pop()
        if file in found or not file.exists():
            continue
        found.add(file)
        text = file.read_text(encoding="utf8")
        todo += [file.parent / name for name in re.findall(rf"(?:{'|'.join(IMPORTS)}): ([\w/]+\.yml)$", text, re.M)]
    return found


TEXT = "\n".join(file.read_text(encoding="utf8") for file in files_of(CHECKOUT / "playbooks/site.yml"))


def test_it_has_the_shape_that_awx_takes():
    assert set(SURVEY) == {"name", "description", "spec"}
    assert len(QUESTIONS) == len(SURVEY["spec"]) > 0
    for question in SURVEY["spec"]:
        assert question["type"] in ("text", "integer", "multiplechoice")
        assert question["question_name"] and question["required"] is True
        if question["type"] == "multiplechoice":
            assert question["default"] in question["choices"]
        else:
            size = question["default"] if question["type"] == "integer" else len(question["default"])
            assert isinstance(size, int) and question["min"] <= size <= question["max"]


def read_as(name: str) -> list[str]:
    """Return what stands after each "NAME | default(" that names no other variable, up to the end of the expression."""
    return re.findall(rf"\b{name} \| default\(([^()]*\)[^}}\n]*)", TEXT)


@pytest.mark.parametrize("name", sorted(set(QUESTIONS) - {"hold_owner"}))
def test_site_reads_it_and_the_default_is_the_same(name: str):
    (default, *others) = {found.partition(")")[0].strip("'") for found in read_as(name)}
    assert not others
    assert default == str(QUESTIONS[name]["default"])


@pytest.mark.parametrize("name", sorted(name for name, asked in QUESTIONS.items() if asked["type"] == "multiplechoice"))
def test_an_answer_is_a_text_and_no_text_is_taken_for_true(name: str):
    assert QUESTIONS[name]["choices"] == ["false", "true"]
    assert all(found.startswith("false) | bool") for found in read_as(name))


def test_whoever_holds_can_be_told():
    plays = yaml.safe_load((CHECKOUT / "playbooks/site.yml").read_text(encoding="utf8"))
    assert any("hold_owner" in play.get("vars", {}) for play in plays)
