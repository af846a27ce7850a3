#!/usr/bin/python
# Copyright (c) 2026, the greenlab.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Create, change or disable API users in the jobs DB, all of them in one transaction."""

from __future__ import annotations

DOCUMENTATION = r"""
module: gmt_user
short_description: Create, change or disable API users in the jobs DB of a GMT cluster
version_added: 0.1.0
description:
  - Writes a list of users to the C(users) table of the Green Metrics Tool (GMT). All of it is one transaction.
  - What is given is merged into a user's capabilities; what is not given stays as it is.
  - A new user starts with the least that lets its jobs be measured - no machine, no API route, no quota (which is no
    limit), sees only its own results, no super user, may change no setting, submits single jobs only
    (C(one-off)), all checks on, no Docker arguments and no volumes, GMT's own durations and pauses, data kept for ever.
extends_documentation_fragment:
  - greenlab.cluster.jobs_db
  - greenlab.cluster.jobs_db.module
  - greenlab.cluster.jobs_db.writes
attributes:
  diff_mode:
    details:
      - Shows the users that change, before and after, and nothing else. Of a token only whether it changes.
options:
  users:
    description: The users, in any order. No name may occur twice in the list.
    type: list
    elements: dict
    required: true
    suboptions:
      name:
        description:
          - Name of the user. One line of text, not empty, without control characters and without blanks at its ends.
          - GMT's own user C([GMT-SYSTEM]) is refused; its control workloads run in that name.
        type: str
        required: true
      token:
        description:
          - What the user sends to GMT's API as C(X-Authentication). Printable ASCII without blanks. Unique.
          - GMT stores its SHA-256 only, and so does this module. It is written when it differs, and never shown.
          - Required for a new user, and to bring a disabled one back.
          - GMT takes a request without a token for one with the token V(DEFAULT). Give the user C(DEFAULT) another one,
            or disable it, to close that door.
        type: str
      machines:
        description: Ids of machines that the user may use, C(capabilities.machines). Each must be registered.
        type: list
        elements: int
      routes:
        description:
          - Routes of GMT's API that the user may call, C(capabilities.api.routes), as the API's code spells them.
        type: list
        elements: str
      visible_users:
        description:
          - Names of users whose jobs and results the user may see, C(capabilities.user.visible_users). They may be in
            the same list.
        type: list
        elements: str
      api_quotas:
        description:
          - Number of calls that are left for a route, C(capabilities.api.quotas). Without one there is no limit.
          - An existing quota is kept, since GMT counts it down, unless O(refill=true). A null takes it away.
        type: dict
      measurement_quotas:
        description:
          - Seconds of measurement that are left for the id of a machine, C(capabilities.measurement.quotas). Without
            one there is no limit.
          - An existing quota is kept, since GMT counts it down, unless O(refill=true). A null takes it away.
        type: dict
      capabilities:
        description:
          - Any other part of the capabilities, merged into what is there - dicts key by key, lists without doubles,
            other values replaced, a key whose value is null taken away.
        type: dict
  state:
    description:
      - V(present) creates users, or merges what is given into them.
      - V(disabled) makes sure that no token leads to the users and takes their machines and routes away, so that
        neither GMT's API nor the watchlist has anything measured for them. The rows remain, since results refer to
        them, and so do all other capabilities. All options but the name are ignored.
      - GMT's clients fail the jobs that wait for a disabled user. They are returned; cancel them with
        M(greenlab.cluster.gmt_job).
      - Disabling a user that does not exist is a warning, not an error.
    type: str
    choices: [present, disabled]
    default: present
  refill:
    description: Whether quotas that the user has already are set to what is given.
    type: bool
    default: false
  exact:
    description:
      - Whether lists that are given are the whole list; what is not in them is taken away. A user always sees itself.
      - Lists that are not given, and quotas, stay as they are.
    type: bool
    default: false
notes:
  - In check mode the ids of new users are those that come next.
  - Knows users since v1.0; on earlier releases, which have none, the module fails.
  - Needs the rights of the tables' owner.
  - GMT rewrites a user's capabilities as a whole when it counts a quota. What this module writes between its reading
    and its writing is lost then. Run the module again to see that nothing changes.
  - Repeating a call whose connection broke is safe; the module itself never does.
seealso:
  - module: greenlab.cluster.gmt_machine
  - module: greenlab.cluster.gmt_job
author:
  - the greenlab.cluster contributors (!UNKNOWN)
"""

