"""The wire format between controller and agent, both ways over one SSH channel.

Down (stdin of the agent): one line ``homeport 1 LENGTH\\n``, then LENGTH bytes of JSON, a
``Request``. If the agent answers ``{"e": "need", "need": "agent"}``, the controller sends a line
``LENGTH\\n`` and the bundle (a gzipped tar). If it answers ``{"e": "need", "need": "image", "ref":
REF}``, the controller loads the image over a second channel of the same connection and then sends
a line ``image ok\\n`` or ``image failed\\n``.

Up (stdout of the agent): JSON objects, one a line, each with its kind under ``e``:

====================  ===========================================================================
``need``              ``need``: ``agent`` or ``image``
``run``               ``run``, ``verb``, ``app``: which run this is; what ``attach`` is given
``plan``              ``steps``: ids and causes, ``skips``, ``notices``, ``mode``, ``release``
``step``              ``id``, ``state``: begin, done, failed; ``seconds``; ``note``
``progress``          ``id``, ``text``, ``done`` and ``total`` in bytes where known
``notice``            ``text``: something a person should know
``data``              ``data``: the answer of a verb that only reads
``look``              one look at what serves: ``text``, ``bad`` (why, or nothing), figures
``log``               ``service``, ``line``: a line of a container's output
``alive``             nothing: sent every 15 seconds of silence
``verdict``           the fields of ``Verdict``: always the last
====================  ===========================================================================

Unknown kinds and unknown fields are ignored by a reader of the same version; a request with an
unknown version or field is refused.
"""

from __future__ import annotations

import dataclasses
import json
import math
import types
import typing
from typing import Any, BinaryIO, Mapping, TypeVar

VERSION = 1
HEAD = "homeport"
#: no request is larger: a compose file, settings and a token
MAX_REQUEST = 4 * 1024 * 1024
SILENCE = 15.0
#: no number of seconds or bytes is larger
MAX_NUMBER = 2**63

T = TypeVar("T")


class WireError(ValueError):
    """What came over the wire is not of this format."""


def frame(payload: bytes) -> bytes:
    """A request's bytes with its head line before them."""
    return f"{HEAD} {VERSION} {len(payload)}\n".encode() + payload


def read_frame(stream: BinaryIO) -> bytes:
    """The payload of one framed request; raises WireError on anything else."""
    line = stream.readline(64)
    words = line.decode("ascii", "replace").split()
    if len(words) != 3 or words[0] != HEAD or not words[2].isdigit():
        raise WireError("not a Homeport request")
    if words[1] != str(VERSION):
        raise WireError(f"wire version {words[1]} is not spoken here, only {VERSION}")
    length = int(words[2])
    if length > MAX_REQUEST:
        raise WireError(f"a request of {length} bytes is over the limit of {MAX_REQUEST}")
    payload = stream.read(length)
    if len(payload) != length:
        raise WireError(f"the request ended after {len(payload)} of {length} bytes")
    return payload


def encode(value: Any) -> bytes:
    """One event or record as a line of JSON, dataclasses as objects."""
    text = json.dumps(plain(value), separators=(",", ":"), ensure_ascii=False)
    # half a surrogate pair, which JSON can carry and UTF-8 cannot, must not end a run
    return text.encode("utf-8", "replace") + b"\n"


def plain(value: Any) -> Any:
    """Dataclasses, tuples and mappings as what JSON knows."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {one.name: plain(getattr(value, one.name)) for one in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)):
        return [plain(item) for item in value]
    return value


def decode(kind: type[T], data: Any, where: str = "") -> T:
    """``data`` as an instance of the dataclass ``kind``, every field checked against its type.

    Raises WireError naming the first field that is unknown, missing or of another type.
    """
    place = where or kind.__name__
    if not isinstance(data, Mapping):
        raise WireError(f"{place}: expected an object")
    hints = typing.get_type_hints(kind)
    fields = {one.name: one for one in dataclasses.fields(kind)}  # type: ignore[arg-type]
    for key in data:
        if key not in fields:
            raise WireError(f"{place}: unknown field {key!r}")
    values = {}
    for name, one in fields.items():
        if name in data:
            values[name] = _value(hints[name], data[name], f"{place}.{name}")
        elif one.default is dataclasses.MISSING and one.default_factory is dataclasses.MISSING:
            raise WireError(f"{place}: field {name!r} is missing")
    return kind(**values)


def _value(hint: Any, data: Any, where: str) -> Any:
    origin = typing.get_origin(hint)
    if hint is Any:
        return data
    if origin is typing.Union or origin is types.UnionType:
        options = [one for one in typing.get_args(hint) if one is not type(None)]
        if data is None and len(options) < len(typing.get_args(hint)):
            return None
        return _value(options[0], data, where)
    if origin is typing.Literal:
        if data not in typing.get_args(hint):
            raise WireError(f"{where}: {data!r} is not one of {typing.get_args(hint)}")
        return data
    if origin is tuple:
        if not isinstance(data, (list, tuple)):
            raise WireError(f"{where}: expected a list")
        inner = typing.get_args(hint)[0]
        return tuple(_value(inner, one, f"{where}[{n}]") for n, one in enumerate(data))
    if origin is not None:  # Mapping[str, …]
        if not isinstance(data, Mapping):
            raise WireError(f"{where}: expected an object")
        inner = typing.get_args(hint)[1]
        return {str(key): _value(inner, one, f"{where}.{key}") for key, one in data.items()}
    if dataclasses.is_dataclass(hint):
        return decode(hint, data, where)  # type: ignore[arg-type]
    if hint in (int, float) and isinstance(data, int) and not isinstance(data, bool):
        if abs(data) > MAX_NUMBER:
            raise WireError(f"{where}: {len(str(data))} digits are too many")
        return hint(data)
    if hint is float and isinstance(data, float) and not math.isfinite(data):
        raise WireError(f"{where}: {data} is no number of anything")
    if not isinstance(data, hint) or (hint is int and isinstance(data, bool)):
        raise WireError(f"{where}: expected {hint.__name__}, got {type(data).__name__}")
    return data
