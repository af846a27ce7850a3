# SPDX-License-Identifier: GPL-3.0-or-later
"""How long a client without a job sleeps: briefly where the machine is suspended, for it sleeps on after the resume."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from ansible.plugins.filter.core import ternary
from jinja2.nativetypes import NativeEnvironment

VARS = Path(__file__).resolve().parents[3] / "roles/gmt/vars/main.yml"


@pytest.mark.parametrize(("shutdown", "seconds"), [("no", 300), ("poweroff", 300), ("suspend", 15)])
def test_a_client_that_is_suspended_sleeps_briefly(shutdown: str, seconds: int) -> None:
    template = yaml.safe_load(VARS.read_text(encoding="utf8"))["__gmt_sleep_time"]
    environment = NativeEnvironment()
    environment.filters["ternary"] = ternary
    assert environment.from_string(template).render(gmt_shutdown_on_job_no=shutdown) == seconds


@pytest.mark.parametrize(("written", "means"), [("no", "no"), ("'no'", "no"), ("suspend", "suspend")])
def test_no_may_be_written_without_quotes(written: str, means: str) -> None:
    template = yaml.safe_load(VARS.read_text(encoding="utf8"))["__gmt_shutdown"]
    given = yaml.safe_load(written)
    assert NativeEnvironment().from_string(template).render(gmt_shutdown_on_job_no=given) == means
