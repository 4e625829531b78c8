"""A migration tried on a copy of the data, before anybody waits for the real one."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any, Mapping

from homeport.core import saving
from homeport.errors import HostFault, MigrationFailed, Problem, RehearsalFailed, ReleaseFailed
from homeport.host import rehearsal, restoring
from homeport.host.context import Context
from homeport.host.ops_migrate import bring_up
from homeport.host.restoring import Copy
from homeport.model import Release

Args = Mapping[str, Any]


def rehearse(ctx: Context, args: Args) -> str:
    """Migrate a copy of the data and start the release on it; nobody is touched.

    The copy is the set that this run took, restored. What the parts take is noted for the estimate.
    Raises RehearsalFailed.
    """
    release, name = ctx.release(str(args["release"])), _taken(ctx)
    took = ctx.figures["rehearsed"] = {}
    made = restoring.read(ctx.paths.backups / name)
    missing = saving.uncovered(release, made)
    if missing:
        raise RehearsalFailed(*missing)
    took["snapshot"] = _seconds(made.ended - made.created)
    with restoring.scratch(ctx, release, name) as copy:
        took["restore"] = _seconds(copy.seconds)
        try:
            _try(ctx, release, copy, took)
        except ReleaseFailed as error:
            said = [
                replace(one, what=f"on a copy of the data: {one.what}") for one in error.problems
            ]
            raise RehearsalFailed(*said) from error
    return f"migrated in {took['migrate']:.1f} s, healthy after {took['boot']:.1f} s"


def _taken(ctx: Context) -> str:
    """The set that this run took last."""
    run = ctx.store.history().run(ctx.run)
    if run is None or not run.sets:
        what = "this run took no copy to rehearse on"
        raise HostFault(Problem(what, ctx.run, "", "homeport backup list"))
    return run.sets[-1]


def _try(ctx: Context, release: Release, copy: Copy, took: dict[str, float]) -> None:
    rules = release.settings.migrate
    assert rules is not None
    begun = time.monotonic()
    bring_up(ctx, release, rules.within, copy)
    took["migrate"] = _seconds(time.monotonic() - begun)
    took["boot"] = _seconds(rehearsal.boot(ctx, release, copy.replace, copy.env))
    serves = ctx.store.history().committed
    if not (ctx.request.check_compatible and rules.compatible and serves):
        return
    try:
        took["old_boot"] = _seconds(
            rehearsal.boot(ctx, ctx.release(serves), copy.replace, copy.env)
        )
    except ReleaseFailed as error:
        what = f"{serves} does not work on the schema that {release.id} makes"
        why = "\n".join(one.text() for one in error.problems)
        mend = "compatible = false in [migrate] of homeport.toml, or a migration that only adds"
        raise MigrationFailed(Problem(what, "[migrate] compatible", why, mend)) from error


def _seconds(took: float) -> float:
    return round(max(took, 0.0), 3)
