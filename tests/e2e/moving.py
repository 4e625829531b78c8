"""What scenarios of a migration under traffic share: the images, a host of each kind, the count."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import conftest
from bench import evidence, images
from bench.moves import Moves
from lab.load import Load, Result, judge
from lab.registry import ensure_registry
from scenario import sending, status, under_way

#: what each image does, the exit code of its deploy, and whether it got as far as a hold
WORDS = "the shelf of points broke"
FAILS: dict[str, tuple[dict[str, Any], int, bool]] = {
    "rehearsal": ({"migrates": "raises-on-the-copy"}, 56, False),
    "raises": ({"migrates": "raises"}, 57, True),
    "hangs": ({"migrates": "hangs"}, 57, True),
    "unhealthy": ({"ready_live": 503}, 52, True),
}
#: seconds that a migration and a start may take where none is to hang: a busy machine is no
#: hanging one
PATIENT = {"within": 30, "start": 20}
#: which of them is waited out in a deploy that fails
WAITED = {"hangs": "within", "unhealthy": "start"}
FIGURES = ("failed_edge", "answered_5xx", "lost_writes", "doubled_writes")
COUNTED = ("requests", "acked_writes", *FIGURES)


class Total:
    """What the scenarios of one part count; the evidence has the sum over the parts that ran."""

    def __init__(self, part: str) -> None:
        self._part = part
        self._total = dict.fromkeys(COUNTED, 0)

    def counted(self, result: Result, moves: Moves) -> dict[str, Any]:
        """The figures of a load, in which nothing is wrong, added to the total."""
        figures = judge(result, moves.audit())
        for name in COUNTED:
            self._total[name] += int(str(figures[name]))
        odd = [one for one in result.requests if one.error]
        assert {name: figures[name] for name in FIGURES} == dict.fromkeys(FIGURES, 0), (
            figures["errors"],
            odd,
        )
        assert figures["acked_writes"]
        return figures

    def tell(self) -> None:
        """Write what was counted."""
        path = evidence.add("data", **{f"moves_of_{self._part}": self._total})
        known = json.loads(path.read_text())
        parts = [one for key, one in known.items() if key.startswith("moves_of_")]
        sums = {f"moves_{name}": sum(one[name] for one in parts) for name in COUNTED}
        evidence.add("data", **sums)


def made() -> dict[str, str]:
    """Images in the lab's registry: the one of today, a good later one, and those that fail."""
    bases = {"now": images.production(conftest.talk), "later": images.later(conftest.talk)}
    registry = ensure_registry(conftest.talk)
    wanted = {"now": ("now", {}), "good": ("later", {}), "slow": ("later", {"migrates": "takes 3"})}
    wanted |= {name: ("later", {"says": WORDS, **does}) for name, (does, _, _) in FAILS.items()}
    return {
        name: images.version(bases[base], registry, f"moves-{name}", {"version": name, **does})
        for name, (base, does) in wanted.items()
    }


@contextmanager
def serving(kind: str, name: str, now: str) -> Iterator[Moves]:
    """A host where the app of today serves, with rows in its database."""
    found = Moves.up(kind, conftest.talk, name)
    try:
        found.stage.deploy(now, "--monitor", "0s")
        found.fill()
        with sending(Load(found.stage.url, rate=100)) as load:
            under_way(load, 200)
        yield found
    finally:
        found.down()


def unchanged(moves: Moves, serves: str, link: str) -> None:
    """What served serves, on its own schema and whole data, and nothing is left to do."""
    seen = status(moves.stage)
    assert (seen["release"], seen["healthy"], seen["unfinished"]) == (serves, True, [])
    assert moves.stage.link() == link and moves.schema() == "0002"
    moves.sound()
    assert moves.stage.homeport("recover", "--json").data["outcome"] == "nothing-to-do"
    left = moves.stage.on_host("docker", "ps", "-aq", "--filter", "label=homeport.oneshot")
    assert left == "", "a one-shot container is left"
