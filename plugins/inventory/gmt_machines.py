# Copyright (c) 2026, the greenlab.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Hosts from the machines table of the jobs DB."""

from __future__ import annotations

DOCUMENTATION = r"""
name: gmt_machines
short_description: Machines of a GMT cluster from its jobs DB
version_added: 0.1.0
description:
  - Makes a host of each row of the C(machines) table of the Green Metrics Tool (GMT).
  - Hosts are in the group C(available), C(held) or C(retired), and in one of C(idle), C(measuring), C(transient) and
    C(unknown), by what their client reported last. The groups exist when they are empty.
  - Each host has the variables C(gmt_machine_id), C(gmt_machine_description), C(gmt_machine_available),
    C(gmt_machine_jobs_waiting) and so on, one for each value that M(greenlab.cluster.gmt_machine_info) returns.
  - Texts of the table are data, and never taken for a template. No variable tells Ansible how to reach a machine; that
    is for C(host_vars), C(group_vars) or O(compose).
  - Reads the database only and never contacts a machine. A connection that breaks is tried once more.
  - The name of the configuration file must end in C(gmt_machines.yml) or C(gmt_machines.yaml).
notes:
  - Five thousand machines take about half a second. Each expression of O(compose), O(groups) and O(keyed_groups) adds
    about half a millisecond a machine, since Ansible compiles it for each host anew.
extends_documentation_fragment:
  - greenlab.cluster.jobs_db
  - ansible.builtin.constructed
  - ansible.builtin.inventory_cache
options:
  plugin:
    description: Name of the plugin.
    type: str
    required: true
    choices: [greenlab.cluster.gmt_machines]
  hostname:
    description:
      - What a host is named after.
      - V(description), the machine's description in lower case, with a dash for whatever is not a letter without
        accents or a digit, dots too, so that it is never the address of some other computer. One that does not begin
        with a letter gets C(machine-) in front. The result of C(Dell R640) is C(dell-r640). Without anything left, or
        for a word that means something to Ansible (C(all), C(localhost), a group of this plugin), it is
        C(machine<id>).
      - V(id), C(machine<id>).
      - Two machines with one name are an error that names both.
    type: str
    choices: [description, id]
    default: description
  login_password:
    description:
      - Password of O(login_user). May be a vault string, or a template with a lookup, as all options of the connection.
      - Without it libpq looks in E(PGPASSWORD) and its password file, and the server may trust the system user instead.
    type: str
    env:
      - name: GMT_JOBS_DB_PASSWORD
author:
  - the greenlab.cluster contributors (!UNKNOWN)
"""

EXAMPLES = r"""
# inventories/mine/gmt_machines.yml
plugin: greenlab.cluster.gmt_machines
login_host: db.example.org
login_user: reader
login_password: "{{ lookup('ansible.builtin.env', 'READER_PASSWORD') }}"
ssl_mode: verify-full
ca_cert: /etc/ssl/certs/greenlab.pem
compose:
  ansible_host: "'node-%03d.lab.example.org' | format(gmt_machine_id)"
groups:
  busy: gmt_machine_jobs_running > 0 or gmt_machine_jobs_waiting > 0
keyed_groups:
  - key: gmt_machine_gmt_hash | default('none', true)
    prefix: gmt
cache: true
cache_plugin: ansible.builtin.jsonfile
cache_connection: .cache
cache_timeout: 60
"""

import re
import typing as t
import unicodedata

from ansible.errors import AnsibleParserError
from ansible.plugins.inventory import BaseInventoryPlugin, Cacheable, Constructable
from ansible.utils.unsafe_proxy import wrap_var

from ansible_collections.greenlab.cluster.plugins.module_utils._jobs_db import (
    JobsDBError,
    jobs_db_argument_spec,
    report,
)
from ansible_collections.greenlab.cluster.plugins.module_utils._machine_state import STATES
from ansible_collections.greenlab.cluster.plugins.module_utils._machines import read_machines

if t.TYPE_CHECKING:
    from collections.abc import Sequence

    from ansible.inventory.data import InventoryData
    from ansible.parsing.dataloader import DataLoader

    from ansible_collections.greenlab.cluster.plugins.module_utils._jobs_db import Row

