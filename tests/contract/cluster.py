"""A PostgreSQL server of a test's own: made in a temporary folder, gone at the end."""

from __future__ import annotations

import os
import secrets
import shutil
import socket
import subprocess
import tempfile
from pathlib import Path

import psycopg
from psycopg.sql import SQL, Identifier

from lab import debian
from lab.docker import may_install
from lab.errors import LabError

PLACES = Path("/usr/lib/postgresql")
OWNER = "food"
CUT = (
    "SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity"
    " WHERE datname = %s AND pid <> pg_backend_pid()"
)


def programs() -> Path:
    """The folder of initdb and pg_ctl, installed from Debian where we may.

    Raises:
        LabError: they are not there and we may not install them.
    """
    on_path = shutil.which("initdb")
    if on_path:
        return Path(on_path).resolve().parent
    if not _packaged() and may_install():
        debian.install(["postgresql"], newer=False)
    found = _packaged()
    if not found:
        raise LabError(
            "MyFoodBudget can not be tried on PostgreSQL here.",
            "there is no initdb on PATH or below /usr/lib/postgresql",
            "sudo apt-get install postgresql   (or HOMEPORT_YES=1 as root on Debian)",
        )
    return found[-1]


def _packaged() -> list[Path]:
    return sorted(
        (file.parent for file in PLACES.glob("*/bin/initdb")),
        key=lambda folder: float(folder.parent.name),
    )


def children(pid: int) -> list[int]:
    """The processes that a process started and that still run."""
    return [int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


class Cluster:
    """One server on 127.0.0.1. It asks for passwords, as a server on a network does."""

    def __init__(self) -> None:
        self.bin = programs()
        # not pytest's own folder: root's is closed to the user that the server must run as
        self.folder = Path(tempfile.mkdtemp(prefix="foodbudget-postgres-"))
        self.password = secrets.token_urlsafe(16)
        with socket.socket() as one:
            one.bind(("127.0.0.1", 0))
            self.port = int(one.getsockname()[1])
        key = self.folder / "password"
        key.touch(0o600)
        key.write_text(self.password)
        if os.geteuid() == 0:
            for path in (self.folder, key):
                shutil.chown(path, "postgres", "postgres")
        words = ["--username", OWNER, "--pwfile", str(key), "--auth", "scram-sha-256"]
        words += ["--encoding", "UTF8", "--locale", "C.UTF-8", "--no-sync"]
        self._run("initdb", *words)
        self.start()

    def _run(self, program: str, *words: str, check: bool = True) -> int:
        # the server refuses to run as root; Debian's package brings this user
        user = "postgres" if os.geteuid() == 0 else None
        return subprocess.run(
            [self.bin / program, "--pgdata", self.folder / "data", *words],
            user=user,
            group=user,
            extra_groups=[] if user else None,
            cwd=self.folder,
            check=check,
            timeout=60,
            # not a pipe: the server would keep it open
            stdout=subprocess.DEVNULL,
        ).returncode

    def start(self) -> None:
        """Start it where it does not run, and return once it answers."""
        if self._run("pg_ctl", "status", check=False) == 0:
            return
        words = f"-p {self.port} -c listen_addresses=127.0.0.1 -k {self.folder} -F"
        log = str(self.folder / "log")
        self._run("pg_ctl", "--wait", "--silent", "--log", log, "--options", words, "start")

    def stop(self) -> None:
        """End it at once, as a power cut would."""
        self._run("pg_ctl", "--wait", "--silent", "--mode", "immediate", "stop")

    def signal(self, what: int) -> None:
        """Send every process of the server a signal: SIGSTOP freezes it, SIGCONT wakes it."""
        master = int((self.folder / "data" / "postmaster.pid").read_text().split()[0])
        for pid in (master, *children(master)):
            os.kill(pid, what)

    def remove(self) -> None:
        """End it and remove its folder."""
        if self._run("pg_ctl", "status", check=False) == 0:
            self.stop()
        shutil.rmtree(self.folder)

    def url(self, name: str) -> str:
        """DATABASE_URL of one of its databases."""
        return f"postgresql://{OWNER}:{self.password}@127.0.0.1:{self.port}/{name}"

    def connect(self, name: str = "postgres") -> psycopg.Connection[tuple[object, ...]]:
        """A connection of the test's own; each statement commits by itself."""
        return psycopg.connect(self.url(name), autocommit=True)

    def empty(self, name: str) -> str:
        """Make a database, or empty the one of that name; answers its DATABASE_URL."""
        # a test that failed may have left the server down
        self.start()
        with self.connect() as connection:
            found = connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", [name])
            if not found.fetchone():
                connection.execute(SQL("CREATE DATABASE {}").format(Identifier(name)))
        with self.connect(name) as connection:
            connection.execute(CUT, [name])
            connection.execute("DROP SCHEMA public CASCADE")
            connection.execute("CREATE SCHEMA public")
        return self.url(name)
