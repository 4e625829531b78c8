"""Whether what is saved of an app is as fresh and as sure as it was asked to be.

Judged here and only here: ``status``, the plan of a deploy, ``doctor`` and ``homeport backup
list`` say it, each in its own way.
"""

from __future__ import annotations

from dataclasses import dataclass

from homeport.backups import Backup
from homeport.core import schedule
from homeport.core.facts import Facts
from homeport.core.journal import Run
from homeport.core.saving import asked
from homeport.core.words import SETUP
from homeport.errors import Problem

NOW = "homeport backup now"
#: the verb of a run that makes a set by itself, on a schedule or by hand
VERB = "backup"
#: who asks for a backup on a schedule
SCHEDULE = "schedule"
#: a schedule that has not been looked at for so long does not run, in seconds
SILENT = 3 * schedule.TICK


@dataclass(frozen=True)
class Judged:
    """What a person should know, and whether it is grave: then it ends a check with an error."""

    check: str
    grave: bool
    problem: Problem


def judge(facts: Facts) -> tuple[Judged, ...]:
    """What is not as it should be with the backups of what is live."""
    live = facts.committed
    if live is None:
        return ()
    backup, saving = asked(live.settings), facts.saving
    if backup is None:
        if not saving.declared:
            return ()
        what = f"nothing is saved of {', '.join(saving.declared)}"
        why = "homeport.toml has no [backup]: a dead disk takes it along"
        return (
            _say("backup", False, what, why, "[backup] in homeport.toml, then homeport deploy"),
        )
    found = [*_age(facts, backup), *_last(facts)]
    return (*found, *_ticker(facts)) if backup.schedule else tuple(found)


def _say(check: str, grave: bool, what: str, why: str, mend: str) -> Judged:
    return Judged(check, grave, Problem(what, "host", why, mend))


def _age(facts: Facts, backup: Backup) -> list[Judged]:
    """A backup that is too old, or none at all; grave only once there was time to make one."""
    newest, bound = facts.newest(), schedule.overdue(backup.schedule)
    limit = f"one should be no older than {span(bound)}"
    if newest is not None:
        age = facts.now - newest.manifest.created
        what = f"the newest verified backup is {span(age)} old"
        return [_say("backup", True, what, limit, NOW)] if age > bound else []
    began = min((run.committed_at for run in facts.history.runs if run.committed), default=0.0)
    grave = facts.now - began > bound
    return [_say("backup", grave, "there is no verified backup", limit, NOW)]


def _last(facts: Facts) -> list[Judged]:
    """The latest try, where it came to nothing and nothing good came after it."""
    newest, failed = facts.newest(), facts.newest("failed")
    since = newest.manifest.created if newest else 0.0
    runs = [run for run in facts.history.runs if run.verb == VERB and run.end is not None]
    last = runs[-1] if runs else None
    if last and last.began > since and last.end and last.end.get("code"):
        why = str(last.end.get("sentence", "")) or "homeport history tells more"
        return [_say("backup", True, "the last backup failed", why, NOW)]
    if failed and failed.verified and failed.manifest.created > since:
        why = "; ".join(failed.verified.problems) or "what came out of it is not what went in"
        return [_say("backup", True, f"the set {failed.manifest.id} failed its check", why, NOW)]
    return []


def _ticker(facts: Facts) -> list[Judged]:
    """Whether what looks for due backups is there, is to run, and did."""
    ticker = facts.saving.ticker
    silent = facts.now - max(ticker.at, ticker.since)
    why = "no backup is made by itself"
    if not ticker.kind:
        what = "nothing on the host runs the schedule of backups"
    elif ticker.runs is False:
        what = "what runs the schedule of backups is switched off"
    elif silent > SILENT:
        what = f"the schedule of backups has not run for {span(silent)}"
        why = "it should look every quarter of an hour whether one is due"
    else:
        return []
    return [_say("backup-schedule", True, what, why, SETUP)]


def due(facts: Facts) -> bool:
    """Whether a backup of what is live is to be made now by itself."""
    rule = _rule(facts)
    made = [one.manifest.created for one in facts.copies if one.state == "verified"]
    # one that went well counts by its set, and by nothing once somebody took that away
    begun = [run.began for run in facts.history.runs if _scheduled(run) and not run.good]
    sure = facts.host.clock_synced
    return schedule.due(rule, facts.now, facts.saving.offset, made, begun, sure)


def _rule(facts: Facts) -> str:
    """The schedule of what is live; nothing where there is none."""
    backup = asked(facts.committed.settings) if facts.committed else None
    return backup.schedule if backup else ""


def _scheduled(run: Run) -> bool:
    return run.verb == VERB and run.cause.get("who") == SCHEDULE


def next_at(facts: Facts) -> float | None:
    """When the next backup is made by itself; None where none is."""
    rule = _rule(facts)
    if not rule or _ticker(facts):
        return None
    return facts.now if due(facts) else schedule.following(rule, facts.now, facts.saving.offset)


def span(seconds: float) -> str:
    """``50 min``, ``7 h``, ``3 days``."""
    for limit, unit, size in ((7200, "min", 60), (172800, "h", 3600)):
        if seconds < limit:
            return f"{max(0, int(seconds)) // size} {unit}"
    return f"{int(seconds) // 86400} days"
