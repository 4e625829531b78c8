"""The host's own code, set on the model's disk and Engine: runs, guardian, boot hook.

Everything in ``homeport.host`` that decides or orders anything runs here as it is: the executor,
recovery, what becomes of a failure, the store, the lock, the guardian's loop, the boot hook. What
stands in for the rest is named in ``Host.__init__``. One process has one such host.
"""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

from bench.model import hands
from bench.model.stands import ModelContext, ModelStore, Serial, put
from bench.model.kernel import DiskPath, Kernel
from bench.model.machine import APP, JOURNAL, LOCK, ROOT, SOCKETS, Machine, Violation, release, told
from homeport import wire
from homeport.core import journal
from homeport.core import link as links
from homeport.core import plan as plans
from homeport.core.edge import Wanted
from homeport.core.facts import Facts, Schema
from homeport.core.policy import Choice
from homeport.core.render import Rendered
from homeport.errors import Internal
from homeport.host import boot, detach, endings, execute, lasting, lock, offsite_memory, oneshot
from homeport.host import ops, ops_edge, ops_slot, ops_traffic, paths, preflight, prepare
from homeport.host import records, recover, store, telling, verbs
from homeport.model import Mode, Release

PATHS = paths.Paths(APP, DiskPath(ROOT))  # type: ignore[arg-type]
_CARRY_OUT = verbs.carry_out
#: what is told after every effect
Sink = Callable[[str], None]


