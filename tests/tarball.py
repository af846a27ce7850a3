# SPDX-License-Identifier: GPL-3.0-or-later
"""Build the collection, check what is in it, install it and use it from an empty folder as a user does.

Prints what was tried; exit status 1 with the reason at the first thing that is wrong.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[1]
BIN = Path(sys.executable).parent

# All that belongs into a release; whatever else is in the checkout must stay out.
SHIPPED = (
    "CHANGELOG.md",
    "LICENSE",
    "README.md",
    "changelogs/",
    "docs/",
    "extensions/",
    "inventories/compile/",
    "inventories/example/",
    "inventories/single/",
    "meta/",
    "playbooks/",
    "plugins/",
    "roles/",
)
PLUGIN_TYPES = {"action": "", "doc_fragments": "", "module_utils": "", "plugin_utils": "", "modules": "module"}

INVENTORY = """
all:
  vars:
    gmt_release: v4.1
    gmt_repo: https://git.example.org/gmt.git
    gmt_db_host: 10.1.1.10
    gmt_db_password: not-a-secret
    jobs_db_networks: [10.1.1.0/24]
jobs_db:
  hosts:
    server: {ansible_host: 10.1.1.10}
machines:
  hosts:
    machine1:
      ansible_host: 10.1.1.11
      gmt_machine_id: 1
      gmt_machine_description: Machine 1
"""


class User:
    """Somebody with an empty home, an empty folder, and nothing of ours but the tarball."""

    def __init__(self, home: Path, programs: Path = BIN) -> None:
        self.folder = home / "work"
        self.collections = home / "collections"
        self.folder.mkdir(parents=True)
        kept = {key: value for key, value in os.environ.items() if not key.startswith("ANSIBLE_")}
        self.env = {
            **kept,
            "HOME": str(home),
            "PATH": f"{programs}:{os.environ['PATH']}",
            "ANSIBLE_COLLECTIONS_PATH": str(self.collections),
            "ANSIBLE_NOCOLOR": "1",
        }

    def run(self, *command: str | Path) -> str:
        """Run a command in the empty folder and return what it prints; a failure or a warning ends everything."""
        print("$", *command, flush=True)
        done = subprocess.run(command, cwd=self.folder, env=self.env, capture_output=True, text=True, check=False)
        # ansible-core 2.21 warns about a part of itself; any about a group that may be left out, and where there
        # is no inventory yet.
        expected = "_protomatter|Could not match supplied host|No inventory was parsed|provided hosts list is empty"
        if done.returncode != 0 or re.search(rf"WARNING(?!.*({expected}))", done.stderr):
            sys.exit(f"{done.stdout}{done.stderr}Exit status {done.returncode}")
        return done.stdout


def build(folder: Path) -> Path:
    """Build from the checkout as it is, with all that lies around in it."""
    command = [BIN / "ansible-galaxy", "collection", "build", "--output-path", folder]
    subprocess.run(command, cwd=CHECKOUT, check=True, stdout=subprocess.DEVNULL)
    return next(folder.glob("greenlab-cluster-*.tar.gz"))


def check_files(tarball: Path) -> list[str]:
    """Compare the files in the tarball with those that git knows and we ship."""
    listed = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    known = subprocess.run(listed, cwd=CHECKOUT, capture_output=True, text=True, check=True).stdout.splitlines()
    wanted = {name for name in known if name.startswith(SHIPPED) and (CHECKOUT / name).exists()}
    with tarfile.open(tarball) as archive:
        found = {member.name for member in archive.getmembers() if not member.isdir()}
    wanted |= {"MANIFEST.json", "FILES.json"}
    for name in sorted(found - wanted):
        print(f"should not be in the tarball: {name}")
    for name in sorted(wanted - found):
        print(f"is not in the tarball: {name}")
    if found != wanted:
        sys.exit("See build_ignore in galaxy.yml and SHIPPED in tests/tarball.py.")
    print(f"{len(found)} files in {tarball.name}, {tarball.stat().st_size // 1024} KiB")
    return sorted(found)


def check_dependencies(tarball: Path) -> None:
    """Compare the collections whose modules and plugins are used with those that are declared."""
    used = set()
    with tarfile.open(tarball) as archive:
        manifest = json.load(archive.extractfile("MANIFEST.json"))
        for name in archive.getnames():
            if name.startswith(("playbooks/", "roles/")) and name.endswith((".yml", ".j2")):
                text = archive.extractfile(name).read().decode()
                used |= set(re.findall(r"\b((?:ansible|community|containers)\.[a-z_]+)\.[a-z_]+\b", text))
    declared = set(manifest["collection_info"]["dependencies"])
    if used - {"ansible.builtin"} != declared:
        sys.exit(f"galaxy.yml declares {sorted(declared)}, but used are {sorted(used)}")


def documented(files: list[str]) -> dict[str, list[str]]:
    """Return the names of everything that has documentation, by ansible-doc's types."""
    names: dict[str, list[str]] = {}
    for file in files:
        folder, kind, name = [*file.split("/", 2), "", ""][:3]
        if folder == "plugins" and name.endswith(".py") and not name.startswith("_"):
            kind = PLUGIN_TYPES.get(kind, kind)
            name = name.removesuffix(".py")
        elif folder == "roles" and name == "meta/argument_specs.yml":
            kind, name = "role", kind
        else:
            continue
        if kind:
            names.setdefault(kind, []).append(f"greenlab.cluster.{name}")
    return names


