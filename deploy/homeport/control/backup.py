"""``homeport backup``: a verified set of copies now, what there is, and checking it again."""

from __future__ import annotations

import argparse
from dataclasses import replace
from typing import Any, Callable, Mapping

from homeport.control import report_data
from homeport.control.changing import carry_out
from homeport.control.context import Context
from homeport.control.reading import show
from homeport.core import words
from homeport.errors import Unverified, UsageError

ACTIONS = ("now", "list", "verify", "prune", "drill")
#: option → the action it belongs to
_OF = {"hold": "now", "why": "now", "set": "verify", "all": "verify", "check": "list"}


def run(context: Context) -> int:
    """Makes a set, lists them, checks them again, or lets old ones go."""
    options = context.options
    action = str(options.action)
    for name, owner in _OF.items():
        if getattr(options, name) and action != owner:
            what = f"{getattr(options, name)}" if name == "set" else f"--{name}"
            mend = f"homeport backup {owner}"
            raise UsageError.of(f"it belongs to backup {owner}", what, mend=mend)
    if action == "list":
        return show(context, context.request("backup-list"), report_data.sets, check(options))
    if action == "now":
        request = context.request("backup")
        # the last commit says why something is deployed, not why it is saved
        cause = replace(request.cause, why=words.sentence(options.why or ""))
        return carry_out(context, replace(request, hold=options.hold, cause=cause))
    if options.set and options.all:
        raise UsageError.of("one set, or all of them?", mend="homeport backup verify --all")
    wanted = "all" if options.all else options.set or ""
    return carry_out(context, replace(context.request(f"backup-{action}"), set=wanted))


def check(options: argparse.Namespace) -> Callable[[Any], int]:
    """With ``--check``: the code of Unverified where backups are not as they should be."""

    def judge(data: Any) -> int:
        grave = [one for one in data.get("problems") or () if one.get("grave")]
        none = data.get("configured") and not data.get("verified")
        return Unverified.code if options.check and (grave or none) else 0

    return judge


VERBS: Mapping[str, Callable[[Context], int]] = {"backup": run}
