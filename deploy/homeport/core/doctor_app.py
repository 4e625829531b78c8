"""Judgements about the app on the host: what serves, what can be gone back to, and its data."""

from __future__ import annotations

from typing import Iterable

from homeport.core import adopt
from homeport.core import link as links
from homeport.core import freshness, policy, recovery, storage
from homeport.core.checkup import Checkup
from homeport.core.doctor_machine import next_image
from homeport.core.finding import Judge, Said, bad, cautioned, ok, problems, unknown, warn
from homeport.errors import Problem

RECOVER = "homeport recover"
#: filesystems that end with the next boot
_FLEETING = frozenset(("tmpfs", "ramfs"))


def _compose_file(seen: Checkup) -> Iterable[Said]:
    if seen.rendered is None and not seen.refused:
        yield unknown("the compose file", "it was not sent: mend it here first")
        return
    found = [*seen.refused, *(seen.rendered.problems if seen.rendered else ())]
    if seen.settings and seen.rendered:
        found += policy.impossible(seen.settings, seen.rendered)
    yield from problems(found, "the compose file can be deployed")


def _variables(seen: Checkup) -> Iterable[Said]:
    if seen.settings and seen.rendered:
        found = policy.unset(seen.settings, seen.rendered, seen.env)
        yield from problems(found, "every variable that is asked for has a value")
    if seen.differing:
        what = f"app.env differs from the live release in {', '.join(seen.differing)}"
        yield warn(what, "the app runs with the values from before", "homeport deploy")


def _strangers(seen: Checkup) -> Iterable[Said]:
    if seen.settings and seen.facts.strangers:
        yield from problems(adopt.strangers(seen.settings, seen.facts), "")


def _link(seen: Checkup) -> Iterable[Said]:
    facts, live = seen.facts, seen.facts.committed
    if seen.holder:
        who = f"{seen.holder.get('verb', 'a run')} {seen.holder.get('run', '')}"
        yield ok(f"{who} goes on: homeport attach shows it")
        return
    lost = recovery.not_understood(facts)
    if lost is not None and not seen.docker.fault:
        yield bad(lost.what, lost.why, lost.mend)
        return
    causes = _astray(seen)
    if causes:
        yield bad("the host does not match its link", causes, RECOVER)
    for run in facts.history.unfinished:
        what = f"the run {run.id} ({run.verb} of {run.release}) never ended"
        yield bad(what, f"it was interrupted at {run.step or 'its begin'}", RECOVER)
    if causes or facts.history.unfinished:
        return
    if live and seen.docker.fault:
        yield unknown(f"whether {live.id} is live", "Docker does not answer")
    else:
        yield ok(f"{live.id} is live" if live else "nothing is live yet: homeport deploy")


def _astray(seen: Checkup) -> str:
    """Why recovery would do something; without Docker, whether the link alone tells."""
    facts = seen.facts
    if not seen.docker.fault:
        # the edge has a check of its own
        steps = [one for one in recovery.plan(facts).steps if one.do != "edge-start"]
        return "; ".join(dict.fromkeys(one.cause for one in steps))
    kind, _ = links.read(facts.app, facts.link)
    return f"the link is {kind}" if facts.committed and kind != "release" else ""


def _healthy(seen: Checkup) -> Iterable[Said]:
    if seen.asked:
        sick = [bad(one.what, one.why, one.mend) for one in cautioned(seen, "healthy")]
        yield from sick or [ok("it answers as ready")]


def _last_run(seen: Checkup) -> Iterable[Said]:
    runs = [one for one in seen.facts.history.runs if one.verb in ("deploy", "rollback")]
    if not runs or runs[-1].end is None:
        return
    end = runs[-1].end
    outcome = str(end.get("outcome", ""))
    if end.get("code"):
        mend = "homeport history tells more; mend the release, then homeport deploy"
        what = f"the last {runs[-1].verb} did not succeed: {outcome} ({runs[-1].release})"
        yield warn(what, str(end.get("sentence", "")) or "see its run", mend)
    else:
        yield ok(f"the last {runs[-1].verb} went well ({runs[-1].release})")


def _frozen(seen: Checkup) -> Iterable[Said]:
    freeze = seen.facts.history.freeze
    if freeze:
        why = f"by {freeze.who or 'somebody'}: {freeze.why or 'no reason was given'}"
        yield warn("deploys are frozen", why, "homeport unfreeze")


