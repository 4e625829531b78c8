"""Ctrl-C and SIGTERM in a change: the host is asked to stop, and what came of it is told."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from homeport.control import bundle, cli, stopping
from homeport.errors import Cancelled, TooLate
from packages import make_package

# An agent whose runs last until somebody asks them to stop, in the way that the app's name says.
AGENT = """
import json, os, pathlib, time
def main(payload, stdin, stdout):
    asked = json.loads(payload)
    place = pathlib.Path(os.environ["HOMEPORT_ROOT"])
    way = (place / "way").read_text()
    def tell(kind, **fields):
        stdout.write(json.dumps({"e": kind, **fields}).encode() + b"\\n")
        stdout.flush()
    def end(outcome, code, sentence):
        tell("verdict", outcome=outcome, code=code, sentence=sentence, problems=[], figures={})
        return code
    if asked["verb"] == "cancel" and way == "refuses":
        return end("failed", 60, "the run cannot be asked to stop")
    if asked["verb"] == "cancel":
        (place / "new").write_text(json.dumps(asked))
        (place / "new").rename(place / "asked")
    if way == "silent":
        (place / "begun").touch()
        time.sleep(60)
    tell("run", run=asked["release"] or "run-1", verb=asked["verb"], app="a")
    (place / "begun").touch()
    limit = time.monotonic() + 20
    while way != "refuses" and not (place / "asked").exists() and time.monotonic() < limit:
        time.sleep(0.01)
    if way in ("endless", "refuses"):
        time.sleep(60)
    if way == "late":
        return end("deployed", 0, "r2 is live")
    return end("cancelled", 80, "anna stopped the run")
"""


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A host of this machine that is set up, and a folder with homeport.toml."""
    made = bundle.build(make_package(tmp_path / "package", AGENT))
    monkeypatch.setattr(bundle, "build", lambda: made)
    root = tmp_path / "opt"
    (root / "homeport" / "agent").mkdir(parents=True)
    monkeypatch.setenv("HOMEPORT_ROOT", str(root))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "homeport.toml").write_text(
        'app = "a"\ncompose = "c.yml"\n[host]\naddress = "local"\n[web]\nservice = "web"\n'
    )
    (tmp_path / "c.yml").write_text("services: {web: {image: x, ports: ['5000:5000']}}\n")
    return root


def when(condition: Callable[[], bool], *signals: int, apart: float = 0.0) -> threading.Thread:
    """Sends this process signals once a condition holds."""

    def send() -> None:
        end = time.monotonic() + 20
        while not condition() and time.monotonic() < end:
            time.sleep(0.01)
        # what nobody is ready for would end the tests themselves
        for one in signals if condition() else ():
            os.kill(os.getpid(), one)
            time.sleep(apart)

    made = threading.Thread(target=send)
    made.start()
    return made


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize(
    ("way", "code", "words"),
    [
        ("stops", Cancelled.code, "✗ anna stopped the run"),
        ("late", TooLate.code, "it was too late to stop it, and it was finished: r2 is live"),
    ],
)
def test_the_first_signal_asks_the_host(
    place: Path, number: int, way: str, code: int, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """It is followed to its end, and whether it was stopped or finished has a code of its own."""
    (place / "way").write_text(way)
    before = signal.getsignal(number)
    sender = when((place / "begun").exists, number)
    assert cli.main(["deploy", "--shared"]) == code
    sender.join()
    err = capsys.readouterr().err
    assert words in err and "Traceback" not in err
    asked = json.loads((place / "asked").read_text())
    assert (asked["verb"], asked["release"], asked["app"]) == ("cancel", "run-1", "a")
    assert asked["cause"]["who"] and not asked["compose"] and not asked["auth"]
    assert signal.getsignal(number) == before


def test_the_second_signal_leaves_at_once(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The host goes on, and how to learn its end is said."""
    (place / "way").write_text("endless")
    sender = when((place / "begun").exists, signal.SIGINT)
    second = when((place / "asked").exists, signal.SIGTERM)
    begun = time.monotonic()
    assert cli.main(["deploy", "--shared"]) == 130
    assert time.monotonic() - begun < 15
    sender.join(), second.join()
    err = capsys.readouterr().err
    assert "The host goes on with run run-1 by itself, to stop it or to finish it." in err
    assert "to see how it ends:  homeport attach run-1" in err and "Traceback" not in err


def test_a_host_that_cannot_be_asked_is_told_of(
    place: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nobody is left to believe that the run was stopped."""
    (place / "way").write_text("refuses")
    sender = when((place / "begun").exists, signal.SIGINT, signal.SIGINT, apart=2.0)
    assert cli.main(["deploy", "--shared"]) == 130
    sender.join()
    assert "The host could not be asked to stop" in capsys.readouterr().err


def test_a_host_that_never_said_that_it_began(
    place: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """One signal is enough then: there is no run to stop."""
    (place / "way").write_text("silent")
    monkeypatch.setattr(stopping, "MOMENT", 0.3)
    sender = when((place / "begun").exists, signal.SIGINT)
    assert cli.main(["deploy", "--shared"]) == 130
    sender.join()
    assert "Stopped before the host said that it began." in capsys.readouterr().err


def test_who_only_follows_stops_nothing(place: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Ctrl-C in attach ends the looking."""
    (place / "way").write_text("stops")
    sender = when((place / "begun").exists, signal.SIGINT)
    assert cli.main(["attach", "run-7"]) == 130
    sender.join()
    err = capsys.readouterr().err
    assert "The host goes on with run run-7 by itself.\n" in err
    assert not (place / "asked").exists()


@pytest.mark.parametrize(("way", "code"), [("stops", 0), ("late", TooLate.code)])
def test_the_verb(place: Path, way: str, code: int, capsys: pytest.CaptureFixture[str]) -> None:
    """homeport cancel: stopped is what was asked for; finished is told, and no success."""
    (place / "way").write_text(way)
    assert cli.main(["cancel", "run-7", "--json"]) == code
    data = json.loads(capsys.readouterr().out)
    assert data["code"] == code and data["outcome"] in ("cancelled", "deployed")
    assert json.loads((place / "asked").read_text())["release"] == "run-7"


@pytest.mark.parametrize(
    ("told", "verb", "asked", "code"),
    [
        ({"code": 0, "outcome": "deployed"}, "deploy", False, 0),
        ({"code": 52, "outcome": "failed"}, "deploy", True, 52),
        ({"code": 54, "outcome": "taken-back"}, "cancel", False, 54),
        ({"code": 0, "outcome": "nothing-to-do"}, "cancel", False, 0),
        ({"code": 0, "outcome": "already-live"}, "deploy", True, TooLate.code),
        ({"code": 80, "outcome": "cancelled"}, "attach", False, 80),
    ],
)
def test_the_code_that_a_verdict_ends_with(
    told: dict[str, object], verb: str, asked: bool, code: int
) -> None:
    """What went wrong by itself keeps its own code, whoever asked for what."""
    assert stopping.verdict(told, verb, asked)["code"] == code
