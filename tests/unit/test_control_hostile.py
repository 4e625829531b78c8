"""A hostile host: whatever it answers, nothing of this machine obeys it."""

from __future__ import annotations

import io
import json
import re
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from homeport.control import github, heard, job, line, live, present, reading, session
from homeport.control.line import LocalPipe, Lost
from homeport.control.session import Session
from homeport.core import words
from homeport.errors import HomeportError, HostFault
from homeport.model import Image, Request

VERDICT = {"e": "verdict", "code": 0, "outcome": "deployed", "sentence": "fine"}
#: what a terminal obeys, and what is left of it
STEERING: dict[str, tuple[str, str]] = {
    "clears the screen": ("a\x1b[2J\x1b[Hb", "ab"),
    "a title": ("\x1b]0;owned\x07x", "x"),
    "the clipboard": ("\x1b]52;c;cm0gLXJmIH4=\x1b\\x", "x"),
    "a link to elsewhere": ("\x1b]8;;http://evil\x1b\\ok\x1b]8;;\x1b\\", "ok"),
    "a title with no end": ("a\x1b]0;owned\nb", "a\nb"),
    "a device's own words": ("\x1bP$qm\x1b\\x\x1b_G\x1b\\y", "xy"),
    "an answer that is typed": ("\x1b[6n\x1b[c\x1bZx", "x"),
    "eight bits": ("\x9b2Jx\x9d0;y\x9c", "2Jx0;y"),
    "over what was said": ("refused\rdeployed", "refused\ndeployed"),
    "taken back": ("evil\b\b\b\bgood\x7f", "evilgood"),
    "turned round": ("\u202eyrt\u202c\u2066x", "yrtx"),
    "a line by another name": ("a\u2028b\x0bc\x0cd\x85e", "abcde"),
    "half of it": ("x\x1b", "x"),
    "half a character": ("x\ud800y", "xy"),
    "colours": ("\x1b[31mred\x1b[0m", "red"),
    "text": ("é ✓ 日本\ta\nb", "é ✓ 日本\ta\nb"),
}


@pytest.mark.parametrize("name", STEERING)
def test_what_steers_a_terminal(name: str) -> None:
    """It is gone from every text of an event, deep inside and in names as well."""
    text, left = STEERING[name]
    assert words.harmless(text) == left
    raw = json.dumps({"e": "data", "data": [{text: [text]}], "why": text}).encode()
    assert heard.event(raw, "pi") == {"e": "data", "data": [{left: [left]}], "why": left}


def test_a_log_keeps_its_colours_and_nothing_else() -> None:
    """They end with the line; other events and other verbs have none."""
    raw = json.dumps({"e": "log", "line": "\x1b[1;31mred\x1b[2J\x1b]0;x\x07", "service": "web"})
    assert heard.event(raw.encode(), "pi", colours=True)["line"] == "\x1b[1;31mred\x1b[0m"
    assert heard.event(raw.encode(), "pi")["line"] == "red"
    notice = json.dumps({"e": "notice", "text": "\x1b[31mred"}).encode()
    assert heard.event(notice, "pi", colours=True)["text"] == "red"


TEXT = st.text(st.characters(), max_size=60) | st.sampled_from(
    [one for one, _ in STEERING.values()]
)


@given(st.lists(TEXT, max_size=4).map("".join))
def test_no_text_steers_anything(text: str) -> None:
    """Whatever is put together of it, and looked at twice."""
    left = words.harmless(text)
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", left)
    assert words.harmless(left) == left
    coloured = words.harmless(text, colours=True)
    assert re.sub("\x1b\\[[0-9;:]*m", "", coloured) == left


