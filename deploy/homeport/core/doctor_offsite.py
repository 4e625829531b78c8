"""Judgements about the copies off the box: restic, its keys, and how old the last ones are."""

from __future__ import annotations

from typing import Iterable

from homeport.core import offsite, restic
from homeport.core.checkup import Checkup
from homeport.core.finding import Judge, Said, bad, cautioned, ok


def _program(seen: Checkup) -> Iterable[Said]:
    if seen.restic is None:
        return
    have = ".".join(map(str, seen.restic))
    mend = f"on the host: {restic.INSTALL}"
    if seen.restic >= restic.LEAST:
        yield ok(f"restic {have} carries sets off the box")
    elif seen.restic:
        why = "it cannot tell what is asked of it here"
        yield bad(f"restic {have} is too old: 0.12 is needed", why, mend)
    else:
        yield bad("restic is not installed", "no set gets off the box without it", mend)


def _keys(seen: Checkup) -> Iterable[Said]:
    if seen.restic is not None and not seen.opens:
        path = f"/opt/{seen.facts.app}/restic.env"
        why = "the repository is encrypted with it, and no set gets there without"
        mend = f"add a line {restic.PASSWORD}=… to {path} on the host (chmod 600)"
        yield bad(f"{restic.PASSWORD} has no value in {path}", why, mend)


def _copies(seen: Checkup) -> Iterable[Said]:
    facts = seen.facts
    live = facts.committed
    wanted = live.settings.backup if live else None
    newest = facts.newest()
    name = newest.manifest.id if newest else ""
    told = offsite.sentence(facts.offsite, wanted, facts.now, name)
    yield from cautioned(seen, "offsite") or ([ok(told)] if told else [])


OFFSITE: tuple[tuple[str, Judge], ...] = (
    ("restic", _program),
    ("restic-keys", _keys),
    ("offsite", _copies),
)
