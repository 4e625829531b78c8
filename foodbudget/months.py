"""A calendar month, the span every page is about."""

from __future__ import annotations

import calendar
import re
from dataclasses import dataclass
from datetime import date

NAMES = (
    "January February March April May June July August September October November December".split()
)


@dataclass(frozen=True, order=True)
class Month:
    """A month; its text form `2026-11` is used in addresses and in the database."""

    year: int
    number: int

    def __str__(self) -> str:
        return f"{self.year:04}-{self.number:02}"

    @classmethod
    def of(cls, day: date) -> Month:
        """The month that a day lies in."""
        return cls(day.year, day.month)

    @classmethod
    def parse(cls, text: str) -> Month:
        """Read `2026-11`; ValueError for anything else, or a year outside 1900 to 2999."""
        match = re.fullmatch(r"(19[0-9]{2}|2[0-9]{3})-(0[1-9]|1[0-2])", text)
        if not match:
            raise ValueError("not a month")
        return cls(int(match[1]), int(match[2]))

    @property
    def title(self) -> str:
        """What people call it: `November 2026`."""
        return f"{NAMES[self.number - 1]} {self.year}"

    @property
    def days(self) -> int:
        """How many days it has."""
        return calendar.monthrange(self.year, self.number)[1]

    @property
    def first(self) -> date:
        """Its first day."""
        return date(self.year, self.number, 1)

    @property
    def last(self) -> date:
        """Its last day."""
        return date(self.year, self.number, self.days)

    def shifted(self, months: int) -> Month:
        """The month that lies `months` later, or earlier for a negative number."""
        years, index = divmod(self.number - 1 + months, 12)
        return Month(self.year + years, index + 1)
