# SPDX-License-Identifier: GPL-3.0-or-later
"""Print the lock of this interpreter's environment: each package, its version, and the hash of its wheel in a folder.

Whoever installs from it resolves nothing, and gets nothing else. What came with the environment itself is left out.
"""

import hashlib
import re
import sys
from importlib.metadata import distributions
from pathlib import Path


def key(name, version):
    """Return what a wheel and a package agree on, however each writes it."""
    return re.sub(r"[-_.]+", "-", name).lower(), version.replace("-", "_").lower()


def lock(folder, packages):
    """Return the lines of the lock."""
    wheels = {key(*path.name.split("-")[:2]): path for path in sorted(Path(folder).glob("*.whl"))}
    wanted = sorted({key(name, version) for name, version in packages} & set(wheels))
    return [f"{n}=={v} --hash=sha256:{hashlib.sha256(wheels[n, v].read_bytes()).hexdigest()}" for n, v in wanted]


if __name__ == "__main__":
    print("\n".join(lock(sys.argv[1], [(one.metadata["Name"], one.version) for one in distributions()])))
