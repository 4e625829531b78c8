"""One-shot containers on the real Engine: like their service, bounded, and gone afterwards."""

from __future__ import annotations

import json
import threading
import time
from pathlib import Path

import pytest

from homeport.core.oneshot import Wanted
from homeport.errors import HostFault
from homeport.host import oneshot
from homeport.host.begun import Late
from homeport.host.engine import Engine
from homeport.host.oneshot import Bind, OneShot
from homeport.host.store import Lock
from saved import UID, MakeSaved
from tinyapp.driver import wait

pytestmark = pytest.mark.docker
LOOK = """
import json, os
root = open('/proc/self/mountinfo').read().splitlines()[0].split()
print(json.dumps({
    'uid': os.getuid(), 'groups': os.getgroups(), 'env': os.environ.get('TINY_VERSION'),
    'data': sorted(os.listdir('/app/data')), 'sockets': os.path.exists('/run/homeport'),
    'root': 'ro' in root[5].split(','), 'net': sorted(os.listdir('/sys/class/net')),
    'more': os.environ.get('MORE'),
}))
"""


def script(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    """Let ``inside/`` have one script, ``mine``."""
    (tmp_path / "mine.py").write_text(text)
    monkeypatch.setattr(oneshot, "INSIDE", tmp_path)


def test_it_is_like_its_service(
    make_saved: MakeSaved, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """User, variables, data and read-only root are the service's; sockets and network are not."""
    app = make_saved()
    (app.data / "mine").touch()
    app.up()
    script(tmp_path, monkeypatch, LOOK)
    (seen,) = OneShot(app.context(), app.release).script("mine", {}, within=60, env={"MORE": "1"})
    assert (seen["uid"], seen["env"], seen["more"]) == (UID, "v1", "1")
    assert seen["data"] == ["mine"] and seen["root"] and not seen["sockets"]
    assert seen["net"] == ["lo"] and 0 in seen["groups"]
    (seen,) = OneShot(app.context(), app.release).script("mine", {}, within=60, network=None)
    assert len(seen["net"]) == 2
    assert app.oneshots() == []


def test_a_copy_stands_in_for_the_data(make_saved: MakeSaved, tmp_path: Path) -> None:
    """What runs on a copy reaches the copy, and the data itself nowhere."""
    app = make_saved()
    (app.data / "live").touch()
    app.up()
    copy = tmp_path / "copy"
    copy.mkdir()
    copy.chmod(0o2770)
    done = OneShot(app.context(), app.release).run(
        ["sh", "-c", "ls /app/data /app/more && touch /app/data/new && touch /app/more/x"],
        within=60,
        replace={"/app/data": str(copy)},
        binds={"/app/more": Bind(str(app.data))},
    )
    assert done.code != 0 and "Read-only file system" in done.err
    assert done.out.split() == ["/app/data:", "/app/more:", "live"]
    assert [one.name for one in copy.iterdir()] == ["new"]
    assert [one.name for one in app.data.iterdir()] == ["live"]


def test_how_it_ended_is_told(make_saved: MakeSaved) -> None:
    """Its code, both streams apart, a program that is missing; much output is read to its end."""
    app = make_saved()
    app.up()
    shot = OneShot(app.context(), app.release)
    done = shot.run(["sh", "-c", "echo out; echo err >&2; exit 3"], within=60)
    assert (done.code, done.out, done.err) == (3, "out\n", "err\n")
    assert shot.run(["no-such-program"], within=60).code == 127
    many = "print('x' * 999 + '\\n' * 1, end='', flush=True)\n" * 1 + "print('y' * 3000000)"
    done = shot.run(["python3", "-c", many], within=60)
    assert len(done.out) == 3001001 and done.code == 0
    assert app.oneshots() == []


@pytest.mark.parametrize("length", [10, 3_000_000])
def test_what_a_script_is_told_may_be_long(
    make_saved: MakeSaved, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, length: int
) -> None:
    """More than a variable can have comes in a file, which is gone afterwards."""
    app = make_saved()
    app.up()
    text = "from __future__ import annotations\nimport json, os\n"
    text += "if __name__ == '__main__':\n    "
    text += "print(json.dumps({'n': len(json.loads(os.environ['HOMEPORT_ARGUMENT'])['x'])}))"
    script(tmp_path, monkeypatch, text)
    shot = OneShot(app.context(), app.release)
    assert shot.script("mine", {"x": "y" * length}, within=60) == [{"n": length}]
    assert not list(app.paths.folder.glob(".argument*"))


def test_a_script_that_fails_says_why(
    make_saved: MakeSaved, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What it wrote of its failure is the error's reason; so is an image without Python."""
    app = make_saved()
    app.up()
    script(tmp_path, monkeypatch, "import sys; sys.exit('the disk is tired')")
    with pytest.raises(HostFault) as failure:
        OneShot(app.context(), app.release).script("mine", {}, within=60)
    assert failure.value.problems[0].why == "the disk is tired"
    monkeypatch.setattr(oneshot, "PYTHON", ("python9",))
    with pytest.raises(HostFault, match="there is no python3 in the image"):
        OneShot(app.context(), app.release).script("mine", {}, within=60)


def test_what_has_no_end_is_killed(make_saved: MakeSaved) -> None:
    """After its time, with what it had written so far; nothing of it is left."""
    app = make_saved()
    app.up()
    begun = time.monotonic()
    with pytest.raises(Late) as failure:
        OneShot(app.context(), app.release).run(["sh", "-c", "echo so far; sleep 600"], within=1.5)
    assert time.monotonic() - begun < 30 and failure.value.output.out == "so far\n"
    assert app.oneshots() == []


def test_what_a_dead_run_left_is_removed_by_the_next(make_saved: MakeSaved) -> None:
    """Even while it works; not by its own run, nor by who only reads while a run goes on."""
    app = make_saved()
    app.up()
    dead = OneShot(app.context("run-1"), app.release)
    wanted = Wanted(("sh", "-c", "sleep 600"))
    with dead.started(wanted) as left:
        with OneShot(app.context("run-1"), app.release).started(wanted):
            assert len(app.oneshots()) == 2
        lock = Lock(app.paths.lock)
        lock.take({"run": "run-1"})
        # as another process would find it
        app.paths.lock.write_text(json.dumps({"run": "run-1", "pid": 1}))
        oneshot.clear(app.context("run-2"))
        assert Engine().inspect(left) is not None
        lock.release()
        assert OneShot(app.context("run-2"), app.release).run(["true"], within=60).code == 0
        assert Engine().inspect(left) is None
    assert app.oneshots() == []


def test_a_release_without_containers_is_made_for_a_moment(make_saved: MakeSaved) -> None:
    """Its data can be had before it ever ran, and its slot is left as it was."""
    app = make_saved()
    (app.data / "mine").touch()
    ctx = app.context()
    done = OneShot(ctx, app.release).run(["ls", "/app/data"], within=60)
    assert done.out == "mine\n"
    assert ctx.containers("r0001") == [] and not app.paths.slot("r0001").exists()


def test_a_boot_on_a_copy_runs_until_the_block_ends(make_saved: MakeSaved) -> None:
    """The service's own command, until nobody wants it any more; others may ask meanwhile."""
    app = make_saved(
        command=["python3", "-c", "print('up', flush=True); import time; time.sleep(600)"]
    )
    app.up()
    ctx = app.context()
    with OneShot(ctx, app.release).started(Wanted()) as made:
        wait(lambda: (Engine().inspect(made) or {})["State"]["Running"], "the boot")
        asked = threading.Thread(
            target=lambda: OneShot(app.context(ctx.run), app.release).run(["true"], within=60)
        )
        asked.start()
        asked.join(60)
        assert (Engine().inspect(made) or {})["State"]["Running"]
    assert Engine().inspect(made) is None
