# Copyright (c) 2026, the greenlab.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Start the program: ``python3 /usr/local/lib/greenlab-wake [--help]``."""

import sys

from greenlab_wake.cli import main

sys.exit(main(sys.argv[1:]))
