# SPDX-License-Identifier: GPL-3.0-or-later
"""What can break under the modules, on a real PostgreSQL: nothing is half written, and the error names what to do."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.greenlab.cluster.plugins.module_utils import _jobs_db
from ansible_collections.greenlab.cluster.plugins.modules import gmt_job, gmt_machine, gmt_machine_info, gmt_user

MACHINES = [{"id": number, "description": f"Machine {number} {'x' * 200}"} for number in range(1, 501)]
USERS = [{"name": f"user {number}", "token": f"token-{number}"} for number in range(100)]
JOBS = [
    {
        "name": f"Job {number}",
        "url": "https://example.org/app",
        "branch": "main",
        "filename": "usage_scenario.yml",
        "machine_id": 1,
        "user": "DEFAULT",
        # Kept in the row, since it is too varied to be compressed away.
        "usage_scenario_variables": {f"__GMT_VAR_{number}_{place}__": str(place) for place in range(50)},
    }
    for number in range(100)
]

CALLS = [
    pytest.param(gmt_machine, {"machines": MACHINES, "takeover": True}, id="gmt_machine"),
    pytest.param(gmt_job, {"jobs": JOBS}, id="gmt_job"),
    pytest.param(gmt_user, {"users": USERS}, id="gmt_user"),
]
# The table that the module writes last, and what it does when rows are written already.
LAST = {gmt_machine: ("users", "_grant"), gmt_job: ("jobs", "_read"), gmt_user: ("users", "_result")}


def failure(module: Any, db: Any, **options: Any) -> str:
    """Return the error of a call; no row may have been written."""
    before = db.everything()
    with pytest.raises(_jobs_db.JobsDBError) as error:
        module.run(db.options(module.argument_spec(), **options))
    assert db.everything() == before
    return str(error.value)


# A full disk ----------------------------------------------------------------------------------------------------------


@pytest.fixture
def full_disk(postgres: Any, jobs_db: Any) -> Iterator[tuple[Any, Path]]:
    """Move the jobs DB to a disk of its own, and fill that; removing the file that is returned frees some space."""
    if os.geteuid() != 0:
        pytest.skip("only root may mount a disk of its own")
    with tempfile.TemporaryDirectory(prefix="disk-") as disk:
        subprocess.run(["mount", "-t", "tmpfs", "-o", "size=32m,mode=0755", "tmpfs", disk], check=True)
        try:
            Path(disk).chmod(0o755)
            space = Path(disk) / "space"
            space.mkdir()
            subprocess.run(["chown", "postgres:", space], check=True)
            postgres.psql("-c", f"CREATE TABLESPACE tiny LOCATION '{space}'")
            jobs_db.connection.close()
            postgres.psql("-c", f'ALTER DATABASE "{jobs_db.name}" SET TABLESPACE tiny')
            jobs_db.connect()
            filler = Path(disk) / "filler"
            with filler.open("wb", buffering=0) as file, pytest.raises(OSError, match="No space left"):
                while True:
                    file.write(bytes(4096))
            yield jobs_db, filler
        finally:
            jobs_db.connection.close()
            postgres.drop_db(jobs_db.name)
            postgres.psql("-c", "DROP TABLESPACE IF EXISTS tiny")
            subprocess.run(["umount", disk], check=True)


@pytest.mark.parametrize(("module", "options"), CALLS)
def test_full_disk(module: Any, options: dict[str, Any], full_disk: Any) -> None:
    db, filler = full_disk
    message = failure(module, db, **options)
    assert "The disk of the jobs DB at" in message
    assert "is full. Free some space there and run again." in message
    assert "No space left on device" in message

    filler.unlink()
    assert module.run(db.options(module.argument_spec(), **options))["changed"]


# A statement timeout --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("module", "options"), CALLS)
def test_statement_timeout(module: Any, options: dict[str, Any], jobs_db: Any) -> None:
    """An administrator gave the login a timeout, and the server is slow just when the last table is written."""
    jobs_db.sql(
        f"""
        DROP ROLE IF EXISTS hurried; CREATE ROLE hurried LOGIN SUPERUSER;
        ALTER ROLE hurried SET statement_timeout = '300ms';
        CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS
            $$ BEGIN PERFORM pg_sleep(CASE current_user WHEN 'hurried' THEN 1 ELSE 0 END); RETURN NEW; END $$;
        CREATE TRIGGER slow BEFORE INSERT OR UPDATE ON {LAST[module][0]} FOR EACH ROW EXECUTE FUNCTION slow()
        """
    )
    message = failure(module, jobs_db, login_user="hurried", **options)
    assert "cancelled a statement (statement_timeout?)" in message
    assert "or raise the timeout of user 'hurried'" in message

    assert module.run(jobs_db.options(module.argument_spec(), **options))["changed"]
    jobs_db.sql("DROP ROLE hurried")


# A server that restarts -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("module", "options"), CALLS)
def test_server_restarts_in_the_middle_of_a_call(
    module: Any, options: dict[str, Any], postgres: Any, jobs_db: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = jobs_db.everything()
    step = LAST[module][1]
    original = getattr(module, step)
    restarts = []

    def meanwhile(*args: Any, **others: Any) -> Any:
        if not restarts:
            postgres.restart()
            restarts.append(step)
        return original(*args, **others)

    monkeypatch.setattr(module, step, meanwhile)
    params = jobs_db.options(module.argument_spec(), **options)
    with pytest.raises(_jobs_db.ConnectionLost, match="run again: repeating is safe"):
        module.run(params)
    jobs_db.connect()
    assert jobs_db.everything() == before
    assert restarts == [step]
    assert module.run(params)["changed"]


def test_report_survives_a_restart(postgres: Any, jobs_db: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    read = gmt_machine_info.read_machines
    calls = []

    def meanwhile(*args: Any, **others: Any) -> Any:
        calls.append(1)
        if len(calls) == 1:
            postgres.restart()
        return read(*args, **others)

    monkeypatch.setattr(gmt_machine_info, "read_machines", meanwhile)
    machines = gmt_machine_info.run(jobs_db.options(gmt_machine_info.argument_spec()))["machines"]
    assert [machine["id"] for machine in machines] == [1]
    assert len(calls) == 2


# The wrong certificate ------------------------------------------------------------------------------------------------


@pytest.fixture
def certificates(postgres: Any, tmp_path: Path) -> Iterator[Path]:
    """Switch TLS on for 127.0.0.1, and return the folder with the server's certificate and one that another made."""
    for name in ("server", "other"):
        command = "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 2 -subj /CN=db"
        files = ["-addext", "subjectAltName=IP:127.0.0.1", "-keyout", f"{name}.key", "-out", f"{name}.crt"]
        subprocess.run([*command.split(), *files], cwd=tmp_path, check=True, capture_output=True)
    for name in ("server.crt", "server.key"):
        own = Path(postgres.host) / "data" / name  # where PostgreSQL looks
        shutil.copyfile(tmp_path / name, own)
        own.chmod(0o600)
        shutil.chown(own, (Path(postgres.host) / "data").owner())
    postgres.restart(ssl="on", listen_addresses="127.0.0.1")
    yield tmp_path
    postgres.restart()


@pytest.mark.parametrize(("module", "options"), CALLS)
def test_wrong_certificate(module: Any, options: dict[str, Any], jobs_db: Any, certificates: Path) -> None:
    jobs_db.connect()
    tcp = {"login_unix_socket": "", "login_host": "127.0.0.1", "ssl_mode": "verify-full"}
    right, wrong = str(certificates / "server.crt"), str(certificates / "other.crt")
    for host, certificate, said in (
        ("127.0.0.1", wrong, "certificate verify failed"),
        ("localhost", right, "does not match host name"),
    ):
        message = failure(module, jobs_db, **{**options, **tcp, "login_host": host, "ca_cert": certificate})
        assert f"No trusted TLS connection to the jobs DB at {host}" in message
        assert "Check ca_cert, the name and the date of the server's certificate" in message
        assert said in message
    assert module.run(jobs_db.options(module.argument_spec(), **options, **tcp, ca_cert=right))["changed"]
