"""What an app's database has, and what it would have after a release's migration: asked of the
release itself, by the command that [migrate] names for it. Nothing is changed but by that command.

It has the live mounts as they are, not read-only: a database in WAL mode whose last user closed it
has no ``-shm``, and SQLite then opens it only where it may make one. An app that opens a connection
for each request leaves it so most of the time. ``immutable=1`` would open it, and leave out what is
still in a log.
"""

from __future__ import annotations

import json
import os
from contextlib import suppress
from typing import Any, Callable, Mapping

from homeport.backups import Migrate
from homeport.core.facts import Schema
from homeport.core.oneshot import APP, LABEL, reduced
from homeport.core.tails import telling
from homeport.errors import HostFault, Problem, Refused
from homeport.host import compose, lasting
from homeport.host.begun import MISSING, Late, Output, kill
from homeport.host.context import Asking, Context
from homeport.host.oneshot import OneShot
from homeport.model import Release

#: what Compose says a container belongs to
PROJECT = "com.docker.compose.project"
#: the command starts the app's code and asks one question, on a slow board as well
PATIENCE = 60.0
MEND = "mend the release or [migrate] in homeport.toml, deploy again"
#: characters of a command's output that are shown
MOST = 2000


class Untold(Refused):
    """The command does not tell the schema's version."""


def look(ctx: Context, release: Release) -> Schema | None:
    """What the live data has and what the release would make of it; None where none is asked.

    That is a release without [migrate], and one whose image is not on the host yet. Its folder
    need not be there yet. Raises Untold.
    """
    here = lasting.there(ctx.engine, ctx.paths.folder, release.image)
    if release.settings.migrate is None or not here:
        return None
    return ask(ctx, release, like=_like(ctx, release))


def _like(ctx: Context, release: Release) -> dict[str, Any] | None:
    """A container of a release that has no folder yet, as Docker tells of it; it is gone again.

    It goes by a name of its own: a deploy of the same release may go on while somebody plans one.
    """
    if (ctx.paths.releases / release.id / "release.json").exists():
        return None
    seen = ctx.rendered
    lost = {one for one in seen.networks if ctx.engine.network(one) is None}
    lost |= {one for one in seen.volumes if ctx.engine.volume(one) is None}
    lost |= {one.path for one in seen.folders if not os.path.isdir(one.path)}
    name = f"{ctx.paths.app}-look-{os.urandom(4).hex()}"
    marks = {APP: ctx.paths.app, LABEL: ctx.run}
    text = json.dumps(reduced(seen.moving, release.web, lost, marks))
    env = ctx.paths.releases / release.id / "env"
    project = json.loads(text.replace(str(env), compose.ENV))
    try:
        complaint = compose.only_created(ctx.paths, name, {**project, "name": name}, ctx.env)
        made = ctx.engine.containers(f"{PROJECT}={name}")
        found = ctx.engine.inspect(made[0]["Id"]) if made else None
    finally:
        for one in ctx.engine.containers(f"{PROJECT}={name}"):
            ctx.engine.remove(one["Id"])
    if found is None:
        what = f"no container can be made like {release.web} of {release.id}"
        raise HostFault(Problem(what, "docker compose", complaint, "docker compose ps -a"))
    return found


def ask(
    ctx: Context,
    release: Release,
    replace: Mapping[str, str] = {},
    env: Mapping[str, str] = {},
    like: Mapping[str, Any] | None = None,
    network: str | None = None,
    apart: bool = False,
) -> Schema:
    """Run the command, on a copy where ``replace`` and ``env`` lead to one; raises Untold.

    ``like`` is a container that stands for the release's own; ``apart`` keeps it from the data, and
    ``network=""`` from every server.
    """
    rules = _rules(release)
    one = OneShot(ctx, release, like=like)

    def run() -> Output:
        return one.run(
            rules.schema,
            within=PATIENCE,
            replace=replace,
            env=env,
            network=network,
            apart=apart,
        )

    return _told(ctx, rules, run)


def begin(ctx: Context, release: Release, said: str) -> None:
    """Ask of the live data, and go on: ``answer`` waits for it, ``forget`` does not.

    ``said`` is what the migration wrote that it is asked about.
    """
    begun = OneShot(ctx, release).begin(_rules(release).schema, PATIENCE)
    ctx.asking = Asking(release, begun, said)


def answer(ctx: Context, release: Release) -> Schema:
    """What was asked of this release, or is asked now; raises Untold."""
    if ctx.asking is None or ctx.asking.release.id != release.id:
        return ask(ctx, release)
    rules, begun = _rules(release), ctx.asking.begun
    try:
        with ctx.stop.breaks(lambda: kill(begun.made)):
            return _told(ctx, rules, lambda: begun.end(rules.schema[0], release.id))
    finally:
        forget(ctx)


def forget(ctx: Context) -> None:
    """End what asks: before anybody else works on the data, it must not have it open.

    Why that cannot be done is told by whatever needs Docker next; it hides no other cause.
    """
    asking, ctx.asking = ctx.asking, None
    if asking is not None:
        with suppress(HostFault):
            asking.begun.close()


def _rules(release: Release) -> Migrate:
    assert release.settings.migrate is not None
    return release.settings.migrate


def _told(ctx: Context, rules: Migrate, run: Callable[[], Output]) -> Schema:
    """The two words that the command says; raises Untold where it says others."""
    where = "[migrate] schema"
    try:
        done = run()
    except Late as late:
        what = f"{command(rules.schema)} had no end within {PATIENCE:g} s and was killed"
        raise Untold(Problem(what, where, lines(ctx, late.output), MEND)) from late
    if done.code:
        what = f"{command(rules.schema)} {ended(done)}"
        raise Untold(Problem(what, where, lines(ctx, done), MEND))
    words = (done.out.strip().splitlines() or [""])[-1].split()
    if len(words) != 2:
        what = f"{command(rules.schema)} does not print two words"
        why = lines(ctx, done) or "it printed nothing"
        wanted = "let it print what the database has and what it would have, like: 0001 0002"
        raise Untold(Problem(what, where, why, wanted))
    return Schema(*words)


def command(words: tuple[str, ...]) -> str:
    """A command as people write it."""
    return " ".join(words)


def ended(done: Output) -> str:
    """How a command ended that did not end well."""
    if done.code in MISSING:
        return "is no program that the image has"
    if done.code == 137:
        return "was killed, perhaps for want of memory"
    return f"ended with code {done.code}"


def lines(ctx: Context, done: Output) -> str:
    """The lines that tell why, without secrets."""
    return telling(ctx.masked(f"{done.out}\n{done.err}"))[-MOST:].strip()
