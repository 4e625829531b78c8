"""Hostile input to the agent: whatever comes, one verdict, nothing executed, nothing changed."""

from __future__ import annotations

import copy
import io
import json
import os
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any, Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from homeport import wire
from homeport.backups import Backup, Migrate
from homeport.core import bounds
from homeport.errors import HostFault, Internal, Refused, UsageError, every
from homeport.host import agent, detach, prepare, requests
from homeport.host.context import Context
from homeport.host.engine import Engine
from homeport.model import Cause, HostAddress, Image, Request, Settings, Site, Smoke, Web

CODES = {0, *(one.code for one in every())}
RUN = "20261121T110000-1a2b"
VERDICT = {"e": "verdict", "outcome": "deployed", "code": 0, "sentence": "r0001 serves"}
#: what an event loop, a shell, a path or a terminal would take for something else
NASTY = (
    *("", " ", "../../canary", "/etc/passwd", "..", ".", "a/../../canary", "//", "~", "~root"),
    *("$(touch X)", "`touch X`", "; touch X", "| touch X", "&& touch X", "a\ntouch X", "'", '"'),
    *("-rf", "--host=evil", "-oProxyCommand=touch X", "--help", "-", "--", "%s%n", "{0.__class__}"),
    *("\x00", "a\x00b", "\x1b]0;owned\x07", "\u202eabc", "\u2028", "\r\n::error::x", "é" * 400),
    *("\ud800", "a" * 70_000, "homeport", "homeport-edge", "shop-r0042", "SHOP", "shop/../x"),
    *("true", "null", "NaN", "0", "-1", "latest", "all", RUN, "r0001-1a2b3c4", "{env.HOME}"),
)
NUMBERS = (0, -1, 1, 2**31, 2**63 - 1, 2**63, 10**18, 10**30, -(10**40), 1e308, -1e308, 0.1, 1e-320)
ATOMS = st.one_of(
    st.sampled_from(NASTY),
    st.sampled_from(NUMBERS),
    st.sampled_from([None, True, False, float("nan"), float("inf"), float("-inf"), [], {}]),
    st.text(max_size=40),
    st.integers(),
    st.floats(),
)
ANY = st.recursive(
    ATOMS,
    lambda one: st.lists(one, max_size=3) | st.dictionaries(st.text(max_size=8), one),
    max_leaves=6,
)
#: good requests with every field filled in: what a person can ask, and what is made worse
FULL = Request(
    verb="deploy",
    app="shop",
    settings=Settings(
        "shop",
        host=HostAddress("pi", "homeport", 2222),
        web=Web("web", 8000, "/health", True),
        site=Site(
            "shop.lan", 8443, ("www.shop.lan",), "internal", "me@x.org", "https://ca/", "PEM"
        ),
        backup=Backup("DATABASE_URL", ("data/cache",), ("check",), "03:30", 7, 30, "sftp:a@b:/c"),
        migrate=Migrate(("flask", "db", "upgrade"), ("flask", "schema")),
        smoke=(Smoke("/", 200, "ok", 1.5),),
        secrets=("TOKEN",),
    ),
    compose="services: {web: {image: x}}\n",
    image=Image("reg/shop:1", "sha256:" + "a" * 64, ("linux/amd64",), 5),
    monitor=2.0,
    cause=Cause("ann", "why", "https://ci/1"),
    key="k" * 32,
    at=1.5,
    auth="e30=",
)
BASES: tuple[dict[str, Any], ...] = tuple(
    wire.plain(one)
    for one in (
        FULL,
        Request("rollback", "shop", release="r0001-1a2b3c4"),
        Request("attach", "shop", release=RUN),
        Request("logs", "shop", release="web", lines=5),
        Request("status", "shop"),
        Request("plan", "shop", FULL.settings, FULL.compose, FULL.image),
        Request("backup-verify", "shop", set="latest"),
        Request("restore", "shop", set="20261121", yes=True),
        Request("restore-from", "shop", source="sftp:a@b:/c", opens="RESTIC_PASSWORD=x\n"),
        Request("maintenance-on", "shop", minutes=5),
    )
)


