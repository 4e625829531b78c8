"""Sets off the box: what carries them there, what is known of them, and when to worry."""

from __future__ import annotations

from dataclasses import dataclass

from homeport.backups import Backup
from homeport.core import restic
from homeport.errors import Problem
from homeport.planned import Step

DAY = 86400.0
#: a copy that is older than this many days is worth a word, and so is a drill
OLD_COPY, OLD_DRILL = 3.0, 35.0
NOW = "homeport backup now"
#: what somebody does who carries sets there
UPLOAD = "upload"


@dataclass(frozen=True)
class Offsite:
    """What the host remembers of its repository.

    ``repository`` is its address without a login, ``id`` its own mark; ``set`` the newest set that
    is there, ``added`` the bytes that it added, ``drilled`` when a set of it was last restored for
    a try, and ``why`` what was wrong with that one; "" if nothing was.

    ``begun_set`` is a set whose upload began at ``begun``, "" once it has ended; ``failed`` is why
    the last upload came to nothing. ``sending`` is what whoever carries sets there right now does,
    "" where nobody does: the host looks it up, and never writes it down.
    """

    repository: str
    id: str = ""
    set: str = ""
    at: float = 0.0
    size: int = 0
    added: int = 0
    seconds: float = 0.0
    drilled: float = 0.0
    drilled_set: str = ""
    why: str = ""
    begun: float = 0.0
    begun_set: str = ""
    failed: str = ""
    sending: str = ""


def steps(backup: Backup | None) -> tuple[Step, ...]:
    """What carries the newest verified set off the box, and lets old ones go there.

    Where no rule keeps any, all are kept: so it is said for a place that lets nobody delete.
    """
    if backup is None or not backup.offsite:
        return ()
    args = {"repository": backup.offsite, "set": ""}
    rules = {
        "repository": backup.offsite,
        "daily": backup.offsite_daily,
        "weekly": backup.offsite_weekly,
        "monthly": backup.offsite_monthly,
    }
    kept = f"{backup.offsite_daily} days, {backup.offsite_weekly} weeks and"
    kept += f" {backup.offsite_monthly} months are kept there"
    send = Step("offsite", "offsite", "a copy on the same box dies with it", args)
    if not backup.offsite_daily + backup.offsite_weekly + backup.offsite_monthly:
        return (send,)
    return (send, Step("offsite-prune", "offsite-prune", kept, rules))


def drill(backup: Backup) -> Step:
    """A set is brought back from the repository for a try."""
    cause = "a repository counts when a set came back from it"
    return Step("drill", "drill", cause, {"repository": backup.offsite})


def sentence(known: Offsite | None, backup: Backup | None, now: float, newest: str = "") -> str:
    """How it stands, in a line for ``status``; "" where nothing is to go off the box.

    ``newest`` is the id of the newest verified set on the host: where it is not there yet, that is
    said.
    """
    if backup is None or not backup.offsite:
        return ""
    where = restic.shown(backup.offsite)
    mine = known if known and known.repository == where else None
    lacking = _lacking(mine, now, newest)
    if mine is None or not mine.set:
        return f"{where}: nothing is there yet{lacking}"
    tried = "never tried: homeport backup drill"
    if mine.drilled:
        good = "did NOT come back" if mine.why else "came back"
        tried = f"{mine.drilled_set} {good} {_ago(mine.drilled, now)}"
    return f"{where}: {mine.set} since {_ago(mine.at, now)}{lacking}; {tried}"


def _lacking(mine: Offsite | None, now: float, newest: str) -> str:
    """What of the host's sets is not there yet."""
    if mine and mine.sending == UPLOAD and mine.begun_set:
        return f"; {mine.begun_set} is on its way since {_ago(mine.begun, now, '')}"
    if newest > (mine.set if mine else ""):
        return f"; {newest} is on this host only"
    return ""


def cautions(known: Offsite | None, backup: Backup | None, now: float) -> list[Problem]:
    """What a person should know of it."""
    if backup is None or not backup.offsite:
        return []
    where = restic.shown(backup.offsite)
    mine = known if known and known.repository == where else None
    found = [] if mine is None or mine.sending == UPLOAD else _upload(mine, where, now)
    if mine is None or not mine.set:
        why = "a disk that dies takes the copies on it along"
        return [*found, Problem("no set is off the box yet", where, why, NOW)]
    known = mine
    if now - known.at > OLD_COPY * DAY:
        what = f"the newest set off the box is from {_ago(known.at, now)}"
        why = "what was written since then is on one disk only"
        found.append(Problem(what, where, why, NOW))
    if known.why:
        what = f"the set {known.drilled_set} did not come back from the repository"
        found.append(Problem(what, where, known.why, "homeport backup drill"))
    elif now - (known.drilled or known.at) > OLD_DRILL * DAY:
        what = "no set was brought back from the repository for a try since long"
        if known.drilled:
            what = (
                f"the last set that was brought back for a try is from {_ago(known.drilled, now)}"
            )
        why = "a copy counts when it was restored"
        found.append(Problem(what, where, why, "homeport backup drill"))
    return found


def _upload(known: Offsite, where: str, now: float) -> list[Problem]:
    """The last upload, where it came to nothing."""
    if known.failed:
        what = "the last upload came to nothing"
        return [Problem(what, where, known.failed, NOW)]
    if known.begun_set > known.set:
        what = f"the upload of {known.begun_set} was cut short {_ago(known.begun, now)}"
        why = "what got there already is not sent again"
        return [Problem(what, where, why, NOW)]
    return []


def _ago(then: float, now: float, word: str = " ago") -> str:
    """``3 hours ago``."""
    seconds = max(0.0, now - then)
    for limit, unit, name in ((7200, 60, "minutes"), (2 * DAY, 3600, "hours")):
        if seconds < limit:
            return f"{seconds / unit:.0f} {name}{word}"
    return f"{seconds / DAY:.0f} days{word}"
