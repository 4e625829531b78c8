"""Deploys and rollbacks of a real app on the real Engine, Compose and edge, run in this process."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from homeport.errors import NoSuchRelease
from homeport.host import prepare, read
from homeport.host.engine import Engine
from homeport.model import DeployRules, Smoke, Web
from tinyapp.driver import VOLUMES, WEB, WORKER, Page, Tiny, docker, the_edge, wait

pytestmark = pytest.mark.docker
MakeApp = Callable[..., Tiny]
SHARED = """\
  store:
    image: homeport-test/tiny:v1
    command: [python3, -c, "import time; time.sleep(600)"]
    stop_grace_period: 0s
    restart: unless-stopped
    labels: {homeport.shared: "true"}
"""


class Traffic:
    """A client that never stops asking, and keeps every answer that was not a 200."""

    def __init__(self, app: Tiny) -> None:
        self._app, self._stop = app, threading.Event()
        self.asked, self.bad, self.slowest = 0, list[str](), 0.0
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        while not self._stop.wait(0.01):
            self.asked += 1
            try:
                page = self._app.ask("/", b"x" * 3000 if self.asked % 2 else None)
            except OSError as error:
                self.bad.append(repr(error))
                continue
            self.slowest = max(self.slowest, page.seconds)
            if page.status != 200:
                self.bad.append(f"{page.status} {page.headers}")

    def _more(self) -> None:
        """Wait until ten more have been asked: on a busy machine few are asked in a short run."""
        now = self.asked
        wait(lambda: self.asked > now + 10, "traffic", 20)

    def __enter__(self) -> Traffic:
        self._thread.start()
        self._more()
        return self

    def __exit__(self, *_: object) -> None:
        self._more()
        self._stop.set()
        self._thread.join(30)


def position(app: Tiny, *steps: str) -> list[int]:
    """Where these steps came in the app's last run."""
    done = app.steps()
    return [done.index(one) for one in steps]


def identity(app: Tiny) -> dict[str, Any]:
    """What must stay the same over deploys: volume, network, folder, the edge's container."""
    engine = Engine()
    volume, network = engine.volume(f"{app.name}_keep"), engine.network(f"{app.name}_default")
    assert volume is not None and network is not None
    folder = (app.paths.folder / "data").stat()
    edge = (engine.inspect(the_edge()) or {})["Id"]
    return {
        "volume": volume["CreatedAt"],
        "network": network["Id"],
        "folder": (folder.st_ino, folder.st_uid, folder.st_mode),
        "edge": edge,
    }


ORDER = {
    "overlap": ("start", "healthy", "handover", "pin", "watch", "drain", "retire", "mark"),
    "single-writer": ("standby", "start", "healthy", "hold", "drain", "retire", "lift", "handover"),
    "recreate": ("hold", "drain", "retire", "start", "healthy", "handover", "pin", "watch"),
}


@pytest.mark.parametrize("web", [Web(ready="/ready", standby=True), Web("web", 8000, "/", True)])
def test_every_mode_moves_traffic_and_fails_nothing(make_app: MakeApp, web: Web) -> None:
    """First deploy, then each mode under traffic: nothing fails, one slot runs, data stays put."""
    app = make_app("modes", web=web)
    first = app.deploy("v1")
    assert first.release.startswith("r0001-") and app.serves() == first.release
    assert app.ask("/write", b"before").status == 200
    before = identity(app)
    assert before["folder"][1] == 10001
    for number, mode in enumerate(ORDER, 2):
        app.mode(mode)
        with Traffic(app) as traffic:
            verdict = app.deploy(f"v{number}")
        assert traffic.bad == [] and traffic.asked > 20
        assert app.serves() == verdict.release and verdict.release.startswith(f"r{number:04d}-")
        assert app.running() == [app.web_of(verdict.release)]
        assert position(app, *ORDER[mode]) == sorted(position(app, *ORDER[mode]))
        assert app.policy(app.web_of(verdict.release)) == "unless-stopped"
        old = app.web_of(f"r{number - 1:04d}-")
        assert app.policy(old) == "no" and app.containers()[old]["State"]["ExitCode"] == 0
        held = verdict.figures.get("held_s")
        assert (held is None) == (mode == "overlap")
        assert traffic.slowest <= (held or 0.0) + 2.0
        assert app.store_current() == verdict.release
    assert identity(app) == before
    assert app.ask("/write", b"after").status == 200
    rows = (app.paths.folder / "data" / "rows").read_text().split()
    assert rows[0] == "before" and rows[2] == "after"