EXAMPLES = r"""
- name: Let Ada submit jobs for two machines and see her results (routes of GMT v4.1)
  greenlab.cluster.gmt_user:
    login_unix_socket: /var/run/postgresql
    users:
      - name: ada
        token: "{{ vault_gmt_tokens.ada }}"
        machines: [1, 2]
        routes:
          - /v1/user/settings  # the dashboard logs in by it
          - /v1/cluster/status
          - /v1/machines
          - /v1/runs/add
          - /v1/job
          - /v2/jobs
          - /v2/runs
          - /v2/run/{run_id}
        measurement_quotas:
          2: 36000

- name: Let a controller look which machines have work, and nothing else
  greenlab.cluster.gmt_user:
    login_unix_socket: /var/run/postgresql
    users:
      - name: wake
        token: "{{ vault_gmt_tokens.wake }}"
        routes: [/v1/machines]

- name: Let a team see each other's results, and Ada change a setting
  greenlab.cluster.gmt_user:
    login_unix_socket: /var/run/postgresql
    users:
      - name: ada
        visible_users: [bob]
        capabilities:
          user:
            updateable_settings: [measurement.total_duration]
      - name: bob
        visible_users: [ada]

- name: Fill a quota up
  greenlab.cluster.gmt_user:
    login_unix_socket: /var/run/postgresql
    users:
      - name: ada
        measurement_quotas:
          2: 36000
    refill: true

- name: Close the door that GMT's seed data leaves open
  greenlab.cluster.gmt_user:
    login_unix_socket: /var/run/postgresql
    users:
      - name: DEFAULT
    state: disabled
"""

RETURN = r"""
users:
  description: The users after the call, in the order of the list. Users that do not exist are left out.
  returned: success
  type: list
  elements: dict
  contains:
    id:
      description: Number of the user.
      type: int
      sample: 2
    name:
      description: Name of the user.
      type: str
      sample: ada
    enabled:
      description: Whether a token leads to this user.
      type: bool
      sample: true
    capabilities:
      description: What the user may do, as GMT stores it.
      type: dict
      sample: {}
waiting_jobs:
  description: Jobs that wait for the disabled users, as M(greenlab.cluster.gmt_job_info) returns them, oldest first.
  returned: O(state=disabled)
  type: list
  elements: dict
  sample: []
"""

import json
import re
import typing as t

from ansible_collections.greenlab.cluster.plugins.module_utils._jobs import (
    is_measurement,
    require_jobs,
    select_jobs,
    typed_job,
)
from ansible_collections.greenlab.cluster.plugins.module_utils._jobs_db import (
    JobsDBError,
    Schema,
    as_one_message,
    jobs_db_argument_spec,
    load_psycopg,
    new_ids,
    read_schema,
    take_turns,
    transaction,
)
from ansible_collections.greenlab.cluster.plugins.module_utils._module import run_module
from ansible_collections.greenlab.cluster.plugins.module_utils._text import flaw_of_line, flaw_of_text
from ansible_collections.greenlab.cluster.plugins.module_utils._users import (
    disabled_token,
    flaws_of,
    is_enabled,
    least_capabilities,
    merged,
    quotas_to_keep,
    stored_token,
)

if t.TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from ansible_collections.greenlab.cluster.plugins.module_utils._jobs_db import Connection, Row

    User = Mapping[str, t.Any]

SYSTEM_USER_ID = 0
SYSTEM_USER = "[GMT-SYSTEM]"

# What GMT's API takes a request without a token for.
NO_TOKEN = "DEFAULT"  # noqa: S105


def argument_spec() -> dict[str, dict[str, t.Any]]:
    """Return the options of the module."""
    return dict(
        jobs_db_argument_spec(),
        users={
            "type": "list",
            "elements": "dict",
            "required": True,
            "options": {
                "name": {"type": "str", "required": True},
                "token": {"type": "str", "no_log": True},
                "machines": {"type": "list", "elements": "int"},
                "routes": {"type": "list", "elements": "str"},
                "visible_users": {"type": "list", "elements": "str"},
                "api_quotas": {"type": "dict"},
                "measurement_quotas": {"type": "dict"},
                "capabilities": {"type": "dict"},
            },
        },
        state={"type": "str", "choices": ["present", "disabled"], "default": "present"},
        refill={"type": "bool", "default": False},
        exact={"type": "bool", "default": False},
    )


