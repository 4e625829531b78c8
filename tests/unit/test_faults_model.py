"""The host's own code in a model: disturbed anywhere it ends well, and a planted mistake shows.

The model runs the executor, recovery, the store, the lock, the guardian and the boot hook as they
are, on a disk and an Engine that can stop at any effect (``bench.model``).
"""

from __future__ import annotations

from pathlib import Path

import pytest

from bench import evidence
from bench.faults.mutants import MUTANTS, Mutant, named
from bench.model import mutated
from bench.model.disk import Disk

#: one scenario a mode, so that it does not take long; ``make test-faults`` goes through all
EXPLORED = (
    "overlap deploy after 0",
    "single-writer deploy after 1",
    "exclusive deploy after 1",
    "recreate rollback after 2",
)


def test_whatever_disturbs_a_deploy_the_host_ends_well() -> None:
    """No state of the model breaks a promise, and each is left by a run that puts it in order."""
    told = [mutated.explored(1, only) for only in EXPLORED]
    states = sum(one["states"] for one in told)
    bad = [one["violation"] for one in told if one["violation"]]
    print(f"{states} states of the model")
    evidence.add("faults", model_states=states, model_violations=len(bad))
    assert not bad and all(one["scenarios"] == 1 for one in told)
    assert states > 4000, "the model did not go everywhere"


def test_every_broken_protocol_is_caught() -> None:
    """A model that misses a planted mistake would miss a real one."""
    missed = [one.name for one in MUTANTS if not mutated.caught(one)]
    evidence.add("faults", protocol_mutants=len(MUTANTS), protocol_mutants_missed=len(missed))
    assert len(MUTANTS) >= 8 and not missed


def test_a_mutant_whose_text_is_gone_says_so(tmp_path: Path) -> None:
    """The code has moved on: then the mutant would be no mistake at all, and be called caught."""
    (tmp_path / "core").mkdir()
    (tmp_path / "core" / "a.py").write_text("one = 1\none = 1\n")
    for old in ("two", "one = 1"):
        with pytest.raises(LookupError, match="not once"):
            Mutant("x", "core/a.py", ((old, "three"),)).apply(tmp_path)
    with pytest.raises(LookupError, match="no mutant"):
        named("none")
    assert named(MUTANTS[0].name) is MUTANTS[0]


def test_a_power_cut_keeps_what_was_synced_and_may_lose_the_rest() -> None:
    """A name without its folder's sync, a content without its file's: each may be gone."""
    disk = Disk()
    disk.create("/a/live", b"old")
    disk.sync_all()
    number = disk.create("/a/new", b"fresh")
    disk.rename("/a/new", "/a/live")
    left = {way: one.files() for way, one in disk.after_cut()}
    assert left == {
        "all kept": {"/a/live": b"fresh"},
        "all lost": {"/a/live": b"old"},
        "names without contents": {"/a/live": b""},
        "a torn line": {"/a/live": b"fr"},
    }
    disk.sync(number)
    disk.sync_folder("/a")
    assert [one.files() for _, one in disk.after_cut()] == [{"/a/live": b"fresh"}]
