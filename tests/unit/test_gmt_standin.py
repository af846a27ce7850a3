# SPDX-License-Identifier: GPL-3.0-or-later
"""The stand-in for the Green Metrics Tool: its repository, its schema, and its clients against a real database."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import psycopg
import pytest
import yaml

from ansible_collections.greenlab.cluster.plugins.plugin_utils import _releases

pytestmark = pytest.mark.slow  # programs that wait for each other

GMT = Path(__file__).resolve().parents[1] / "gmt"
RELEASES = ("v0.16", "v4.1")
NEEDS_POSTGRESQL = {release: _releases.merged(release)["postgresql"] for release in RELEASES}
ROOT_BIN = "/usr/local/bin/green-metrics-tool"

# Notes which command was asked for and runs it, but for those that change the machine. A root helper asks with an empty
# environment, and is not noted.
SUDO = """#!/bin/sh
[ -z "$SUDO_LOG" ] || echo "$*" >> "$SUDO_LOG"
case "$1" in */sysctl | */systemctl | chown | chmod) exit 0;; esac
exec "$@"
"""

# A private view of the machine: a sudo, what an installer puts beside it, an empty /var/log, a read-only checkout.
OVERLAY = """set -e
mount -t overlay overlay -o "lowerdir=$FAKE/bin:/usr/bin" /usr/bin
mount -t overlay overlay -o "lowerdir=$FAKE/local:/usr/local/bin" /usr/local/bin
mount --bind "$FAKE/log" /var/log
mount --bind "$CHECKOUT" "$CHECKOUT"
mount -o remount,bind,ro "$CHECKOUT"
cd "$CHECKOUT"
exec "$@"
"""


def git(*args: object, cwd: Path | None = None) -> str:
    return subprocess.check_output(["git", *map(str, args)], cwd=cwd, encoding="utf8").strip()


def build(dest: Path, source: Path = GMT) -> str:
    return subprocess.check_output([sys.executable, source / "build.py", dest], encoding="utf8").strip()


@pytest.fixture(scope="session")
def bare(tmp_path_factory) -> Path:
    dest = tmp_path_factory.mktemp("bare") / "gmt.git"
    assert build(dest) == "built"
    return dest


class Node:
    """A machine with a checkout of one release, its config.yml and an empty database."""

    def __init__(self, release: str, bare: Path, base: Path, postgres) -> None:
        self.checkout = base / "checkout"
        git("clone", "--quiet", "--branch", release, "-c", "advice.detachedHead=false", bare, self.checkout)
        self.server_version = int(postgres.psql("-c", "SHOW server_version_num")) // 10000
        if self.server_version < NEEDS_POSTGRESQL.get(release, 0):
            self.name_subqueries()
        structure = self.checkout / "docker/structure.sql"
        self.db = psycopg.connect(postgres.load_gmt(structure, f"standin_{release}"), autocommit=True)
        self.config = yaml.safe_load((self.checkout / "config.yml.example").read_text())
        postgres.grant(f"standin_{release}", "client")
        self.config["postgresql"].update(host=postgres.host, user="client", dbname=f"standin_{release}")
        self.config["machine"].update(id=1, description="node one")

        self.fake = base / "fake"
        for name in ("bin", "local/green-metrics-tool", "log"):
            (self.fake / name).mkdir(parents=True)
        (self.fake / "bin/sudo").write_text(SUDO)
        (self.fake / "bin/sudo").chmod(0o755)
        self.env = {
            **os.environ,
            "PATH": f"{self.fake / 'bin'}:{os.environ['PATH']}",
            "SUDO_LOG": str(self.fake / "sudo.log"),
            "FAKE": str(self.fake),
            "CHECKOUT": str(self.checkout),
            "PGPORT": str(postgres.port),  # v0.16 has no key for it
            "PYTHONUNBUFFERED": "1",
        }

    def name_subqueries(self) -> None:
        """Let the release do with the PostgreSQL of this computer, unseen by git; the lab has a newer one."""
        file = self.checkout / "lib/scenario_runner.py"
        text = file.read_text()
        named = text.replace('measurement_metric_id = %s)"', 'measurement_metric_id = %s) AS named"')
        assert named != text
        file.write_text(named)
        git("update-index", "--assume-unchanged", file.relative_to(self.checkout), cwd=self.checkout)

    def as_released(self) -> None:
        git("update-index", "--no-assume-unchanged", "lib/scenario_runner.py", cwd=self.checkout)
        git("checkout", "--quiet", ".", cwd=self.checkout)

    def rows(self, sql: str, *params) -> list:
        """Return the rows of a query; of rows with one column, the bare values."""
        rows = self.db.execute(sql, params).fetchall()
        return [row[0] if len(row) == 1 else row for row in rows]

    def statuses(self) -> list[str]:
        return self.rows("SELECT status_code FROM client_status ORDER BY id")

    def sudo_log(self) -> list[str]:
        return (self.fake / "sudo.log").read_text().splitlines()

    def write_config(self) -> None:
        (self.checkout / "config.yml").write_text(yaml.safe_dump(self.config))

    def run(self, *command: str) -> subprocess.CompletedProcess:
        """Run one of the checkout's programs to its end."""
        self.write_config()
        argv = [sys.executable, *command]
        return subprocess.run(
            argv, check=False, cwd=self.checkout, env=self.env, capture_output=True, encoding="utf8", timeout=60
        )

    def start(self, program: str) -> subprocess.Popen:
        """Start an endless program in a private view of the machine, see OVERLAY."""
        self.write_config()
        # A shell makes programs in the background deaf to SIGINT, and with it the client to its stop signal.
        argv = ["env", "--default-signal=INT", "unshare", "--mount", "sh", "-c", OVERLAY, "sh", sys.executable, program]
        with open(self.fake / "output", "w") as output:
            return subprocess.Popen(argv, env=self.env, stdout=output, stderr=output)

    def wait(self, client: subprocess.Popen, sql: str, wanted, seconds: float = 30) -> None:
        """Wait until the first value of a query is the wanted one, and the client is alive meanwhile."""
        deadline = time.monotonic() + seconds
        while (got := self.rows(sql)[:1]) != [wanted]:
            ended = client.poll()
            assert ended is None and time.monotonic() < deadline, (
                f"{sql}: {got}, client ended with {ended}: {(self.fake / 'output').read_text()}"
            )
            time.sleep(0.05)


