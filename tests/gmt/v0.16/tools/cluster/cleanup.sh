# SPDX-License-Identifier: GPL-3.0-or-later
# House-keeping between two jobs. Like upstream's, this file is neither executable nor has it a shebang line.
# The stand-in cleans nothing: it leaves a line that only root can write, so a test can count its runs.
umask 077
echo "$(date +%Y-%m-%dT%H:%M:%S%z) cleanup.sh uid=$(id -u)" >> /var/log/gmt-cleanup.log || exit 1
echo "stand-in: would run the apt, dpkg, fstrim, tmpfiles, logrotate and journal jobs"
