"""Chromium on this machine, for tests that look at MyFoodBudget's pages as people do."""

from __future__ import annotations

import shutil
from collections.abc import Callable

from lab import packages

#: what it is called by Debian, by Ubuntu, and by Google, whose own GitHub's machines have
NAMES = ("chromium", "chromium-browser", "google-chrome-stable", "google-chrome")
#: for a process that is root in a container, has no screen, and shall talk to nobody else
FLAGS = (
    "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking"
    " --disable-component-update --disable-sync --disable-dev-shm-usage"
).split()


def ensure_browser(talk: Callable[[str], None]) -> str:
    """Make sure that there is a Chromium to start.

    Args:
        talk: gets a line where it has to be installed.

    Returns:
        The program's path.

    Raises:
        LabError: it is missing and must not be installed here.
    """
    return packages.ensure(_find, "chromium", "The tests need a browser.", talk)


def _find() -> str | None:
    return next(filter(None, map(shutil.which, NAMES)), None)