LAST_STATUS = "SELECT status_code FROM client_status ORDER BY id DESC LIMIT 1"


@pytest.fixture
def old(bare, tmp_path, postgres):
    """A node with v0.16. Upstream's schema has no machine 1 at this release."""
    node = Node("v0.16", bare, tmp_path, postgres)
    node.config["client"]["sleep_time"] = 1
    node.db.execute("INSERT INTO machines (id, description) VALUES (1, 'one'), (2, 'two')")
    yield node
    node.db.close()


@pytest.fixture
def new(bare, tmp_path, postgres):
    """A node with v4.1, installed as far as its programs need it."""
    node = Node("v4.1", bare, tmp_path, postgres)
    # On a real node a file gmt-lib.pth in the venv does this.
    node.env["PYTHONPATH"] = os.pathsep.join([str(node.checkout), *filter(None, [os.environ.get("PYTHONPATH")])])
    node.config["postgresql"].update(port=postgres.port, retry_timeout=1)
    node.config["machine"]["base_temperature_value"] = None
    node.config["machine"]["host_reserved_memory"] = 2**50  # whatever else runs on this computer
    node.config["cluster"]["client"].update(sleep_time_no_job=1, shutdown_on_job_no=False)
    copies = {
        "lib/hardware_info_root_original.py": "hardware_info_root.py",
        "lib/system_checks_root.py": "system_checks_root.py",
        "tools/cluster/maintenance_original.py": "maintenance.py",
    }
    for source, target in copies.items():
        shutil.copy(node.checkout / source, node.fake / "local/green-metrics-tool" / target)
    yield node
    node.db.close()


