"""The verbs that only read: data on stdout, in a form for people or as JSON."""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import Any, Callable, Mapping, TextIO

from homeport.control import github, job, report
from homeport.control.changing import deploy_request, monitor
from homeport.control.context import Context, print_json
from homeport.control.session import Session
from homeport.model import Request


def status(context: Context) -> int:
    """What serves, since when, and what can be gone back to."""
    return show(context, context.request("status"), report.status)


def history(context: Context) -> int:
    """Every run, the latest first."""
    return show(context, context.request("history"), report.history)


def plan(context: Context) -> int:
    """What a deploy would do."""
    return show(context, deploy_request(context, "plan"), report.plan)


def logs(context: Context) -> int:
    """What the live containers wrote."""
    options = context.options
    request = context.request("logs", follow=options.follow, lines=options.lines)
    code = 0
    for event in Session(replace(request, release=options.service or ""), context.open_line):
        if event["e"] == "log" and context.json:
            print_line({key: event.get(key) for key in ("service", "line")})
        elif event["e"] == "log":
            show_line(f"{event.get('service', '')} | {event.get('line', '')}")
        elif event["e"] == "verdict":
            code = _ended(event, context)
    return code


def watch(context: Context) -> int:
    """How what serves is doing: a line a second."""
    code = 0
    for event in Session(
        context.request("watch", monitor=monitor(context, "--for")), context.open_line
    ):
        if event["e"] == "look" and context.json:
            print_line({key: value for key, value in event.items() if key != "e"})
        elif event["e"] == "look":
            show_line(report.look(event))
        elif event["e"] == "notice":
            show_line(f"note: {event.get('text', '')}", sys.stderr)
        elif event["e"] == "verdict":
            code = _ended(event, context)
    return code


def show(
    context: Context,
    request: Request,
    form: Callable[[Any], str],
    check: Callable[[Any], int] = lambda data: 0,
) -> int:
    """Sends a request that only reads, and prints its data.

    The exit code is the verdict's, or what ``check`` makes of the data of a good one.
    """
    code = bad = 0
    for event in Session(request, context.open_line):
        if event["e"] == "data":
            bad = check(event.get("data"))
        if event["e"] == "data" and context.json:
            print_json(event.get("data"))
        elif event["e"] == "data":
            show_line(form(event.get("data")))
        elif event["e"] == "notice":
            show_line(f"note: {event.get('text', '')}", sys.stderr)
        elif event["e"] == "verdict":
            code = _ended(event, context)
    return code or bad


def _ended(event: Mapping[str, Any], context: Context) -> int:
    """A good end of reading is not worth a line; a bad one is said on stderr."""
    code = int(event.get("code", 0))
    if code:
        job.show_verdict(event, context.verbose)
    return code


def show_line(text: str, out: TextIO | None = None) -> None:
    """What a host said, on stdout if not on ``out``: in a job's log nothing in it is a command."""
    print(github.foreign(text), file=out or sys.stdout, flush=True)


def print_line(data: Any) -> None:
    """One object a line, for a stream that may not end."""
    import json

    print(json.dumps(data, ensure_ascii=False).replace("##[", "#\\u0023["), flush=True)


VERBS: Mapping[str, Callable[[Context], int]] = {
    "status": status,
    "history": history,
    "logs": logs,
    "watch": watch,
    "plan": plan,
}
