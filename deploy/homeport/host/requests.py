"""A request as it comes in: checked field by field before anything looks at it."""

from __future__ import annotations

import json
from dataclasses import replace

from homeport import wire
from homeport.core import words
from homeport.model import APP_NAME, Cause, Request

#: the verbs whose ``release`` names a release; others mean a run or a service by it
_RELEASES = ("deploy", "rollback", "shared", "plan")


def parse(payload: bytes) -> Request:
    """The request, every field checked and its cause on one line each; raises WireError."""
    try:
        data = json.loads(payload)
    except ValueError as error:
        raise wire.WireError(f"the request is not JSON: {error}") from error
    request = wire.decode(Request, data)
    if not APP_NAME.match(request.app):
        raise wire.WireError(f"not an app's name: {request.app!r}")
    if request.settings is not None and request.settings.app != request.app:
        raise wire.WireError("the settings are another app's")
    if request.verb in _RELEASES and request.release and not words.is_release(request.release):
        raise wire.WireError(f"not a release: {request.release[:80]!r}")
    image = request.image
    if image is not None and not (words.is_image(image.ref) and words.is_image(image.pinned)):
        raise wire.WireError(f"not an image: {image.pinned[:80]!r}")
    if not words.is_key(request.key):
        raise wire.WireError("the request's key is none")
    asked = request.cause
    cause = Cause(*(words.sentence(text) for text in (asked.who, asked.why, asked.url)))
    return replace(request, cause=cause)