@pytest.fixture
def private_mounts(tmp_path):
    """Skip where we may not give a process its own view of /usr/bin."""
    probe = f"mount -t overlay overlay -o lowerdir={tmp_path}:/usr/bin /usr/bin"
    try:
        argv = ["unshare", "--mount", "sh", "-c", probe]
        done = subprocess.run(argv, capture_output=True, encoding="utf8", check=False)
    except FileNotFoundError:
        pytest.skip("no program unshare")
    if done.returncode != 0:
        pytest.skip(f"cannot mount in a namespace of our own: {done.stderr.strip()}")


def submit(node: Node, filename: str, state: str = "WAITING", user_id: int = 1, email: str | None = None) -> int:
    return node.rows(
        """INSERT INTO jobs (type, state, name, url, branch, filename, machine_id, user_id, email)
           VALUES ('run', %s, 'a job', 'https://example.invalid/a.git', 'main', %s, 1, %s, %s) RETURNING id""",
        state,
        filename,
        user_id,
        email,
    )[0]


def submit_project(node: Node, filename: str, machine_id: int | None = None) -> str:
    project = node.rows("INSERT INTO projects (filename, email) VALUES (%s, 'a@b.invalid') RETURNING id", filename)[0]
    node.db.execute("INSERT INTO jobs (type, project_id, machine_id) VALUES ('project', %s, %s)", (project, machine_id))
    return project


# the repository ------------------------------------------------------------------------------------------------------


def test_second_build_changes_nothing(bare):
    before = sorted((path, path.stat().st_mtime_ns) for path in bare.rglob("*"))
    assert build(bare) == "unchanged"
    assert sorted((path, path.stat().st_mtime_ns) for path in bare.rglob("*")) == before
    assert sorted(path.name for path in bare.parent.iterdir()) == ["gmt.git"]


def test_releases_are_tags_and_main_is_the_newest(bare):
    assert git("tag", cwd=bare).split() == list(RELEASES)
    assert git("rev-parse", "HEAD", "main", cwd=bare).split() == [git("rev-parse", "v4.1", cwd=bare)] * 2
    assert git("rev-list", "--count", "main", cwd=bare) == "2"
    git("fsck", "--strict", cwd=bare)


def test_same_trees_give_same_hashes_elsewhere(bare, tmp_path):
    shutil.copytree(GMT, tmp_path / "copy")
    env = {"GIT_AUTHOR_NAME": "somebody", "GIT_COMMITTER_DATE": "2001-01-01T00:00:00", "PATH": os.environ["PATH"]}
    command = [sys.executable, tmp_path / "copy/build.py", tmp_path / "other.git"]
    subprocess.run(command, env=env, umask=0o077, check=True)
    assert git("for-each-ref", cwd=tmp_path / "other.git") == git("for-each-ref", cwd=bare)


def test_changed_tree_is_built_again_and_junk_is_not_a_change(tmp_path):
    source, dest = tmp_path / "gmt", tmp_path / "gmt.git"
    shutil.copytree(GMT, source)
    assert build(dest, source) == "built"
    old_release = git("rev-parse", "v0.16", cwd=dest)
    (source / "v4.1/lib/__pycache__").mkdir(exist_ok=True)
    (source / "v4.1/lib/__pycache__/db.pyc").touch()
    (source / "v4.1/lib/c/gmt-lib.o").touch()
    assert build(dest, source) == "unchanged"
    (source / "v4.1/requirements.txt").write_text("# changed\n")
    assert build(dest, source) == "built"
    assert git("show", "main:requirements.txt", cwd=dest) == "# changed"
    assert git("rev-parse", "v0.16", cwd=dest) == old_release


