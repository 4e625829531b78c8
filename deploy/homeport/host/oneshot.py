"""One-shot containers of a release: whatever touches an app's data runs in one of these.

The agent is not root, and an app's files are its uid's: so a container that is made like the
release's own does it, with the app's own programs. It is removed when it has ended. One that a
dead run left behind is removed before the next is made, and by recovery.
"""

from __future__ import annotations

import json
import os
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, Iterator, Mapping, Sequence

from homeport.core import oneshot as bodies
from homeport.core.oneshot import LABEL, Bind as Bind, Wanted
from homeport.errors import HostFault, Problem
from homeport.host import compose, ops_slot
from homeport.host.begun import MISSING, Begun, Output, kill
from homeport.host.context import Context
from homeport.host.look import APP
from homeport.host.paths import write
from homeport.host.store import Lock
from homeport.model import Release

#: the scripts that run inside an app's image
INSIDE = Path(__file__).resolve().parents[1] / "inside"
#: the variable that tells a script what it is to do, as JSON
ARGUMENT = "HOMEPORT_ARGUMENT"
#: characters of it that a variable can have: the kernel takes 128 KiB; more comes in a file
LONG, FILE = 100_000, "/homeport-argument"
_READ = f"import os; os.environ['{ARGUMENT}'] = open('{FILE}').read(); "
#: what scripts have in common goes along with them, under the name by which they ask for it
SHARED = "homeport.inside.tables"
_SHARE = f"m = type(sys)('{SHARED}'); sys.modules['{SHARED}'] = m; exec(sys.argv[2], m.__dict__); "
#: isolated from the image's own settings of Python, and without its packages
PYTHON = ("python3", "-I", "-S", "-B")


class OneShot:
    """Makes one-shot containers like those of a service of a release, the web service if not named.

    ``like`` is a container as Docker tells of it, for one that is not of a release's slot.
    """

    def __init__(
        self,
        ctx: Context,
        release: Release,
        service: str = "",
        like: Mapping[str, Any] | None = None,
    ) -> None:
        self._ctx, self._release, self._service = ctx, release, service or release.web
        self._like = like

    @property
    def like(self) -> Mapping[str, Any]:
        """The container that it is made like: the slot's own, else one made for a moment."""
        if self._like is None:
            known, key = self._ctx.likes, (self._release.id, self._service)
            self._like = known.get(key) or seen(self._ctx, self._release, self._service)
            known[key] = self._like
        return self._like

    def run(
        self,
        command: Sequence[str],
        *,
        within: float,
        binds: Mapping[str, Bind] = {},
        replace: Mapping[str, str] = {},
        env: Mapping[str, str] = {},
        user: str | None = None,
        network: str | None = None,
        apart: bool = False,
    ) -> Output:
        """Run a command to its end; raises Late if it has none within so many seconds.

        Args:
            command: the program and its words; an image's entrypoint has no part in it.
            within: seconds after which it is killed.
            binds: what of the host is mounted besides, by the container's path.
            replace: folders of the host's in the place of the service's mounts, by their path.
            env: variables besides the service's own.
            user: whom it runs as, if not as the service.
            network: the one network it joins, if not the service's; "" for none.
            apart: whether what it could write to and is not replaced is to be empty.

        Returns:
            its exit code and its output; 126 or 127 where the image has no such program.
        """
        wanted = Wanted(command, binds, replace, env, user, network, apart=apart)
        with self._made(wanted) as made:
            return Begun(self._ctx.engine, made, within).end(command[0], self._release.id)

    def begin(self, command: Sequence[str], within: float) -> Begun:
        """Begin a command that is not waited for; whoever asks how it ended removes it."""
        made = self._create(Wanted(command))
        try:
            return Begun(self._ctx.engine, made, within)
        except BaseException:
            self._ctx.engine.remove(made)
            raise

    @contextmanager
    def started(self, wanted: Wanted) -> Iterator[str]:
        """A container that runs until the ``with`` block ends: its id."""
        with self._made(wanted) as made:
            self._ctx.engine.start(made)
            yield made

    def script(
        self,
        name: str,
        argument: Mapping[str, Any],
        *,
        within: float,
        binds: Mapping[str, Bind] = {},
        replace: Mapping[str, str] = {},
        env: Mapping[str, str] = {},
        user: str | None = None,
        network: str | None = "",
        failed: tuple[str, str] = ("", "homeport logs"),
    ) -> list[dict[str, Any]]:
        """Run ``inside/NAME.py`` with the image's own Python; what it told, an object a line.

        Raises HostFault where the image has no Python, or the script failed: what that means to
        people, and what mends it, are the words ``failed``.
        """
        text = (INSIDE / f"{name}.py").read_text("utf-8")
        told = json.dumps(argument)
        shared = [(INSIDE / "tables.py").read_text("utf-8")] if f"from {SHARED}" in text else []
        begin = "import sys; " + _SHARE * len(shared)
        more, passed = dict(binds), {ARGUMENT: told}
        with ExitStack() as stack:
            if len(told) > LONG:
                begin, passed = _READ + begin, {}
                more[FILE] = Bind(stack.enter_context(_file(self._ctx, told)))
            done = self.run(
                (*PYTHON, *self._bytecode(), "-c", f"{begin}exec(sys.argv[1])", text, *shared),
                within=within,
                binds=more,
                replace=replace,
                env={**env, **passed},
                user=user,
                network=network,
            )
        image = self._release.image
        if done.code in MISSING:
            mend = "a base image with Python, such as python:3.13-slim"
            why = "the app's data is read with the app's own Python and SQLite"
            raise HostFault(Problem("there is no python3 in the image", image, why, mend))
        if done.code:
            why = done.err.strip() or f"it ended with code {done.code}"
            what, mend = failed
            raise HostFault(Problem(what or f"{name} did not work", image, why, mend))
        try:
            return [dict(json.loads(line)) for line in done.out.splitlines()]
        except ValueError as error:
            what = f"{name} answers oddly"
            raise HostFault(Problem(what, image, f"{error}: {done.out[:200]}", "")) from error

    def _bytecode(self) -> tuple[str, ...]:
        """Where the image has its own: ``-I`` would leave that out with all its other variables."""
        for one in (self.like.get("Config") or {}).get("Env") or ():
            name, _, value = str(one).partition("=")
            if name == "PYTHONPYCACHEPREFIX" and value:
                return ("-X", f"pycache_prefix={value}")
        return ()

    @contextmanager
    def _made(self, wanted: Wanted) -> Iterator[str]:
        made = self._create(wanted)
        try:
            with self._ctx.stop.breaks(lambda: kill(made)):
                yield made
        finally:
            self._ctx.engine.remove(made)

    def _create(self, wanted: Wanted) -> str:
        ctx = self._ctx
        clear(ctx)
        body, more = bodies.body(self.like, wanted, ctx.paths.app, ctx.run, os.getgid())
        made = ctx.engine.create(f"{ctx.paths.app}-oneshot-{os.urandom(4).hex()}", body)
        try:
            for network in more:
                ctx.engine.connect(network, made)
        except BaseException:
            ctx.engine.remove(made)
            raise
        return made


