"""The agent's bundle and the lines of Python that take it in, run for real in a process."""

from __future__ import annotations

import dataclasses
import io
import json
import os
import subprocess
import tarfile
from pathlib import Path
from typing import Any

import pytest

from homeport import wire
from homeport.control import bundle
from homeport.control.line import LocalLine
from homeport.control.session import Session, command
from homeport.errors import HostFault, RunLost
from homeport.model import Request

#: the real one, which ``use`` replaces
BUILD = bundle.build

AGENT = """
import json
def main(payload, stdin, stdout):
    verb = json.loads(payload)["verb"]
    stdout.write(json.dumps({"e": "data", "data": verb}).encode() + b"\\n")
    stdout.write(b'{"e": "verdict", "outcome": "nothing-to-do", "code": 7, "sentence": "x"}\\n')
    stdout.flush()
    return 7
"""


def make_package(folder: Path, agent: str = AGENT) -> Path:
    """A package of the shape of ours with an agent of the test's own."""
    for name in ("core", "host"):
        (folder / name).mkdir(parents=True)
        (folder / name / "__init__.py").write_text("")
    for name in bundle.SHARED:
        (folder / name).write_text("")
    (folder / "host" / "agent.py").write_text(agent)
    return folder


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A host's /opt that is set up."""
    (tmp_path / "opt" / "homeport" / "agent").mkdir(parents=True)
    monkeypatch.setenv("HOMEPORT_ROOT", str(tmp_path / "opt"))
    return tmp_path / "opt"


def use(monkeypatch: pytest.MonkeyPatch, package: Path) -> bundle.Bundle:
    """Lets sessions send the agent in ``package``."""
    made = BUILD(package)
    monkeypatch.setattr(bundle, "build", lambda: made)
    return made


def ask(verb: str = "status") -> list[dict[str, Any]]:
    """The events of one request to this machine."""
    return list(Session(Request(verb, "a"), LocalLine))


def test_the_same_files_give_the_same_bundle(tmp_path: Path) -> None:
    """Bytes and hash depend on the content only, not on times or on the order of creation."""
    one, two = make_package(tmp_path / "one"), make_package(tmp_path / "two")
    os.utime(two / "wire.py", (1, 1))
    (two / "host" / "__pycache__").mkdir()
    (two / "host" / "__pycache__" / "agent.pyc").write_bytes(b"x")
    assert bundle.build(one) == bundle.build(two)
    assert bundle.build(one).packed() == bundle.build(two).packed()
    (two / "core" / "plan.py").write_text("")
    assert bundle.build(one).hash != bundle.build(two).hash


def test_our_own_bundle_holds_the_agent_and_nothing_of_the_controller() -> None:
    """Shared words, core and host go; control stays; all of it below 512 KB."""
    made = bundle.build()
    with tarfile.open(fileobj=io.BytesIO(made.tar)) as tar:
        names = tar.getnames()
    assert {"homeport/__init__.py", "homeport/wire.py", "homeport/host/__init__.py"} <= set(names)
    assert names == sorted(names)
    assert not [name for name in names if "control" in name or not name.endswith(".py")]
    assert len(made.packed()) <= bundle.LIMIT