def test_two_builds_at_once(tmp_path):
    command = [sys.executable, GMT / "build.py", tmp_path / "gmt.git"]
    builds = [subprocess.Popen(command, stdout=subprocess.PIPE, encoding="utf8") for _build in range(4)]
    assert sorted(done.communicate()[0].strip() for done in builds) == ["built", *["unchanged"] * 3]
    assert [path.name for path in tmp_path.iterdir()] == ["gmt.git"]


def test_foreign_directory_is_not_replaced(tmp_path):
    git("init", "--quiet", "--bare", tmp_path / "precious.git")
    command = [sys.executable, GMT / "build.py", tmp_path / "precious.git"]
    done = subprocess.run(command, capture_output=True, encoding="utf8", check=False)
    assert done.returncode != 0
    assert "is not a GMT stand-in" in done.stderr
    assert git("tag", cwd=tmp_path / "precious.git") == ""


def test_file_modes_are_upstreams(bare):
    def executables(release):
        lines = git("ls-tree", "-r", release, cwd=bare).splitlines()
        return [line.split("\t")[1] for line in lines if line.startswith("100755")]

    assert executables("v0.16") == ["lib/hardware_info_root.py"]
    assert executables("v4.1") == ["lib/hardware_info_root_original.py"]
    assert not git("show", "v0.16:tools/cluster/cleanup.sh", cwd=bare).startswith("#!")


def test_a_commit_can_be_fetched_by_its_hash(bare, tmp_path):
    commit = git("rev-parse", "v0.16", cwd=bare)
    git("init", "--quiet", tmp_path / "clone")
    git("fetch", "--quiet", "--depth=1", f"file://{bare}", commit, cwd=tmp_path / "clone")
    assert git("rev-parse", "FETCH_HEAD", cwd=tmp_path / "clone") == commit


# the schema ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("release", "tables"), [("v0.16", 8), ("v4.1", 23)])
def test_structure_creates_its_database(release, tables, postgres):
    postgres.drop_db("green-coding")
    try:
        postgres.psql("-f", str(GMT / release / "docker/structure.sql"))
        with psycopg.connect(postgres.dsn("green-coding")) as db:
            assert db.execute("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'").fetchone() == (tables,)
    finally:
        postgres.drop_db("green-coding")


def test_seed_rows_and_sequences(new):
    assert new.rows("SELECT id, name FROM users ORDER BY id") == [(0, "[GMT-SYSTEM]"), (1, "DEFAULT")]
    assert new.rows("SELECT id, available FROM machines") == [(1, True)]
    assert new.rows("SELECT state::text, url FROM jobs") == [("FINISHED", "demo-url")]
    assert new.rows("SELECT resolved FROM cluster_status_messages") == [False]
    assert new.rows("INSERT INTO users (name, token, capabilities) VALUES ('a', 'b', '{}') RETURNING id") == [2]
    assert new.rows("INSERT INTO categories (name) VALUES ('a') RETURNING id") == [7]


def test_triggers(new):
    assert new.rows("UPDATE machines SET available = false RETURNING updated_at IS NULL") == [False]
    job = submit(new, "a.yml")
    with pytest.raises(psycopg.errors.RaiseException, match=r"Unknown category ids: \{99\}"):
        new.db.execute("UPDATE jobs SET category_ids = '{1,99}' WHERE id = %s", (job,))
    with pytest.raises(psycopg.errors.ForeignKeyViolation):
        new.db.execute("DELETE FROM machines")


# v4.1 ----------------------------------------------------------------------------------------------------------------


