"""What putting a set back would undo on this host: counted, with nothing changed."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any, Iterator

from homeport.backups import Manifest
from homeport.core import loss as losses
from homeport.core.loss import Change, Loss
from homeport.errors import HomeportError
from homeport.host import postgres_loss, sources
from homeport.host.context import Context
from homeport.host.oneshot import Bind, OneShot
from homeport.host.sources import SET, Mount
from homeport.model import Release

#: seconds beyond its own that a count may take: for its container to come and go
SPARE = 30.0


def of(ctx: Context, release: Release, manifest: Manifest) -> Loss:
    """What came to the data of the release that serves since the set was made.

    What cannot be counted is part of the answer: it is why somebody goes back, more often than not.
    """
    ctx.progress("preflight", f"counting what going back to {manifest.id} would undo")
    found = [*_mounts(ctx, release, manifest), *_servers(ctx, release, manifest)]
    return losses.of(manifest.id, manifest.created, time.time(), found)


def _mounts(ctx: Context, release: Release, manifest: Manifest) -> Iterator[Change]:
    folder = ctx.paths.backups / manifest.id
    release = sources.rules(ctx, release)
    tars = {one.source: one for one in manifest.items if one.kind == "folder"}
    for service, mounts in sources.grouped(sources.declared(ctx, release)).items():
        mine = [one for one in mounts if one.source in tars]
        asked = [_asked(manifest, one) for one in mine]
        argument = {"mounts": asked, "cap": losses.CAP, "within": losses.WITHIN}
        if not asked:
            continue
        try:
            one_shot = OneShot(ctx, release, service)
            lines = one_shot.script(
                "compare",
                argument,
                within=losses.WITHIN + SPARE,
                binds={SET: Bind(str(folder))},
            )
        except HomeportError as error:
            note = f"cannot be compared: {error}"
            yield from (Change(one.source, note=note, files=True) for one in mine)
            continue
        for line in lines:
            mount = mine[int(line["mount"])]
            path = str(line.get("path") or "")
            yield losses.change("/".join(filter(None, (mount.source, path))), line)


def _asked(manifest: Manifest, mount: Mount) -> dict[str, Any]:
    """What the script is told of a mount: where it is now, and where its copies are."""
    tar = next(one for one in manifest.items if (one.kind, one.source) == ("folder", mount.source))
    return {
        "path": mount.target,
        "exclude": list(mount.exclude),
        "tar": f"{SET}/{tar.file}",
        "databases": {
            one.source.removeprefix(f"{mount.source}/"): f"{SET}/{one.file}"
            for one in sources.within(manifest.items, tar.source, tar.mount)
        },
    }


def _servers(ctx: Context, release: Release, manifest: Manifest) -> Iterator[Change]:
    folder: Path = ctx.paths.backups / manifest.id
    for item in manifest.items:
        if item.kind != "postgres":
            continue
        try:
            lines = postgres_loss.differences(
                ctx, release, item, folder, cap=losses.CAP, within=losses.WITHIN
            )
        except HomeportError as error:
            lines = [{"table": "", "note": f"cannot be compared: {error}"}]
        yield from (losses.change(item.source, line) for line in lines)
