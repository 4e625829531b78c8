"""The one error of the pipeline: what went wrong, why, and what mends it."""

from __future__ import annotations

import os
from collections.abc import Callable

from lab.errors import LabError
from pipeline import github


class PipelineError(LabError):
    """An expected failure, told without a traceback; see ``LabError`` for its three parts."""


class OutOfReach(PipelineError):
    """What a verb needs cannot be had here: nothing was found out, good or bad."""


#: the file in which `make ci` looks for why a step was left out; make itself hides exit codes
NOTE = "HOMEPORT_LEFT_OUT"


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
        note = os.environ.get(NOTE, "")
        if note and isinstance(failed, OutOfReach):
            with open(note, "w", encoding="utf-8") as stream:
                stream.write(f"{failed.what} {failed.why}")
        return 1
