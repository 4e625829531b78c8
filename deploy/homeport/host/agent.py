"""The agent's door: one request in, events out.

It imports little: for a run it only starts the guardian and follows, and on a small board every
import is waited for. What carries out imports everything before its first step (``verbs``).
"""

from __future__ import annotations

import os
import re
import signal
from dataclasses import asdict
from typing import Any, BinaryIO, Mapping

from homeport import wire
from homeport.errors import HomeportError, Internal, NotSetUp, Problem, UsageError
from homeport.host import detach, joining, requests
from homeport.host.paths import Paths, from_environment
from homeport.model import Request, Verdict

READS = ("status", "history", "plan", "logs")
CHANGES = ("deploy", "rollback", "shared", "remove", "recover", "freeze", "unfreeze")
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


def _answer(payload: bytes, stdin: BinaryIO, stdout: BinaryIO, tell: Any) -> int:
    request = requests.parse(payload)
    paths = from_environment(request.app)
    _set_up(paths)
    if request.verb in READS:
        from homeport.host import verbs

        verbs.read(paths, request, tell)
        return _done(tell)
    if request.verb == "attach":
        return _attach(paths, request, stdout, tell)
    if request.verb in CHANGES:
        _need_image(request, stdin, tell)
        with joining.door(paths, request.key):
            run = joining.going_on(paths, request.key) or detach.new_run()
            tell({"e": "run", "run": run, "verb": request.verb, "app": request.app})
            if (paths.runs / f"{run}.jsonl").exists():
                tell({"e": "notice", "text": f"run {run} was begun for this job: following it"})
            else:
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
    from homeport.host.engine import Engine

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
