"""`make way-in` and `make way-out`: how a runner reaches the host, and nothing left behind."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path

from pipeline import cloudflared
from pipeline.errors import PipelineError, told

VERBS = ("deploy", "rollback")
WAYS = ("direct", "tailscale", "cloudflare")
CONFIG = Path("~/.ssh/config")


def words(environment: Mapping[str, str]) -> tuple[str, str]:
    """The verb and the way in that were asked for; an unset way in is ``direct``.

    Raises:
        PipelineError: a word that is none of ours, which would otherwise do nothing and look well.
    """
    verb, way = environment.get("VERB", ""), environment.get("WAY_IN", "") or "direct"
    if verb not in VERBS:
        raise PipelineError("Do what?", f"the verb is {verb[:40]!r}", f"one of {', '.join(VERBS)}")
    if way not in WAYS:
        raise PipelineError(
            "How is the host reached?",
            f"HOMEPORT_WAY_IN is {way[:40]!r}",
            f"one of {', '.join(WAYS)}",
        )
    return verb, way


def main() -> int:
    """Opens the way in; with the argument ``out``, takes away what that wrote."""
    config = CONFIG.expanduser()
    if sys.argv[1:] == ["out"]:
        cloudflared.configure(config, "")
        return 0
    _, way = words(os.environ)
    if way != "cloudflare":
        return 0
    name = cloudflared.host_name(os.environ.get("HOMEPORT_HOST", ""))
    for part in ("ID", "SECRET"):
        if not os.environ.get(f"TUNNEL_SERVICE_TOKEN_{part}"):
            raise PipelineError(
                "Cloudflare lets nobody in without a service token.",
                f"there is no secret HOMEPORT_CF_CLIENT_{part}",
                "make a service token under Access > Service credentials, and set both secrets",
            )
    folder = Path(os.environ.get("RUNNER_TEMP") or Path.cwd() / "build") / "homeport"
    program = cloudflared.fetch(
        os.environ.get("CLOUDFLARED_VERSION", ""), os.environ.get("CLOUDFLARED_SHA256", ""), folder
    )
    cloudflared.configure(config, cloudflared.entry(name, program))
    return 0


if __name__ == "__main__":
    sys.exit(told(main))
