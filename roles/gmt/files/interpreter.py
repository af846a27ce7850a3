# SPDX-License-Identifier: GPL-3.0-or-later
"""Say what this interpreter is, as far as it decides which wheels fit."""

import json
import platform
import sysconfig

print(json.dumps({
    "python": platform.python_version(),
    "platform": sysconfig.get_platform(),
    "libc": " ".join(platform.libc_ver()),
}))
