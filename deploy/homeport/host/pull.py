"""What the Engine tells of a pull, line by line."""

from __future__ import annotations

import http.client
import json
from typing import Callable

from homeport.host.faults import pull_failed


def split_tag(ref: str) -> tuple[str, str]:
    """Name and tag of a reference."""
    head, _, tail = ref.rpartition(":")
    return (head, tail) if head and "/" not in tail else (ref, "latest")


def read(answer: http.client.HTTPResponse, ref: str, progress: Callable[[int, int], None]) -> None:
    """Follow a pull to its end, telling bytes done and in all; raises RegistryError."""
    done: dict[str, int] = {}
    total: dict[str, int] = {}
    for line in answer:
        if not line.strip():
            continue
        event = json.loads(line)
        if "error" in event:
            raise pull_failed(ref, str(event["error"]))
        detail = event.get("progressDetail") or {}
        if event.get("status") == "Downloading" and detail.get("total"):
            done[event["id"]], total[event["id"]] = int(detail["current"]), int(detail["total"])
            progress(sum(done.values()), sum(total.values()))
