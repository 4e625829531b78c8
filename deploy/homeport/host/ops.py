"""Operations: what a step's ``do`` names. Each does one dull thing and decides nothing.

Every operation may be repeated: it names its objects by slot or release, and finding its effect
already there is its success.
"""

from __future__ import annotations

import base64
import json
from typing import Any, Callable, Mapping

from homeport.core import yaml
from homeport.errors import Cancelled, HostFault, ImageMissing, Problem, Refused
from homeport.host import compose, lasting, ops_backup, ops_care, ops_data, ops_edge
from homeport.host import (
    ops_health,
    ops_kept,
    ops_migrate,
    ops_offsite,
    ops_rehearse,
    ops_slot,
    ops_traffic,
)
from homeport.host import ops_watch, postgres_major, scripts, spare
from homeport.host.context import Context
from homeport.host.paths import write
from homeport.host.store import faulty, pressed

Args = Mapping[str, Any]
#: what Docker files the login of its default registry under
HUB_LOGIN = "https://index.docker.io/v1/"
#: what an operation answers: a note for people, or nothing
Op = Callable[[Context, Args], str]


def write_release(ctx: Context, args: Args) -> str:
    """Write the release's folder: record, Compose project, variables."""
    release = ctx.release(str(args["release"]))
    ctx.store.write_release(release, ctx.rendered.moving, ctx.env, ctx.request.compose)
    return ""


def record_back(ctx: Context, args: Args) -> str:
    """Make a release's folder whole again that somebody deleted."""
    spare.bring_back(ctx.paths, str(args["release"]))
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

    auth = login_for(ref, ctx.request.auth)
    try:
        with ctx.stop.breaks(ctx.engine.cut):
            whole = lasting.pull(ctx.engine, ctx.paths.folder, ref, auth, progress)
    except Cancelled:
        # it may have come to its end all the same
        forget_image(ctx, ref)
        raise
    if ctx.engine.image(ref) is None:
        raise HostFault(
            Problem("the image is not there after its pull", ref, "", "docker image ls")
        )
    return "" if whole else "the disk is still writing it out"


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
    file = ctx.paths.folder / "shared.json"
    before = file.read_bytes() if file.exists() else b""
    write(file, yaml.dump(ctx.rendered.shared))
    # by itself, so that a slow line is not taken for a Compose that hangs
    pull_ = ("pull", "--quiet", "--policy", "missing", "--ignore-buildable")
    compose.shared(ctx.paths, *pull_, within=compose.PULL_PATIENCE)
    settings = ctx.request.settings
    named = settings.compose if settings else ""
    # an image whose name does not tell is asked itself, now that it is here
    wrong = postgres_major.problems(ctx, ctx.rendered, named) if before else ()
    if wrong:
        # what a boot and later deploys bring up is what this file says
        write(file, before)
        raise Refused(*wrong)
    compose.shared(ctx.paths, "up", "-d", "--wait", "--wait-timeout", "120")
    # a database that cannot be started again is what no later step would notice
    lasting.flush(ctx.engine, ctx.paths.folder)
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
    spare.keep(ctx.paths, release.id)
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
    for image in sorted({one.image for one in gone}):
        forget_image(ctx, image)
    return f"{len(gone)} releases let go" if gone else ""


def forget_image(ctx: Context, image: str) -> None:
    """Remove an image that was pulled, unless a release still refers to it."""
    if image not in {one.image for one in ctx.store.releases()}:
        ctx.engine.untag(image)


def _lasting(op: Op) -> Op:
    """The operation, done again with the ballast freed where the disk is full; a fault after it."""

    def done(ctx: Context, args: Args) -> str:
        with faulty("the disk takes no more writes", ctx.paths.folder):
            return pressed(ctx.paths, lambda: op(ctx, args))

    return done


_OPS: dict[str, Op] = {
    "edge-apply": ops_edge.apply,
    "edge-start": ops_edge.restore,
    "site-back": ops_edge.site_back,
    "edge-pull": ops_edge.pull,
    "page-up": ops_edge.page_up,
    "data-care": ops_care.upkeep,
    "page-down": ops_edge.page_down,
    "write-release": write_release,
    "record-back": record_back,
    "pull": pull,
    "data": ops_data.data,
    "backup": ops_backup.backup,
    "verify": ops_backup.verify,
    "snapshot": ops_backup.snapshot,
    "restore-data": ops_backup.restore_data,
    "restore-stake": ops_backup.restore_stake,
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
    "probe": ops_health.probe,
    "smoke": ops_health.smoke,
    "migrate": ops_migrate.migrate,
    "schema": ops_migrate.known,
    "rehearse": ops_rehearse.rehearse,
    "link": ops_traffic.link,
    "unlink": ops_traffic.unlink,
    "drain": ops_traffic.drain,
    "watch": ops_watch.watch,
    "mark": mark,
    "prune": prune,
    "verify-sets": ops_kept.verify_sets,
    "prune-sets": ops_kept.prune_sets,
    "prune-replaced": ops_kept.prune_replaced,
    "offsite": ops_offsite.send,
    "offsite-prune": ops_offsite.prune,
    "drill": ops_offsite.drill,
    "fetch": ops_offsite.fetch,
}
OPS = {name: _lasting(op) for name, op in _OPS.items()}
