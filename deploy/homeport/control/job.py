"""What a job of GitHub Actions is left with after a run: annotations, outputs, a summary."""

from __future__ import annotations

import io
import os
import sys
import time
from typing import Any, Callable, Mapping, Sequence

from homeport.control import github, present, summary
from homeport.core import words
from homeport.errors import Frozen, HomeportError, from_wire

#: the verbs whose outcome later steps go on with
SHIPS = ("deploy", "rollback")
URL = "HOMEPORT_URL"


def tell(
    verb: str,
    verdict: Mapping[str, Any],
    steps: Sequence[Mapping[str, Any]],
    asked: Mapping[str, str],
) -> int:
    """Tells the job of a run's verdict; the exit code the job's step ends with.

    A deploy that meets a freeze is expected there and ends well, with a warning. ``asked`` is what
    ``summary.of_verdict`` wants.
    """
    code, error = int(verdict.get("code", 0)), from_wire(verdict)
    frozen = verb == "deploy" and code == Frozen.code
    if frozen:
        verdict = {**verdict, "outcome": "frozen"}
    if code:
        github.problems(error, "warning" if frozen else "error")
    if code and not error.problems:
        github.annotate("error", error.meaning, str(verdict.get("sentence") or error.meaning))
    url = os.environ.get(URL, "").strip() or asked.get("url", "")
    if verb in SHIPS:
        github.output(outputs(verdict, url))
    github.summary(summary.of_verdict(verb, verdict, steps, {**asked, "url": url}, time.time()))
    return 0 if frozen else code


def outputs(verdict: Mapping[str, Any], url: str) -> dict[str, str]:
    """The outputs of a step that deploys or rolls back: what serves now, and what did before."""
    figures = dict(verdict.get("figures") or {})
    live, back = dict(figures.get("serves") or {}), dict(figures.get("previous") or {})
    # later steps put these into shells: what is no such word is left out, whoever said it
    release = str(live.get("id") or verdict.get("release") or "")
    outcome, run = str(verdict.get("outcome", "")), str(verdict.get("run") or "")
    return {
        "outcome": outcome if words.is_key(outcome) else "",
        "release": release if words.is_release(release) else "",
        "digest": _digest(live),
        "previous-digest": _digest(back),
        "url": url,
        "run": run if words.is_key(run) else "",
    }


def _digest(release: Mapping[str, Any]) -> str:
    """The digest by which a registry knows a release's image; "" for one that was sent by hand."""
    digest = str(release.get("digest") or "")
    return digest if words.is_digest(digest) and "@" in str(release.get("image")) else ""


def failed(error: HomeportError, verb: str) -> None:
    """Tells the job of an error that ended a command before the host gave a verdict."""
    if not github.active():
        return
    github.problems(error)
    if verb in SHIPS:
        github.output(outputs({"outcome": "failed"}, ""))
        github.summary(summary.of_error(verb, error))


def guarded(show: Callable[[io.StringIO], None]) -> None:
    """Prints what ``show`` writes on stderr, with nothing in it taken for a command of a job."""
    text = io.StringIO()
    show(text)
    print(github.foreign(text.getvalue().rstrip("\n")), file=sys.stderr, flush=True)


def show_verdict(verdict: Mapping[str, Any], verbose: bool) -> None:
    """``present.verdict`` for a person or for a job's log."""
    if github.active():
        guarded(lambda out: present.verdict(verdict, out, verbose))
    else:
        present.verdict(verdict, verbose=verbose)


def show_failure(error: HomeportError) -> None:
    """``present.failure`` for a person or for a job's log."""
    if github.active():
        guarded(lambda out: present.failure(error, out))
    else:
        present.failure(error)
