# SPDX-License-Identifier: GPL-3.0-or-later
"""Root helpers of the tool on a machine whose sudo crashes with an empty environment."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from ansible_collections.greenlab.cluster.plugins.module_utils import _helpers

GMT = Path(__file__).resolve().parents[3] / "gmt"
# /usr/bin/env stands for sudo: it prints what it is called with.
TOP = """import os
os.environ.clear() # nothing of the caller
import subprocess
subprocess.run(['/usr/bin/env'])  # /usr/bin/sudo
"""
MAIN = """import os, subprocess
if __name__ == '__main__':
    # /usr/bin/sudo
    os.environ.clear()
    subprocess.run(['/usr/bin/env'])
"""


def environment(script: str) -> str:
    """Run a script and return the environment of what it calls."""
    return subprocess.check_output([sys.executable, "-I", "-S", "-c", script], encoding="utf8")


@pytest.mark.parametrize("script", [TOP, MAIN], ids=["at the top", "in main"])
def test_one_variable_is_left(script: str) -> None:
    assert environment(script) == ""
    assert environment(_helpers.with_a_variable(script)) == "LANG=C\n"


@pytest.mark.parametrize("script", [
    "import subprocess\nsubprocess.run(['/usr/bin/sudo', 'true'])\n",  # keeps its environment
    "import os\nos.environ.clear()\nprint('{}')\n",  # calls nothing
    "#!/bin/sh\nsudo apt update\n",
    "",
])  # fmt: skip
def test_other_scripts_stay(script: str) -> None:
    assert _helpers.with_a_variable(script) == script


def test_the_stand_in_has_one_that_needs_it() -> None:
    script = (GMT / "v4.1/tools/cluster/maintenance_original.py").read_text()
    assert _helpers.with_a_variable(script) != script


@pytest.mark.parametrize(("status", "crash"), [(-11, True), (139, True), (0, False), (1, False), (127, False)])
def test_exit_status(status: int, crash: bool) -> None:
    assert _helpers.is_crash(status) is crash
