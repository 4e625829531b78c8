"""Standby: while a file is there, another release writes and this one only reads."""

from __future__ import annotations

import os
from pathlib import Path

from foodbudget.errors import StandbyError


class Standby:
    """The file that Homeport names in HOMEPORT_STANDBY.

    Args:
        file: its path; None for an app that is never in standby.
    """

    def __init__(self, file: Path | None) -> None:
        self._file = None if file is None else os.fspath(file)

    @property
    def on(self) -> bool:
        """Whether the file is there now. Looked at for every request: one stat, no memory."""
        return self._file is not None and os.path.exists(self._file)

    def refuse_writes(self) -> None:
        """Raise StandbyError while in standby."""
        if self.on:
            raise StandbyError
