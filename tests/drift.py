# SPDX-License-Identifier: GPL-3.0-or-later
"""Change each thing that a manifest names by hand, one after the other; see that exactly that is found, and undo it.

Runs as root on a node, where `_manifest.py` comes before it on standard input:

    (cat plugins/module_utils/_manifest.py; sed /__future__/d tests/drift.py) |
        ssh node sudo python3 - /var/lib/greenlab/manifest.json

Prints what was changed, by kind, and what cannot be changed on such a node. Exit status 1 if a change was not found, or
if something was found that nobody changed.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
from collections import Counter

# The code of the modules: imported here for those who read and check this file, before it on the node.
if "Reader" not in globals():
    from ansible_collections.greenlab.cluster.plugins.module_utils._manifest import Manifest, Reader, differences


class CannotChange(Exception):
    """This node does not let anybody change it."""


@contextlib.contextmanager
def another_path(name):
    """Change what a path is: the content and the mode of a file, the aim of a link, whether something is there."""
    kept = f"{name}.greenlab-kept"
    if os.path.islink(name):
        aim = os.readlink(name)
        os.unlink(name)
        os.symlink("/greenlab-drift", name)
        yield
        os.unlink(name)
        os.symlink(aim, name)
    elif os.path.isdir(name):
        mode = os.stat(name).st_mode & 0o7777
        os.chmod(name, mode ^ 0o001)
        yield
        os.chmod(name, mode)
    elif os.path.exists(name):
        os.rename(name, kept)  # the file itself comes back, with its times
        shutil.copy2(kept, name)
        with open(name, "a", encoding="utf8") as file:
            file.write("# drift\n")
        yield
        os.replace(kept, name)
    else:
        made = next((path for path in parents(name) if not os.path.exists(path)), None)
        os.makedirs(os.path.dirname(name), exist_ok=True)
        with open(name, "w", encoding="utf8"):
            pass
        yield
        os.unlink(name)
        if made:
            shutil.rmtree(made)


def parents(name):
    """Return the folders above a path, the highest first."""
    parts = name.strip("/").split("/")[:-1]
    return ["/" + "/".join(parts[: number + 1]) for number in range(len(parts))]


@contextlib.contextmanager
def something_in(folder):
    """Lay a file into a folder."""
    with another_path(f"{folder}/greenlab-drift"):
        yield


@contextlib.contextmanager
def another_unit(name):
    """Give a unit a mask, in the folder that comes before all others, or take the one that it has away."""
    unit, _blank, user = name.partition(" ")
    account = Reader().account(user) if user else None
    home = account.line.split(":")[5] if account else ""
    folder = f"{home}/.config/systemd/user.control" if account else "/etc/systemd/system.control"
    manager = ["systemctl", "--user" if account else "--system"]
    was_active = Reader().run([*manager, "is-active", unit], account).strip() == "active"
    mask = f"/etc/systemd/system/{unit}"
    if not account and os.path.islink(mask) and os.readlink(mask) == "/dev/null":
        os.rename(mask, f"{mask}.kept")
        Reader().run([*manager, "daemon-reload"], account)
        yield
        os.rename(f"{mask}.kept", mask)
    else:
        os.makedirs(folder, exist_ok=True)
        os.symlink("/dev/null", f"{folder}/{unit}")
        Reader().run([*manager, "daemon-reload"], account)
        yield
        shutil.rmtree(folder)
    Reader().run([*manager, "daemon-reload"], account)
    if was_active:  # a timer ends when it is masked
        Reader().run([*manager, "start", unit], account)


@contextlib.contextmanager
def another_package(name):
    """Make dpkg's list of a package's sums go, or come, as removing and installing does."""
    folder = "/var/lib/dpkg/info"
    there = [one for one in os.listdir(folder) if one.endswith(".md5sums") and one[:-8].split(":")[0] == name]
    path = f"{folder}/{there[0] if there else name + '.md5sums'}"
    if there:
        os.rename(path, f"{path}.kept")
        yield
        os.rename(f"{path}.kept", path)
    else:
        with another_path(path):
            yield


@contextlib.contextmanager
def another_account(name):
    """Put an account into root's group."""
    shutil.copy2("/etc/group", "/etc/group.greenlab-kept")
    subprocess.run(["gpasswd", "--add", name, "root"], check=True, capture_output=True)
    yield
    os.replace("/etc/group.greenlab-kept", "/etc/group")


