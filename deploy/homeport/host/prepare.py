"""From a request to a plan: read, look, decide. Nothing on the host is changed here."""

from __future__ import annotations

import hashlib
import json
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any, Mapping

from homeport import wire
from homeport.core import edge as edges
from homeport.core import envfile, freeze
from homeport.core import link as links
from homeport.core import plan as plans
from homeport.core import policy, recovery
from homeport.core.facts import Facts
from homeport.core.render import Place, Rendered, render
from homeport.errors import HomeportError, NoSuchRelease, Problem, UsageError
from homeport.host import compose, look
from homeport.host.context import Context
from homeport.host.paths import Paths
from homeport.model import HostAddress, Image, Plan, Release, Settings


@dataclass(frozen=True)
class Made:
    """A plan, what it was made from, and what stands against it."""

    facts: Facts
    release: Release
    plan: Plan
    problems: tuple[Problem, ...] = ()
    same: bool = False
    #: the first of the problems is a freeze
    frozen: bool = False


def _settings(ctx: Context) -> tuple[Settings, Image]:
    settings, image = ctx.request.settings, ctx.request.image
    if settings is None or image is None:
        raise UsageError(Problem("the request names no settings or no image", "request"))
    return settings, image


def _today(ctx: Context) -> str:
    try:
        return ctx.paths.settings_env.read_text("utf-8", "replace")
    except OSError:
        return ""


def render_today(ctx: Context, number: int = 0, image: str = "") -> tuple[Rendered, Place]:
    """The compose file of the request as a release numbered so would be; kept in the context."""
    settings = ctx.request.settings
    if settings is None:
        raise UsageError(Problem("the request names no settings", "request"))
    ctx.env = envfile.with_todays(_today(ctx), "", ())
    raw, resolved = compose.read(ctx.paths, ctx.request.compose, ctx.env)
    place = _place(ctx.paths, number, image)
    ctx.rendered = render(raw, resolved, settings, place)
    return ctx.rendered, place


def _place(paths: Paths, number: int, image: str, digest: str = "") -> Place:
    slot = f"r{number:04d}"
    short = _short(digest or image)
    release = f"{slot}-{short}"
    env = str(paths.releases / release / "env")
    return Place(paths.app, slot, release, image, str(paths.folder), env, str(paths.slot(slot)))


def _short(text: str) -> str:
    """Seven hex digits that stand for an image: the start of its digest."""
    tail = text.rpartition(":")[2]
    if len(tail) >= 7 and all(one in "0123456789abcdef" for one in tail):
        return tail[:7]
    return hashlib.sha256(text.encode()).hexdigest()[:7]


def deploy(ctx: Context) -> Made:
    """The plan of a deploy, the release it makes, and every reason against it at once."""
    settings, image = _settings(ctx)
    pinned = _pin(ctx, image)
    number = _next_number(ctx)
    with ThreadPoolExecutor(1) as pool:
        # Compose takes its time to read a file, and the look at the host needs nothing of it
        known = pool.submit(ctx.facts)
        rendered, place = render_today(ctx, number, pinned)
    facts = look.named(known.result(), ctx.engine, rendered)
    if ctx.engine.image(pinned) is not None:
        facts = replace(facts, images=facts.images | {pinned})
    choice = policy.choose(settings, rendered, facts)
    release = _release(ctx, settings, rendered, place, choice.mode, image)
    ctx.fresh = release
    ctx.wanted = edges.wanted(facts.edge, settings.app, edges.site_of(settings, rendered.network))
    plan = plans.deploy(facts, release, rendered, choice, ctx.wanted, policy.warnings(facts))
    env = envfile.entries(ctx.env)
    problems = policy.refusals(
        settings, rendered, facts, replace(image, ref=pinned, digest=""), env
    )
    live = facts.committed
    same = live is not None and live.fingerprint == release.fingerprint and facts.running(live)
    frozen = None if ctx.request.unfreeze else facts.history.freeze
    if frozen:
        problems = (freeze.problem(frozen, facts.now), *problems)
    return Made(facts, release, plan, problems, same, frozen is not None)


def _pin(ctx: Context, image: Image) -> str:
    """The reference to run: by digest; an image that came over the connection by its id."""
    if image.digest:
        return image.pinned
    seen = ctx.engine.image(image.ref)
    return str(seen["Id"]) if seen else image.ref


def _next_number(ctx: Context) -> int:
    known = [one.number for one in ctx.store.releases()]
    return max([ctx.store.history().highest, *known]) + 1


