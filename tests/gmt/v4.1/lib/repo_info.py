# SPDX-License-Identifier: GPL-3.0-or-later
"""Which release runs here. Fails if git refuses the checkout: one of another owner must be a safe.directory."""

from __future__ import annotations

import subprocess
from datetime import datetime
from pathlib import Path


def get_repo_info(folder: Path) -> tuple[str, datetime]:
    """Return the hash and the committer date of the commit that is checked out in `folder`."""
    command = ["git", "log", "--max-count=1", "--format=%H %ct", "--", str(folder)]
    commit, when = subprocess.check_output(command, cwd=folder, encoding="utf8").split()
    return commit, datetime.fromtimestamp(int(when)).astimezone()


def is_dirty() -> bool:
    """Tell whether the working directory (not: this checkout) has changed or untracked files."""
    return subprocess.check_output(["git", "status", "--short"], encoding="utf8") != ""
