# SPDX-License-Identifier: GPL-3.0-or-later
"""The measuring machine's endless loop: maintain, validate, take a job, run it; sleep when there is none."""

from __future__ import annotations

import argparse
import json
import re
import subprocess
import sys
import time
from pathlib import Path

sys.dont_write_bytecode = True  # nothing is ever written into the checkout

from lib import db, global_config  # noqa: E402
from lib.error_helpers import log_error  # noqa: E402
from lib.global_config import ROOT, config  # noqa: E402
from lib.job import email  # noqa: E402
from lib.job.run import RunJob  # noqa: E402
from lib.repo_info import get_repo_info  # noqa: E402
from lib.scenario_runner import ConfigurationCheckError, ScenarioRunner, Status  # noqa: E402

SUDO = "/usr/bin/sudo"
MAINTENANCE_SCRIPT = Path("/usr/local/bin/green-metrics-tool/maintenance.py")
APT_HISTORY = Path("/var/log/apt/history.log")

# Seconds. These are upstream's; no setting changes them.
MAINTENANCE_PERIOD = 12 * 3600
OS_UPDATE_PERIOD = 24 * 3600
BEFORE_SHUTDOWN = 60  # time to log in
AFTER_REBOOT = 24 * 3600  # systemctl reboot returns at once; wait for the end
AFTER_WARNING = 600

SECRET_KEYS = {"token", "electricity_maps_token", "password", "secret", "api_key", "auth_token"}


def client_config() -> dict:
    return config()["cluster"]["client"]


def machine_id() -> int:
    return config()["machine"]["id"]


def without_secrets(value):
    """Return a copy of a piece of configuration that everyone may read."""
    if isinstance(value, dict):
        return {k: "__REDACTED__" if k in SECRET_KEYS else without_secrets(v) for k, v in value.items()}
    return value


class StatusWriter:
    """Writes a status to client_status and machines, but only when it differs from the one before."""

    def __init__(self) -> None:
        self.last: str | None = None

    def __call__(self, code: str, data: str | None = None, run_id=None) -> None:
        if code == self.last:
            return
        self.last = code
        db.query(
            "INSERT INTO client_status (status_code, machine_id, data, run_id) VALUES (%s, %s, %s, %s)",
            (code, machine_id(), data, run_id),
        )
        gmt_hash, gmt_timestamp = get_repo_info(ROOT)
        public = {key: without_secrets(config()[key]) for key in ("measurement", "machine", "cluster")}
        db.query(
            """UPDATE machines SET status_code = %s, base_temperature = %s, jobs_processing = %s, gmt_hash = %s,
                                   gmt_timestamp = %s, configuration = %s WHERE id = %s""",
            (
                code,
                config()["machine"]["base_temperature_value"],
                client_config()["jobs_processing"],
                gmt_hash,
                gmt_timestamp,
                json.dumps(public),
                machine_id(),
            ),
        )


set_status = StatusWriter()


def set_needs_revalidation(value: bool) -> None:
    db.query("UPDATE machines SET needs_revalidation = %s WHERE id = %s", (value, machine_id()))


def systemctl(verb: str) -> None:
    subprocess.run([SUDO, "/usr/bin/systemctl", verb], check=True)


def reboot() -> None:
    set_status("reboot")
    subprocess.run(["sync"], check=True)
    systemctl("reboot")
    time.sleep(AFTER_REBOOT)


def maintenance_command() -> list[str]:
    python = Path("/usr/bin/python3").resolve(strict=True)
    command = [SUDO, str(python), "-I", "-B", "-S", str(MAINTENANCE_SCRIPT.resolve(strict=True))]
    # apt writes its history only when packages change, so this is true at every call on an up-to-date machine.
    if client_config()["update_os_packages"] and (
        not APT_HISTORY.exists() or time.time() - APT_HISTORY.stat().st_mtime > OS_UPDATE_PERIOD
    ):
        command.append("--update-os-packages")
    return command


