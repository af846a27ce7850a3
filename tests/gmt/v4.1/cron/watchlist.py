# SPDX-License-Identifier: GPL-3.0-or-later
"""Submit what is to be measured again and again: ``watchlist.py schedule``; ``show`` lists it."""

import argparse
import sys

sys.dont_write_bytecode = True  # nothing is ever written into the checkout

from lib import db  # noqa: E402
from lib.error_helpers import log_error  # noqa: E402

COPIED = "name, branch, filename, usage_scenario_variables, category_ids, carbon_simulation, machine_id, user_id"
# How long ago an item must have been submitted to be due. The others ask a git host, and the stand-in has none.
DUE = {"daily": "last_scheduled::date < now()::date", "weekly": "last_scheduled::date < now()::date - 7"}


def schedule() -> None:
    for item in db.fetch_all("SELECT id, repo_url, schedule_mode FROM watchlist"):
        mode = item["schedule_mode"]
        print(f"{item['repo_url']}: {mode}")
        if mode == "one-off":
            raise ValueError("A one-off item does not belong on the watchlist")
        due = DUE.get(mode)
        if due is None:
            print("Would ask the git host for its last commit or tag")
            continue
        if db.fetch_one(f"SELECT 1 FROM watchlist WHERE id = %s AND (last_scheduled IS NULL OR {due})", (item["id"],)):
            db.query("UPDATE watchlist SET last_scheduled = now() WHERE id = %s", (item["id"],))
            db.query(
                f"INSERT INTO jobs (type, url, {COPIED}) SELECT 'run', repo_url, {COPIED} FROM watchlist WHERE id = %s",
                (item["id"],),
            )
            print("Submitted")


def main() -> None:
    parser = argparse.ArgumentParser(description="Submit what is to be measured again and again.")
    parser.add_argument("mode", choices=["show", "schedule"])
    mode = parser.parse_args().mode
    try:
        if mode == "show":
            print(*db.fetch_all("SELECT * FROM watchlist ORDER BY repo_url"), sep="\n")
        else:
            schedule()
    except Exception as error:  # upstream reports it and exits with 0
        log_error(f"Processing in {__file__} failed.", error=repr(error))
    finally:
        db.shutdown()


if __name__ == "__main__":
    main()
