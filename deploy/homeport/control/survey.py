"""What ``homeport setup`` finds on a host before anything is changed, and whether it will do."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Mapping

from homeport.control.line import Line
from homeport.core import words
from homeport.errors import Problem

PYTHON = (3, 10)
COMPOSE = (2, 35)
#: what an image can be built for and the edge runs on
MACHINES = ("x86_64", "amd64", "aarch64", "arm64", "armv7l")

#: prints KEY=VALUE lines; needs no root and writes nothing
LOOK = r"""
. /etc/os-release 2>/dev/null
echo "os=$ID"
echo "like=$ID_LIKE"
echo "name=$PRETTY_NAME"
echo "machine=$(uname -m)"
echo "uid=$(id -u)"
echo "python=$(python3 -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null)"
echo "docker=$(docker --version 2>/dev/null)"
echo "compose=$(docker compose version --short 2>/dev/null)"
echo "restic=$(restic version 2>/dev/null)"
command -v apt-get >/dev/null && echo apt=yes
echo "group=$(grep -c '^docker:' /etc/group)"
if [ -d /run/systemd/system ]; then echo hook=systemd
elif command -v crontab >/dev/null; then echo hook=cron; fi
command -v sudo >/dev/null && echo sudo=yes
sudo -n true 2>/dev/null && echo free=yes
[ -e /opt/homeport/boot-hook ] && echo before=yes
[ -d "/opt/$APP" ] && echo folder=yes
true
"""

DEBIAN = "curl -fsSL https://get.docker.com | sudo sh"
INSTALL = {
    "alpine": "sudo apk add docker docker-cli-compose && sudo rc-update add docker default"
    " && sudo service docker start",
    "arch": "sudo pacman -S docker docker-compose && sudo systemctl enable --now docker",
}


@dataclass(frozen=True)
class Survey:
    """The facts, as text; "" for what is not there."""

    facts: Mapping[str, str]

    def __getitem__(self, key: str) -> str:
        return self.facts.get(key, "")

    @property
    def root(self) -> bool:
        return self["uid"] == "0"

    @property
    def needs_password(self) -> bool:
        return not self.root and not self["free"]

    def install(self) -> str:
        """The official commands that bring Docker to this system."""
        for name in (self["os"], *self["like"].split()):
            if name in INSTALL:
                return INSTALL[name]
        return DEBIAN

    def problems(self, where: str) -> list[Problem]:
        """All that is in the way, each with the command that mends it."""
        found = []

        def wrong(what: str, why: str, mend: str) -> None:
            found.append(Problem(what, where, why, mend))

        if self["machine"] not in MACHINES:
            wrong(f"{self['machine']} machines are not supported", "", "a 64-bit system")
        if not self["docker"]:
            wrong("Docker is not installed", "nothing was changed", self.install())
        elif version(self["compose"]) < COMPOSE:
            have = f"it has {self['compose']}" if self["compose"] else "it has none"
            wrong("Docker Compose 2.35 or newer is needed", have, self.install())
        if self["docker"] and self["group"] == "0":
            wrong("there is no group docker", "Docker's packages make it", self.install())
        if version(self["python"]) < PYTHON:
            have = f"it has {self['python']}" if self["python"] else "it has none"
            wrong("Python 3.10 or newer is needed", have, "sudo apt-get install python3")
        if not self["hook"]:
            wrong("there is neither systemd nor cron", "", "sudo apt-get install cron")
        if not self.root and not self["sudo"]:
            wrong("there is no sudo", "root is needed once", "log in as root: --host root@ADDRESS")
        return found


def look(line: Line, app: str) -> Survey:
    """Looks at the host over ``line``; raises Lost when it breaks."""
    pipe = line.run(f"APP={app}; {LOOK}")
    pipe.end_input()
    facts = {}
    while raw := pipe.read_line(30):
        key, equals, value = words.harmless(raw.decode("utf-8", "replace")).strip().partition("=")
        if equals:
            facts[key] = value
    pipe.finish()
    return Survey(facts)


def version(text: str) -> tuple[int, int]:
    """(2, 40) for "2.40.3-1"; (0, 0) for what is no version."""
    found = re.match(r"v?(\d+)\.(\d+)", text)
    return (int(found[1]), int(found[2])) if found else (0, 0)
