"""What data-evidence holds its figures to: a figure that is missing is a promise not held."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from bench import data, evidence
from bench.data import PROMISES, SCENARIOS, Promise, exactly, table
from bench.images import TOP

CASES = [
    (Promise("a", "", most=3), {"a": 3}, ""),
    (Promise("a", "", most=3), {"a": 3.01}, "a: 3.01 is more than 3"),
    (Promise("a", "", least=20), {"a": 19}, "a: 19 is less than 20"),
    (exactly("a", ""), {"a": 0}, ""),
    (exactly("a", ""), {"a": 1}, "a: 1 is more than 0"),
    (exactly("a", ""), {}, "a: nobody measured it"),
    (exactly("a", ""), {"a": None}, "a: nobody measured it"),
]


@pytest.mark.parametrize(("promise", "figures", "why"), CASES)
def test_a_promise_is_held_or_says_why_not(
    promise: Promise, figures: dict[str, object], why: str
) -> None:
    """Bounds belong to what they allow."""
    assert promise.missed(figures) == why


def test_nothing_measured_is_nothing_held() -> None:
    """No promise passes for want of a figure, and the table shows that it is missing."""
    assert all(one.missed({}) for one in PROMISES)
    assert len({one.figure for one in PROMISES}) == len(PROMISES)
    lines = table({"snapshots": 20, "moves_acked_writes": 12345}).splitlines()
    assert lines[0].startswith("12,345  writes") and lines[1].startswith("     -  ")


#: a figure's name as a scenario writes it: as a key, or as an argument
COUNTED = re.compile(r"\b((?:damaged|inconsistent|snapshots|loss)_[a-z_]+)(?=\"[,:]|=[a-z])")


def test_what_the_scenarios_count_is_held() -> None:
    """What was tried and what of it was missed: a figure that nobody holds would fail nothing."""
    paths = [path for one in SCENARIOS for path in TOP.glob(one)]
    found = {name for path in paths for name in COUNTED.findall(path.read_text())}
    assert found >= {"damaged_backups_postgres_missed", "damaged_repositories_missed"}
    assert found <= {one.figure for one in PROMISES}


def test_figures_of_the_last_run_are_judged_without_a_new_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Code 1 as long as one figure is missing or beyond its bound; nothing is run."""
    monkeypatch.setattr(evidence, "FOLDER", tmp_path)
    monkeypatch.setattr(data, "measured", lambda path: pytest.fail("it ran the scenarios"))
    assert data.main(["--seen"]) == 1
    good = {one.figure: one.least if one.most is None else one.most for one in PROMISES}
    evidence.add("data", tmp_path, **good)
    assert data.main(["--seen"]) == 0
    evidence.add("data", tmp_path, moves_lost_writes=1)
    assert data.main(["--seen"]) == 1
    assert "NOT HELD: moves_lost_writes: 1 is more than 0" in capsys.readouterr().out
