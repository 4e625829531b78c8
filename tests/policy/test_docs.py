"""The pages that `make docs` writes are current, and the reference says what the model does."""

from __future__ import annotations

import dataclasses
import types
import typing
from typing import Any

import pytest

from homeport import errors
from homeport.backups import Backup, Migrate
from homeport.control import cli, readers, settings
from homeport.model import Settings, Smoke
from pipeline import docs

#: section of the reference → the dataclass that holds it
KINDS: dict[str, type] = {
    "": Settings,
    **{f"[{one.name}]": type(one.default) for one in dataclasses.fields(Settings)[2:6]},
    "[backup]": Backup,
    "[migrate]": Migrate,
    "[[smoke]]": Smoke,
}
#: what the reference calls a list of texts, by what each stands for
LISTS = ("list of names", "list of paths", "command")
#: a default that no value stands for, in the reference's words
WORDS = {("[deploy]", "handover"): "by what the app can do"}


def read() -> dict[tuple[str, str], docs.Key]:
    """(section, key) → what the reference says of it."""
    found, _ = docs.keys(docs.EXAMPLE.read_text("utf-8"))
    return {(one.section, one.name): one for one in found}


def field(section: str, name: str) -> tuple[Any, Any]:
    """Type and default of a key, as the model has them."""
    if (section, name) == ("[secrets]", "names"):
        section, name = "", "secrets"
    kind = KINDS[section]
    one = next(one for one in dataclasses.fields(kind) if one.name == name)
    return typing.get_type_hints(kind)[name], one.default


def named(hint: Any) -> str:
    """The word that the reference has for a type."""
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        hint = next(one for one in typing.get_args(hint) if one is not type(None))
    if typing.get_origin(hint) is typing.Literal:
        return "text"
    if typing.get_origin(hint) is tuple:
        return LISTS[0]
    return {str: "text", int: "whole number", bool: "true or false", float: "duration"}[hint]


def agrees(told: str, hint: Any, default: Any) -> bool:
    """Whether the default that is told is the one that applies."""
    if default is dataclasses.MISSING:
        return told == "must be given"
    if default is None or default == ():
        return told == "none"
    if hint is float:
        return readers.duration(told.strip('"')) == default
    return told == (f'"{default}"' if isinstance(default, str) else str(default).lower())


@pytest.mark.parametrize("name", docs.PAGES)
def test_a_page_that_is_made_is_current(name: str) -> None:
    """Whoever adds a verb, a key or an error runs `make docs`."""
    assert (docs.TOP / name).read_text("utf-8") == docs.PAGES[name](), "run make docs"


def test_every_key_that_is_accepted_is_described() -> None:
    """The reference and the grammar have the same keys, in the same sections."""
    bare = {(section.strip("[]"), name) for section, name in read()}
    assert bare == {(section, key) for section, keys in settings.KEYS.items() for key in keys}


@pytest.mark.parametrize(("section", "name"), read())
def test_type_and_default_are_the_models(section: str, name: str) -> None:
    """What the reference says of a key is what happens when it is left out."""
    key, (hint, default) = read()[section, name], field(section, name)
    kind = key.kind.removesuffix(" from 1")
    assert (LISTS[0] if kind in LISTS else kind) == named(hint)
    told = WORDS.get((section, name))
    assert key.default == told if told else agrees(key.default, hint, default)


def test_a_wrong_default_or_comment_is_found() -> None:
    """The comparison can fail, and a key without its description is named."""
    assert not agrees('"11s"', float, 10.0) and not agrees("none", int, 5)
    assert not agrees('""', str, "web") and not agrees("true", bool, False)
    with pytest.raises(ValueError, match=r"\[web\] port"):
        docs.keys("[web]\n# the port\n#port = 80\n")


def test_the_command_line_page_has_every_verb_and_code() -> None:
    """No verb, no option and no exit code is left out."""
    page = docs.cli_page()
    for name, _, _ in cli.VERBS:
        assert f"## homeport {name}\n" in page
    for one in errors.every():
        assert f"| {one.code} | " in page
    more = "[--from REPOSITORY] [--keys FILE] [--from-local] [--unverified] [--why TEXT]"
    assert f"homeport restore [SET] {more}" in page
