# Copyright (c) 2026, the greenlab.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""GMT's API users: how a token is stored, and what the JSON of their capabilities may hold.

Source: GMT's lib/user.py, lib/job/run.py, tools/prune_db.py and seed data, v1.0 to main of August 2026.
"""

from __future__ import annotations

import copy
import hashlib
import typing as t

if t.TYPE_CHECKING:
    from collections.abc import Mapping

# No SHA-256 in hex begins like this, so no token leads to it.
DISABLED = "disabled "

# Every setting that a client reads of its job's user in any release from v1.0 on: a missing one fails the job, one too
# many is not looked at. The values are GMT's own, but nothing is allowed that spares checks or reaches the host.
_MEASUREMENT: dict[str, t.Any] = {
    "quotas": {},
    "settings": {"total-duration": 86400, "flow-process-duration": 86400},
    "orchestrators": {"docker": {"allowed_run_args": [], "allowed-run-args": []}},
    "disabled_metric_providers": [],
    "allowed_volume_mounts": [],
    "allow_unsafe": False,
    "skip_unsafe": True,
    "skip_system_checks": False,
    "skip_volume_inspect": False,
    "skip_optimizations": False,
    "dev_no_system_checks": False,
    "dev_no_sleeps": False,
    "dev_no_optimizations": False,
    "dev_no_container_dependency_collection": False,
    "phase_padding": True,
    "system_check_threshold": 3,
    "total_duration": 86400,
    "flow_process_duration": 86400,
    "pre_test_sleep": 5,
    "baseline_duration": 60,
    "idle_duration": 60,
    "post_test_sleep": 5,
    "phase_transition_time": 1,
    "wait_time_dependencies": 60,
}


def stored_token(token: str) -> str:
    """Return the token as GMT stores it."""
    return hashlib.sha256(token.encode()).hexdigest()


def disabled_token(user_id: int) -> str:
    """Return what stands in place of a disabled user's token: it must be unique in the table."""
    return f"{DISABLED}{user_id}"


def is_enabled(stored: str) -> bool:
    """Tell whether any token leads to this user; that of GMT's own user 0 is empty."""
    return bool(stored) and not stored.startswith(DISABLED)


def least_capabilities(user_id: int) -> dict[str, t.Any]:
    """Return the least with which a user's jobs can be measured: no machine, no route, sees only itself."""
    return {
        "user": {"is_super_user": False, "visible_users": [user_id], "updateable_settings": []},
        "api": {"quotas": {}, "routes": []},
        "data": {},
        "jobs": {"schedule_modes": ["one-off"]},
        "machines": [],
        "measurement": copy.deepcopy(_MEASUREMENT),
        "optimizations": [],
    }


def merged(old: t.Any, wanted: t.Any, exact: bool = False) -> t.Any:
    """Return `old` with what is wanted: keys are added or replaced (None takes one away), lists joined.

    With `exact` a list that is wanted replaces the old one.
    """
    if isinstance(wanted, dict):
        result = dict(old) if isinstance(old, dict) else {}
        for key, value in wanted.items():
            if value is None:
                result.pop(key, None)
            else:
                result[key] = merged(result.get(key), value, exact)
        return result
    if isinstance(wanted, list):
        kept = old if isinstance(old, list) and not exact else []
        result_list = list(kept)
        for entry in wanted:
            # 1 and true are equal for Python, but not for JSON.
            if not any(entry == other and type(entry) is type(other) for other in result_list):
                result_list.append(entry)
        # The same entries in another order are no change.
        if exact and isinstance(old, list) and _same_entries(old, result_list):
            return old
        return result_list
    return wanted


def _same_entries(one: list[t.Any], other: list[t.Any]) -> bool:
    return len(one) == len(other) and all(entry in other for entry in one)


def quotas_to_keep(old: Mapping[str, t.Any], wanted: dict[str, t.Any]) -> None:
    """Take out of what is wanted the quotas that the user has already: they count down, and are not filled up."""
    for section in ("api", "measurement"):
        quotas = (wanted.get(section) or {}).get("quotas")
        present = old.get(section)
        present = present.get("quotas") if isinstance(present, dict) else None
        if isinstance(quotas, dict) and isinstance(present, dict):
            for key in [key for key, amount in quotas.items() if amount is not None and key in present]:
                del quotas[key]


def flaws_of(capabilities: t.Any) -> list[str]:
    """Return which parts GMT could not read, as `path must be …, but is …`."""
    if not isinstance(capabilities, dict):
        return [f"capabilities must be an object, but are {capabilities!r}"]
    flaws = []
    for path, kind, words in (
        ("user", dict, "an object"),
        ("user.visible_users", list, "a list of user ids"),
        ("api", dict, "an object"),
        ("api.routes", list, "a list of routes"),
        ("api.quotas", dict, "an object of route: calls"),
        ("jobs", dict, "an object"),
        ("jobs.schedule_modes", list, "a list of names"),
        ("machines", list, "a list of machine ids"),
        ("measurement", dict, "an object"),
        ("measurement.quotas", dict, "an object of machine id: seconds"),
    ):
        found: t.Any = capabilities
        for key in path.split("."):
            found = found.get(key) if isinstance(found, dict) else None
        if found is None:
            continue
        if not isinstance(found, kind) or not _entries_fit(path, found):
            flaws.append(f"{path} must be {words}, but is {found!r}")
    return flaws


def _entries_fit(path: str, found: t.Any) -> bool:
    if path in ("machines", "user.visible_users"):
        return all(isinstance(entry, int) and not isinstance(entry, bool) for entry in found)
    if path in ("api.routes", "jobs.schedule_modes"):
        return all(isinstance(entry, str) for entry in found)
    if path.endswith("quotas"):
        return all(isinstance(amount, int) and not isinstance(amount, bool) for amount in found.values())
    return True