class Host:
    """One host. ``mode`` is how its deploys hand over, ``ill`` which releases are not well."""

    def __init__(self, mode: Mode, ill: Mapping[str, str], migrates: bool) -> None:
        self.mode, self.ill, self.migrates = mode, ill, migrates
        self.machine = Machine(exclusive=mode != "overlap")
        self.kernel = Kernel(self.machine.disk, self.effect, self._socket)
        self.sink: Sink | None = None
        #: children of the guardian by their number, and whether it waits for one
        self.children: dict[int, Callable[[], int]] = {}
        self.waits = False
        self.dead = 0
        #: whether a run goes on, and after how many effects Docker is restarted under it
        self.lives = False
        self.quake_at = 0
        self.count = 0
        self._doing: tuple[str, str] = ("", "")
        self._done: dict[tuple[str, str], int] = {}
        self._expected = ""
        self._broken = False
        self._bind()

    # --- what stands in
    def _bind(self) -> None:
        DiskPath.kernel = self.kernel
        hands.Engine.stage = self
        ModelStore.stage = ModelContext.stage = self
        fakes = self.kernel.modules()
        for module, names in (
            (paths, "os"),
            (store, "os time"),
            (lock, "os fcntl time"),
            (detach, "os time"),
            (ops_slot, "os shutil time"),
            (ops_traffic, "os time"),
            *((one, "time") for one in (ops_edge, execute, records, preflight)),
        ):
            for name in names.split():
                put(module, name, fakes[name])
        fakes["os"].waitpid = self._waitpid
        put(store, "journals", SimpleNamespace(FORMAT=journal.FORMAT, History=journal.History))
        store.journals.fold = lambda lines: told("\n".join(lines).encode())  # type: ignore
        put(ops_slot, "ThreadPoolExecutor", Serial)
        # what Docker keeps is taken to last by itself
        put(lasting, "apart", lambda engine, folder: False)
        put(oneshot, "clear", lambda ctx: None)
        for module in (paths, verbs, boot):
            put(module, "from_environment", lambda app: PATHS)
        for module in (detach, boot):
            put(module, "Store", ModelStore)
        put(verbs, "Context", ModelContext)
        put(verbs, "Engine", hands.Engine)
        put(verbs, "carry_out", self.carry_out)
        put(verbs, "_forget_old_runs", lambda paths, run: None)
        put(telling, "tell_run", lambda paths, run, event: self.heard(run, event))
        put(endings, "told", lambda paths, run: self._told(run))
        # nobody follows a run here, so nobody asks whether it is carried out still
        put(detach, "joining", SimpleNamespace(claimed=lambda paths, run, request: nullcontext()))
        put(detach, "_child", self._child)
        put(detach, "new_run", self.new_run)
        put(boot, "docker", lambda within: True)
        put(offsite_memory, "sending", lambda paths: "")
        put(boot, "apps", lambda: [APP])
        put(recover, "watch", hands.watch)
        put(prepare, "deploy", self._prepared)
        put(prepare, "toward", self._toward)
        put(prepare, "asked", lambda ctx, facts: facts)
        ops.OPS.clear()
        ops.OPS.update({name: self._op(op) for name, op in hands.OPS.items()})

    def _op(self, op: Callable[[Any, Any], str]) -> Callable[[Any, Any], str]:
        def counted(ctx: Any, args: Any) -> str:
            mine = self._doing
            try:
                note = op(ctx, args)
            finally:
                self._doing = ("", "")
            self._done[mine] = self._done.get(mine, 0) + 1
            return note

        return counted

    def _prepared(self, ctx: Any, number: int = 0) -> prepare.Made:
        now = ctx.facts()
        number = number or now.history.highest + 1
        new = release(number, self.mode, f"s{number}" if self.migrates else "")
        if self.mode == "exclusive" and not self.migrates:
            new = release(number, self.mode, "s")
        if new.schema and now.committed is not None:
            now = replace(now, schema=Schema(self.machine.data, new.schema))
        now = replace(now, images=now.images | {new.image})
        ctx.fresh = new
        seen = Rendered(writable=("web",))
        return prepare.Made(now, new, plans.deploy(now, new, seen, Choice(self.mode), Wanted()))

    def _toward(self, ctx: Any, facts: Facts, target: Release) -> Any:
        ctx.fresh = target
        return facts, plans.rollback(facts, target, self.mode, Wanted())

    # --- processes
    def new_run(self) -> str:
        """The id of the next run."""
        self.machine.runs += 1
        return f"run{self.machine.runs}"

    def load(self, machine: Machine) -> None:
        """Go on with a machine on which no process is."""
        self.machine, self.kernel.disk = machine, machine.disk
        self.kernel.handles, self.kernel.locks = {}, {}
        self.children, self.waits, self.dead, self._broken = {}, False, 0, False
        self.lives, self.quake_at, self.count = False, 0, 0
        self._doing, self._done, self._expected = ("", ""), {}, machine.expected

    def ask(self, verb: str) -> str:
        """A controller asks for something, and the guardian sees to it; the run's id."""
        run = self.new_run()
        self._guard(run, verb)
        return run

    def guard(self, run: str) -> None:
        """The guardian of a run whose executor has just died."""
        self.dead = 1
        self._guard(run, "recover")

    def _guard(self, run: str, verb: str) -> None:
        request = wire.frame(wire.encode({"verb": verb, "app": APP}))
        stdin = SimpleNamespace(buffer=io.BytesIO(request))
        put(detach, "sys", SimpleNamespace(stdin=stdin))
        detach.guardian(APP, run)
        # whom it did not wait for goes on without it
        for child in list(self.children):
            self._end(child)

    def boot(self) -> None:
        """The boot hook."""
        boot.main()

    def carry_out(self, app: str, run: str, request: bytes) -> int:
        """The executor's whole life."""
        self.lives = True
        code = _CARRY_OUT(app, run, request)
        self.lives = False
        return code

    def aside(self, verb: str) -> None:
        """A second controller's run, from its begin to its end, while another one goes on."""
        before, kept = self.machine.key(), (self.sink, self._doing)
        self.sink = None
        _CARRY_OUT(APP, self.new_run(), wire.encode({"verb": verb, "app": APP}))
        self.sink, self._doing = kept
        if self.machine.key() != before:
            raise Violation(f"a second run ({verb}) changes something while the first one lives")

    def _child(self, app: str, run: str, request: bytes) -> int:
        if self.children:
            raise Violation("the guardian starts another run while the first one lives")
        child = 1000 + self.machine.runs + len(self.children)
        self.children[child] = lambda: self.carry_out(app, run, request)
        return child

    def _waitpid(self, child: int, how: int) -> tuple[int, int]:
        if how & os.WNOHANG:
            return 0, 0
        self.waits = True
        code = self._end(child)
        self.waits = False
        return child, code

    def _end(self, child: int) -> int:
        """Carry a child out; its status as waitpid(2) tells it."""
        begin = self.children[child]
        code = 9
        if self.dead:
            self.dead -= 1
        else:
            code = begin() << 8
        self.children.pop(child)
        return code

    # --- what is heard and seen of them
    def _told(self, run: str) -> list[dict[str, object]]:
        return [{"e": "verdict"}] if run in self.machine.answered else []

    def heard(self, run: str, event: Mapping[str, Any]) -> None:
        """An event of a run."""
        kind = event.get("e")
        if kind == "step" and event.get("state") == "begin" and event.get("id") != "preflight":
            self._doing = (run, str(event["id"]))
        elif kind == "trace":
            raise Violation(f"a mistake of the host's: {event.get('text')}")
        elif kind == "verdict":
            if event.get("code") == Internal.code:
                raise Violation(f"a mistake of the host's: {event.get('sentence')}")
            self.machine.answered |= {run}
            self.lives = False
            self.effect(f"the verdict of {run}")

    def effect(self, what: str) -> None:
        """Something has changed: look whether all is as it must be, and tell who explores."""
        # who makes the lock's file has no lock yet, and nothing else rests on it
        if self._broken or what.endswith(LOCK):
            return
        machine = self.machine
        try:
            self._note_link()
            self._check_journal(what)
            if self.sink:
                self.count += 1
                if self.count == self.quake_at:
                    machine.restart()
            machine.check()
            if self.sink:
                self.sink(what)
        except BaseException:
            # what still runs in a ``finally`` of the host's is no part of the model any more
            self._broken = True
            raise

    def _note_link(self) -> None:
        machine = self.machine
        number, slot = machine.disk.names.get(f"{SOCKETS}/live"), machine.named()
        if number is not None:
            known = machine.facts().release(slot) if slot else None
            machine.tags[number] = known.id if known else self._expected
        self._expected = machine.expected
        if slot:
            machine.asked |= {slot}

    def _check_journal(self, what: str) -> None:
        """Whatever a step does, its intent is on the disk before, and its outcome is not."""
        name, step = self._doing
        if not step:
            return
        run = told(self.machine.disk.certain().get(JOURNAL, b"")).run(name)
        if run is None or run.step != step:
            raise Violation(f"{what}: the journal knows of no intent of {step}")
        if run.done.count(step) != self._done.get(self._doing, 0):
            raise Violation(f"{what}: the journal calls {step} done before it is")

    def _socket(self, path: str) -> bool:
        slot = path.split("/")[-2]
        return path.endswith(links.SOCKET) and (slot, "web") in self.machine.boxes
