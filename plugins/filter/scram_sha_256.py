# Copyright (c) 2026, the greenlab.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""PostgreSQL's SCRAM-SHA-256 verifier; the formula and its sources are in plugin_utils/_scram.py."""

from __future__ import annotations

DOCUMENTATION = r"""
name: scram_sha_256
short_description: Turn a password into PostgreSQL's SCRAM-SHA-256 verifier
version_added: 0.1.0
author:
  - greenlab.cluster contributors (!UNKNOWN)
description:
  - Computes on the controller what PostgreSQL stores for a password,
    C(SCRAM-SHA-256$<iterations>:<salt>$<StoredKey>:<ServerKey>).
  - Used in C(CREATE ROLE ... PASSWORD), so that neither the server nor its log ever sees the password itself.
  - A verifier does not give the password away, but a weak password can still be guessed from it. Treat it as a secret
    and set C(no_log) on the task that uses it.
requirements:
  - passlib (on the controller)
options:
  _input:
    description:
      - The password. Not empty, and text. Quote it in YAML where it looks like a number.
      - It is normalised as PostgreSQL does, with SASLprep, or taken as it is where SASLprep does not allow it.
    type: str
    required: true
  current:
    description:
      - The verifier that the server has now, the column C(rolpassword) of C(pg_authid).
      - When it belongs to the password it is returned unchanged, with its own salt and iterations,
        so a second run changes nothing.
      - Anything else, such as an MD5 hash, V(none) or an empty string, is replaced by a new verifier.
    type: str
  iterations:
    description:
      - How often the password is hashed in a new verifier, at least 1.
      - PostgreSQL's own default is 4096.
    type: int
    default: 4096
notes:
  - The verifier has a new random salt of 16 bytes each time, unless O(current) matches.
seealso:
  - name: PostgreSQL, the catalogue pg_authid
    description: The form of the stored verifier.
    link: https://www.postgresql.org/docs/current/catalog-pg-authid.html
  - name: RFC 7677
    description: SCRAM-SHA-256.
    link: https://www.rfc-editor.org/rfc/rfc7677
"""

EXAMPLES = r"""
- name: Show the verifier of a password
  ansible.builtin.debug:
    msg: "{{ 'pencil' | greenlab.cluster.scram_sha_256 }}"
  # => SCRAM-SHA-256$4096:<salt>$<StoredKey>:<ServerKey>

- name: Keep the verifier that the server has, if it belongs to the password
  ansible.builtin.set_fact:
    gmt_db_verifier: "{{ gmt_db_password | greenlab.cluster.scram_sha_256(current=gmt_db_rolpassword) }}"
  no_log: true
"""

RETURN = r"""
_value:
  description: The verifier, or O(current) where that belongs to the password.
  type: str
"""

from collections.abc import Callable

from ansible.errors import AnsibleFilterError

from ansible_collections.greenlab.cluster.plugins.plugin_utils._scram import MissingPasslib, keep_or_make_verifier


def scram_sha_256(password: object, current: object = None, iterations: int = 4096) -> str:
    """Return PostgreSQL's verifier of the password, or raise AnsibleFilterError, which never has the password in it."""
    try:
        return keep_or_make_verifier(password, current, iterations)
    except (ValueError, MissingPasslib) as error:
        # "from None": a traceback must not carry the password's own frames along.
        raise AnsibleFilterError(f"scram_sha_256: {error}") from None


class FilterModule:
    """Hand the filter to Ansible."""

    def filters(self) -> dict[str, Callable[..., str]]:
        """Return the filters of this file by name."""
        return {"scram_sha_256": scram_sha_256}