def test_v41_client_takes_a_job_to_its_end(new):
    job = submit(new, "sleep-0.1.yml", email="a@example.invalid")
    done = new.run("cron/client.py", "--testing")
    assert done.returncode == 0, done.stderr
    assert new.rows("SELECT state::text FROM jobs WHERE id = %s", job) == ["FINISHED"]
    assert new.statuses() == ["job_start", "job_end"]
    run = new.rows("SELECT id, failed, end_measurement - start_measurement >= 100000 FROM runs WHERE job_id = %s", job)
    assert [row[1:] for row in run] == [(False, True)]
    assert new.rows("SELECT type, run_id FROM jobs WHERE state = 'WAITING'") == [("email-report", run[0][0])]
    machine = new.rows("SELECT description, status_code, gmt_hash, configuration->'machine'->>'id' FROM machines")
    assert machine == [("node one", "job_end", git("rev-parse", "HEAD", cwd=new.checkout), "1")]
    assert git("status", "--short", "--ignored", cwd=new.checkout) == "!! config.yml"
    assert not (new.fake / "sudo.log").exists()


def test_v41_needs_the_postgresql_that_the_release_table_names(new):
    new.as_released()
    job = submit(new, "sleep-0.yml")
    done = new.run("cron/client.py", "--testing")
    is_enough = new.server_version >= NEEDS_POSTGRESQL["v4.1"]
    assert new.rows("SELECT state::text FROM jobs WHERE id = %s", job) == ["FINISHED" if is_enough else "FAILED"]
    assert ("subquery in FROM must have an alias" in done.stderr) is not is_enough


def test_v41_client_without_a_job(new):
    assert new.run("cron/client.py", "--testing").returncode == 0
    assert new.statuses() == ["job_no"]


def test_v41_client_finds_lib_only_through_the_venv(new):
    new.env["PYTHONPATH"] = os.environ.get("PYTHONPATH", "")
    done = new.run("cron/client.py", "--testing")
    assert "ModuleNotFoundError: No module named 'lib'" in done.stderr


def test_v41_config_can_live_elsewhere(new, tmp_path):
    new.write_config()
    (new.checkout / "config.yml").rename(tmp_path / "other.yml")
    argv = [sys.executable, "cron/client.py", "--testing", "--config-override", str(tmp_path / "other.yml")]
    assert subprocess.run(argv, cwd=new.checkout, env=new.env, check=False).returncode == 0
    assert new.statuses() == ["job_no"]


@pytest.mark.parametrize(
    ("section", "key", "value", "error"),
    [
        ("machine", "base_temperature_value", KeyError, "KeyError('base_temperature_value')"),
        # Upstream's own default: its column is an integer, so the real client ends like this, too.
        ("machine", "base_temperature_value", False, "DatatypeMismatch"),
        ("machine", "id", 4711, "ForeignKeyViolation"),
    ],
)
def test_v41_client_ends_on_a_bad_setting(new, section, key, value, error):
    del new.config[section][key]
    if value is not KeyError:
        new.config[section][key] = value
    done = new.run("cron/client.py", "--testing")
    assert done.returncode == 0  # upstream's exit code; systemd starts it again
    assert error in done.stderr
    assert error in new.rows("SELECT message FROM system_logs")[0]


@pytest.mark.parametrize(
    ("section", "key", "value", "error"),
    [
        ("machine", "description", "", "You must set machine id and machine description"),
        ("machine", "host_reserved_cpus", 0, "host_reserved_cpus must be 1 at least"),
        ("measurement", "full_docker_prune_whitelist", KeyError, "KeyError('full_docker_prune_whitelist')"),
    ],
)
def test_v41_job_fails_on_a_bad_setting(new, section, key, value, error):
    del new.config[section][key]
    if value is not KeyError:
        new.config[section][key] = value
    job = submit(new, "a.yml")
    done = new.run("cron/client.py", "--testing")
    assert error in done.stderr
    assert new.rows("SELECT state::text FROM jobs WHERE id = %s", job) == ["FAILED"]
    assert new.statuses() == ["job_start", "job_error"]


