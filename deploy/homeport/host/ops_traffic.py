"""Traffic: writing the link, and waiting until an old address has nothing left in flight."""

from __future__ import annotations

import os
import stat
import time
from typing import Any, Mapping

from homeport.core import link as links
from homeport.errors import HostFault, Problem
from homeport.host import ops_edge
from homeport.host.context import Context
from homeport.host.paths import sync

Args = Mapping[str, Any]
#: an address is drained when nothing is seen in flight on so many looks, so far apart in seconds
LOOKS, PAUSE = 3, 0.1


def link(ctx: Context, args: Args) -> str:
    """Write the link: a hold, or the handover to a release."""
    address = str(args["address"])
    if args.get("release"):
        _is_socket(ctx, address)
        ctx.count("handover")
    ctx.store.write_link(address)
    now = time.monotonic()
    if address == links.hold(ctx.paths.app):
        ctx.figures["hold_at"] = now
        return "requests wait"
    begun = ctx.figures.pop("hold_at", None)
    if begun is not None:
        held = round(now - begun, 3)
        ctx.figures["held_s"] = round(float(ctx.figures.get("held_s", 0.0)) + held, 3)
        ctx.figures["longest_hold_s"] = max(float(ctx.figures.get("longest_hold_s", 0.0)), held)
        return f"held {now - begun:.2f} s"
    return ""


def _is_socket(ctx: Context, address: str) -> None:
    if not address.startswith("unix/"):
        return
    inside = address.removeprefix(f"unix/{links.RUN}/{ctx.paths.app}/")
    path = ctx.paths.sockets / inside
    try:
        good = stat.S_ISSOCK(os.lstat(path).st_mode)
    except OSError:
        good = False
    if not good:
        why = "the edge dials only sockets"
        raise HostFault(Problem(f"{inside} is not a socket", "slot", why, "homeport logs"))


def unlink(ctx: Context, args: Args) -> str:
    """Remove the link, and what is derived from it: the app has no release that serves."""
    ctx.paths.link.unlink(missing_ok=True)
    if ctx.paths.sockets.exists():
        # a power cut must not bring back what the journal says is gone
        sync(ctx.paths.sockets)
    ops_edge.page_down(ctx, {})
    (ctx.paths.folder / "current").unlink(missing_ok=True)
    return ""


def drain(ctx: Context, args: Args) -> str:
    """Wait until nothing is in flight to an address, at most so many seconds."""
    address, within = str(args["address"]), float(args["within"])
    begun = time.monotonic()
    quiet, left = 0, None
    while time.monotonic() - begun < within:
        ctx.stop.look()
        left = ctx.edge.in_flight(address)
        quiet = quiet + 1 if left == 0 else 0
        if quiet >= LOOKS:
            break
        time.sleep(PAUSE)
    ctx.figures["drain_s"] = round(time.monotonic() - begun, 3)
    if left is None:
        # who cannot be counted may be there: they get all the time there is
        waited = f"the edge cannot be asked what is in flight: waited {within:g} s"
        ctx.notice(f"{waited}; homeport edge upgrade makes it anew")
        return "not seen"
    if left:
        ctx.figures["cut"] = left
        ctx.notice(f"{left} requests were still in flight after {within:g} s and are cut")
        return f"{left} cut"
    return ""
