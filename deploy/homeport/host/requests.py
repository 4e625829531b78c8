"""A request as it comes in: checked field by field before anything looks at it."""

from __future__ import annotations

import json

from homeport import wire
from homeport.model import APP_NAME, Request


def parse(payload: bytes) -> Request:
    """The request, every field checked; raises WireError."""
    try:
        data = json.loads(payload)
    except ValueError as error:
        raise wire.WireError(f"the request is not JSON: {error}") from error
    request = wire.decode(Request, data)
    if not APP_NAME.match(request.app):
        raise wire.WireError(f"not an app's name: {request.app!r}")
    if request.settings is not None and request.settings.app != request.app:
        raise wire.WireError("the settings are another app's")
    return request
