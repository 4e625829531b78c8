"""The edge changed by runs of its own, a change of it that dies, and the maintenance page."""

from __future__ import annotations

import http.client
import os
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from email.utils import parsedate_to_datetime
from pathlib import Path
from typing import Any

import pytest

from homeport.core import edge as edges
from homeport.errors import Busy, HostFault, Problem
from homeport.host import edge as module
from homeport.host import ops_health, read, read_edge
from homeport.host.edge import Edge
from homeport.host.engine import Engine
from homeport.host.watching import Watching
from homeport.model import Cause, Settings, Site
from tinyapp.driver import Tiny, ask, docker, the_edge, wait

pytestmark = pytest.mark.docker


@pytest.fixture(scope="module")
def serving(make_app: Callable[..., Tiny]) -> Tiny:
    """An app whose first release serves."""
    made = make_app("runs")
    made.deploy("v1")
    return made


@pytest.fixture
def app(serving: Tiny) -> Iterator[Tiny]:
    """The app behind an edge that is as it was left, before and after."""
    yield serving
    serving.run("maintenance-off")
    serving.run("edge-apply")
    assert serving.ask().status == 200


def edge_id() -> str:
    """The edge's container."""
    return str((Engine().inspect(the_edge()) or {}).get("Id", ""))


def beside() -> bool:
    """Whether there is a container that was to take the edge's place."""
    return Engine().inspect(f"{the_edge()}-next") is not None


def named(app: Tiny, *also: str, port: int | None = None) -> Settings:
    """The app's settings with further names, or on another port."""
    return replace(app.settings(), site=Site(app.host, port or app.port, also))


# --- the maintenance page ------------------------------------------------------------------------
WHY = "a new disk <b>for</b> {env.HOME}"


def test_the_page_comes_and_goes_and_touches_no_client(app: Tiny) -> None:
    """One connection gets the app, the page for every method, and the app again."""
    before = edge_id(), (Engine().inspect(the_edge()) or {})["State"]["StartedAt"]
    conf = (app.paths.edge / "conf" / "caddy.json").stat().st_mtime_ns
    kept = http.client.HTTPConnection("127.0.0.1", app.port, timeout=10)
    slow = http.client.HTTPConnection("127.0.0.1", app.port, timeout=10)

    def get(method: str = "GET") -> http.client.HTTPResponse:
        kept.request(method, "/", b"x" if method == "POST" else None, {"Host": app.host})
        answer = kept.getresponse()
        answer.text = answer.read().decode()  # type: ignore[attr-defined]
        return answer

    assert get().status == 200
    door = kept.sock.getsockname()
    slow.request("GET", "/slow?1.0", headers={"Host": app.host})
    verdict = app.run("maintenance-on", cause=Cause("anna", WHY), minutes=30)
    assert (verdict.outcome, verdict.code) == ("maintenance", 0), verdict
    for method in ("GET", "POST", "HEAD"):
        answer = get(method)
        assert answer.status == 503 and answer.getheader("Homeport-Edge") == "maintenance"
        back = parsedate_to_datetime(str(answer.getheader("Retry-After"))).timestamp()
        assert 1700 < back - time.time() < 1900
        assert answer.getheader("Cache-Control") == "no-store"
    text = get().text  # type: ignore[attr-defined]
    assert "a new disk &lt;b&gt;for&lt;/b&gt; {env.HOME}" in text
    assert slow.getresponse().status == 200, "what was in flight is answered by the release"
    assert app.run("maintenance-on", cause=Cause("anna")).code == 0
    assert get().getheader("Retry-After") == "300"
    assert app.run("maintenance-off").outcome == "maintenance"
    assert get().status == 200 and kept.sock.getsockname() == door
    assert app.run("maintenance-off").outcome == "nothing-to-do"
    assert (edge_id(), (Engine().inspect(the_edge()) or {})["State"]["StartedAt"]) == before
    assert (app.paths.edge / "conf" / "caddy.json").stat().st_mtime_ns == conf


