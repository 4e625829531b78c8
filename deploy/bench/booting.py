"""A stage whose host is switched on: how long it takes until people are served again."""

from __future__ import annotations

import http.client
import subprocess
import threading
import time
from collections.abc import Callable

from bench.stage import Stage, until
from lab import hosts


def boot(stage: Stage) -> float:
    """Switch the power on; seconds from Docker's first answer to the app's, 0 if the app was first.

    How long a machine takes to bring Docker up is not Homeport's; how long its apps take from
    there on is.
    """
    seen: dict[str, float] = {}
    over = threading.Event()
    watchers = [
        threading.Thread(target=_note_when, args=(over, seen, name, stage, ask), daemon=True)
        for name, ask in (("docker", _docker_answers), ("app", app_answers))
    ]
    for one in watchers:
        one.start()
    hosts.boot(stage.host)
    for one in watchers:
        one.join(90)
    over.set()
    if set(seen) != {"docker", "app"}:
        raise AssertionError(f"90 s after the boot only {sorted(seen) or 'nothing'} answers")
    return max(0.0, seen["app"] - seen["docker"])


def _note_when(
    over: threading.Event,
    seen: dict[str, float],
    name: str,
    stage: Stage,
    ask: Callable[[Stage], bool],
) -> None:
    while not over.is_set():
        if ask(stage):
            seen[name] = time.monotonic()
            return
        time.sleep(0.05)


def _docker_answers(stage: Stage) -> bool:
    argv = ["docker", "exec", stage.host.container, "docker", "version"]
    return subprocess.run(argv, capture_output=True, timeout=60).returncode == 0


def app_answers(stage: Stage) -> bool:
    """Whether a release answers, waiting in a hold as people's browsers would."""
    connection = http.client.HTTPConnection(stage.host.address, 80, timeout=2)
    try:
        connection.connect()
        connection.sock.settimeout(40)
        connection.request("GET", "/load/read")
        answer = connection.getresponse()
        answer.read()
        return answer.status == 200 and answer.getheader("Homeport-Edge") is None
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def own_start(stage: Stage) -> float:
    """Seconds that the app's own web container takes from its start to an answer: median of 3."""
    web, took = next(one for one in stage.running() if "-web-" in one), []
    for _ in range(3):
        stage.on_host("docker", "stop", web)
        began = time.monotonic()
        stage.on_host("docker", "start", web)
        until(lambda: app_answers(stage), 30, "an answer", 0.01)
        took.append(time.monotonic() - began)
    return sorted(took)[1]