def check_execution_environment(home: Path, tarball: Path) -> None:
    """Let ansible-builder read our definition, and find in the tarball what the collection wants of an environment."""
    folder = home / "execution_environment"
    with tarfile.open(tarball) as archive:
        archive.extractall(folder, filter="data")
    definition = folder / "extensions/execution_environment/execution-environment.yml"
    tarball.rename(definition.parent / "greenlab-cluster.tar.gz")
    create = [BIN / "ansible-builder", "create", "--file", definition, "--context", home / "context"]
    print("$", *create, flush=True)
    subprocess.run(create, cwd=definition.parent, check=True, stdout=subprocess.DEVNULL)
    for made in ("Containerfile", "_build/greenlab-cluster.tar.gz", "_build/scripts/introspect.py"):
        if not (home / "context" / made).exists():
            sys.exit(f"ansible-builder made no {made}")
    installed = home / "ansible_collections/greenlab/cluster"
    installed.parent.mkdir(parents=True)
    folder.rename(installed)
    # The very program that runs in the image, on what lies in its collections folder.
    introspect = [sys.executable, home / "context/_build/scripts/introspect.py", "introspect", home]
    found = subprocess.run(introspect, check=True, capture_output=True, text=True).stdout
    for name in ("requirements", "bindep"):
        for line in (installed / f"meta/ee-{name}.txt").read_text(encoding="utf8").splitlines():
            if line and not line.startswith("#") and line.split(" ")[0] not in found:
                sys.exit(f"ansible-builder does not see {line!r} of meta/ee-{name}.txt:\n{found}")


def install_and_use(user: User, tarball: Path, files: list[str]) -> None:
    """Install the collection as a user does, without a network, and run what needs no host."""
    user.run("ansible-galaxy", "collection", "install", "--offline", "-p", user.collections, tarball)
    (user.folder / "inv").write_text(INVENTORY)
    user.run("ansible-playbook", "-i", "inv", "greenlab.cluster.preflight")
    user.run("ansible-playbook", "greenlab.cluster.init", "-e", "dest=new")
    vault = ("--vault-password-file", "new/.vault_password")
    user.run("ansible-playbook", "-i", "new/inventory", *vault, "--list-hosts", "greenlab.cluster.site")
    playbooks = [file for file in files if file.startswith("playbooks/") and file.count("/") == 1]
    names = [f"greenlab.cluster.{file.removeprefix('playbooks/').removesuffix('.yml')}" for file in playbooks]
    user.run("ansible-playbook", "-i", "inv", "--syntax-check", *names)
    for kind, names in documented(files).items():
        docs = json.loads(user.run("ansible-doc", "--json", "--type", kind, *names))
        if missing := set(names) - set(docs):
            sys.exit(f"no documentation of {', '.join(sorted(missing))}")


def main() -> None:
    """Go the way of a release, from the checkout to a user's first playbook."""
    with tempfile.TemporaryDirectory(prefix="greenlab-tarball-") as folder:
        home = Path(folder)
        tarball = build(home)
        files = check_files(tarball)
        check_dependencies(tarball)
        install_and_use(User(home), tarball, files)
        check_execution_environment(home, tarball)
    print("The released collection works on its own.")


if __name__ == "__main__":
    main()
