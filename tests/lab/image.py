# SPDX-License-Identifier: GPL-3.0-or-later
"""Build the lab's node image with mmdebstrap, unless podman has it already.

The Debian mirror, its apt settings, the CA certificates and pip's settings are the host's own,
so that the same file works at home, behind a proxy and in CI. Prints "unchanged" or "built".
"""

from __future__ import annotations

import argparse
import configparser
import hashlib
import json
import os
import re
import subprocess
import sys
import tempfile
from pathlib import Path

HERE = Path(__file__).resolve().parent / "image"
SUITES = ("bookworm", "trixie")
KEYRING = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
CA_BUNDLE = Path("/etc/ssl/certs/ca-certificates.crt")
AS_ROOT = [] if os.geteuid() == 0 else ["sudo"]
HASH_LABEL = "greenlab.recipe"
# What a node needs to reach the same package index; paths of the host mean nothing in it.
PIP_KEYS = ("index-url", "extra-index-url", "trusted-host", "proxy", "timeout")
APT_KEYS = r"Acquire::(?:https?::Proxy|Check-Valid-Until|Check-Date|Retries)\b"


def apt_sources(etc_apt: Path) -> list[tuple[str, list[str], list[str]]]:
    """Return (URI, suites, components) of every binary entry in the host's own source files."""
    entries = []
    files = [etc_apt / "sources.list", *sorted((etc_apt / "sources.list.d").glob("*"))]
    for file in files:
        if file.suffix == ".list" and file.is_file():
            for line in file.read_text().splitlines():
                found = re.match(r"deb\s+(?:\[[^]]*\]\s*)?(\S+)\s+(\S+)\s+([^#]+)", line)
                if found:
                    entries.append((found[1], [found[2]], found[3].split()))
        elif file.suffix == ".sources" and file.is_file():
            for stanza in re.split(r"\n\s*\n", re.sub(r"(?m)^#.*\n?", "", file.read_text())):
                field = dict(re.findall(r"(?m)^([\w-]+):[ \t]*(.*(?:\n[ \t]+.*)*)", stanza))
                if "deb" in field.get("Types", "").split() and field.get("Enabled") != "no":
                    for uri in field["URIs"].split():
                        entries.append((uri, field["Suites"].split(), field.get("Components", "").split()))
    return entries


def plain_uri(uri: str) -> str:
    """Debian's cloud images name a file that holds the mirror: return the mirror."""
    if uri.startswith("mirror+file:"):
        return Path(uri.removeprefix("mirror+file:")).read_text().split()[0]
    return uri


def debian_sources(suite: str, mirror: str, etc_apt: Path = Path("/etc/apt")) -> list[str]:
    """Return one-line apt sources of `suite`: from `mirror` if given, else from the host's files."""
    signed = f"[signed-by={KEYRING}] " if KEYRING.exists() else ""
    if mirror:
        return [f"deb {signed}{mirror} {suite} main", f"deb {signed}{mirror} {suite}-updates main"]
    wanted: dict[str, str] = {}
    for uri, suites, components in apt_sources(etc_apt):
        for name in suites:
            found = re.fullmatch(rf"(?:{'|'.join(SUITES)}|stable)(-updates|-security)?", name)
            # Other vendors reuse Debian's suite names: theirs have no -updates beside them.
            if found and "main" in components:
                wanted.setdefault(found[1] or "", plain_uri(uri))
    if "" not in wanted or "-updates" not in wanted:
        sys.exit(
            f"No Debian mirror in {etc_apt} (is this host not Debian?). Name one, as in\n"
            "  GREENLAB_MIRROR=<URL of a Debian mirror> make demo\n"
            "  ansible-playbook … -e lab_mirror=<URL of a Debian mirror>"
        )
    return [f"deb {signed}{uri} {suite}{part} main" for part, uri in wanted.items()]


def apt_options() -> str:
    """Return the host's apt settings about proxies and date checks, as an apt.conf."""
    dump = subprocess.run(["apt-config", "dump"], capture_output=True, text=True, check=True).stdout
    return "".join(f"{line}\n" for line in dump.splitlines() if re.match(APT_KEYS, line))


def pip_conf() -> str:
    """Return the node's pip.conf: the host's index settings, and the system's certificates."""
    dirs = os.environ.get("XDG_CONFIG_DIRS", "/etc/xdg").split(":")
    files = [*(f"{d}/pip/pip.conf" for d in dirs), "/etc/pip.conf", "~/.pip/pip.conf", "~/.config/pip/pip.conf"]
    parser = configparser.RawConfigParser()
    parser.read([Path(file).expanduser() for file in files if file])
    host = dict(parser["global"]) if parser.has_section("global") else {}
    for key in PIP_KEYS:
        host[key] = os.environ.get("PIP_" + key.upper().replace("-", "_"), host.get(key, ""))
        host[key] = " ".join(word for word in host[key].split() if not word.startswith(("file:", "/")))
    kept = "".join(f"{key} = {host[key]}\n" for key in PIP_KEYS if host[key])
    return f"[global]\n{kept}cert = {CA_BUNDLE}\n"


