"""What runs that died leave to be decided: what is to serve, which watch goes on, what is said."""

from __future__ import annotations

from homeport.core import schemas
from homeport.core.facts import Facts
from homeport.model import Release

#: ends the id of a recovery that came before another run, which its record names
FIRST = "-recover"
_WATCHED = ("deploy", "rollback", "restore-from")
#: names a release that was made live already, and brings it back
_PUTS_RIGHT = ("recover", "take-back")


def goal(facts: Facts) -> Release | None:
    """The release that is to serve: the committed one, or what that was just being taken back to.

    A run that dies in taking back has found the committed one bad: to wait until that gets well
    would keep people waiting for nothing.
    """
    live = facts.committed
    for run in facts.history.unfinished:
        if live and run.verb == "take-back" and run.origin == live.id and not run.committed:
            good = facts.release(run.release)
            if good is not None and not schemas.fits(facts, good):
                return good
    return live


def watch_failed_at_boot(facts: Facts) -> bool:
    """Whether the committed release was booted twice without a finished watch."""
    live = facts.committed
    for run in facts.history.runs:
        if live and run.committed == live.id and not run.watched and run.boots_since_commit >= 2:
            return run.end is None
    return False


def watch_left(facts: Facts) -> str | None:
    """Where the watch of the committed release was interrupted: the release before it, or ""."""
    live = facts.committed
    for run in facts.history.unfinished:
        if live and run.committed == live.id and not run.watched and run.verb in _WATCHED:
            return run.origin
    return None


def cut_short(run: str, verb: str, release: str) -> str:
    """What is said of a run that died with nothing committed, once recovery is through.

    Only what was to make a release live has something that recovery takes back.
    """
    if not release or verb in _PUTS_RIGHT or run.endswith(FIRST):
        what = "recovery" if verb == "recover" or run.endswith(FIRST) else verb
        return f"{what} was interrupted; homeport status tells what stands"
    return f"{verb} {release} was interrupted before its handover and taken back"
