#!/usr/bin/python
# Copyright (c) 2026, the greenlab.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""List what would disturb a measurement on a machine."""

from __future__ import annotations

DOCUMENTATION = r"""
module: gmt_quiet_info
short_description: List what would disturb a measurement on a machine
version_added: 0.1.0
description:
  - Lists timers, services, packages, cron files, swap and kernel watchdogs of a machine that measures with the Green
    Metrics Tool (GMT), as far as they are not yet as wanted.
  - Reads only. The role P(greenlab.cluster.quiet_os#role) takes away what this module lists.
extends_documentation_fragment: [greenlab.cluster.attributes.reads]
options:
  timers_keep:
    description: Names or shell patterns of timers that are not listed.
    type: list
    elements: str
    default: []
  services:
    description:
      - Services that must neither run nor start at boot. Those that the machine does not have are not listed.
      - C(wpa_supplicant.service) is not listed where the default route is by radio or NetworkManager logs in by 802.1X.
    type: list
    elements: str
    default: []
  masks:
    description: Units that must not start at boot although the distribution wants them, which only a mask prevents.
    type: list
    elements: str
    default: []
  packages:
    description: Debian packages that must not be installed.
    type: list
    elements: str
    default: []
seealso:
  - module: greenlab.cluster.gmt_noise_info
author:
  - the greenlab.cluster contributors (!UNKNOWN)
"""

EXAMPLES = r"""
- name: See which timers and cron files a machine has
  greenlab.cluster.gmt_quiet_info:
    timers_keep: [greenlab-*]
    services: [thermald.service]
  become: true
  register: noise
"""

RETURN = r"""
timers:
  description: Timers that are enabled, active, or pulled in by the distribution.
  returned: success
  type: list
  elements: dict
  sample:
    - name: fstrim.timer
      state: enabled
      active: true
      action: disable
      links: []
    - name: systemd-tmpfiles-clean.timer
      state: static
      active: true
      action: mask
      links: [/etc/systemd/system/timers.target.wants/systemd-tmpfiles-clean.timer]
services:
  description: Those of O(services) that run or would start, in the form of RV(timers).
  returned: success
  type: list
  elements: dict
masks:
  description: Those of O(masks) that are not masked, in the form of RV(timers).
  returned: success
  type: list
  elements: dict
services_in_use:
  description: Those of O(services) that are needed here, with the reason.
  returned: success
  type: dict
  sample: {wpa_supplicant.service: the machine is online by radio}
global_timers:
  description: Timers that start for every account, in the form of RV(timers).
  returned: success
  type: list
  elements: dict
account_timers:
  description: Timers of accounts whose service manager runs. RV(ignore:own) tells its own.
  returned: success
  type: list
  elements: dict
  sample:
    - user: gc
      uid: 1001
      name: launchpadlib-cache-clean.timer
      own: false
      active: true
listed_timers:
  description: What C(systemctl list-timers --all) lists, but for O(timers_keep). GMT warns of each.
  returned: success
  type: list
  elements: str
  sample: [fstrim.timer]
packages:
  description: Those of O(packages) that are installed and can be spared.
  returned: success
  type: list
  elements: str
  sample: [unattended-upgrades]
packages_in_use:
  description: Those that are installed and needed here, with the reason.
  returned: success
  type: dict
  sample: {mdadm: a RAID array is active}
also_removed:
  description: What apt would remove together with RV(packages), since it depends on them.
  returned: success
  type: list
  elements: str
  sample: [ubuntu-server]
orphans:
  description:
    - Packages that nothing asks for any more once RV(packages) and RV(also_removed) are gone, so that C(apt autoremove)
      would take them away.
  returned: success
  type: list
  elements: str
  sample: [git, netplan.io]
snaps:
  description: Installed snaps, in the order in which they can be removed.
  returned: success
  type: list
  elements: dict
  sample:
    - name: lxd
      channel: 5.21/stable
      classic: false
      kind: app
snap_mounts:
  description: Mount points in folders of snaps, the innermost first. Snaps that have one cannot be removed.
  returned: success
  type: list
  elements: str
  sample: [/var/snap/firefox/common/host-hunspell]
cron_files:
  description: Files below C(/etc/cron*) and C(/var/spool/cron).
  returned: success
  type: list
  elements: str
  sample: [/etc/crontab]
motd_files:
  description: Programs that run at each login.
  returned: success
  type: list
  elements: str
  sample: [/etc/update-motd.d/10-uname]
swaps:
  description: Active swap devices and files.
  returned: success
  type: list
  elements: str
  sample: [/swap.img]
fstab_swaps:
  description: Lines of C(/etc/fstab) that switch swap on at boot.
  returned: success
  type: list
  elements: str
  sample: ["/swap.img none swap sw 0 0"]
watchdogs:
  description: The kernel's watchdogs that this kernel has. RV(ignore:writable) is false in a container.
  returned: success
  type: list
  elements: dict
  sample:
    - name: watchdog
      value: 1
      writable: true
network_manager:
  description: Whether the machine has NetworkManager.
  returned: success
  type: bool
  sample: false
container:
  description: Whether the machine is a container, whose kernel and swap are another computer's.
  returned: success
  type: bool
  sample: false
"""

import shutil
import typing as t
from pathlib import Path

from ansible.module_utils.basic import AnsibleModule

from ansible_collections.greenlab.cluster.plugins.module_utils._quiet import look

if t.TYPE_CHECKING:
    from collections.abc import Sequence


def argument_spec() -> dict[str, dict[str, t.Any]]:
    """Return the options of the module."""
    names: dict[str, t.Any] = {"type": "list", "elements": "str", "default": []}
    return {"timers_keep": names, "services": names, "masks": names, "packages": names}


def main() -> None:
    """Run the module."""
    module = AnsibleModule(argument_spec=argument_spec(), supports_check_mode=True)

    def run(command: Sequence[str]) -> str:
        if not shutil.which(command[0]):
            return ""
        # A terminal's colours and a translation would be in the way.
        status, output, errors = module.run_command(
            list(command), environ_update={"LC_ALL": "C", "SYSTEMD_COLORS": "0", "SYSTEMD_LOG_LEVEL": "err"}
        )
        # Silence of these would be taken for a quiet machine; an account's services or snapd may be down.
        if status != 0 and command[0] in ("systemctl", "dpkg-query", "apt-get") and "--user" not in command:
            said = errors.strip() or output.strip() or f"exit status {status}"
            module.fail_json(msg=f"{' '.join(command)} failed: {said}. Mend that on this machine, and try again.")
        return output if status == 0 else ""

    if not Path("/run/systemd/system").is_dir():
        module.fail_json(msg="This machine was not booted by systemd, so its timers and services cannot be silenced.")
    found = look(
        run,
        Path("/"),
        keep=module.params["timers_keep"],
        services=module.params["services"],
        masks=module.params["masks"],
        packages=module.params["packages"],
    )
    module.exit_json(changed=False, **found)


if __name__ == "__main__":
    main()
