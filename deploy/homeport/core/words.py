"""Words that come from outside: matched whole, or made harmless, before anything uses them."""

from __future__ import annotations

import re

#: `r0042`, `r0042-1a2b3c4`, or the bare number
_RELEASE = re.compile(r"r[0-9]{4,9}(?:-[0-9a-f]{7})?|[0-9]{1,9}")
_IMAGE = re.compile(r"[A-Za-z0-9\[][A-Za-z0-9._:/@\[\]-]{0,511}")
#: a set of copies by its id, by the start of it, or the latest
_SET = re.compile(r"latest|[0-9]{4,8}|[0-9]{8}T[0-9]{0,6}|[0-9]{8}T[0-9]{6}-[0-9a-f]{0,4}")
_KEY = re.compile(r"[A-Za-z0-9_-]{0,64}")
#: what a header of HTTP can carry of a registry's login: base64, as Docker wants it
_AUTH = re.compile(r"[A-Za-z0-9+/=_-]*")
#: a repository of restic's by sftp: neither its user nor its host can be taken for an option
_SFTP = re.compile(
    r"sftp:(?://)?(?:[A-Za-z0-9_][A-Za-z0-9@._-]*@)?"
    r"(?:[A-Za-z0-9_][A-Za-z0-9._-]*|\[[0-9A-Fa-f:.]+\])[:/].*"
)
#: patterns of values that name something, matched whole
PATH, SERVICE, VARIABLE = r"/[^\s#]*", r"[A-Za-z0-9][A-Za-z0-9._-]*", r"[A-Za-z_][A-Za-z0-9_]*"
HOST = (
    r"(?=.{1,253}\Z)[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?"
    r"(?:\.[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?)*"
)
MAIL, ACME, SCHEDULE = r"[^@\s]+@[^@\s]+", r"https://\S+", r"hourly|([01]\d|2[0-3]):[0-5]\d"
#: what ends a line or steers a terminal, the separators of lines and the marks of direction too
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]+")
#: the sequences that a terminal obeys, and by themselves what they are made of; tabs and ends of
#: lines are text
_COLOUR = re.compile("\x1b\\[[0-9;:]*m")
_STEERING = re.compile(
    "\x1b\\[[0-?]*[ -/]*[@-~]?|\x1b[\\]PX^_][^\x07\x1b\n]*(?:\x07|\x1b\\\\)?|\x1b[ -~]?"
    "|[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]"
)
#: no reason in a history is longer, in characters
LONGEST = 500
#: the command that mends what setup made
SETUP = "homeport setup --host USER@ADDRESS"


def is_release(text: str) -> bool:
    """Whether ``text`` names a release, and nothing besides."""
    return _RELEASE.fullmatch(text) is not None


def is_image(text: str) -> bool:
    """Whether ``text`` can be an image's reference: no option, no space, nothing of a shell's."""
    return _IMAGE.fullmatch(text) is not None


def is_set(text: str) -> bool:
    """Whether ``text`` names a set of copies, or begins to."""
    return _SET.fullmatch(text) is not None


def is_key(text: str) -> bool:
    """Whether ``text`` can be the key of a request."""
    return _KEY.fullmatch(text) is not None


def is_digest(text: str) -> bool:
    """Whether ``text`` can be an image's digest."""
    return re.fullmatch(r"sha(?:256|512):[0-9a-f]{1,128}", text) is not None


def is_auth(text: str) -> bool:
    """Whether ``text`` can be a registry's login as Docker takes it, or is none."""
    return _AUTH.fullmatch(text) is not None


def is_repository(text: str) -> bool:
    """Whether ``text`` can name a restic repository that no program takes for an option."""
    if not text or text.startswith("-") or ".." in text.split("/"):
        return False
    if text != sentence(text, len(text)):
        return False
    return _SFTP.fullmatch(text) is not None or not text.startswith("sftp:")


def harmless(text: str, colours: bool = False) -> str:
    """``text`` with nothing in it that a terminal would obey but, if asked for, its colours."""
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    if not colours:
        return _STEERING.sub("", text)
    kept = _STEERING.sub(lambda one: one[0] if _COLOUR.fullmatch(one[0]) else "", text)
    # what is said after it, by Homeport itself, is not to be coloured or hidden by it
    return f"{kept}\x1b[0m" if "\x1b" in kept else kept


def sentence(text: str, longest: int = LONGEST) -> str:
    """``text`` on one line with no control characters, cut at ``longest`` characters."""
    clean = _CONTROL.sub(" ", text).strip()
    return clean if len(clean) <= longest else clean[: longest - 1].rstrip() + "…"
