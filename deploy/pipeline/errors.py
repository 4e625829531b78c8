"""The one error of the pipeline: what went wrong, why, and what mends it."""

from __future__ import annotations

from collections.abc import Callable

from lab.errors import LabError
from pipeline import github


class PipelineError(LabError):
    """An expected failure, told without a traceback; see ``LabError`` for its three parts."""


def told(work: Callable[[], int]) -> int:
    """Runs a verb; an expected failure becomes its message, an annotation, and exit code 1.

    Args:
        work: the verb; returns its exit code.
    """
    try:
        return work()
    except LabError as failed:
        github.error(f"{failed.what} {failed.why}. {failed.mend}")
        github.say(str(failed))
        return 1