#: lines that are no event of Homeport's
ODD: dict[str, bytes] = {
    "nothing": b"\n",
    "a banner": b"\x1b[2JWelcome to pi\n",
    "a list": b"[]",
    "a number": b"5",
    "no kind": b'{"x": 1}',
    "a kind that is none": b'{"e": ["verdict"]}',
    "lists in lists": b'{"e":"data","data":' + b"[" * 200_000,
    "digits": b'{"e":"progress","done":' + b"9" * 100_000 + b"}",
    "no number": b'{"e":"progress","done":NaN}',
    "an end beyond floats": b'{"e":"progress","done":1e999}',
    "text for a number": b'{"e":"progress","done":"1"}',
    "a step without a name": b'{"e":"step","id":{}}',
    "steps that are none": b'{"e":"plan","steps":[[]]}',
    "steps as text": b'{"e":"plan","steps":"abc"}',
    "skips of numbers": b'{"e":"plan","skips":[1]}',
    "a run as an option": b'{"e":"run","run":"x; rm -rf ~"}',
    "a code as text": b'{"e":"verdict","code":"0"}',
    "a code that is no exit code": b'{"e":"verdict","code":256}',
    "a code below": b'{"e":"verdict","code":-1}',
    "problems of text": b'{"e":"verdict","code":1,"problems":["x"]}',
    "figures of a list": b'{"e":"verdict","code":1,"figures":[1]}',
    "figures of text": b'{"e":"verdict","code":0,"figures":{"serves":"x"}}',
    "steps of text": b'{"e":"verdict","code":0,"figures":{"steps":["x"]}}',
}


@pytest.mark.parametrize("name", ODD)
def test_what_is_no_event(name: str) -> None:
    """A fault of the host's, in a few words of its own and none that steer."""
    with pytest.raises(HostFault) as caught:
        heard.event(ODD[name], "pi")
    assert len(caught.value.text()) < 600 and "\x1b" not in caught.value.text()


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | TEXT,
    lambda one: st.lists(one, max_size=3) | st.dictionaries(TEXT, one, max_size=3),
    max_leaves=8,
)
FIELDS = (
    *("steps", "skips", "notices", "id", "state", "seconds", "note", "text", "done", "total"),
    *("service", "line", "run", "verb", "app", "mode", "release", "left", "problems", "figures"),
    *("sentence", "outcome", "cause", "code"),
)
KINDS = st.sampled_from(
    ["run", "plan", "step", "progress", "notice", "trace", "log", "look", "new"]
)


@given(KINDS, st.dictionaries(st.sampled_from(FIELDS), VALUES, max_size=6))
def test_every_event_can_be_shown(kind: str, fields: dict[str, Any]) -> None:
    """What is let in as an event breaks no view of it, and writes nothing that steers."""
    try:
        event = heard.event(json.dumps({**fields, "e": kind}).encode(), "pi")
    except HostFault:
        return
    out = io.StringIO()
    for view in (present.Plain(out, True), github.Grouped(out, True)):
        view.show(event)
        view.close()
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e]", out.getvalue())
    terminal = live.Live(io.StringIO(), True)
    try:
        terminal.show(event)
    finally:
        terminal.close()


@given(st.dictionaries(st.sampled_from(FIELDS), VALUES, max_size=6))
def test_every_verdict_can_be_told(fields: dict[str, Any]) -> None:
    """To a person and to a job, whose outputs are words that a shell can do nothing with."""
    try:
        event = heard.event(json.dumps({**fields, "e": "verdict"}).encode(), "pi")
    except HostFault:
        return
    out = io.StringIO()
    present.verdict(event, out, True)
    assert "\x1b" not in out.getvalue()
    for name, value in job.outputs(event, "").items():
        assert re.fullmatch(r"[A-Za-z0-9_:-]*", value), name


# --- a host that goes on and on, or asks for what it was not offered ------------------------------
class Host:
    """A line to a host that says these lines, and what it was sent."""

    where = "pi@pi"

    def __init__(self, *said: Any) -> None:
        self.said = [one if isinstance(one, bytes) else json.dumps(one).encode() for one in said]
        self.sent: list[bytes] = []

    def run(self, command: str) -> Host:
        return self

    def send(self, data: bytes) -> None:
        self.sent.append(data)

    def end_input(self) -> None:
        """Nothing more is to come."""

    def read_line(self, timeout: float) -> bytes:
        return self.said.pop(0) if self.said else b""

    def finish(self) -> tuple[int, str]:
        return 1, "\x1b]0;owned\x07sh: no"

    def close(self) -> None:
        """Nothing is left."""


