"""Cloudflare's tunnel client: fetched, held against its checksum, and told to OpenSSH's config."""

from __future__ import annotations

import hashlib
import os
import platform
import re
import tempfile
import urllib.error
import urllib.request
from pathlib import Path

from pipeline.errors import PipelineError

RELEASES = "https://github.com/cloudflare/cloudflared/releases/download"
MACHINES = {"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm"}
BEGIN, END = "# homeport: begin", "# homeport: end"
LIMIT = 200_000_000


def address(version: str, machine: str) -> str:
    """Where a release for a machine lies; raises PipelineError for anything that is neither."""
    if not re.fullmatch(r"\d{4}\.\d{1,2}\.\d{1,3}", version):
        raise PipelineError(
            "Which cloudflared?",
            f"its version is {version[:40]!r}",
            "set the variable HOMEPORT_CLOUDFLARED_VERSION, as 2026.1.0 "
            "(https://github.com/cloudflare/cloudflared/releases)",
        )
    if machine not in MACHINES:
        raise PipelineError("cloudflared has no release for here.", machine, "use an x86_64 runner")
    return f"{RELEASES}/{version}/cloudflared-linux-{MACHINES[machine]}"


def fetch(version: str, sha256: str, folder: Path, source: str = "") -> Path:
    """The program, in a folder; it is never run, nor left there, before its checksum holds.

    Args:
        version: of the release.
        sha256: what its file must have; 64 digits.
        folder: where it goes; made where it is not there.
        source: its address, where it is not Cloudflare's own.

    Raises:
        PipelineError: it cannot be had, or is another file.
    """
    place = source or address(version, platform.machine())
    if not re.fullmatch(r"[0-9a-f]{64}", sha256):
        raise PipelineError(
            "cloudflared is not taken unchecked.",
            f"its sha256 is {sha256[:80]!r}",
            "set the variable HOMEPORT_CLOUDFLARED_SHA256 to what the release's page says",
        )
    try:
        with urllib.request.urlopen(place, timeout=60) as answer:
            data = answer.read(LIMIT + 1)
    except (urllib.error.URLError, OSError) as failed:
        raise PipelineError("cloudflared cannot be fetched.", f"{place}: {failed}", "try again")
    have = hashlib.sha256(data).hexdigest()
    if have != sha256:
        raise PipelineError(
            "That is not the cloudflared you asked for.",
            f"{place} has the sha256 {have}, not {sha256}",
            "compare with the release's page; change nothing until they agree",
        )
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "cloudflared"
    path.write_bytes(data)
    path.chmod(0o755)
    return path


def host_name(host: str) -> str:
    """The bare host name in ``user@address[:port]``; raises PipelineError for another thing.

    What stands in ssh's config is read by a shell, so nothing but a name gets there.
    """
    name = host.rpartition("@")[2].partition(":")[0]
    if not re.fullmatch(r"[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?(\.[A-Za-z0-9-]+)+", name):
        raise PipelineError(
            "Which host?",
            f"{host[:80]!r} has no host name that a tunnel could have",
            "set HOMEPORT_HOST to user@ the tunnel's public name",
        )
    return name


def without(config: str) -> str:
    """An ssh config without what we wrote into it."""
    return re.sub(rf"{re.escape(BEGIN)}\n.*?{re.escape(END)}\n", "", config, flags=re.DOTALL)


def entry(name: str, program: Path) -> str:
    """The lines that send connections to a host through the tunnel.

    The service token is not among them: cloudflared reads TUNNEL_SERVICE_TOKEN_ID and
    TUNNEL_SERVICE_TOKEN_SECRET from the environment of the deploy.
    """
    proxy = f"ProxyCommand {program} access ssh --hostname %h"
    return f"{BEGIN}\nHost {name}\n  {proxy}\nMatch all\n{END}\n"


def configure(path: Path, text: str) -> None:
    """Puts ``text`` first in an ssh config, in place of what we wrote earlier; mode 0600.

    An empty text takes ours out again; a file in which nothing else stands goes.
    """
    old = path.read_text(encoding="utf-8") if path.exists() else ""
    new = text + without(old)
    if not new:
        path.unlink(missing_ok=True)
        return
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    handle, beside = tempfile.mkstemp(dir=path.parent)
    with os.fdopen(handle, "w", encoding="utf-8") as out:
        out.write(new)
    os.replace(beside, path)
