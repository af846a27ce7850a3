# SPDX-License-Identifier: GPL-3.0-or-later
"""The compose file of a release: no database, no open port, a config.yml of its own."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from ansible.errors import AnsibleFilterError

from ansible_collections.greenlab.cluster.plugins.filter.gmt_compose import gmt_compose

STAND_IN = Path(__file__).resolve().parents[3] / "gmt/v4.1/docker/compose.yml.example"
REAL_GMT = Path(os.environ.get("GMT_REPO", "/nowhere"))
CONFIG = "/etc/gmt-server/config.yml"


def check(example: str) -> dict[str, Any]:
    result = gmt_compose(example, "/opt/gmt", 9999, CONFIG)
    services = result["compose"]["services"]
    assert sorted(services) == ["green-coding-gunicorn", "green-coding-nginx", "green-coding-redis"]
    assert services["green-coding-nginx"]["ports"] == ["127.0.0.1:9999:9142"]
    assert all("ports" not in services[name] for name in services if name != "green-coding-nginx")
    assert all("depends_on" not in service for service in services.values())
    # The last volume wins: it lies over the checkout's own file.
    assert services["green-coding-gunicorn"]["volumes"][-2:] == [
        "/opt/gmt:/var/www/green-metrics-tool:ro",
        f"{CONFIG}:/var/www/green-metrics-tool/config.yml:ro",
    ]
    assert "green-coding-postgres-data" not in result["compose"]["volumes"]
    assert sorted(result["compose"]["volumes"]) == ["green-coding-redis-data", "green-coding-shared-sockets"]
    left = str(result)
    assert "postgres" not in left
    assert "PLEASE_CHANGE_THIS" not in left
    assert "__" not in left
    assert {"nginx/api.conf", "nginx/frontend.conf"} < set(result["sites"])
    return result


def test_stand_in() -> None:
    assert check(STAND_IN.read_text(encoding="utf8"))["sites"] == [
        "nginx/api.conf",
        "nginx/block-and-redirect.conf",
        "nginx/frontend.conf",
    ]


@pytest.mark.parametrize(
    "release", ["v1.4.0", "v2.0", "v2.1", "v2.2", "v2.3", "v2.4", "v2.5", "v2.6", "v3.0", "v4.0", "v4.1", "main"]
)
def test_real_releases(release: str) -> None:
    if not REAL_GMT.is_dir():
        pytest.skip("GMT_REPO does not name a local copy of GMT's repository")
    command = ["git", "-C", str(REAL_GMT), "show", f"{release}:docker/compose.yml.example"]
    check(subprocess.run(command, check=True, capture_output=True, encoding="utf8").stdout)


@pytest.mark.parametrize(
    ("example", "words"),
    [
        ("just a text", "it has no services"),
        ("services: {one: {image: 'postgres:18'}, two: {image: nginx, ports: ['80:80']}}", "but has one, two"),
    ],
)
def test_unknown_file(example: str, words: str) -> None:
    with pytest.raises(AnsibleFilterError, match=words) as error:
        gmt_compose(example, "/opt/gmt", 9142, CONFIG)
    assert "Set gmt_server_mode to native." in str(error.value)
