"""A request as it comes in: checked field by field before anything looks at it."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from homeport import wire
from homeport.core import bounds, maintenance, words
from homeport.model import APP_NAME, Cause, Request

#: the verbs whose ``release`` names a release; others mean a run or a service by it
_RELEASES = ("deploy", "rollback", "shared", "plan", "plan-rollback")
#: no number of a request has more digits; a longer one takes Python its time to read
_DIGITS = 19


def parse(payload: bytes) -> Request:
    """The request, every field checked and its cause on one line each; raises WireError."""
    request = wire.decode(Request, _read(payload))
    if not APP_NAME.match(request.app):
        raise wire.WireError(f"not an app's name: {request.app!r}")
    if request.settings is not None and request.settings.app != request.app:
        raise wire.WireError("the settings are another app's")
    if request.verb in _RELEASES and request.release and not words.is_release(request.release):
        raise wire.WireError(f"not a release: {request.release[:80]!r}")
    image = request.image
    if image is not None and not (words.is_image(image.ref) and words.is_image(image.pinned)):
        raise wire.WireError(f"not an image: {image.pinned[:80]!r}")
    if not 0 <= request.minutes <= maintenance.LONGEST:
        raise wire.WireError(f"not a number of minutes: {request.minutes}")
    if request.set not in ("", "all") and not words.is_set(request.set):
        raise wire.WireError(f"not a set of copies: {request.set[:80]!r}")
    if not words.is_key(request.key):
        raise wire.WireError("the request's key is none")
    found = bounds.wrong(request)
    if found:
        raise wire.WireError(found)
    asked = request.cause
    cause = Cause(*(words.sentence(text) for text in (asked.who, asked.why, asked.url)))
    return replace(request, cause=cause)


def _read(payload: bytes) -> Any:
    """A request's JSON: each name once, finite numbers, no text that a file cannot hold."""
    try:
        data = json.loads(
            payload, object_pairs_hook=_once, parse_int=_whole, parse_constant=_no_number
        )
    except RecursionError:
        raise wire.WireError("the request is nested too deep") from None
    except ValueError as error:
        if isinstance(error, wire.WireError):
            raise
        raise wire.WireError(f"the request is not JSON: {error}") from error
    _texts(data)
    return data


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise wire.WireError(f"the request has {name[:80]!r} twice")
        found[name] = value
    return found


def _whole(digits: str) -> int:
    if len(digits.lstrip("-")) > _DIGITS:
        raise wire.WireError(f"the request has a number of {len(digits)} digits")
    return int(digits)


def _no_number(name: str) -> float:
    raise wire.WireError(f"the request has {name} for a number")


def _texts(data: Any) -> None:
    """Raises WireError for a text with a NUL or half a surrogate pair in it, wherever it stands."""
    waiting = [data]
    while waiting:
        one = waiting.pop()
        if isinstance(one, dict):
            waiting += [*one, *one.values()]
        elif isinstance(one, list):
            waiting += one
        elif isinstance(one, str) and ("\0" in one or any("\ud800" <= c <= "\udfff" for c in one)):
            raise wire.WireError("the request has a text that is none: a NUL, or half a character")
