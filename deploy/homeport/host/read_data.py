"""What is saved of the app: every set for ``homeport backup list``, and the sum of it."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

from homeport.core import freshness
from homeport.core.facts import Facts
from homeport.core.saving import asked
from homeport.core.kept import Kept
from homeport.host.context import Context


def listing(ctx: Context) -> dict[str, Any]:
    """Every set, the newest first, and what ``status`` says of them."""
    facts = ctx.facts()
    sets = [_set(one) for one in reversed(facts.copies)]
    return {"app": ctx.paths.app, "sets": sets, **summary(facts)}


def summary(facts: Facts) -> dict[str, Any]:
    """The newest verified set, when the next one is made, and what a person should know."""
    live = facts.committed
    backup = asked(live.settings) if live else None
    newest = facts.newest()
    return {
        "configured": backup is not None,
        "schedule": backup.schedule if backup else "",
        "verified": _set(newest) if newest else None,
        "count": len(facts.copies),
        "size": sum(one.manifest.size for one in facts.copies),
        "next": freshness.next_at(facts),
        "looked": facts.saving.ticker.at or None,
        "problems": [
            {"check": one.check, "grave": one.grave, **asdict(one.problem)}
            for one in freshness.judge(facts)
        ],
    }


def _set(one: Kept) -> dict[str, Any]:
    made, checked = one.manifest, one.verified
    return {
        "id": made.id,
        "at": made.created,
        "why": made.why,
        "release": made.release,
        "schema": made.schema,
        "size": made.size,
        "seconds": round(made.ended - made.created, 3),
        "state": one.state,
        "verified_at": checked.at if checked else None,
        "verify_seconds": checked.seconds if checked else None,
        "problems": list(checked.problems) if checked else [],
        "missing": list(made.missing),
        "items": [
            {"kind": item.kind, "source": item.source, "size": item.size, "files": item.files}
            for item in made.items
        ],
    }
