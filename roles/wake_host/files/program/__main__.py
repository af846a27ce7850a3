# Copyright (c) 2026, the greenlab.cluster contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Start the program: ``python3 /usr/local/lib/greenlab-wake [--help]``, or its tool: ``… simulate [--help]``."""

import sys

arguments = sys.argv[1:]
if arguments[:1] == ["simulate"]:
    from greenlab_wake.simulate import main

    arguments.pop(0)
else:
    from greenlab_wake.cli import main

sys.exit(main(arguments))
