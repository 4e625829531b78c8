"""From facts to findings: one table of checks, each a judgement of its own."""

from __future__ import annotations

from typing import Iterable

from homeport.core import doctor_app, doctor_host, doctor_machine, doctor_offsite
from homeport.core.checkup import Checkup
from homeport.core.finding import Finding, Judge

#: the groups in which a person reads them, and the order; the first two are judged where one types
HERE, CONNECTION = "this machine", "the connection"
CHECKS: tuple[tuple[str, tuple[tuple[str, Judge], ...]], ...] = (
    ("the host", (*doctor_machine.CHECKS, *doctor_host.HOST)),
    ("Docker", doctor_host.DOCKER),
    ("the edge", doctor_host.EDGE),
    ("the app", doctor_app.APP),
    ("data", (*doctor_app.DATA, *doctor_offsite.OFFSITE)),
)


def examine(seen: Checkup) -> tuple[Finding, ...]:
    """Every finding about a host, in the table's order; nothing is told twice."""
    found: dict[str, Finding] = {}
    for group, checks in CHECKS:
        for name, judge in checks:
            for one in judge(seen):
                made = Finding(name, group, one.state, one.what, one.why, one.mend)
                found.setdefault(one.what, made)
    return tuple(found.values())


def needs_a_person(found: Iterable[Finding]) -> bool:
    """Whether one of them is a problem."""
    return any(one.state == "problem" for one in found)
