# Copyright (c) 2026, the greenlab.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A release's own compose file, made fit for a server whose jobs DB is elsewhere and whose nginx stands before it.

Source: docker/compose.yml.example of GMT v1.4 to main of August 2026, and what install_linux.sh makes of it.
"""

from __future__ import annotations

import re
import typing as t

import yaml

# Where the web server of the compose file listens in its container, and where the tool is there.
INNER_PORT = "9142"
INNER_DIR = "/var/www/green-metrics-tool"


class UnknownCompose(ValueError):
    """The file is not put together as those of the known releases are."""

    def __init__(self, flaw: str) -> None:
        super().__init__(
            f"docker/compose.yml.example of this release is not understood: {flaw}. Set gmt_server_mode to native."
        )


def build(example: str, directory: str, port: int, config: str) -> dict[str, t.Any]:
    """Return the compose file as a mapping; raise `UnknownCompose` for one that is put together in another way."""
    text = example.replace("PATH_TO_GREEN_METRICS_TOOL_REPO", directory).replace("__TZ__", "Etc/UTC")
    compose = yaml.safe_load(text)
    services = compose.get("services") if isinstance(compose, dict) else None
    if not isinstance(services, dict):
        raise UnknownCompose("it has no services")
    databases = {name for name, service in services.items() if _image(service) == "postgres"}
    kept = {name: service for name, service in services.items() if name not in databases}
    web = [name for name, service in kept.items() if f"{INNER_PORT}:{INNER_PORT}" in service.get("ports", [])]
    api = [name for name, service in kept.items() if "build" in service]
    if len(databases) != 1 or len(web) != 1 or len(api) != 1:
        raise UnknownCompose(
            "it should have one service of image postgres, one with a build, and one with port"
            f" {INNER_PORT}:{INNER_PORT}, but has {', '.join(services)}"
        )
    for service in kept.values():
        # Only the host's nginx calls in; redis is for the API alone.
        service.pop("ports", None)
        waits_for = [name for name in service.pop("depends_on", []) if name not in databases]
        if waits_for:
            service["depends_on"] = waits_for
    kept[web[0]]["ports"] = [f"127.0.0.1:{port}:{INNER_PORT}"]
    kept[api[0]]["volumes"] = [*kept[api[0]].get("volumes", []), f"{config}:{INNER_DIR}/config.yml:ro"]
    sources = {str(volume).split(":", maxsplit=1)[0] for service in kept.values() for volume in service["volumes"]}
    return {
        "services": kept,
        "volumes": {name: value for name, value in (compose.get("volumes") or {}).items() if name in sources},
    }


def sites(compose: dict[str, t.Any]) -> list[str]:
    """Return the files of nginx, below the folder of the compose file, that are made from an example."""
    volumes = [str(volume) for service in compose["services"].values() for volume in service["volumes"]]
    found = [re.match(r"\./(nginx/[^:]+\.conf):/etc/nginx/conf\.d/", volume) for volume in volumes]
    return sorted(match[1] for match in found if match)


def _image(service: dict[str, t.Any]) -> str:
    return str(service.get("image", "")).split(":", maxsplit=1)[0].rsplit("/", maxsplit=1)[-1]
