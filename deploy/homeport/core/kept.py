"""What is saved of an app on its host, and by whom: facts, and no judgement."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from homeport.backups import Manifest, Verified
from homeport.core.schedule import Offset, utc

State = Literal["verified", "failed", "unverified"]


@dataclass(frozen=True)
class Kept:
    """A set that lies on the host, and what became of its check; None where there was none."""

    manifest: Manifest
    verified: Verified | None = None

    @property
    def state(self) -> State:
        """Only a verified set counts as a backup."""
        if self.verified is None:
            return "unverified"
        return "verified" if self.verified.ok else "failed"


@dataclass(frozen=True)
class Ticker:
    """What looks every quarter of an hour whether a backup is due.

    ``kind`` is systemd, cron, or nothing where setup has put none there; ``runs`` is whether it is
    to run, None where that cannot be told; ``at`` is when it ran last, 0.0 for never.
    """

    kind: str = ""
    runs: bool | None = None
    at: float = 0.0
    #: from when on it could have run: the host's boot, or its installation
    since: float = 0.0


@dataclass(frozen=True)
class Saving:
    """What the app can write to as its services see it, and who makes a backup by itself."""

    declared: tuple[str, ...] = ()
    ticker: Ticker = Ticker()
    offset: Offset = utc
