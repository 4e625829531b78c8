"""The wire: frames, events, and requests whose every field is checked."""

from __future__ import annotations

import io
import json
from dataclasses import replace
from typing import Any

import pytest
from builders import release
from homeport import wire
from homeport.model import Cause, HostAddress, Image, Release, Request, Settings, Site, Smoke
from homeport.planned import Verdict
from homeport.wire import WireError
from hypothesis import given
from hypothesis import strategies as st

WHOLE = Request(
    verb="deploy",
    app="shop",
    settings=Settings(
        "shop",
        host=HostAddress("pi", "homeport", 2222),
        site=Site("shop.lan", None),
        smoke=(Smoke("/", 200, "ok", 1.5), Smoke("/b")),
        secrets=("TOKEN",),
    ),
    compose="services: {}\n",
    image=Image("reg/shop:1", "sha256:abc", ("linux/amd64", "linux/arm/v7"), 5),
    monitor=2.0,
    force=True,
    cause=Cause("ann", "why"),
    auth="secret",
)


def turned(kind: type[Any], value: Any) -> Any:
    """Out over the wire and in again."""
    return wire.decode(kind, json.loads(wire.encode(value)))


@pytest.mark.parametrize(
    "value", [WHOLE, Request("status", "shop"), release(3), Verdict("deployed", 0, "fine")]
)
def test_what_is_sent_arrives(value: Any) -> None:
    """Requests, releases and verdicts come out equal."""
    assert turned(type(value), value) == value


def test_a_line_holds_one_event() -> None:
    """A newline in a value does not end the line; sets and tuples are lists."""
    line = wire.encode({"e": "log", "line": "a\nb", "n": (1, 2), "s": {3}, 5: "ü"})
    assert line == '{"e":"log","line":"a\\nb","n":[1,2],"s":[3],"5":"ü"}\n'.encode()


def test_half_a_surrogate_pair_does_not_end_a_run() -> None:
    """JSON can carry one, UTF-8 cannot; a question mark stands for it."""
    assert wire.encode({"why": json.loads('"a\\ud800b"')}) == b'{"why":"a?b"}\n'


def request(**fields: Any) -> dict[str, Any]:
    """A request as JSON with these fields."""
    return {"verb": "deploy", "app": "shop", **fields}


WRONG: dict[str, tuple[Any, str]] = {
    "nothing": (None, "Request: expected an object"),
    "a list": ([], "Request: expected an object"),
    "a text": ("deploy", "Request: expected an object"),
    "unknown field": (request(color=1), "Request: unknown field 'color'"),
    "missing field": ({"verb": "deploy"}, "Request: field 'app' is missing"),
    "number for text": (request(app=5), "Request.app: expected str, got int"),
    "null for text": (request(app=None), "Request.app: expected str, got NoneType"),
    "text for bool": (request(force="yes"), "Request.force: expected bool, got str"),
    "number for bool": (request(force=1), "Request.force: expected bool, got int"),
    "bool for number": (request(lines=True), "Request.lines: expected int, got bool"),
    "float for int": (request(lines=1.5), "Request.lines: expected int, got float"),
    "text for float": (request(monitor="30s"), "Request.monitor: expected float, got str"),
    "bool for float": (request(monitor=True), "Request.monitor: expected float, got bool"),
    "a number too large": (request(monitor=10**400), "Request.monitor: 401 digits are too many"),
    "no object": (request(image="x"), "Request.image: expected an object"),
    "null for an object": (request(cause=None), "Request.cause: expected an object"),
    "inner unknown": (request(image={"ref": "x", "y": 1}), "Request.image: unknown field 'y'"),
    "inner missing": (request(image={}), "Request.image: field 'ref' is missing"),
    "text for a list": (
        request(image={"ref": "x", "platforms": "linux/amd64"}),
        "Request.image.platforms: expected a list",
    ),
    "wrong in a list": (
        request(image={"ref": "x", "platforms": ["a", 1]}),
        "Request.image.platforms[1]: expected str, got int",
    ),
    "deep in a list": (
        request(settings={"app": "shop", "smoke": [{"path": "/", "status": "200"}]}),
        "Request.settings.smoke[0].status: expected int, got str",
    ),
    "not a mode": (
        request(settings={"app": "shop", "deploy": {"handover": "magic"}}),
        "Request.settings.deploy.handover: 'magic' is not one of"
        " ('overlap', 'single-writer', 'exclusive', 'recreate')",
    ),
    "a list for a mode": (
        request(settings={"app": "shop", "deploy": {"handover": ["overlap"]}}),
        "Request.settings.deploy.handover: ['overlap'] is not one of"
        " ('overlap', 'single-writer', 'exclusive', 'recreate')",
    ),
}


