"""OpenSSH's server on this machine, for tests that start one of their own on a loopback port."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from lab import packages

#: Debian asks this program before a package starts its service; 101 is "no"
POLICY = Path("/usr/sbin/policy-rc.d")
FORBIDS = "#!/bin/sh\nexit 101\n"


def ensure_sshd(talk: Callable[[str], None]) -> str:
    """Make sure that there is an sshd to start; installing it opens no door of this machine.

    Args:
        talk: gets a line where it has to be installed.

    Returns:
        The program's path.

    Raises:
        LabError: it is missing and must not be installed here.
    """
    need = "The tests need an sshd."
    return packages.ensure(_find, "openssh-server", need, talk, _unstarted)


def _find() -> str | None:
    return shutil.which("sshd", path=f"{os.environ.get('PATH', '')}:/usr/sbin:/sbin")


@contextmanager
def _unstarted() -> Iterator[None]:
    """While this lasts, a package that is installed does not start its service."""
    if POLICY.exists():
        yield  # somebody has decided already
        return
    POLICY.write_text(FORBIDS, encoding="utf-8")
    POLICY.chmod(0o755)
    try:
        yield
    finally:
        POLICY.unlink()
