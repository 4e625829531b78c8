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
from homeport.core import words
from homeport.errors import HomeportError, HostFault, Internal, NotSetUp, Problem
from homeport.errors import TooLate, UsageError
from homeport.host import detach, endings, joining, requests, stop, telling
from homeport.host.paths import Paths, from_environment
from homeport.host.store import faulty
from homeport.model import Request
from homeport.planned import Verdict

READS = (
    *("status", "history", "plan", "plan-rollback", "plan-restore", "logs", "watch", "doctor"),
    *("edge-status", "edge-ca", "backup-list"),
)
CHANGES = (
    *("deploy", "rollback", "restore", "shared", "remove", "recover", "freeze", "unfreeze"),
    *("edge-apply", "edge-upgrade", "maintenance-on", "maintenance-off"),
    *("backup", "backup-verify", "backup-prune", "backup-drill", "restore-from"),
    *("data-check", "data-vacuum", "data-analyze", "data-checkpoint"),
)
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
        # of what was sent no more is sent back than a person can read
        said = words.sentence(str(error))
        problem = Problem(said, "request", "", "use the same version on both sides")
        verdict = Verdict("refused", UsageError.code, said, problems=_plain(UsageError(problem)))
    except Exception as error:  # a mistake of ours is told in one line as well
        problem = Problem(f"{type(error).__name__}: {error}", "agent", "", "report it, please")
        verdict = Verdict("failed", Internal.code, problem.what, problems=_plain(Internal(problem)))
    tell({"e": "verdict", **asdict(verdict)})
    return verdict.code


def _plain(error: HomeportError) -> tuple[Mapping[str, str], ...]:
    return tuple(asdict(one) for one in error.problems)


def _answer(payload: bytes, stdin: BinaryIO, stdout: BinaryIO, tell: Any) -> int:
    request = requests.parse(payload)
    if request.verb not in (*READS, *CHANGES, "attach", "cancel"):
        mend = "use the same version on both sides"
        raise UsageError(
            Problem(f"the agent knows no verb {request.verb[:40]!r}", "request", "", mend)
        )
    paths = from_environment(request.app)
    _set_up(paths, request.verb in CHANGES)
    if request.verb in READS:
        from homeport.host import verbs

        verbs.read(paths, request, tell)
        return _done(tell)
    if request.verb == "attach":
        return _attach(paths, request, stdout, tell)
    if request.verb == "cancel":
        return _cancel(paths, request, stdout, tell)
    _need_image(paths, request, stdin, tell)
    with joining.door(paths, request.key):
        run = joining.going_on(paths, request.key) or detach.new_run()
        tell({"e": "run", "run": run, "verb": request.verb, "app": request.app})
        if (paths.runs / f"{run}.jsonl").exists():
            tell({"e": "notice", "text": f"run {run} was begun for this job: following it"})
        else:
            detach.start(paths, run, payload)
    return detach.follow(paths, run, stdout)


def _done(tell: Any) -> int:
    tell({"e": "verdict", **asdict(Verdict("nothing-to-do", 0, ""))})
    return 0


def _set_up(paths: Paths, changes: bool) -> None:
    """Raises NotSetUp where the folders are missing or not ours.

    A disk that the kernel made read-only keeps no verb from reading, and is a HostFault for others.
    """
    mend = "homeport setup --host USER@ADDRESS   (USER may use sudo)"
    for folder in (paths.home, paths.folder):
        if not folder.is_dir():
            raise NotSetUp(Problem(f"{folder} is missing", "host", "the host is not set up", mend))
        if os.access(folder, os.W_OK):
            continue
        if not os.statvfs(folder).f_flag & os.ST_RDONLY:
            raise NotSetUp(Problem(f"{folder} cannot be written", "host", "it is not ours", mend))
        if changes:
            why = "the kernel stopped writing after an error, or it is mounted so"
            mend = "homeport doctor   (copy your data to another machine first)"
            raise HostFault(Problem(f"the disk of {folder} can only be read", "host", why, mend))


def _need_image(paths: Paths, request: Request, stdin: BinaryIO, tell: Any) -> None:
    """An image that no registry has is asked for over the connection, unless it is here already."""
    image = request.image
    if request.verb not in ("deploy", "restore-from") or image is None:
        return
    if image.digest or request.shared:
        return
    from homeport.host import lasting
    from homeport.host.engine import Engine

    if Engine().image(image.ref) is not None:
        return
    tell({"e": "need", "need": "image", "ref": image.ref})
    if stdin.readline(64).strip() != b"image ok":
        mend = "homeport deploy --from-local"
        raise HomeportError(Problem("the image did not arrive", image.ref, "", mend))
    with faulty("the disk takes no more writes", paths.folder):
        lasting.flush(Engine(), paths.folder)


def _attach(paths: Paths, request: Request, stdout: BinaryIO, tell: Any) -> int:
    name = request.release or endings.latest(paths)
    if not name:
        mend = "homeport deploy"
        raise UsageError(Problem("no run has begun yet to attach to", "host", "", mend))
    verdict = _known(paths, name, "attach to")
    tell({"e": "run", "run": name, "verb": "attach", "app": paths.app})
    if verdict and not endings.is_told(paths, name):
        for event in endings.told(paths, name):
            tell(event)
        tell({"e": "notice", "text": f"the end of what {name} told is lost: here from the journal"})
        tell({"e": "verdict", **asdict(verdict)})
        return verdict.code
    return detach.follow(paths, name, stdout)


def _cancel(paths: Paths, request: Request, stdout: BinaryIO, tell: Any) -> int:
    """Ask a run to stop and follow it to its end; the one that goes on where none is named."""
    name = request.release or next(iter(endings.holders(paths)), "")
    if not name:
        tell({"e": "verdict", **asdict(Verdict("nothing-to-do", 0, "no run goes on"))})
        return 0
    over = _known(paths, name, "stop")
    if over:
        sentence = f"run {name} is over: {over.sentence or over.outcome}"
        told = Verdict("nothing-to-do", TooLate.code, sentence, over.release, name)
        tell({"e": "verdict", **asdict(told)})
        return told.code
    events = paths.runs / f"{name}.jsonl"
    since = events.stat().st_size
    asks = f"{request.cause.who or 'somebody'} asks the run to stop"
    text = f"{asks}: before its commit it takes back what it began, after that it finishes"
    telling.tell_run(paths, name, {"e": "notice", "text": text})
    stop.ask(paths, name, request.cause)
    tell({"e": "run", "run": name, "verb": "cancel", "app": paths.app})
    return detach.follow(paths, name, stdout, since)


def _known(paths: Paths, name: str, to: str) -> Verdict | None:
    """The verdict of a run, None while it has none; raises UsageError for one that nobody knows."""
    if RUN_ID.match(name):
        verdict = endings.ended(paths, name)
        if verdict or (paths.runs / f"{name}.jsonl").exists():
            return verdict
    mend = "homeport history"
    raise UsageError(Problem(f"there is no run {name[:40]!r} to {to}", "host", "", mend))
