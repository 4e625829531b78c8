"""Passwords: scrypt, a few at a time."""

from __future__ import annotations

import threading

from werkzeug.security import check_password_hash, generate_password_hash

SHORTEST = 10
# Werkzeug's own choice of what it costs
METHOD = "scrypt"
# scrypt takes 32 MB a go; sixteen threads of it would not fit beside a 256 MB limit
_ROOM = threading.BoundedSemaphore(2)
# what the password of an account that isn't there is compared with, so that the time to answer
# does not tell which names exist
_NOBODY: list[str] = []


def hashed(password: str) -> str:
    """The text to keep instead of a password."""
    with _ROOM:
        return generate_password_hash(password, METHOD)


def matches(password: str, kept: str | None) -> bool:
    """Whether a password is the one that was kept; False, after the same time, for None."""
    if kept is None:
        if not _NOBODY:
            _NOBODY.append(hashed("nobody"))
        with _ROOM:
            check_password_hash(_NOBODY[0], password)
        return False
    with _ROOM:
        return check_password_hash(kept, password)