def test_a_deploy_behind_the_page_is_watched_and_stays_behind_it(app: Tiny) -> None:
    """The release is checked by its slot, the verdict and status say that the page is up."""
    app.run("maintenance-on", cause=Cause("anna", "a new disk"))
    verdict = app.deploy("v2", monitor=2.5)
    assert verdict.sentence.endswith("the maintenance page is still up")
    assert app.ask().status == 503
    told = read.status(app.context("status"))
    assert (told["maintenance"]["who"], told["maintenance"]["why"]) == ("anna", "a new disk")
    assert told["release"] == verdict.release and told["healthy"]
    # a boot finds it as it was
    assert app.run("recover").outcome == "nothing-to-do" and app.ask().status == 503
    sites = read_edge.status(app.context("status"))["sites"]
    assert {one["app"] for one in sites if one["maintenance"]} == {app.name}
    app.run("maintenance-off")
    assert app.serves() == verdict.release
    verbs = [one["verb"] for one in read.history(app.context("history"))][:3]
    assert verbs == ["maintenance", "deploy", "maintenance"]


def test_an_edge_of_an_older_homeport_learns_of_the_page_first(app: Tiny) -> None:
    """Where the running configuration has no such page, the verb says what gives it one."""
    conf = app.paths.edge / "conf" / "caddy.json"
    conf.write_text(conf.read_text().replace('"/maintenance"', '"/other"'))
    verdict = app.run("maintenance-on")
    assert verdict.code == 30 and verdict.problems[0]["mend"] == "homeport edge apply"
    assert not app.paths.maintenance.exists()
    verdict = app.run("edge-apply")
    assert verdict.outcome == "edge-changed" and "configures" in verdict.sentence
    assert app.run("maintenance-on").code == 0 and app.ask().status == 503


# --- edge apply ----------------------------------------------------------------------------------
def test_names_change_outside_of_a_deploy(app: Tiny) -> None:
    """A further name answers after `edge apply`, announced; a rollback keeps it; then it goes."""
    more = f"www.{app.host}"
    assert ask(app.port, more).status == 404
    verdict = app.run("edge-apply", settings=named(app, more))
    assert verdict.outcome == "edge-changed", verdict
    [plan] = [one for one in app.events if one["e"] == "plan"]
    assert plan["notices"] == [edges.CUT] and "edge-apply" in plan["text"]
    assert ask(app.port, more).status == 200
    assert app.run("edge-apply", settings=named(app, more)).outcome == "nothing-to-do"
    assert app.run("rollback").outcome == "rolled-back"
    assert ask(app.port, more).status == 200
    assert app.run("edge-apply").outcome == "edge-changed"
    assert ask(app.port, more).status == 404


def test_a_new_port_is_a_gap_that_is_said_and_measured(app: Tiny, free_port: int) -> None:
    """The edge is made anew, its absence is told beforehand and in the verdict."""
    verdict = app.run("edge-apply", settings=named(app, port=free_port))
    assert verdict.outcome == "edge-changed" and "was away for" in verdict.sentence
    assert 0 < verdict.figures["edge_gap_s"] < 5
    [plan] = [one for one in app.events if one["e"] == "plan"]
    assert plan["notices"] == [edges.AWAY]
    assert ask(free_port, app.host).status == 200


def test_a_port_that_somebody_has_is_refused_before_anything_changes(app: Tiny) -> None:
    """A listener of the host's keeps the edge as it is."""
    before = edge_id()
    with socket.socket() as one:
        one.bind(("0.0.0.0", 0))
        one.listen()
        taken = int(one.getsockname()[1])
        verdict = app.run("edge-apply", settings=named(app, port=taken))
    assert (
        verdict.code == 30 and f"port {taken} of the host is taken" in verdict.problems[0]["what"]
    )
    assert edge_id() == before and app.ask().status == 200


@pytest.mark.parametrize("killed", [False, True])
@pytest.mark.parametrize("also", ["a further name", "another port"])
def test_a_deploy_that_comes_to_nothing_moves_nobody(
    app: Tiny, free_port: int, killed: bool, also: str
) -> None:
    """A push with a new address and a broken image leaves people where they were."""
    before, site = app.serves(), edges.site_of(app.settings(), "")
    more = named(app, port=free_port) if also == "another port" else named(app, f"w.{app.host}")
    if killed:
        child = os.fork()
        if not child:
            deadly(ops_health, "healthcheck", 1)
            app.run("deploy", "v2", settings=more)
            os._exit(0)
        assert os.waitpid(child, 0)[1] == 9
        assert Edge(app.paths, Engine()).sites()[app.name] != site
        assert app.run("recover").outcome == "recovered"
    else:
        verdict = app.run("deploy", "v2", "never-ready", settings=more)
        assert verdict.code in (51, 52) and "serves as before" in verdict.sentence, verdict
        assert "site" in app.steps()
    assert app.serves() == before
    assert Edge(app.paths, Engine()).sites()[app.name] == site
    assert app.run("recover").outcome == "nothing-to-do"