def test_v41_failing_job(new):
    job = submit(new, "fail.yml", email="a@example.invalid")
    new.run("cron/client.py", "--testing")
    assert new.rows("SELECT state::text FROM jobs WHERE id = %s", job) == ["FAILED"]
    assert new.rows("SELECT failed FROM runs WHERE job_id = %s", job) == [True]
    assert new.statuses() == ["job_start", "job_error"]
    assert new.rows("SELECT type FROM jobs WHERE state = 'WAITING'") == ["email-simple"]


def test_v41_user_without_the_machine(new):
    new.db.execute("UPDATE users SET capabilities = jsonb_set(capabilities, '{machines}', '[2]') WHERE id = 1")
    job = submit(new, "a.yml")
    assert "User 1 may not use machine 1" in new.run("cron/client.py", "--testing").stderr
    assert new.rows("SELECT state::text FROM jobs WHERE id = %s", job) == ["FAILED"]


def test_v41_stuck_job_blocks_the_machine(new):
    submit(new, "a.yml", state="RUNNING")
    job = submit(new, "a.yml")
    assert "Job is still running" in new.run("cron/client.py", "--testing").stderr
    assert new.rows("SELECT state::text FROM jobs WHERE id = %s", job) == ["WAITING"]
    assert new.statuses() == []


def test_v41_dirty_checkout_is_a_warning(new):
    (new.checkout / "stray").touch()
    job = submit(new, "sleep-0.yml")
    new.run("cron/client.py", "--testing")
    assert new.rows("SELECT state::text FROM jobs WHERE id = %s", job) == ["FINISHED"]
    path = "{measurement,system_check_threshold}"
    new.db.execute("UPDATE users SET capabilities = jsonb_set(capabilities, %s, '2') WHERE id = 1", (path,))
    job = submit(new, "sleep-0.yml")
    new.run("cron/client.py", "--testing")
    assert new.rows("SELECT state::text FROM jobs WHERE id = %s", job) == ["WAITING"]
    assert new.statuses()[-1] == "job_error"


def test_v41_control_workload_fails_on_a_warning_and_no_job_is_measured(new, private_mounts):
    """As with upstream's own default, which reserves nothing: the process ends, and systemd would start it again."""
    new.config["machine"]["host_reserved_memory"] = 0
    job = submit(new, "sleep-0.yml")
    client = new.start("cron/client.py")
    assert client.wait(timeout=60) == 0
    assert "OOM risk" in new.rows("SELECT message FROM system_logs")[0]
    assert new.statuses()[-1] == "measurement_control_start"
    assert new.rows("SELECT state::text FROM jobs WHERE id = %s", job) == ["WAITING"]


def test_v41_mail_job(new):
    new.db.execute("INSERT INTO jobs (type, email, name, user_id) VALUES ('email-simple', 'a@b.invalid', 'Hello', 1)")
    done = new.run("cron/jobs.py", "email")
    assert "Would mail to a@b.invalid" in done.stdout
    assert new.rows("SELECT state::text FROM jobs WHERE type = 'email-simple'") == ["FINISHED"]
    assert "No job to process" in new.run("cron/jobs.py", "email").stdout
    assert new.run("cron/jobs.py", "email-simple").returncode == 2