def _way_back(seen: Checkup) -> Iterable[Said]:
    facts, live = seen.facts, seen.facts.committed
    if live is None:
        return
    before = recovery.previous(facts, live)
    if before is None:
        yield ok(f"nothing to go back to: {live.id} is the first that serves well")
    elif seen.docker.fault or facts.way_back(before) != "no":
        yield ok(f"homeport rollback goes back to {before.id}")
    else:
        why = "it came by --from-local, so no registry has it"
        mend = "homeport deploy makes a new one; the next rollback goes to the live release"
        yield warn(f"the image of {before.id} is gone: there is no way back", why, mend)


def _killed(seen: Checkup) -> Iterable[Said]:
    for name in seen.docker.killed:
        why = "it used more memory than its limit or than the machine has"
        mend = "a higher deploy.resources.limits.memory in the compose file, or fewer workers"
        yield warn(f"{name} was ended by the kernel for its memory", why, mend)


def _leftovers(seen: Checkup) -> Iterable[Said]:
    strays = seen.docker.strays
    for name in sorted(strays):
        yield warn(f"{name} belongs to no release", "it takes room for nothing", strays[name])


def _data(seen: Checkup) -> Iterable[Said]:
    if not seen.rendered:
        return
    kinds = seen.facts.filesystems
    said = [one for one in problems(_stops(seen), "") if one.state != "ok"]
    for path in (*seen.rendered.data, *seen.rendered.kept):
        if kinds.get(path) in _FLEETING:
            why = "what is written there is gone after a restart"
            mend = "mount a folder of a real disk there, and move the data to it"
            said.append(bad(f"{storage.place(path)} lies on {kinds[path]}", why, mend))
        elif kinds.get(path) == "overlay":
            why = "a read-only system keeps nothing of it at a boot, nor does a removed container"
            mend = "sudo raspi-config: Overlay File System off; or mount a folder of a disk there"
            said.append(warn(f"{storage.place(path)} lies on an overlay", why, mend))
    yield from said or [ok("the data lies on a local disk")]
    if seen.settings:
        for one in storage.warnings(seen.settings, seen.rendered, seen.facts):
            yield warn(one.what, one.why, one.mend)


def _stops(seen: Checkup) -> list[Problem]:
    """What keeps a deploy back because of where the data lies."""
    if not seen.settings or not seen.rendered:
        return []
    return storage.problems(seen.settings, seen.rendered, seen.facts)


def _owner(seen: Checkup) -> Iterable[Said]:
    users = {one.path: one.user for one in (seen.rendered.folders if seen.rendered else ())}
    for one in cautioned(seen, "data-owner"):
        user = next((users[path] for path in users if one.mend.endswith(f" {path}")), "")
        yield warn(one.what, one.why, one.mend.replace("UID:GID", user or "UID:GID"))


def _backup(seen: Checkup) -> Iterable[Said]:
    live, judged = seen.facts.committed, freshness.judge(seen.facts)
    for one in judged:
        say = bad if one.grave else warn
        yield say(one.problem.what, one.problem.why, one.problem.mend)
    newest = seen.facts.newest()
    if live and newest and not judged:
        age = freshness.span(seen.facts.now - newest.manifest.created)
        yield ok(f"the newest verified backup is {age} old")


def _journal(seen: Checkup) -> Iterable[Said]:
    return cautioned(seen, "journal") or [ok("the journal can be read to its end")]


def _ballast(seen: Checkup) -> Iterable[Said]:
    if seen.setup.ballast:
        yield ok("the ballast is there for a full disk")
    elif seen.facts.history.runs:
        why = "on a full disk there is no room left to write down how a deploy is undone"
        yield warn("the ballast is missing", why, RECOVER)


def _deploy(seen: Checkup) -> Iterable[Said]:
    """Whatever else would stop a deploy; what was told above is dropped, data comes below."""
    if seen.settings and seen.rendered and not seen.docker.fault:
        image = next_image(seen)
        found = policy.refusals(seen.settings, seen.rendered, seen.facts, image, seen.env)
        below = _stops(seen)
        others = [one for one in found if one not in below]
        yield from problems(others, "nothing else stands against a deploy")


APP: tuple[tuple[str, Judge], ...] = (
    ("compose-file", _compose_file),
    ("variables", _variables),
    ("strangers", _strangers),
    ("live", _link),
    ("healthy", _healthy),
    ("last-run", _last_run),
    ("frozen", _frozen),
    ("way-back", _way_back),
    ("killed", _killed),
    ("leftovers", _leftovers),
    ("deploy", _deploy),
)
DATA: tuple[tuple[str, Judge], ...] = (
    ("data-disk", _data),
    ("data-owner", _owner),
    ("backup", _backup),
    ("journal", _journal),
    ("ballast", _ballast),
)
