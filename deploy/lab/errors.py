"""The one error of the lab: what went wrong, why, and the command that mends it."""

from __future__ import annotations


class LabError(Exception):
    """An expected failure, told to a person without a traceback.

    Args:
        what: what could not be done, in a sentence.
        why: the cause as far as it was observed.
        mend: the command or the step that mends it.
    """

    def __init__(self, what: str, why: str, mend: str) -> None:
        super().__init__(what)
        self.what = what
        self.why = why
        self.mend = mend

    def __str__(self) -> str:
        """The three parts as the lines a person reads."""
        return f"{self.what}\n  because: {self.why}\n\nhint: {self.mend}"
