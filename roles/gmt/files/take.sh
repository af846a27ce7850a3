# SPDX-License-Identifier: GPL-3.0-or-later
# shellcheck shell=sh
# Unpacks an archive ($1) beside a folder ($2), puts it in the folder's place, removes the archive, and runs what else it is given.
set -eu
archive=$1 place=$2
shift 2
trap 'rm -rf "$place.new"' EXIT
rm -rf "$place.new" "$place.old"
mkdir -p "$place.new"
tar --extract --no-same-owner --file="$archive" --directory="$place.new"
[ ! -e "$place" ] || mv -T "$place" "$place.old"
mv -T "$place.new" "$place"
rm -rf "$place.old" "$archive"
"$@"
