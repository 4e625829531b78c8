"""The freeze: since when, by whom and why an app takes no deploy. Rolling back stays possible."""

from __future__ import annotations

from dataclasses import dataclass

from homeport.errors import Problem


@dataclass(frozen=True)
class Freeze:
    """Who froze the app, why, the page that tells more, and the instant."""

    who: str = ""
    why: str = ""
    url: str = ""
    at: float = 0.0


def problem(freeze: Freeze, now: float) -> Problem:
    """What a deploy is told; ``now`` is an instant too."""
    why = f": {freeze.why}" if freeze.why else ""
    url = f" ({freeze.url})" if freeze.url else ""
    return Problem(
        f"deploys are frozen since {_ago(now - freeze.at)}",
        "app",
        f"by {freeze.who or 'somebody'}{why}{url}",
        "homeport unfreeze; or homeport deploy --unfreeze, which lifts it and deploys in one go",
    )


def _ago(seconds: float) -> str:
    for limit, unit, divisor in ((120, "s", 1), (7200, "min", 60), (172800, "h", 3600)):
        if seconds < limit:
            return f"{max(0, int(seconds)) // divisor} {unit}"
    return f"{int(seconds) // 86400} days"