def inputs(suite: str, mirror: str) -> dict[str, str]:
    """Return all that decides what the image holds, by file name in the image's build folder."""
    return {
        f"{suite}.list": "\n".join(debian_sources(suite, mirror)) + "\n",
        "apt.conf": apt_options(),
        "pip.conf": pip_conf(),
        "host-ca.crt": CA_BUNDLE.read_text() if CA_BUNDLE.exists() else "",
        **{file.name: file.read_text() for file in sorted(HERE.iterdir()) if file.is_file()},
    }


def is_built(image: str, digest: str) -> bool:
    """Tell whether podman has the image, made from exactly this recipe."""
    inspect = [*AS_ROOT, "podman", "image", "inspect", "--format", "{{json .Labels}}", image]
    result = subprocess.run(inspect, capture_output=True, text=True, check=False)
    return result.returncode == 0 and (json.loads(result.stdout) or {}).get(HASH_LABEL) == digest


def packages(text: str, suite: str) -> list[str]:
    """Return the packages of a list that are for this suite."""
    lines = [line.partition("#")[0].split() for line in text.splitlines()]
    return [name for name, *suites in filter(None, lines) if not suites or suite in suites]


def write(work: Path, files: dict[str, str]) -> None:
    """Write the inputs into the build folder, as programs: the hooks are among them."""
    for name, text in files.items():
        (work / name).write_text(text)
        (work / name).chmod(0o755)


def bootstrap(work: Path, suite: str, wanted: list[str], archive: str, hooks: list[str]) -> None:
    """Make a tar archive of a Debian root, in the build folder."""
    command = [
        *AS_ROOT,
        "mmdebstrap",
        "--quiet",
        "--mode=root",
        "--variant=minbase",
        "--format=tar",
        "--skip=cleanup/apt/lists",  # so that `apt install` in a node needs no update first
        f"--include={','.join(wanted)}",
        f"--aptopt={work / 'apt.conf'}",
        "--dpkgopt=path-exclude=/usr/share/doc/*",
        "--dpkgopt=path-exclude=/usr/share/man/*",
        "--dpkgopt=path-exclude=/usr/share/locale/*",
        *(f'--{when}-hook="{work}/{hook}" "$1" "{work}"' for when, hook in (hook.split() for hook in hooks)),
        suite,
        str(work / archive),
        str(work / f"{suite}.list"),
    ]
    subprocess.run(command, check=True, stdout=sys.stderr)


def podman_import(archive: Path, image: str, labels: dict[str, str], *changes: str) -> None:
    """Make an image of a tar archive."""
    changes += tuple(f"LABEL={key}={value}" for key, value in labels.items())
    options = [f"--change={change}" for change in changes]
    subprocess.run([*AS_ROOT, "podman", "import", "--quiet", *options, archive, image], check=True, stdout=sys.stderr)


def prune(label: str) -> None:
    """Remove what the name belonged to before; images that a node still uses are spared."""
    command = [*AS_ROOT, "podman", "image", "prune", "--force", f"--filter=label=greenlab.image={label}"]
    subprocess.run(command, check=True, stdout=sys.stderr)


def build(image: str, suite: str, files: dict[str, str], digest: str) -> None:
    """Bootstrap Debian into a tar archive and import it."""
    with tempfile.TemporaryDirectory(prefix="greenlab-image-") as folder:
        work = Path(folder)
        write(work, files)
        wanted = packages(files["packages"], suite)
        bootstrap(work, suite, wanted, "root.tar", ["customize customize"])
        labels = {HASH_LABEL: digest, "greenlab.image": suite}
        init = 'CMD=["/usr/local/sbin/lab-init"]'
        podman_import(work / "root.tar", image, labels, init, "STOPSIGNAL=SIGRTMIN+3")


def main() -> None:
    """Build the image, or say that it is there."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("image", help="name and tag for the image")
    parser.add_argument("--suite", choices=SUITES, default=SUITES[0])
    parser.add_argument("--mirror", default="", help="a Debian mirror, where the host's apt has none")
    args = parser.parse_args()
    files = inputs(args.suite, args.mirror)
    recipe = json.dumps([args.suite, files, Path(__file__).read_text()], sort_keys=True)
    digest = hashlib.sha256(recipe.encode()).hexdigest()
    if is_built(args.image, digest):
        print("unchanged")
        return
    build(args.image, args.suite, files, digest)
    prune(args.suite)
    print("built")


if __name__ == "__main__":
    main()