def problems_of_list(users: Sequence[User], state: str) -> list[str]:
    """Return everything that can be said against the list without asking the DB."""
    problems = []
    seen: set[str] = set()
    holder_of: dict[str, str] = {}
    for user in users:
        name = user["name"]
        flaw = flaw_of_line(name)
        if flaw:
            problems.append(f"The name {name!r} {flaw}.")
        if name in seen:
            problems.append(f"User {name!r} is twice in the list; join the two.")
        seen.add(name)
        if name == SYSTEM_USER:
            problems.append(f"User {name!r} is GMT's own; leave it out.")
        if state == "disabled":
            continue
        problems += [f"User {name!r}: {problem}" for problem in _problems_of_user(user)]
        token = user.get("token")
        if token is not None and holder_of.setdefault(token, name) != name:
            problems.append(f"Users {holder_of[token]!r} and {name!r} have the same token; give each its own.")
    return problems


def _problems_of_user(user: User) -> list[str]:
    problems = []
    token = user.get("token")
    if token is not None and not re.fullmatch(r"[!-~]+", token):
        problems.append("the token must be printable ASCII without blanks, so that HTTP carries it; choose another.")
    for option, unit in (("api_quotas", "calls"), ("measurement_quotas", "seconds")):
        for key, amount in (user.get(option) or {}).items():
            if amount is not None and not re.fullmatch(r"[0-9]{1,15}", str(amount)):
                problems.append(f"{option}: {key} must be a number of {unit}, 0 or more, or null, not {amount!r}.")
    problems += [
        f"measurement_quotas: {key!r} is not the id of a machine; correct it."
        for key in user.get("measurement_quotas") or {}
        if not re.fullmatch(r"[1-9][0-9]{0,8}", str(key))
    ]
    # PostgreSQL stores no \u0000 in jsonb.
    given = {name: value for name, value in user.items() if name not in ("name", "token")}
    text = json.dumps(given, ensure_ascii=False)
    if flaw_of_text(text) or "\\u0000" in text:
        problems.append("an option holds a NUL or half a character, which PostgreSQL cannot store; remove it.")
    return problems


def present(
    connection: Connection, users: Sequence[User], *, refill: bool, exact: bool, commit: bool
) -> dict[str, t.Any]:
    """Create or change the users; raise `JobsDBError` with all problems at once before anything is written."""
    take_turns(connection)
    known = _lock(connection, [user["name"] for user in users])
    new = [user["name"] for user in users if user["name"] not in known]
    present_ids = _ids(connection, users)
    problems = _problems_of_tokens(connection, users, known) + _problems_of_machines(connection, users)
    # Numbers of a sequence are not given back: with provisional ones first, until nothing stands against the rest.
    _rows, found = _plan(users, known, {**present_ids, **_numbered(new, range(-1, -1 - len(new), -1))}, refill, exact)
    problems += found
    if problems:
        raise JobsDBError(as_one_message("Cannot write the users.", problems))

    new_id = _numbered(new, new_ids(connection, "users", len(new), commit) if new else [])
    rows, _found = _plan(users, known, {**present_ids, **new_id}, refill, exact)
    before = {row["id"]: row for row in known.values()}
    after = {row["id"]: row for row in rows}
    _insert(connection, [after[user_id] for user_id in new_id.values()])
    _update(connection, [row for user_id, row in after.items() if user_id in before and row != before[user_id]])
    result = _result(list(after.values()), before, after)
    result["warnings"] = [
        f"Whoever sends no token to GMT's API is user {user['name']!r} with the token {NO_TOKEN}: give it another one,"
        " or disable it."
        for user in users
        if user.get("token") == NO_TOKEN
    ]
    return result


def disable(connection: Connection, schema: Schema, users: Sequence[User]) -> dict[str, t.Any]:
    """Let no token lead to the users, nor anything be measured for them; return the jobs that wait for them."""
    take_turns(connection)
    known = _lock(connection, [user["name"] for user in users])
    before = {row["id"]: row for row in known.values()}
    nothing = {"machines": [], "api": {"routes": []}}
    rows = [known[user["name"]] for user in users if user["name"] in known]
    after = {
        row["id"]: dict(
            row, token=disabled_token(row["id"]), capabilities=merged(row["capabilities"], nothing, exact=True)
        )
        for row in rows
    }
    _update(connection, [row for user_id, row in after.items() if row != before[user_id]])
    result = _result(list(after.values()), before, after)
    query = select_jobs(schema) + load_psycopg().sql.SQL(
        " WHERE jobs.user_id = ANY(%s) AND jobs.state = 'WAITING' AND {0} ORDER BY jobs.id"
    ).format(load_psycopg().sql.SQL(is_measurement(schema)))
    result["waiting_jobs"] = [typed_job(row) for row in connection.execute(query, [list(after)])]
    unknown = [user["name"] for user in users if user["name"] not in known]
    result["warnings"] = [f"There is no user {name!r}: there was nothing to disable." for name in unknown]
    return result


