# SPDX-License-Identifier: GPL-3.0-or-later
"""Log in to the jobs DB as the client will, with the configuration on standard input (JSON).

Its argument is the least major version of PostgreSQL that the release needs.

Runs in the tool's own environment on the machine, before config.yml is written. Prints one line when it cannot.
"""

import json
import sys

import psycopg

config = json.load(sys.stdin)
db = config["postgresql"]
where = f"the jobs DB {db['dbname']} at {db['host']}:{db['port']} as {db['user']}"

try:
    with psycopg.connect(
        host=db["host"], port=db["port"], dbname=db["dbname"], user=db["user"], password=db["password"],
        connect_timeout=10,
    ) as connection:
        row = connection.execute(
            "SELECT description FROM machines WHERE id = %s", (config["machine"]["id"],)
        ).fetchone()
        version = connection.info.server_version // 10000
except psycopg.OperationalError as error:
    reason = " ".join(str(error).split())
    if "password authentication failed" in reason:
        remedy = "Is gmt_db_password the one that the server was set up with? Run the play for the server too."
    elif "pg_hba" in reason:
        remedy = "Is this machine's address in jobs_db_networks?"
    elif "does not exist" in reason:
        remedy = "Is gmt_db_name right, and was the server set up?"
    else:
        remedy = "Is the server up, gmt_db_host right, and the port open between them?"
    sys.exit(f"The machine cannot reach {where}: {reason}. {remedy}")
except psycopg.Error as error:
    reason = " ".join(str(error).split())
    sys.exit(f"The machine reaches {where} but may not read it: {reason}. Set the server up anew.")

if row is None:
    machine_id = config["machine"]["id"]
    sys.exit(f"Machine {machine_id} has no row in {where}. Register it (playbook site) before its client starts.")

if version < (least := int(sys.argv[1])):
    sys.exit(
        f"The machine reaches {where}, which has PostgreSQL {version}; this release needs {least} or newer. Bring the "
        "server to a newer PostgreSQL, or choose a gmt_release that needs less."
    )
