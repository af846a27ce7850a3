# SPDX-License-Identifier: GPL-3.0-or-later
"""config.yml, read once per process: a change takes effect when the client is restarted."""

from __future__ import annotations

import functools
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parent.parent
_location = str(ROOT / "config.yml")


def override(location: str) -> None:
    """Use another file. Only before the first call of config()."""
    global _location
    _location = location


@functools.cache
def config() -> dict:
    with open(_location, encoding="utf8") as stream:
        return yaml.safe_load(stream)
