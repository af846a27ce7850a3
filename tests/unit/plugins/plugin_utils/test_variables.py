# SPDX-License-Identifier: GPL-3.0-or-later
"""Which templates are read once for all hosts, and which for each, by Ansible's own templating engine."""

from __future__ import annotations

from typing import Any

import pytest
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar

from ansible_collections.greenlab.cluster.plugins.plugin_utils import _variables

try:
    from ansible.template import trust_as_template
except ImportError:  # ansible-core 2.18

    def trust_as_template(value: str) -> str:
        return value


class HostVars(dict[str, Any]):
    """What Ansible's own does for us."""

    def raw_get(self, host: str) -> dict[str, Any]:
        return self[host]


@pytest.mark.parametrize(
    ("template", "times", "values"),
    [
        ("{{ hostvars['server'].ansible_host }}", 1, ["192.0.2.1", "192.0.2.1"]),
        ("{{ shared }}", 1, ["same", "same"]),
        ("{{ ansible_host }}", 2, ["192.0.2.11", "192.0.2.12"]),
        ("{{ hostvars[name].ansible_host }}", 2, ["192.0.2.11", "192.0.2.12"]),
        ("{{ through }}", 2, ["192.0.2.11", "192.0.2.12"]),
        ("{{ dictionary.ansible_host ~ name }}", 2, ["xone", "xtwo"]),
        ("{{ lookup('vars', 'na' ~ 'me') }}", 2, ["one", "two"]),
    ],
)
def test_a_template_is_read_once_where_no_host_can_change_it(
    monkeypatch: Any, template: str, times: int, values: list[str]
) -> None:
    shared = {
        "asked": trust_as_template(template),
        "shared": "same",
        "through": trust_as_template("{{ ansible_host }}"),
        "dictionary": {"ansible_host": "x"},
    }
    hostvars = HostVars(server={"ansible_host": "192.0.2.1"})
    for number, name in enumerate(("one", "two"), start=11):
        hostvars[name] = {**shared, "name": name, "ansible_host": f"192.0.2.{number}"}
    read = []
    once = _variables.Variables._template

    def counted(self: Any, raw: Any, names: set[str]) -> Any:
        read.append(raw)
        return once(self, raw, names)

    monkeypatch.setattr(_variables.Variables, "_template", counted)
    of_host = _variables.of_hosts({"hostvars": hostvars}, Templar(DataLoader()))
    found = [of_host(name).read("asked") for name in ("one", "two")]
    assert [value.value or value.problem for value in found if value] == values
    assert len(read) == times
