# SPDX-License-Identifier: GPL-3.0-or-later
"""The measuring machine's endless loop: take a job, run it, clean up; sleep when there is none."""

import subprocess
import sys
import time
from pathlib import Path

sys.dont_write_bytecode = True  # nothing is ever written into the checkout
TOOLS = Path(__file__).resolve().parent
sys.path.append(str(TOOLS.parent / "lib"))

import db  # noqa: E402
from global_config import config  # noqa: E402
from jobs import get_job, process_job  # noqa: E402


def set_status(code: str, data: str = "", project_id=None) -> None:
    """Add a line to client_status. Unlike later releases, an unchanged status is written again."""
    db.query(
        "INSERT INTO client_status (status_code, machine_id, data, project_id) VALUES (%s, %s, %s, %s)",
        (code, config()["machine"]["id"], data or None, project_id),
    )


def clean_up() -> None:
    set_status("cleanup_start")
    # check: without a sudoers rule, or with a script that is not executable, the client dies here.
    done = subprocess.run(["sudo", str(TOOLS / "cluster/cleanup.sh")], capture_output=True, check=True)
    set_status("cleanup_stop", f"stdout: {done.stdout}, stderr: {done.stderr}")


def main() -> None:
    while True:
        job = get_job("project")
        if job is None:
            set_status("job_no")
            time.sleep(config()["client"]["sleep_time"])
            continue
        project_id = job[2]
        set_status("job_start", project_id=project_id)
        try:
            process_job(*job)
        except Exception as error:
            set_status("job_error", str(error), project_id)
        else:
            set_status("job_end", project_id=project_id)
        clean_up()


if __name__ == "__main__":
    main()
