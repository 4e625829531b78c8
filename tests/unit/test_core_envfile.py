"""Env files: names found, lines carried as they stand. The table is Compose 2.40's own reading."""

from __future__ import annotations

import pytest
from homeport.core import envfile
from hypothesis import given
from hypothesis import strategies as st

ENTRIES = {
    "": {},
    "A=1\nB=2\n": {"A": "A=1", "B": "B=2"},
    "# A=1\n\n  \nB=2": {"B": "B=2"},
    "A=1\nA=2\n": {"A": "A=2"},
    "export A=1\n": {"A": "export A=1"},
    "  A = 1\n": {"A": "  A = 1"},
    "A=\n": {"A": "A="},
    "A\n": {"A": "A"},
    "A=a=b # c\n": {"A": "A=a=b # c"},
    "a.b-c=1\n": {"a.b-c": "a.b-c=1"},
    "1A=1\n=2\nA B\n": {},
    'A="x"\nB=2\n': {"A": 'A="x"', "B": "B=2"},
    'A="x\ny"\nB=2\n': {"A": 'A="x\ny"', "B": "B=2"},
    'A="x\n# y\nC=3\n"\nB=2\n': {"A": 'A="x\n# y\nC=3\n"', "B": "B=2"},
    "A='x\ny'\nB=2\n": {"A": "A='x\ny'", "B": "B=2"},
    'A="x\\"\ny"\nB=2\n': {"A": 'A="x\\"\ny"', "B": "B=2"},
    "A='x\\' y'\nB=2\n": {"A": "A='x\\' y'", "B": "B=2"},
    "A='x\\\\'\nB=2\n": {"A": "A='x\\\\'", "B": "B=2"},
    'A: 1\nB: "x\ny"\n': {"A": "A: 1", "B": 'B: "x\ny"'},
    "A=x\rB=2\n": {"A": "A=x\rB=2"},
    'A="x" # c\nB=2\n': {"A": 'A="x" # c', "B": "B=2"},
    'A="never closed\nB=2\n': {"A": 'A="never closed\nB=2\n'},
    'A=x"y\nB=2\n': {"A": 'A=x"y', "B": "B=2"},
    'A="it\'s"\nB=2\n': {"A": 'A="it\'s"', "B": "B=2"},
    'A="x\\\\"\nB=2\n': {"A": 'A="x\\\\"', "B": "B=2"},
    "A=$B${C}\n": {"A": "A=$B${C}"},
    "A=1\r\nB=2\r\n": {"A": "A=1", "B": "B=2"},
    "A=x\x0cy\nB=2\n": {"A": "A=x\x0cy", "B": "B=2"},
}


@pytest.mark.parametrize("text", ENTRIES)
def test_entries(text: str) -> None:
    """Name to lines; what is no setting is left out, what is quoted may run over lines."""
    assert envfile.entries(text) == ENTRIES[text]


KEPT = "MODE=old\nTOKEN=old\nGONE=old\n"
TODAY = 'MODE=new\nTOKEN="new\nline"\nADDED=new\n'


def test_the_named_ones_are_todays() -> None:
    """Changed, added and gone with today's file; the others stay with their release."""
    names = ["TOKEN", "GONE", "ADDED", "NOWHERE"]
    text = 'MODE=old\nTOKEN="new\nline"\nADDED=new\n'
    assert envfile.with_todays(KEPT, TODAY, names) == text
    assert envfile.with_todays(KEPT, TODAY, ()) == KEPT
    assert envfile.with_todays("", "", ["A"]) == ""


def test_differing_names_never_values() -> None:
    """Sorted names of what was added, changed or taken away."""
    assert envfile.differing(KEPT, TODAY) == ("ADDED", "GONE", "MODE", "TOKEN")
    assert envfile.differing("A=1\n# x\nB=2\n", "B=2\nA=1\n") == ()


NAMES = st.from_regex(r"[A-Z][A-Z0-9_]{0,5}", fullmatch=True)
PLAIN = st.text("abc $#{}=:/\\", max_size=8).map(lambda text: "v" + text)
VALUES = PLAIN | st.text("abc \n#=$'", max_size=8).map(lambda text: f'"{text}"')
FILES = st.dictionaries(NAMES, VALUES, max_size=5).map(
    lambda found: "".join(f"{name}={value}\n" for name, value in found.items())
)


@given(FILES, FILES, st.lists(NAMES, max_size=3))
def test_merging_is_what_it_says_for_every_file(kept: str, today: str, names: list[str]) -> None:
    """Named ones equal today's, the others the kept ones', and a second time changes nothing."""
    merged = envfile.with_todays(kept, today, names)
    old, new, found = (envfile.entries(one) for one in (kept, today, merged))
    for name in old.keys() | new.keys():
        assert found.get(name) == (new if name in names else old).get(name)
    assert envfile.with_todays(merged, today, names) == merged
    assert set(envfile.differing(merged, today)).isdisjoint(names)


@given(st.text(max_size=40))
def test_any_text_is_read(text: str) -> None:
    """A broken file gives what can be told, and its own lines read the same again."""
    found = envfile.entries(text)
    assert envfile.entries("".join(f"{line}\n" for line in found.values())) == found