def worse(value: Any) -> st.SearchStrategy[Any]:
    """Another value of the same type, so that only what it says can speak against it."""
    if isinstance(value, list):
        return st.lists(worse(value[0]) if value else st.sampled_from(NASTY), max_size=3)
    if isinstance(value, str):
        return st.sampled_from(NASTY)
    return st.sampled_from(NUMBERS) if type(value) in (int, float) else ANY


@st.composite
def spoiled(draw: st.DrawFn) -> bytes:
    """A good request with one to three of its places made worse, as bytes."""
    data = copy.deepcopy(draw(st.sampled_from(BASES)))
    for _ in range(draw(st.integers(1, 3))):
        at: Any = data
        while isinstance(at, dict) and at:
            name = draw(st.sampled_from(sorted(at)))
            if not isinstance(at[name], dict) or not at[name] or draw(st.integers(0, 3)) == 0:
                break
            at = at[name]
        act = draw(st.sampled_from(["replace", "same"] * 4 + ["remove", "add", "list", "nest"]))
        if act == "add" or not at:
            at[draw(st.sampled_from(NASTY) | st.text(max_size=9))] = draw(ANY)
        elif act == "replace":
            at[name] = draw(ANY)
        elif act == "same":
            at[name] = draw(worse(at[name]))
        elif act == "remove":
            del at[name]
        elif act == "list":
            at[name] = [at[name]]
        else:
            at[name] = {name: at[name]}
    return json.dumps(data).encode()


@st.composite
def torn(draw: st.DrawFn) -> bytes:
    """A good request whose bytes were cut, doubled, turned or overwritten."""
    raw = bytearray(json.dumps(draw(st.sampled_from(BASES))).encode())
    for _ in range(draw(st.integers(1, 4))):
        at = draw(st.integers(0, len(raw)))
        to = draw(st.integers(at, min(len(raw), at + 40)))
        raw[at:to] = draw(st.binary(max_size=12) | st.just(bytes(raw[at:to]) * 2))
    return bytes(raw)


