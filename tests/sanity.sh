#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-3.0-or-later
# ansible-test sanity on a copy of the collection, with this Python only, from the package index that pip uses here.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
bin=$here/../.venv/bin

# ansible-test passes neither pip's environment nor our home's settings on: it gets a home of its own with both in it.
home=$here/../.lab/test/sanity
mkdir -p "$home/.ansible/test/cache" "$home/.config/pip"
home=$(cd "$home" && pwd)
{
    echo '[global]'
    # pip lists what holds last: files, then the environment. "site.cert='…'" and ":env:.cert='…'" become "cert = …".
    "$bin/python" -m pip config list | sed -nE "s/^(:env:|global|install)\.([a-z-]+)='(.*)'$/\2 = \3/p" |
        awk -F' = ' '{ line[$1] = $0 } END { for (key in line) print line[key] }'
    if [ -e /etc/ssl/certs/ca-certificates.crt ]; then
        echo 'cert = /etc/ssl/certs/ca-certificates.crt'
    fi
} | awk -F' = ' '!seen[$1]++' >"$home/.config/pip/pip.conf"

# It would download get-pip.py; the interpreter has a pip of its own, which fetches the wanted version.
cat >"$home/get_pip.py" <<'PYTHON'
import subprocess
import sys

wanted = [arg for arg in sys.argv[1:] if arg.startswith(("pip==", "setuptools==", "wheel=="))]
subprocess.check_call([sys.executable, "-m", "ensurepip"])
subprocess.check_call([sys.executable, "-m", "pip", "install", "--disable-pip-version-check", "--quiet", *wanted])
PYTHON
for version in 24_2 25_2; do
    cp "$home/get_pip.py" "$home/.ansible/test/cache/get_pip_$version.py"
done

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cd "$("$here/copy.sh" "$work")"
# ansible-core's own interpreter, whatever else is in PATH.
python=$("$bin/python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
HOME=$home PATH=$(cd "$bin" && pwd):$PATH ansible-test sanity --venv --requirements --color no --python "$python"
