# Copyright (c) 2026, the greenlab.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How an action says what is wrong: one line each, readable with every callback."""

from __future__ import annotations

import typing as t
from collections.abc import Sequence

from ansible import constants as C
from ansible.utils.display import Display


def refuse(result: dict[str, t.Any], errors: Sequence[str], where: str) -> None:
    """Print errors as lines, and let the result be a failure that counts them.

    Ansible's own callback shows a result in one line, and since ansible-core 2.19 its text twice.
    """
    for line in errors:
        Display().display(line, color=C.COLOR_ERROR)
    count = "1 problem" if len(errors) == 1 else f"{len(errors)} problems"
    result.update(failed=True, msg=f"{count} in {where}, named above; nothing was contacted or changed.")