def test_going_back(make_app: MakeApp) -> None:
    """Back to kept containers starts those very ones; without them they are made from the image."""
    app = make_app("back", rules=DeployRules(handover="overlap", start=5.0, drain=2.0))
    with pytest.raises(NoSuchRelease):
        prepare.rollback(app.context("rollback"))
    first = app.deploy("v1").release
    again = app.run("deploy", "v1")
    assert (again.outcome, again.code, again.release) == ("already-live", 0, first)
    none = app.run("rollback")
    assert (none.outcome, none.code) == ("refused", 32)
    second = app.deploy("v2").release
    kept = app.containers()[app.web_of(first)]["Id"]
    with Traffic(app) as traffic:
        verdict = app.run("rollback")
    assert traffic.bad == []
    assert (verdict.outcome, verdict.release, app.serves()) == ("rolled-back", first, first)
    assert app.containers()[app.web_of(first)]["Id"] == kept
    docker("rm", "-f", app.web_of(second))
    verdict = app.run("rollback", release=second.split("-")[0][1:])
    assert (verdict.outcome, app.serves()) == ("rolled-back", second)
    assert app.running() == [app.web_of(second)]
    assert app.run("rollback", release=second).outcome == "already-live"
    strange = app.run("rollback", release="r0099")
    assert strange.code == 32 and first in strange.problems[0]["why"]


def test_several_workers_go_and_come_back_together(make_app: MakeApp) -> None:
    """Each container of a worker moves with its release, and only the committed slot's restart."""
    many = "    deploy: {replicas: 2, restart_policy: {condition: on-failure, max_attempts: 3}}\n"
    rules = DeployRules(handover="overlap", start=5.0, drain=2.0)
    app = make_app("many", compose=WEB + WORKER + many + VOLUMES, rules=rules)
    first, second = app.deploy("v1").release, app.deploy("v2").release
    assert app.run("rollback").outcome == "rolled-back"
    names = [f"{app.name}-r0001-{one}" for one in ("web-1", "worker-1", "worker-2")]
    assert (app.running(), app.serves()) == (names, first)
    assert [app.policy(one) for one in names] == ["unless-stopped", "on-failure", "on-failure"]
    gone = [name for name in app.containers() if second.split("-")[0] in name]
    assert [app.policy(one) for one in gone] == ["no"] * 3


def test_a_release_that_is_not_good_does_not_go_live(make_app: MakeApp) -> None:
    """Whatever is wrong with it, its cause is told in its own words, and the old one serves on."""
    app = make_app("bad")
    nothing = app.run("deploy", fault="exit")
    assert (nothing.outcome, nothing.code) == ("failed", 51)
    assert "nothing served before" in nothing.sentence and app.containers() == {}
    good = app.deploy("v1").release
    app.smoke = (Smoke("/", contains="version"),)
    app.rules = replace(app.rules, start=3.0)
    for mode, fault, code, words in (
        ("overlap", "never-ready", 52, '503 {"version": "v2"'),
        ("single-writer", "exit", 51, "cannot find my configuration"),
        ("recreate", "bad-page", 53, "GET /: 500, expected 200"),
    ):
        app.mode(mode)
        with Traffic(app) as traffic:
            verdict = app.run("deploy", "v2", fault)
        assert (verdict.outcome, verdict.code) == ("failed", code), verdict
        assert words in verdict.problems[0]["why"], verdict.problems
        assert verdict.problems[0]["mend"] and good in verdict.sentence
        assert traffic.bad == []
        assert app.serves() == good and app.running() == [app.web_of(good)]
        assert list(app.containers()) == [app.web_of(good)]
        assert [one.name for one in app.paths.releases.iterdir()] == [good]
        assert app.policy(app.web_of(good)) == "unless-stopped"
    app.smoke = ()
    app.mode("single-writer")
    verdict = app.run("deploy", "v2", "dies-writing")
    assert (verdict.outcome, verdict.code) == ("taken-back", 54), verdict
    assert app.serves() == good and app.running() == [app.web_of(good)]
    assert app.run("recover").outcome == "nothing-to-do"


