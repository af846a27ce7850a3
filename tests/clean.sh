#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Remove the lab named as argument; without argument every lab of this computer, the image, .lab and .venv.
# Needs no .venv. What does not carry our label is never touched.
set -euo pipefail
cd "$(dirname "$0")/.."

lab=${1:-}
label=greenlab.lab${lab:+=$lab}
as_root=()
[ "$(id -u)" = 0 ] || as_root=(sudo)
removed=()

# all <what> <command that lists> -- <command that removes>: what is listed is removed, and remembered.
all() {
    local what=$1 list=() found
    shift
    while [ "$1" != -- ]; do list+=("$1"); shift; done
    shift
    found=$("${as_root[@]}" podman "${list[@]}" | sort -u)
    [ -n "$found" ] || return 0
    # shellcheck disable=SC2086 # one word for each id
    "${as_root[@]}" podman "$@" $found >/dev/null
    removed+=("$what ($(wc -w <<<"$found"))")
}

# First the power programs, for they would switch nodes on again.
for folder in .lab/${lab:-*}/; do
    [ -e "$folder/power.pid" ] || continue
    "${as_root[@]}" python3 tests/lab/power.py stop "${folder%/}" >/dev/null
done
if command -v podman >/dev/null; then
    all nodes ps --all --quiet "--filter=label=$label" -- rm --force --time=0
    all networks network ls --quiet "--filter=label=$label" -- network rm
    [ -n "$lab" ] || all images images --quiet --filter=label=greenlab.image -- rmi
fi
if [ -z "$lab" ]; then
    for folder in .lab .venv; do
        [ -e $folder ] || continue
        "${as_root[@]}" rm -rf $folder
        removed+=("$folder")
    done
fi

if [ "${#removed[@]}" -eq 0 ]; then
    echo "Nothing to clean."
else
    printf -v line '%s, ' "${removed[@]}"
    echo "Removed: ${line%, }."
fi
[ -n "$lab" ] || echo "Debian packages that make has installed stay, such as podman and mmdebstrap."
