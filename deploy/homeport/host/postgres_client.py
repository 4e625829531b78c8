"""PostgreSQL's own programs, run beside its server: in a container of the very same image.

So pg_dump is of the server's version, whatever the host has. The container is on the app's network,
is the agent's uid, holds no right, and is all that sees the password, in its environment.
"""

from __future__ import annotations

import http.client
import json
import os
import secrets
import shutil
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Iterator, Sequence

from homeport.core import postgres_sql as sql
from homeport.core import tails
from homeport.core.oneshot import LABEL
from homeport.errors import HostFault, Problem
from homeport.host import look, oneshot, postgres_find
from homeport.host.context import Context
from homeport.host.postgres_find import Server
from homeport.model import Release

#: how long a server that is just starting, or replays its log after a power cut, is waited for
READY = 120.0
#: no single program of ours may take longer, in seconds; nothing that hangs outlives it
LONGEST = 6 * 3600.0
#: seconds for what reads the catalog only
SOON = 120.0
#: a shell's script: which file takes what a program says, which database it means, the program.
#: pg_isready says 1 for a server that is starting and 2 for none yet; 127 is the shell's own
_LINE = """\
n=$1; PGDATABASE=$2; export PGDATABASE; shift 2; exec >/scratch/$n.out 2>/scratch/$n.err
until pg_isready -q; do
  case $? in 1|2) [ $((i=i+1)) -lt %d ] && sleep 0.1 || exit %d;; 127) exit 127;; *) exit %d;; esac
done
exec "$@"
"""
#: as the shell says it where there is no such program, and as we do where there is no answer
_NO_PROGRAM, _SILENT = 127, 75


@dataclass(frozen=True)
class Said:
    """How a program ended, and what it said."""

    code: int
    out: str
    err: str