# --- edge upgrade --------------------------------------------------------------------------------
@pytest.fixture
def image(monkeypatch: pytest.MonkeyPatch, images: object) -> Iterator[Callable[[str], str]]:
    """Builds another edge's image with one more line, as the one this Homeport asks for."""
    first = edges.IMAGE
    made: list[str] = []

    def build(line: str) -> str:
        # a registry that nobody reaches: what is on the host counts
        ref = f"127.0.0.1:1/edge:{len(made)}-{os.getpid()}"
        folder = os.path.dirname(__file__)
        done = docker_build(ref, f"FROM {first}\n{line}\n", folder)
        made.append(ref)
        monkeypatch.setattr(edges, "IMAGE", ref)
        return done

    yield build
    monkeypatch.setattr(edges, "IMAGE", first)


def docker_build(ref: str, recipe: str, folder: str) -> str:
    """Build an image from a recipe; its id."""
    argv = ["docker", "build", "-q", "-t", ref, "-f", "-", folder]
    subprocess.run(argv, input=recipe, text=True, check=True, capture_output=True, timeout=120)
    return docker("image", "inspect", "-f", "{{.Id}}", ref)


def test_an_upgrade_changes_the_image_and_says_its_gap(
    app: Tiny, image: Callable[[str], str]
) -> None:
    """The edge runs the new image, requests in flight were answered, and nothing is left over."""
    assert app.run("edge-upgrade").outcome == "nothing-to-do"
    wanted = image("LABEL newer=1")
    assert read_edge.status(app.context("status"))["outdated"]
    slow = http.client.HTTPConnection("127.0.0.1", app.port, timeout=10)
    slow.request("GET", "/slow?0.8", headers={"Host": app.host})
    time.sleep(0.2)
    verdict = app.run("edge-upgrade")
    assert verdict.outcome == "edge-changed", verdict
    assert slow.getresponse().status == 200
    assert (Engine().inspect(the_edge()) or {})["Image"] == wanted
    assert app.ask().status == 200 and 0 < verdict.figures["edge_gap_s"] < 5
    assert not beside()
    plans = [one for one in app.events if one["e"] == "plan"]
    assert plans[-1]["notices"] == [edges.AWAY]
    assert app.run("edge-upgrade").outcome == "nothing-to-do"


def test_an_edge_that_does_not_start_gives_way_to_the_one_before(
    app: Tiny, image: Callable[[str], str]
) -> None:
    """The container from before serves on, by the same configuration, and the verdict says so."""
    before, conf = edge_id(), (app.paths.edge / "conf" / "caddy.json").read_text()
    image('ENTRYPOINT ["/usr/bin/caddy", "nonsense"]')
    verdict = app.run("edge-upgrade")
    assert verdict.code == 60 and "the one from before runs" in verdict.sentence, verdict
    assert "does not start" in verdict.problems[0]["what"] and "nonsense" in str(verdict.problems)
    assert edge_id() == before and app.ask().status == 200
    assert not beside()
    assert (app.paths.edge / "conf" / "caddy.json").read_text() == conf


# --- a change that dies --------------------------------------------------------------------------
def deadly(part: Any, method: str, nth: int, only: str = "") -> None:
    """Let this process be killed in its ``nth`` call of a method, of those that name ``only``."""
    calls = [0]
    real = getattr(part, method)

    def call(*args: Any) -> Any:
        calls[0] += not only or any(only in str(one) for one in args)
        if calls[0] == nth:
            os.kill(os.getpid(), 9)
        return real(*args)

    setattr(part, method, call)


def dies(app: Tiny, method: str, nth: int) -> None:
    """Make the edge anew in a process that is killed in its ``nth`` call of an Engine's method."""
    child = os.fork()
    if child:
        assert os.waitpid(child, 0)[1] == 9
        return
    deadly(Engine, method, nth)
    edge = Edge(app.paths, Engine())
    wanted = replace(edges.restored(edge.facts()), change="recreate")
    edge.apply("recreate", wanted, lambda: None)
    os._exit(0)


