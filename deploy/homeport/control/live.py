"""The live view of a run on a terminal."""

from __future__ import annotations

import os
import time
from typing import TextIO

from rich.console import Console, Group, RenderableType
from rich.live import Live as RichLive
from rich.spinner import Spinner
from rich.table import Table
from rich.text import Text

from homeport.control.present import Event, amount, cause, reason, step_id, took


class Live:
    """A list of the plan's steps, each with its state, drawn again as events come."""

    def __init__(self, out: TextIO, verbose: bool = False) -> None:
        no_color = True if os.environ.get("NO_COLOR") else None
        self._console = Console(file=out, no_color=no_color, highlight=False)
        self._verbose = verbose
        self._steps: dict[str, dict[str, str]] = {}
        self._began: dict[str, float] = {}
        self._spinner = Spinner("dots")
        self._said: set[str] = set()
        self._live = RichLive(
            console=self._console, refresh_per_second=8, get_renderable=self._draw
        )
        self._live.start()

    def show(self, event: Event) -> None:
        kind = event["e"]
        if kind == "plan":
            self._plan(event)
        elif kind == "step":
            self._step(event)
        elif kind == "progress":
            total = f": {amount(event)}" if event.get("total") else ""
            self._row(str(event.get("id")))["note"] = f"{event.get('text', '')}{total}"
        elif kind == "look":
            self._row("watch")[
                "note"
            ] = f"{event.get('left', 0):.0f} s left: {event.get('text', '')}"
        elif kind == "notice" and "text" in event:
            self._console.print(Text(f"note: {event['text']}", style="yellow"))
        elif kind == "log":
            self._log(f"  {event.get('service', '')} | {event.get('line', '')}")

    def close(self) -> None:
        self._live.stop()

    def _plan(self, event: Event) -> None:
        if event.get("release"):
            mode = f" ({event['mode']})" if event.get("mode") else ""
            self._console.print(Text(f"release {event['release']}{mode}", style="bold"))
        for step in event.get("steps", ()):
            row = self._row(step_id(step))
            row["note"] = cause(step) if self._verbose else ""
        for skip in event.get("skips", ()) if self._verbose else ():
            self._console.print(Text(f"left out: {step_id(skip)}: {reason(skip)}", style="dim"))
        for notice in event.get("notices", ()):
            self._console.print(Text(f"note: {notice}", style="yellow"))

    def _step(self, event: Event) -> None:
        name, state = str(event.get("id")), str(event.get("state"))
        row = self._row(name)
        row["state"] = state
        if state == "begin":
            self._began[name] = time.monotonic()
        else:
            row["took"] = took(event).strip()
            row["note"] = str(event.get("note") or "")

    def _log(self, line: str) -> None:
        if line not in self._said:
            self._said.add(line)
            self._console.print(Text(line, style="dim"))

    def _row(self, name: str) -> dict[str, str]:
        return self._steps.setdefault(name, {"state": "", "took": "", "note": ""})

    def _draw(self) -> RenderableType:
        table = Table.grid(padding=(0, 1))
        for name, row in self._steps.items():
            state = row["state"]
            mark: RenderableType = Text(" ")
            if state == "begin":
                mark = self._spinner
                row["took"] = f"{time.monotonic() - self._began[name]:.1f} s"
            elif state:
                good = state == "done"
                mark = Text("✓" if good else "✗", style="green" if good else "red")
            style = "" if state else "dim"
            table.add_row(mark, Text(name, style=style), row["took"], Text(row["note"], "dim"))
        return Group(table)
