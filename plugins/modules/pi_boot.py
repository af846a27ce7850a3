#!/usr/bin/python
# Copyright (c) 2026, the greenlab.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Set what a Raspberry Pi reads at boot: words of cmdline.txt and settings of config.txt."""

from __future__ import annotations

DOCUMENTATION = r"""
module: pi_boot
short_description: Edit config.txt and cmdline.txt of a Raspberry Pi
version_added: 0.1.0
description:
  - Sets and removes words of the kernel's command line (C(cmdline.txt)) and settings of the firmware (C(config.txt)),
    and keeps what others wrote - comments, order, sections such as C([pi4]), line ends.
  - C(cmdline.txt) stays one line. A file with more is an error, because the firmware would read the first one only.
  - Before the first change a file is copied to a name that ends in C(.before-greenlab), on the same card, where it can
    be put back on any computer. A new file takes the old one's place in one step.
  - Files that a setting of config.txt includes are not read. What they say counts at the place of the C(include).
attributes:
  check_mode:
    description: Can run in C(check_mode) and return changed status prediction without modifying target.
    support: full
  diff_mode:
    description: Returns details on what has changed (or possibly needs changing in C(check_mode)), when in diff mode.
    support: full
options:
  cmdline:
    description:
      - Words for the kernel's command line, such as V(fsck.repair=yes) or V(quiet). A value with blanks is in double
        quotes.
      - A word takes the place of the words with the same name, or is added at the end, before C(--).
      - Several words of one name are written beside each other.
    type: list
    elements: str
    default: []
  cmdline_absent:
    description: Names, of which all words are removed (V(quiet), V(fsck.repair)), or whole words (V(console=tty1)).
    type: list
    elements: str
    default: []
  repeated:
    description: Names whose words are added beside those that are there, instead of taking their place.
    type: list
    elements: str
    default: [cgroup_disable, cgroup_enable, console, earlycon, memmap, video]
  config:
    description:
      - Settings for config.txt.
      - Where a setting stands several times in one section, the last one is changed, as the firmware obeys that.
    type: list
    elements: dict
    default: []
    suboptions:
      name:
        description:
          - Name of the setting.
          - Each parameter in a V(dtparam) counts for itself. A new one is written before overlays, which would take it.
          - Lines of V(dtoverlay), V(gpio) and V(include) are compared as a whole, and stand beside each other.
        type: str
        required: true
      value:
        description: Its value, up to 98 characters with the name. Needed unless O(config[].state=absent).
        type: str
      section:
        description: The filter that it stands under, such as V(pi4), without brackets. V(all) is where none holds.
        type: str
        default: all
      state:
        description: V(absent) removes all lines of this name, or those with this value, from the section.
        type: str
        choices: [present, absent]
        default: present
  folder:
    description:
      - Where the files are. If not given, C(/boot/firmware), or C(/boot) on systems before 2023.
      - An error if there is none.
    type: path
author:
  - the greenlab.cluster contributors (!UNKNOWN)
"""

EXAMPLES = r"""
- name: Repair file systems without asking, and keep the hardware watchdog
  greenlab.cluster.pi_boot:
    cmdline: [fsck.repair=yes]
    config:
      - {name: dtparam, value: watchdog=on}
      - {name: arm_boost, value: "1", section: pi4}
      - {name: dtoverlay, value: disable-bt}

- name: Take the console away
  greenlab.cluster.pi_boot:
    cmdline_absent: [console=tty1, splash]
"""

RETURN = r"""
reboot_required:
  description:
    - Whether a file was changed, or the kernel runs with other words than O(cmdline) and O(cmdline_absent) ask for.
  returned: success
  type: bool
folder:
  description: Where the files are.
  returned: success
  type: str
  sample: /boot/firmware
backup_files:
  description: Copies from before the first change that there are.
  returned: success
  type: list
  elements: str
  sample: [/boot/firmware/cmdline.txt.before-greenlab]
"""

import platform
import typing as t
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.greenlab.cluster.plugins.module_utils._pi_boot import (
    MOVED,
    BootFileError,
    Config,
    edit_cmdline,
    flaw_of_setting,
    flaw_of_word,
    key_of,
    words_of,
    write,
)

FOLDERS = [Path("/boot/firmware"), Path("/boot")]
RUNNING = Path("/proc/cmdline")
BACKUP = ".before-greenlab"

ARGUMENT_SPEC: dict[str, dict[str, t.Any]] = {
    "cmdline": {"type": "list", "elements": "str", "default": []},
    "cmdline_absent": {"type": "list", "elements": "str", "default": []},
    "repeated": {
        "type": "list",
        "elements": "str",
        "default": ["cgroup_disable", "cgroup_enable", "console", "earlycon", "memmap", "video"],
    },
    "config": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {
            "name": {"type": "str", "required": True},
            "value": {"type": "str"},
            "section": {"type": "str", "default": "all"},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
        },
    },
    "folder": {"type": "path"},
}

