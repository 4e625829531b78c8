"""Whatever is in a folder, removed by the user who may have made it.

Runs inside an image, by itself. ``HOMEPORT_ARGUMENT`` is JSON: ``path``, which itself stays.
"""

from __future__ import annotations

import json
import os
import shutil
import sys


def empty(path: str) -> None:
    """Remove what is in a folder; what this user may not remove is left."""
    for folder, _, _ in os.walk(path):
        if os.stat(folder).st_uid == os.getuid():
            os.chmod(folder, 0o2770)
    for name in os.listdir(path):
        full = os.path.join(path, name)
        if os.path.isdir(full) and not os.path.islink(full):
            shutil.rmtree(full, ignore_errors=True)
        else:
            os.unlink(full)


if __name__ == "__main__":
    try:
        empty(json.loads(os.environ["HOMEPORT_ARGUMENT"])["path"])
    except OSError as error:
        sys.exit(f"{error.filename or 'a file'}: {error.strerror}")
