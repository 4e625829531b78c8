"""Upkeep of an app's live databases: what it takes, what stands against it, and the plan. Pure.

SQLite has one writer at a time: whoever else would write meanwhile waits, and after its own busy
timeout fails. So requests are held while something is written, and while a database without a
log is read through, since its readers keep writers away. PostgreSQL lets everybody go on.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Iterable, Literal, Mapping

from homeport.core import steps
from homeport.core.facts import Facts
from homeport.errors import Problem
from homeport.model import Release
from homeport.planned import Plan, Skip, Step

Action = Literal["check", "vacuum", "analyze", "checkpoint"]
ACTIONS: tuple[Action, ...] = ("check", "vacuum", "analyze", "checkpoint")
MIB = 1024 * 1024
#: bytes a second on an SD card: read and compared, and written twice with all its syncs
READ, WRITE = 16 * MIB, 6 * MIB
#: seconds until a one-shot container has begun and ended on a small board
BEGUN = 3.0
#: what may go wrong with a guess; the rest of the hold limit is left for that
SHARE = 0.5
#: how long upkeep that nobody waits for may take, in seconds
PATIENT = 6 * 3600.0
#: VACUUM writes a copy beside the database, and then all of that into its log or its journal
COPIES, SPARE = 2, 16 * MIB
RECOVER = "docs/data.md: A database is damaged"


@dataclass(frozen=True)
class Database:
    """A live SQLite database as it was looked at. Sizes in bytes, of the disk in ``free``.

    ``fault`` says why it cannot be looked after.
    """

    name: str
    size: int = 0
    wal: int = 0
    journal: str = ""
    version: str = ""
    free: int = 0
    fault: str = ""


def database(name: str, line: Mapping[str, Any]) -> Database:
    """A database from what ``inside/care.py`` tells of it."""
    before = line.get("before") or {}
    fault = "; ".join(line.get("problems") or ()) or str(line.get("failed") or "")
    if not fault and line.get("locked") and not before:
        fault = "it is locked"
    return Database(
        name,
        int(before.get("size", 0)),
        int(before.get("wal", 0)),
        str(line.get("journal", "")),
        str(line.get("version", "")),
        int(line.get("free", 0)),
        fault,
    )


def held(action: Action, databases: Iterable[Database]) -> str:
    """Why requests have to wait meanwhile; nothing where they need not."""
    known = list(databases)
    if not known:
        return ""
    if action != "check":
        return f"{action} writes, and SQLite has one writer at a time"
    old = [one.name for one in known if one.journal not in ("wal", "")]
    return f"whoever reads {old[0]} keeps its writers away (no WAL)" if old else ""


def seconds(action: Action, databases: Iterable[Database]) -> float:
    """How long it takes on a slow card, guessed high."""
    size = sum(one.size + one.wal for one in databases)
    if action == "checkpoint":
        size = sum(one.wal for one in databases)
    return BEGUN + size / (READ if action in ("check", "analyze") else WRITE)


def refusals(
    action: Action, databases: tuple[Database, ...], facts: Facts, live: Release
) -> tuple[Problem, ...]:
    """Everything that stands against it before the first change."""
    if not databases and not postgres(live):
        what, why = "there is no database to look after", "no SQLite file lies in the app's data"
        mend = 'for PostgreSQL: [backup] postgres = "DATABASE_URL" in homeport.toml, then deploy'
        return (Problem(what, live.id, why, mend),)
    if action == "check":
        return tuple(_too_long(action, databases, facts, live))
    found = [
        Problem(f"{one.name} cannot be looked after", "host", one.fault, "homeport data check")
        for one in databases
        if one.fault
    ]
    if action == "vacuum":
        found += [problem for one in databases for problem in _no_room(one)]
    return (*found, *_too_long(action, databases, facts, live))


def postgres(live: Release) -> bool:
    """Whether the app's database, or one of them, is a PostgreSQL."""
    return bool(live.settings.backup and live.settings.backup.postgres)


def _no_room(one: Database) -> list[Problem]:
    need = COPIES * one.size + SPARE
    if one.fault or one.free >= need:
        return []
    what = f"{need // MIB} MiB of disk are needed to vacuum {one.name}"
    why = f"{one.free // MIB} MiB are free; VACUUM writes all of it anew before the old goes"
    return [Problem(what, "host", why, "df -h; delete what is not needed")]


def _too_long(
    action: Action, databases: tuple[Database, ...], facts: Facts, live: Release
) -> list[Problem]:
    need, limit = seconds(action, databases), live.settings.deploy.hold
    if facts.maintenance or not held(action, databases) or need <= SHARE * limit:
        return []
    what = f"requests would be held for up to {need:.0f} s, and {limit:g} s is the limit"
    why = f"{held(action, databases)}; half of the limit is left for a guess that is wrong"
    mend = f"homeport maintenance on, then homeport data {action}, then homeport maintenance off"
    return [Problem(what, "homeport.toml: [deploy] hold", why, mend)]


