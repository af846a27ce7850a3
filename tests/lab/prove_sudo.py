# SPDX-License-Identifier: GPL-3.0-or-later
"""Prove on a node, as root, what an account may do by sudo: list it, run it, fail to run what is like it.

Argument (JSON): user; commands (argument lists) that it may run, and no others; run, those of them that only say who
runs them and where; folder, an attacker's, to run them in; checkout, where `python3 -m` must have run instead.
"""

import json
import re
import subprocess
import sys

wanted = json.loads(sys.argv[1])


def sudo(*argv, **options):
    return subprocess.run(["sudo", "-n", *argv], capture_output=True, text=True, check=False, **options)


listing = sudo("-l", "-U", wanted["user"]).stdout
listed = [re.sub(r'.*NOPASSWD: | ""$|\\', "", line) for line in listing.splitlines() if line.startswith("    (")]
expected = [" ".join(command) for command in wanted["commands"]]
assert sorted(listed) == sorted(expected), f"Listed are {listed}, expected {expected}"

account = {"user": wanted["user"], "group": wanted["user"], "extra_groups": [], "cwd": wanted["folder"]}
for command in wanted["run"]:
    done = sudo(*command, **account)
    place = wanted["checkout"] if "-m" in command else wanted["folder"]
    assert done.stdout == f"uid 0 {place}\n", f"{command}: {done}"

for command in wanted["commands"]:
    done = sudo(*command, "--more", **account)
    assert done.returncode and "password is required" in done.stderr, f"{command}: {done}"

print(f"{len(listed)} listed, {len(wanted['run'])} run, {len(wanted['commands'])} with an argument more refused")