def shifts(app: Tiny) -> list[str]:
    """Which release's worker began and ended, in that order."""
    lines = (app.paths.folder / "data" / "shifts").read_text().splitlines()
    return [" ".join(line.split()[:2]).split("-")[0] + " " + line.split()[1] for line in lines]


def test_shared_services_and_workers(make_app: MakeApp, tiny_image: Callable[..., str]) -> None:
    """Workers move with the release, never two at once; shared services stay until asked for."""
    tiny_image("v1")
    app = make_app("crew", compose=WEB + WORKER + SHARED + VOLUMES)
    store = f"{app.name}-store-1"
    app.deploy("v1")
    born = app.containers()[store]
    second = app.deploy("v2")
    assert position(app, "handover", "workers") == sorted(position(app, "handover", "workers"))
    assert len(app.running()) == 3
    wait(lambda: shifts(app) == ["r0001 begins", "r0001 ends", "r0002 begins"], "the shift change")
    bad = app.run("deploy", "v3", "worker-dies", monitor=6.0)
    assert (bad.outcome, bad.code) == ("taken-back", 54), bad
    assert "worker" in json.dumps(bad.problems) or "restarted" in json.dumps(bad.problems)
    assert app.serves() == second.release
    assert app.running() == sorted([store, app.web_of("r0002-"), f"{app.name}-r0002-worker-1"])
    app.compose = app.compose.replace("time.sleep(600)", "time.sleep(900)")
    kept = app.containers()[store]
    assert (kept["Id"], kept["State"]["StartedAt"]) == (born["Id"], born["State"]["StartedAt"])
    web = app.containers()[app.web_of("r0002-")]["State"]["StartedAt"]
    changed = app.run("deploy", shared=True)
    assert changed.outcome == "shared-changed", changed
    assert app.containers()[store]["Id"] != born["Id"]
    assert app.containers()[app.web_of("r0002-")]["State"]["StartedAt"] == web
    assert app.run("deploy", shared=True).outcome == "nothing-to-do"
    (app.paths.folder / "data" / "mine").write_text("kept")
    assert app.run("remove").outcome == "removed"
    assert app.containers() == {} and not app.paths.link.exists()
    assert (app.paths.folder / "data" / "mine").read_text() == "kept"
    assert Engine().volume(f"{app.name}_keep") is not None
    assert app.ask().status == 404
    assert app.deploy("v1").release.startswith("r0004-")
    assert app.run("remove").outcome == "removed"


def test_everything_against_a_deploy_at_once(make_app: MakeApp, free_port: int) -> None:
    """A refused deploy names every reason with its mend, and has changed nothing."""
    compose = WEB.replace("read_only: true", "environment: {KEY: $KEY}")
    app = make_app("refused", compose=compose + "  queue: {image: redis}\n" + VOLUMES)
    app.secrets = ("TOKEN",)
    app.port = free_port
    docker(
        "run",
        "-d",
        "--name",
        f"{app.name}-old",
        "--label",
        f"com.docker.compose.project={app.name}",
        app.image("v1"),
        "sleep",
        "60",
    )
    try:
        with socket.socket() as taken:
            taken.bind(("0.0.0.0", free_port))
            taken.listen()
            verdict = app.run("deploy")
    finally:
        docker("rm", "-f", f"{app.name}-old")
    assert (verdict.outcome, verdict.code) == ("refused", 30)
    told = "\n".join(one["what"] for one in verdict.problems)
    for words in ("whether queue moves", "KEY has no value", "TOKEN has no value"):
        assert words in told
    assert f"port {free_port} of the host is taken" in told and "runs already" in told
    assert all(one["mend"] for one in verdict.problems)
    assert app.containers() == {} and not app.paths.releases.exists()
    app.compose = "services: [nonsense]\n"
    verdict = app.run("deploy")
    assert verdict.code == 11 and "services" in verdict.problems[0]["why"]


# --- an app at rest ------------------------------------------------------------------------------
@pytest.fixture(scope="module")
def settled(make_app: MakeApp) -> Iterator[Tiny]:
    """An app that was deployed twice and taken back, with a secret and a setting edited between."""
    app = make_app("rest", secrets=("TOKEN",))
    app.paths.settings_env.write_text("TOKEN=one\nCOLOUR=crimson\n")
    app.deploy("v1")
    app.paths.settings_env.write_text("TOKEN=two\nCOLOUR=blue\n")
    app.deploy("v2")
    assert app.ask("/env?COLOUR").told()["value"] == "blue"
    app.paths.settings_env.write_text("TOKEN=t0ken-three\nCOLOUR=green\n")
    assert app.run("rollback").outcome == "rolled-back"
    yield app


