"""The agent's door: one request in, events out. Everything it needs is imported before it acts."""

from __future__ import annotations

import json
import os
import re
import signal
from dataclasses import asdict
from pathlib import Path
from typing import Any, BinaryIO, Mapping

from homeport import wire
from homeport.errors import HomeportError, Internal, NotSetUp, Problem, UsageError
from homeport.host import detach, prepare, read, run as runs
from homeport.host.context import Context
from homeport.host.engine import Engine
from homeport.host.paths import Paths, from_environment
from homeport.model import APP_NAME, Request, Verdict

READS = {
    "status": read.status,
    "history": read.history,
    "plan": prepare.plan_only,
}
CHANGES = ("deploy", "rollback", "shared", "remove", "recover")
RUN_ID = re.compile(r"\A[0-9]{8}T[0-9]{6}-[0-9a-f]{4}(-recover|-back|-guard[0-9])*\Z")


def main(payload: bytes, stdin: BinaryIO, stdout: BinaryIO) -> int:
    """Answer one request; the exit code of its verdict."""

    def tell(event: Mapping[str, Any]) -> None:
        stdout.write(wire.encode(event))
        stdout.flush()

    signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    try:
        return _answer(payload, stdin, stdout, tell)
    except HomeportError as error:
        verdict = Verdict("failed", error.code, str(error), problems=_plain(error))
    except wire.WireError as error:
        problem = Problem(str(error), "request", "", "use the same version on both sides")
        verdict = Verdict(
            "refused", UsageError.code, str(error), problems=_plain(UsageError(problem))
        )
    except Exception as error:  # a mistake of ours is told in one line as well
        problem = Problem(f"{type(error).__name__}: {error}", "agent", "", "report it, please")
        verdict = Verdict("failed", Internal.code, problem.what, problems=_plain(Internal(problem)))
    tell({"e": "verdict", **asdict(verdict)})
    return verdict.code


def _plain(error: HomeportError) -> tuple[Mapping[str, str], ...]:
    return tuple(asdict(one) for one in error.problems)


def parse(payload: bytes) -> Request:
    """The request, every field checked; raises WireError."""
    try:
        data = json.loads(payload)
    except ValueError as error:
        raise wire.WireError(f"the request is not JSON: {error}") from error
    request = wire.decode(Request, data)
    if not APP_NAME.match(request.app):
        raise wire.WireError(f"not an app's name: {request.app!r}")
    if request.settings is not None and request.settings.app != request.app:
        raise wire.WireError("the settings are another app's")
    return request


def _answer(payload: bytes, stdin: BinaryIO, stdout: BinaryIO, tell: Any) -> int:
    request = parse(payload)
    paths = from_environment(request.app)
    _set_up(paths)
    if request.verb in READS:
        ctx = Context(paths, Engine(), request, "", tell)
        tell({"e": "data", "data": READS[request.verb](ctx)})
        return _done(tell)
    if request.verb == "logs":
        read.logs(Context(paths, Engine(), request, "", tell))
        return _done(tell)
    if request.verb == "attach":
        return _attach(paths, request, stdout, tell)
    if request.verb in CHANGES:
        _need_image(request, stdin, tell)
        run = detach.new_run()
        tell({"e": "run", "run": run, "verb": request.verb, "app": request.app})
        detach.start(paths, run, payload)
        return detach.follow(paths, run, stdout)
    raise UsageError(Problem(f"the agent knows no verb {request.verb!r}", "request"))


def _done(tell: Any) -> int:
    tell({"e": "verdict", **asdict(Verdict("nothing-to-do", 0, ""))})
    return 0


def _set_up(paths: Paths) -> None:
    mend = "homeport setup --host USER@ADDRESS   (USER may use sudo)"
    for folder in (paths.home, paths.folder):
        if not folder.is_dir():
            raise NotSetUp(Problem(f"{folder} is missing", "host", "the host is not set up", mend))
        if not os.access(folder, os.W_OK):
            raise NotSetUp(Problem(f"{folder} cannot be written", "host", "it is not ours", mend))


def _need_image(request: Request, stdin: BinaryIO, tell: Any) -> None:
    """An image that no registry has is asked for over the connection, unless it is here already."""
    image = request.image
    if request.verb != "deploy" or image is None or image.digest or request.shared:
        return
    if Engine().image(image.ref) is not None:
        return
    tell({"e": "need", "need": "image", "ref": image.ref})
    if stdin.readline(64).strip() != b"image ok":
        mend = "homeport deploy --from-local"
        raise HomeportError(Problem("the image did not arrive", image.ref, "", mend))


def _attach(paths: Paths, request: Request, stdout: BinaryIO, tell: Any) -> int:
    name = request.release or _latest(paths)
    if not RUN_ID.match(name) or not (paths.runs / f"{name}.jsonl").exists():
        mend = "homeport history"
        raise UsageError(Problem(f"there is no run {name!r} to attach to", "host", "", mend))
    tell({"e": "run", "run": name, "verb": "attach", "app": paths.app})
    return detach.follow(paths, name, stdout)


def _latest(paths: Paths) -> str:
    names = sorted(one.stem for one in paths.runs.glob("*.jsonl") if one.stem.count("-") == 1)
    return names[-1] if names else ""


def carry_out(app: str, run: str, payload: bytes) -> int:
    """The executor's whole life: one request carried out, told into the run's file."""
    request = parse(payload)
    paths = from_environment(app)

    def tell(event: Mapping[str, Any]) -> None:
        prepare.tell_run(paths, run, event)

    ctx = Context(paths, Engine(), request, run, tell)
    verdict = runs.run(ctx)
    tell({"e": "verdict", **asdict(verdict)})
    _forget_old_runs(paths)
    return verdict.code


def _forget_old_runs(paths: Paths, keep: int = 50) -> None:
    for path in sorted(paths.runs.glob("*"), key=lambda one: one.name)[: -2 * keep]:
        Path(path).unlink(missing_ok=True)