def plan(action: Action, databases: tuple[Database, ...], facts: Facts, live: Release) -> Plan:
    """The plan of it, around a release that goes on running."""
    why, verb = held(action, databases), f"data-{action}"
    limit = live.settings.deploy.hold
    waits = bool(why) and not facts.maintenance
    args = {"do": action, "release": live.id, "within": SHARE * limit + BEGUN if waits else PATIENT}
    care = Step("care", "data-care", "asked for", args)
    skips, notices = [], []
    if why and not waits:
        skips.append(Skip("hold", "the maintenance page is up: no request reaches the app"))
    elif not why:
        skips.append(Skip("hold", "readers and writers go on meanwhile"))
    others = steps.workers(live)
    if why and others:
        notices.append(
            f"what {', '.join(others)} would write waits as long as its own timeout says"
        )
    if not waits:
        return Plan(verb, live.id, (care,), tuple(skips), tuple(notices))
    drain = {"address": live.link, "within": live.settings.deploy.drain}
    back = {"address": live.link, "release": live.id}
    return Plan(
        verb,
        live.id,
        (
            steps.hold(facts, why),
            Step("drain", "drain", "no request may wait inside for the database", drain),
            care,
            Step("resume", "link", f"{live.id} has its database again", back),
        ),
        tuple(skips),
        tuple(notices),
    )


# --- what became of it
def damage(name: str, line: Mapping[str, Any]) -> Problem | None:
    """What is told of a database that is not whole."""
    found = [str(one) for one in line.get("problems") or ()]
    if not found:
        return None
    more = f" and {len(found) - 3} more" if len(found) > 3 else ""
    mend = f"homeport backup list shows what can be restored; {RECOVER}"
    return Problem(f"{name} is damaged", "host", "; ".join(found[:3]) + more, mend)


def undone(line: Mapping[str, Any]) -> bool:
    """Whether nothing was done to a database that could have been."""
    if line.get("postgres"):
        return False
    return bool(line.get("failed") or (line.get("locked") and not line.get("after")))


def sentence(action: str, name: str, line: Mapping[str, Any]) -> str:
    """What was done to one database, in figures."""
    took = f"in {float(line.get('seconds', 0)):.1f} s"
    before, after = line.get("before") or {}, line.get("after") or {}
    if line.get("problems"):
        return f"{name}: damaged, found {took}"
    if line.get("failed"):
        return f"{name}: not done: {line['failed']}"
    if line.get("locked") and not after:
        return f"{name}: not done: another writer held it for {took[3:]}"
    if line.get("postgres"):
        return _server(action, name, line, took)
    if action == "check":
        return f"{name}: whole, {_counted(line)} read {took}{_besides(line)}"
    if action == "analyze":
        return f"{name}: {line.get('statistics', 0)} statistics gathered {took}"
    if action == "checkpoint":
        gone = f"{size(before.get('wal', 0))} of log brought home"
        kept = "; a reader keeps the rest of it" if line.get("locked") else ""
        return f"{name}: {gone} {took}{kept}"
    sizes = f"{size(before.get('size', 0))} -> {size(after.get('size', 0))}"
    pages = f"{before.get('pages', 0)} pages, {before.get('empty', 0)} of them empty"
    return f"{name}: {sizes} ({pages} -> {after.get('pages', 0)}) {took}"


def _server(action: str, name: str, line: Mapping[str, Any], took: str) -> str:
    """The same of a PostgreSQL database."""
    if action == "check":
        but = f"; {line['note']}" if line.get("note") else ""
        return f"{name}: no damage found{but}"
    if action == "analyze":
        return f"{name}: statistics gathered {took}"
    sizes = (size((line.get(at) or {}).get("size", 0)) for at in ("before", "after"))
    return f"{name}: {' -> '.join(sizes)}, dead rows cleared and statistics gathered {took}"


def _counted(line: Mapping[str, Any]) -> str:
    pages = (line.get("before") or {}).get("pages", 0)
    return f"{pages} pages, {line.get('rows', 0)} rows in {line.get('tables', 0)} tables"


def _besides(line: Mapping[str, Any]) -> str:
    """What is no damage and worth a look: rows without their parent, a library that never syncs."""
    found = line.get("orphans") or {}
    told = [f"{count} of {name}" if count else name for name, count in sorted(found.items())]
    text = f"; rows that refer to nothing: {', '.join(told)}" if told else ""
    if line.get("synchronous") == 0:
        text += "; its SQLite syncs nothing unless it is told to (synchronous=off)"
    return text


def size(count: int) -> str:
    """Bytes for a person: ``1.4 MB``."""
    value = float(count)
    for unit in ("B", "KB", "MB"):
        if value < 1000:
            return f"{value:.0f} B" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} GB"
