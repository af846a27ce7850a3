# SPDX-License-Identifier: GPL-3.0-or-later
"""An emulated computer in a container: its mains, its power button and its network cards.

``vm run`` is the container's first process: it ends when the computer is off, and killing it is a power cut.
``vm ask COMMAND`` speaks to the emulator (QMP): system_powerdown, system_wakeup, query-status.
``vm probe`` prints ``kvm`` where this computer's processor boots a guest, else ``tcg``.

LAB_NODE (JSON) says what computer: name, memory (MB), cpus, disk, accelerator, cards (card, mac, address; the first
has the way out), gateway, hosts, key, time_server.
"""

from __future__ import annotations

import io
import json
import os
import socket
import subprocess
import sys
import tarfile
import time
from pathlib import Path

VM = Path("/vm")
QMP = "/run/qmp"
NODE_FILES = "/run/node.tar"
KERNEL_WORDS = (
    "root=/dev/vda rw console=ttyS0 net.ifnames=0 loglevel=4",
    "systemd.mask=serial-getty@ttyS0.service",  # nobody logs in there
    "systemd.default_device_timeout_sec=600",  # devices are slow to come where a busy computer emulates them
)
PROBE_LIMIT = 20  # seconds; a guest that boots needs three


def accelerator(name: str) -> list[str]:
    """Return QEMU's words for the processor."""
    return ["-accel", "kvm", "-cpu", "host"] if name == "kvm" else ["-accel", "tcg,thread=multi", "-cpu", "max"]


def command(node: dict) -> list[str]:
    """Return QEMU's command line."""
    cards = [
        word
        for number, card in enumerate(node["cards"])
        for word in (
            *("-netdev", f"tap,id=net{number},ifname=tap{number},script=no,downscript=no"),
            *("-device", f"{node.get('card_model', 'virtio-net-pci')},netdev=net{number},mac={card['mac']}"),
        )
    ]
    return [
        "qemu-system-x86_64",
        *("-machine", "q35", *accelerator(node["accelerator"])),
        *("-smp", str(node["cpus"]), "-m", str(node["memory"])),
        *("-nodefaults", "-display", "none", "-serial", "stdio"),
        *("-qmp", f"unix:{QMP},server=on,wait=off"),
        *("-drive", f"file={VM}/disk.qcow2,format=qcow2,if=virtio,discard=unmap,cache=unsafe"),
        *cards,
        *("-device", "virtio-rng-pci"),
        *("-fw_cfg", f"name=opt/greenlab/node,file={NODE_FILES}"),
        *("-kernel", f"{VM}/vmlinuz", "-initrd", f"{VM}/initrd.img"),
        *("-append", " ".join(KERNEL_WORDS)),
    ]


def files(node: dict, resolv_conf: str) -> dict[str, str]:
    """Return what tells this node from its image, by path."""
    networks = {}
    for number, card in enumerate(node["cards"]):
        network = [f"Address={card['address']}/24", "LinkLocalAddressing=no"]
        if number == 0 and node["gateway"]:
            network.append(f"Gateway={node['gateway']}")
        lines = ["[Match]", f"MACAddress={card['mac']}", "", "[Network]", *network, ""]
        networks[f"etc/systemd/network/10-{card['card']}.network"] = "\n".join(lines)
    return {
        "etc/hostname": f"{node['name']}\n",
        "etc/hosts": f"127.0.0.1 localhost\n{node['hosts']}",
        "etc/resolv.conf": resolv_conf,
        "etc/systemd/timesyncd.conf.d/lab.conf": f"[Time]\nNTP={node['time_server']}\n",
        "home/operator/.ssh/authorized_keys": f"{node['key']}\n",
        **networks,
    }


def archive(texts: dict[str, str]) -> bytes:
    """Return a tar archive of files; those in a home belong to its user."""
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w") as tar:
        for path, text in texts.items():
            owner = path.split("/")[1] if path.startswith("home/") else "root"
            if owner != "root":
                folder = tarfile.TarInfo(os.path.dirname(path))
                folder.type, folder.mode, folder.uname, folder.gname = tarfile.DIRTYPE, 0o700, owner, owner
                tar.addfile(folder)
            file = tarfile.TarInfo(path)
            file.mtime = int(time.time())
            file.size, file.mode, file.uname, file.gname = len(text.encode()), 0o644, owner, owner
            tar.addfile(file, io.BytesIO(text.encode()))
    return data.getvalue()


def ask(what: str, path: str = QMP) -> dict:
    """Tell the emulator what to do; return its answer. Events in between are no answer."""
    with socket.socket(socket.AF_UNIX) as qmp:
        qmp.settimeout(10)
        qmp.connect(path)
        lines = qmp.makefile("rw")
        answer = {}
        for execute in ("qmp_capabilities", what):
            lines.write(json.dumps({"execute": execute}) + "\n")
            lines.flush()
            answer = next(found for found in map(json.loads, lines) if "return" in found or "error" in found)
        return answer


def wire(node: dict) -> None:
    """Give the container's network cards to the computer: the container itself has no address any more."""
    for number, card in enumerate(node["cards"]):
        bridge = f"lab{number}"
        for words in (
            f"link add {bridge} type bridge",
            f"addr flush dev {card['card']}",
            f"link set {card['card']} master {bridge}",
            # podman's bridge sends broadcasts back to where they came from: the computer must not seem to be out there.
            f"link set {card['card']} type bridge_slave learning off",
            f"tuntap add dev tap{number} mode tap",
            f"link set tap{number} master {bridge} up",
            f"link set {bridge} up",
        ):
            subprocess.run(["ip", *words.split()], check=True)


def run() -> int:
    """Be the computer until it is off."""
    node = json.loads(os.environ["LAB_NODE"])
    disk = VM / "disk.qcow2"
    if not disk.exists():
        create = ["qemu-img", "create", "-q", "-f", "qcow2", "-F", "qcow2", "-b", "root.qcow2", str(disk), node["disk"]]
        subprocess.run(create, check=True)
    wire(node)
    Path(NODE_FILES).write_bytes(archive(files(node, Path("/etc/resolv.conf").read_text())))
    with subprocess.Popen(command(node), stdin=subprocess.DEVNULL) as emulator:
        return emulator.wait()


def probe() -> str:
    """Boot a kernel that finds no disk: it panics and reboots, which ends the emulator, unless the processor hangs."""
    if not os.path.exists("/dev/kvm"):
        return "tcg"
    words = [*accelerator("kvm"), "-m", "256", "-nodefaults", "-display", "none", "-no-reboot"]
    boot = ["qemu-system-x86_64", *words, "-kernel", f"{VM}/vmlinuz", "-append", "panic=-1"]
    try:
        done = subprocess.run(boot, stdin=subprocess.DEVNULL, stdout=sys.stderr, timeout=PROBE_LIMIT, check=False)
    except subprocess.TimeoutExpired:
        return "tcg"
    return "tcg" if done.returncode else "kvm"


def main() -> None:
    """Do what the first argument says."""
    action = sys.argv[1]
    if action == "run":
        sys.exit(run())
    if action == "probe":
        print(probe())
    else:
        answer = ask(sys.argv[2])
        print(json.dumps(answer))
        sys.exit("error" in answer)


if __name__ == "__main__":
    main()
