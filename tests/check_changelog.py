# SPDX-License-Identifier: GPL-3.0-or-later
"""Check the changelog: its fragments are well-formed, and the version in galaxy.yml has something to say.

That is: the version is released in changelogs/changelog.yaml, or there are fragments for it. Exit status 1 otherwise.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import yaml

CHECKOUT = Path(__file__).resolve().parents[1]


def main() -> None:
    """Lint what there is, then ask whether there is anything."""
    lint = subprocess.run([Path(sys.executable).parent / "antsibull-changelog", "lint"], cwd=CHECKOUT, check=False)
    version = yaml.safe_load((CHECKOUT / "galaxy.yml").read_text(encoding="utf8"))["version"]
    released = yaml.safe_load((CHECKOUT / "changelogs/changelog.yaml").read_text(encoding="utf8"))["releases"]
    fragments = list((CHECKOUT / "changelogs/fragments").glob("*.y*ml"))
    if lint.returncode != 0:
        sys.exit("A fragment in changelogs/fragments is wrong.")
    if str(version) not in released and not fragments:
        sys.exit(f"Nothing tells what is new in {version}: add a file to changelogs/fragments, or release it.")
    print(f"{version}: {'released' if str(version) in released else f'{len(fragments)} fragments'}")


if __name__ == "__main__":
    main()
