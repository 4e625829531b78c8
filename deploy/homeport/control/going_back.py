"""The verbs that go back: to a release, to data that was saved, or to both at once."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import Any, Callable, Mapping

from homeport.control import from_repository, report
from homeport.control.changing import carry_out, keyed, monitor, todays_login
from homeport.control.context import Context
from homeport.control.reading import show
from homeport.core import words
from homeport.errors import UsageError
from homeport.model import Request


def rollback(context: Context) -> int:
    """Goes back to a release, or to the one before; with data where a set is named."""
    options = context.options
    release = options.release or ""
    if release and not words.is_release(release):
        said = words.sentence(repr(release), 80)
        raise UsageError.of("that is no release", said, mend="as in r0042-1a2b3c4")
    if options.unverified and not options.with_data:
        raise UsageError.of("--unverified is said of a set", mend="--with-data SET --unverified")
    request = context.request(
        "rollback",
        release=release,
        monitor=monitor(context),
        freeze=options.freeze,
        set=_set(options.with_data, "--with-data") if options.with_data else "",
        unverified=options.unverified,
    )
    context.host  # a missing host is said before a login is looked for
    return _sure(context, replace(request, auth=todays_login(context)))


def restore(context: Context) -> int:
    """Puts data that was saved back under the code that serves."""
    options = context.options
    if options.source:
        return from_repository.restore(context)
    if not options.set:
        mend = "homeport backup list; homeport restore latest"
        raise UsageError.of("which set of copies?", "homeport restore", mend=mend)
    set_ = _set(options.set, "homeport restore")
    return _sure(context, context.request("restore", set=set_, unverified=options.unverified))


def _set(name: str, where: str) -> str:
    """The name of a set, or the start of one; raises UsageError for what cannot be either."""
    if not words.is_set(name):
        said = f"{where} {words.sentence(repr(name), 80)}"
        mend = "as in 20261126T033000-1a2b, the start of it, or latest"
        raise UsageError.of("that is no set of copies", said, mend=mend)
    return name


def _sure(context: Context, request: Request) -> int:
    """Carries the request out; where data goes back, what that costs is shown and asked first.

    Who says --yes reads it in the run's own notices, before anything is changed.
    """
    if request.set and not context.yes:
        code = show(context, replace(request, verb=f"plan-{request.verb}"), _before)
        if code:
            return code
        what = "Put that data back" if request.verb == "restore" else "Go back with that data"
        if not context.ask(f"{what}? What is there now is saved first."):
            print("Nothing was done.", file=sys.stderr)
            return 0
    return carry_out(context, keyed(replace(request, yes=True) if request.set else request))


def _before(data: Any) -> str:
    return report.going_back(data)


VERBS: Mapping[str, Callable[[Context], int]] = {"rollback": rollback, "restore": restore}