def test_v41_whole_life(new, private_mounts):
    """Maintenance, control workload, a job, idle: the states in the database and each sudo call, in order."""
    job = submit(new, "sleep-0.1.yml")
    client = new.start("cron/client.py")
    try:
        new.wait(client, LAST_STATUS, "job_no")
        client.send_signal(signal.SIGINT)
        assert client.wait(10) == 0
    finally:
        client.kill()
    maintenance = ["maintenance_start", "maintenance_end"]
    control = ["measurement_control_start", "measurement_control_end"]
    assert new.statuses() == [*maintenance, *control, "job_start", "job_end", *maintenance, "job_no"]
    assert new.rows("SELECT job_id, user_id FROM runs WHERE NOT failed ORDER BY created_at") == [(None, 0), (job, 1)]

    python = f"{Path('/usr/bin/python3').resolve()} -I -B -S {ROOT_BIN}"
    maintain = f"{python}/maintenance.py --update-os-packages"  # our /var/log knows no apt
    run = [
        "/usr/sbin/sysctl -w vm.drop_caches=3",
        f"{Path(sys.executable).resolve()} -I -B -S {ROOT_BIN}/system_checks_root.py",
        f"{python}/hardware_info_root.py",
    ]
    assert new.sudo_log() == [maintain, *run, *run, maintain]
    assert "would run apt update" in new.rows("SELECT data FROM client_status WHERE status_code = 'maintenance_end'")[0]
    # Nothing was validated twice.
    assert new.rows("SELECT needs_revalidation FROM machines") == [False]


def test_v41_interrupt_fails_the_job_and_still_maintains(new, private_mounts):
    new.db.execute("INSERT INTO client_status (status_code, machine_id) VALUES ('measurement_control_end', 1)")
    job = submit(new, "sleep-60.yml")
    client = new.start("cron/client.py")
    try:
        new.wait(client, f"SELECT count(*) FROM runs WHERE job_id = {job}", 1)
        client.send_signal(signal.SIGINT)
        assert client.wait(10) == 0
    finally:
        client.kill()
    assert new.rows("SELECT state::text FROM jobs WHERE id = %s", job) == ["FAILED"]
    assert new.rows("SELECT failed FROM runs") == [True]
    assert new.statuses()[-3:] == ["job_start", "maintenance_start", "maintenance_end"]


def test_v41_warning_ends_the_control_workload_and_the_client(new, private_mounts):
    (new.checkout / "stray").touch()
    client = new.start("cron/client.py")
    assert client.wait(30) == 0
    assert new.statuses() == ["maintenance_start", "maintenance_end", "measurement_control_start"]
    assert "untracked or changed files" in new.rows("SELECT message FROM system_logs")[0]


def test_v41_client_survives_a_lost_connection(new, private_mounts):
    new.config["postgresql"]["retry_timeout"] = 10
    new.db.execute("INSERT INTO client_status (status_code, machine_id) VALUES ('measurement_control_end', 1)")
    client = new.start("cron/client.py")
    try:
        new.wait(client, LAST_STATUS, "job_no")
        others = (
            "FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
            " AND backend_type = 'client backend'"  # autovacuum comes when it likes
        )
        assert new.rows(f"SELECT pg_terminate_backend(pid) {others}") == [True]
        job = submit(new, "sleep-0.yml")
        new.wait(client, f"SELECT state::text FROM jobs WHERE id = {job}", "FINISHED")
    finally:
        client.kill()


def test_v41_reboot_of_an_idle_machine(new, private_mounts):
    new.db.execute("INSERT INTO client_status (status_code, machine_id) VALUES ('measurement_control_end', 1)")
    new.config["cluster"]["client"].update(reboot_after_seconds=1, update_os_packages=False)
    client = new.start("cron/client.py")
    try:
        new.wait(client, LAST_STATUS, "reboot")
        deadline = time.monotonic() + 10
        while len(new.sudo_log()) < 2 and time.monotonic() < deadline:
            time.sleep(0.05)
        client.send_signal(signal.SIGINT)
        assert client.wait(10) == 0
    finally:
        client.kill()
    python = f"{Path('/usr/bin/python3').resolve()} -I -B -S {ROOT_BIN}"
    assert new.sudo_log() == [f"{python}/maintenance.py", "/usr/bin/systemctl reboot"]


