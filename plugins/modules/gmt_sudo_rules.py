#!/usr/bin/python
# Copyright (c) 2026, the greenlab.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Remove the sudo rules that other installations of GMT have left, and name what else an account may do as root."""

from __future__ import annotations

DOCUMENTATION = r"""
module: gmt_sudo_rules
short_description: Remove sudo rules that other installations of GMT have left
version_added: 0.1.0
description:
  - The installers of the Green Metrics Tool (GMT), and its instructions, write files into C(/etc/sudoers.d) and leave
    them there when another release follows. Many let C(ALL) users of the machine run, as root, a script that its owner
    can change, or C(python3 -m lib.hardware_info_root), which takes the module from the folder one stands in.
  - Removes a file that one of GMT's installers writes, by its exact name, whatever is in it by now.
  - Removes any other file when each rule in it is GMT's. Commands that others use too (C(systemctl suspend),
    C(sysctl -w vm.drop_caches=3), C(ipmi-dcmi), C(shutdown)) count as GMT's only beside one that is without doubt,
    or in a file whose name begins with V(green-coding-) or V(green_coding_).
  - Touches nothing else. A file in which a rule of GMT stands among others is named in a warning, and so is all that
    the account may do beside the rules that are wanted, wherever that is written.
  - Files that sudo itself does not read, because of a C(.) in their names or a C(~) at the end, are left alone.
attributes:
  check_mode:
    support: full
    description: Can run in check_mode and return changed status prediction without modifying target.
  diff_mode:
    support: full
    description: Will return details on what has changed (or possibly needs changing in check_mode), when in diff mode.
options:
  user:
    description: Account that GMT's client runs as. One that does not exist yet may do nothing.
    type: str
    required: true
  keep:
    description: The file with the rules that are wanted. Must be in C(/etc/sudoers.d).
    type: path
    required: true
notes:
  - Needs C(cvtsudoers), which is part of sudo since 1.8.23. Without it (sudo-rs) only files with exact names are
    removed, and a warning says so.
author:
  - the greenlab.cluster contributors (!UNKNOWN)
"""

EXAMPLES = r"""
- name: Remove what other installations of the tool allowed
  greenlab.cluster.gmt_sudo_rules:
    user: gc
    keep: /etc/sudoers.d/green-metrics-tool
"""

RETURN = r"""
removed:
  description: The files that were removed, and what they said.
  returned: success
  type: dict
  sample:
    /etc/sudoers.d/green-coding-hardware-info: ["ALL ALL=(ALL) NOPASSWD:/usr/bin/python3 -m lib.hardware_info_root"]
mixed:
  description: Files that hold a rule of GMT among others. They stay.
  returned: success
  type: list
  elements: str
  sample: ["/etc/sudoers.d/lab"]
others:
  description: What the account may do beside the rules that are wanted, as C(sudo -l) prints it.
  returned: success
  type: list
  elements: str
  sample: ["(ALL : ALL) ALL"]
"""

import json
import platform
import re
import typing as t
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

FOLDER = Path("/etc/sudoers.d")

# What install_linux.sh has written, v0.16 to v4.1.
INSTALLED = {
    "green_coding_hardware_info",
    "ipmi_get_machine_energy_stat",
    "green-coding-hardware-info",
    "green-coding-ipmi-get-machine-energy-stat",
    "green-coding-drop-caches",
    "green-coding-system-checks",
}
NAMED_LIKE_GMT = re.compile(r"green[-_]coding[-_]")

_INTERPRETER = r"(?:/\S+/(?:env +)?(?:python[0-9.]*|bash|sh) +(?:-[IBSu]+ +)*)?"
_CERTAIN = [
    rf"{_INTERPRETER}(?:/\S*)?/tools/cluster/(?:cleanup|maintenance)(?:_original)?\.(?:sh|py)",
    rf"{_INTERPRETER}(?:/\S*)?/lib/(?:hardware_info|system_checks)_root(?:_original)?\.py",
    rf"{_INTERPRETER}/usr/local/bin/green-metrics-tool/\S+\.py",
    rf"{_INTERPRETER}-m lib\.(?:hardware_info|system_checks)_root",
]
_LIKELY = [
    r"/\S+/sysctl -w vm\.drop_caches=3",
    r"/\S+/ipmi-dcmi --get-system-power-statistics",
    r"/\S+/systemctl (?:suspend|poweroff|reboot)",
    r"/\S+/shutdown",
]
# The arguments that GMT gives, any ("*"), or expressly none ("").
_ARGUMENTS = r'(?: --read-rapl-energy-filtering| --update-os-packages| \*| "")?'
CERTAIN = re.compile(f"(?:{'|'.join(_CERTAIN)}){_ARGUMENTS}")
LIKELY = re.compile(f"(?:{'|'.join(_LIKELY)}){_ARGUMENTS}")


