"""attach and cancel as the agent answers them, from what a run told and what the journal knows."""

from __future__ import annotations

import io
import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from homeport import wire
from homeport.errors import Cancelled, TooLate, UsageError
from homeport.host import agent, endings, joining, stop
from homeport.host.paths import Paths
from homeport.host.store import Lock, Store
from homeport.model import Cause, Request

RUN, LATER = "20261126T110000-1a2b", "20261126T110500-3c4d"
LIVE = {"e": "verdict", "outcome": "deployed", "code": 0, "sentence": "r0002 is live", "run": RUN}


@pytest.fixture
def paths(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Paths:
    """An app on a host that is set up, where nothing has run yet."""
    monkeypatch.setenv("HOMEPORT_ROOT", str(tmp_path))
    made = Paths("shop", tmp_path)
    for folder in (made.runs, made.home):
        folder.mkdir(parents=True)
    return made


def tells(paths: Paths, run: str, *events: dict[str, Any]) -> None:
    """What a run has told."""
    with open(paths.runs / f"{run}.jsonl", "ab") as stream:
        stream.writelines(wire.encode(one) for one in events)


def ask(verb: str, run: str = "", who: str = "anna") -> tuple[int, list[dict[str, Any]]]:
    """What the agent answers: its exit code and its events."""
    out = io.BytesIO()
    request = Request(verb, "shop", release=run, cause=Cause(who))
    code = agent.main(wire.encode(request), io.BytesIO(), out)
    return code, [json.loads(line) for line in out.getvalue().splitlines()]


@pytest.fixture
def held(paths: Paths) -> Iterator[Lock]:
    """A run that goes on: it holds the app's lock."""
    lock = Lock(paths.lock)
    lock.take({"run": RUN, "verb": "deploy", "who": "ben"})
    tells(paths, RUN, {"e": "notice", "text": "begun"})
    yield lock
    lock.release()


def test_nothing_has_run_yet(paths: Paths) -> None:
    """attach has nothing to show, and cancel nothing to do; both say so."""
    code, events = ask("attach")
    assert (code, events[-1]["sentence"]) == (UsageError.code, "no run has begun yet to attach to")
    code, events = ask("cancel")
    assert (code, events[-1]["outcome"]) == (0, "nothing-to-do")
    assert events[-1]["sentence"] == "no run goes on"
    for verb, word in (("attach", "attach to"), ("cancel", "stop")):
        code, events = ask(verb, RUN)
        assert (code, events[-1]["sentence"]) == (2, f"there is no run {RUN!r} to {word}")


def test_the_run_that_goes_on_is_meant_and_not_one_that_was_refused(
    paths: Paths, held: Lock
) -> None:
    """A second controller was refused later: attach shows the one that holds the app."""
    tells(paths, LATER, {**LIVE, "outcome": "refused", "code": 31, "run": LATER})
    assert endings.latest(paths) == RUN
    tells(paths, RUN, LIVE)
    code, events = ask("attach")
    assert code == 0 and [one.get("run") for one in events] == [RUN, None, RUN]
    assert [one["e"] for one in events] == ["run", "notice", "verdict"]
    held.release()
    assert endings.latest(paths) == LATER
    assert ask("attach")[0] == 31


def test_a_recovery_of_the_guardian_is_the_run_that_it_is_for(paths: Paths) -> None:
    """Whoever attaches meanwhile gets the verdict of the run that died."""
    lock = Lock(paths.lock)
    lock.take({"run": f"{RUN}-guard0"})
    away = Lock(paths.away_lock, away=True)
    away.take({"run": LATER})
    assert endings.holders(paths) == (RUN, LATER)
    lock.release()
    assert endings.holders(paths) == (LATER,)
    away.release()
    assert endings.holders(paths) == ()


def test_what_a_run_told_is_lost(paths: Paths) -> None:
    """After a power cut the journal may know more: attach tells the end that stands there."""
    store = Store(paths)
    store.append({"k": "begin", "run": RUN, "verb": "deploy", "release": "r0002-aaaaaaa"})
    end = {"outcome": "failed", "code": 52, "sentence": "no", "problems": ["it did not"]}
    store.append({"k": "end", "run": RUN, **end})
    code, events = ask("attach", RUN)
    assert code == 52 and "from the journal" in events[1]["text"]
    assert events[-1]["problems"] == [{"what": "it did not", "where": "", "why": "", "mend": ""}]
    tells(paths, RUN, {"e": "notice", "text": "begun"})
    code, events = ask("attach", RUN)
    assert code == 52 and [one["e"] for one in events] == ["run", "notice", "notice", "verdict"]


def test_a_run_that_still_sends_its_set_away_is_not_over(paths: Paths) -> None:
    """Its end stands in the journal before the upload begins; its verdict is told after that."""
    store = Store(paths)
    store.append({"k": "begin", "run": RUN, "verb": "backup"})
    store.append({"k": "end", "run": RUN, "outcome": "backed-up", "code": 0, "sentence": "saved"})
    away = Lock(paths.away_lock, away=True)
    away.take({"run": RUN})
    assert endings.ended(paths, RUN) is None
    away.release()
    found = endings.ended(paths, RUN)
    assert found is not None and found.sentence == "saved"


def test_a_run_that_died_before_it_began_anything_gets_its_verdict(paths: Paths) -> None:
    """Whoever follows it is not left to wait; it is told once."""
    for _ in range(2):
        endings.never_began(paths, RUN, "deploy")
    (told,) = endings.told(paths, RUN)
    assert (told["code"], told["run"]) == (1, RUN) and "was interrupted" in str(told["sentence"])


@pytest.mark.parametrize(
    "verdict",
    [
        {"outcome": "cancelled", "code": Cancelled.code, "sentence": "anna stopped the run"},
        {"outcome": "deployed", "code": 0, "sentence": "r0002 is live"},
    ],
)
def test_cancel_asks_and_follows(paths: Paths, held: Lock, verdict: dict[str, Any]) -> None:
    """The run finds who asked; whoever follows it is told; the verdict says what came of it."""

    def run() -> None:
        end = time.monotonic() + 10
        while not stop.path(paths, RUN).exists() and time.monotonic() < end:
            time.sleep(0.01)
        tells(paths, RUN, {"e": "verdict", **verdict})

    carrying = threading.Thread(target=run)
    carrying.start()
    code, events = ask("cancel")
    carrying.join()
    assert (code, events[-1]["sentence"]) == (verdict["code"], verdict["sentence"])
    assert events[0]["run"] == RUN and "begun" not in str(events)
    assert json.loads(stop.path(paths, RUN).read_text())["who"] == "anna"
    assert "anna asks the run to stop" in str(ask("attach", RUN)[1])


def test_a_run_that_is_over_is_not_stopped(paths: Paths) -> None:
    """It says how that ended, with a code of its own, and leaves nothing behind."""
    tells(paths, RUN, LIVE)
    code, events = ask("cancel", RUN)
    assert (code, events[-1]["outcome"]) == (TooLate.code, "nothing-to-do")
    assert events[-1]["sentence"] == f"run {RUN} is over: r0002 is live"
    assert not stop.path(paths, RUN).exists()


def test_a_job_that_comes_again_joins_no_run_that_is_being_stopped(paths: Paths) -> None:
    """It wants what it asks for; past the commit, the run that goes on gives it that."""
    handle = joining.claim(paths, RUN, wire.encode({"key": "k"}))
    assert handle >= 0 and joining.going_on(paths, "k") == RUN
    stop.ask(paths, RUN, Cause("anna"))
    assert joining.going_on(paths, "k") == ""
    store = Store(paths)
    store.append({"k": "begin", "run": RUN, "verb": "deploy", "release": "r0002-aaaaaaa"})
    store.append({"k": "done", "run": RUN, "step": "handover", "committed": "r0002-aaaaaaa"})
    assert joining.going_on(paths, "k") == RUN
