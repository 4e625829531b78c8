"""What people type, read into values; every mistake at once, under the name of its field."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from foodbudget import money, passwords
from foodbudget.categories import CATEGORIES, TOTAL, UNITS

Fields = Mapping[str, str]


@dataclass
class Read:
    """A form that was read: `values` for the database, `mistakes` by field, in people's words."""

    values: dict[str, Any] = field(default_factory=dict)
    mistakes: dict[str, str] = field(default_factory=dict)

    @property
    def fine(self) -> bool:
        """Whether nothing has to be corrected."""
        return not self.mistakes


def folded(name: str) -> str:
    """The form of an account's name that is stored and looked up."""
    # PostgreSQL can not be asked for a NUL character
    return unicodedata.normalize("NFKC", name).replace("\0", "\ufffd").casefold().strip()


def account(form: Fields) -> Read:
    """`name` and `password` of a new account."""
    read = Read()
    name = folded(form.get("name", ""))
    if not re.fullmatch(r"[\w.@+-]{2,64}", name):
        read.mistakes["name"] = "Use 2 to 64 letters, digits or any of . _ @ + -"
    read.mistakes |= new_password(form, "password")
    read.values = {"name": name, "password": form.get("password", "")}
    return read


def new_password(form: Fields, field: str) -> dict[str, str]:
    """What is wrong with a password that somebody wants to have."""
    length = len(form.get(field, ""))
    if length < passwords.SHORTEST:
        return {field: f"Use at least {passwords.SHORTEST} characters."}
    return {field: "Use at most 1000 characters."} if length > 1000 else {}


def purchase(form: Fields, digits: int) -> Read:
    """The fields of a purchase, as the model names them.

    Args:
        digits: those of the currency after the decimal mark.
    """
    read = Read()
    food, shop = _line(form, "food"), _line(form, "shop")
    if not food:
        read.mistakes["food"] = "What was it?"
    for name, value in (("food", food), ("shop", shop)):
        if len(value) > 100:
            read.mistakes[name] = "Use at most 100 characters."
    category, unit = form.get("category", ""), form.get("unit", "")
    if category not in CATEGORIES:
        read.mistakes["category"] = "Choose one of the list."
    if unit not in UNITS:
        read.mistakes["unit"] = "Choose one of the list."
    read.values = {"food": food, "shop": shop, "category": category, "unit": unit}
    read.values["quantity"] = _amount(read, form, "quantity", 3)
    if "quantity" not in read.mistakes and not read.values["quantity"]:
        read.mistakes["quantity"] = "Write how much it was."
    read.values["price"] = _amount(read, form, "price", digits)
    try:
        read.values["day"] = date.fromisoformat(form.get("day", ""))
    except ValueError:
        read.mistakes["day"] = "Write a day like 2026-11-20."
    else:
        if not 1900 <= read.values["day"].year <= 2999:
            read.mistakes["day"] = "Choose a year from 1900 to 2999."
    return read


def budget(form: Fields, digits: int) -> Read:
    """An amount for TOTAL and for each category; an empty field lifts that budget (0)."""
    read = Read()
    for key in (TOTAL, *CATEGORIES):
        empty = not form.get(key, "").strip()
        read.values[key] = 0 if empty else _amount(read, form, key, digits)
    return read


def _line(form: Fields, name: str) -> str:
    # a NUL character counts as a space: PostgreSQL keeps none. Half a character, which JSON can
    # carry, is shown as what it is: no database keeps it
    text = form.get(name, "").encode("utf-8", "replace").decode("utf-8")
    return " ".join(text.replace("\0", " ").split())


def _amount(read: Read, form: Fields, name: str, digits: int) -> int:
    try:
        return money.parse(form.get(name, ""), digits)
    except ValueError as error:
        read.mistakes[name] = str(error)
        return 0
