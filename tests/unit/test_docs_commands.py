# SPDX-License-Identifier: GPL-3.0-or-later
"""No block of README and docs escapes tests/docs_commands.py, which runs their commands on nodes."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import yaml

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import docs_commands
import run
from docs_commands import Block

BLOCKS = [block for page in docs_commands.pages() for block in docs_commands.blocks(page)]
COMMANDS = [(block, line, command) for block in BLOCKS if block.language == "sh" for line, command in block.commands()]


def where(block: Block) -> str:
    return f"{block.page}:{block.line}"


def test_pages_are_found():
    assert {"README.md", "docs/first_machine.md", "roles/gmt/README.md"} <= set(docs_commands.pages())
    assert len(COMMANDS) > 50


@pytest.mark.parametrize("block", BLOCKS, ids=where)
def test_a_block_says_what_it_is(block: Block):
    assert block.language in docs_commands.LANGUAGES, f"{where(block)}: give it one of {docs_commands.LANGUAGES}"
    if block.language == "sh":
        assert list(block.commands()), f"{where(block)}: holds no command"


@pytest.mark.parametrize(
    ("block", "line", "command"), COMMANDS, ids=[f"{block.page}:{line}" for block, line, _command in COMMANDS]
)
def test_a_command_is_run_or_there_is_a_reason(block: Block, line: int, command: str):
    read = {page for pages in docs_commands.READERS.values() for page, _folder, until in pages if until is None}
    assert block.page in read or docs_commands.why_not_run(block.page, command), (
        f"{block.page}:{line}: let a reader read the page, or give a reason in NOT_RUN of tests/docs_commands.py"
    )


@pytest.mark.parametrize(("page", "begin"), [*docs_commands.NOT_RUN, *docs_commands.STATUS])
def test_an_exception_is_still_needed(page: str, begin: str):
    assert [command for block, _line, command in COMMANDS if block.page == page and command.startswith(begin)]


@pytest.mark.parametrize("begin", docs_commands.REPLACED)
def test_a_command_that_is_replaced_is_still_there(begin: str):
    assert [command for _block, _line, command in COMMANDS if command.startswith(begin)]


@pytest.mark.parametrize("block", [block for block in BLOCKS if block.language == "yaml"], ids=where)
def test_yaml_is_yaml(block: Block):
    assert yaml.safe_load(block.text)


def test_everyday_commands_need_no_option_for_inventory_and_vault():
    for block, line, command in COMMANDS:
        if "greenlab.cluster." in command:
            for option in (" -i ", "--inventory", "--ask-vault-pass", "playbooks/"):
                assert option not in command, f"{block.page}:{line}"


def test_commands_are_split_as_a_shell_reads_them():
    text = "# nothing\ncd a && \\\n  b   # c\nd 'e\nf'\n\n"
    found = list(Block("page.md", 1, ("sh",), text).commands())
    assert [command for _line, command in found] == ["cd a && \\\n  b   # c", "d 'e\nf'"]
    assert found[0][0] == 3


@pytest.mark.parametrize(
    ("status", "log", "passed", "failed"),
    [
        (0, "skipped: a\nrepeated: b\npassed: c\npassed: d\n", 2, 0),
        (1, "passed: c\nfailed: cluster: d\npassed of another\n", 1, 1),
        (1, "", 0, 1),
    ],
)
def test_commands_are_counted(status: int, log: str, passed: int, failed: int):
    count = run.count_docs(status, log)
    assert (count.passed, count.failed) == (passed, failed)
