"""Data at stake: from a moment on, a run may have changed what only a set of copies can give back.

In that time nobody has the traffic: what served is stopped and the link is a hold. So putting the
copies back discards nothing that anybody was told is saved.
"""

from __future__ import annotations

from dataclasses import dataclass

from homeport.core import link as links


@dataclass(frozen=True)
class Stake:
    """The set that gives the data back, and the release whose commit ends the stake.

    ``schema`` is what the data in the set has.
    """

    set: str
    release: str
    run: str = ""
    schema: str = ""


def due(stake: Stake | None, app: str, link: str | None) -> bool:
    """Whether the data must be put back: the run did not get to its commit, which is the link.

    A link that names any release says that users may have written already, whether the journal
    knows of it or not: what they were told is saved is never given up by itself.
    """
    return stake is not None and links.read(app, link)[0] != "release"


def uncommitted(stake: Stake | None, app: str, link: str | None) -> bool:
    """Whether the link says that the stake is over and the journal does not say so yet."""
    return stake is not None and not due(stake, app, link)
