"""A run dies exactly where it is told to, once; and nobody who is not told pays for it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from homeport.host import plug
from homeport.host.paths import Paths

DEPLOY = Path(__file__).parents[2] / "deploy"
# A run of a small plan whose effects are real ones: files, a child, and a step that only looks.
RUN = """
import http.client, os, pathlib, subprocess, sys, time
sys.path.insert(0, sys.argv[1])
from homeport.errors import HomeportError, Problem
from homeport.host import execute as walk, run
from homeport.host.context import Context
from homeport.host.engine import Engine
from homeport.host.paths import Paths
from homeport.model import Request
from homeport.planned import Plan, Step, Verdict

root = pathlib.Path(sys.argv[2])
app = root / "shop"

def files(ctx, args):
    for name in "abcd":
        ctx.tell({"e": "notice", "text": name})
        pathlib.Path(app / name).write_text("x")
    return ""

def one(ctx, args):
    (app / "one").mkdir(exist_ok=True)
    (app / "told").exists()
    time.sleep(1)
    return ""

def child(ctx, args):
    subprocess.run(["sh", "-c", f"sleep 0.6; touch {app}/born"])
    return ""

def looks(ctx, args):
    time.sleep(0.6)
    return ""

def fails(ctx, args):
    (app / "tried").touch()
    raise HomeportError(Problem("it does not work"))

walk.OPS.update(files=files, one=one, child=child, looks=looks, fails=fails)
steps = [Step("files", "files", ""), Step("clear r0007", "one", ""), Step("child", "child", "")]
steps += [Step("looks", "looks", ""), Step("fails", "fails", "")]

def verb(ctx):
    ctx.journal("begin", verb="deploy", release="", **{"from": ""})
    try:
        walk.execute(ctx, Plan("deploy", "", tuple(steps)))
    except HomeportError:
        walk.execute(ctx, Plan("recover", "", (Step("files", "files", ""),)))
    return Verdict("deployed", 0, "")

run._VERBS["deploy"] = verb
run.oneshot.clear = lambda ctx: None
asked = Request("deploy", "shop")
verdict = run.run(Context(Paths("shop", root), Engine("/no.sock"), asked, "run-1", print))
print(verdict.sentence)
assert ("homeport.host.plug" in sys.modules) == (len(sys.argv) > 3), "imported for nothing"
"""


@pytest.fixture
def paths(tmp_path: Path) -> Paths:
    """An app's folder."""
    (tmp_path / "shop").mkdir()
    return Paths("shop", tmp_path)


def arm(paths: Paths, *told: dict[str, Any] | None) -> None:
    """Lay the file, as the lab does."""
    text = json.dumps(told[0] if len(told) == 1 else list(told))
    with open(os.open(paths.plug, os.O_WRONLY | os.O_CREAT, 0o600), "w") as stream:
        stream.write(text)


def ran(paths: Paths, *more: str) -> tuple[int, list[tuple[str, str]]]:
    """The exit code of a run, and its journal: what was told of which step."""
    argv = [sys.executable, "-I", "-c", RUN, str(DEPLOY), str(paths.root), *more]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60)
    assert done.returncode in (0, -signal.SIGKILL), done.stderr
    lines = [json.loads(one) for one in paths.journal.read_text().splitlines()]
    return done.returncode, [(one["k"], one["step"]) for one in lines if "step" in one]


def there(paths: Paths) -> str:
    """Which of the effects of ``files`` there are."""
    return "".join(one for one in "abcd" if (paths.folder / one).exists())


def kill(step: str, when: str, **more: Any) -> dict[str, Any]:
    """What is written into the file."""
    what = {"plan": "deploy", "step": step, "when": when, "do": "kill"}
    return {**what, "effects": 0, "seconds": 0.0, **more}


def died(paths: Paths) -> dict[str, Any]:
    """What the run wrote down right before it died."""
    return dict(json.loads((paths.folder / plug.DIED).read_text()))


def test_without_a_plug_nothing_is_imported_and_nothing_dies(paths: Paths) -> None:
    """The file is not there on a host of anybody's."""
    code, journal = ran(paths)
    assert code == 0 and ("failed", "fails") in journal and there(paths) == "abcd"
    assert not (paths.folder / plug.DIED).exists()


@pytest.mark.parametrize("when,effect", [("before", ""), ("middle", "ab"), ("after", "abcd")])
def test_a_run_dies_at_its_moment(paths: Paths, when: str, effect: str) -> None:
    """The intent is journalled at all three; the outcome at none."""
    arm(paths, kill("files", when, effects=4))
    code, journal = ran(paths, "armed")
    assert (code, journal) == (-signal.SIGKILL, [("intent", "files")])
    # a file that is opened for writing is there, and empty: the middle is within the third effect
    written = "".join(one for one in there(paths) if (paths.folder / one).read_text())
    assert written == effect
    assert (died(paths)["at"], died(paths)["step"]) == (when, "files")