@pytest.mark.parametrize("name", WRONG)
def test_decode_names_what_is_wrong(name: str) -> None:
    """The first field that is unknown, missing or of another type, by its whole path."""
    data, why = WRONG[name]
    with pytest.raises(WireError) as caught:
        wire.decode(Request, data)
    assert str(caught.value) == why


def test_mappings_of_a_release() -> None:
    """A mapping's values are checked; an integer is a good number of seconds."""
    data = json.loads(wire.encode(release(1)))
    assert turned(Release, {**data, "created": 5}).created == 5.0
    with pytest.raises(WireError, match=r"Release.policies: expected an object"):
        wire.decode(Release, {**data, "policies": []})
    with pytest.raises(WireError, match=r"Release.policies.web: expected str, got int"):
        wire.decode(Release, {**data, "policies": {"web": 1}})
    assert wire.decode(Verdict, {**wire.plain(Verdict("failed", 1, "")), "figures": {"a": [1]}})


def test_null_is_an_answer_where_it_may_be() -> None:
    """Optional fields may be null or left out."""
    assert wire.decode(Request, request(settings=None, monitor=None)) == Request("deploy", "shop")


def test_a_token_is_not_shown() -> None:
    """A request that ends up in a trace tells no secret."""
    assert "secret" not in repr(replace(WHOLE, settings=None))


# --- frames --------------------------------------------------------------------------------------
def test_a_frame_is_read_to_its_length_and_no_further() -> None:
    """What follows, such as a bundle, is left in the stream."""
    stream = io.BytesIO(wire.frame(b"{}\n") + b"rest")
    assert (wire.read_frame(stream), stream.read()) == (b"{}\n", b"rest")
    assert wire.read_frame(io.BytesIO(wire.frame(b""))) == b""


BROKEN: dict[str, tuple[bytes, str]] = {
    "nothing": (b"", "not a Homeport request"),
    "another protocol": (b"GET / HTTP/1.1\r\n", "not a Homeport request"),
    "binary": (b"\xff\xfe\x00" * 50, "not a Homeport request"),
    "two words": (b"homeport 1\n", "not a Homeport request"),
    "length is no number": (b"homeport 1 x\n", "not a Homeport request"),
    "negative": (b"homeport 1 -5\n", "not a Homeport request"),
    "an endless head": (b"homeport 1 " + b"1" * 99, "a request of 1"),
    "a newer version": (b"homeport 2 2\n{}", "wire version 2 is not spoken here, only 1"),
    "truncated": (wire.frame(b"12345")[:-2], "the request ended after 3 of 5 bytes"),
    "oversized": (
        b"homeport 1 4194305\n",
        "a request of 4194305 bytes is over the limit of 4194304",
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_frame_is_refused(name: str) -> None:
    """With the reason, and without reading what it claims to bring."""
    data, why = BROKEN[name]
    with pytest.raises(WireError) as caught:
        wire.read_frame(io.BytesIO(data))
    assert str(caught.value).startswith(why)


# --- whatever comes ------------------------------------------------------------------------------
SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.floats(allow_nan=False),
    st.text(max_size=5),
    st.binary(max_size=3),
)
KEYS = st.sampled_from(
    ["verb", "app", "settings", "image", "ref", "deploy", "smoke", "site", "cause", "monitor"]
)
ANYTHING = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(KEYS | st.text(max_size=4) | st.integers(), inner, max_size=6),
    max_leaves=20,
)


@given(ANYTHING | st.builds(lambda rest: {**request(), **rest}, st.dictionaries(KEYS, ANYTHING)))
def test_decode_raises_only_wire_errors(data: Any) -> None:
    """Whatever was sent, it is a request or it is refused."""
    try:
        got = wire.decode(Request, data)
    except WireError:
        return
    assert isinstance(got, Request) and turned(Request, got) == got


@given(st.binary(max_size=80) | st.binary(max_size=20).map(lambda tail: b"homeport 1 " + tail))
def test_read_frame_raises_only_wire_errors(data: bytes) -> None:
    """Whatever comes on stdin, it is a frame or it is refused."""
    try:
        payload = wire.read_frame(io.BytesIO(data))
    except WireError:
        return
    assert len(payload) <= len(data)
