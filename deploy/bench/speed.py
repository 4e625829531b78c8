"""How long a deploy and a rollback take, what they cost in trips, and what stays in memory."""

from __future__ import annotations

import statistics
import subprocess
import sys
import time
from typing import Any

from bench.delay import Delay
from bench.stage import Ran, Stage, Talk
from bench.watcher import Watcher
from lab.load import Load

MONITOR = 1.0
ROUND_TRIP = 0.1


def pairs(stage: Stage, images: dict[str, str], times: int, talk: Talk) -> dict[str, list[Any]]:
    """Deploy v2 and roll back to what served, so often: raw figures of each, in ms."""
    found: dict[str, list[Any]] = {
        "deploy_ms": [],
        "overhead_ms": [],
        "rollback_ms": [],
        "parts": [],
    }
    for turn in range(times):
        talk(f"timing a deploy and a rollback, {turn + 1} of {times}")
        before = str(stage.homeport("status", "--json").data["release"])
        ran = stage.deploy(images["v2"], "--force", "--monitor", f"{MONITOR:g}s")
        parts = split(ran)
        found["deploy_ms"].append(round(ran.seconds * 1000 - parts["drain"], 1))
        found["overhead_ms"].append(parts.pop("overhead"))
        found["parts"].append(parts)
        found["rollback_ms"].append(_rollback(stage, before))
    return found


def _rollback(stage: Stage, release: str) -> float:
    """Command to the first answer of the old release, drain apart, in ms."""
    watcher = Watcher(stage.host.address).start()
    ran = stage.rollback(release, "--monitor", f"{MONITOR:g}s")
    seen = watcher.stop()
    at = next(at for at, name in seen if name == release and at > ran.began)
    drain = float(ran.data["figures"].get("drain_s", 0.0))
    return round((at - ran.began - drain) * 1000, 1)


def split(ran: Ran) -> dict[str, float]:
    """A deploy's time in parts that add up, in ms; ``overhead`` is what is the engine's own.

    Apart from it are the drain, the watch's ``monitor``, and ``container``: from Docker's own stamp
    of the container's start to the third good probe.
    """
    figures = ran.data["figures"]
    steps = {one["id"]: float(one["seconds"]) * 1000 for one in figures["steps"]}
    container, total = float(figures["container_s"]) * 1000, float(figures["total_s"]) * 1000
    known = sum(steps.values())
    parts = {
        "command_and_connection": ran.seconds * 1000 - total,
        "before_container_start": steps.pop("start") + steps.pop("healthy") - container,
        "watch_beyond_monitor": steps.pop("watch") - MONITOR * 1000,
        "between_steps": total - known,
    }
    drain = steps.pop("drain", 0.0)
    parts.update(steps)
    parts = {name: round(value, 1) for name, value in parts.items()}
    overhead = round(sum(parts.values()), 1)
    return {**parts, "container": round(container, 1), "drain": drain, "overhead": overhead}


def under_load(stage: Stage, images: dict[str, str], times: int, talk: Talk) -> dict[str, Any]:
    """The same with 100 requests a second going on."""
    load = Load(stage.url, rate=100, seed=11)
    load.start()
    found = pairs(stage, images, times, talk)
    counts = load.stop().counts()
    return {**found, "failed_edge": counts["failed_edge"], "answered_5xx": counts["answered_5xx"]}


def trips(stage: Stage, images: dict[str, str], times: int, talk: Talk) -> dict[str, Any]:
    """SSH connections and commands of one deploy, by the server's log; the price of a far host."""
    from homeport.control import bundle

    since = stage.on_host("date", "+%s").strip()
    time.sleep(1.1)  # the log's stamps are whole seconds
    stage.deploy(images["v2"], "--force", "--monitor", f"{MONITOR:g}s")
    log = stage.on_host("journalctl", "-t", "sshd", "-o", "cat", "--since", f"@{int(since) + 1}")
    folders = stage.on_host("sh", "-c", "ls -d /opt/homeport/agent/*/ | grep -vc current").strip()
    near, far = [], []
    talk(f"timing deploys with {ROUND_TRIP * 1000:.0f} ms of round trip added")
    with Delay(stage.host.address, 22, ROUND_TRIP) as relay:
        key = {**stage.env, "HOMEPORT_HOST_KEY": stage.host.host_key}
        for _ in range(times):
            near.append(_timed(stage, images))
            stage.env, kept = key, stage.env
            far.append(_timed(stage, images, "--host", f"homeport@127.0.0.1:{relay.port}"))
            stage.env = kept
    return {
        "ssh_connections": log.count("Accepted publickey for homeport"),
        "ssh_execs": log.count("Starting session: command for homeport"),
        "agent_folders": int(folders),
        "agent_upload_bytes": len(bundle.build().packed()),
        "rtt_penalty_ms": round(statistics.median(far) - statistics.median(near), 1),
        "rtt_near_ms": near,
        "rtt_far_ms": far,
    }


def _timed(stage: Stage, images: dict[str, str], *more: str) -> float:
    ran = stage.deploy(images["v2"], "--force", "--monitor", f"{MONITOR:g}s", *more)
    return round(ran.seconds * 1000 - float(ran.data["figures"].get("drain_s", 0.0)) * 1000, 1)


def help_ms(times: int = 5) -> float:
    """The median of ``homeport --help``, in ms."""
    found = []
    for _ in range(times + 1):
        begun = time.monotonic()
        argv = [sys.executable, "-m", "homeport.control.cli", "--help"]
        subprocess.run(argv, check=True, capture_output=True)
        found.append((time.monotonic() - begun) * 1000)
    return round(statistics.median(found[1:]), 1)


def log_commands(stage: Stage) -> None:
    """Have the host's sshd write down every command that is started."""
    script = "echo 'LogLevel VERBOSE' > /etc/ssh/sshd_config.d/log.conf && systemctl reload ssh"
    stage.on_host("sh", "-c", script)


def edge_memory(stage: Stage) -> dict[str, float]:
    """The edge's resident memory now and at its peak, in MB, from the kernel's own count."""
    pid = stage.on_host("docker", "inspect", "-f", "{{.State.Pid}}", "homeport-edge").strip()
    status = stage.on_host("cat", f"/proc/{pid}/status")
    values = dict(line.split(":", 1) for line in status.splitlines())
    return {
        "edge_rss_mb": round(int(values["VmRSS"].split()[0]) / 1024, 1),
        "edge_rss_peak_mb": round(int(values["VmHWM"].split()[0]) / 1024, 1),
    }
