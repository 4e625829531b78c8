"""What the agent lets in: every field of a request checked before anything looks at it."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from pathlib import Path

import pytest

from homeport import wire
from homeport.errors import UsageError
from homeport.host import agent, requests
from homeport.model import Cause, Image, Request
from test_core_freeze import EVIL

GOOD = Request("rollback", "shop", release="r0042-1a2b3c4", key="a" * 32)


def parsed(request: Request) -> Request:
    """The request as it comes out on the other side."""
    return requests.parse(wire.encode(request))


def test_a_good_request_arrives() -> None:
    """Nothing of it changes."""
    assert parsed(GOOD) == GOOD
    assert parsed(replace(GOOD, release="")) == replace(GOOD, release="")


@pytest.mark.parametrize("text", [one for one in EVIL if one])
def test_a_release_that_is_none(text: str) -> None:
    """Refused on the host as well, whoever sends it."""
    with pytest.raises(wire.WireError, match="not a release|a text that is none"):
        parsed(replace(GOOD, release=text))


@pytest.mark.parametrize(
    "image",
    [
        Image("$(id)"),
        Image("-x"),
        Image("a;b"),
        Image("a\n"),
        Image("a b"),
        Image("a", "sha256:\n"),
    ],
)
def test_an_image_that_is_none(image: Image) -> None:
    """Neither its name nor its digest may be anything else."""
    with pytest.raises(wire.WireError, match="not an image"):
        parsed(Request("deploy", "shop", image=image))


@pytest.mark.parametrize("text", ["../x", "2026\n", "20261126T033000-1a2b/..", "latest ", "$(id)"])
def test_a_set_that_is_none(text: str) -> None:
    """It becomes the name of a folder."""
    with pytest.raises(wire.WireError, match="not a set of copies"):
        parsed(replace(GOOD, set=text))
    for good in ("", "latest", "all", "202611", "20261126T033000-1a2b"):
        assert parsed(replace(GOOD, set=good)).set == good


@pytest.mark.parametrize("key", ["../x", "a b", "a\n", "a" * 65, "$(id)"])
def test_a_key_that_is_none(key: str) -> None:
    """It becomes the content of a file and no more; still it is matched whole."""
    with pytest.raises(wire.WireError, match="key"):
        parsed(replace(GOOD, key=key))


@pytest.mark.parametrize("minutes", [-1, 10**9])
def test_minutes_that_are_none(minutes: int) -> None:
    """An end of the maintenance page lies ahead, and within a year."""
    with pytest.raises(wire.WireError, match="minutes"):
        parsed(replace(GOOD, minutes=minutes))


def test_a_service_or_a_run_is_no_release() -> None:
    """logs and attach mean something else by the same field."""
    for verb, name in (("logs", "web"), ("attach", "20261121T110000-1a2b")):
        assert parsed(Request(verb, "shop", release=name)).release == name


def test_the_cause_is_made_harmless() -> None:
    """Whoever asks, no line of a history or a log is broken by it."""
    said = parsed(replace(GOOD, cause=Cause("ann\x1b[2J", "a\n::error::b" + "x" * 900, "u\n")))
    assert said.cause.who == "ann [2J" and said.cause.url == "u"
    assert "\n" not in said.cause.why and len(said.cause.why) == 500


def test_the_agent_answers_in_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A wrong request gets a verdict with the exit code of usage, and no traceback."""
    monkeypatch.setenv("HOMEPORT_ROOT", str(tmp_path))
    out = io.BytesIO()
    code = agent.main(wire.encode(replace(GOOD, release="a;b")), io.BytesIO(), out)
    told = json.loads(out.getvalue())
    assert (code, told["e"], told["code"]) == (UsageError.code, "verdict", UsageError.code)
    assert list(tmp_path.iterdir()) == []
