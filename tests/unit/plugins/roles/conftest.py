# SPDX-License-Identifier: GPL-3.0-or-later
"""A role's variables and tasks, read and filled in by Ansible as it does in a play, but for hosts."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar

ROLES = Path(__file__).resolve().parents[4] / "roles"


class Role:
    """A role whose variables are filled in when they are asked for."""

    def __init__(self, name: str, **given: Any) -> None:
        self.path = ROLES / name
        self.loader = DataLoader()
        self.variables: dict[str, Any] = {}
        for file in ("defaults/main.yml", "vars/main.yml"):
            self.variables |= self._load(file)
        self.variables |= given

    def _load(self, file: str) -> Any:
        return self.loader.load_from_file(str(self.path / file), trusted_as_template=True)

    def __getitem__(self, name: str) -> Any:
        return self.fill(self.variables[name])

    def fill(self, value: Any, **more: Any) -> Any:
        """Fill a value in, as a task does with variables of its own."""
        return Templar(self.loader, self.variables | more).template(value)

    def task(self, file: str, name: str) -> dict[str, Any]:
        """Return a task as it is written."""
        return next(task for task in self._load(f"tasks/{file}") if task["name"] == name)

    def passes(self, file: str, name: str) -> bool:
        """Tell whether an assertion holds."""
        task = self.task(file, name)
        templar = Templar(self.loader, self.variables | task.get("vars", {}))
        return templar.evaluate_conditional(task["ansible.builtin.assert"]["that"])


@pytest.fixture
def read_role() -> Callable[..., Role]:
    """Return what reads a role: its name, and variables over its own."""
    return Role
