"""Every other fault with every plan: what people saw, and what always holds, afterwards.

A fault that comes before a run is met by the run's own recovery. One that comes during a run does
so at a step that the seed draws, while the run waits there.
"""

from __future__ import annotations

import math
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from bench.faults import others
from bench.faults.choice import Pair
from bench.faults.ready import Ready
from bench.faults.rig import Rig
from bench.faults.told import again, missed
from bench.stage import until

#: how long a run may take that waits, dies, or is recovered, in seconds
PATIENCE = 150.0
#: faults that may leave a garbled line, which stays in the journal
_SPOIL = ("journal's last line torn", "journal garbled", "disk full")


@dataclass
class Met:
    """What became of a pair."""

    pair: str
    wrong: list[str] = field(default_factory=list)
    outage_s: float = 0.0
    seconds: float = 0.0


@dataclass
class Pairs:
    """What all of them came to."""

    met: list[Met] = field(default_factory=list)
    lost: int = 0
    doubled: int = 0
    acked: int = 0
    human_steps: int = 0
    second_recovery_changes: int = 0
    expectation_misses: int = 0

    @property
    def passed(self) -> int:
        """The pairs at which nothing was broken."""
        return sum(not one.wrong for one in self.met)


class PairPlayer:
    """Plays pairs on a rig of the kind "sqlite" until the deadline, of ``time.monotonic()``."""

    def __init__(
        self, rig: Rig, tally: Pairs, deadline: float, talk: Callable[[str], None]
    ) -> None:
        self.rig, self.tally, self.talk = rig, tally, talk
        self.ready, self._deadline = Ready(rig), deadline
        others.small_disk(others.Hand(rig))
        others.a_clock(others.Hand(rig))
        first = rig.type("deploy", self.rig.images["one"], "--json", "--monitor", "0s")
        if first.code:
            raise RuntimeError(f"the first deploy: {first.code}\n{first.err[-2000:]}")

    def play(self, pairs: Sequence[Pair]) -> None:
        """Try them one after the other."""
        for pair in pairs:
            if time.monotonic() > self._deadline:
                self.talk("the time is over")
                return
            met = self.meet(pair)
            self.tally.met.append(met)
            mark = "ok" if not met.wrong else "WRONG " + "; ".join(met.wrong)
            self.talk(f"{met.pair}  {met.seconds:.1f} s  {mark}")

    def meet(self, pair: Pair) -> Met:
        """Bring a pair about and look at what comes of it."""
        met, begun = Met(str(pair)), time.monotonic()
        self.rig.settings(mode=pair.way.mode)
        self.ready.run(pair.way)
        before, words = self.ready.live, self._words(pair)
        garbled = self.rig.look(again=False)["first"]["garbled"]
        self.rig.people()
        hand = others.Hand(self.rig)
        bring = others.BRING[pair.fault.name]
        if pair.fault.moment == "before":
            bring(hand)
            ran = self.rig.type(*words)
            since = time.time()
            if ran.code:
                met.wrong.append(f"the run ends with {ran.code}: {ran.err[-300:]}")
        else:
            since = self._during(pair, hand, bring, words, met)
        others.mend(hand, pair.fault.name)
        self._settled(met, hand)
        self._answers(met)
        seen = self.rig.look()
        self.ready.learn(seen)
        # a garbled line stays in the journal, whichever pair has left it
        spoilt = seen["first"]["garbled"] if pair.fault.name in _SPOIL else garbled
        seen["first"]["garbled"] = max(0, seen["first"]["garbled"] - spoilt)
        mine = [one["release"] for one in seen["first"]["runs"] if one["release"]]
        wrong = self.rig.whole((before, *mine), seen)
        self.tally.second_recovery_changes += any("second recovery" in one for one in wrong)
        met.wrong += wrong
        self._works(met)
        self._judge(pair, met, since)
        met.seconds = time.monotonic() - begun
        return met

    def _words(self, pair: Pair) -> tuple[str, ...]:
        words = self.ready.words(pair.way)
        if pair.fault.name != "registry gone":
            return words
        # one that is not on the host, so that it has to be pulled
        ref = self.rig.images["turns"]
        self.rig.stage.on_host("docker", "image", "rm", "-f", ref, check=False)
        return tuple(ref if word in self.rig.images.values() else word for word in words)

    def _during(
        self,
        pair: Pair,
        hand: others.Hand,
        bring: Callable[[others.Hand], None],
        words: Sequence[str],
        met: Met,
    ) -> float:
        """The run with the fault in the middle of it; when that was."""
        point = {"plan": pair.way.plans[0][0], "step": pair.step, "when": "before"}
        self.rig.arm({**point, "do": "pause", "effects": 0, "seconds": 0.0})
        here = f"/opt/{self.rig.stage.app}/plug.here"
        hand.typed = self.rig.typing(words)
        try:
            wait = f"for i in $(seq 900); do test -e {here} && exit 0; sleep 0.1; done; exit 1"
            hand.sh(wait)
            since = time.time()
            bring(hand)
            hand.sh(f"rm -f {here}")
            if pair.fault.since == "Docker answers":
                others.docker_answers(hand)
                since = time.time()
            hand.typed.wait(PATIENCE)
        except (subprocess.TimeoutExpired, RuntimeError) as error:
            met.wrong.append(f"the run did not come to its end: {error}")
            since = time.time()
        finally:
            hand.typed.kill()
            hand.typed.wait()
        return since

    def _settled(self, met: Met, hand: others.Hand) -> None:
        """Wait until nobody carries a run out any more and none is without an end."""

        def done() -> bool:
            return not self.rig.stage.homeport("status", "--json", check=False).code and not (
                self._status().get("running") or self._status().get("unfinished")
            )

        try:
            until(done, PATIENCE, "a run that goes on or has no end", 0.5)
        except TimeoutError as error:
            met.wrong.append(str(error))

    def _status(self) -> dict[str, Any]:
        ran = self.rig.type("status", "--json")
        return dict(ran.data) if ran.code == 0 else {"running": "?"}

    def _answers(self, met: Met) -> None:
        """Wait until a release answers, or say that none does."""

        def good() -> bool:
            try:
                return self.rig.stage.get("/load/read", timeout=5)[0] == 200
            except OSError:
                return False

        try:
            until(good, 60, "nobody is answered", 0.1)
        except TimeoutError as error:
            met.wrong.append(str(error))

    def _works(self, met: Met) -> None:
        """A deploy and a rollback work, with no human step."""
        deploy = self.rig.type("deploy", self.ready.image(), "--json", "--monitor", "0s", "--force")
        found = (
            [] if deploy.code == 0 else [f"a deploy ends with {deploy.code}: {deploy.err[-300:]}"]
        )
        self.ready.learn(self.rig.look(again=False))
        other = self.ready.other()
        if not found and other:
            back = self.rig.type("rollback", other, "--json", "--monitor", "0s")
            if back.code:
                found = [f"a rollback ends with {back.code}: {back.err[-300:]}"]
            self.ready.learn(self.rig.look(again=False))
        self.tally.human_steps += bool(found)
        met.wrong += [f"afterwards {text}" for text in found]
        if found:
            self.rig.type("recover", "--json")
            self.ready.learn(self.rig.look(again=False))

    def _judge(self, pair: Pair, met: Met, since: float) -> None:
        """What people saw, held to the table; an outage by who asked after it began."""
        gone = self.rig.gone()
        if gone is None:
            return
        result, figures = gone
        self.tally.acked += int(figures["acked_writes"])
        self.tally.lost += int(figures["lost_writes"])
        self.tally.doubled += int(figures["doubled_writes"])
        if figures["lost_writes"] or figures["doubled_writes"]:
            met.wrong.append(f"writes: {figures['lost_writes']} lost")
        fault, found = pair.fault, []
        if fault.felt == "outage":
            answered = again(result, since, math.inf)
            met.outage_s = answered[0] / 1000 if answered else math.inf
            if met.outage_s > fault.within:
                found.append(f"nobody was answered for {met.outage_s:.1f} s")
        else:
            errors = ("answered_5xx",) if fault.suffers else ()
            for request in missed(result, errors):
                said = request.edge or request.error or str(request.status)
                found.append(
                    f"a {request.kind} {request.outcome} ({said}), {request.latency:.0f} s"
                )
        self.tally.expectation_misses += len(found)
        met.wrong += list(dict.fromkeys(found))[:4]


def figures(wanted: int, tally: Pairs, seed: int) -> dict[str, Any]:
    """What goes into the evidence."""
    return {
        "pairs": wanted,
        "pairs_tried": len(tally.met),
        "pairs_passed": tally.passed,
        "pairs_broken": {one.pair: one.wrong for one in tally.met if one.wrong},
        "pairs_seed": seed,
        "pairs_acked_writes": tally.acked,
        "pairs_lost_writes": tally.lost,
        "pairs_doubled_writes": tally.doubled,
        "pairs_human_steps": tally.human_steps,
        "pairs_second_recovery_changes": tally.second_recovery_changes,
        "pairs_expectation_misses": tally.expectation_misses,
    }
