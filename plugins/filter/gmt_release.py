# Copyright (c) 2026, the greenlab.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a release of the Green Metrics Tool needs."""

from __future__ import annotations

DOCUMENTATION = r"""
name: gmt_release
short_description: What a release of the Green Metrics Tool needs
version_added: 0.1.0
description:
  - Looks a release up in the collection's one table of differences between releases.
  - Roles ask it for paths, sudo commands, service settings and the like, and never compare versions themselves.
positional: _input
options:
  _input:
    description: A release tag, such as V(v4.1), or V(main).
    type: str
    required: true
seealso:
  - plugin: greenlab.cluster.gmt_config
    plugin_type: filter
"""

EXAMPLES = r"""
- name: Show where the client program stands in this release
  ansible.builtin.debug:
    msg: "{{ ('v0.16' | greenlab.cluster.gmt_release).client_program }}"  # tools/client.py
"""

RETURN = r"""
_value:
  description:
    - The record. C(client_program), C(jobs_program), C(jobs_modes), C(config_paths), C(service), C(helpers), C(sudo),
      C(requirements), C(submodules), C(python), C(packages), C(provider_packages), C(schema_files), C(helpers_dir),
      C(system_checks), C(system_limits), C(control_fails_on), C(postgresql).
    - A release newer than the table gets the newest record, and a warning.
  type: dict
  sample: {"client_program": "cron/client.py", "python": "3.11"}
"""

import typing as t

from ansible.errors import AnsibleFilterError
from ansible.utils.display import Display

from ansible_collections.greenlab.cluster.plugins.plugin_utils import _releases


def gmt_release(release: t.Any) -> dict[str, t.Any]:
    """Return the record of a release, with a warning when it is newer than the table."""
    try:
        record = _releases.merged(str(release))
        if _releases.is_newer_than_known(str(release)):
            Display().warning(
                f"GMT {release} is newer than {_releases.NEWEST_KNOWN}, the newest that this collection knows; "
                "it is treated as that one. Look for a newer collection."
            )
    except _releases.UnknownRelease as error:
        raise AnsibleFilterError(f"gmt_release: {error}") from error
    return record


class FilterModule:
    """Ansible's entry point."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        """Return the filters of this file."""
        return {"gmt_release": gmt_release}
