"""Whether the shared services keep their PostgreSQL's major version: its data depends on it."""

from __future__ import annotations

import io
import tarfile
from pathlib import PurePosixPath
from typing import Any, Mapping

from homeport.core import postgres_major as majors
from homeport.core.oneshot import LABEL
from homeport.core.render import Rendered
from homeport.errors import Problem
from homeport.host import look
from homeport.host.context import Context


def problems(ctx: Context, rendered: Rendered, compose: str) -> tuple[Problem, ...]:
    """Shared services of a compose file whose image cannot read the data that is there.

    An image that is not on the host yet is known by its name alone; asked again once it was
    pulled, it tells itself.
    """
    services = rendered.shared.get("services") or {}
    if not services:
        return ()
    found = []
    for one in ctx.engine.containers(f"{look.APP}={ctx.paths.app}"):
        labels = one.get("Labels") or {}
        name = str(labels.get(look.SERVICE, ""))
        if name not in services or look.slot_of(one) or LABEL in labels:
            continue
        want = _wanted(ctx, rendered.shared_images.get(name, ""))
        seen = ctx.engine.inspect(one["Id"]) or {} if want else {}
        have, held = _has(ctx, seen)
        if have and want and have != want and majors.keeps(services[name], rendered.shared, held):
            found.append(majors.refused(name, have, want, compose))
    return tuple(found)


def _wanted(ctx: Context, image: str) -> int:
    """The major version that an image would bring; 0: it tells none."""
    if not image:
        return 0
    seen = (ctx.engine.image(image) or {}).get("Config") or {}
    return majors.of_env(seen.get("Env") or ()) or majors.of_name(image)


def _has(ctx: Context, seen: Mapping[str, Any]) -> tuple[int, str]:
    """The major version that wrote a container's data, and the volume or folder it lies in."""
    env = (seen.get("Config") or {}).get("Env") or []
    place = str(dict(one.partition("=")[::2] for one in env).get("PGDATA") or majors.DATA)
    held = ""
    for mount in seen.get("Mounts") or []:
        if PurePosixPath(place).is_relative_to(str(mount.get("Destination"))):
            held = str(mount.get("Name") or mount.get("Source"))
    # the data itself says it: what ran last may have been of another image already
    packed = ctx.engine.read_file(str(seen.get("Id", "")), f"{place}/PG_VERSION") if seen else b""
    if not packed:
        return majors.of_env(env), held
    with tarfile.open(fileobj=io.BytesIO(packed)) as tar:
        file = tar.extractfile(tar.getmembers()[0])
        text = file.read().decode("ascii", "replace").strip() if file else ""
    return int(text.partition(".")[0]) if text.partition(".")[0].isdigit() else 0, held
