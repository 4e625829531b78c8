"""A host of the model: its disk, its containers, its data, and what must never be seen of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any

from bench.model.disk import Disk
from homeport.backups import Migrate
from homeport.core import journal
from homeport.core import link as links
from homeport.core.facts import Facts
from homeport.core.maintenance import PAGE, Maintenance
from homeport.model import Container, DeployRules, Mode, Release, Settings, Web

APP, ROOT = "shop", "/opt"
FOLDER, SOCKETS = f"{ROOT}/{APP}", f"{ROOT}/homeport/run/{APP}"
LINK, JOURNAL, LOCK = f"{SOCKETS}/live", f"{FOLDER}/journal.jsonl", f"{FOLDER}/lock"
MOVING = ("web", "worker")


class Violation(BaseException):
    """A promise is broken. No ``except Exception`` of the host's may take it for a mistake."""


# a line says the same whenever it is read, and is read after every effect
journal._parse = lru_cache(maxsize=50_000)(journal._parse)


@lru_cache(maxsize=20_000)
def folded(lines: tuple[str, ...]) -> journal.History:
    """The history of a journal: mostly a line more than one that was asked for before."""
    return journal.fold(lines[-1:], folded(lines[:-1])) if lines else journal.History()


def told(text: bytes) -> journal.History:
    """The history that a journal's bytes tell, read as the host reads them."""
    return folded(tuple(text.decode("utf-8", "replace").split("\n")))


@lru_cache(maxsize=None)
def release(number: int, mode: Mode, schema: str) -> Release:
    """A release of the app; with a schema it has migrations."""
    slot, mark = f"r{number:04d}", f"{number:07x}"
    rules = Migrate(("up",), ("look",)) if schema else None
    web = Web(standby=True)
    return Release(
        id=f"{slot}-{mark}",
        image=f"reg/{APP}@sha256:{mark}",
        digest=f"sha256:{mark}",
        fingerprint=f"print-{number}",
        link=links.address(APP, slot, web),
        mode=mode,
        web="web",
        moving=MOVING,
        created=float(number),
        settings=Settings(APP, web=web, deploy=DeployRules(), migrate=rules),
        schema=schema,
        policies={name: "unless-stopped" for name in MOVING},
    )


@dataclass(frozen=True)
class Box:
    """A container."""

    running: bool = False
    policy: str = "no"


