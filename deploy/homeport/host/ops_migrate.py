"""Migrations: the schema brought up by the new release, on the data itself or on a copy."""

from __future__ import annotations

from contextlib import suppress
from typing import Any, Mapping

from homeport.core.facts import Schema
from homeport.errors import HomeportError, MigrationFailed, Problem
from homeport.host import postgres, schema
from homeport.host.context import Context
from homeport.host.oneshot import Late, OneShot
from homeport.host.restoring import Copy
from homeport.model import Release

Args = Mapping[str, Any]
#: while a migration waits for a lock, everybody waits who comes after it; in seconds
LOCK = 2.0


def migrate(ctx: Context, args: Args) -> str:
    """Bring the live data's schema up; raises MigrationFailed with the command's last lines.

    What the data has is not known meanwhile, nor after a failure until it is put back. Where
    nothing is at stake it stays as the failure left it, and is asked.
    """
    release = ctx.release(str(args["release"]))
    ctx.journal("schema", schema="")
    try:
        found = bring_up(ctx, release, float(args["within"]))
    except MigrationFailed:
        if ctx.store.history().stake is None:
            with suppress(HomeportError):
                ctx.journal("schema", schema=schema.ask(ctx, release).found)
        raise
    ctx.journal("schema", schema=found.found)
    return f"the schema is at {found.found}"


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
    rules = release.settings.migrate
    assert rules is not None
    words, where = schema.command(rules.command), "[migrate] command"
    data, env, apart = (copy.replace, copy.env, True) if copy else ({}, {}, False)
    network = "" if copy and not copy.env else None
    variables = {**postgres.limits(ctx, release, LOCK, within), **env}
    try:
        done = OneShot(ctx, release).run(
            rules.command,
            within=within,
            replace=data,
            env=variables,
            network=network,
            apart=apart,
        )
    except Late as late:
        what = f"{words} had no end within {within:g} s and was stopped"
        help_ = "raise within in [migrate] of homeport.toml, or mend the migration"
        why = schema.lines(ctx, late.output)
        raise MigrationFailed(Problem(what, where, why, help_)) from late
    if done.code:
        what, why = f"{words} {schema.ended(done)}", schema.lines(ctx, done)
        raise MigrationFailed(Problem(what, where, why, schema.MEND))
    try:
        found = schema.ask(ctx, release, data, env, network=network, apart=apart)
    except schema.Untold as error:
        raise MigrationFailed(*error.problems) from error
    wanted = release.schema or found.wanted
    if found.pending or found.found != wanted:
        what = f"{words} ended well, and the schema is at {found.found} instead of {wanted}"
        raise MigrationFailed(Problem(what, where, schema.lines(ctx, done), schema.MEND))
    return found