def _release(
    ctx: Context, settings: Settings, rendered: Rendered, place: Place, mode: Any, image: Image
) -> Release:
    monitor = ctx.request.monitor if ctx.request.monitor is not None else rendered.monitor
    return Release(
        id=place.release,
        image=place.image,
        digest=place.image.rpartition("@")[2],
        fingerprint=_fingerprint(ctx, settings, rendered, place),
        link=links.address(settings.app, place.slot, settings.web),
        mode=mode,
        web=settings.web.service,
        moving=rendered.services,
        created=round(time.time(), 3),
        settings=replace(settings, host=HostAddress()),
        monitor=monitor,
        policies=rendered.policies,
        cause=ctx.request.cause,
        # without a digest it is what Docker unpacked, which compares with nothing
        size=image.size if image.digest else 0,
    )


def _fingerprint(ctx: Context, settings: Settings, rendered: Rendered, place: Place) -> str:
    """What makes two deploys the same: image, compose file, variables, settings."""
    text = json.dumps(rendered.moving, sort_keys=True)
    text = text.replace(place.release, "").replace(place.slot, "")
    parts = [
        place.image,
        text,
        ctx.env,
        json.dumps(wire.plain(replace(settings, host=HostAddress()))),
    ]
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]


def rollback(ctx: Context) -> Made:
    """The plan of a rollback to the release the request names, or to the one before."""
    facts = ctx.facts()
    live = facts.committed
    target = _target(facts, ctx.request.release)
    ctx.fresh = target
    if ctx.engine.image(target.image) is not None:
        facts = replace(facts, images=facts.images | {target.image})
    network = _network(ctx, target)
    ctx.wanted = edges.wanted(facts.edge, ctx.paths.app, edges.site_of(target.settings, network))
    mode = policy.back_mode(target.mode, target.settings, facts)
    plan = plans.rollback(facts, target, mode, ctx.wanted)
    same = live is not None and live.id == target.id and facts.running(live)
    return Made(facts, target, plan, (), same)


def _target(facts: Facts, name: str) -> Release:
    live = facts.committed
    if name:
        wanted = f"r{int(name):04d}" if name.isdigit() else name
        found = facts.release(wanted)
        if found is None or (found not in facts.served):
            names = ", ".join(one.id for one in facts.served) or "none"
            raise NoSuchRelease(
                Problem(
                    f"there is no release {name} to go back to",
                    "host",
                    f"there are: {names}",
                    "homeport history",
                )
            )
        return found
    if live is None:
        raise NoSuchRelease(Problem("nothing serves yet", "host", "", "homeport deploy"))
    found = recovery.previous(facts, live)
    if found is None:
        why = f"{live.id} is the oldest release that is kept"
        raise NoSuchRelease(
            Problem("there is no release before this one", "host", why, "homeport history")
        )
    return found


def _network(ctx: Context, release: Release) -> str:
    project = compose.project(ctx.paths, release)
    mine = sorted((project["services"][release.web].get("networks") or {}))
    known = project.get("networks") or {}
    return str((known.get(mine[0]) or {}).get("name") or mine[0]) if mine else ""


def as_event(plan: Plan) -> dict[str, Any]:
    """A plan as an event or an answer carries it."""
    return {
        "text": plan.text(),
        "release": plan.release,
        "mode": plan.mode,
        "steps": [wire.plain(one) for one in plan.steps],
        "skips": [wire.plain(one) for one in plan.skips],
        "notices": list(plan.notices),
    }


def tell_run(paths: Paths, run: str, event: Mapping[str, Any]) -> None:
    """Add an event to what a run told, for whoever follows or asks later."""
    paths.runs.mkdir(parents=True, exist_ok=True)
    with open(paths.runs / f"{run}.jsonl", "ab") as stream:
        stream.write(wire.encode({"t": round(time.time(), 3), **event}))


def plan_only(ctx: Context) -> dict[str, Any]:
    """What ``homeport plan`` answers: the plan of the deploy, and what stands against it."""
    known = ctx.facts()
    found, frozen = recovery.plan(known), known.history.freeze
    made = deploy(ctx)
    answer = as_event(made.plan)
    answer["problems"] = [wire.plain(one) for one in made.problems]
    answer["recovery"] = [wire.plain(one) for one in found.steps]
    answer["same"] = made.same
    answer["frozen"] = wire.plain(frozen)
    return answer


def problems_of(error: HomeportError) -> list[dict[str, str]]:
    """An error's problems as an answer carries them."""
    return [wire.plain(one) for one in error.problems]
