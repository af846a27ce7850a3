# SPDX-License-Identifier: GPL-3.0-or-later
"""Build the image in which a computer is emulated: a lab node's disk with a kernel (vm/), and QEMU around it.

The disk is made by the recipe of the containers (image.py), and vm/ adds to it. Prints "unchanged" or "built".
"""

from __future__ import annotations

import argparse
import hashlib
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import image

HERE = Path(__file__).resolve().parent / "vm"
MOUNTED = ("vm.py", "internet")  # programs of the containers, in no image
EMULATOR_SUITE = "trixie"
BUSYBOX = "localhost/greenlab-busybox:latest"


def packages(text: str, suite: str) -> list[str]:
    """Return the packages of a list that are for this suite."""
    lines = [line.partition("#")[0].split() for line in text.splitlines()]
    return [name for name, *suites in filter(None, lines) if not suites or suite in suites]


def bootstrap(work: Path, suite: str, wanted: list[str], out: str, *hooks: str) -> None:
    """Make a tar archive of a Debian root."""
    command = [
        *image.AS_ROOT,
        "mmdebstrap",
        "--quiet",
        "--mode=root",
        "--variant=minbase",
        "--format=tar",
        "--skip=cleanup/apt/lists",
        f"--include={','.join(wanted)}",
        f"--aptopt={work / 'apt.conf'}",
        "--dpkgopt=path-exclude=/usr/share/doc/*",
        "--dpkgopt=path-exclude=/usr/share/man/*",
        "--dpkgopt=path-exclude=/usr/share/locale/*",
        *(f"--{hook}" for hook in hooks),
        suite,
        str(work / out),
        str(work / f"{suite}.list"),
    ]
    subprocess.run(command, check=True, stdout=sys.stderr)


def podman(*arguments: str) -> None:
    subprocess.run([*image.AS_ROOT, "podman", *arguments], check=True, stdout=sys.stderr)


def build(name: str, suite: str, files: dict[str, str], digest: str) -> None:
    """Make the disk, then the container around it."""
    with tempfile.TemporaryDirectory(prefix="greenlab-vm-", dir="/var/tmp") as folder:
        work = Path(folder)
        for file, text in files.items():
            (work / file).write_text(text)
            (work / file).chmod(0o755)
        guest = packages(files["packages"], suite) + packages(files["vm-packages"], suite)
        bootstrap(
            work,
            suite,
            guest,
            "guest.tar",
            f'essential-hook="{work}/prepare" "$1"',
            *(f'customize-hook="{work}/{hook}" "$1" "{work}"' for hook in ("customize", "vm-customize")),
        )
        tools = packages(files["emulator-packages"], EMULATOR_SUITE)
        bootstrap(work, EMULATOR_SUITE, tools, "root.tar", f'customize-hook="{work}/emulator" "$1" "{work}"')
        labels = [f"LABEL={image.HASH_LABEL}={digest}", f"LABEL=greenlab.image=vm-{suite}", "STOPSIGNAL=SIGTERM"]
        changes = [*labels, 'CMD=["/usr/local/lib/lab/vm.py","run"]']
        podman("import", "--quiet", *(f"--change={change}" for change in changes), str(work / "root.tar"), name)
        changes = ["LABEL=greenlab.image=busybox", "ENV PATH=/bin", 'CMD=["sh"]']
        podman("import", "--quiet", *(f"--change={change}" for change in changes), str(work / "busybox.tar"), BUSYBOX)


def main() -> None:
    """Build the image, or say that it is there."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("image", help="name and tag for the image")
    parser.add_argument("--suite", choices=image.SUITES, default="trixie")
    parser.add_argument("--mirror", default="", help="a Debian mirror, where the host's apt has none")
    args = parser.parse_args()
    files = image.inputs(args.suite, args.mirror)
    for suite in {args.suite, EMULATOR_SUITE}:
        files[f"{suite}.list"] = "\n".join(image.debian_sources(suite, args.mirror)) + "\n"
    for file in HERE.iterdir():
        if file.is_file() and file.name not in MOUNTED:
            files[f"vm-{file.name}" if file.name in files else file.name] = file.read_text()
    recipe = json.dumps([args.suite, files, Path(__file__).read_text()], sort_keys=True)
    digest = hashlib.sha256(recipe.encode()).hexdigest()
    if image.is_built(args.image, digest):
        print("unchanged")
        return
    build(args.image, args.suite, files, digest)
    podman("image", "prune", "--force", f"--filter=label=greenlab.image=vm-{args.suite}")
    print("built")


if __name__ == "__main__":
    main()
