#!/usr/bin/env bash
# SPDX-License-Identifier: GPL-3.0-or-later
# Copy what git would take of the checkout, also what is not committed yet, to FOLDER/ansible_collections/greenlab/cluster.
set -euo pipefail
cd "$(dirname "$0")/.."

copy=$1/ansible_collections/greenlab/cluster
mkdir -p "$copy"
# Without the stand-in's releases: they are written as upstream's files are.
git ls-files -z --cached --others --exclude-standard -- . ':!tests/gmt/v*' |
    while IFS= read -r -d '' file; do
        # A file that was deleted and not committed yet is still listed.
        [ ! -e "$file" ] || printf '%s\0' "$file"
    done |
    tar --create --null --files-from=- | tar --extract --directory="$copy"
echo "$copy"