def test_v41_providers_can_be_built(new):
    if not (shutil.which("make") and shutil.which("cc")):
        pytest.skip("no make or no C compiler")
    procfs = new.checkout / "metric_providers/cpu/utilization/procfs/system"
    rapl = new.checkout / "metric_providers/cpu/energy/rapl/msr/component"

    def make(directory):
        return subprocess.run(["make", "-C", directory], env=new.env, capture_output=True, encoding="utf8", check=False)

    for directory in (new.checkout / "lib/c", procfs, rapl):
        assert make(directory).returncode == 0
    assert subprocess.run([procfs / "metric-provider-binary"], capture_output=True, check=False).returncode == 0
    assert new.sudo_log() == ["chown root:root metric-provider-binary", "chmod u+s metric-provider-binary"]
    assert git("status", "--short", cwd=new.checkout) == ""


# v0.16 ---------------------------------------------------------------------------------------------------------------


@pytest.mark.skipif(os.geteuid() != 0, reason="each job calls a root helper, and our sudo makes nobody root")
def test_v016_jobs_takes_a_project_to_its_end(old):
    project = submit_project(old, "sleep-0.1.yml")
    done = old.run("tools/jobs.py", "project")
    assert "Successfully processed" in done.stdout, done.stderr
    # The row of a finished job is gone; a mail takes its place.
    assert old.rows("SELECT type, project_id, machine_id, running, failed FROM jobs") == [
        ("email", project, None, False, False)
    ]
    assert old.rows("SELECT machine_id, last_run IS NULL, end_measurement > start_measurement FROM projects") == [
        (1, False, True)
    ]
    assert old.rows("SELECT description FROM machines ORDER BY id") == ["node one", "two"]
    assert old.sudo_log() == [f"{sys.executable} {old.checkout}/lib/hardware_info_root.py"]
    assert old.run("tools/jobs.py", "email").returncode == 0
    assert old.rows("SELECT * FROM jobs") == []
    assert git("status", "--short", "--ignored", cwd=old.checkout) == "!! config.yml"


def test_v016_failed_job_keeps_its_row(old):
    submit_project(old, "fail.yml")
    assert old.run("tools/jobs.py", "project").returncode == 0
    assert old.rows("SELECT type, failed, running FROM jobs") == [("project", True, False)]


def test_v016_running_job_of_another_machine_locks_all(old):
    submit_project(old, "a.yml", machine_id=2)
    old.db.execute("UPDATE jobs SET running = true, last_run = now()")
    submit_project(old, "a.yml", machine_id=1)
    done = old.run("tools/jobs.py", "project")
    assert done.returncode == 1
    assert "Job was still running" in done.stderr


def test_v016_other_machines_jobs_are_left_alone(old):
    submit_project(old, "a.yml", machine_id=2)
    assert "No job to process" in old.run("tools/jobs.py", "project").stdout


def test_v016_client_cleans_up_after_a_job(old, private_mounts):
    (old.checkout / "tools/cluster/cleanup.sh").chmod(0o755)
    submit_project(old, "sleep-0.1.yml")
    client = old.start("tools/client.py")
    try:
        old.wait(client, LAST_STATUS, "job_no")
        client.send_signal(signal.SIGINT)
        client.wait(10)
    finally:
        client.kill()
    assert old.statuses()[:5] == ["job_start", "job_end", "cleanup_start", "cleanup_stop", "job_no"]
    assert old.sudo_log()[-1] == f"{old.checkout}/tools/cluster/cleanup.sh"
    assert "would run" in old.rows("SELECT data FROM client_status WHERE status_code = 'cleanup_stop'")[0]
    log = old.fake / "log/gmt-cleanup.log"
    assert log.read_text().count("cleanup.sh uid=0") == 1
    assert log.stat().st_mode & 0o777 == 0o600


def test_v016_client_dies_if_the_cleanup_script_stays_as_it_is_in_git(old, private_mounts):
    submit_project(old, "sleep-0.yml")
    client = old.start("tools/client.py")
    assert client.wait(30) == 1
    assert old.statuses() == ["job_start", "job_end", "cleanup_start"]