@contextlib.contextmanager
def another_value(name):
    """Write another value where it can be written."""
    with open(name, encoding="utf8") as file:
        before = file.read()
    if not os.access(name, os.W_OK) or name.startswith("/proc/"):
        raise CannotChange("the kernel is another computer's")
    with open(name, "w", encoding="utf8") as file:
        file.write("0" if before.strip() != "0" else "1")
    yield
    with open(name, "w", encoding="utf8") as file:
        file.write(before)


@contextlib.contextmanager
def another_answer(name):
    """Let nobody but us log in to the database."""
    user, port, database, _query = name.split(" ", 3)
    psql = ["psql", "--no-psqlrc", "--quiet", f"--port={port}", f"--dbname={database}"]
    reader = Reader()
    reader.run([*psql, "--command=CREATE ROLE greenlab_drift"], reader.account(user))
    yield
    reader.run([*psql, "--command=DROP ROLE greenlab_drift"], reader.account(user))


@contextlib.contextmanager
def another_certificate(name):
    """Swap a certificate for one that is about to expire."""
    kept = f"{name}.greenlab-kept"
    os.rename(name, kept)
    made = ["openssl", "req", "-x509", "-noenc", "-newkey", "rsa:2048", "-keyout", "/dev/null", "-out", name]
    subprocess.run([*made, "-subj", "/CN=drift", "-days", "1"], check=True, capture_output=True)
    yield
    os.replace(kept, name)


CHANGES = {
    "paths": another_path,
    "folders": something_in,
    "names": something_in,
    "checkouts": something_in,
    "units": another_unit,
    "unit_files": another_unit,
    "packages": another_package,
    "accounts": another_account,
    "values": another_value,
    "queries": another_answer,
    "certificates": another_certificate,
}


def found(manifest):
    """Return what differs now."""
    reader = Reader()
    reader.known = manifest["seen"]
    return {(one["kind"], one["name"]) for one in differences(manifest["found"], reader.read(manifest["managed"]))}


def is_part_of(kind, name, changed):
    """Tell whether one thing is found too because another was changed: a file that is in a checkout or a folder, …"""
    path = changed.split(" ")[0]
    near = kind in ("checkouts", "folders", "names", "paths") and (path.startswith(name) or name.startswith(path))
    return near or path.split(" ")[0] == name.split(" ")[0] or (kind, path) == ("folders", os.path.dirname(name))


def main(path):
    """Change all that the manifest names."""
    manifest = Manifest(path).load()
    if manifest is None:
        sys.exit(f"{path} is no manifest")
    at_once = found(manifest)
    if at_once:
        sys.exit(f"Nobody has changed anything yet, and these differ: {sorted(at_once)}")
    faults, seen, spared = [], Counter(), Counter()
    for kind, names in manifest["managed"].items():
        for name in names:
            try:
                with CHANGES[kind](name):
                    now = found(manifest)
            except (CannotChange, FileNotFoundError) as why:
                spared[f"{kind} {name}: {why}"] += 1
                continue
            seen[kind] += 1
            if (kind, name) not in now:
                faults.append(f"{kind} {name} was changed, and it was not found")
            faults += [
                f"{other} {what} was found when {kind} {name} was changed"
                for other, what in now
                if not is_part_of(other, what, name) and what != name
            ]
            left = found(manifest)
            if left:
                sys.exit(f"Undoing the change of {kind} {name} left {sorted(left)}")
    for line in [*spared, *faults]:
        print(line)
    print("changed and found:", ", ".join(f"{number} {kind}" for kind, number in seen.items()))
    sys.exit(bool(faults))


if __name__ == "__main__":
    main(sys.argv[1])
