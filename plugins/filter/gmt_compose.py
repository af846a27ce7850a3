# Copyright (c) 2026, the greenlab.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The release's own compose file for a web server; what is changed in it is in plugin_utils/_compose.py."""

from __future__ import annotations

DOCUMENTATION = r"""
name: gmt_compose
short_description: Make a release's compose file fit for a web server
version_added: 0.1.0
description:
  - Takes C(docker/compose.yml.example) of a release of the Green Metrics Tool, v1.4 or newer.
  - Leaves its database out, since the jobs DB is a server of its own.
  - Publishes the port of its web server on the loopback address only, and no other port.
  - Gives the API a C(config.yml) of its own. The time zone of the containers is UTC.
  - Fails on a file that is not put together as those of the known releases.
positional: _input, directory, port, config
options:
  _input:
    description: Text of the example.
    type: str
    required: true
  directory:
    description: Folder of the checkout.
    type: str
    required: true
  port:
    description: TCP port of the host, on its loopback address, for the web server.
    type: int
    required: true
  config:
    description: File of the host that the API reads as its C(config.yml).
    type: str
    required: true
seealso:
  - plugin: greenlab.cluster.gmt_config
    plugin_type: filter
"""

EXAMPLES = r"""
- name: Show which services would run
  ansible.builtin.debug:
    msg: "{{ (example | greenlab.cluster.gmt_compose('/opt/gmt', 9142, '/etc/gmt.yml')).compose.services | list }}"
"""

RETURN = r"""
_value:
  description:
    - C(compose) is the content of the compose file.
    - C(sites) are the files of its web server, below the folder of the compose file, that must be made from the
      release's examples.
  type: dict
  sample: {"compose": {"services": {}, "volumes": {}}, "sites": ["nginx/api.conf"]}
"""

import typing as t

from ansible.errors import AnsibleFilterError

from ansible_collections.greenlab.cluster.plugins.plugin_utils import _compose


def gmt_compose(example: str, directory: str, port: int, config: str) -> dict[str, t.Any]:
    """Return the compose file and what belongs to it, or fail with what is unknown about it."""
    try:
        compose = _compose.build(example, directory, int(port), config)
    except _compose.UnknownCompose as error:
        raise AnsibleFilterError(f"gmt_compose: {error}") from error
    return {"compose": compose, "sites": _compose.sites(compose)}


class FilterModule:
    """Hand the filter to Ansible."""

    def filters(self) -> dict[str, t.Callable[..., t.Any]]:
        """Return the filters of this file by name."""
        return {"gmt_compose": gmt_compose}
