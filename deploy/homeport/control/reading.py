"""The verbs that only read: data on stdout, in a form for people or as JSON."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import Any, Callable, Mapping

from homeport.control import present, report
from homeport.control.changing import deploy_request
from homeport.control.context import Context, print_json
from homeport.control.session import Session
from homeport.model import Request


def status(context: Context) -> int:
    """What serves, since when, and what can be gone back to."""
    return _show(context, context.request("status"), report.status)


def history(context: Context) -> int:
    """Every run, the latest first."""
    return _show(context, context.request("history"), report.history)


def plan(context: Context) -> int:
    """What a deploy would do."""
    return _show(context, deploy_request(context, "plan"), report.plan)


def logs(context: Context) -> int:
    """What the live containers wrote."""
    options = context.options
    request = context.request("logs", follow=options.follow, lines=options.lines)
    code = 0
    for event in Session(replace(request, release=options.service or ""), context.open_line):
        if event["e"] == "log" and context.json:
            print_line({key: event.get(key) for key in ("service", "line")})
        elif event["e"] == "log":
            print(f"{event.get('service', '')} | {event.get('line', '')}", flush=True)
        elif event["e"] == "verdict":
            code = _ended(event, context)
    return code


def _show(context: Context, request: Request, form: Callable[[Any], str]) -> int:
    code = 0
    for event in Session(request, context.open_line):
        if event["e"] == "data" and context.json:
            print_json(event.get("data"))
        elif event["e"] == "data":
            print(form(event.get("data")), flush=True)
        elif event["e"] == "notice":
            print(f"note: {event.get('text', '')}", file=sys.stderr)
        elif event["e"] == "verdict":
            code = _ended(event, context)
    return code


def _ended(event: Mapping[str, Any], context: Context) -> int:
    """A good end of reading is not worth a line; a bad one is said on stderr."""
    code = int(event.get("code", 0))
    if code:
        present.verdict(event, verbose=context.verbose)
    return code


def print_line(data: Any) -> None:
    """One object a line, for a stream that may not end."""
    import json

    print(json.dumps(data, ensure_ascii=False), flush=True)


VERBS: Mapping[str, Callable[[Context], int]] = {
    "status": status,
    "history": history,
    "logs": logs,
    "plan": plan,
}
