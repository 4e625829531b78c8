"""Words that come from outside: matched whole, or made harmless, before anything uses them."""

from __future__ import annotations

import re

#: `r0042`, `r0042-1a2b3c4`, or the bare number
_RELEASE = re.compile(r"r[0-9]{4,9}(?:-[0-9a-f]{7})?|[0-9]{1,9}")
_IMAGE = re.compile(r"[A-Za-z0-9\[][A-Za-z0-9._:/@\[\]-]{0,511}")
_KEY = re.compile(r"[A-Za-z0-9_-]{0,64}")
#: what ends a line or steers a terminal, the separators of lines and the marks of direction too
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]+")
#: no reason in a history is longer, in characters
LONGEST = 500


def is_release(text: str) -> bool:
    """Whether ``text`` names a release, and nothing besides."""
    return _RELEASE.fullmatch(text) is not None


def is_image(text: str) -> bool:
    """Whether ``text`` can be an image's reference: no option, no space, nothing of a shell's."""
    return _IMAGE.fullmatch(text) is not None


def is_key(text: str) -> bool:
    """Whether ``text`` can be the key of a request."""
    return _KEY.fullmatch(text) is not None


def sentence(text: str, longest: int = LONGEST) -> str:
    """``text`` on one line with no control characters, cut at ``longest`` characters."""
    clean = _CONTROL.sub(" ", text).strip()
    return clean if len(clean) <= longest else clean[: longest - 1].rstrip() + "…"