def _lock(connection: Connection, names: Sequence[str]) -> dict[str, Row]:
    """Return the rows by name; GMT cannot count a quota meanwhile."""
    rows = connection.execute(
        "SELECT id, name, token, capabilities FROM users WHERE name = ANY(%s) ORDER BY id FOR UPDATE", [list(names)]
    )
    found = {row["name"]: row for row in rows}
    if any(row["id"] == SYSTEM_USER_ID for row in found.values()):
        raise JobsDBError(as_one_message("Cannot write the users.", ["User 0 is GMT's own; leave it out."]))
    return found


def _ids(connection: Connection, users: Sequence[User]) -> dict[str, int]:
    names = sorted({name for user in users for name in user.get("visible_users") or []})
    rows = connection.execute("SELECT id, name FROM users WHERE name = ANY(%s)", [names]) if names else []
    return {row["name"]: row["id"] for row in rows}


def _numbered(names: Sequence[str], ids: Iterable[int]) -> dict[str, int]:
    return dict(zip(names, ids))


def _plan(
    users: Sequence[User], known: Mapping[str, Row], id_of: Mapping[str, int], refill: bool, exact: bool
) -> tuple[list[Row], list[str]]:
    """Return the rows as they shall be, and what stands against them."""
    rows: list[Row] = []
    problems: list[str] = []
    for user in users:
        name = user["name"]
        row = known.get(name)
        user_id = row["id"] if row else id_of[name]
        unknown = [other for other in user.get("visible_users") or [] if other not in id_of]
        problems += [
            f"User {name!r}: {other!r} of visible_users is not in the users table; correct the name."
            for other in unknown
        ]
        old = row["capabilities"] if row else least_capabilities(user_id)
        flaws = flaws_of(old)
        if flaws:
            problems.append(f"User {name!r} has broken capabilities: {'; '.join(flaws)}. Correct the row.")
        if flaws or unknown:
            continue
        wanted = _wanted(user, user_id if exact else None, id_of)
        if not refill:
            quotas_to_keep(old, wanted)
        capabilities = merged(old, wanted, exact)
        problems += [f"User {name!r}: {flaw}; correct the options." for flaw in flaws_of(capabilities)]
        token = stored_token(user["token"]) if user.get("token") is not None else row and row["token"]
        rows.append({"id": user_id, "name": name, "token": token, "capabilities": capabilities})
    return rows, problems


def _problems_of_tokens(connection: Connection, users: Sequence[User], known: Mapping[str, Row]) -> list[str]:
    problems = []
    for user in users:
        row = known.get(user["name"])
        if user.get("token") is None and row is None:
            problems.append(f"User {user['name']!r} is new and has no token; give it one.")
        elif user.get("token") is None and row is not None and not is_enabled(row["token"]):
            problems.append(f"User {user['name']!r} is disabled; give it a token to bring it back.")
    name_of = {stored_token(user["token"]): user["name"] for user in users if user.get("token") is not None}
    rows = connection.execute("SELECT name, token FROM users WHERE token = ANY(%s)", [list(name_of)])
    problems += [
        f"The token of user {name_of[row['token']]!r} is that of user {row['name']!r} already; choose another one."
        for row in rows
        if row["name"] != name_of[row["token"]]
    ]
    return problems


def _problems_of_machines(connection: Connection, users: Sequence[User]) -> list[str]:
    def ids(user: User) -> set[int]:
        return {*(user.get("machines") or []), *(int(key) for key in user.get("measurement_quotas") or {})}

    wanted = sorted(set().union(*(ids(user) for user in users)))
    rows = connection.execute("SELECT id FROM machines WHERE id = ANY(%s::bigint[])", [wanted]) if wanted else []
    registered = {row["id"] for row in rows}
    return [
        f"User {user['name']!r}: machine {machine_id} is not registered; correct the id, or register it (gmt_machine)."
        for user in users
        for machine_id in sorted(ids(user) - registered)
    ]


