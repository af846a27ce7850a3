# SPDX-License-Identifier: GPL-3.0-or-later
# Unpacks an archive ($1) beside a folder ($2), puts it in the folder's place, and removes the archive.
set -eu
rm -rf "$2.new" "$2.old"
mkdir "$2.new"
tar --extract --no-same-owner --file="$1" --directory="$2.new"
[ ! -e "$2" ] || mv -T "$2" "$2.old"
mv -T "$2.new" "$2"
rm -rf "$2.old" "$1"
