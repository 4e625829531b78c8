"""The app's own networks, volumes and folders: made once, under names that outlive releases."""

from __future__ import annotations

import io
import os
import tarfile
from pathlib import Path, PurePosixPath
from typing import Any, Mapping

from homeport.core.render import Folder
from homeport.errors import HostFault, Problem
from homeport.host.context import Context
from homeport.host.paths import make

Args = Mapping[str, Any]
_NETWORK = {"driver": "Driver", "internal": "Internal", "enable_ipv6": "EnableIPv6"}


def data(ctx: Context, args: Args) -> str:
    """Make what is missing of them."""
    for name in args["networks"]:
        _network(ctx, str(name), ctx.rendered.networks[str(name)])
    for name in args["volumes"]:
        _volume(ctx, str(name), ctx.rendered.volumes[str(name)])
    for folder in ctx.rendered.folders:
        if folder.path in args["folders"]:
            _folder(ctx, folder)
    return ""


def _labels(ctx: Context, kind: str, name: str) -> dict[str, str]:
    short = name.removeprefix(f"{ctx.paths.app}_")
    return {
        "homeport.app": ctx.paths.app,
        # Compose's own labels, so that it takes them for its own when a person types `up`
        "com.docker.compose.project": ctx.paths.app,
        f"com.docker.compose.{kind}": short,
    }


def _network(ctx: Context, name: str, spec: Mapping[str, Any]) -> None:
    if ctx.engine.network(name):
        return
    if spec.get("external"):
        raise _absent("network", name, f"docker network create {name}")
    body: dict[str, Any] = {"Name": name, "Labels": _labels(ctx, "network", name)}
    for key, theirs in _NETWORK.items():
        if spec.get(key):
            body[theirs] = spec[key]
    if spec.get("driver_opts"):
        body["Options"] = spec["driver_opts"]
    pools = [
        {
            theirs: pool[key]
            for key, theirs in (("subnet", "Subnet"), ("gateway", "Gateway"))
            if key in pool
        }
        for pool in (spec.get("ipam") or {}).get("config") or []
    ]
    if pools:
        body["IPAM"] = {"Config": pools}
    ctx.engine.call("POST", "/networks/create", body)


def _volume(ctx: Context, name: str, spec: Mapping[str, Any]) -> None:
    if ctx.engine.volume(name):
        return
    if spec.get("external"):
        raise _absent("volume", name, f"docker volume create {name}")
    body: dict[str, Any] = {"Name": name, "Labels": _labels(ctx, "volume", name)}
    if spec.get("driver"):
        body["Driver"] = spec["driver"]
    if spec.get("driver_opts"):
        body["DriverOpts"] = spec["driver_opts"]
    ctx.engine.call("POST", "/volumes/create", body)


def _absent(kind: str, name: str, mend: str) -> HostFault:
    return HostFault(
        Problem(f"the {kind} {name} does not exist", "compose file", "it is external", mend)
    )


def _folder(ctx: Context, folder: Folder) -> None:
    """Give a folder the uid its service runs as, through a container that is never started.

    The agent is not root; Docker unpacks a tar into a container's mount with the owners it names.
    The one-shot container is made from the release's own image, so no other image is needed.
    """
    path = Path(folder.path)
    make(path)
    assert ctx.fresh is not None
    uid, gid = _owner(ctx, ctx.fresh.image, folder.user)
    if uid == os.getuid():
        return
    parent, name = str(PurePosixPath(folder.target).parent), PurePosixPath(folder.target).name
    mount = {"Type": "bind", "Source": folder.path, "Target": folder.target}
    body = {"Image": ctx.fresh.image, "Cmd": ["true"], "HostConfig": {"Mounts": [mount]}}
    one_shot = ctx.engine.create(f"{ctx.paths.app}-{ctx.fresh.slot}-folder", body)
    try:
        ctx.engine.put(one_shot, parent, _tar_of_folder(name, uid, gid))
    finally:
        ctx.engine.remove(one_shot)


def _tar_of_folder(name: str, uid: int, gid: int) -> bytes:
    entry = tarfile.TarInfo(name)
    entry.type, entry.mode, entry.uid, entry.gid = tarfile.DIRTYPE, 0o750, uid, gid
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as tar:
        tar.addfile(entry)
    return buffer.getvalue()


def _owner(ctx: Context, image: str, user: str) -> tuple[int, int]:
    """The numbers a service runs as: Compose's ``user``, else the image's, a name looked up."""
    if not user:
        seen = ctx.engine.image(image) or {}
        user = str((seen.get("Config") or {}).get("User") or "0")
    name, _, group = user.partition(":")
    if name.isdigit():
        return int(name), int(group) if group.isdigit() else int(name)
    for line in _passwd(ctx, image).splitlines():
        words = line.split(":")
        if len(words) > 3 and words[0] == name:
            return int(words[2]), int(words[3])
    why = "it is not in the image's /etc/passwd"
    raise HostFault(Problem(f"the user {name} is unknown", image, why, 'set user: "UID:GID"'))


def _passwd(ctx: Context, image: str) -> str:
    one_shot = ctx.engine.create(f"{ctx.paths.app}-passwd", {"Image": image, "Cmd": ["true"]})
    try:
        packed = ctx.engine.read_file(one_shot, "/etc/passwd")
    finally:
        ctx.engine.remove(one_shot)
    if not packed:
        return ""
    with tarfile.open(fileobj=io.BytesIO(packed)) as tar:
        found = tar.extractfile(tar.getmembers()[0])
        return found.read().decode("utf-8", "replace") if found else ""
