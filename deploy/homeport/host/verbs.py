"""What carries requests out: the verbs that read, and the executor's whole life."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any, Mapping

from homeport.host import endings, prepare, read_data, read_edge, requests, run_back, telling
from homeport.host import read as reading
from homeport.host import run as runs
from homeport.host.context import Context, Tell
from homeport.host.engine import Engine
from homeport.host.paths import Paths, from_environment
from homeport.host.read_watch import watch
from homeport.model import Request

_READS: Mapping[str, Callable[[Context], Any]] = {
    "status": reading.status,
    "history": reading.history,
    "plan": prepare.plan_only,
    "plan-rollback": run_back.plan_only,
    "plan-restore": run_back.plan_only,
    "edge-status": read_edge.status,
    "edge-ca": read_edge.authority,
    "backup-list": read_data.listing,
}

_STREAMS: Mapping[str, Callable[[Context], None]] = {"logs": reading.logs, "watch": watch}


def read(paths: Paths, request: Request, tell: Tell) -> None:
    """Answer a verb that only reads."""
    ctx = Context(paths, Engine(), request, "", tell)
    if request.verb in _STREAMS:
        _STREAMS[request.verb](ctx)
    elif request.verb == "doctor":
        from homeport.host import checkup  # a deploy need not wait for its import

        tell({"e": "data", "data": checkup.doctor(ctx)})
    else:
        tell({"e": "data", "data": _READS[request.verb](ctx)})


def carry_out(app: str, run: str, payload: bytes) -> int:
    """The executor's whole life: one request carried out, told into the run's file."""
    request = requests.parse(payload)
    paths = from_environment(app)

    def tell(event: Mapping[str, Any]) -> None:
        telling.tell_run(paths, run, event)

    ctx = Context(paths, Engine(), request, run, tell)
    verdict = runs.run(ctx)
    tell({"e": "verdict", **asdict(verdict)})
    _forget_old_runs(paths, run)
    return verdict.code


def _forget_old_runs(paths: Paths, run: str, keep: int = 50) -> None:
    """Let the events of older runs go. By their names, which is by a clock that may have jumped."""
    for path in sorted(paths.runs.glob("*"), key=lambda one: one.name)[: -3 * keep]:
        if not path.name.startswith(run[: endings.STEM]):
            Path(path).unlink(missing_ok=True)
