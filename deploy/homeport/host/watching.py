"""Looking on at a release that serves: its containers, what the edge counts, checks through it."""

from __future__ import annotations

import http.client
import ssl
import time
from contextlib import suppress
from dataclasses import asdict, replace
from typing import Any

from homeport.core.verdicts import Count, Look, bad, figures
from homeport.host import causes
from homeport.host.causes import SERVICE
from homeport.host.context import Context
from homeport.host.probe import Answer, Slot, ask, judge, through_edge
from homeport.model import Release, Smoke

#: checks through the edge and looks at its counters are this far apart, in seconds
PACE = 1.0
#: between them only the containers are looked at, this often
PAUSE = 0.25
KEPT = 16


class Watching:
    """One release under watch. ``looks`` are one a pace, the last one as fresh as can be."""

    def __init__(self, ctx: Context, release: Release, began: Count | None) -> None:
        """``began``: what the edge had counted at the handover, where that is known."""
        self.looks: list[Look] = []
        self.release = release
        self._ctx = ctx
        self._site = ctx.edge.site(release.settings)
        self._first = {
            one["Id"]: (one["Labels"].get(SERVICE, "?"), _restarts(ctx, one["Id"]))
            for one in ctx.containers(release.slot)
        }
        self._began = began if began is not None else ctx.edge.answers(self._site)
        self._mine = Count()
        self._next, self._checks = time.monotonic(), 0

    def look(self) -> Look:
        """Look once more; a check through the edge is made when one is due.

        The containers come first: where one is down the check would be held for seconds.
        """
        now = time.monotonic()
        due = now >= self._next or not self.looks
        last = self.looks[-1] if self.looks else Look(now)
        seen = self._at_containers(last.smoke, last.count)
        if due and not bad([replace(seen, smoke="")]):
            self._next, self._checks = now + PACE, self._checks + 1
            smoke = self._through_edge()
            seen = self._at_containers(smoke, self._counted())
            # a watch without an end needs no more of the past than a verdict reads
            self.looks = [*self.looks[-KEPT:], seen]
        elif self.looks:
            # the last check's result stands until the next
            self.looks[-1] = seen
        else:
            self.looks.append(seen)
        return seen

    def told(self, before: Count | None) -> dict[str, Any]:
        """The last look as an event carries it; ``before`` is how the release before did."""
        last = self.looks[-1]
        return {
            "release": self.release.id,
            "text": figures(self.looks),
            "bad": bad(self.looks, before),
            "smoke": last.smoke,
            "checks": last.checks,
            "restarts": dict(last.restarts),
            **asdict(last.count),
        }

    def _at_containers(self, smoke: str, count: Count) -> Look:
        down, unhealthy, starved = [], [], []
        restarts: dict[str, int] = {}
        for name, (service, before) in self._first.items():
            seen = self._ctx.engine.inspect(name) or {}
            state = seen.get("State") or {}
            more = int(seen.get("RestartCount") or 0) - before
            if more > 0:
                restarts[service] = more
            # a service that runs once may end well; the one that answers may not end
            once = state.get("ExitCode") == 0 and service != self.release.web
            if not state.get("Running") and not once:
                down.append(service)
            if (state.get("Health") or {}).get("Status") == "unhealthy":
                unhealthy.append(service)
            if causes.starved(seen):
                starved.append(service)
        now = time.monotonic()
        kinds = (tuple(down), tuple(unhealthy), smoke, tuple(starved))
        return Look(now, tuple(restarts.items()), *kinds, count, self._checks)

    def _counted(self) -> Count:
        """Answers to people since the handover: the engine's own checks are none of theirs."""
        found = self._ctx.edge.answers(self._site)
        if found is None or self._began is None:
            return Count()
        if found.asked < self._began.asked:
            # the edge loaded a configuration and counts anew
            self._began = self._mine = Count()
        every = found.since(self._began)
        mine = self._mine
        return every.since(
            Count(
                min(mine.asked, every.asked),
                min(mine.failed, every.failed),
                min(mine.cut, every.cut),
            )
        )

    def _through_edge(self) -> str:
        """Ask what a user would ask; why it was not good, or nothing."""
        why, checks = "", self.release.settings.smoke
        for one in checks or (Smoke(self.release.settings.web.ready),):
            try:
                answer, counted = self._asked(one)
            except (OSError, http.client.HTTPException) as error:
                why = why or f"GET {one.path} through the edge: {error or type(error).__name__}"
                continue
            if counted:
                wrong, cut = answer.status >= 500 and not answer.edge, bool(answer.edge)
                mine = self._mine
                self._mine = Count(mine.asked + 1, mine.failed + wrong, mine.cut + cut)
            if checks:
                why = why or judge(one, answer, self._ctx.masked)
            elif answer.status >= 400:
                why = why or f"GET {one.path} through the edge: {answer.status}"
        return why

    def _asked(self, one: Smoke) -> tuple[Answer, bool]:
        """The edge's answer; the slot's own while the edge cannot ask it for reasons of the edge's.

        These are a maintenance page that is up, a certificate that is still on its way, and an
        edge that is being made anew. With it: whether the edge counts that request.
        """
        name, paths = str(self._site["name"]), self._ctx.paths
        if not paths.maintenance.exists():
            with suppress(ssl.SSLError, ConnectionRefusedError, ConnectionResetError):
                return ask(through_edge(self._site, one.within), one.path, name), True
        slot = Slot(paths, self._ctx.engine, self.release)
        return ask(slot.connection(one.within), one.path, name), False


def _restarts(ctx: Context, container: str) -> int:
    return int((ctx.engine.inspect(container) or {}).get("RestartCount") or 0)
