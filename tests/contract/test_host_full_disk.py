"""A disk that is really full: what a run says then, and that what serves goes on serving."""

from __future__ import annotations

import io
import json
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from homeport import wire
from homeport.errors import HostFault, Refused
from homeport.host import agent, detach, endings, telling
from homeport.host.run import run
from homeport.host.store import BALLAST, Store
from tinyapp.driver import Tiny

pytestmark = pytest.mark.docker
SUDO = [] if os.getuid() == 0 else ["sudo", "-n"]
KEY, OTHER = "7" * 32, "8" * 32


@pytest.fixture
def app(make_app: Callable[..., Tiny]) -> Iterator[Tiny]:
    """An app whose folder is a small disk of its own; two releases of it served."""
    made = make_app("full")
    folder = str(made.paths.folder)
    options = f"size=96m,uid={os.getuid()}"
    subprocess.run([*SUDO, "mount", "-t", "tmpfs", "-o", options, "tmpfs", folder], check=True)
    try:
        made.deploy("v1")
        made.deploy("v2")
        yield made
    finally:
        subprocess.run([*SUDO, "umount", "-l", folder], check=True)


def fill(folder: Path) -> None:
    """Write until not a byte fits, also into what the journal has left of its last page."""
    for name, size in (("filler", 1 << 20), ("filler", 4096), ("journal.jsonl", 1)):
        with open(folder / name, "ab", buffering=0) as filler:
            while True:
                try:
                    filler.write(b"\n" * size)
                except OSError:
                    break


def asked(app: Tiny, verb: str, version: str = "v1", **more: Any) -> dict[str, Any]:
    """The verdict that a request gets at the agent's door, carried out by a run of its own."""
    out = io.BytesIO()
    code = agent.main(wire.encode(app.request(verb, version, **more)), io.BytesIO(), out)
    told = [json.loads(line) for line in out.getvalue().splitlines()]
    assert told[-1]["e"] == "verdict" and told[-1]["code"] == code
    return dict(told[-1])


def test_a_full_disk_is_told_and_loses_nothing(app: Tiny) -> None:
    """The ballast lets the run say what is wrong; without it the door does. The old one serves."""
    serving, link, ran = app.serves(), app.link(), app.running()
    assert app.paths.ballast.stat().st_size == BALLAST
    fill(app.paths.folder)
    refused = asked(app, "deploy", "v3", key=KEY)
    assert refused["code"] == Refused.code
    assert any("MiB of disk are needed" in one["what"] for one in refused["problems"])
    assert not app.paths.ballast.exists()
    # nothing is left now, not even for a run to begin
    fill(app.paths.folder)
    for key in ("", OTHER):
        fault = asked(app, "deploy", "v3", key=key)
        assert fault["code"] == HostFault.code
        (problem,) = fault["problems"]
        assert problem["what"] == "the journal cannot be written" and problem["mend"] == "df -h"
        assert "No space left" in problem["why"]
    assert (app.serves(), app.link(), app.running()) == (serving, link, ran)
    (app.paths.folder / "filler").unlink()
    assert asked(app, "deploy", "v3", key=OTHER)["outcome"] == "deployed"


def test_going_back_needs_no_more_room_than_the_ballast(app: Tiny) -> None:
    """Bad code on a full disk is not there to stay."""
    fill(app.paths.folder)
    assert asked(app, "rollback")["outcome"] == "rolled-back"
    assert app.serves().startswith("r0001-")


def test_a_disk_that_fills_under_a_run_ends_it_in_words(app: Tiny) -> None:
    """Wherever the room runs out: a fault with the command that shows it, no traceback, no loss."""
    serving = app.serves()
    for step in ("release", "start", "handover"):
        context = app.context("deploy", "v3", force=True)
        tell, seen = context.tell, [0]

        def filling(event: Any, tell: Any = tell, seen: Any = seen, step: str = step) -> None:
            if event.get("id") == step and event.get("state") == "begin":
                app.paths.ballast.unlink(missing_ok=True)
                fill(app.paths.folder)
                seen[0] += 1
            tell(event)

        context.tell = filling
        verdict = run(context)
        assert seen == [1]
        assert verdict.code == HostFault.code, (step, verdict)
        assert verdict.problems[0]["mend"] == "df -h", (step, verdict)
        assert not [one for one in app.events if one["e"] == "trace"], step
        (app.paths.folder / "filler").unlink()
        assert app.run("recover").code == 0
        # the link lies on another disk here: once it is written it counts, journal or not
        assert (app.serves() != serving) == (step == "handover"), step
    assert app.run("deploy", "v4").outcome == "deployed"


def test_what_cannot_be_told_ends_no_run(app: Tiny) -> None:
    """An event goes to the file whole or not at all; the next one that fits is read."""
    name = detach.new_run()
    telling.tell_run(app.paths, name, {"e": "notice", "text": "one"})
    app.paths.ballast.unlink()
    fill(app.paths.folder)
    telling.tell_run(app.paths, name, {"e": "notice", "text": "x" * 9000})
    (app.paths.folder / "filler").unlink()
    telling.tell_run(app.paths, name, {"e": "notice", "text": "two"})
    assert [one["text"] for one in endings.told(app.paths, name)] == ["one", "two"]
    assert Store(app.paths).history().unfinished == ()