GROUPS = ["available", "held", "retired", *STATES]

RESERVED = {"all", "ungrouped", "localhost", *GROUPS}

# Whatever a client or an operator wrote there; the rest is a number, a time or a word of ours.
FREE_TEXT = {
    "description",
    "status_code",
    "last_status",
    "running_job",
    "gmt_hash",
    "shutdown_on_job_no",
    "held_by",
    "held_for",
}

# A DNS label has no more; longer names are cut, and may then be the same.
MAX_LENGTH = 63


def host_name(machine_id: int, description: str) -> str:
    """Return a name that is one DNS label, and neither an address nor a word of Ansible's."""
    plain = unicodedata.normalize("NFKD", description).encode("ascii", "ignore").decode()
    name = re.sub(r"[^a-z0-9]+", "-", plain.lower()).strip("-")
    if not name or name in RESERVED:
        return f"machine{machine_id}"
    if not name[0].isalpha():
        name = f"machine-{name}"
    return name[:MAX_LENGTH].rstrip("-")


def named(machines: Sequence[Row], hostname: str) -> dict[str, Row]:
    """Return the machines by host name; raise `JobsDBError` with all names that two machines would have."""
    found: dict[str, Row] = {}
    collisions = []
    for machine in machines:
        name = host_name(machine["id"], machine["description"] or "") if hostname == "description" else None
        other = found.setdefault(name or f"machine{machine['id']}", machine)
        if other is not machine:
            collisions.append(
                f"Machines {other['id']} ({other['description']!r}) and {machine['id']} ({machine['description']!r})"
                f" would both be host {name}."
            )
    if collisions:
        raise JobsDBError(" ".join([*collisions, "Rename one of each (gmt_machine), or set hostname: id."]))
    return found


class InventoryModule(BaseInventoryPlugin, Constructable, Cacheable):
    """Hosts from the machines table of the jobs DB."""

    NAME = "greenlab.cluster.gmt_machines"

    def verify_file(self, path: str) -> bool:
        """Tell whether the file is ours, by its name."""
        return super().verify_file(path) and path.endswith(("gmt_machines.yml", "gmt_machines.yaml"))

    def parse(self, inventory: InventoryData, loader: DataLoader, path: str, cache: bool = True) -> None:
        """Fill the inventory from the cache or from the jobs DB."""
        super().parse(inventory, loader, path, cache)
        self._read_config_data(path)
        try:
            self._populate(named(self._machines(path, cache), self.get_option("hostname")))
        except JobsDBError as exc:
            raise AnsibleParserError(f"{path}: {exc}") from exc

    def _machines(self, path: str, cache: bool) -> list[Row]:
        """Return the rows; `cache` is False when the user wants them anew (--flush-cache, meta: refresh_inventory)."""
        wanted = self.get_option("cache")
        key = self.get_cache_key(path)
        if wanted and cache:
            try:
                return self._cache[key]
            except KeyError:
                pass
        machines = report(self._login(), read_machines)
        if wanted:
            self._cache[key] = machines
        return machines

    def _login(self) -> dict[str, t.Any]:
        login = {name: self.get_option(name) for name in jobs_db_argument_spec()}
        return {
            name: self.templar.template(value) if isinstance(value, str) else value for name, value in login.items()
        }

    def _populate(self, machines: dict[str, Row]) -> None:
        inventory = self.inventory
        for group in GROUPS:
            inventory.add_group(group)
        compose, keyed_groups = self.get_option("compose"), self.get_option("keyed_groups")
        groups, strict = self.get_option("groups"), self.get_option("strict")
        for host, row in machines.items():
            inventory.add_host(host)
            inventory.add_child("held" if row["held_by"] else "available" if row["available"] else "retired", host)
            inventory.add_child(row["state"], host)
            for name, value in row.items():
                inventory.set_variable(host, f"gmt_machine_{name}", wrap_var(value) if name in FREE_TEXT else value)
            if compose or groups or keyed_groups:
                variables = inventory.get_host(host).get_vars()
                self._set_composite_vars(compose, variables, host, strict=strict)
                self._add_host_to_composed_groups(groups, variables, host, strict=strict)
                self._add_host_to_keyed_groups(keyed_groups, variables, host, strict=strict)
