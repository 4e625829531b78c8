"""What a journal tells of the freeze and of a request asked twice, and which words are let in."""

from __future__ import annotations

import pytest
from builders import line
from homeport.core import freeze, journal, words
from homeport.core.freeze import Freeze

ONE, TWO = "r0001-1111111", "r0002-2222222"
ANN = {"who": "ann", "why": "bad colours", "url": "https://git.example/1"}


def run(name: str, at: float, verb: str, release: str = "", **begun: object) -> list[str]:
    """A run that went well, from its begin to its end; with a release, committed on the way."""
    lines = [line("begin", name, at, verb=verb, release=release, cause=ANN, **begun)]
    if release:
        lines.append(line("done", name, at + 1, step="handover", committed=release))
    return [*lines, line("end", name, at + 2, outcome="deployed", code=0)]


FROZEN = run("f", 10.0, "freeze", freeze=True)
BACK = run("b", 20.0, "rollback", ONE, freeze=True)
FREEZES: dict[str, tuple[list[str], float | None]] = {
    "nothing": ([], None),
    "freeze": (FROZEN, 12.0),
    "rollback --freeze, from its commit on": (BACK, 21.0),
    "rollback --freeze, before its end": (BACK[:2], 21.0),
    "rollback --freeze, before its commit": (BACK[:1], None),
    "rollback --freeze that failed": (
        [BACK[0], line("end", "b", 23.0, outcome="failed", code=52)],
        None,
    ),
    "rollback --freeze to what is live already": (
        [BACK[0], line("end", "b", 23.0, outcome="already-live", code=0)],
        23.0,
    ),
    "rollback --freeze whose commit a recovery wrote down": (
        [
            BACK[0],
            line("begin", "r", 30.0, verb="recover", release=ONE),
            line("done", "r", 31.0, step="handover", committed=ONE),
        ],
        31.0,
    ),
    "rollback": (run("b", 20.0, "rollback", ONE), None),
    "rollback --freeze that was taken back": (
        [
            *BACK[:2],
            line("begin", "b-back", 22.0, verb="take-back", release=TWO),
            line("done", "b-back", 23.0, step="handover", committed=TWO),
            line("end", "b", 24.0, outcome="taken-back", code=54),
        ],
        21.0,
    ),
    "unfreeze": ([*FROZEN, *run("u", 20.0, "unfreeze", freeze=False)], None),
    "unfreeze and freeze": (
        [
            *FROZEN,
            *run("u", 20.0, "unfreeze", freeze=False),
            *run("g", 30.0, "freeze", freeze=True),
        ],
        32.0,
    ),
    "a deploy that does not ask": ([*FROZEN, *run("d", 20.0, "deploy", TWO)], 12.0),
    "deploy --unfreeze": ([*FROZEN, *run("d", 20.0, "deploy", TWO, freeze=False)], None),
    "deploy --unfreeze that failed": (
        [
            *FROZEN,
            line("begin", "d", 20.0, verb="deploy", release=TWO, freeze=False),
            line("end", "d", 21.0, outcome="failed", code=52),
        ],
        12.0,
    ),
    "remove": ([*FROZEN, line("begin", "x"), line("end", "x", outcome="removed", code=0)], None),
    "of another type": (run("f", 10.0, "freeze", freeze="yes"), None),
}


@pytest.mark.parametrize("name", FREEZES)
def test_the_freeze(name: str) -> None:
    """The newest run that asked for it and succeeded decides; a commit is success."""
    lines, at = FREEZES[name]
    found = journal.fold(lines).freeze
    assert found == (Freeze("ann", "bad colours", "https://git.example/1", at) if at else None)


ASKED = run("a", 1.0, "deploy", ONE, key="k")
FAILED = [
    line("begin", "b", 10.0, verb="deploy", release=TWO, key="k"),
    line("end", "b", 11.0, outcome="failed", code=52),
]
ANSWERS: dict[str, tuple[list[str], str]] = {
    "nobody asked": (run("a", 1.0, "deploy", ONE), ""),
    "asked under another key": (run("a", 1.0, "deploy", ONE, key="j"), ""),
    "done": (ASKED, "a"),
    "going on": (ASKED[:2], ""),
    "failed": (FAILED, ""),
    "done and then failed": ([*ASKED, *FAILED], ""),
    "failed and then done": ([*FAILED, *run("c", 20.0, "deploy", TWO, key="k")], "c"),
    "another release went live since": ([*ASKED, *run("b", 10.0, "deploy", TWO)], ""),
    "recovered since": ([*ASKED, *run("r", 10.0, "recover", ONE)], "a"),
    "frozen since": ([*ASKED, *FROZEN], "a"),
    "another release failed since": ([*ASKED, *[one.replace('"k"', '"j"') for one in FAILED]], "a"),
}


@pytest.mark.parametrize("name", ANSWERS)
def test_a_request_asked_again(name: str) -> None:
    """The newest run of its key answers, if it ended well and what it did still stands."""
    lines, expected = ANSWERS[name]
    found = journal.fold([one.replace('"key": "k"', '"key": "KK"') for one in lines])
    run_ = found.answered("KK")
    assert (run_.id if run_ else "") == expected
    assert found.answered("") is None


def test_what_a_deploy_is_told() -> None:
    """Since when, by whom, why, where to read on, and both ways out."""
    told = freeze.problem(Freeze("ann", "bad colours", "https://git.example/1", 100.0), 400.0)
    assert told.text() == (
        "app: deploys are frozen since 5 min\n"
        "  why:  by ann: bad colours (https://git.example/1)\n"
        "  mend: homeport unfreeze; or homeport deploy --unfreeze, which lifts it and deploys in"
        " one go"
    )
    assert freeze.problem(Freeze(), 0.0).why == "by somebody"


EVIL = (
    *("$(id)", "a;b", "-oProxyCommand=x", "--host=x", "../x", "a b", "a\nb", "a\x00b", "`id`"),
    *(
        "r0001-1a2b3c4\n",
        "\nr0001",
        "r0001-1A2B3C4",
        "r0001-1a2b3c45",
        "r1",
        "r٠٠٠١",
        "r0001/..",
        "",
    ),
)


@pytest.mark.parametrize("text", EVIL)
def test_what_is_no_release(text: str) -> None:
    """Matched whole: a part that looks good is not enough."""
    assert not words.is_release(text)


@pytest.mark.parametrize("text", ["r0042", "r0042-1a2b3c4", "42", "r12345-0000000"])
def test_what_is_a_release(text: str) -> None:
    """The slot, the id, the bare number."""
    assert words.is_release(text)


@pytest.mark.parametrize("text", ["$(id)", "a;b", "-oProxyCommand=x", "a b", "a\n", "", "a" * 513])
def test_what_is_no_image(text: str) -> None:
    """No option, no space, nothing of a shell's, not too long."""
    assert not words.is_image(text)


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("bad colours", "bad colours"),
        ("two\nlines\r\n", "two lines"),
        ("\x1b[31mred\x00", "[31mred"),
        ("turned\u202eround\u2028", "turned round"),
        ("x" * 501, "x" * 499 + "…"),
        ("x" * 500, "x" * 500),
        ("Grüße, 日本", "Grüße, 日本"),
    ],
)
def test_a_sentence(text: str, clean: str) -> None:
    """One line, nothing that steers a terminal, not too long; every script is let be."""
    assert words.sentence(text) == clean