@pytest.mark.parametrize(
    ("method", "nth", "answers"),
    [("stop", 1, True), ("start", 1, False), ("rename", 1, True)],
)
def test_a_change_that_was_killed_is_ended_by_recovery(
    app: Tiny, method: str, nth: int, answers: bool
) -> None:
    """Wherever it dies, the next recovery brings the edge back, alone and with every site."""
    dies(app, method, nth)
    if answers:
        wait(lambda: app.ask().status == 200, "somebody answers")
    else:
        with pytest.raises((OSError, http.client.HTTPException)):
            app.ask()
    assert beside()
    verdict = app.run("recover")
    assert verdict.outcome == "recovered" and "edge" in app.steps(), verdict
    assert not beside()
    assert app.ask().status == 200 and Edge(app.paths, Engine()).facts().current
    assert app.run("recover").outcome == "nothing-to-do"


@pytest.mark.parametrize(("part", "method", "nth"), [(Edge, "_admin", 2), (os, "replace", 1)])
def test_a_load_that_was_killed_is_ended_by_recovery(
    app: Tiny, part: Any, method: str, nth: int
) -> None:
    """Told by half, with its file written or loaded as well, the edge is as its sites have it."""
    more = f"www.{app.host}"
    child = os.fork()
    if not child:
        deadly(part, method, nth, only="sites.json" if part is os else "")
        app.run("edge-apply", settings=named(app, more))
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 9
    edge = Edge(app.paths, Engine())
    assert not edge.facts().current and app.ask().status == 200
    verdict = app.run("recover")
    assert verdict.outcome == "recovered" and "edge" in app.steps(), verdict
    assert edge.facts().current and ask(app.port, more).status == 404 and app.ask().status == 200
    assert app.run("recover").outcome == "nothing-to-do"


def test_another_app_s_first_deploy_that_dies_leaves_nobody_without_an_edge(
    app: Tiny, make_app: Callable[..., Tiny]
) -> None:
    """The recovery of an app that the edge does not know yet brings the edge back for all."""
    newcomer = make_app("newcomer")
    dies(newcomer, "start", 1)
    with pytest.raises((OSError, http.client.HTTPException)):
        app.ask()
    assert newcomer.run("recover").outcome == "recovered"
    assert app.ask().status == 200 and not beside()


@pytest.mark.parametrize("times", [1, 2])
def test_a_change_that_fails_half_way_leaves_nobody_without_an_edge(
    app: Tiny, free_port: int, monkeypatch: pytest.MonkeyPatch, times: int
) -> None:
    """Docker's refusal after the stop brings the old one back, at once or by recovery."""
    real, left = Engine.start, [times]

    def refused(self: Engine, name: str) -> None:
        if name in (the_edge(), f"{the_edge()}-next") and left[0]:
            left[0] -= 1
            raise HostFault(Problem("Docker does not want to", name, "", ""))
        real(self, name)

    monkeypatch.setattr(Engine, "start", refused)
    before = edge_id()
    verdict = app.run("edge-apply", settings=named(app, port=free_port))
    assert verdict.code == 60 and verdict.sentence.endswith("the one from before runs"), verdict
    assert "does not want" in verdict.problems[0]["what"]
    assert app.ask().status == 200 and edge_id() == before and not beside()


def test_an_edge_that_starts_over_and_over_does_not_run(app: Tiny) -> None:
    """Docker calls it running; nobody is served, so recovery writes its files and starts it."""
    edge = Edge(app.paths, Engine())
    (app.paths.edge / "conf" / "caddy.json").write_text("no JSON")
    docker("restart", "-t", "0", the_edge())
    wait(lambda: (Engine().inspect(the_edge()) or {})["State"]["Restarting"], "it restarts", 20)
    end = time.monotonic() + 2
    while time.monotonic() < end:  # in each of its moments: it waits, it begins, it ends
        assert not edge.facts().running
    assert app.run("recover").outcome == "recovered"
    assert app.ask().status == 200 and edge.facts().running


