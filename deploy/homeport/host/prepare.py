"""From a request to a plan: read, look, decide. Nothing on the host is changed here."""

from __future__ import annotations

import hashlib
import json
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

from homeport import wire
from homeport.core import edge as edges
from homeport.core import cautions, envfile, freeze, mounts
from homeport.core import link as links
from homeport.core import plan as plans
from homeport.core import policy, recovery, room, storage, unsupported
from homeport.core.facts import Facts
from homeport.core.render import Place, Rendered, render
from homeport.errors import HostFault, NoSuchRelease, Problem, Refused, UsageError
from homeport.host import compose, lasting, look, postgres_major, schema, telling
from homeport.host.context import Context
from homeport.host.paths import Paths
from homeport.host.probe import Slot
from homeport.model import HostAddress, Image, Release, Settings
from homeport.planned import Plan, Step


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
    elsewhere = unsupported.other_files(ctx.request.compose, settings.compose, ctx.paths.app)
    if elsewhere:
        raise Refused(*elsewhere)
    ctx.env = envfile.with_todays(_today(ctx), "", ())
    raw, resolved = compose.read(ctx.paths, ctx.request.compose, ctx.env, settings.host)
    place = _place(ctx.paths, number, image)
    ctx.rendered = _with_databases(render(raw, resolved, settings, place), resolved, ctx)
    return ctx.rendered, place


def _with_databases(rendered: Rendered, resolved: dict[str, Any], ctx: Context) -> Rendered:
    """With what the variables say of the app's database, those of app.env among them."""
    env, folder = dict(envfile.values(ctx.env)), str(ctx.paths.folder)
    shared = rendered.shared.get("services") or ()
    return replace(
        rendered,
        databases=mounts.databases(resolved, rendered.services, env, folder),
        loose=mounts.loose(resolved, rendered.services, shared, env, folder),
    )


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


def deploy(ctx: Context, number: int = 0) -> Made:
    """The plan of a deploy, the release it makes, and every reason against it at once.

    ``number`` is the release's, where the run has one already.
    """
    settings, image = _settings(ctx)
    pinned = _pin(ctx, image)
    number = number or next_number(ctx)
    with ThreadPoolExecutor(1) as pool:
        # Compose takes its time to read a file, and the look at the host needs nothing of it
        known = pool.submit(ctx.facts)
        rendered, place = render_today(ctx, number, pinned)
    facts = asked(ctx, look.named(known.result(), ctx.engine, rendered))
    if lasting.there(ctx.engine, ctx.paths.folder, pinned):
        facts = replace(facts, images=facts.images | {pinned})
    release = _release(ctx, settings, rendered, place, "overlap", image)
    if facts.committed is not None:
        facts = replace(facts, schema=schema.look(ctx, release))
    choice = policy.choose(settings, rendered, facts)
    release = ctx.fresh = _moded(release, choice, facts)
    ctx.wanted = edges.wanted(
        facts.edge, settings.app, edges.site_of(settings, rendered.network, rendered.inner)
    )
    said = (
        *cautions.warnings(facts),
        *map(cautions.line, storage.warnings(settings, rendered, facts)),
    )
    plan = plans.deploy(facts, release, rendered, choice, ctx.wanted, said)
    plan = replace(plan, notices=(*plan.notices, *room.estimate(facts, plan)))
    env = envfile.entries(ctx.env)
    problems = policy.refusals(
        settings, rendered, facts, replace(image, ref=pinned, digest=""), env
    )
    problems += room.refusals(facts, plan)
    problems += postgres_major.problems(ctx, rendered, settings.compose)
    live = facts.committed
    same = live is not None and live.fingerprint == release.fingerprint and facts.running(live)
    frozen = None if ctx.request.unfreeze else facts.history.freeze
    if frozen:
        problems = (freeze.problem(frozen, facts.now), *problems)
    return Made(facts, release, plan, problems, same, frozen is not None)


