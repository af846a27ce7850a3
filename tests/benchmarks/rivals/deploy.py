# SPDX-License-Identifier: GPL-3.0-or-later
"""The same machine by pyinfra, with its own operations. Where one would do work each time, a fact is asked first."""

from io import StringIO

from pyinfra import host
from pyinfra.facts.files import File
from pyinfra.facts.git import GitLocalCommit
from pyinfra.operations import apt, files, git, pip, server, systemd
from pyinfra.operations.util import any_changed

at = host.data
venv = f"{at.dir}/venv"

apt.packages(name="Install packages", packages=at.packages, no_recommends=True, update=True, cache_time=86400)
server.group(name="Create the group", group=at.group)
server.user(name="Create the account", user=at.user, group=at.group, shell="/bin/bash", create_home=True)

# git.repo would check a tag out in each run.
is_new = host.get_fact(GitLocalCommit, repo=at.dir) != at.commit
if is_new:
    git.repo(name="Check the release out", src=at.repo, dest=at.dir, branch=at.version, pull=False, depth=1)
    git.config(name="Ignore file modes", key="core.fileMode", value="false", repo=at.dir)

pip.packages(
    name="Install the Python packages",
    packages=at.requirements,
    virtualenv=venv,
    virtualenv_kwargs={"venv": True, "python": "/usr/bin/python3"},
    extra_install_args=f"--quiet --no-index --trusted-host {at.wheels_host} --find-links {at.wheels}",
)

if is_new:
    for folder in at.makefiles:
        server.shell(name=f"Build {folder}", commands=[f"make -C {folder}"])
    server.shell(
        name="Compile the tool's Python",
        commands=[f"{venv}/bin/python3 -m compileall -q {at.dir}/lib {at.dir}/metric_providers"],
    )

written = [
    files.put(
        name=f"Write {file['path']}",
        src=StringIO(file["content"]),
        dest=file["path"],
        user=file["owner"],
        group=file["group"],
        mode=file["mode"],
    )
    for file in [*at.files, *at.own_files]
]
files.directory(name="Create the client's memory", path=at.memory, user=at.user, group=at.group, mode="750")

if host.get_fact(File, path=f"/var/lib/systemd/linger/{at.user}") is None:
    server.shell(
        name="Let the account's services run without a login",
        commands=[
            f"loginctl enable-linger {at.user}",
            f"until [ -S /run/user/$(id -u {at.user})/systemd/private ]; do sleep 0.1; done",
        ],
    )
client = {"service": f"{at.service}.service", "enabled": True, "user_mode": True, "user_name": at.user}
systemd.service(
    name="Restart a client whose files have changed",
    restarted=True,
    daemon_reload=True,
    **client,
    _if=any_changed(*written),
)
systemd.service(name="Start the client, now and at each boot", **client)
