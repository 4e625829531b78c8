"""The other side of the comparison: the same app in a folder on the host, updated as people do."""

from __future__ import annotations

import secrets
import shutil
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from bench.images import MARK, TOP, docker
from bench.stage import Ran, Stage
from lab import hosts

FOLDER, PORT = "/srv/plain", 8090
#: what they type; nothing of it is tuned for or against them
COMMAND = f"cd {FOLDER} && docker compose pull && docker compose up -d"
#: read by Compose together with compose.yaml, which stays as it is in the repository
OVERRIDE = f"""\
name: plain
services:
  web:
    ports:
      - "{PORT}:8000"
"""
OWNER = "homeport"  # the user of the host whom `homeport setup` gave our key and the docker group
APP_UID = "10001"


@dataclass
class Plain:
    """A folder with a compose file on the stage's host; ``tag`` is the moving tag it names."""

    stage: Stage
    tag: str
    secret: str

    @classmethod
    def up(cls, stage: Stage, registry: str, first: str) -> Plain:
        """Make the folder and start the app from the image ``first``."""
        plain = cls(stage, f"{registry}/foodbudget-{MARK}:plain", secrets.token_urlsafe(48))
        plain._make_folder()
        plain.publish(first, "plain-0")
        plain.update()
        return plain

    @property
    def url(self) -> str:
        """Where people reach this copy of the app."""
        return f"{self.stage.url}:{PORT}"

    def publish(self, ref: str, name: str) -> None:
        """Move the tag to the image ``ref``; the app will call itself ``name``.

        The name takes the place of Homeport's release id, by which the load tells answers apart.
        """
        docker("tag", ref, self.tag)
        docker("push", "-q", self.tag)
        settings = {"SECRET_KEY": self.secret, "SIGNUP": "open", "HOMEPORT_RELEASE": name}
        self._write("app.env", "".join(f"{key}={value}\n" for key, value in settings.items()))

    def update(self) -> Ran:
        """Type the two commands over ssh; raises RuntimeError with their words if they fail."""
        argv = self._ssh(COMMAND)
        began, clock = time.time(), time.monotonic()
        done = subprocess.run(argv, capture_output=True, text=True, timeout=300)
        ran = Ran(done.returncode, done.stdout, done.stderr, time.monotonic() - clock, began)
        if ran.code != 0:
            raise RuntimeError(f"ssh {OWNER}@… '{COMMAND}': {ran.code}\n{ran.out}\n{ran.err}")
        return ran

    def _ssh(self, command: str) -> list[str]:
        host, known = self.stage.host, self.stage.folder / "known_hosts"
        known.write_text(f"{host.address} {host.host_key}\n")
        if shutil.which("ssh") is None:
            raise RuntimeError(
                "the comparison needs OpenSSH's client: apt-get install openssh-client"
            )
        # no file of the user's own: a kept master connection would spare this side its handshake
        options = ["-F", "none", "-i", str(host.key), "-o", "IdentitiesOnly=yes"]
        options += ["-o", f"UserKnownHostsFile={known}", "-o", "StrictHostKeyChecking=yes"]
        return ["ssh", *options, "-o", "BatchMode=yes", f"{OWNER}@{host.address}", command]

    def _make_folder(self) -> None:
        on_host = self.stage.on_host
        on_host("install", "-d", "-o", OWNER, "-g", OWNER, FOLDER)
        on_host("install", "-d", "-o", APP_UID, "-g", APP_UID, "-m", "750", f"{FOLDER}/data")
        self._write("compose.yaml", Path(TOP / "docker-compose.prod.yml").read_text())
        self._write("compose.override.yaml", OVERRIDE)
        self._write(".env", f"FOODBUDGET_IMAGE={self.tag}\n")

    def _write(self, name: str, text: str) -> None:
        argv = ["sh", "-c", f"umask 077; cat > {FOLDER}/{name}"]
        hosts.run(self.stage.host, argv, user=OWNER, stdin=text.encode())