class House:
    """A host's /opt with an app in it, something outside of it, and all that shows of both."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.opt = root / "opt"
        runs = self.opt / "shop" / "logs" / "runs"
        runs.mkdir(parents=True)
        (self.opt / "homeport" / "agent").mkdir(parents=True)
        (self.opt / "blog").mkdir()
        (runs / f"{RUN}.jsonl").write_bytes(wire.encode(VERDICT))
        (self.opt / "shop" / "app.env").write_text("TOKEN=secret\n")
        (self.opt / "blog" / "app.env").write_text("TOKEN=another\n")
        (root / "canary").write_text("alive")
        (root / "cwd").mkdir()
        self.begun: list[tuple[str, bytes]] = []
        self.executed: list[str] = []
        self.listening = False
        sys.addaudithook(self._hear)

    def _hear(self, event: str, arguments: Any) -> None:
        if self.listening and event in (
            "subprocess.Popen",
            "os.system",
            "os.exec",
            "os.posix_spawn",
        ):
            self.executed.append(f"{event} {arguments[0]!r}")

    def start(self, paths: Any, run: str, payload: bytes) -> None:
        """In the place of a guardian: a run that was begun is noted, and has ended at once."""
        self.begun.append((run, payload))
        (paths.runs / f"{run}.jsonl").write_bytes(wire.encode(VERDICT))

    def tree(self) -> dict[str, tuple[int, int, bytes]]:
        """Every file, folder and link: mode, when it was changed, content."""
        found = {}
        for folder, inner, files in os.walk(self.root):
            for name in (*inner, *files):
                path = Path(folder, name)
                seen = path.lstat()
                content = path.read_bytes() if path.is_file() else b""
                found[str(path)] = (seen.st_mode, seen.st_mtime_ns, content)
        return found

    def ask(self, payload: bytes) -> tuple[int, list[dict[str, Any]]]:
        """What the agent answers; held to what always must be."""
        out, before = io.BytesIO(), self.tree()
        self.begun, self.executed, began = [], [], time.process_time()
        self.listening = True
        try:
            code = agent.main(payload, io.BytesIO(), out)
        finally:
            self.listening = False
        spent, raw = time.process_time() - began, out.getvalue()
        events = [json.loads(line) for line in raw.splitlines()]
        assert events[-1]["e"] == "verdict" and events[-1]["code"] == code
        assert [one["e"] for one in events].count("verdict") == 1
        assert code in CODES and code != Internal.code, events[-1]
        assert b"Traceback" not in raw and len(raw) < 16_384
        assert spent < 5 and self.executed == []
        if self.begun:
            self._undo(before)
        assert self.tree() == before
        return code, events

    def _undo(self, before: dict[str, Any]) -> None:
        """Take away what a run that was begun leaves: its events, and the door of its key."""
        ((run, _),) = self.begun
        runs = self.opt / "shop" / "logs" / "runs"
        assert set(self.tree()) - set(before) <= {f"{runs}/{run}.jsonl", f"{runs}.lock"}
        (runs / f"{run}.jsonl").unlink()
        runs.with_suffix(".lock").unlink(missing_ok=True)
        for one in (runs, runs.parent):
            os.utime(one, ns=(one.stat().st_atime_ns, before[str(one)][1]))


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """One for all, since nothing in it may change; no Docker answers there, no program is found."""
    made = House(tmp_path_factory.mktemp("hostile"))
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HOMEPORT_ROOT", str(made.opt))
        patch.setenv("HOMEPORT_DOCKER_SOCKET", str(made.root / "no.sock"))
        patch.setenv("HOME", str(made.root / "cwd"))
        patch.setenv("PATH", str(made.root / "cwd"))
        patch.setattr(detach, "start", made.start)
        patch.setattr("homeport.host.compose._plugin", lambda: "")
        patch.chdir(made.root / "cwd")
        yield made


#: texts of a request that people write as they like, and that no program takes for a name
LOOSE = {
    "compose",
    "opens",
    "who",
    "why",
    "url",
    "contains",
    "acme_root",
    "check",
    "command",
    "schema",
}


def begins_nothing_bad(data: Any, name: str = "") -> bool:
    """Whether the names in a request are some, by an eye of its own: no option, no way out."""
    if isinstance(data, dict):
        return all(begins_nothing_bad(one, name) for name, one in data.items())
    if isinstance(data, list):
        return all(begins_nothing_bad(one, name) for one in data)
    if isinstance(data, str) and name not in LOOSE:
        steers = any(ord(one) < 32 or 126 < ord(one) < 160 for one in data)
        return not (steers or data.startswith("-") or ".." in data.split("/"))
    return not isinstance(data, (int, float)) or name == "at" or -1 < data < 1e15


@settings(max_examples=8 * settings.default.max_examples)
@given(spoiled())
def test_a_request_that_was_spoiled(house: House, payload: bytes) -> None:
    """It gets a verdict; a run begins only for what is good in every field, as it was sent."""
    code, _ = house.ask(payload)
    if house.begun:
        ((_, handed),) = house.begun
        assert handed == payload and begins_nothing_bad(json.loads(payload))


@given(
    torn()
    | st.binary(max_size=300)
    | st.text(max_size=100).map(lambda text: text.encode("utf-8", "replace"))
)
def test_bytes_that_are_no_request(house: House, payload: bytes) -> None:
    """The same for what was torn on its way, and for what never was one."""
    house.ask(payload)


def text(**fields: Any) -> bytes:
    """A full request with these fields, as bytes."""
    return json.dumps({**wire.plain(FULL), **fields}).encode()


#: what is sent → how the sentence of its verdict begins
REFUSED: dict[str, tuple[bytes, str]] = {
    "lists in lists": (b"[" * 100_000, "the request is nested too deep"),
    "objects in objects": (b'{"a":' * 100_000, "the request is nested too deep"),
    "closed as well": (b"[" * 100_000 + b"]" * 100_000, "the request is nested too deep"),
    "deep in a field": (
        b'{"verb":"status","app":"shop","settings":' + b"[" * 50_000,
        "the request is nested too deep",
    ),
    "digits": (b'{"verb":"status","app":"shop","lines":' + b"9" * 4_000_000 + b"}", "the request"),
    "a number too large": (text(lines=2**63 + 1), "Request.lines: 19 digits are too many"),
    "no number": (text(monitor=float("nan")), "the request has NaN for a number"),
    "no end of it": (text(at=float("-inf")), "the request has -Infinity for a number"),
    "an end beyond floats": (
        b'{"verb":"watch","app":"shop","monitor":1e999}',
        "Request.monitor: inf is no number of anything",
    ),
    "two verbs": (
        b'{"verb":"status","app":"shop","verb":"remove"}',
        "the request has 'verb' twice",
    ),
    "two apps, deep inside": (
        b'{"verb":"deploy","app":"shop","settings":{"app":"shop","app":"blog"}}',
        "the request has 'app' twice",
    ),
    "half a character": (text(compose="\ud800"), "the request has a text that is none"),
    "a NUL in a name": (text(app="sh\0op"), "the request has a text that is none"),
    "a NUL deep inside": (text(opens=["a", {"b\0": 1}]), "the request has a text that is none"),
    "no UTF-8": (b'{"verb":"\xff"}', "the request is not JSON"),
    "another encoding": ('{"verb":"status","app":1}'.encode("utf-16"), "Request.app: expected str"),
    "Homeport's own folder": (text(app="homeport"), "not an app's name: 'homeport'"),
    "the edge's container": (text(app="homeport-edge"), "not an app's name"),
    "another app's slot": (text(app="blog-r0042"), "not an app's name: 'blog-r0042'"),
    "a folder above": (text(app=".."), "not an app's name: '..'"),
    "an absolute path": (text(app="/etc"), "not an app's name: '/etc'"),
    "another app's settings": (text(app="blog"), "the settings are another app's"),
    "an unknown verb": (text(verb="x" * 100_000), "the agent knows no verb 'xxxxxxxx"),
    "a verb of ours that is none": (text(verb="carry_out"), "the agent knows no verb 'carry_out'"),
    "a line in the login": (text(auth="e30=\r\nX-Evil: 1"), "auth: not a login"),
    "an option for ssh": (text(source="sftp:-oProxyCommand=id:/x"), "source: not a repository"),
    "words for ssh": (
        text(source="sftp://x -oProxyCommand=id]/x"),
        "source: not a repository: 'sftp://x -oProxyCommand=id]/x'",
    ),
    "a run as a path": (
        b'{"verb":"attach","app":"shop","release":"../../canary"}',
        "there is no run '../../canary' to attach to",
    ),
    "a run that was not": (
        b'{"verb":"attach","app":"shop","release":"20261121T110000-ffff"}',
        "there is no run",
    ),
    "an app that was not": (b'{"verb":"status","app":"nobody"}', "/nobody is missing"),
    "an image as an option": (text(image={"ref": "-v/:/x"}), "not an image: '-v/:/x'"),
    "a digest with a line": (text(image={"ref": "a", "digest": "b\nc"}), "not an image"),
    "a set as a path": (text(set="../shop"), "not a set of copies: '../shop'"),
    "a key as a path": (text(key="../x"), "the request's key is none"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_refused(house: House, name: str) -> None:
    """In words, by the exit code of usage or of a host that is not set up; no run is begun."""
    payload, begins = REFUSED[name]
    code, events = house.ask(payload)
    assert house.begun == [] and code in (UsageError.code, 24)
    assert events[-1]["sentence"].removeprefix(str(house.opt)).startswith(begins), events
    assert len(events[-1]["sentence"]) <= 500


def place(data: Any, where: str, value: Any) -> bytes:
    """A full request with another value at a place; in a list, in the place of the first."""
    data = copy.deepcopy(data)
    at, (*names, last) = data, where.split(".")
    for name in names:
        at = at[name][0] if isinstance(at[name], list) else at[name]
    at[last] = [value] if isinstance(at[last], list) else value
    return json.dumps(data).encode()


WORSE = {
    str: ("a\nb", "\x1b[2J", "$(touch X)\n", "a b\u202e"),
    float: (-1, -0.001, 1e300, 86401.0),
    int: (-1, 2**62),
}


@pytest.mark.parametrize("where", [where for where, _, _ in bounds.RULES])
def test_every_bound_is_one(house: House, where: str) -> None:
    """A value of the right type that no homeport.toml could hold is refused by its place."""
    at: Any = wire.plain(FULL)
    for name in where.split("."):
        at = at[name][0] if isinstance(at[name], list) else at[name]
        at = at[0] if isinstance(at, list) else at
    if where == "source":
        at = ""
    for value in WORSE[type(at)]:
        code, events = house.ask(place(wire.plain(FULL), where, value))
        assert (code, house.begun) == (UsageError.code, [])
        assert events[-1]["sentence"].startswith(f"{where}: not a"), events


def test_every_place_of_a_request_is_bound_or_free() -> None:
    """A field that is added to a request or to the settings is decided about."""
    flags = {"force", "shared", "yes", "follow", "freeze", "unfreeze", "hold", "unverified"}
    flags |= {"check_compatible", "settings.web.standby", "settings.migrate.compatible"}
    words_of_a_type = {"settings.site.tls", "settings.deploy.handover"}
    bound = {where for where, _, _ in bounds.RULES}
    assert bound | set(bounds.FREE) | flags | words_of_a_type == set(bounds.places(FULL))
    assert not bound & set(bounds.FREE)


def test_what_a_person_can_ask_is_let_in() -> None:
    """None of the bounds is in the way of a good request."""
    for one in BASES:
        assert wire.plain(requests.parse(json.dumps(one).encode()))["verb"] == one["verb"]
    for repository in ("/mnt/usb/My copies", "rest:https://me@nas/x/", "s3:s3.x.org/b", "b2:a:b"):
        requests.parse(wire.encode(Request("restore-from", "shop", source=repository)))
    for repository in ("sftp:nas:/x", "sftp:me@nas:x y", "sftp://me@[fd00::1]:22/x", "sftp://n//x"):
        requests.parse(wire.encode(Request("restore-from", "shop", source=repository)))


def test_a_request_that_is_replayed_joins_its_run(house: House) -> None:
    """While the run of its key goes on, nothing is begun, however often it is sent."""
    runs = house.opt / "shop" / "logs" / "runs"
    # as ``joining.claim`` leaves it: written down, and held by whoever carries the run out
    payload = wire.encode(replace(FULL, verb="freeze", settings=None, compose="", image=None))
    paths = agent.from_environment("shop")
    handle = detach.joining.claim(paths, RUN, payload)
    with detach.joining.door(paths, FULL.key):
        pass
    try:
        for _ in range(3):
            code, events = house.ask(payload)
            assert (code, house.begun) == (0, [])
            assert [one["e"] for one in events] == ["run", "notice", "verdict"]
            assert events[0]["run"] == RUN
    finally:
        os.close(handle)
        (runs / f"{RUN}.key").unlink()
        runs.with_suffix(".lock").unlink()


def test_a_docker_that_is_away_is_a_fault_of_the_host(house: House) -> None:
    """Good requests are let in as far as Docker: the bad ones never came there."""
    code, _ = house.ask(wire.encode(Request("status", "shop")))
    assert code == HostFault.code


def test_a_compose_file_fetches_nothing(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """One that takes in others is refused before Compose reads it; Compose itself may not fetch."""
    ctx = Context(agent.from_environment("shop"), Engine(), FULL, "", lambda event: None)
    asked: list[dict[str, str]] = []

    def run(words: Any, **options: Any) -> Any:
        asked.append(options["env"])
        raise FileNotFoundError("docker")

    monkeypatch.setattr("homeport.host.compose.subprocess.run", run)
    ctx.request = replace(FULL, compose="include: [https://x.org/y.git]\nservices: {}\n")
    with pytest.raises(Refused, match="include takes part of it from another file"):
        prepare.render_today(ctx)
    assert asked == []
    ctx.request = FULL
    with pytest.raises(HostFault):
        prepare.render_today(ctx)
    assert {
        env[f"COMPOSE_EXPERIMENTAL_{one}_REMOTE"] for env in asked for one in ("GIT", "OCI")
    } == {"false"}
