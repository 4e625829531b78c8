"""`python -m lab.prepare`: Docker, the lab's images, its registry, sshd, restic, and a browser."""

from __future__ import annotations

import sys

from lab.browser import ensure_browser
from lab.docker import ensure_engine
from lab.errors import LabError
from lab.images import ensure_images
from lab.registry import ensure_registry
from lab.restic import ensure_restic
from lab.sshd import ensure_sshd


def main() -> int:
    """0 when everything is there; 1 with what is missing and how to get it."""

    def talk(text: str) -> None:
        print(f"lab: {text}", file=sys.stderr, flush=True)

    try:
        ensure_sshd(talk)
        ensure_restic(talk)
        ensure_browser(talk)
        ensure_engine(talk)
        ensure_images(talk)
        ensure_registry(talk)
    except LabError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
