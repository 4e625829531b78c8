"""What setup has run every quarter of an hour: makes the backups that are due, app by app.

Each is an ordinary run of its app, under the app's lock and with a guardian of its own. An app
that another run holds is left to the next time.
"""

from __future__ import annotations

import io
import sys
from dataclasses import replace

from homeport import wire
from homeport.core import freshness
from homeport.core.facts import Facts, HostFacts
from homeport.errors import Busy, HomeportError
from homeport.host import boot, detach, endings, look
from homeport.host.paths import Paths, from_environment
from homeport.host.saving import LOCK
from homeport.host.store import Lock, Store


def main() -> int:
    """Look once; the worst exit code of what was made, 0 where nothing was due."""
    home = from_environment("homeport").home
    # before anything may fail or take its time: this is what tells that somebody looks at all
    (home / "scheduled").touch()
    lock = Lock(home / LOCK)
    try:
        lock.take({"verb": "schedule"})
    except Busy:
        return 0  # the one before is still at work
    try:
        return max([_app(from_environment(app)) for app in boot.apps()], default=0)
    finally:
        lock.release()


def seen(paths: Paths) -> Facts:
    """What a decision on a due backup rests on; Docker is not asked for it."""
    host = HostFacts(clock_synced=look.clock())
    return replace(look.of_files(paths, Store(paths)), host=host)


def _app(paths: Paths) -> int:
    """Make one app's backup where it is due; its exit code."""
    try:
        if not freshness.due(seen(paths)) or Lock(paths.lock).held():
            return 0
        request = {"verb": freshness.VERB, "app": paths.app, "cause": {"who": freshness.SCHEDULE}}
        run = detach.new_run()
        detach.start(paths, run, wire.encode(request))
        code = detach.follow(paths, run, io.BytesIO())
    except HomeportError as error:
        print(f"homeport: {paths.app}: {error.text()}", file=sys.stderr)
        return error.code
    if code in (0, Busy.code):
        return 0
    print(f"homeport: {paths.app}: {_sentence(paths, run)}", file=sys.stderr)
    return code


def _sentence(paths: Paths, run: str) -> str:
    verdict = endings.ended(paths, run)
    return verdict.sentence if verdict else f"run {run} was lost"
