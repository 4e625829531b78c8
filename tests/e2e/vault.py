"""A lab host that keeps other hosts' copies: by SFTP, and by a restic REST server with a login."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable
from dataclasses import dataclass

from bench.images import MARK
from bench.stage import Stage, until
from lab import hosts

PASSWORD, LOGIN = "kept-in-a-drawer", "a-login-of-its-own"
_REST = "mkdir -p /srv/rest && cat > /srv/rest/.htpasswd"


@dataclass(frozen=True)
class Vault:
    """The host, and the ways to it."""

    host: hosts.LabHost

    @classmethod
    def up(cls, talk: Callable[[str], None]) -> Vault:
        """Bring it up with its REST server."""
        made = cls(hosts.up(f"e2e-{MARK}-vault", "cron", talk))
        word = base64.b64encode(hashlib.sha1(LOGIN.encode()).digest()).decode()
        hosts.run(made.host, ["sh", "-c", _REST], stdin=f"me:{{SHA}}{word}\n".encode())
        serve = "restic-rest-server --path /srv/rest --listen :8000 >/dev/null 2>&1 &"
        hosts.run(made.host, ["sh", "-c", serve])
        asked = ["curl", "-s", "-o", "/dev/null", "http://127.0.0.1:8000/"]
        until(lambda: hosts.run(made.host, asked, check=False).returncode == 0, 30, "a REST server")
        return made

    @property
    def sftp(self) -> str:
        """A repository by SFTP."""
        return f"sftp:pi@{self.host.address}:/home/pi/food"

    @property
    def rest(self) -> str:
        """A repository by REST."""
        return f"rest:http://{self.host.address}:8000/food"

    def admit(self, stage: Stage) -> None:
        """Let a host in by SFTP, as docs/offsite.md has people do it."""
        ssh = "/opt/homeport/.ssh"
        make = f"ssh-keygen -q -t ed25519 -N '' -f {ssh}/id_ed25519"
        hosts.run(stage.host, ["sh", "-c", make], user="homeport")
        line = f"{self.host.address} {self.host.host_key}\n"
        hosts.run(
            stage.host,
            ["sh", "-c", f"cat >> {ssh}/known_hosts"],
            user="homeport",
            stdin=line.encode(),
        )
        public = stage.on_host("cat", f"{ssh}/id_ed25519.pub")
        into = ["sh", "-c", "cat >> /home/pi/.ssh/authorized_keys"]
        hosts.run(self.host, into, user="pi", stdin=public.encode())

    def bytes(self, folder: str) -> int:
        """What a folder takes there."""
        said = hosts.run(self.host, ["du", "-sb", folder]).stdout.decode()
        return int(said.split()[0])