def test_the_agent_is_sent_once(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A host without the agent takes it in and answers; the second time it is there."""
    made = use(monkeypatch, make_package(tmp_path / "package"))
    packed: list[int] = []
    pack = bundle.Bundle.packed
    monkeypatch.setattr(
        bundle.Bundle, "packed", lambda self: packed.append(1) or pack(self)  # type: ignore
    )
    for _ in range(2):
        events = ask()
        assert [event["e"] for event in events] == ["data", "verdict"]
        assert (events[0]["data"], events[1]["code"]) == ("status", 7)
    assert len(packed) == 1
    agents = root / "homeport" / "agent"
    assert os.readlink(agents / "current") == made.hash
    assert sorted(one.name for one in agents.iterdir()) == sorted([made.hash, "current"])


def test_a_newer_agent_stands_beside_the_older(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """``current`` moves on; the older agent's folder stays for its unfinished runs."""
    older = use(monkeypatch, make_package(tmp_path / "one"))
    ask()
    newer = use(monkeypatch, make_package(tmp_path / "two", AGENT + "# newer\n"))
    ask()
    assert os.readlink(root / "homeport" / "agent" / "current") == newer.hash
    assert (root / "homeport" / "agent" / older.hash / "homeport" / "wire.py").exists()


def run_bootstrap(sent: bytes, name: str) -> tuple[int, list[dict[str, Any]]]:
    """The bootstrap run as a host runs it; exit code and events."""
    done = subprocess.run(
        ["/bin/sh", "-c", command(name)], input=sent, capture_output=True, timeout=30
    )
    assert b"Traceback" not in done.stderr
    return done.returncode, [json.loads(line) for line in done.stdout.splitlines()]


def test_a_damaged_bundle_is_refused(root: Path, tmp_path: Path) -> None:
    """Another content than the hash says is not run, and leaves nothing behind."""
    packed = bundle.build(make_package(tmp_path / "package")).packed()
    sent = wire.frame(b"{}") + b"%d\n" % len(packed) + packed
    code, events = run_bootstrap(sent, "0" * 16)
    assert code == 24
    assert events[0] == {"e": "need", "need": "agent"}
    assert events[-1]["code"] == 24 and "damaged" in events[-1]["sentence"]
    assert list((root / "homeport" / "agent").iterdir()) == []


def test_a_host_that_is_not_set_up_says_how(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No /opt/homeport: verdict 24 with the setup command, nothing made."""
    monkeypatch.setenv("HOMEPORT_ROOT", str(tmp_path / "nowhere"))
    code, events = run_bootstrap(wire.frame(b"{}"), "0" * 16)
    assert code == events[-1]["code"] == 24
    assert "homeport setup" in events[-1]["problems"][0]["mend"]
    assert not (tmp_path / "nowhere").exists()


@pytest.mark.parametrize("sent", [b"", b"GET / HTTP/1.0\r\n\r\n", b"homeport 2 2\n{}"])
def test_what_is_no_request_is_refused(root: Path, sent: bytes) -> None:
    """Garbage and other versions end with a verdict, not with a traceback."""
    code, events = run_bootstrap(sent, "0" * 16)
    assert code == events[-1]["code"] == 24


def test_an_agent_that_breaks_is_told_with_its_last_words(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No verdict and an exit code: HostFault carries the end of stderr."""
    broken = "def main(*given):\n    raise SystemExit('the disk is on fire')\n"
    use(monkeypatch, make_package(tmp_path / "package", broken))
    with pytest.raises(HostFault) as caught:
        ask()
    assert "the disk is on fire" in caught.value.problems[0].why


def test_what_a_login_prints_is_named(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A line that is no event ends the command and shows the line."""
    talks = "def main(*given):\n    print('Welcome to the Pi!', flush=True)\n    return 0\n"
    use(monkeypatch, make_package(tmp_path / "package", talks))
    with pytest.raises(HostFault) as caught:
        ask()
    assert caught.value.problems[0].why == "Welcome to the Pi!"


LOST = """
import json, os, signal
def main(payload, stdin, stdout):
    asked = json.loads(payload)
    if asked["verb"] == "attach":
        assert asked["release"] == "run-1" and not asked["auth"]
        stdout.write(b'{"e": "run", "run": "run-1"}\\n')
        stdout.write(b'{"e": "verdict", "code": 0, "sentence": "it is live"}\\n')
        stdout.flush()
        return 0
    stdout.write(b'{"e": "run", "run": "run-1"}\\n')
    stdout.flush()
    os.kill(os.getpid(), signal.SIGKILL)
"""


def test_a_run_whose_connection_is_lost_is_attached_to(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The front of a run is killed: one more connection brings the verdict, without the token."""
    use(monkeypatch, make_package(tmp_path / "package", LOST))
    request = dataclasses.replace(Request("deploy", "a"), auth="s3cret")
    events = list(Session(request, LocalLine))
    assert [event["e"] for event in events] == ["run", "notice", "run", "verdict"]
    assert "run-1" in events[1]["text"]


def test_a_run_that_stays_lost_says_how_to_learn_its_end(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Lost twice: exit code 70, and the command that asks again."""
    twice = LOST.replace('asked["verb"] == "attach"', "False")
    use(monkeypatch, make_package(tmp_path / "package", twice))
    with pytest.raises(RunLost) as caught:
        ask("deploy")
    assert caught.value.problems[0].mend == "homeport attach run-1"


def test_silence_is_a_lost_connection(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An agent that says nothing for too long is not waited for."""
    mute = "import time\ndef main(*given):\n    time.sleep(30)\n"
    use(monkeypatch, make_package(tmp_path / "package", mute))
    monkeypatch.setattr("homeport.control.session.SILENCE", 0.5)
    with pytest.raises(RunLost) as caught:
        ask("deploy")
    assert "nothing came for 0.5 s" in caught.value.problems[0].why