def commands_of(document: t.Mapping[str, t.Any]) -> list[str]:
    """Return all commands of what cvtsudoers has made of a file; what is forbidden begins with an exclamation mark."""
    return [
        ("!" if command.get("negated") else "") + str(command.get("command", command))
        for spec in document.get("User_Specs", [])
        for part in spec.get("Cmnd_Specs", [])
        for command in part.get("Commands", [])
    ]


def verdict(name: str, document: t.Mapping[str, t.Any] | None) -> str:
    """Say what becomes of a file: `remove`, `mixed` (named, and kept) or `keep`. No document: it cannot be read."""
    if name in INSTALLED:
        return "remove"
    commands = commands_of(document or {})
    certain = [command for command in commands if CERTAIN.fullmatch(command)]
    only_gmt = all(CERTAIN.fullmatch(command) or LIKELY.fullmatch(command) for command in commands)
    settings = bool((document or {}).get("Defaults"))
    if commands and only_gmt and not settings and (certain or NAMED_LIKE_GMT.match(name)):
        return "remove"
    return "mixed" if certain else "keep"


def is_read_by_sudo(name: str) -> bool:
    """Tell whether sudo reads a file of this name in a folder that is included."""
    return "." not in name and not name.endswith("~")


def rules_in(text: str) -> list[str]:
    """Return the lines that say something."""
    lines = (line.strip() for line in text.replace("\\\n", " ").splitlines())
    return [line for line in lines if line and not re.match(r"#(?![0-9])", line)]


def others_in(listing: str, wanted: t.Iterable[str]) -> list[str]:
    """Return what `sudo -l -U` lists beside the wanted rules."""
    # sudo lists a rule as it is written, but for the backslashes that it adds.
    known = {rule.split(" ALL=", 1)[-1] for rule in wanted}
    listed = [line.strip() for line in listing.splitlines() if re.match(r"\s+\(", line)]
    return [line for line in listed if line.replace("\\", "") not in known]


class SudoRules:
    """The rules of this machine."""

    def __init__(self, module: AnsibleModule) -> None:
        """Keep the module, which runs commands and warns."""
        self.module = module
        self.keep = Path(module.params["keep"])
        self.can_convert = module.get_bin_path("cvtsudoers") is not None

    def document(self, file: Path) -> dict[str, t.Any] | None:
        """Return what is in a file, or None when it cannot be read."""
        if not self.can_convert:
            return None
        status, out, _err = self.module.run_command(["cvtsudoers", "-e", "-f", "json", str(file)])
        # Of a file with comments alone it prints nothing.
        return json.loads(out or "{}") if status == 0 else None

    def sort(self) -> tuple[list[Path], list[Path]]:
        """Return the files to remove, and those where a rule of GMT stands among others."""
        found: dict[str, list[Path]] = {"remove": [], "mixed": [], "keep": []}
        # A first run in check mode may find a machine without sudo.
        for file in sorted(FOLDER.iterdir()) if FOLDER.is_dir() else []:
            if file != self.keep and is_read_by_sudo(file.name) and file.is_file():
                found[verdict(file.name, self.document(file))].append(file)
        return found["remove"], found["mixed"]

    def others(self) -> list[str]:
        """Return what the account may do beside what is wanted."""
        if self.module.get_bin_path("sudo") is None:
            return []
        status, out, _err = self.module.run_command(["sudo", "-n", "-l", "-U", self.module.params["user"]])
        wanted = rules_in(self.keep.read_text(encoding="utf8")) if self.keep.exists() else []
        return others_in(out, wanted) if status == 0 else []


def run(module: AnsibleModule) -> dict[str, t.Any]:
    """Remove what is GMT's, and return the module's result with its warnings."""
    rules = SudoRules(module)
    remove, mixed = rules.sort()
    texts = {str(file): rules_in(file.read_text(encoding="utf8", errors="replace")) for file in remove}
    warnings = (
        [] if rules.can_convert else ["There is no cvtsudoers: sudo rules were looked at by their files' names only."]
    )
    for file in remove:
        if not module.check_mode:
            file.unlink()
        what = "Would remove" if module.check_mode else "Removed"
        warnings.append(
            f"{what} sudo rules that another installation of GMT left, {file}: {'; '.join(texts[str(file)])}"
        )
    warnings += [
        f"{file} holds a sudo rule of another installation of GMT among others, and stays. Remove that rule."
        for file in mixed
    ]
    others = rules.others()
    if others:
        user = module.params["user"]
        warnings.append(
            f"User {user} may do more by sudo than GMT needs: {'; '.join(others)}. Remove it, unless you want it so"
            f" (sudo -l -U {user})."
        )
    return {
        "changed": bool(remove),
        "removed": texts,
        "mixed": [str(file) for file in mixed],
        "others": others,
        "diff": {"before": texts, "after": {}},
        "warnings": warnings,
    }


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={"user": {"type": "str", "required": True}, "keep": {"type": "path", "required": True}},
        supports_check_mode=True,
    )
    result = run(module)
    for warning in result.pop("warnings"):
        module.warn(f"{platform.node()}: {warning}")
    if not module._diff:
        del result["diff"]
    module.exit_json(**result)


if __name__ == "__main__":
    main()
