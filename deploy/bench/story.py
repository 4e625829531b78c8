"""The demo's story under load: v1 → v2 → v3, which is refused → back to v1; and every mode once."""

from __future__ import annotations

import time
from typing import Any

from bench.stage import Ran, Stage, Talk
from lab.load import Hold, Load, Result, holds_seen, judge

#: a generator that was late itself by more than this says nothing about the server, in ms
LATE = 1000.0
MODES = ("overlap", "single-writer", "recreate")


def tell(stage: Stage, images: dict[str, str], talk: Talk) -> dict[str, Any]:
    """Play the story; its figures and, under ``lines``, the table's rows."""
    talk("deploying v1")
    lines = [_line("deploy v1", stage.deploy(images["v1"], "--monitor", "2s"))]
    load = Load(stage.url, rate=100, seed=1)
    load.start()
    time.sleep(4)
    talk("100 requests a second from here on; deploying v2")
    lines.append(_line("deploy v2", stage.deploy(images["v2"], "--monitor", "2s")))
    talk("deploying v3, whose readiness check fails")
    refused = stage.deploy(images["v3"], check=False)
    lines.append(_line("deploy v3", refused))
    talk("rolling back to v1")
    lines.append(_line("rollback", stage.rollback("--monitor", "2s")))
    time.sleep(4)
    while load.sent() < 3100:
        time.sleep(0.2)
    result = load.stop()
    figures = measured(stage, result)
    serves = stage.homeport("status", "--json").data["release"]
    return {
        **figures,
        "handovers": 2,
        "v3_refused": refused.code == 52,
        "v1_serves_again": serves == lines[0]["release"],
        "lines": lines,
    }


def modes(stage: Stage, images: dict[str, str], talk: Talk) -> dict[str, Any]:
    """Deploy once in every mode over socket and TCP, each under load; which of them held."""
    cells = []
    for port in (None, 8000):
        for mode in MODES:
            name = f"{mode} over {'TCP' if port else 'a socket'}"
            talk(f"deploying {name}, under load")
            stage.settings(port, mode)
            cells.append({"name": name, **_cell(stage, images, mode)})
    stage.settings()
    return {"modes_passed": sum(1 for cell in cells if cell["passed"]), "modes": cells}


def _cell(stage: Stage, images: dict[str, str], mode: str) -> dict[str, Any]:
    load = Load(stage.url, rate=100, seed=7)
    load.start()
    time.sleep(2)
    # --force: the version that serves may be this one already
    ran = stage.deploy(images["v2"], "--force", "--monitor", "1s", check=False)
    time.sleep(2)
    figures = measured(stage, load.stop())
    one_writer = figures["writer_changes"] == 1 or mode == "overlap"
    clean = ("failed_edge", "answered_5xx", "answered_4xx", "lost_writes", "doubled_writes")
    passed = ran.code == 0 and one_writer and not any(figures[key] for key in clean)
    kept = (*clean, "requests", "acked_writes", "writer_changes", "hold_ms", "errors")
    return {"passed": passed, "code": ran.code, **{key: figures[key] for key in kept}}


def measured(stage: Stage, result: Result) -> dict[str, Any]:
    """The figures of one load, from the clients' stamps and the database's own rows."""
    holds = holds_seen(result)
    figures = judge(result, stage.audit(), holds=holds, handovers=holds)
    late = float(str(figures["generator_lag_ms_max"]))
    if late > LATE:
        raise RuntimeError(f"the load generator was {late:.0f} ms late: this machine is too busy")
    figures["slowest_in_flight_ms"] = [_slowest(result, hold) for hold in holds]
    return figures


def _slowest(result: Result, hold: Hold) -> float:
    """The longest request that the old release still had in flight when the hold began, in ms."""
    spans = [
        request.done - request.sent
        for request in result.requests
        if request.sent is not None
        and request.release == hold.old
        and result.wall(request.sent) <= hold.start <= result.wall(request.done)
    ]
    return round(max(spans, default=0.0) * 1000, 1)


def _line(what: str, ran: Ran) -> dict[str, Any]:
    verdict = ran.data
    figures = verdict.get("figures") or {}
    return {
        "what": what,
        "outcome": verdict["outcome"],
        "release": verdict["release"],
        "seconds": round(ran.seconds, 1),
        "held_s": figures.get("held_s"),
        "sentence": verdict["sentence"],
    }
