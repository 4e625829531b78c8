"""The edge as steps change it: its container, its image, and an app's maintenance page."""

from __future__ import annotations

import time
from email.utils import formatdate
from typing import Any, Mapping

from homeport.core import caddy
from homeport.core import edge as edges
from homeport.core import maintenance
from homeport.errors import Cancelled, HomeportError
from homeport.host import lasting
from homeport.host.context import Context
from homeport.host.paths import make, sync, write

Args = Mapping[str, Any]
_RELEASES = ("deploy", "rollback")


def apply(ctx: Context, args: Args) -> str:
    """Create, recreate, start or reconfigure the edge, as the plan announced."""
    for one in ctx.edge.busy(ctx.paths.app) if args["change"] in edges.FELT else ():
        ctx.notice(f"{one}: the edge is changed when that is over")
    app = ctx.paths.app
    before = ctx.edge.sites().get(app)
    if before and before != ctx.wanted.sites.get(app) and ctx.request.verb in _RELEASES:
        # first: should the release not go live, what serves is reached where it was
        ctx.journal("site", site=before)
    away = ctx.edge.apply(str(args["change"]), ctx.wanted, lambda: _pull(ctx))
    if not away:
        return ""
    ctx.figures["edge_gap_s"] = round(away, 3)
    return f"away for {away:.1f} s"


def site_back(ctx: Context, args: Args) -> str:
    """Let people reach the app where they did before a run that came to nothing."""
    app, run = ctx.paths.app, ctx.store.history().run(str(args["run"]))
    edge = ctx.edge.facts()
    wanted = edges.wanted(edge, app, run.site if run else edge.sites.get(app))
    try:
        if wanted.change:
            ctx.edge.apply(wanted.change, wanted, lambda: _pull(ctx))
    except HomeportError as error:
        mend = "homeport edge apply, with the [site] of before"
        ctx.notice(f"people reach {app} at its new address only: {error} ({mend})")
        # given up: what serves matters more
        ctx.store.append({"k": "site", "run": args["run"], "site": edge.sites[app]})
    return ""


def restore(ctx: Context, args: Args) -> str:
    """Bring the edge back as its sites have it."""
    ctx.edge.restore(lambda: _pull(ctx))
    return ""


def pull(ctx: Context, args: Args) -> str:
    """Pull the edge's image; an unreachable registry is no fault where the image is here."""
    try:
        _pull(ctx)
    except HomeportError as error:
        here = lasting.there(ctx.engine, ctx.paths.edge, edges.IMAGE)
        if isinstance(error, Cancelled) or not here:
            raise
        ctx.notice(f"{edges.IMAGE} could not be asked for anew, what is here counts: {error}")
    return ""


def _pull(ctx: Context) -> None:
    def progress(done: int, total: int) -> None:
        ctx.progress("edge", edges.IMAGE, done, total)

    with ctx.stop.breaks(ctx.engine.cut):
        lasting.pull(ctx.engine, ctx.paths.edge, edges.IMAGE, "", progress)


def page_up(ctx: Context, args: Args) -> str:
    """Put the maintenance page up: from the next request on the edge answers with it."""
    minutes = int(args["minutes"])
    back = formatdate(time.time() + 60 * minutes, usegmt=True) if minutes else maintenance.RETRY
    text = caddy.page("Maintenance", maintenance.text(str(args["why"])))
    make(ctx.paths.sockets)
    # what the page's head needs comes first: its file is what makes the edge look
    write(ctx.paths.sockets / maintenance.UNTIL, back)
    write(ctx.paths.sockets / maintenance.PAGE, text)
    return ""


def page_down(ctx: Context, args: Args) -> str:
    """Take it down: from the next request on the release answers."""
    for name in (maintenance.PAGE, maintenance.UNTIL):
        (ctx.paths.sockets / name).unlink(missing_ok=True)
    if ctx.paths.sockets.exists():
        sync(ctx.paths.sockets)
    return ""
