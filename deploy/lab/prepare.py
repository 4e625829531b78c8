"""`python -m lab.prepare`: make sure of Docker, the lab's images, its registry, and an sshd."""

from __future__ import annotations

import sys

from lab.docker import ensure_engine
from lab.errors import LabError
from lab.images import ensure_images
from lab.registry import ensure_registry
from lab.sshd import ensure_sshd


def main() -> int:
    """0 when everything is there; 1 with what is missing and how to get it."""

    def talk(text: str) -> None:
        print(f"lab: {text}", file=sys.stderr, flush=True)

    try:
        ensure_sshd(talk)
        ensure_engine(talk)
        ensure_images(talk)
        ensure_registry(talk)
    except LabError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
