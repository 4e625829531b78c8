"""What an image's name says: registry, repository, tag, digest, by Docker's own rules."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass

#: Docker's default registry, and where its API and its login live
HUB = "docker.io"
HUB_API = f"registry-1.{HUB}"
HUB_LOGIN = f"https://index.{HUB}/v1/"

_PART = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_PATH = re.compile(rf"{_PART}(?:/{_PART})*")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._-]{0,127}")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]*[A-Za-z0-9])?"
_HOST = re.compile(rf"(?:{_LABEL}(?:\.{_LABEL})*|\[[0-9A-Fa-f:]+\])(?::\d{{1,5}})?")


@dataclass(frozen=True)
class Reference:
    """``registry/path:tag@digest``; ``tag`` is "latest" where neither is given."""

    registry: str
    path: str
    tag: str = ""
    digest: str = ""

    @property
    def loopback(self) -> bool:
        """Whether the registry is on this very machine: the only one trusted without TLS."""
        host = re.sub(r":\d+$", "", self.registry).strip("[]")
        try:
            return host == "localhost" or ipaddress.ip_address(host).is_loopback
        except ValueError:
            return False  # a name, and names can lead anywhere

    @property
    def api(self) -> str:
        """The base address of the registry's HTTP API for this repository."""
        host = HUB_API if self.registry == HUB else self.registry
        return f"{'http' if self.loopback else 'https'}://{host}/v2/{self.path}"

    @property
    def login(self) -> str:
        """The name that Docker's credentials are filed under."""
        return HUB_LOGIN if self.registry == HUB else self.registry


def parse(text: str) -> Reference:
    """The reference in ``text``; raises ValueError saying what is wrong."""
    name, at, digest = text.partition("@")
    if at and not _DIGEST.fullmatch(digest):
        raise ValueError(f"{digest!r} is not a digest: sha256: and 64 hex digits")
    first, slash, rest = name.partition("/")
    is_host = slash and (any(mark in first for mark in ".:[") or first == "localhost")
    registry, remote = (first, rest) if is_host else (HUB, name)
    path, colon, tag = remote.partition(":")
    if colon and not _TAG.fullmatch(tag):
        raise ValueError(f"{tag!r} is not a tag")
    if registry == HUB and "/" not in path:
        path = f"library/{path}"
    if not _PATH.fullmatch(path):
        raise ValueError(f"{path!r} is not a repository: lower case letters, digits, . _ - and /")
    if not _HOST.fullmatch(registry):
        raise ValueError(f"{registry!r} is not a registry's address")
    return Reference(registry, path, tag or ("" if digest else "latest"), digest)
