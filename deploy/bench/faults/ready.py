"""What a rig is brought into before a run: the state that the run's plan begins with."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from typing import Any

from bench.faults.rig import FORGET, Rig
from bench.faults.way import Way


def nobody(way: Way) -> None:
    """Nobody has to be asked before data goes back."""


class Ready:
    """What is known of a rig, and the ways to a state of it. Steps of its own, never a repair."""

    def __init__(self, rig: Rig) -> None:
        self.rig = rig
        self.last: Mapping[str, Any] = {}
        self._turns = itertools.cycle(("one", "two"))
        # none is what the edge does already, however many changes before it came to nothing
        self._holds = itertools.cycle(f"{seconds}s" for seconds in range(46, 60))
        self._set = ""

    # --- what is known
    def learn(self, seen: Mapping[str, Any]) -> None:
        """Take in a look."""
        self.last = seen

    @property
    def first(self) -> Mapping[str, Any]:
        """The last look's own part."""
        found: Mapping[str, Any] = self.last.get("first", {})
        return found

    @property
    def live(self) -> str:
        """The release that serves, or nothing."""
        return str(self.first["current"]) if self.first.get("kind") == "release" else ""

    def image(self) -> str:
        """The image to deploy next, which is not the one before: of the schema that there is."""
        data = self.last.get("data")
        if data and data["schema"] == "0003":
            return self.rig.images["later"]
        return self.rig.images[next(self._turns)]

    def other(self) -> str:
        """The newest release that served and can be gone back to with the data as it is."""
        gone, needs = self.first.get("taken_back", ()), self.first.get("needs", {})
        schema = (self.last.get("data") or {}).get("schema", "")
        return next(
            (
                one
                for one in reversed(self.first.get("served", ()))
                if one in needs and one != self.live and one not in gone and needs[one] == schema
            ),
            "",
        )

    def words(self, way: Way) -> tuple[str, ...]:
        """What is typed now for a way."""
        values: dict[str, Callable[[], str]] = {
            "{next}": self.image,
            "{other}": self.other,
            "{set}": lambda: self._set,
        }
        known = {f"{{{name}}}": ref for name, ref in self.rig.images.items()}
        return tuple(values[w]() if w in values else known.get(w, w) for w in way.words)

    # --- what is done
    def run(self, way: Way, judged: Callable[[Way], None] = nobody) -> None:
        """Bring the rig where a run of the way can begin; ``judged`` before data goes back."""
        if not self.last:
            self.learn(self.rig.look(again=False))
        if "nothing" not in way.ready and not self.live:
            self.something()
        for name in way.ready:
            if name in ("schema_of_today", "nothing"):
                getattr(self, name)(lambda: judged(way))
            else:
                getattr(self, name)()
        if "{other}" in way.words and not self.other():
            self._good("deploy", self.image(), "--json", "--monitor", "0s", "--force")

    def _good(self, *words: str) -> None:
        ran = self.rig.type(*words)
        if ran.code:
            raise RuntimeError(f"homeport {' '.join(words)}: {ran.code}\n{ran.err[-2000:]}")
        self.learn(self.rig.look(again=False))

    def something(self) -> None:
        """Something serves."""
        for _ in range(2 if not self.live else 0):
            self._good("deploy", self.image(), "--json", "--monitor", "0s", "--force")

    def nothing(self, judged: Callable[[], None]) -> None:
        """Nothing was ever deployed, but for the journal."""
        judged()
        if self.live:
            self._good("remove", "--json")
        words = (self.rig.stage.app, self.rig.images["one"])
        self.rig.stage.on_host("python3", "-I", "-c", FORGET, *words)
        self.learn(self.rig.look(again=False))

    def schema_of_today(self, judged: Callable[[], None]) -> None:
        """The database has the schema before the later image's."""
        if (self.last.get("data") or {}).get("schema") != "0003":
            return
        judged()
        needs, of = self.first["needs"], self.first["of"]
        served = [one for one in self.first["served"] if needs.get(one) == "0002"]
        sets = sorted(name for name, schema in of.items() if schema == "0002")
        if self.live == served[-1]:
            # a compatible migration went ahead of a release that never came
            self._good("restore", sets[-1], "--json")
        else:
            self._good("rollback", served[-1], "--with-data", sets[-1], "--json", "--monitor", "0s")
        newer = [one for one in self.first["served"] if one > served[-1]]
        if len(newer) > 2:
            # or the releases of today would be let go one day, and with them the way back
            self._good("deploy", self.image(), "--json", "--monitor", "0s", "--force")

    def saved(self) -> None:
        """There is a set with all that was written, and a code that fits it."""
        if self._set not in self.first["sets"]:
            before = set(self.first["sets"])
            self._good("backup", "--json")
            self._set = max(set(self.first["sets"]) - before)

    def one_set_too_many(self) -> None:
        """A backup died before it let the oldest set go."""
        point = {"plan": "backup", "step": "prune-sets", "when": "before", "do": "kill"}
        self.rig.arm({**point, "effects": 0, "seconds": 0.0})
        self.rig.type("backup", "--json")
        self.learn(self.rig.look(again=False))

    def another_hold(self) -> None:
        """homeport.toml says something about the edge that it does not do yet."""
        self.rig.settings(hold=next(self._holds))

    def page(self) -> None:
        """The maintenance page is up."""
        if not self.first["page"]:
            self._good("maintenance", "on", "--json")

    def no_page(self) -> None:
        """It is not."""
        if self.first["page"]:
            self._good("maintenance", "off", "--json")

    def another_server(self) -> None:
        """The compose file wants the shared services otherwise than they are."""
        file = self.rig.stage.folder / "docker-compose.prod.yml"
        text, mark = file.read_text(), "      POSTGRES_USER: foodbudget\n"
        head, _, rest = text.partition(mark)
        rest = rest.partition("\n")[2] if rest.lstrip().startswith("TURN") else rest
        turn = f'      TURN: "{next(self._turns)}"\n'
        file.write_text(head + mark + turn + rest)
