# SPDX-License-Identifier: GPL-3.0-or-later
"""An error goes to stderr, to admin.error_file if that is set, and to the table system_logs."""

import sys
import traceback

from lib import db
from lib.global_config import config


def log_error(message: str, **details) -> None:
    lines = [message, *(f"{key}: {value}" for key, value in details.items()), traceback.format_exc()]
    text = "\n".join(lines).replace("\x00", "0x00")
    print(text, file=sys.stderr, flush=True)
    error_file = config()["admin"]["error_file"]
    if error_file:
        with open(error_file, "a", encoding="utf8") as log:
            print(text, file=log)
    db.query("INSERT INTO system_logs (title, message) VALUES ('Green Metrics Tool Error', %s)", (text,))
