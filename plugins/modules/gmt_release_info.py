#!/usr/bin/python
# Copyright (c) 2026, the greenlab.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ask git which release a branch or a commit is nearest to."""

from __future__ import annotations

DOCUMENTATION = r"""
module: gmt_release_info
short_description: Find the release that a branch or a commit of the Green Metrics Tool is nearest to
version_added: 0.1.0
description:
  - Asks git for the newest release tag (such as V(v4.1)) among the ancestors of each version.
  - Copies the repository's history without its files into a temporary folder, a few megabytes. From a git server that
    cannot leave files out the whole repository is copied.
  - What is on the way to the next release is nearest to the one before it, though it may have some of the next one's
    changes; give C(gmt_release) by hand where that matters.
requirements:
  - git on the host that runs the module, usually the control node
extends_documentation_fragment: [greenlab.cluster.attributes.reads]
options:
  repo:
    description: URL or path of the git repository.
    type: str
    required: true
  versions:
    description: Branches, tags and commits (all 40 digits) of the repository.
    type: list
    elements: str
    required: true
seealso:
  - plugin: greenlab.cluster.gmt_release
    plugin_type: filter
author:
  - the greenlab.cluster contributors (!UNKNOWN)
"""

EXAMPLES = r"""
- name: Find the release that our branch was made from
  greenlab.cluster.gmt_release_info:
    repo: https://git.example.org/our/green-metrics-tool.git
    versions: [our-changes]
  delegate_to: localhost
  register: nearest

- name: Show what the tool needs at that release
  ansible.builtin.debug:
    msg: "{{ nearest.releases['our-changes'] | greenlab.cluster.gmt_release }}"
"""

RETURN = r"""
releases:
  description: The release of each version. The branch V(main) itself is V(main), which is newer than every release.
  returned: success
  type: dict
  sample: {"our-changes": "v4.1"}
commits:
  description: The commit of each version.
  returned: success
  type: dict
  sample: {"our-changes": "0123456789abcdef0123456789abcdef01234567"}
"""

import tempfile
import typing as t
from collections.abc import Callable

from ansible.module_utils.basic import AnsibleModule

Git = Callable[..., str]


class NotFound(ValueError):
    """The repository does not have what was asked for."""


def resolve(git: Git, version: str) -> tuple[str, str]:
    """Return a version's commit and the release it is nearest to.

    Raises NotFound when the repository does not have the version, or no release is among its ancestors.
    """
    git("fetch", "--quiet", "--filter=tree:0", "origin", version)
    commit = git("rev-parse", "FETCH_HEAD^{commit}")
    if version == "main":
        return commit, version
    try:
        return commit, git("describe", "--tags", "--abbrev=0", "--match=v[0-9]*.[0-9]*", "--exclude=*-*", commit)
    except NotFound as error:
        raise NotFound(f"{version} comes after no release: {error} Give gmt_release by hand.") from error


def main() -> None:
    """Run the module."""
    module = AnsibleModule(
        argument_spec={
            "repo": {"type": "str", "required": True},
            "versions": {"type": "list", "elements": "str", "required": True},
        },
        supports_check_mode=True,
    )
    repo = module.params["repo"]
    result: dict[str, dict[str, str]] = {"releases": {}, "commits": {}}
    with tempfile.TemporaryDirectory(prefix="gmt_release_info") as folder:
        git = runner(module, folder)
        try:
            git("clone", "--quiet", "--bare", "--filter=tree:0", "--", repo, folder)
            for version in dict.fromkeys(module.params["versions"]):
                result["commits"][version], result["releases"][version] = resolve(git, version)
        except NotFound as error:
            module.fail_json(msg=f"{repo}: {error}")
    module.exit_json(changed=False, **result)


def runner(module: t.Any, folder: str) -> Git:
    """Return a function that runs git in a folder."""
    executable = module.get_bin_path("git", required=True)

    def git(*arguments: str) -> str:
        # No prompt for a password: the play would wait for ever.
        code, output, error = module.run_command(
            [executable, f"--git-dir={folder}", *arguments], environ_update={"GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C"}
        )
        if code:
            raise NotFound(" ".join((error or output).split()))
        return output.strip()

    return git


if __name__ == "__main__":
    main()
