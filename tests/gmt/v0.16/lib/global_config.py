# SPDX-License-Identifier: GPL-3.0-or-later
"""config.yml of this checkout, read once per process."""

import functools
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parent.parent
_name = "config.yml"


def override(name: str) -> None:
    """Use another file of the checkout's root. Only before the first call of config()."""
    global _name
    _name = name


@functools.cache
def config() -> dict:
    return yaml.safe_load((ROOT / _name).read_text(encoding="utf8"))
