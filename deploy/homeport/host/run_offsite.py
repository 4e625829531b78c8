"""Runs that go by way of a repository off the box: a drill, and an app taken over from a set."""

from __future__ import annotations

import json
from dataclasses import replace

from homeport import wire
from homeport.backups import SET_ID
from homeport.core import offsite, taking_over
from homeport.errors import HostFault, ImageMissing, Problem, Refused
from homeport.host import prepare, records, recover, uploading
from homeport.host.context import Context
from homeport.host.execute import execute
from homeport.model import Release
from homeport.planned import Plan, Verdict


def drill(ctx: Context) -> Verdict:
    """Bring a set back from the repository for a try."""
    recover.before_another(ctx)
    live = ctx.facts().committed
    backup = live.settings.backup if live else None
    asked = ctx.request.settings.backup if ctx.request.settings else None
    backup = backup if backup and backup.offsite else asked
    if live is None or backup is None or not backup.offsite:
        what = "nothing is live yet" if live is None else "no repository is configured"
        mend = "homeport deploy" if live is None else '[backup] offsite = "…" in homeport.toml'
        raise Refused(Problem(what, "homeport.toml: [backup] offsite", "", mend))
    records.begin(ctx, "", live.id)
    plan = Plan("backup-drill", "", (offsite.drill(backup),))
    with uploading.alone(ctx, "backup-drill"):
        records.announce(ctx, plan)
        execute(ctx, plan)
    told = ctx.figures["drill"]
    sentence = f"{told['set']} came back and is well, after {told['seconds']:.0f} s"
    return records.end(ctx, Verdict("verified", 0, sentence, "", ctx.run, (), records.figures(ctx)))


def made(ctx: Context) -> prepare.Made:
    """The set fetched, its keys and settings put in place, and the plan that makes its release."""
    recover.before_another(ctx)
    records.begin(ctx, "", "")
    problems = taking_over.serves(ctx.facts())
    if problems:
        raise Refused(*problems)
    first = taking_over.fetching(ctx.request.source, ctx.request.set)
    with uploading.alone(ctx, "restore"):
        records.announce(ctx, first)
        execute(ctx, first)
    set_id = str(ctx.figures["fetched"]["set"])
    record = _like(ctx, set_id)
    # under the number it had, unless this host counts further already
    found = prepare.deploy(ctx, max(record.number, prepare.next_number(ctx)))
    problems = (*found.problems, *taking_over.in_the_way(found.facts, ctx.rendered))
    # told again with the release that is made: a death after its handover is told by it
    records.begin(ctx, found.release.id, "")
    ctx.journal("set", set=set_id)
    if problems:
        raise Refused(*problems)
    plan = taking_over.plan(found.plan, set_id, record)
    records.announce(ctx, plan)
    return replace(found, plan=plan)


def _like(ctx: Context, set_id: str) -> Release:
    """Let the request ask for what the set's own release was; that release."""
    folder = ctx.paths.backups / set_id
    try:
        record = wire.decode(Release, json.loads((folder / "release.json").read_text()))
        source = (folder / "source.yaml").read_text()
    except (OSError, ValueError) as error:
        what, mend = "the set does not tell what served", "another set: homeport restore SET --from"
        raise HostFault(Problem(what, str(folder), str(error), mend)) from error
    image = ctx.request.image or taking_over.image(record)
    if image is None:
        raise ImageMissing(taking_over.nowhere(record))
    assert ctx.request.settings is not None and SET_ID.match(set_id)
    settings = taking_over.settings(record, ctx.request.settings, ctx.request.source)
    ctx.request = replace(ctx.request, settings=settings, compose=source, image=image)
    return record
