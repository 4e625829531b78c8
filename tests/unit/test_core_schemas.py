"""Which code may be let at which schema, as a table of literal text."""

from __future__ import annotations

from dataclasses import replace

import pytest
from builders import facts, release
from homeport.core import schemas
from homeport.core.facts import Facts
from homeport.model import Release


def made(number: int, came_from: str = "", schema: str = "", compatible: bool = False) -> Release:
    """A release whose deploy found the database so and left it so."""
    return replace(release(number), came_from=came_from, schema=schema, compatible=compatible)


def has(schema: str, *releases: Release) -> Facts:
    """These releases served one after the other, and the database has this schema."""
    seen = facts(*releases, live=releases[-1])
    return replace(seen, history=replace(seen.history, schema=schema))


ONE = made(1, "a", "a")
SAME = made(2, "a", "a")
BREAKS = made(2, "a", "b")
GROWS = made(2, "a", "b", True)
MORE = made(3, "b", "c", True)
#: it was deployed while the database still had what the second made of it
OLDER = made(1)

TABLE: dict[str, tuple[Facts, Release, str]] = {
    "nobody speaks of schemas": (has("", OLDER, made(2)), OLDER, ""),
    "the same schema": (has("a", ONE, SAME), ONE, ""),
    "a change that was declared compatible": (has("b", ONE, GROWS), ONE, ""),
    "a change that was not": (
        has("b", ONE, BREAKS),
        ONE,
        "r0001-1111111 is made for schema a, and r0002-2222222 changed it to b,"
        " not declared compatible",
    ),
    "what serves, after that change": (has("b", ONE, BREAKS), BREAKS, ""),
    "two changes, each compatible with the one before": (
        has("c", ONE, GROWS, MORE),
        ONE,
        "r0001-1111111 is made for schema a, and the database has c",
    ),
    "the last of the two": (has("c", ONE, GROWS, MORE), GROWS, ""),
    "one compatible change, and releases that changed nothing": (
        has("b", ONE, GROWS, made(3, "b", "b"), made(4, "b", "b")),
        ONE,
        "",
    ),
    "the data went back, the newer code did not": (
        has("a", BREAKS, ONE),
        BREAKS,
        "r0002-2222222 is made for schema b, and the database has a",
    ),
    "the data went back, and the newer change was compatible: with older code only": (
        has("a", GROWS, ONE),
        GROWS,
        "r0002-2222222 is made for schema b, and the database has a",
    ),
    "a migration ended nobody knows how": (
        has("", ONE, BREAKS),
        ONE,
        "r0001-1111111 is made for schema a, and which one the database has is not known",
    ),
    "older than [migrate], and nothing changed since": (
        has("a", OLDER, made(2, "a", "a")),
        OLDER,
        "",
    ),
    "older than [migrate], which broke it": (
        has("b", OLDER, BREAKS),
        OLDER,
        "r0001-1111111 is made for schema a, and r0002-2222222 changed it to b,"
        " not declared compatible",
    ),
    "older than [migrate], which only added": (has("b", OLDER, GROWS), OLDER, ""),
    "newer than the last that had a [migrate]": (has("b", ONE, BREAKS, made(3)), made(3), ""),
    "made twice, and the newer one declares it": (
        has("b", BREAKS, ONE, made(3, "a", "b", True)),
        ONE,
        "",
    ),
    "made twice, and the newer one takes it back": (
        has("b", GROWS, ONE, made(3, "a", "b")),
        ONE,
        "r0001-1111111 is made for schema a, and r0003-3333333 changed it to b,"
        " not declared compatible",
    ),
}


@pytest.mark.parametrize("name", TABLE)
def test_fits(name: str) -> None:
    """Code goes to a schema it was made for, or over the one change that was declared."""
    seen, target, why = TABLE[name]
    assert schemas.fits(seen, target) == why
    turned = replace(seen, releases=seen.releases[::-1])
    assert schemas.fits(turned, target) == why, "the order of what was seen does not matter"


def test_it_is_asked_of_another_schema_too() -> None:
    """A copy of data is put back only under code that can use it."""
    seen = has("b", ONE, BREAKS)
    assert schemas.fits(seen, BREAKS, "b") == ""
    assert schemas.fits(seen, BREAKS, "a").endswith("made for schema b, and the database has a")
    assert schemas.fits(seen, ONE, "a") == ""
    assert schemas.fits(seen, ONE, "").endswith("which one the database has is not known")
    assert schemas.needs(seen, BREAKS) == "b"
