"""Sets that lie on the host: checked again, or let go."""

from __future__ import annotations

from typing import Any, Mapping

from homeport.errors import Problem, Unverified
from homeport.host import kept, postgres, sets
from homeport.host.context import Context

Args = Mapping[str, Any]
NOT_ONE, MEND = "it does not count as a backup", "homeport backup now"


def verify_sets(ctx: Context, args: Args) -> str:
    """Restore each to a scratch place and look at it; one that fails keeps no other from it."""
    names, problems = [str(one) for one in args["sets"]], []
    for at, name in enumerate(names):
        ctx.progress("verify", f"{name} ({at + 1} of {len(names)})")
        found = sets.verify(ctx, name)
        ctx.figures.setdefault("verified", {})[name] = found.ok
        if not found.ok:
            said = (one.partition(": ") for one in found.problems)
            problems += [
                Problem(what or where, f"set {name}: {where}", NOT_ONE, MEND)
                for where, _, what in said
            ]
    if problems:
        raise Unverified(*problems)
    return f"{len(names)} good"


def prune_replaced(ctx: Context, args: Args) -> str:
    """Drop databases that a restore replaced long enough ago."""
    release = ctx.release(str(args["release"]))
    try:
        gone = postgres.prune(ctx, release, float(args["days"]))
    except postgres.Elsewhere:
        # nothing is put back there, so nothing was replaced; the copies said it already
        return ""
    return f"dropped {', '.join(gone)}" if gone else ""


def prune_sets(ctx: Context, args: Args) -> str:
    """Let sets go; one that is gone already is as wanted, one on its way off the box stays."""
    names = [str(name) for name in args["sets"]]
    stay = [name for name in names if not kept.drop(ctx.paths, name)]
    later = f"; {', '.join(stay)} is on its way off the box and stays until the next time"
    return f"{len(names) - len(stay)} sets let go" + later * bool(stay)
