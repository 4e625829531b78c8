"""restic on this machine, for tests that send sets to a repository of their own."""

from __future__ import annotations

import shutil
from collections.abc import Callable

from lab import packages


def ensure_restic(talk: Callable[[str], None]) -> str:
    """Make sure that there is a restic.

    Args:
        talk: gets a line where it has to be installed.

    Returns:
        The program's path.

    Raises:
        LabError: it is missing and must not be installed here.
    """
    return packages.ensure(lambda: shutil.which("restic"), "restic", "The tests need restic.", talk)