def value(page: Page) -> str:
    """What the app has in a variable."""
    return str(page.told()["value"])


def test_secrets_are_todays_and_settings_are_the_releases(settled: Tiny) -> None:
    """A rollback brings the release's own settings back, but never an old secret."""
    assert settled.ask().told()["version"] == "v1"
    assert value(settled.ask("/env?TOKEN")) == "t0ken-three"
    assert value(settled.ask("/env?COLOUR")) == "crimson"
    folder = settled.paths.folder
    for path in (folder / ".env", *settled.paths.releases.glob("*/env")):
        assert path.stat().st_mode & 0o777 == 0o600
    for path in (folder / "compose.yaml", settled.paths.journal):
        assert "t0ken-three" not in path.read_text() and "crimson" not in path.read_text()


def test_compose_typed_by_hand_changes_nothing(settled: Tiny) -> None:
    """In the app's folder ``docker compose`` meets the live slot; ``up -d`` leaves it as it is."""
    folder, web = settled.paths.folder, settled.web_of("r0001-")
    before = settled.containers()[web]
    shown = docker("compose", "ps", "--format", "{{.Name}}", cwd=folder)
    assert shown.splitlines() == [web]
    assert "serves as r0001" in docker("compose", "logs", cwd=folder)
    for text in (None, "TOKEN=four\nCOLOUR=black\nMORE=1\n"):
        if text:
            settled.paths.settings_env.write_text(text)
        docker("compose", "up", "-d", cwd=folder)
        after = settled.containers()[web]
        assert (after["Id"], after["State"]["StartedAt"]) == (
            before["Id"],
            before["State"]["StartedAt"],
        )
    assert settled.run("recover").outcome == "nothing-to-do"


def test_plan_changes_nothing(settled: Tiny) -> None:
    """A plan says what would be done and why; files, containers and the edge are as before."""

    def world() -> tuple[Any, ...]:
        edge = settled.paths.edge
        files = settled.tree((edge / "conf",))
        docker_ = {
            name: (one["Id"], one["State"], one["HostConfig"]["RestartPolicy"])
            for name, one in settled.containers().items()
        }
        mine = ("-q", "--filter", f"label=homeport.app={settled.name}")
        kept = docker("network", "ls", *mine), docker("volume", "ls", *mine)
        shown = docker("inspect", the_edge(), "--format", "{{.Id}}{{.State.StartedAt}}")
        return files, docker_, kept, shown

    before = world()
    answer = prepare.plan_only(settled.context("plan", "v3"))
    assert world() == before
    assert answer["mode"] == "single-writer" and answer["release"].startswith("r0003-")
    assert "* handover: link" in answer["text"] and answer["recovery"] == []
    assert all(step["cause"] for step in answer["steps"])
    assert {"backup", "verify", "migrate", "smoke"} <= {one["id"] for one in answer["skips"]}
    assert "t0ken-three" not in json.dumps(answer) and "crimson" not in json.dumps(answer)


def test_status_and_history_and_logs_say_what_is(settled: Tiny) -> None:
    """What serves, what can be gone back to, every run's verdict, the app's own lines."""
    found = read.status(settled.context("status"))
    assert found["release"].startswith("r0001-") and found["healthy"]
    assert [one["state"] for one in found["services"]] == ["running"]
    ways = {one["id"][:5]: one["can_roll_back"] for one in found["releases"]}
    assert ways["r0002"] in ("start", "recreate") and found["running"] == {}
    assert any("app.env differs" in one and "COLOUR" in one for one in found["warnings"])
    assert any("boot hook is missing" in one for one in found["warnings"])
    runs = read.history(settled.context("history"))
    assert [(one["verb"], one["outcome"]) for one in runs] == [
        ("rollback", "rolled-back"),
        ("deploy", "deployed"),
        ("deploy", "deployed"),
    ]
    assert all(one["who"] == "a test" and one["seconds"] > 0 for one in runs)
    read.logs(settled.context("logs"))
    assert any("v1 serves as r0001" in one["line"] for one in settled.events)
