"""Every point of every plan: a run dies there, and what always holds is looked at.

A point's run is the next deploy after the point before it, so that one that must work with no human
step is the next one's beginning; after each stretch of points a deploy and a rollback go through
undisturbed, and what people saw meanwhile is judged, by author and to the row.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from bench.faults.plans import UPGRADE, WAYS
from bench.faults import upgrade
from bench.faults.ready import Ready
from bench.faults.rig import Rig
from bench.faults.told import again, missed, told, unmeant
from bench.faults.way import Way

#: points between two looks at what people saw: a whole way's, but for the longest
STRETCH = 48
#: steps that depend on what lies on the host, or on how slow it was: images, how many sets of which
#: schema, and the page where data goes back for longer than requests may wait
COUNTED = ("pull", "prune-sets", "page", "unpage")
_MOVES = ("deploy", "rollback")


@dataclass(frozen=True)
class Point:
    """A moment of a step of a plan."""

    way: Way
    plan: str
    step: str
    when: str

    def __str__(self) -> str:
        step = self.step if self.plan == self.way.plans[0][0] else f"{self.plan}.{self.step}"
        return f"{self.way.name}/{step}/{self.when}"

    def meant(self, only: str) -> bool:
        """Whether ``PLAN[/STEP[/WHEN]]`` names it."""
        return all(a == b for a, b in zip(only.split("/"), str(self).split("/")) if a)


@dataclass
class Seen:
    """What became of a point: when it was, what was broken, and who was killed when."""

    point: str
    began: float
    ended: float = 0.0
    died: float = 0.0
    wrong: list[str] = field(default_factory=list)


@dataclass
class Tally:
    """What all points came to."""

    seen: list[Seen] = field(default_factory=list)
    plans_differ: list[str] = field(default_factory=list)
    #: ways that were given up, and why
    broke: list[str] = field(default_factory=list)
    lost: int = 0
    doubled: int = 0
    human_steps: int = 0
    second_recovery_changes: int = 0
    expectation_misses: int = 0
    acked: int = 0
    again_ms: list[int] = field(default_factory=list)

    @property
    def passed(self) -> int:
        """The points at which nothing was broken."""
        return sum(not one.wrong for one in self.seen)


def every(host: str = "", only: str = "") -> list[Point]:
    """The points there are, in the order of the list."""
    found = [
        Point(way, *one) for way in (*WAYS, UPGRADE) for one in way.points if host in ("", way.host)
    ]
    return [one for one in found if one.meant(only)]


def chosen(points: Sequence[Point], seed: int, most: int) -> list[Point]:
    """At most so many of the points, drawn by ``seed``; all where there are not more."""
    if len(points) <= most:
        return list(points)
    drawn = set(map(str, random.Random(seed).sample(list(points), most)))
    return [one for one in points if str(one) in drawn]


def committing(way: Way, point: Point) -> tuple[bool, bool]:
    """Whether the run may have made its release live when it died there, and whether it must."""
    names = [(plan, step) for plan, step, _ in way.steps]
    commit = (way.plans[0][0], "handover")
    if way.first is not None:
        done = way.first[1:] == ("handover", "after")
        return done, done
    if way.plans[0][0] not in _MOVES or commit not in names or len({p for p, _ in names}) > 1:
        return False, False
    at, mine = names.index(commit), names.index((point.plan, point.step))
    if mine != at:
        return mine > at, mine > at
    return point.when != "before", point.when == "after"


class Player:
    """Plays ways on a rig until the deadline, a moment of ``time.monotonic()``."""

    def __init__(
        self, rig: Rig, tally: Tally, seed: int, deadline: float, talk: Callable[[str], None]
    ) -> None:
        self.rig, self.tally, self.talk = rig, tally, talk
        self.ready = Ready(rig)
        self._dice, self._deadline = random.Random(seed), deadline

    def play(self, way: Way, points: list[Point]) -> None:
        """Try the points of a way, in an order that the seed fixes."""
        self.rig.settings(mode=way.mode, **dict(way.settings))
        took = self._undisturbed(way) if way is not UPGRADE else {}
        self._dice.shuffle(points)
        for at in range(0, len(points), STRETCH):
            if time.monotonic() > self._deadline:
                self.talk(f"{way.name}: the time is over, {len(points) - at} points are not tried")
                break
            self._stretch(way, points[at : at + STRETCH], took)
        self.rig.as_usual()

    # --- what an undisturbed run does
    def _undisturbed(self, way: Way) -> Mapping[tuple[str, str], Mapping[str, Any]]:
        """Carry the way out once; the effects and seconds of each step of it."""
        self.ready.run(way)
        first = [_plug(*way.first)] if way.first else []
        self.rig.arm(*first, {"do": "count"})
        if self.ready.live and self.rig.load is None:
            # a release that turns bad is found out by those who use it
            self.rig.people(way.writes)
        ran = self.rig.type(*self.ready.words(way))
        seen = self.rig.look(again=False)
        self.ready.learn(seen)
        took = {(one["plan"], one["step"].split()[0]): one for one in seen["seen"]}
        wanted = [(plan, step) for plan, step, _ in way.steps]
        same = [[one for one in names if one[1] not in COUNTED] for names in (took, wanted)]
        if same[0] != list(dict.fromkeys(same[1])):
            text = f"{way.name}: its run came to {list(took)}"
            self.tally.plans_differ.append(text)
            self.talk(f"{text}\n{ran.err[-900:] if ran.code != way.code else ''}")
        return took

    # --- a stretch of points
    def _stretch(
        self, way: Way, points: list[Point], took: Mapping[tuple[str, str], Mapping[str, Any]]
    ) -> None:
        tried: list[Seen] = []
        for point in points:
            self.ready.run(way, self._judged(tried))
            if self.rig.load is None and self.ready.live:
                self.rig.people(way.writes)
            tried.append(self.meet(way, point, took.get((point.plan, point.step), {})))
            mark = "ok" if not tried[-1].wrong else "WRONG " + "; ".join(tried[-1].wrong)
            self.talk(f"{point}  {tried[-1].ended - tried[-1].began:.1f} s  {mark}")
        if way.name.startswith("maintenance"):
            # whoever put the page up takes it down
            self.ready.no_page()
        broken = self._works()
        if broken:
            self.tally.human_steps += 1
            for one in tried:
                one.wrong += [f"afterwards {text}" for text in broken]
            self.talk(f"{way.name}: AFTERWARDS {'; '.join(broken)}")
            self.mend()
        self._judge(way, tried)
        self.tally.seen += tried

    def _judged(self, tried: list[Seen]) -> Callable[[Way], None]:
        """Data goes back: what people wrote is counted before that."""
        return lambda way: self._judge(way, tried)

    def meet(self, way: Way, point: Point, took: Mapping[str, Any]) -> Seen:
        """Let a run die at a point; ``took``: what its step came to in an undisturbed run."""
        seen = Seen(str(point), time.time())
        if way is UPGRADE:
            seen.wrong = upgrade.tried(self.rig, self.ready, point.step, point.when)
            seen.ended = time.time()
            return seen
        before = self.ready.live
        plug = _plug(point.plan, point.step, point.when)
        plug |= {"effects": len(took.get("effects", ())), "seconds": took.get("seconds", 0.0)}
        self.rig.arm(*([_plug(*way.first)] if way.first else []), plug)
        ran = self.rig.type(*self.ready.words(way))
        found = self.rig.look()
        seen.ended = time.time()
        self.ready.learn(found)
        died = found["died"] or {}
        if died.get("step") != point.step or died.get("when") != point.when:
            seen.wrong.append(f"the run never came there (exit code {ran.code})")
        seen.died = float(died.get("t", 0.0))
        if found["armed"]:
            self.rig.stage.on_host("rm", "-f", f"/opt/{self.rig.stage.app}/plug.json")
        serves = self._serves(way, point, before, found)
        page = way.name.startswith("maintenance") and bool(found["first"]["page"])
        wrong = self.rig.whole(serves, found, page)
        self.tally.second_recovery_changes += any("second recovery" in one for one in wrong)
        seen.wrong += wrong + list(told(ran, found))
        if point.plan not in ("recover", "take-back"):
            seen.wrong += unmeant(point.step, ran, found)
        return seen

    def _serves(
        self, way: Way, point: Point, before: str, found: Mapping[str, Any]
    ) -> tuple[str, ...]:
        """The releases of which one must serve after a death there."""
        if way.words[0] == "remove":
            at = [step for _, step, _ in way.steps].index(point.step)
            if point.step == "link" and point.when == "before":
                return (before,)
            # until the journal has the link's end, it is one that somebody took away
            return ("", before) if at == 0 else ("",)
        may, must = committing(way, point)
        mine = [one["release"] for one in found["first"]["runs"] if one["verb"] in _MOVES]
        new = mine[-1] if mine else ""
        return ((new,) if must else (before, new)) if may else (before,)

    def _works(self) -> list[str]:
        """Whether a deploy and a rollback work, with no human step."""
        deploy = self.rig.type("deploy", self.ready.image(), "--json", "--monitor", "0s", "--force")
        if deploy.code:
            return [f"a deploy ends with {deploy.code}: {deploy.err[-400:]}"]
        self.ready.learn(self.rig.look(again=False))
        other = self.ready.other()
        if other:
            back = self.rig.type("rollback", other, "--json", "--monitor", "0s")
            if back.code:
                return [f"a rollback to {other} ends with {back.code}: {back.err[-400:]}"]
        seen = self.rig.look()
        self.ready.learn(seen)
        return self.rig.whole((self.ready.live,), seen)

    def mend(self) -> None:
        """Get on after something broke, as a person would."""
        self.rig.type("recover", "--json")
        self.rig.type("deploy", self.ready.image(), "--json", "--monitor", "0s", "--force")
        self.ready.learn(self.rig.look(again=False))

    # --- what people saw
    def _judge(self, way: Way, tried: list[Seen]) -> None:
        gone = self.rig.gone()
        if gone is None:
            return
        result, figures = gone
        self.tally.lost += int(figures["lost_writes"])
        self.tally.doubled += int(figures["doubled_writes"])
        self.tally.acked += int(figures["acked_writes"])
        if figures["lost_writes"] or figures["doubled_writes"] or figures["damaged_writes"]:
            for one in tried:
                one.wrong.append(f"writes: {figures['lost_writes']} lost in this stretch")
            self.talk(f"{way.name}: WRITES {figures}")
        for request in missed(result, way.errors):
            self.tally.expectation_misses += 1
            at = result.wall(request.planned)
            hit = [one for one in tried if one.began <= at <= one.ended] or tried[-1:]
            said = request.edge or request.error or str(request.status)
            waited = " after too long a wait" if request.outcome == "ok" else ""
            text = f"somebody got {request.outcome} ({said}){waited}"
            if hit and text not in hit[0].wrong:
                hit[0].wrong.append(text)
                self.talk(f"{hit[0].point}: PEOPLE {text}")
        for one in tried:
            self.tally.again_ms += again(result, one.died, one.ended)


def _plug(plan: str, step: str, when: str) -> dict[str, Any]:
    return {"plan": plan, "step": step, "when": when, "do": "kill", "effects": 0, "seconds": 0.0}
