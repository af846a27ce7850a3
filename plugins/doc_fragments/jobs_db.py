# Copyright (c) 2026, the greenlab.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Documentation shared by everything that talks to the jobs DB."""

from __future__ import annotations


class ModuleDocFragment:
    """Options of the connection (see module_utils/_jobs_db.py), and what else the modules have in common."""

    DOCUMENTATION = r"""
options:
  login_host:
    description:
      - Name or address of the server of the jobs DB.
      - Without it and without O(login_unix_socket) the local Unix socket is used.
    type: str
  login_port:
    description:
      - Port of PostgreSQL, for a Unix socket too. GMT's own container listens on V(9573).
    type: int
    default: 5432
  login_user:
    description:
      - Database user. Registering machines needs the rights of the tables' owner, reading needs SELECT on the tables.
    type: str
    default: postgres
  login_password:
    description:
      - Password of O(login_user).
      - Without it libpq looks in its password file, and the server may trust the system user instead.
    type: str
  login_db:
    description:
      - Name of the database. GMT always names it V(green-coding).
    type: str
    default: green-coding
  login_unix_socket:
    description:
      - Folder of the server's Unix socket, for example V(/var/run/postgresql).
      - Fails when O(login_host) is set as well; an empty string counts as not set.
    type: path
  ssl_mode:
    description:
      - How much TLS is asked for, in libpq's words.
      - V(prefer) checks nothing; V(verify-full) with O(ca_cert) is what an untrusted network needs.
    type: str
    default: prefer
    choices: [disable, allow, prefer, require, verify-ca, verify-full]
  ca_cert:
    description:
      - File with the certificate of the authority that signed the server's certificate, where the module runs.
      - With it, O(ssl_mode=require) checks the authority as well, as V(verify-ca) does.
    type: path
  connect_timeout:
    description:
      - Seconds to wait for each address of the server; 2 or more.
    type: int
    default: 10
requirements:
  - psycopg 3.1 or newer on the host where the module runs (Debian and Ubuntu package C(python3-psycopg))
"""

    # Not for plugins, which have neither check mode nor an action group.
    MODULE = r"""
notes:
  - One call is one connection and one transaction. Call it once with a list, not once for each machine, and run it
    where it disturbs nobody, on the server of the jobs DB or on the control node, never on a measuring machine.
  - Knows the schemas of GMT v0.16 to v4.1. Tables and columns that a release lacks are left out; a schema that is
    none of theirs is an error.
attributes:
  check_mode:
    description: Can run in C(check_mode) and return changed status prediction without modifying target.
  diff_mode:
    description: Returns details on what has changed (or possibly needs changing in C(check_mode)), when in diff mode.
  action_group:
    description: Use C(group/greenlab.cluster.gmt) in C(module_defaults) to set the connection once.
    support: full
    membership:
      - greenlab.cluster.gmt
"""

    WRITES = r"""
attributes:
  check_mode:
    support: full
    details:
      - Runs the same statements as a real run, under the same locks, and rolls them back.
  diff_mode:
    support: full
"""
