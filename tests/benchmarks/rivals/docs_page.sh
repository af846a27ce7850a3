#!/bin/sh
# SPDX-License-Identifier: GPL-3.0-or-later
# The same machine by a script that walks through the tool's instructions from top to bottom, and can be run again.
# Called on the machine, as root, in a folder with `settings` and the tree `files`.
set -eu
. ./settings  # DIR USER_NAME REPO VERSION COMMIT PACKAGES REQUIREMENTS WHEELS WHEELS_HOST MAKEFILES SERVICE MEMORY
export DEBIAN_FRONTEND=noninteractive
new=

# Packages. The list is read again once a day.
[ -n "$(find /var/lib/apt/lists -maxdepth 0 -mtime -1)" ] || apt-get -qq update
# shellcheck disable=SC2086
apt-get -qq install --no-install-recommends $PACKAGES >/dev/null

# The account that measures
getent group "$USER_NAME" >/dev/null || groupadd "$USER_NAME"
getent passwd "$USER_NAME" >/dev/null || useradd --gid "$USER_NAME" --create-home --shell /bin/bash "$USER_NAME"

# The tool
[ -d "$DIR/.git" ] || git clone -q --depth 1 --branch "$VERSION" "$REPO" "$DIR" 2>/dev/null
cd "$DIR"
[ "$(git config core.fileMode)" = false ] || git config core.fileMode false
if [ "$(git rev-parse HEAD)" != "$COMMIT" ]; then
    git fetch -q --depth 1 origin "$COMMIT"
    git checkout -q "$COMMIT"
fi

# Its Python packages
[ -x venv/bin/python3 ] || python3 -m venv venv
# shellcheck disable=SC2086
venv/bin/pip install --quiet --disable-pip-version-check --no-index --trusted-host "$WHEELS_HOST" --find-links "$WHEELS" \
    $REQUIREMENTS

# Its metric providers: make knows what is there
for folder in $MAKEFILES; do
    make -s -C "$folder"
done
venv/bin/python3 -m compileall -q lib metric_providers

# Files: configuration, sudo rules, helper scripts, unit. `install` would touch the same ones again, and restart the client.
cd - >/dev/null
while read -r mode owner group path; do
    if ! cmp -s "files$path" "$path"; then
        case $path in /etc/sudoers.d/*) visudo -qcf "files$path" ;; esac
        install -D -m "$mode" -o "$owner" -g "$group" "files$path" "$path"
        new=1
    fi
    if [ "$(stat -c '%a %U %G' "$path")" != "$mode $owner $group" ]; then
        chown "$owner:$group" "$path"
        chmod "$mode" "$path"
        new=1
    fi
done <list
install -d -m 0750 -o "$USER_NAME" -g "$USER_NAME" "$MEMORY"

# The service of the account, which runs without a login
loginctl enable-linger "$USER_NAME"
XDG_RUNTIME_DIR=/run/user/$(id -u "$USER_NAME")
until [ -S "$XDG_RUNTIME_DIR/systemd/private" ]; do sleep 0.1; done
manage() { runuser -u "$USER_NAME" -- env XDG_RUNTIME_DIR="$XDG_RUNTIME_DIR" systemctl --quiet --user "$@"; }
manage daemon-reload
manage enable "$SERVICE"
[ -z "$new" ] || manage restart "$SERVICE"
manage is-active "$SERVICE" || manage start "$SERVICE"
[ -z "$new" ] || echo changed