LOCAL = Request("deploy", "shop", image=Image("shop:1"))


def test_a_host_gets_the_image_that_was_meant(monkeypatch: pytest.MonkeyPatch) -> None:
    """It may ask for any by name; only the one of the request leaves this machine."""
    sent: list[str] = []
    monkeypatch.setattr(session, "send_image", lambda ref, size, line: sent.append(ref) or iter(()))
    host = Host({"e": "need", "need": "image", "ref": "--output=/home/ann/.bashrc"}, VERDICT)
    assert [one["e"] for one in Session(LOCAL, lambda: host)] == ["verdict"]
    assert sent == ["shop:1"]


@pytest.mark.parametrize("need", ["agent", "image"])
def test_a_host_is_given_a_thing_once(need: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that asks again and again does not keep a job busy."""
    monkeypatch.setattr(session, "send_image", lambda ref, size, line: iter(()))
    host = Host(*[{"e": "need", "need": need}] * 3)
    with pytest.raises(HostFault, match="again and again"):
        list(Session(LOCAL, lambda: host))


@pytest.mark.parametrize("need", ["password", "../../etc/passwd", None, ["agent"]])
def test_a_host_gets_nothing_else(need: Any) -> None:
    """What is not known is not looked for."""
    host = Host({"e": "need", "need": need})
    with pytest.raises(HomeportError):
        list(Session(LOCAL, lambda: host))
    assert len(host.sent) == 1, "the request itself, and nothing after it"


def test_what_a_host_complains_of_steers_nothing() -> None:
    """The end of its stderr is shown with the fault."""
    with pytest.raises(HostFault) as caught:
        list(Session(LOCAL, Host))
    assert caught.value.problems[0].why == "sh: no"


def test_a_line_without_an_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """It is given up at a bound, not when this machine's memory is full."""
    monkeypatch.setattr(line, "MOST", 300_000)
    pipe = LocalPipe("exec cat /dev/zero")
    try:
        with pytest.raises(Lost, match="a line of more than 0 MiB"):
            pipe.read_line(20)
    finally:
        pipe._child.kill()
        pipe.close()
        pipe._child.wait()


# --- in the log of a job ------------------------------------------------------------------------
SMUGGLED = (
    *("::set-output name=release::evil", "  ::add-mask::a", "x\r::error::y", "##[command]z"),
    *("::stop-commands::x", "a\n::add-path::/tmp"),
)


@pytest.mark.parametrize("text", SMUGGLED)
def test_no_log_line_is_a_command(
    text: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Verbs that only read are guarded in a job as runs are: by marks around what a host says."""
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    reading.show_line(words.harmless(text))
    lines = re.split("[\r\n]", capsys.readouterr().out.rstrip("\n"))
    if lines[0].startswith("::stop-commands::"):
        token = lines[0].removeprefix("::stop-commands::")
        assert len(token) == 32 and lines[-1] == f"::{token}::" and token not in text
    else:
        assert not [one for one in lines if one.lstrip().startswith("::") or "##[" in one]


@pytest.mark.parametrize("name", ["outcome", "release", "run"])
def test_no_output_of_a_job_is_a_command(name: str) -> None:
    """A workflow puts outputs into shells: what is no word of Homeport's is left out."""
    for text in ("$(id)", "a;b", "a\nb", "`id`", "a b", '"; id; "'):
        assert job.outputs({**VERDICT, name: text}, "")[name] == ""
    assert job.outputs(VERDICT, "")["outcome"] == "deployed"
    live_ = {"id": "r0001-1a2b3c4", "image": "a@b", "digest": "sha256:1a; id"}
    told = job.outputs({**VERDICT, "figures": {"serves": live_}}, "")
    assert (told["release"], told["digest"]) == ("r0001-1a2b3c4", "")
