"""A release started on a copy of the data, where no user and no edge reaches it."""

from __future__ import annotations

import os
import shutil
import time
from contextlib import contextmanager
from pathlib import Path
from typing import Iterator, Mapping

from homeport.core import link as links
from homeport.core.oneshot import Bind, Wanted
from homeport.core.steps import GOOD_NEW
from homeport.core.tails import telling
from homeport.errors import HostFault, NeverHealthy, Problem, SmokeFailed, StartFailed
from homeport.host import causes
from homeport.host.context import Context
from homeport.host.oneshot import OneShot
from homeport.host.ops_health import healthcheck, until_healthy
from homeport.host.probe import Slot
from homeport.model import Release

#: below the app's folder: where the edge does not look
FOLDER = ".rehearsal"


def boot(ctx: Context, release: Release, data: Mapping[str, str], env: Mapping[str, str]) -> float:
    """Start the web service, alone, and judge it as a slot is judged; the seconds that it took.

    Args:
        release: what to start.
        data: folders of the host's in the place of its mounts.
        env: variables besides its own.

    Raises:
        StartFailed, NeverHealthy, SmokeFailed: as the steps of a deploy, with its own words.
    """
    one = OneShot(ctx, release)
    with _sockets(ctx) as folder:
        mount = {links.RUN: Bind(str(folder), True)}
        wanted = Wanted(binds=mount, replace=data, env=env, logged=True, apart=True)
        begun = time.monotonic()
        with _started(one, wanted) as made:
            slot = Slot(ctx.paths, ctx.engine, release, ctx.masked).elsewhere(made, folder)
            _healthy(ctx, release, one, made, slot)
            took = time.monotonic() - begun
            _smoke(ctx, release, made, slot)
    return took


@contextmanager
def _sockets(ctx: Context) -> Iterator[Path]:
    """A folder for its socket; open, since the uid of the container is not ours."""
    folder = ctx.paths.folder / FOLDER
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(exist_ok=True)
    os.chmod(folder, 0o777)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


@contextmanager
def _started(one: OneShot, wanted: Wanted) -> Iterator[str]:
    running = False
    try:
        with one.started(wanted) as made:
            running = True
            yield made
    except HostFault as error:
        if running:
            raise
        raise StartFailed(*error.problems) from error


def _healthy(ctx: Context, release: Release, one: OneShot, made: str, slot: Slot) -> None:
    within = release.settings.deploy.start

    def check(left: float) -> str:
        return healthcheck(ctx, ctx.engine.inspect(made) or {}, left, one.like)

    def there(why: str) -> None:
        ctx.stop.look()
        seen = ctx.engine.inspect(made) or {}
        if (seen.get("State") or {}).get("Running") and not causes.starved(seen):
            return
        what = f"{causes.ended(release.web, seen)} in {release.id}"
        more = f"{why}{_told(ctx, release, made)}"
        raise StartFailed(Problem(what, release.web, more, causes.mend(seen)))

    why = until_healthy(slot.probe, check, there, GOOD_NEW, within)
    if why:
        what = f"{release.id} did not become healthy within {within:g} s"
        more = f"{why}{_told(ctx, release, made)}"
        raise NeverHealthy(Problem(what, release.web, more, "mend the release, deploy again"))


def _smoke(ctx: Context, release: Release, made: str, slot: Slot) -> None:
    checks = release.settings.smoke
    failed = [why for why in (slot.check(one) for one in checks) if why]
    if failed:
        what = f"{len(failed)} of {len(checks)} smoke checks failed"
        more = "\n".join(failed) + _told(ctx, release, made)
        mend = "mend the release or [[smoke]] in homeport.toml"
        raise SmokeFailed(Problem(what, release.id, more, mend))


def _told(ctx: Context, release: Release, made: str) -> str:
    """What it wrote, as far as it tells why; it begins with a new line, or is empty."""
    text = telling(ctx.masked(ctx.engine.logs(made, causes.LINES)))[-causes.MOST :]
    return f"\nlines of {release.web}:\n{text}" if text else ""
