"""Debian as the lab's quarry: newer packages from a newer suite, and nothing else from there."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

from lab.errors import LabError
from lab.shell import command

NEWER_SUITE = "forky"
# Debian 12's own are years old: these, and only these, come from the newer suite.
NEWER = (
    "docker.io docker-cli docker-buildx docker-compose docker-registry caddy tini-static"
    " restic-rest-server".split()
)
APT = ["apt-get", "-q", "-o", "DPkg::Lock::Timeout=120"]


@dataclass(frozen=True)
class Source:
    """A Debian package source: its address, components and the key ring that signs it."""

    uri: str
    components: str
    signed_by: str

    def entry(self, suite: str) -> str:
        """The deb822 text of this source for that suite."""
        text = f"Types: deb\nURIs: {self.uri}\nSuites: {suite}\nComponents: {self.components}\n"
        return text + (f"Signed-By: {self.signed_by}\n" if self.signed_by else "")


def release() -> dict[str, str]:
    """What /etc/os-release says; empty where there is none."""
    try:
        text = Path("/etc/os-release").read_text(encoding="utf-8")
    except OSError:
        return {}
    pairs = (line.partition("=") for line in text.splitlines() if "=" in line)
    return {name: value.strip('"') for name, _, value in pairs}


def parse_sources(text: str, suite: str) -> Source | None:
    """The first source in deb822 or one-line text that carries exactly that suite, or None."""
    for stanza in text.replace("\n\n", "\0").split("\0"):
        fields: dict[str, str] = {}
        for line in stanza.splitlines():
            name, colon, value = line.partition(":")
            if colon and not line.startswith((" ", "#", "deb ")):
                fields[name.strip().lower()] = value.strip()
        if "deb" in fields.get("types", "").split() and suite in fields.get("suites", "").split():
            address = fields["uris"].split()[0]
            return Source(address, fields.get("components", "main"), fields.get("signed-by", ""))
    for line in text.splitlines():
        words = line.split("]", 1)[-1].split() if "[" in line else line.split()[1:]
        if line.startswith("deb ") and len(words) >= 3 and words[1] == suite:
            return Source(words[0], " ".join(words[2:]), "")
    return None


def own_source() -> Source:
    """The Debian source this machine itself uses, so that mirrors and proxies are kept.

    Raises:
        LabError: this is no Debian, or its sources name no such suite.
    """
    about = release()
    suite = about.get("VERSION_CODENAME", "")
    files = sorted(Path("/etc/apt/sources.list.d").glob("*.sources"))
    files += sorted(Path("/etc/apt/sources.list.d").glob("*.list"))
    for path in [*files, Path("/etc/apt/sources.list")]:
        if about.get("ID") == "debian" and path.is_file():
            found = parse_sources(path.read_text(encoding="utf-8"), suite)
            if found:
                return found
    raise LabError(
        "The lab cannot take packages from Debian on this machine.",
        f"/etc/apt names no source of suite {suite!r} ({about.get('ID', 'no os-release')})",
        "use a machine with Debian, or one where Docker Hub answers",
    )


def preferences() -> str:
    """The apt pins: the newer suite is the last resort, except for the packages in NEWER."""
    return (
        f"Package: *\nPin: release n={NEWER_SUITE}\nPin-Priority: 50\n\n"
        f"Package: {' '.join(NEWER)}\nPin: release n={NEWER_SUITE}\nPin-Priority: 995\n"
    )


def install(packages: list[str], newer: bool) -> None:
    """Install packages on this machine as root, with the newer suite added where asked."""
    if newer:
        source = own_source().entry(NEWER_SUITE)
        name = f"homeport-{NEWER_SUITE}"
        Path(f"/etc/apt/sources.list.d/{name}.sources").write_text(source, encoding="utf-8")
        Path(f"/etc/apt/preferences.d/{name}").write_text(preferences(), encoding="utf-8")
    env = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    mend = "`apt-get update` by hand shows whether the package source answers"
    command([*APT, "update"], env=env, timeout=180, mend=mend)
    argv = [*APT, "install", "-y", "--no-install-recommends", *packages]
    command(argv, env=env, timeout=300, mend=mend)
