# Copyright (c) 2026, the greenlab.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""GMT's config.yml: the release's own example, the inventory's values over it, checked."""

from __future__ import annotations

import copy
import re
import typing as t
from collections.abc import Collection, Iterator

# The tool puts these into a connection string as they are, where a space or a quote would end them.
_DB_KEYS = {"host": "db_host", "port": "db_port", "dbname": "db_name", "user": "db_user", "password": "db_password"}
_BREAKS_CONNECTION_STRING = re.compile(r"[\s'\\]")


class InvalidConfig(ValueError):
    """The configuration would make the client fail or measure under a wrong name."""


def set_path(config: dict[str, t.Any], path: str, value: t.Any) -> None:
    """Set a dotted path, making the dictionaries on the way (an empty key in YAML is None, not a dictionary)."""
    *parents, last = path.split(".")
    for key in parents:
        if not isinstance(config.get(key), dict):
            config[key] = {}
        config = config[key]
    config[last] = value


def get_path(config: t.Any, path: str) -> t.Any:
    """Return the value at a dotted path, None where there is none."""
    for key in path.split("."):
        if not isinstance(config, dict) or key not in config:
            return None
        config = config[key]
    return config


def overlay(base: dict[str, t.Any], over: dict[str, t.Any]) -> dict[str, t.Any]:
    """Return ``base`` with ``over`` merged in; dictionaries are merged, everything else is replaced."""
    result = dict(base)
    for key, value in over.items():
        if isinstance(value, dict) and isinstance(result.get(key), dict):
            result[key] = overlay(result[key], value)
        else:
            result[key] = copy.deepcopy(value)
    return result


def problems(config: dict[str, t.Any], prefix: str) -> list[str]:
    """Return what is wrong with any configuration, each with its remedy. No value of a secret is in it."""
    found = []
    for key, name in _DB_KEYS.items():
        value = get_path(config, f"postgresql.{key}")
        if value in (None, ""):
            found.append(f"postgresql.{key} is empty. Set {prefix}{name}.")
        elif _BREAKS_CONNECTION_STRING.search(str(value)):
            found.append(
                f"postgresql.{key} has a space, a quote or a backslash, which the tool cannot pass on to PostgreSQL. "
                f"Choose another {prefix}{name}."
            )
    return found


def machine_problems(config: dict[str, t.Any], release: dict[str, t.Any]) -> list[str]:
    """Return what is wrong with the configuration of a measurement machine beside that."""
    config_paths = release["config_paths"]
    found = []
    machine_id = get_path(config, config_paths["machine_id"])
    if isinstance(machine_id, bool) or not isinstance(machine_id, int):
        found.append(
            f"{config_paths['machine_id']} = {machine_id!r} is not an integer. "
            "Set gmt_machine_id to a whole number without quotes."
        )
    description = get_path(config, config_paths["machine_description"])
    if not isinstance(description, str) or not description.strip():
        found.append(f"{config_paths['machine_description']} is empty. Set gmt_machine_description.")
    sleep_time = get_path(config, config_paths["client_sleep_time"])
    if isinstance(sleep_time, bool) or not isinstance(sleep_time, int) or sleep_time < 1:
        found.append(
            f"{config_paths['client_sleep_time']} = {sleep_time!r} is not a number of seconds. "
            "Set gmt_client_sleep_time to a whole number of at least 1."
        )
    for path in release["config_required"]:
        if get_path(config, path) in (None, False, ""):
            found.append(f"{path} is not set, and without it a client of {release['release']} ends at once. "
                         "Set it in gmt_config.")
    return found


def walk(config: t.Any, prefix: str = "") -> Iterator[tuple[str, t.Any]]:
    """Go through every key below, as its dotted path and its value."""
    if isinstance(config, dict):
        for key, value in config.items():
            yield f"{prefix}{key}", value
            yield from walk(value, f"{prefix}{key}.")


def threshold_problems(config: dict[str, t.Any]) -> list[str]:
    """Return the thresholds that are no numbers; the client compares them only after hours of work."""
    return [
        f"{path} = {value!r} is not a number. Set it in gmt_config, without quotes."
        for path, value in walk(config)
        if path.endswith("threshold") and (isinstance(value, bool) or not isinstance(value, (int, float)))
    ]


def provider_problems(
    config: dict[str, t.Any], release: dict[str, t.Any], providers: Collection[str]
) -> list[str]:
    """Return the metric providers of a Linux machine that the checkout does not have.

    ``providers`` are their folders in the checkout, such as ``cpu/utilization/procfs/system``.
    """
    path, key = release["config_paths"]["metric_providers"], release["provider_key"]
    found = []
    for architecture in ("linux", "common"):
        names = [str(name) for name in get_path(config, f"{path}.{architecture}") or {}]
        folders = {name: match[1].replace(key["separator"], "/") for name in names
                   if (match := re.fullmatch(key["pattern"], name))}
        unknown = [name for name in names if folders.get(name) not in providers]
        if unknown:
            found.append(
                f"{path}.{architecture} names what is no metric provider of {release['release']}: "
                f"{', '.join(unknown)}. Correct gmt_metric_providers; this release spells them like {key['example']}."
            )
    return found


def build(
    example: dict[str, t.Any],
    values: dict[str, t.Any],
    release: dict[str, t.Any],
    extra: dict[str, t.Any],
    part: str = "machine",
    *,
    providers: Collection[str] | None = None,
) -> dict[str, t.Any]:
    """Return the whole configuration.

    ``values`` are set where the release's ``config_paths`` say; one that is None is left as the example has it, one
    that the release has no place for is left out. ``extra`` is merged over everything. Raises InvalidConfig.

    ``providers`` are the folders of the checkout's metric providers; None leaves their names unchecked.

    ``part`` is what the host is. A ``server`` is no machine: it gets no number, so that it can never take the jobs of
    the machine whose number the example has.
    """
    config_paths = release["config_paths"]
    config = copy.deepcopy(example)
    for path, fix in release["config_fixes"].items():
        if get_path(config, path) == fix["from"]:
            set_path(config, path, fix["to"])
    for name, value in values.items():
        if name == "postgresql":
            config[name] = overlay(config.get(name) or {}, value)
        elif value is not None and name in config_paths:
            path, new = config_paths[name], copy.deepcopy(value)
            if isinstance(new, dict):  # metric providers: each architecture given replaces the example's
                new = {**(get_path(config, path) or {}), **new}
            set_path(config, path, new)
    if part == "server":
        set_path(config, config_paths["machine_id"], None)
        set_path(config, config_paths["machine_description"], "server")
    config = overlay(config, extra)
    if part == "server":
        found = problems(config, "gmt_server_")
    else:
        found = [*machine_problems(config, release), *problems(config, "gmt_"), *threshold_problems(config)]
        if providers is not None:
            found += provider_problems(config, release, providers)
    if found:
        raise InvalidConfig("config.yml would not work: " + " ".join(found))
    return config
