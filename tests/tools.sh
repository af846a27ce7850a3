#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Install what the Makefile's targets need, and only what is missing: Debian packages, .venv, the collections link.
# With argument `demo` only the packages that nodes need, and the nodes' image beside .venv.
# PYTHON names the interpreter of .venv, 3.11 or newer; python3 if it is not set.
set -euo pipefail
cd "$(dirname "$0")/.."

as_root=()
[ "$(id -u)" = 0 ] || as_root=(sudo)

is_installed() {
    [ "$(dpkg-query --show --showformat='${db:Status-Status}' "$1" 2>/dev/null)" = installed ]
}

python_is_new_enough() {
    "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null
}

install_packages() {
    local wanted missing=() package no_cluster=/etc/postgresql-common/createcluster.d/greenlab.conf
    # Nodes: podman, mmdebstrap and what they need.
    wanted=(ca-certificates debian-archive-keyring git iproute2 iptables make mmdebstrap openssh-client podman procps)
    # crun, podman's first choice, refuses version 1 control groups.
    [ -e /sys/fs/cgroup/cgroup.controllers ] || wanted+=(runc)
    # Debian's own interpreter comes without what makes an environment.
    [ -n "${PYTHON:-}" ] || command -v python3 >/dev/null || wanted+=(python3)
    if [ "$1" = all ]; then
        # Unit tests: the programs of PostgreSQL, a C compiler. Sanity: shellcheck.
        wanted+=(gcc libc6-dev postgresql shellcheck)
        # To look at the status page. Ubuntu's browser is a snap, which we do not ask for; the tests are skipped there.
        if ! command -v chromium google-chrome >/dev/null && grep -qx ID=debian /etc/os-release; then
            wanted+=(chromium-headless-shell)
        fi
    fi
    python3=$(command -v "${PYTHON:-python3}" || echo /usr/bin/python3)
    case $(readlink -f "$python3") in /usr/bin/*) wanted+=(python3-venv) ;; esac
    for package in "${wanted[@]}"; do
        is_installed "$package" || missing+=("$package")
    done
    [ "${#missing[@]}" -gt 0 ] || return 0

    echo "Installing Debian packages, which may take some minutes: ${missing[*]}"
    if [[ " ${missing[*]} " = *" postgresql "* ]]; then
        # We want the programs, not a server that starts with this computer.
        "${as_root[@]}" mkdir -p "${no_cluster%/*}"
        echo 'create_main_cluster = false' | "${as_root[@]}" tee "$no_cluster" >/dev/null
        trap '"${as_root[@]}" rm -f "$no_cluster"' RETURN
    fi
    "${as_root[@]}" apt-get -qq update
    "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
        apt-get -qq install --no-install-recommends "${missing[@]}" >/dev/null
}

make_venv() {
    local python3 stamp=.venv/requirements.sha256 now
    python3=$(command -v "${PYTHON:-python3}") || { echo "There is no ${PYTHON:-python3}." >&2; exit 1; }
    if ! python_is_new_enough "$python3"; then
        echo "$python3 is $("$python3" --version 2>&1); Python 3.11 or newer is needed." \
            "Name one: make PYTHON=/path/to/python3.11 tools" >&2
        exit 1
    fi
    # An environment is bound to its interpreter and to its own path.
    now="$("$python3" -c 'import sys; print(sys.version, sys.base_prefix)') $PWD $(sha256sum requirements-dev.txt)"
    [ "$now" != "$(cat $stamp 2>/dev/null)" ] || return 0
    echo "Installing Python packages into .venv, which may take some minutes"
    if [ "${now%% /*}" != "$(.venv/bin/python -c 'import sys; print(sys.version, end="")' 2>/dev/null)" ] ||
        ! grep -qs "$PWD/.venv" .venv/bin/activate; then
        "$python3" -m venv --clear .venv
    fi
    # Most of Ansible's modules never run on this computer: Python compiles those that do.
    .venv/bin/python -m pip install -qq --disable-pip-version-check --no-compile --requirement requirements-dev.txt
    echo "$now" >$stamp
}

link_collection() {
    # Ansible finds a collection only at <a folder>/ansible_collections/<namespace>/<name>.
    local link=.lab/collections/ansible_collections/greenlab/cluster
    mkdir -p "${link%/*}"
    [ -e $link ] || ln -sfn ../../../.. $link
}

start_image() {
    local suite=${GREENLAB_SUITE:-bookworm}
    # So that sudo asks here, if it asks, and not in the middle of what else is shown.
    "${as_root[@]}" true
    image_log=$(mktemp)
    # The same name as in tests/lab/vars.yml, whose playbook then finds the image.
    python3 tests/lab/image.py "localhost/greenlab-node:$suite" --suite "$suite" --mirror "${GREENLAB_MIRROR:-}" \
        >"$image_log" 2>&1 &
    image=$!
    # Also when .venv fails: what was begun is not left running.
    trap finish_image EXIT
}

finish_image() {
    local status=$? image_status=0
    if kill -0 "$image" 2>/dev/null; then echo "Waiting for the image of the nodes"; fi
    wait "$image" || image_status=$?
    if [ $image_status -ne 0 ]; then
        cat "$image_log" >&2
        echo "The image of the nodes was not built." >&2
    fi
    rm "$image_log"
    exit $((status ? status : image_status))
}

case ${1:-all} in
    all)
        install_packages all
        ;;
    demo)
        install_packages nodes
        start_image
        ;;
    *)
        echo "Usage: $0 [demo]" >&2
        exit 2
        ;;
esac
make_venv
link_collection