@dataclass
class Client:
    """A container that is kept while an operation needs it; used as a context.

    ``folder`` is the one on the host that programs see as /set, writable only if told so.
    """

    ctx: Context
    release: Release
    folder: Path
    writable: bool = False
    server: Server = field(init=False)
    work: Path = field(init=False)
    _name: str = ""
    _turn: int = 0

    def __enter__(self) -> Client:
        self.server = postgres_find.server(self.ctx, self.release)
        sweep(self.ctx)
        self._name = f"{self.ctx.paths.app}-postgres-{secrets.token_hex(4)}"
        self.work = _place(self.ctx) / f"{self.ctx.run}-{self._name[-8:]}"
        self.work.mkdir(mode=0o700, parents=True)
        try:
            self.ctx.engine.create(self._name, self._body())
            self._begin()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Remove the container, and with it whatever still runs in it."""
        self.ctx.engine.remove(self._name)
        shutil.rmtree(self.work, ignore_errors=True)

    @property
    def live(self) -> str:
        """The name of the app's own database."""
        return self.server.address.name

    @property
    def beside(self) -> str:
        """A database to be in while the app's own is made, renamed or dropped."""
        return "template1" if self.live == "postgres" else "postgres"

    def _begin(self) -> None:
        """Start it; the server too where it stands."""
        seen = self.ctx.engine.inspect(self.server.container) or {}
        if not (seen.get("State") or {}).get("Running"):
            self.ctx.engine.start(self.server.container)
        self.ctx.engine.start(self._name)

    def _body(self) -> dict[str, Any]:
        address, (source, target) = self.server.address, self.server.mount
        mode = "rw" if self.writable else "ro"
        binds = [f"{self.work}:/scratch", f"{self.folder}:/set:{mode}"]
        binds += [f"{source}:{target}"] if source else []
        env = {
            **address.environment(),
            "PGOPTIONS": sql.SESSION,
            "PGCONNECT_TIMEOUT": "10",
            "PGAPPNAME": "homeport",
            "HOME": "/tmp",
            "TZ": "UTC",
        }
        return {
            "Image": self.server.image,
            "User": f"{os.getuid()}:{os.getgid()}",
            "Entrypoint": ["sleep"],
            "Cmd": [str(round(LONGEST))],
            "Env": [f"{name}={value}" for name, value in env.items()],
            "WorkingDir": "/scratch",
            "Healthcheck": {"Test": ["NONE"]},
            "Labels": {look.APP: self.ctx.paths.app, LABEL: self.ctx.run},
            "HostConfig": {
                "NetworkMode": self.server.network,
                "Binds": binds,
                "Tmpfs": {"/tmp": "size=16m,mode=1777"},
                "ReadonlyRootfs": True,
                "CapDrop": ["ALL"],
                "SecurityOpt": ["no-new-privileges"],
                "LogConfig": {"Type": "none"},
            },
        }

    def run(
        self, words: Sequence[str], database: str, within: float = LONGEST, options: str = ""
    ) -> Said:
        """Run a program with a database as its own; what it says is kept in files meanwhile.

        Raises HostFault where it takes longer than ``within`` seconds; it is ended then.
        """
        self._turn += 1
        turn, program = str(self._turn), " ".join(words[:1])
        given = ["env", f"PGOPTIONS={options}"] if options else []
        script = _LINE % (round(READY / 0.1), _SILENT, _SILENT)
        line = ["sh", "-c", script, "sh", turn, database, *given, *words]
        try:
            code, _ = self.ctx.engine.run_in(self._name, line, within)
        except (OSError, http.client.HTTPException) as error:
            # TimeoutError among them: what does not end by itself ends with its container
            self.ctx.engine.remove(self._name)
            why = f"{error}" or f"no end within {within:.0f} s"
            raise HostFault(Problem(f"{program} was given up", self._where, why, "")) from error
        said = Said(code, *(look.text(self.work / f"{turn}.{one}") for one in ("out", "err")))
        if code == _NO_PROGRAM:
            raise postgres_find.absent(self.ctx, self.server, program)
        if code == _SILENT:
            raise self.fault(f"the database server does not answer within {READY:.0f} s", said)
        return said

    def sql(
        self, script: str, database: str, within: float = SOON, options: str = "", what: str = ""
    ) -> str:
        """What psql prints for a script; raises HostFault with its words where a part fails."""
        said = self.psql(script, database, within, options)
        if said.code:
            raise self.fault(what or f"the database {database} cannot be asked", said)
        return said.out

    def psql(self, script: str, database: str, within: float = SOON, options: str = "") -> Said:
        """Run a script by psql: rows bare, one a line, and the first error ends it."""
        path = self.work / f"{self._turn + 1}.sql"
        path.write_text("SET client_encoding = 'UTF8';\n" + script)
        words = [
            "psql",
            "-X",
            "-q",
            "-A",
            "-t",
            "-v",
            "ON_ERROR_STOP=1",
            "-f",
            f"/scratch/{path.name}",
        ]
        return self.run(words, database, within, options)

    def told(self, script: str, database: str) -> list[Any]:
        """What a script prints, a line of JSON each, as values."""
        lines = self.sql(script, database).splitlines()
        return [json.loads(line) for line in lines if line.strip()]

    def do(
        self, words: Sequence[str], what: str, within: float = LONGEST, options: str = ""
    ) -> Said:
        """Run a program that must end well; raises HostFault ``what`` where it does not."""
        said = self.run(words, self.live, within, options)
        if said.code:
            raise self.fault(what, said)
        return said

    def left(self, file: str) -> str:
        """What a script left in a file of the work folder."""
        return look.text(self.work / file)

    @property
    def _where(self) -> str:
        return f"the database server {self.server.service}"

    def fault(self, what: str, said: Said, mend: str = "") -> HostFault:
        """A program's bad end, with its last words and none of the app's secrets."""
        why = tails.telling(self.ctx.masked(said.err)) or f"exit code {said.code}"
        mend = mend or f"docker logs {self.server.container[:12]}"
        return HostFault(Problem(what, self._where, why, mend))


@contextmanager
def keeping(ctx: Context) -> Iterator[None]:
    """While the block lasts, what copies for it copies again for the next set.

    The first copy of a deploy disturbs nobody; for the last one people wait, and a container takes
    as long to start and to end as a small database to be copied.
    """
    ctx.keeps = True
    try:
        yield
    finally:
        ctx.keeps = False
        leave(ctx)


@contextmanager
def copying(ctx: Context, release: Release, folder: Path) -> Iterator[tuple[Client, str]]:
    """A client that may write to a set's folder, and the path by which it knows that."""
    if not ctx.keeps or folder.parent != ctx.paths.backups:
        with Client(ctx, release, folder, writable=True) as client:
            yield client, "/set"
        return
    if ctx.client is None or ctx.client.release != release:
        leave(ctx)
        ctx.client = Client(ctx, release, folder.parent, writable=True).__enter__()
    try:
        yield ctx.client, f"/set/{folder.name}"
    except BaseException:
        # whatever hangs in it ends with it
        leave(ctx)
        raise


def leave(ctx: Context) -> None:
    """Remove the client that was kept, if there is one.

    What cannot be removed is left to the next run's ``sweep``: a deploy does not fail of it.
    """
    client, ctx.client = ctx.client, None
    if client is not None:
        with suppress(HostFault):
            client.close()


def _place(ctx: Context) -> Path:
    return ctx.paths.folder / ".postgres"


def sweep(ctx: Context) -> None:
    """Remove containers and files of runs that ended without."""
    oneshot.clear(ctx)
    if not _place(ctx).exists():
        return
    for folder in _place(ctx).iterdir():
        if not folder.name.startswith(f"{ctx.run}-"):
            shutil.rmtree(folder, ignore_errors=True)