def asked(ctx: Context, facts: Facts) -> Facts:
    """The facts with how the release that serves answers: who is sick is nobody to go back to."""
    live = facts.committed
    if live is None:
        return facts
    sick = f"{live.id} does not run"
    if facts.running(live):
        slot = Slot(ctx.paths, ctx.engine, live, ctx.masked)
        for pause in (0.0, 0.5, 0.5):
            # one slow answer of a busy board says nothing yet
            time.sleep(pause)
            sick = slot.probe().why
            if not sick:
                break
    ctx.sick = sick
    return replace(facts, sick=sick)


def _pin(ctx: Context, image: Image) -> str:
    """The reference to run: by digest; an image that came over the connection by its id."""
    if image.digest:
        return image.pinned
    seen = ctx.engine.image(image.ref)
    return str(seen["Id"]) if seen else image.ref


def next_number(ctx: Context) -> int:
    """The number that the next release gets on this host."""
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


def _moded(release: Release, choice: policy.Choice, facts: Facts) -> Release:
    """The release with its handover, and with what its schema was and will be."""
    seen, rules = facts.schema, release.settings.migrate
    if seen is None:
        return replace(release, mode=choice.mode)
    return replace(
        release,
        mode=choice.mode,
        schema=seen.wanted,
        came_from=seen.found,
        compatible=bool(rules and rules.compatible),
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
    facts = asked(ctx, ctx.facts())
    live = facts.committed
    target_ = target(facts, ctx.request.release)
    facts, plan = toward(ctx, facts, target_)
    same = live is not None and live.id == target_.id and facts.running(live)
    return Made(facts, target_, plan, (), same)


def toward(
    ctx: Context, facts: Facts, target: Release, data: tuple[Step, ...] = ()
) -> tuple[Facts, Plan]:
    """The plan of a rollback to ``target``, and the facts with what was looked at for it."""
    ctx.fresh = target
    if lasting.there(ctx.engine, ctx.paths.folder, target.image):
        facts = replace(facts, images=facts.images | {target.image})
    site = edges.site_of(target.settings, network(ctx, target))
    site = edges.stays(facts.edge, ctx.paths.app, site)
    ctx.wanted = edges.wanted(facts.edge, ctx.paths.app, site)
    mode = policy.back_mode(target.mode, target.settings, facts)
    return facts, plans.rollback(facts, target, mode, ctx.wanted, data)


def target(facts: Facts, name: str) -> Release:
    """The release by that name, or the one before; raises NoSuchRelease."""
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
    unknown = recovery.not_understood(facts)
    if unknown is not None:
        raise HostFault(unknown)
    if live is None:
        raise NoSuchRelease(Problem("nothing serves yet", "host", "", "homeport deploy"))
    found = recovery.previous(facts, live)
    if found is None:
        why = f"{live.id} is the oldest release that is kept"
        raise NoSuchRelease(
            Problem("there is no release before this one", "host", why, "homeport history")
        )
    return found


def network(ctx: Context, release: Release) -> str:
    """The network on which a release's slot answers by name; "" where it has none."""
    project = compose.project(ctx.paths, release)
    mine = sorted((project["services"][release.web].get("networks") or {}))
    known = project.get("networks") or {}
    return str((known.get(mine[0]) or {}).get("name") or mine[0]) if mine else ""


def plan_only(ctx: Context) -> dict[str, Any]:
    """What ``homeport plan`` answers: the plan of the deploy, and what stands against it."""
    known = ctx.facts()
    found, frozen = recovery.plan(known), known.history.freeze
    made = deploy(ctx)
    answer = telling.as_event(made.plan)
    answer["problems"] = [wire.plain(one) for one in made.problems]
    answer["recovery"] = [wire.plain(one) for one in found.steps]
    answer["same"] = made.same
    answer["frozen"] = wire.plain(frozen)
    return answer
