"""Saving data: a set taken, checked, put at stake, put back."""

from __future__ import annotations

import time
from typing import Any, Mapping

from homeport.backups import Manifest
from homeport.core import saving
from homeport.errors import HostFault, Problem, Unverified
from homeport.host import restoring, sets
from homeport.host.context import Context

Args = Mapping[str, Any]
MB = 1e6


def backup(ctx: Context, args: Args) -> str:
    """Take a set; it counts once it was verified.

    Raises Unverified where it does not have the database that the deploy is about to migrate.
    """
    manifest = _take(ctx, args, check=False)
    ctx.journal("set", set=manifest.id)
    fresh = ctx.fresh
    if fresh and fresh.schema != fresh.came_from:
        missing = saving.uncovered(fresh, manifest)
        if missing:
            raise Unverified(*missing)
    return _note(manifest)


def verify(ctx: Context, args: Args) -> str:
    """Restore the set that this run took, or the one that is named, and look at what comes out."""
    name = str(args.get("set") or "") or _taken(ctx)
    found = sets.verify(ctx, name)
    ctx.figures["verify_s"] = found.seconds
    if not found.ok:
        mend = "homeport backup now makes another; homeport data check looks at the live database"
        said = (one.partition(": ") for one in found.problems)
        raise Unverified(*(Problem(what or where, where, "", mend) for where, _, what in said))
    return f"{name} can be restored: {found.seconds:.1f} s"


def snapshot(ctx: Context, args: Args) -> str:
    """Take a set while nobody writes, and put the data at stake: without a commit it goes back.

    With ``raw`` a database that SQLite cannot read is taken as it lies: a damaged one is what
    people go back for, and what they go back from is kept whatever it is.
    """
    manifest = _take(ctx, args, check=True)
    # in one write: a stake names a set that is whole and on the disk, and is never half told
    ctx.store.append(ctx.record("set", set=manifest.id), ctx.record("stake", set=manifest.id))
    return _note(manifest)


def restore_data(ctx: Context, args: Args) -> str:
    """Put a set's data where it belongs. Whoever plans it has put today's data at stake before."""
    # a crash in the midst leaves data of which nobody can say what schema it has
    ctx.journal("schema", schema="")
    manifest, note = _restore(ctx, args)
    ctx.journal("schema", schema=str(args.get("schema") or manifest.schema))
    return note


def restore_stake(ctx: Context, args: Args) -> str:
    """Give back the data that a run put at stake and did not commit; the stake is over then."""
    manifest, note = _restore(ctx, args)
    ctx.store.append(ctx.record("schema", schema=manifest.schema), ctx.record("stake", set=""))
    return note


def _take(ctx: Context, args: Args, check: bool) -> Manifest:
    begun = time.monotonic()
    release = ctx.release(str(args["release"]))
    raw = bool(args.get("raw"))
    manifest = sets.take(ctx, release, str(args.get("why", "")), check, raw)
    seconds = round(time.monotonic() - begun, 3)
    told = {"set": manifest.id, "bytes": manifest.size, "seconds": seconds}
    ctx.figures["snapshot" if check else "backup"] = told
    return manifest


def _restore(ctx: Context, args: Args) -> tuple[Manifest, str]:
    name = str(args["set"])
    manifest = restoring.read(ctx.paths.backups / name)
    release, anyway = ctx.release(str(args["release"])), bool(args.get("anyway"))
    note = sets.restore(ctx, name, release, anyway)
    return manifest, f"{name}: {note}"


def _taken(ctx: Context) -> str:
    """The set that this run took last."""
    run = ctx.store.history().run(ctx.run)
    if run is None or not run.sets:
        raise HostFault(Problem("this run took no set", ctx.run, "", "homeport backup list"))
    return run.sets[-1]


def _note(manifest: Manifest) -> str:
    seconds = manifest.ended - manifest.created
    return f"{manifest.id}: {manifest.size / MB:.1f} MB in {seconds:.1f} s"