@dataclass
class Machine:
    """All that outlives a process. The last fields are what nobody there could read:

    ``tags`` is which release had last been named when a link was written, by the link's file;
    ``asked`` the slots that may have requests in flight; ``calm`` until something is disturbed;
    ``quaked`` once containers were stopped by anybody else than the host's agent.
    """

    exclusive: bool
    disk: Disk = field(default_factory=Disk)
    releases: dict[str, Release] = field(default_factory=dict)
    boxes: dict[tuple[str, str], Box] = field(default_factory=dict)
    data: str = ""
    sets: dict[str, str] = field(default_factory=dict)
    answered: frozenset[str] = frozenset()
    runs: int = 0
    tags: dict[int, str] = field(default_factory=dict)
    asked: frozenset[str] = frozenset()
    calm: bool = True
    quaked: bool = False

    def copy(self) -> Machine:
        """The same machine once more."""
        return replace(
            self,
            disk=self.disk.copy(),
            releases=dict(self.releases),
            boxes=dict(self.boxes),
            sets=dict(self.sets),
            tags=dict(self.tags),
        )

    # --- what is seen
    @property
    def link(self) -> str | None:
        """What the link says."""
        number = self.disk.names.get(LINK)
        return None if number is None else self.disk.data[number].decode()

    @property
    def expected(self) -> str:
        """The release that was named last by the link: what serves, or is to serve again."""
        return self.tags.get(self.disk.names.get(LINK, 0), "")

    @property
    def history(self) -> journal.History:
        """What the journal tells."""
        return told(self.disk.files().get(JOURNAL, b""))

    @property
    def standby(self) -> tuple[str, ...]:
        """The slots that are told to write nothing."""
        tail = f"/{links.STANDBY}"
        names = (name for name in self.disk.names if name.endswith(tail))
        return tuple(sorted(name.removesuffix(tail).rpartition("/")[2] for name in names))

    def facts(self) -> Facts:
        """One look, as the host takes it."""
        found = tuple(
            Container(f"{at}-{name}", f"{APP}-{at}-{name}-1", name, at, box.running, box.policy)
            for (at, name), box in sorted(self.boxes.items())
        )
        current = self.disk.files().get(f"{FOLDER}/current", b"").decode()
        return Facts(
            APP,
            releases=tuple(self.releases[one] for one in sorted(self.releases)),
            link=self.link,
            current=current.rpartition("/")[2],
            history=self.history,
            containers=found,
            images=frozenset(one.image for one in self.releases.values()),
            standby=self.standby,
            maintenance=Maintenance() if f"{SOCKETS}/{PAGE}" in self.disk.names else None,
        )

    def running(self) -> set[str]:
        """The slots of which something runs."""
        return {at for (at, _), box in self.boxes.items() if box.running}

    def named(self) -> str:
        """The slot that the link names."""
        kind, slot = links.read(APP, self.link)
        return slot if kind == "release" else ""

    # --- what disturbs
    def restart(self) -> None:
        """Docker is restarted, or the power comes back: what has a restart policy starts."""
        for key, box in self.boxes.items():
            self.boxes[key] = replace(box, running=box.policy != "no")
        self.calm, self.quaked = False, True

    # --- what must hold at every moment
    def check(self) -> None:
        """Raise Violation where a promise is broken right now."""
        kind, slot = links.read(APP, self.link)
        _need(kind != "garbage", "the link names nothing: requests fail")
        _need(kind != "missing" or not self.history.served, "there is no link any more")
        if kind == "release" and not self.quaked:
            _need(self.boxes.get((slot, "web"), Box()).running, f"the link names {slot}, dead")
        for name in self.history.served:
            _need(name in self.tags.values(), f"{name} is told to have served and never did")
        if self.exclusive:
            self._check_writers()

    def _check_writers(self) -> None:
        writers = self.running() - set(self.standby)
        _need(len(writers) <= 1, f"two releases write: {sorted(writers)}")
        has = self.data.partition(":")[0]
        for one in self.releases.values():
            if one.slot in writers and one.schema:
                _need(one.schema == has, f"{one.slot} runs on the schema {has}")
        pinned = {at for (at, _), box in self.boxes.items() if box.policy != "no"}
        live = self.facts().committed
        others = pinned - ({live.slot} if live else set())
        _need(not others, f"a boot starts what is not committed: {sorted(others)}")

    def key(self) -> tuple[Any, ...]:
        """What this machine can ever do is told by this: equal keys, equal futures.

        Runs are known by their order, and of those that ended only what the rest of the journal's
        history says.
        """
        now, certain = self.disk.files(), self.disk.certain()
        files = tuple(sorted(item for item in now.items() if item[0] not in (JOURNAL, LOCK)))
        kept = tuple(sorted(item for item in certain.items() if item[0] not in (JOURNAL, LOCK)))
        text, safe = now.get(JOURNAL, b""), certain.get(JOURNAL, b"")
        return (
            files,
            kept if kept != files else (),
            _told(text, self.sets),
            _told(safe, self.sets) if safe != text else (),
            tuple(sorted(self.boxes.items(), key=lambda item: item[0])),
            tuple(sorted(self.releases)),
            (self.data, self.expected, self.asked, self.calm, self.quaked),
        )


def _need(holds: bool, otherwise: str) -> None:
    if not holds:
        raise Violation(otherwise)


def _told(text: bytes, sets: Mapping[str, str]) -> tuple[Any, ...]:
    """What a journal tells of what may matter later, whatever its runs are called."""
    history = told(text)
    left = history.unfinished
    order = {one.id: number for number, one in enumerate(left)}
    stake = history.stake
    at_stake = stake and (
        sets.get(stake.set, ""),
        stake.release,
        order.get(stake.run, -1),
        stake.schema,
    )
    runs = tuple(
        (one.id.rpartition("-")[2][:2], one.verb, one.release, one.origin, one.step, one.done)
        + (one.committed, one.watched, min(one.boots_since_commit, 2))
        for one in left
    )
    return (
        (runs, history.committed, history.served, history.taken_back, history.highest)
        + (at_stake, history.schema, history.page, history.removed)
        + (text.endswith(b"\n"), history.garbled > 0)
    )
