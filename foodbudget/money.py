"""Money: whole numbers of the smallest unit, never a float."""

from __future__ import annotations

import re
from dataclasses import dataclass

# What a 32-bit count of cents holds is more than anybody eats for.
LARGEST = 1_000_000_000


@dataclass(frozen=True)
class Currency:
    """A currency: ISO code, sign put before amounts, and digits after the decimal mark."""

    code: str
    sign: str
    digits: int


CURRENCIES = {
    currency.code: currency
    for currency in (
        Currency("AUD", "A$", 2),
        Currency("CAD", "C$", 2),
        Currency("CHF", "CHF\u00a0", 2),
        Currency("CZK", "Kč\u00a0", 2),
        Currency("DKK", "kr\u00a0", 2),
        Currency("EUR", "€", 2),
        Currency("GBP", "£", 2),
        Currency("INR", "₹", 2),
        Currency("JPY", "¥", 0),
        Currency("KRW", "₩", 0),
        Currency("NOK", "kr\u00a0", 2),
        Currency("PLN", "zł\u00a0", 2),
        Currency("SEK", "kr\u00a0", 2),
        Currency("TND", "DT\u00a0", 3),
        Currency("USD", "$", 2),
    )
}


def parse(text: str, digits: int) -> int:
    """Read an amount as people type it: `12`, `12.3`, `12,34`.

    Args:
        text: the amount; one point or comma is the decimal mark, spaces around it don't count.
        digits: how many digits the smallest unit has after the mark (2: cents).

    Returns:
        the amount in smallest units, zero or more.

    Raises:
        ValueError: in words for the person who typed it. Nothing is rounded.
    """
    match = re.fullmatch(r"([0-9]{1,12})(?:[.,]([0-9]+))?", text.strip())
    if not match:
        example = "12" if digits == 0 else "12." + "34567"[:digits]
        raise ValueError(f"Write an amount like {example}.")
    whole, fraction = match[1], match[2] or ""
    if len(fraction) > digits:
        places = "no digits" if digits == 0 else f"at most {digits} digits"
        raise ValueError(f"There are {places} after the decimal mark.")
    units = int(whole + fraction.ljust(digits, "0"))
    if units > LARGEST:
        raise ValueError("This is more than fits.")
    return units


def plain(units: int, digits: int) -> str:
    """The amount as digits with a point: what `parse` reads back."""
    if digits == 0:
        return str(units)
    whole, fraction = divmod(abs(units), 10**digits)
    return f"{'-' if units < 0 else ''}{whole}.{fraction:0{digits}}"


def text(units: int, currency: Currency) -> str:
    """The amount for people: sign, thousands apart, decimals; `€1,234.50`."""
    whole, fraction = divmod(abs(units), 10**currency.digits)
    shown = f"{whole:,}"
    if currency.digits:
        shown += f".{fraction:0{currency.digits}}"
    return f"{'−' if units < 0 else ''}{currency.sign}{shown}"
