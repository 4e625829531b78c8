"""Programs that tests need: found on this machine, or installed from Debian where they may be."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext

from lab import debian, state
from lab.docker import may_install
from lab.errors import LabError


def ensure(
    find: Callable[[], str | None],
    package: str,
    need: str,
    talk: Callable[[str], None],
    around: Callable[[], AbstractContextManager[None]] = nullcontext,
) -> str:
    """Make sure that a program is there.

    Args:
        find: gives its path, or None.
        package: what Debian calls it.
        need: what needs it, for the message: ``The tests need an sshd.``
        talk: gets a line where it has to be installed.
        around: what lasts while it is being installed.

    Returns:
        The program's path.

    Raises:
        LabError: it is missing and must not be installed here.
    """
    with state.lock("engine"):
        found = find()
        if found:
            return found
        mend = f"sudo apt-get install {package}, or what your system calls it"
        if not may_install():
            raise LabError(need, f"{package} is not installed", mend)
        talk(f"installing from Debian: {package}")
        with around():
            debian.install([package], newer=False)
        found = find()
        if found:
            return found
        raise LabError(need, "the package brought none", mend)
