"""The agent's bundle and the lines of Python that take it in, run for real in a process."""

from __future__ import annotations

import dataclasses
import fcntl
import gzip
import hashlib
import io
import json
import os
import subprocess
import sys
import tarfile
import time
import zlib
from pathlib import Path
from typing import Any

import packages
import pytest

from bench.faults import upgrade
from homeport import wire
from homeport.control import bundle, session
from homeport.control.line import LocalLine, Lost
from homeport.control.session import Session, command
from homeport.errors import HomeportError, HostFault, NotSetUp, RunLost
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
    """A package with an agent that answers whatever it is asked."""
    return packages.make_package(folder, agent)


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
    """Shared words, core, host and what runs inside images go; control stays; below 512 KB."""
    made = bundle.build()
    with tarfile.open(fileobj=io.BytesIO(made.tar)) as tar:
        names = tar.getnames()
    assert {"homeport/__init__.py", "homeport/wire.py", "homeport/host/__init__.py"} <= set(names)
    assert names == sorted(names)
    assert not [name for name in names if "control" in name or not name.endswith(".py")]
    assert len(made.packed()) <= bundle.LIMIT


def test_our_own_bundle_is_whole(tmp_path: Path) -> None:
    """Every module of it finds all that it imports, with nothing else of Homeport's to be had."""
    with tarfile.open(fileobj=io.BytesIO(bundle.build().tar)) as tar:
        names = sorted(one for one in tar.getnames() if one.startswith("homeport/host/"))
        tar.extractall(tmp_path)
    modules = [name.removesuffix(".py").replace("/", ".") for name in names]
    modules = [name for name in modules if not name.endswith("__init__")]
    assert len(modules) > 20
    code = f"import sys; sys.path[:0] = [{str(tmp_path)!r}]; import {', '.join(modules)}"
    done = subprocess.run([sys.executable, "-I", "-S", "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


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


def test_agents_of_long_ago_are_let_go(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The three before this one stay, and all that were current this week; a file is no agent."""
    agents, now = root / "homeport" / "agent", time.time()
    days = {"a": 1, "b": 30, "c": 40, "d": 2, "e": 3, "f": 5}
    for letter, age in days.items():
        make_package(agents / (16 * letter) / "homeport")
        os.utime(agents / (16 * letter), (now - age * 86400,) * 2)
    (agents / "note").write_text("somebody's")
    made = use(monkeypatch, make_package(tmp_path / "new"))
    ask()
    stay = [16 * letter for letter in "adef"]
    assert sorted(one.name for one in agents.iterdir()) == sorted(
        [*stay, made.hash, "current", "note"]
    )


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


def packed_tar(*entries: tarfile.TarInfo) -> tuple[str, bytes]:
    """A tar of these empty entries: the hash that it is good for, and it packed."""
    made = io.BytesIO()
    with tarfile.open(fileobj=made, mode="w") as tar:
        for one in entries:
            tar.addfile(one)
    return hashlib.sha256(made.getvalue()).hexdigest()[:16], gzip.compress(made.getvalue())


def entry(name: str, kind: bytes = tarfile.REGTYPE, link: str = "") -> tarfile.TarInfo:
    """An entry of a tar."""
    found = tarfile.TarInfo(name)
    found.type, found.linkname = kind, link
    return found


GARBLED = hashlib.sha256(b"x" * 2000).hexdigest()[:16]
#: bundles made to write elsewhere, to fill the memory, or not to end: their name, and what is sent
BUNDLES: dict[str, tuple[str, bytes]] = {
    "a folder above": packed_tar(entry("homeport/../../../evil")),
    "an absolute path": packed_tar(entry("/tmp/homeport-evil")),
    "a link": packed_tar(entry("a", tarfile.SYMTYPE, "/tmp"), entry("a/evil")),
    "a hard link": packed_tar(entry("a", tarfile.LNKTYPE, "/etc/passwd")),
    "a pipe": packed_tar(entry("a", tarfile.FIFOTYPE)),
    "a device": packed_tar(entry("a", tarfile.CHRTYPE)),
    "a folder": packed_tar(entry("a", tarfile.DIRTYPE)),
    "no tar": (GARBLED, gzip.compress(b"x" * 2000)),
    "not packed": ("0" * 16, b"x" * 2000),
    "a bomb": ("0" * 16, zlib.compress(b"0" * (1 << 20), 9, 31)[:900] + b"0" * 100),
}


@pytest.mark.parametrize("name", BUNDLES)
def test_a_bundle_that_was_made_to_harm(root: Path, name: str) -> None:
    """Refused in words, good hash or not; nothing of it stays, below the folder or outside."""
    hash_, packed = BUNDLES[name]
    before = sorted(str(one) for one in root.parent.rglob("*"))
    code, events = run_bootstrap(wire.frame(b"{}") + b"%d\n" % len(packed) + packed, hash_)
    assert code == events[-1]["code"] == 24 and "damaged" in events[-1]["sentence"]
    assert sorted(str(one) for one in root.parent.rglob("*")) == before
    assert not Path("/tmp/homeport-evil").exists()


def test_a_bundle_that_unpacks_without_end(root: Path) -> None:
    """A gigabyte of nothing, packed to a megabyte: less is unpacked than the process may have."""
    packed = gzip.compress(b"\0" * (1 << 28), 9) * 4
    sent = wire.frame(b"{}") + b"%d\n" % len(packed) + packed
    line = f"ulimit -v 400000; {command('0' * 16)}"
    done = subprocess.run(["/bin/sh", "-c", line], input=sent, capture_output=True, timeout=60)
    events = [json.loads(one) for one in done.stdout.splitlines()]
    assert done.returncode == events[-1]["code"] == 24 and done.stderr == b""


@pytest.mark.parametrize(
    ("sent", "name", "why"),
    [
        (b"homeport 1 99999999999999\n", "0" * 16, "too much was announced"),
        (b"homeport 1 " + b"9" * 60, "0" * 16, "too much was announced"),
        (b"homeport 1 9\n{}", "0" * 16, "the connection is silent"),
        (wire.frame(b"{}") + b"-5\n", "0" * 16, "too much was announced"),
        (wire.frame(b"{}") + b"9999999999\n", "0" * 16, "too much was announced"),
        (wire.frame(b"{}") + b"1e3\n", "0" * 16, "too much was announced"),
        (wire.frame(b"{}"), "0" * 16, "too much was announced"),
        (wire.frame(b"{}") + b"100\nabc", "0" * 16, "the connection is silent"),
        (wire.frame(b"{}"), "../../../tmp", "asked for by no hash"),
        (wire.frame(b"{}"), "current", "asked for by no hash"),
    ],
)
def test_lengths_and_names_that_are_none(root: Path, sent: bytes, name: str, why: str) -> None:
    """Nothing is waited for or kept that was not announced within bounds."""
    code, events = run_bootstrap(sent, name)
    assert code == events[-1]["code"] and why in events[-1]["sentence"]
    assert list((root / "homeport" / "agent").iterdir()) == []


@pytest.mark.parametrize(
    "sent", [b"home", b"homeport 1 2\n{", b"homeport 1 2\n{}", b"homeport 1 2\n{}5000\nab"]
)
def test_who_stops_sending_is_given_up(root: Path, sent: bytes) -> None:
    """With the pipe still open, at every place; and others take the agent in meanwhile."""
    shell = command("0" * 16).replace("SILENCE, WHOLE = 60", "SILENCE, WHOLE = 1", 1)
    assert shell != command("0" * 16)
    child = subprocess.Popen(["/bin/sh", "-c", shell], stdin=-1, stdout=-1, stderr=-1)
    assert child.stdin is not None and child.stdout is not None and child.stderr is not None
    child.stdin.write(sent)
    child.stdin.flush()
    if sent.startswith(b"homeport 1 2\n{}"):
        assert json.loads(child.stdout.readline()) == {"e": "need", "need": "agent"}
        # nobody's lock is held while it waits
        handle = os.open(root / "homeport" / "agent", os.O_RDONLY)
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        os.close(handle)
    assert child.wait(timeout=30) == 60
    verdict = json.loads(child.stdout.read().splitlines()[-1])
    assert verdict["sentence"] == "Nothing was done: the connection is silent."
    assert child.stderr.read() == b"" and list((root / "homeport" / "agent").iterdir()) == []
    for one in (child.stdin, child.stdout, child.stderr):
        one.close()


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


class Deaf:
    """A command that ended before anybody could send it a word, as a pipe and as a line to it."""

    where = "pi@pi"

    def __init__(self, code: int) -> None:
        self._code = code

    def run(self, command: str) -> Deaf:
        return self

    def send(self, data: bytes) -> None:
        raise Lost("Socket is closed")

    def end_input(self) -> None:
        raise AssertionError("nothing is to be ended")

    def read_line(self, timeout: float) -> bytes:
        raise AssertionError("nothing is to be read")

    def finish(self) -> tuple[int, str]:
        return self._code, "sh: 1: exec: python3: not found"

    def close(self) -> None:
        """Nothing is left."""


@pytest.mark.parametrize(
    ("code", "kind", "words"),
    [
        (127, NotSetUp, "the host has no python3"),
        (1, HostFault, "the agent ended with 1"),
        (-1, RunLost, "the connection was lost"),
    ],
)
def test_a_command_that_ends_before_it_is_told_anything(
    code: int, kind: type[HomeportError], words: str
) -> None:
    """Its exit code says why, however quick it was; without one the connection broke."""
    with pytest.raises(kind, match=words):
        list(Session(Request("status", "a"), lambda: Deaf(code)))


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


def test_a_disk_that_takes_no_agent_is_told_without_a_traceback(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever keeps the files from being written: one sentence, and where to look."""
    use(monkeypatch, make_package(tmp_path / "package"))
    # the link that is replaced in one rename is a folder here, which nothing can be renamed onto
    (root / "homeport" / "agent" / "current" / "x").mkdir(parents=True)
    verdict = ask()[-1]
    assert (verdict["code"], verdict["problems"][0]["mend"][:16]) == (60, "on the host: df ")
    assert "cannot be written" in verdict["sentence"]


@pytest.mark.parametrize("death", upgrade.DEATHS, ids=str)
def test_a_host_takes_the_agent_in_after_a_death_at_any_point(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, death: upgrade.Death
) -> None:
    """With no human step, and what the dead command left half made is gone afterwards."""
    agents = root / "homeport" / "agent"
    use(monkeypatch, make_package(tmp_path / "before"))
    ask()
    before = os.readlink(agents / "current")
    made = use(monkeypatch, make_package(tmp_path / "package", AGENT + "# another\n"))
    source = Path(session.__file__).with_name("bootstrap.py").read_text()
    line = ["python3", "-I", "-c", death.source(source), made.hash]
    packed = made.packed()
    frame = wire.frame(wire.encode(Request("status", "a")).rstrip())
    died = subprocess.run(line, input=frame + b"%d\n" % len(packed) + packed, capture_output=True)
    assert died.returncode == -9, (died.returncode, died.stderr)
    # what there is under its name is whole
    there = len(list((agents / made.hash).rglob("*.py")))
    assert there == (0 if death.step == "take-in" and death.when != "after" else 9)
    over = (death.step, death.when) == ("point", "after")
    assert os.readlink(agents / "current") == (made.hash if over else before)

    assert ask()[-1]["code"] == 7
    assert os.readlink(agents / "current") == made.hash
    assert sorted(one.name for one in agents.iterdir()) == sorted([before, made.hash, "current"])