def _wanted(user: User, own_id: int | None, id_of: Mapping[str, int]) -> dict[str, t.Any]:
    """Return the options as the part of the capabilities that they stand for.

    `own_id` is given when visible users are the whole list: who loses sight of itself cannot see the jobs it submits.
    """
    parts: list[dict[str, t.Any]] = [user.get("capabilities") or {}]
    if user.get("machines") is not None:
        parts.append({"machines": user["machines"]})
    if user.get("routes") is not None:
        parts.append({"api": {"routes": user["routes"]}})
    if user.get("visible_users") is not None:
        own = [] if own_id is None else [own_id]
        parts.append({"user": {"visible_users": [*own, *(id_of[name] for name in user["visible_users"])]}})
    if user.get("api_quotas") is not None:
        parts.append({"api": {"quotas": _quotas(user["api_quotas"])}})
    if user.get("measurement_quotas") is not None:
        parts.append({"measurement": {"quotas": _quotas(user["measurement_quotas"])}})
    wanted: dict[str, t.Any] = {}
    for part in parts:
        wanted = _joined(wanted, part)
    return wanted


def _quotas(given: Mapping[t.Any, t.Any]) -> dict[str, int | None]:
    """Return the quotas for JSON, which has no integer keys; a template may have made text of the numbers."""
    return {str(key): None if amount is None else int(amount) for key, amount in given.items()}


def _joined(one: t.Any, other: t.Any) -> t.Any:
    """Join two parts; unlike `merged` a null stays, since it takes something away later."""
    if isinstance(one, dict) and isinstance(other, dict):
        return {
            key: _joined(one[key], other[key]) if key in one and key in other else one.get(key, other.get(key))
            for key in (*one, *(key for key in other if key not in one))
        }
    return merged(one, other) if isinstance(one, list) and isinstance(other, list) else other


def _insert(connection: Connection, rows: Sequence[Row]) -> None:
    if rows:
        connection.execute(
            """
            INSERT INTO users (id, name, token, capabilities)
            SELECT id, name, token, capabilities
            FROM jsonb_to_recordset(%s::jsonb) AS wanted(id integer, name text, token text, capabilities jsonb)
            ORDER BY id
            """,
            [json.dumps(rows, ensure_ascii=False)],
        )


def _update(connection: Connection, rows: Sequence[Row]) -> None:
    if rows:
        connection.execute(
            """
            UPDATE users SET token = wanted.token, capabilities = wanted.capabilities
            FROM jsonb_to_recordset(%s::jsonb) AS wanted(id integer, token text, capabilities jsonb)
            WHERE users.id = wanted.id
            """,
            [json.dumps(rows, ensure_ascii=False)],
        )


def _result(rows: Sequence[Row], before: Mapping[int, Row], after: Mapping[int, Row]) -> dict[str, t.Any]:
    """Compose the result: no token, no hash of one."""

    def shown(row: Row) -> Row:
        return {
            "id": row["id"],
            "name": row["name"],
            "enabled": is_enabled(row["token"]),
            "capabilities": row["capabilities"],
        }

    changed = [user_id for user_id in sorted(after) if after[user_id] != before.get(user_id)]
    diff: dict[str, list[Row]] = {"before": [], "after": []}
    for user_id in changed:
        old, new = before.get(user_id), shown(after[user_id])
        if old is not None:
            kept = old["token"] == after[user_id]["token"]
            diff["before"].append(dict(shown(old), token="(kept)" if kept else "(old)"))
            new["token"] = "(kept)" if kept else "(new)"
        diff["after"].append(new)
    return {
        "changed": bool(changed),
        "users": [shown(row) for row in rows],
        "diff": {when: {"users": users} if changed else {} for when, users in diff.items()},
    }


def run(params: Mapping[str, t.Any], check_mode: bool = False) -> dict[str, t.Any]:
    """Do what the options say and return the module's result; raise `JobsDBError` when it cannot be done."""
    users, state = params["users"], params["state"]
    problems = problems_of_list(users, state)
    if problems:
        raise JobsDBError(as_one_message("The list of users is not valid.", problems))
    with transaction(params, commit=not check_mode) as connection:
        schema = read_schema(connection, params)
        if not schema.has("users", "name", "token", "capabilities"):
            raise JobsDBError(
                f"Database '{params['login_db']}' has no users table: GMT has users since v1.0. Upgrade GMT and its"
                " schema, or leave this task out."
            )
        require_jobs(schema, params)
        if state == "disabled":
            return disable(connection, schema, users)
        return present(connection, users, refill=params["refill"], exact=params["exact"], commit=not check_mode)


def main() -> None:
    """Run the module."""
    run_module(argument_spec(), run)


if __name__ == "__main__":
    main()
