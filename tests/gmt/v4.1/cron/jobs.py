# SPDX-License-Identifier: GPL-3.0-or-later
"""Take one job from the queue: ``jobs.py email`` from a crontab, ``jobs.py run`` by hand."""

import argparse
import sys

sys.dont_write_bytecode = True  # nothing is ever written into the checkout

from lib import db, global_config  # noqa: E402
from lib.error_helpers import log_error  # noqa: E402
from lib.job.email import EmailJob  # noqa: E402
from lib.job.run import RunJob  # noqa: E402
from lib.scenario_runner import ConfigurationCheckError  # noqa: E402


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Take one job from the queue.")
    parser.add_argument("type", choices=["email", "run"], help="the kind of job")
    parser.add_argument("--config-override", metavar="PATH.yml", help="another configuration, full path")
    parser.add_argument("--full-docker-prune", action="store_true", help="as in config.yml")
    parser.add_argument("--docker-prune", action="store_true", help="accepted, has no effect here")
    args = parser.parse_args()
    if args.config_override and not args.config_override.endswith(".yml"):
        parser.print_help()
        sys.exit(1)
    return args


def main() -> None:
    args = parse_args()
    if args.config_override:
        global_config.override(args.config_override)
    job = None
    try:
        job = (RunJob if args.type == "run" else EmailJob).get_job()
        if job is None:
            print("No job to process. Exiting")
            return
        job.process(**({"full_docker_prune": args.full_docker_prune} if args.type == "run" else {}))
        print("Successfully processed jobs queue item.")
    except Exception as error:  # upstream reports it and exits with 0
        log_error("Base exception occurred in jobs.py", error=repr(error), job=job and job.row["id"])
        if isinstance(job, RunJob) and not isinstance(error, ConfigurationCheckError):
            job.report_failure(error)
    finally:
        db.shutdown()


if __name__ == "__main__":
    main()