def maintain() -> None:
    """Run the maintenance script as root; if it has updated packages, reboot and ask for a new validation."""
    set_status("maintenance_start")
    done = subprocess.run(
        maintenance_command(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, encoding="utf8", errors="replace"
    )
    if done.returncode != 0:
        set_status("maintenance_error")
        log_error("Cluster maintenance failed", stdout=done.stdout, machine=config()["machine"]["description"])
        time.sleep(client_config()["time_between_control_workload_validations"])
    set_status("maintenance_end", done.stdout)

    block = r"<<<< UPDATED APT PACKAGES >>>>\n(.*)\n<<<< END UPDATED APT PACKAGES >>>>"
    if updated := re.search(block, done.stdout, re.DOTALL):
        db.query(
            "INSERT INTO cluster_changelog (message, machine_id) VALUES (%s, %s)", (updated.group(1), machine_id())
        )
        set_needs_revalidation(True)
        reboot()


def is_validation_due() -> bool:
    period = client_config()["time_between_control_workload_validations"]
    recent = db.fetch_one(
        """SELECT id FROM client_status WHERE machine_id = %s AND status_code = 'measurement_control_end'
           AND created_at > now() - make_interval(secs => %s) LIMIT 1""",
        (machine_id(), period),
    )
    return recent is None


def validate() -> None:
    """Run the control workload. It has no row in jobs; a warning or an error in it ends the process."""
    workload = client_config()["control_workload"]
    set_status("measurement_control_start")
    ScenarioRunner(
        name=workload["name"],
        uri=workload["uri"],
        branch=workload["branch"],
        filename=workload["filename"],
        user_id=0,
        threshold=Status.WARN,
        full_docker_prune=client_config()["full_docker_prune"],
        use_sudo=True,
    ).run()
    set_status("measurement_control_end")
    # Upstream now compares the last runs; the stand-in has nothing to compare.
    limits = {metric: (rule["type"], rule["threshold"]) for metric, rule in workload["metrics"].items()}
    print(f"Would compare phase {workload['phase']} of {workload['comparison_window']} runs with {limits}")
    receiver = config()["admin"]["notification_email"]
    if client_config()["send_control_workload_status_mail"] and receiver:
        name = f"{config()['machine']['description']} is operating normally"
        email.insert(kind="simple", user_id=0, email=receiver, name=name)
    set_needs_revalidation(False)


def work(job: RunJob, testing: bool) -> None:
    """Run a job. Whatever is wrong with it, the client lives on; only Ctrl-C gets through."""
    details = {"job": job.row["id"], "machine": config()["machine"]["description"]}
    set_status("job_start", run_id=job.row["run_id"])
    try:
        client_config()["docker_prune"]  # noqa: B018  a direct look-up, as upstream's
        job.process(full_docker_prune=client_config()["full_docker_prune"], use_sudo=not testing)
        set_status("job_end", run_id=job.row["run_id"])
    except ConfigurationCheckError as error:
        set_status("job_error", str(error), job.row["run_id"])
        log_error("Job processing in cluster failed (client.py)", error=repr(error), **details)
        if not testing:
            period = client_config()["time_between_control_workload_validations"]
            time.sleep(AFTER_WARNING if error.status == Status.WARN else period)
    except Exception as error:
        set_status("job_error", str(error), job.row["run_id"])
        log_error("Job processing in cluster failed (client.py)", error=repr(error), **details)
        job.report_failure(error)
    finally:
        if not testing:
            maintain()


def reboot_if_up_too_long() -> None:
    limit = client_config()["reboot_after_seconds"]
    if not limit:
        return
    if type(limit) is not int:  # a bool is an int, too, but no number of seconds
        log_error("reboot_after_seconds must be an integer", value=limit)
        return
    if float(Path("/proc/uptime").read_text().split()[0]) > limit:
        reboot()


def idle() -> None:
    """Nothing to do: reboot, sleep deeply, or just wait."""
    reboot_if_up_too_long()
    verb = client_config()["shutdown_on_job_no"]
    if verb:
        subprocess.run(["sync"], check=True)
        time.sleep(BEFORE_SHUTDOWN)
        systemctl(verb)  # a machine that slept wakes up here
    time.sleep(client_config()["sleep_time_no_job"])


def loop(testing: bool) -> None:
    row = db.fetch_one("SELECT needs_revalidation FROM machines WHERE id = %s", (machine_id(),))
    needs_revalidation = bool(row and row["needs_revalidation"])
    last_maintenance = float("-inf")
    while True:
        if not testing and time.time() - last_maintenance > MAINTENANCE_PERIOD:
            maintain()
            last_maintenance = time.time()

        job = RunJob.get_job()
        if job and job.check_job_running():
            log_error("Job is still running. This is usually an error case!", job=job.row["id"])
            if testing:
                return
            time.sleep(client_config()["sleep_time_no_job"])
            continue

        if not testing and (needs_revalidation or is_validation_due()):
            validate()
            needs_revalidation = False
            continue

        if job:
            work(job, testing)
            last_maintenance = time.time()
        else:
            set_status("job_no")
            if not testing:
                idle()

        if testing:
            print("Successfully ended testing run of client.py")
            return


def parse_args() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Work on the jobs of this machine for ever.")
    parser.add_argument("--testing", action="store_true", help="end after one job, without sudo")
    parser.add_argument("--config-override", metavar="PATH.yml", help="another configuration, full path")
    args = parser.parse_args()
    if args.config_override and not args.config_override.endswith(".yml"):
        parser.print_help()
        sys.exit(1)
    return args


def main() -> None:
    args = parse_args()
    if args.config_override:
        global_config.override(args.config_override)
    config()
    try:
        loop(args.testing)
    except KeyboardInterrupt:
        pass
    except BaseException as error:  # upstream logs it and exits with 0; systemd starts it again
        log_error(f"Processing in {__file__} failed.", error=repr(error), machine=config()["machine"]["description"])
    finally:
        db.shutdown()


if __name__ == "__main__":
    main()