@contextmanager
def _file(ctx: Context, text: str) -> Iterator[str]:
    """A file that has a text while the block lasts, for the agent's group to read."""
    path = ctx.paths.folder / f".argument-{os.urandom(4).hex()}"
    try:
        write(path, text, 0o640)
        yield str(path)
    finally:
        path.unlink(missing_ok=True)


def seen(ctx: Context, release: Release, service: str) -> dict[str, Any]:
    """A container of a service as Docker tells of it: the slot's, else one of Compose's making.

    What is made for that is removed again: the slot is left as it was.
    """
    found = ops_slot.services_of(ctx, release.slot, [service])
    kept = ctx.engine.inspect(found[0]["Id"]) if found else None
    if kept is not None:
        return kept
    folder = ctx.paths.slot(release.slot)
    there = folder.exists()
    ops_slot.sockets(ctx, {"slot": release.slot})
    complaint = compose.up(ctx.paths, release, [service], "--no-start")
    made = ops_slot.services_of(ctx, release.slot, [service])
    try:
        looked = ctx.engine.inspect(made[0]["Id"]) if made else None
    finally:
        for one in made:
            ctx.engine.remove(one["Id"])
        if not there:
            with suppress(OSError):
                folder.rmdir()
    if looked is None:
        what = f"no container can be made like {service} of {release.id}"
        raise HostFault(Problem(what, "docker compose", complaint, "docker compose ps -a"))
    return looked


def clear(ctx: Context) -> None:
    """Remove one-shot containers of the app that other runs left behind, with what they do.

    Nothing while another process holds the app: who only reads must not end what it does.
    """
    holder = Lock(ctx.paths.lock).held()
    if holder and holder.get("pid") != os.getpid():
        return
    for one in ctx.engine.containers(f"{APP}={ctx.paths.app}", LABEL):
        if one["Labels"].get(LABEL) != ctx.run:
            ctx.engine.remove(one["Id"])
