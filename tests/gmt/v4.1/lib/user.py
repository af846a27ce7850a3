# SPDX-License-Identifier: GPL-3.0-or-later
"""A submitter and what they may do."""

from __future__ import annotations

import json

from lib import db


class User:
    def __init__(self, user_id: int) -> None:
        if user_id == 0:
            raise RuntimeError("User 0 is the system user and cannot run jobs")
        row = db.fetch_one("SELECT capabilities FROM users WHERE id = %s", (user_id,))
        if row is None:
            raise RuntimeError(f"No user with id {user_id}")
        self.id = user_id
        self.capabilities: dict = row["capabilities"]

    def check_machine(self, machine_id: int) -> None:
        """Raise unless this user may use the machine and has seconds left on it."""
        if machine_id not in self.capabilities["machines"]:
            raise RuntimeError(f"User {self.id} may not use machine {machine_id}")
        if self.capabilities["measurement"]["quotas"].get(str(machine_id), 1) <= 0:
            raise RuntimeError(f"User {self.id} has no quota left on machine {machine_id}")

    def deduct_quota(self, machine_id: int, seconds: int) -> None:
        """Take seconds off the quota on a machine, if there is one (most users have none: unlimited)."""
        quotas = self.capabilities["measurement"]["quotas"]
        if str(machine_id) in quotas:
            quotas[str(machine_id)] -= seconds
            db.query("UPDATE users SET capabilities = %s WHERE id = %s", (json.dumps(self.capabilities), self.id))
