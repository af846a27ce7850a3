# SPDX-License-Identifier: GPL-3.0-or-later
"""Log in at the jobs DB as the server will, and look whether its tables are there. Reads config.yml as JSON from stdin.

Ends with one line on stderr that says what is wrong.
"""

import json
import sys

import psycopg

db = json.load(sys.stdin)["postgresql"]
where = f"{db['dbname']} at {db['host']}:{db['port']} as {db['user']}"
try:
    with psycopg.connect(
        host=db["host"], port=db["port"], dbname=db["dbname"], user=db["user"], password=db["password"],
        sslmode="require", connect_timeout=10,
    ) as connection:
        connection.execute("SELECT id FROM machines LIMIT 1")
except psycopg.OperationalError as error:
    reason = " ".join(str(error).split())
    sys.exit(f"The server cannot reach the jobs DB {where}: {reason} Is its password the one that the jobs DB was set "
             "up with (jobs_db_server_password), and is this host in jobs_db_networks?")
except psycopg.Error as error:
    reason = " ".join(str(error).split())
    sys.exit(f"The jobs DB {where} is there, but does not answer: {reason} Set the jobs DB up first (role jobs_db).")
