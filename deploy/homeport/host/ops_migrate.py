"""Migrations: the schema brought up by the new release, on the data itself or on a copy."""

from __future__ import annotations

from contextlib import suppress
from functools import partial
from typing import Any, Callable, Mapping

from homeport.core.facts import Schema
from homeport.errors import Cancelled, HomeportError, MigrationFailed, Problem
from homeport.host import postgres, schema
from homeport.host.begun import Late
from homeport.host.context import Context
from homeport.host.oneshot import OneShot
from homeport.host.restoring import Copy
from homeport.model import Release

Args = Mapping[str, Any]
#: while a migration waits for a lock, everybody waits who comes after it; in seconds
LOCK = 2.0
#: while people wait for what served before, one look at what failed may take so many seconds
SOON = 5.0
WHERE = "[migrate] command"


def migrate(ctx: Context, args: Args) -> str:
    """Bring the live data's schema up; raises MigrationFailed with the command's last lines.

    What the data has is not known meanwhile, nor after a failure until it is put back. Where
    nothing is at stake it stays as the failure left it, and is asked. With ``later`` people wait,
    and the release starts while it is asked what the migration did: ``known`` tells.
    """
    release = ctx.release(str(args["release"]))
    ctx.journal("schema", schema="")
    if args.get("later"):
        schema.begin(ctx, release, changed(ctx, release, float(args["within"])))
        return "what it did is asked while the release starts"
    try:
        found = bring_up(ctx, release, float(args["within"]))
    except MigrationFailed:
        if ctx.store.history().stake is None:
            with suppress(HomeportError):
                ctx.journal("schema", schema=schema.ask(ctx, release).found)
        raise
    ctx.journal("schema", schema=found.found)
    return f"the schema is at {found.found}"


def known(ctx: Context, args: Args) -> str:
    """See that the migration did what it said it would; raises MigrationFailed."""
    release = ctx.release(str(args["release"]))
    found = _wanted(release, *_asking(ctx, release))
    ctx.journal("schema", schema=found.found)
    return f"the schema is at {found.found}"


def left(ctx: Context, error: HomeportError) -> HomeportError:
    """Why a deploy failed whose migration was still looked at: that one, where it is no good.

    Code that meets a schema it does not know fails with any words; nothing is asked afterwards.
    """
    asking = ctx.asking
    if asking is None or isinstance(error, Cancelled) or not asking.begun.over(SOON):
        schema.forget(ctx)
        return error
    try:
        _wanted(asking.release, *_asking(ctx, asking.release))
    except MigrationFailed as cause:
        return MigrationFailed(*cause.problems, *error.problems)
    except HomeportError:
        pass
    return error


def _asking(ctx: Context, release: Release) -> tuple[str, Callable[[], Schema]]:
    """What the migration said, and what tells how the schema is now."""
    said = ctx.asking.said if ctx.asking else ""
    return said, partial(schema.answer, ctx, release)


def bring_up(
    ctx: Context,
    release: Release,
    within: float,
    copy: Copy | None = None,
) -> Schema:
    """Run the release's migration, and see that it did what it said it would.

    Args:
        release: whose migration it is; it runs in that one's image.
        within: seconds after which it is stopped.
        copy: where to do it, if not on the data itself. One without a database on a server has
            no network: what is not in the copy cannot be reached by mistake.

    Returns:
        what its own command says of the schema afterwards.

    Raises:
        MigrationFailed: it ended badly or not at all, or the schema is not the wanted one.
    """
    said = changed(ctx, release, within, copy)
    data, env, apart = (copy.replace, copy.env, True) if copy else ({}, {}, False)
    network = _network(copy)
    ask = partial(schema.ask, ctx, release, data, env, network=network, apart=apart)
    return _wanted(release, said, ask)


def _network(copy: Copy | None) -> str | None:
    return "" if copy and not copy.env else None


def changed(ctx: Context, release: Release, within: float, copy: Copy | None = None) -> str:
    """Run the release's migration; the last lines it wrote. Raises MigrationFailed as above."""
    rules = release.settings.migrate
    assert rules is not None
    words = schema.command(rules.command)
    data, env, apart = (copy.replace, copy.env, True) if copy else ({}, {}, False)
    variables = {**postgres.limits(ctx, release, LOCK, within), **env}
    try:
        done = OneShot(ctx, release).run(
            rules.command,
            within=within,
            replace=data,
            env=variables,
            network=_network(copy),
            apart=apart,
        )
    except Late as late:
        what = f"{words} had no end within {within:g} s and was stopped"
        help_ = "raise within in [migrate] of homeport.toml, or mend the migration"
        why = schema.lines(ctx, late.output)
        raise MigrationFailed(Problem(what, WHERE, why, help_)) from late
    if done.code:
        what, why = f"{words} {schema.ended(done)}", schema.lines(ctx, done)
        raise MigrationFailed(Problem(what, WHERE, why, schema.MEND))
    return schema.lines(ctx, done)


def _wanted(release: Release, said: str, ask: Callable[[], Schema]) -> Schema:
    """What is told of the schema, where it is what the release wants.

    ``said`` is what the migration wrote, for people to see why it may not be.
    """
    try:
        found = ask()
    except schema.Untold as error:
        raise MigrationFailed(*error.problems) from error
    wanted = release.schema or found.wanted
    if found.pending or found.found != wanted:
        rules = release.settings.migrate
        words = schema.command(rules.command) if rules else ""
        what = f"{words} ended well, and the schema is at {found.found} instead of {wanted}"
        raise MigrationFailed(Problem(what, WHERE, said, schema.MEND))
    return found
