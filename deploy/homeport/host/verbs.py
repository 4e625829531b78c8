"""What carries requests out: the verbs that read, and the executor's whole life."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any, Mapping

from homeport.host import prepare, requests
from homeport.host import read as reading
from homeport.host import run as runs
from homeport.host.context import Context, Tell
from homeport.host.engine import Engine
from homeport.host.paths import Paths, from_environment
from homeport.model import Request

_READS: Mapping[str, Callable[[Context], Any]] = {
    "status": reading.status,
    "history": reading.history,
    "plan": prepare.plan_only,
}


def read(paths: Paths, request: Request, tell: Tell) -> None:
    """Answer a verb that only reads."""
    ctx = Context(paths, Engine(), request, "", tell)
    if request.verb == "logs":
        reading.logs(ctx)
    else:
        tell({"e": "data", "data": _READS[request.verb](ctx)})


def carry_out(app: str, run: str, payload: bytes) -> int:
    """The executor's whole life: one request carried out, told into the run's file."""
    request = requests.parse(payload)
    paths = from_environment(app)

    def tell(event: Mapping[str, Any]) -> None:
        prepare.tell_run(paths, run, event)

    ctx = Context(paths, Engine(), request, run, tell)
    verdict = runs.run(ctx)
    tell({"e": "verdict", **asdict(verdict)})
    _forget_old_runs(paths)
    return verdict.code


def _forget_old_runs(paths: Paths, keep: int = 50) -> None:
    for path in sorted(paths.runs.glob("*"), key=lambda one: one.name)[: -3 * keep]:
        Path(path).unlink(missing_ok=True)