Params = t.Mapping[str, t.Any]


def folder_of(params: Params) -> Path:
    """Return where the boot files are."""
    asked = [Path(params["folder"])] if params["folder"] else FOLDERS
    for folder in asked:
        if any((folder / name).is_file() for name in ("cmdline.txt", "config.txt")):
            return folder
    places = " or ".join(str(folder) for folder in asked)
    raise BootFileError(
        f"There is neither cmdline.txt nor config.txt in {places}: this is no Raspberry Pi, or its boot partition is"
        " not mounted."
    )


def check(params: Params) -> None:
    """Refuse what would spoil a file, naming option and value."""
    for option in ("cmdline", "cmdline_absent"):
        for word in params[option]:
            flaw = "is empty" if not word else flaw_of_word(word)
            if flaw:
                raise BootFileError(f"{option}: {word!r} {flaw}.")
    both = sorted(set(params["cmdline"]) & set(params["cmdline_absent"]))
    both += sorted(
        {key_of(word) for word in params["cmdline"]} & {key_of(w) for w in params["cmdline_absent"] if "=" not in w}
    )
    if both:
        raise BootFileError(
            f"cmdline and cmdline_absent both have {', '.join(dict.fromkeys(both))}. Take it out of one."
        )
    for setting in params["config"]:
        flaw = flaw_of_setting(setting)
        if flaw:
            raise BootFileError(f"config: {setting} {flaw}.")


def read(path: Path) -> str:
    """Return a boot file's text, whatever bytes are in it."""
    try:
        with path.open(encoding="utf8", errors="surrogateescape", newline="") as stream:
            text = stream.read()
    except FileNotFoundError as exc:
        raise BootFileError(f"{path} is not there. Restore it, or give the folder that has it.") from exc
    moved = MOVED.search(text)
    if moved:
        raise BootFileError(
            f"{path} only says that it has moved to {moved[1]}, which is not there. Mount the boot partition."
        )
    return text


def new_texts(params: Params, folder: Path) -> dict[Path, tuple[str, str]]:
    """Return for each file that something is asked of what it says, and what it shall say."""
    texts: dict[Path, tuple[str, str]] = {}
    if params["cmdline"] or params["cmdline_absent"]:
        path = folder / "cmdline.txt"
        before = read(path)
        try:
            texts[path] = before, edit_cmdline(before, params["cmdline"], params["cmdline_absent"], params["repeated"])
        except BootFileError as exc:
            raise BootFileError(f"{path} {exc}.") from exc
    if params["config"]:
        path = folder / "config.txt"
        before = read(path)
        config = Config(before)
        for setting in params["config"]:
            config.apply(setting)
        texts[path] = before, config.text()
    return texts


def install(path: Path, before: str, after: str) -> None:
    """Keep the first version, and write the new one."""
    backup = path.with_name(path.name + BACKUP)
    try:
        if not backup.exists():
            write(backup, before.encode("utf8", "surrogateescape"))
        write(path, after.encode("utf8", "surrogateescape"))
    except OSError as exc:
        raise BootFileError(
            f"{path} cannot be written: {exc.strerror}. If the partition is read-only, mount it writable; if it is"
            " full, make room."
        ) from exc


def runs_otherwise(params: Params) -> bool:
    """Tell whether the running kernel lacks a word, or has one that was to go."""
    try:
        words = words_of(RUNNING.read_text(encoding="utf8"))
    except (OSError, BootFileError):
        return False
    gone = params["cmdline_absent"]
    return any(word not in words for word in params["cmdline"]) or any(
        word in gone or key_of(word) in {key_of(name) for name in gone if "=" not in name} for word in words
    )


def run(params: Params, check_mode: bool) -> dict[str, t.Any]:
    """Edit the files, and return the module's result."""
    check(params)
    folder = folder_of(params)
    texts = new_texts(params, folder)
    changed = {path: both for path, both in texts.items() if both[0] != both[1]}
    for path, (before, after) in changed.items():
        if not check_mode:
            install(path, before, after)
    return {
        "changed": bool(changed),
        "reboot_required": bool(changed) or runs_otherwise(params),
        "folder": str(folder),
        "backup_files": [str(path) for path in sorted(folder.glob(f"*{BACKUP}"))],
        "diff": [
            {"before_header": str(path), "after_header": str(path), "before": before, "after": after}
            for path, (before, after) in changed.items()
        ],
    }


def main() -> None:
    """Run the module."""
    module = AnsibleModule(argument_spec=ARGUMENT_SPEC, supports_check_mode=True)
    try:
        result = run(module.params, module.check_mode)
    except BootFileError as exc:
        module.fail_json(msg=f"{platform.node()}: {exc}")
    if not module._diff:
        del result["diff"]
    module.exit_json(**result)


if __name__ == "__main__":
    main()
