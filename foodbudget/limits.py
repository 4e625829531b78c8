"""Limits: what may be tried only so often, counted in the database, so that neither a restart nor
a second process begins to count anew."""

from __future__ import annotations

import hmac
import ipaddress
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import delete, update
from sqlalchemy.orm import Session

from foodbudget import models
from foodbudget.errors import LimitedError
from foodbudget.models import Attempt


@dataclass(frozen=True)
class Limit:
    """At most `most` tries within `span` of the first one."""

    kind: str
    most: int
    span: timedelta


ACCOUNT = Limit("account", 10, timedelta(minutes=15))
# asked for by somebody who is logged in: strangers at the log-in must not use it up
PASSWORD = Limit("password", 10, timedelta(minutes=15))
# a household, or a phone network, looks like one address
ADDRESS = Limit("address", 50, timedelta(minutes=15))
# who makes accounts learns which names are taken, and makes us work for each
SIGNUP = Limit("signup", 30, timedelta(hours=1))


Tries = list[tuple[Limit, str]]


def of(secret: str, limit: Limit, who: str) -> str:
    """The key that tries are counted under."""
    return hmac.digest(secret.encode(), f"{limit.kind}:{who}".encode(), "sha256").hex()


def network(address: str | None) -> str | None:
    """Who counts as one at this address: an IPv6 household has 2^64 of them. None if unknown."""
    try:
        found = ipaddress.ip_address(address or "")
    except ValueError:
        return None
    if isinstance(found, ipaddress.IPv6Address):
        if found.ipv4_mapped is not None:
            return str(found.ipv4_mapped)
        return str(ipaddress.ip_network((found, 64), strict=False))
    return str(found)


def claim(session: Session, secret: str, tries: Tries) -> None:
    """Count one try against each limit, before it is made: many at once can not slip through.

    Raises:
        LimitedError: one of them is used up; none was counted then.
    """
    moment = models.now()
    session.execute(delete(Attempt).where(Attempt.ends_at <= moment))
    for limit, who in tries:
        key = of(secret, limit, who)
        row = session.get(Attempt, key)
        if row is None:
            session.add(Attempt(key=key, count=1, ends_at=moment + limit.span))
        elif row.count < limit.most:
            row.count += 1
        else:
            raise LimitedError(max(1, round((row.ends_at - moment).total_seconds())))


def forgive(session: Session, secret: str, tries: Tries) -> None:
    """The try was a good one: one's own are forgotten, an address gets back the one it took."""
    for limit, who in tries:
        key = of(secret, limit, who)
        if limit in (ACCOUNT, PASSWORD):
            session.execute(delete(Attempt).where(Attempt.key == key))
        else:
            one_less = update(Attempt).where(Attempt.key == key, Attempt.count > 0)
            session.execute(one_less.values(count=Attempt.count - 1))