def test_the_file_is_gone_before_the_run_dies(paths: Paths) -> None:
    """The next run comes to its end with no human step."""
    arm(paths, kill("files", "before"))
    assert ran(paths, "armed")[0] == -signal.SIGKILL
    assert not paths.plug.exists()
    assert ran(paths)[0] == 0


def test_a_list_has_an_entry_for_each_run(paths: Paths) -> None:
    """So recovery can be told to die as well; an empty entry lets one pass."""
    arm(paths, kill("files", "before"), None, kill("looks", "after"))
    assert [ran(paths, "armed")[0] for _ in range(3)] == [-9, 0, -9]
    assert died(paths)["step"] == "looks" and not paths.plug.exists()


def test_a_step_is_meant_whatever_slot_it_names(paths: Paths) -> None:
    """And one effect alone has its middle shortly after it."""
    arm(paths, kill("clear", "middle", effects=1, seconds=1.0))
    began = time.monotonic()
    code, journal = ran(paths, "armed")
    assert code == -9 and journal[-1] == ("intent", "clear r0007")
    assert (paths.folder / "one").is_dir() and died(paths)["at"] == "middle"
    assert died(paths)["seconds"] < 0.5 and time.monotonic() - began < 10


def test_a_child_goes_on_after_its_run(paths: Paths) -> None:
    """As one does in truth: the middle of its step is within its life."""
    arm(paths, kill("child", "middle", effects=1, seconds=0.6))
    assert ran(paths, "armed")[0] == -9
    assert 0.25 < died(paths)["seconds"] < 0.55
    end = time.monotonic() + 5
    while not (paths.folder / "born").exists():
        assert time.monotonic() < end, "the child died with it"
        time.sleep(0.02)


def test_a_step_that_only_looks_has_a_middle(paths: Paths) -> None:
    """Half of the time that it took before."""
    arm(paths, kill("looks", "middle", seconds=0.6))
    assert ran(paths, "armed")[0] == -9
    assert died(paths)["at"] == "middle" and 0.25 < died(paths)["seconds"] < 0.55


def test_a_step_that_is_over_sooner_dies_at_its_end(paths: Paths) -> None:
    """A point that is not reached would be one that nobody looked at."""
    arm(paths, kill("files", "middle", effects=40))
    code, journal = ran(paths, "armed")
    assert (code, journal[-1]) == (-9, ("intent", "files"))
    assert died(paths)["at"] == "after" and there(paths) == "abcd"


def test_after_a_step_that_fails(paths: Paths) -> None:
    """Its failure is not journalled then."""
    arm(paths, kill("fails", "after"))
    code, journal = ran(paths, "armed")
    assert (code, journal[-1]) == (-9, ("intent", "fails"))


def test_the_plan_is_meant_that_is_named(paths: Paths) -> None:
    """What takes a failure back has steps of its own."""
    arm(paths, {**kill("files", "before"), "plan": "recover"})
    code, journal = ran(paths, "armed")
    assert code == -9 and journal[-2:] == [("failed", "fails"), ("intent", "files")]


def test_an_undisturbed_run_tells_its_effects(paths: Paths) -> None:
    """From that the middles are known; what it tells people is none."""
    arm(paths, {"do": "count"})
    assert ran(paths, "armed")[0] == 0
    lines = (paths.folder / plug.SEEN).read_text().splitlines()
    found = {(one["plan"], one["step"]): one for one in map(json.loads, lines)}
    assert found["deploy", "files"]["effects"] == ["open"] * 4
    assert found["deploy", "clear r0007"]["effects"] == ["os.mkdir"]
    assert found["deploy", "child"]["effects"] == ["subprocess.Popen"]
    assert found["deploy", "looks"]["effects"] == []
    assert found["deploy", "looks"]["seconds"] >= 0.5
    assert ("recover", "files") in found and ("deploy", "fails") in found


def test_a_run_that_is_paused_goes_on_when_it_may(paths: Paths) -> None:
    """So that something else can be done to the host at just this point."""
    arm(paths, {**kill("files", "after"), "do": "pause"})
    argv = [sys.executable, "-I", "-c", RUN, str(DEPLOY), str(paths.root), "armed"]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as child:
        here = paths.folder / plug.HERE
        end = time.monotonic() + 20
        while not here.exists():
            assert time.monotonic() < end and child.poll() is None
            time.sleep(0.01)
        assert there(paths) == "abcd" and not (paths.folder / "one").exists()
        here.unlink()
        _, errors = child.communicate(timeout=30)
    assert child.returncode == 0, errors


def test_what_others_could_have_written_is_passed_over(paths: Paths) -> None:
    """Only the agent's own user says where a run dies."""
    arm(paths, kill("files", "before"))
    paths.plug.chmod(0o644)
    assert plug.take(paths) is None and paths.plug.exists()