def test_apps_that_deploy_at_once_keep_each_other_s_sites(
    app: Tiny, make_app: Callable[..., Tiny]
) -> None:
    """A plan made before another app came does not take that app's site away."""
    edge, other = Edge(app.paths, Engine()), make_app("quicker")
    site = edge.sites()[app.name]
    planned = edges.wanted(edge.facts(), app.name, {**site, "also": [f"www.{app.host}"]})
    other.deploy("v1")
    edge.apply(planned.change, planned, lambda: None)
    assert other.ask().status == app.ask().status == 200
    assert ask(app.port, f"www.{app.host}").status == 200 and other.name in edge.sites()
    late = edges.wanted(edge.facts(), app.name, {**site, "name": other.host})
    with pytest.raises(Busy) as caught:
        edge.apply(late.change, late, lambda: None)
    assert f"the app {other.name} answers there by now" in caught.value.problems[0].why
    assert edge.facts().current and other.ask().status == 200


def test_an_edge_that_could_not_be_written_down_is_told_back(
    app: Tiny, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A disk that fills up once the edge was told leaves no edge that nothing knows of."""
    edge, more = Edge(app.paths, Engine()), f"www.{app.host}"
    real = module.write

    def full(path: Path, *args: Any) -> None:
        if path.name == "sites.json":
            raise OSError(28, "No space left on device")
        real(path, *args)

    monkeypatch.setattr(module, "write", full)
    planned = edges.wanted(edge.facts(), app.name, {**edge.sites()[app.name], "also": [more]})
    with pytest.raises(OSError):
        edge.apply(planned.change, planned, lambda: None)
    assert edge.facts().current and ask(app.port, more).status == 404 and app.ask().status == 200


def test_a_hold_that_begins_while_the_next_edge_is_made_is_waited_for(
    app: Tiny, make_app: Callable[..., Tiny], free_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Right before the old edge is stopped it is looked once more; nothing was stopped then."""
    other = make_app("holding")
    other.paths.sockets.mkdir(parents=True, exist_ok=True)
    real, before = Engine.create, edge_id()

    def slow(self: Engine, name: str, body: Any) -> Any:
        other.paths.link.write_text(other.hold)
        return real(self, name, body)

    monkeypatch.setattr(Engine, "create", slow)
    monkeypatch.setattr(module, "PATIENCE", 0.3)
    started = (Engine().inspect(the_edge()) or {})["State"]["StartedAt"]
    verdict = app.run("edge-apply", settings=named(app, port=free_port))
    other.paths.link.unlink()
    assert verdict.code == 31 and f"{other.name} holds" in verdict.problems[0]["what"], verdict
    assert edge_id() == before and app.ask().status == 200
    assert (Engine().inspect(the_edge()) or {})["State"]["StartedAt"] == started


def test_an_edge_that_is_away_costs_no_release_its_watch(app: Tiny) -> None:
    """The edge's own refusal says nothing of a release, which is asked itself meanwhile."""
    ctx = app.context("deploy")
    release = ctx.facts().committed
    assert release is not None
    watching = Watching(ctx, release, None)
    docker("stop", "-t", "0", the_edge())
    try:
        seen = watching.look()
    finally:
        docker("start", the_edge())
        wait(lambda: Edge(app.paths, Engine()).in_flight("") is not None, "the edge", 15)
    assert (seen.smoke, seen.checks) == ("", 1)


def test_an_edge_that_somebody_removed_comes_back(app: Tiny) -> None:
    """A host without its edge does not match its link, and recovery makes it anew."""
    docker("rm", "-f", the_edge())
    told = read.status(app.context("status"))
    assert any("homeport recover" in one for one in told["warnings"])
    assert app.run("recover").outcome == "recovered"
    assert app.ask().status == 200


def test_another_app_s_watch_is_waited_for(
    app: Tiny, make_app: Callable[..., Tiny], monkeypatch: pytest.MonkeyPatch
) -> None:
    """While another app watches a release, the edge is left alone; the refusal says who watches."""
    other = make_app("watched")
    other.deploy("v1")
    busy = Edge(app.paths, Engine()).busy
    with ThreadPoolExecutor(1) as pool:
        watching = pool.submit(other.run, "deploy", "v2", monitor=4.0)
        wait(lambda: f"{other.name} watches a release" in busy(), "the other app watches")
        monkeypatch.setattr("homeport.host.edge.PATIENCE", 0.3)
        verdict = app.run("edge-apply", settings=named(app, "x.test"))
    assert verdict.code == 31 and f"{other.name} watches a release" in verdict.problems[0]["what"]
    assert f"{other.name} watches a release: the edge is changed when" in app.notices()
    assert watching.result(30).outcome == "deployed"
