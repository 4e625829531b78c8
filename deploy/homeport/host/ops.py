"""Operations: what a step's ``do`` names. Each does one dull thing and decides nothing.

Every operation may be repeated: it names its objects by slot or release, and finding its effect
already there is its success.
"""

from __future__ import annotations

import base64
import json
from typing import Any, Callable, Mapping

from homeport.core import edge as edges
from homeport.core import yaml
from homeport.errors import HostFault, ImageMissing, Problem
from homeport.host import compose, ops_data, ops_slot, ops_traffic, ops_watch, scripts
from homeport.host.context import Context
from homeport.host.paths import write

Args = Mapping[str, Any]
#: what Docker files the login of its default registry under
HUB_LOGIN = "https://index.docker.io/v1/"
#: what an operation answers: a note for people, or nothing
Op = Callable[[Context, Args], str]


def edge_apply(ctx: Context, args: Args) -> str:
    """Create, recreate, start or reconfigure the edge, as the plan announced."""

    def pull() -> None:
        ctx.engine.pull(
            edges.IMAGE, "", lambda done, all: ctx.progress("edge", edges.IMAGE, done, all)
        )

    ctx.edge.apply(str(args["change"]), ctx.wanted, pull)
    return ""


def write_release(ctx: Context, args: Args) -> str:
    """Write the release's folder: record, Compose project, variables."""
    release = ctx.release(str(args["release"]))
    ctx.store.write_release(release, ctx.rendered.moving, ctx.env, ctx.request.compose)
    return ""


def pull(ctx: Context, args: Args) -> str:
    """Pull the image by its digest."""
    ref = str(args["image"])
    if "@" not in ref:
        mend = "homeport deploy --from-local"
        raise ImageMissing(
            Problem("the image is not on the host", ref, "it came by --from-local", mend)
        )
    told = [0.0]

    def progress(done: int, total: int) -> None:
        if total and (done - told[0]) * 50 >= total:
            told[0] = done
            ctx.progress("pull", ref.split("@")[0], done, total)

    ctx.engine.pull(ref, login_for(ref, ctx.request.auth), progress)
    if ctx.engine.image(ref) is None:
        raise HostFault(
            Problem("the image is not there after its pull", ref, "", "docker image ls")
        )
    return ""


def login_for(ref: str, auth: str) -> str:
    """``auth`` if it is the login of the registry that ``ref`` names, else none.

    A rollback brings the login of today's registry; an older release may be from another one, and
    the Engine would hand the login to whichever it pulls from.
    """
    first, slash, _ = ref.partition("/")
    named = slash and (any(mark in first for mark in ".:[") or first == "localhost")
    try:
        server = str(json.loads(base64.urlsafe_b64decode(auth)).get("serveraddress", ""))
    except (ValueError, AttributeError):
        return ""
    mine = first if named and first != "docker.io" else HUB_LOGIN
    return auth if server == mine else ""


def shared_up(ctx: Context, args: Args) -> str:
    """Bring the shared services to what the compose file says, and wait until they are healthy."""
    write(ctx.paths.folder / "shared.json", yaml.dump(ctx.rendered.shared))
    compose.shared(ctx.paths, "up", "-d", "--wait", "--wait-timeout", "120")
    write(ctx.paths.folder / "shared.hash", str(args["hash"]))
    return ""


def shared_wait(ctx: Context, args: Args) -> str:
    """Make sure that the shared services run as they were left; nothing is changed about them."""
    compose.shared(ctx.paths, "up", "-d", "--no-recreate", "--wait", "--wait-timeout", "120")
    return ""


def shared_down(ctx: Context, args: Args) -> str:
    """Remove the shared services' containers; volumes stay."""
    compose.shared(ctx.paths, "down")
    (ctx.paths.folder / "shared.hash").unlink(missing_ok=True)
    return ""


def mark(ctx: Context, args: Args) -> str:
    """Make the marks for people follow the link: ``current``, the readable files, image tags."""
    release = ctx.release(str(args["release"]))
    project = compose.project(ctx.paths, release)
    write(ctx.paths.folder / "compose.yaml", yaml.dump(project))
    env = ctx.store.env_file(release).read_bytes()
    write(ctx.paths.folder / ".env", env, 0o600)
    ctx.store.set_current(release)
    scripts.hang(ctx.paths)
    app = ctx.paths.app
    ctx.engine.tag(release.image, app, "current")
    ctx.engine.tag(release.image, app, release.slot)
    if args.get("previous"):
        ctx.engine.tag(ctx.release(str(args["previous"])).image, app, "previous")
    return ""


def prune(ctx: Context, args: Args) -> str:
    """Let releases go: their containers, their folders, and images nothing refers to any more."""
    gone = [one for one in ctx.store.releases() if one.id in args["releases"]]
    for release in gone:
        ops_slot.remove_slot(ctx, {"slot": release.slot})
        ctx.engine.untag(f"{ctx.paths.app}:{release.slot}")
        ctx.store.drop_release(release.id)
    kept = {one.image for one in ctx.store.releases()}
    for image in sorted({one.image for one in gone} - kept):
        ctx.engine.untag(image)
    return f"{len(gone)} releases let go" if gone else ""


OPS: dict[str, Op] = {
    "edge-apply": edge_apply,
    "write-release": write_release,
    "pull": pull,
    "data": ops_data.data,
    "shared-up": shared_up,
    "shared-wait": shared_wait,
    "shared-down": shared_down,
    "sockets": ops_slot.sockets,
    "standby-on": ops_slot.standby_on,
    "standby-off": ops_slot.standby_off,
    "compose-up": ops_slot.compose_up,
    "start-kept": ops_slot.start_kept,
    "stop": ops_slot.stop,
    "policy-on": ops_slot.policy_on,
    "policy-off": ops_slot.policy_off,
    "remove-slot": ops_slot.remove_slot,
    "probe": ops_slot.probe,
    "smoke": ops_slot.smoke,
    "link": ops_traffic.link,
    "unlink": ops_traffic.unlink,
    "drain": ops_traffic.drain,
    "watch": ops_watch.watch,
    "mark": mark,
    "prune": prune,
}
