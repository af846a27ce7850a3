# SPDX-License-Identifier: GPL-3.0-or-later
"""Build the image in which a computer is emulated: a lab node's disk with a kernel (vm/), and QEMU around it.

The disk is made by the recipe of the containers (image.py), and vm/ adds to it. Prints "unchanged" or "built".
"""

from __future__ import annotations

import argparse
import hashlib
import json
import tempfile
from pathlib import Path

import image

HERE = Path(__file__).resolve().parent / "vm"
MOUNTED = ("vm", "vm.py", "internet")  # programs of the containers, in no image
EMULATOR_SUITE = "trixie"
BUSYBOX = "localhost/greenlab-busybox:latest"


def build(name: str, suite: str, files: dict[str, str], digest: str) -> None:
    """Make the disk, then the container around it, and the image that the registry serves."""
    with tempfile.TemporaryDirectory(prefix="greenlab-vm-", dir="/var/tmp") as folder:
        work = Path(folder)
        image.write(work, files)
        guest = image.packages(files["packages"], suite) + image.packages(files["vm-packages"], suite)
        hooks = ["essential prepare", "customize customize", "customize vm-customize"]
        image.bootstrap(work, suite, guest, "guest.tar", hooks)
        tools = image.packages(files["emulator-packages"], EMULATOR_SUITE)
        image.bootstrap(work, EMULATOR_SUITE, tools, "root.tar", ["customize emulator"])
        labels = {image.HASH_LABEL: digest, "greenlab.image": f"vm-{suite}"}
        image.podman_import(work / "root.tar", name, labels, 'CMD=["/usr/local/lib/lab/vm","run"]')
        labels = {"greenlab.image": "busybox"}
        image.podman_import(work / "busybox.tar", BUSYBOX, labels, "ENV PATH=/bin", 'CMD=["sh"]')


def main() -> None:
    """Build the image, or say that it is there."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("image", help="name and tag for the image")
    parser.add_argument("--suite", choices=image.SUITES, default="trixie")
    parser.add_argument("--mirror", default="", help="a Debian mirror, where the host's apt has none")
    args = parser.parse_args()
    files = image.inputs(args.suite, args.mirror)
    files[f"{EMULATOR_SUITE}.list"] = "\n".join(image.debian_sources(EMULATOR_SUITE, args.mirror)) + "\n"
    for file in HERE.iterdir():
        if file.is_file() and file.name not in MOUNTED:
            files[f"vm-{file.name}" if file.name in files else file.name] = file.read_text()
    programs = [Path(file).read_text() for file in (__file__, image.__file__)]
    recipe = json.dumps([args.suite, files, programs], sort_keys=True)
    digest = hashlib.sha256(recipe.encode()).hexdigest()
    if image.is_built(args.image, digest):
        print("unchanged")
        return
    build(args.image, args.suite, files, digest)
    image.prune(f"vm-{args.suite}")
    print("built")


if __name__ == "__main__":
    main()
