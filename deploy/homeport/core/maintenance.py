"""The maintenance page: a file beside the link that the edge looks for at every request.

While it is there the edge answers with it, and asks no release. So it comes and goes without a
change of the edge's configuration, and outlasts a reboot.
"""

from __future__ import annotations

import html
from dataclasses import dataclass

#: the page itself, and when to come back, as a Retry-After header says it
PAGE, UNTIL = "maintenance", "maintenance.until"
#: without an end that was told: seconds until a client should ask again
RETRY = "300"
#: no end is further off than a year, in minutes
LONGEST = 365 * 24 * 60


@dataclass(frozen=True)
class Maintenance:
    """Who put the page up, why, and when; ``until`` is 0 where no end was told."""

    who: str = ""
    why: str = ""
    at: float = 0.0
    until: float = 0.0


def text(why: str) -> str:
    """What the page says; ``why`` is a person's own sentence, shown to everybody."""
    said = f"<p>{html.escape(why)}</p>" if why else ""
    return f"We are working on it. Please come back in a while.{said}"
