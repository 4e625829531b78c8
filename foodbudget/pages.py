"""Pages: a long list in pieces that a phone on a bad line can load."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from flask import request


@dataclass(frozen=True)
class Page:
    """One page of a list of `length` things. A number beyond the list is that of the last page."""

    asked: int
    length: int

    # with the longest names people can write, a page stays below 100 KB
    SIZE: ClassVar[int] = 60

    @property
    def last(self) -> int:
        """The number of the last page; there is always one."""
        return max(1, -(-self.length // self.SIZE))

    @property
    def number(self) -> int:
        """Which page this is, from 1."""
        return min(max(self.asked, 1), self.last)

    @property
    def skipped(self) -> int:
        """How many things come before it."""
        return (self.number - 1) * self.SIZE


def number() -> int:
    """The page that the request asks for; 1 where it names none."""
    text = request.args.get("page", "")
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else 1
