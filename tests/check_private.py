# SPDX-License-Identifier: GPL-3.0-or-later
"""Check that no file of the repository names what belongs to this computer alone, or to other people.

That is: the package mirrors and proxies of its apt, the indexes of its pip, and the checkout's own path; and accounts
elsewhere that are called as our namespace is. Nothing is published there.
Exit status 1 with the places found.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(CHECKOUT / "tests/lab"))

from image import apt_options, apt_sources, plain_uri  # noqa: E402 the lab's image is made from the same settings

OTHER_PEOPLES = (r"github\.com/greenlab\b", r"[(]@greenlab[)]", r"galaxy\.ansible\.com")


def settings() -> str:
    """Return all of apt's and pip's settings that may name a host."""
    # Other vendors have no -updates beside their suites; their hosts may well be named in our documentation.
    mirrors = [
        plain_uri(uri)
        for uri, suites, _components in apt_sources(Path("/etc/apt"))
        if any(suite.endswith("-updates") for suite in suites)
    ]
    pip = subprocess.run([sys.executable, "-m", "pip", "config", "list"], capture_output=True, text=True, check=True)
    return "\n".join([*mirrors, apt_options(), pip.stdout])


def main() -> None:
    """Search for hosts, for local package folders and for the checkout's path."""
    text = settings()
    secrets = {host for host in re.findall(r"\w+://(?:[^@/\s'\"]*@)?([\w.-]+)", text) if "." in host}
    secrets |= set(re.findall(r"(?:file://|find-links=['\"])(/[^\s'\"]+)", text))
    if CHECKOUT.parent != Path("/"):  # a single word, as /src, may stand anywhere
        secrets.add(str(CHECKOUT))
    wanted = [*OTHER_PEOPLES, *(rf"\b{re.escape(secret).lstrip('/')}\b" for secret in sorted(secrets))]
    patterns = [part for pattern in wanted for part in ("-e", pattern)]
    grep = ["git", "grep", "--untracked", "--line-number", "--perl-regexp", *patterns]
    status = subprocess.run(grep, cwd=CHECKOUT, check=False).returncode
    if status != 1:  # 0: found some; more: git failed
        sys.exit("Names that are not ours stand in the repository." if status == 0 else "git could not search.")
    print(f"{len(secrets)} names of this computer and {len(OTHER_PEOPLES)} of others, none of them in the repository.")


if __name__ == "__main__":
    main()
