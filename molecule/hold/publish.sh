#!/bin/sh
# Adds a branch to the lab's copy of the tool: publish.sh REPOSITORY BRANCH LINE-FOR-ITS-CLIENT
set -eu
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
git clone --quiet "$1" "$work"
cd "$work"
sed -i "/^from __future__/a $3" cron/client.py
git -c user.name=lab -c user.email=lab@example.invalid commit --quiet --all --message="$2"
git push --quiet --force origin "HEAD:refs/heads/$2"
