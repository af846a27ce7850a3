# SPDX-License-Identifier: GPL-3.0-or-later
"""pyinfra's inventory: the machines of the file that STATE names."""

import json
import os
from pathlib import Path

STATE = json.loads(Path(os.environ["STATE"]).read_text(encoding="utf8"))

machines = [
    (
        name,
        {
            **STATE["shared"],
            **machine,
            "ssh_user": "operator",
            "ssh_key": STATE["key"],
            "ssh_known_hosts_file": os.devnull,
            "ssh_strict_host_key_checking": "off",
        },
    )
    for name, machine in STATE["machines"].items()
]
