"""Builders of sets, for the tables of what is kept and what is said of it."""

from __future__ import annotations

from datetime import datetime, timezone

from homeport.backups import Item, Manifest, Verified
from homeport.core.kept import Kept


def at(text: str) -> float:
    """The instant of ``2026-03-29 01:30`` in UTC; without a time, noon of that day."""
    whole = text if ":" in text else f"{text} 12:00"
    return datetime.fromisoformat(whole).replace(tzinfo=timezone.utc).timestamp()


def kept(
    when: str, state: str = "verified", schema: str = "", release: str = "", run: str = ""
) -> Kept:
    """A set of that time (``at``) and state: verified, failed, unverified."""
    moment = at(when)
    name = datetime.fromtimestamp(moment, timezone.utc).strftime("%Y%m%dT%H%M%S") + "-0000"
    item = Item("sqlite", "data/shop.db", "0.sqlite", 4096, "0" * 64)
    manifest = Manifest(name, "shop", release, moment, schema, moment + 2, "asked", run, (item,))
    if state == "unverified":
        return Kept(manifest)
    good = state == "verified"
    problems = () if good else ("data/shop.db: 3 rows are missing in foods",)
    return Kept(manifest, Verified(name, moment + 3, good, problems, 0.5))
