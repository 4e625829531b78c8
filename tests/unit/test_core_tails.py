"""What of a container's words is shown, and what is never shown, as tables of literal text."""

from __future__ import annotations

import pytest
from homeport.core.envfile import values
from homeport.core.tails import masked, private, telling

CHATTER = [f"GET /{number} 200" for number in range(40)]
LAST = CHATTER[-8:]
TELLING = {
    "nothing": ([], []),
    "a few lines": (["one", "", "two  ", "one"], ["one", "two"]),
    "chatter": (CHATTER, LAST),
    "a cause far up": (
        ["ValueError: no such table", *CHATTER],
        ["ValueError: no such table", "…", *LAST],
    ),
    "a cause right before the end": (
        [*CHATTER[:-8], "Killed", *LAST],
        ["Killed", *LAST],
    ),
    "the latest causes": (
        [*(f"error {number}" for number in range(9)), *CHATTER],
        [*(f"error {number}" for number in range(3, 9)), "…", *LAST],
    ),
    "a line too long": (["x" * 200 + "y" * 500], ["x" * 160 + " … " + "y" * 320]),
}


@pytest.mark.parametrize("name", TELLING)
def test_telling_lines(name: str) -> None:
    """The end of it, and before that what looks like a cause."""
    wrote, shown = TELLING[name]
    assert telling("\n".join(wrote)).splitlines() == shown


ENV = """\
SECRET_KEY='a long one'
export API_TOKEN="to\\"ken1"
PASSWORD=short
DATABASE_URL=postgres://shop:hunter22@db/shop  # a comment
GREETING=good morning
PIN_OF_MINE=123456
PLAIN_KEY
"""


def test_values() -> None:
    """What an env file sets, without quotes and comments."""
    assert values(ENV) == (
        ("SECRET_KEY", "a long one"),
        ("API_TOKEN", 'to\\"ken1'),
        ("PASSWORD", "short"),
        ("DATABASE_URL", "postgres://shop:hunter22@db/shop"),
        ("GREETING", "good morning"),
        ("PIN_OF_MINE", "123456"),
        ("PLAIN_KEY", ""),
    )


def test_private_values() -> None:
    """Of variables named like a secret or named as one; a password also without its address."""
    found = private(values(ENV), ("PIN_OF_MINE",))
    assert found[0] == "postgres://shop:hunter22@db/shop"
    assert set(found[1:]) == {"a long one", 'to\\"ken1', "hunter22", "123456"}


MASKED = [
    ("could not log in with hunter22 at db", "could not log in with ••• at db"),
    ("url=postgres://shop:hunter22@db/shop!", "url=•••!"),
    ("good morning", "good morning"),
    ("a long one, a long one", "•••, •••"),
]


@pytest.mark.parametrize("text,shown", MASKED)
def test_masked(text: str, shown: str) -> None:
    """No such value is left in what people are told, and nothing else is touched."""
    assert masked(text, private(values(ENV))) == shown
