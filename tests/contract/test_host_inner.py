"""The user's own nginx in front of an app: a shared service that reaches it by way of the edge."""

from __future__ import annotations

import subprocess
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from typing import Any

import pytest

from bench import evidence
from homeport.core import edge as edges
from homeport.host.edge import Edge
from homeport.host.engine import Engine
from homeport.model import Cause, Web
from lab.images import Images
from tinyapp.driver import VOLUMES, WEB, Tiny, ask, docker, the_edge, wait

pytestmark = pytest.mark.docker
IMAGE = "homeport-test/nginx:1"
RECIPE = """\
FROM {base}
RUN apt-get -q update && apt-get -q install -y --no-install-recommends nginx-light
CMD ["nginx", "-g", "daemon off;"]
"""
#: as people write it: the name is looked up once, at nginx's own start
CONF = """\
worker_processes 1;
pid /tmp/nginx.pid;
events {}
http {
  access_log off;
  server {
    listen 8080;
    location / {
      proxy_pass http://web:8000;
      proxy_set_header Host $host;
      proxy_set_header X-Forwarded-Proto https;
      proxy_read_timeout 60s;
      proxy_next_upstream off;
    }
  }
}
"""
NGINX = """\
  front:
    image: homeport-test/nginx:1
    depends_on: [web]
    ports: ["127.0.0.1:%d:8080"]
    volumes: ["./nginx.conf:/etc/nginx/nginx.conf:ro"]
    restart: unless-stopped
    stop_grace_period: 1s
    labels: {homeport.shared: "true"}
"""


@pytest.fixture(scope="module")
def nginx(images: Images) -> str:
    """A real nginx, as Debian has it."""
    recipe = RECIPE.format(base=images.python)
    argv = ["docker", "build", "-q", "-t", IMAGE, "-"]
    subprocess.run(argv, input=recipe, text=True, check=True, capture_output=True, timeout=300)
    return IMAGE


class Front:
    """Clients that ask through the nginx, and keep whatever was not a good answer."""

    def __init__(self, port: int) -> None:
        self.port, self.asked, self.bad = port, 0, list[str]()
        self.releases: set[str] = set()
        self._stop = threading.Event()
        self._threads = [threading.Thread(target=self._run) for _ in range(4)]

    def _run(self) -> None:
        while not self._stop.wait(0.01):
            self.asked += 1
            try:
                page = ask(self.port, "shop.test", "/", b"x" * 3000 if self.asked % 2 else None)
            except OSError as error:
                self.bad.append(repr(error))
                continue
            if page.status != 200:
                self.bad.append(f"{page.status} {page.body[:100]!r}")
            else:
                self.releases.add(str(page.told()["release"]))

    def __enter__(self) -> Front:
        for one in self._threads:
            one.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for one in self._threads:
            one.join(30)


@pytest.fixture(params=["socket", "port"])
def app(
    request: pytest.FixtureRequest, make_app: Callable[..., Tiny], nginx: str, free_port: int
) -> Iterator[tuple[Tiny, int]]:
    """An app with its own nginx in front, and the port on which that answers."""
    compose = WEB.replace("    read_only: true\n", '    read_only: true\n    expose: ["8000"]\n')
    web = Web(ready="/ready", standby=True)
    if request.param == "port":
        web = replace(web, port=8000)
    made = make_app(f"in-{request.param}", compose=compose + NGINX % free_port + VOLUMES, web=web)
    (made.paths.folder / "nginx.conf").write_text(CONF)
    verdict = made.run("deploy", "v1")
    assert verdict.outcome == "deployed", (verdict.sentence, verdict.problems)
    yield made, free_port
    made.run("remove", yes=True)


def found_by(app: Tiny, name: str) -> set[str]:
    """The addresses that a name has for the app's nginx."""
    told = docker("exec", f"{app.name}-front-1", "getent", "ahostsv4", name)
    return {line.split()[0] for line in told.splitlines()}


def address(app: Tiny) -> str:
    """The edge's address on the app's own network."""
    seen: dict[str, Any] = Engine().inspect(the_edge()) or {}
    return str(seen["NetworkSettings"]["Networks"][f"{app.name}_default"]["IPAddress"])


def test_deploys_go_by_behind_the_users_own_nginx(app: tuple[Tiny, int]) -> None:
    """Through every kind of handover nginx, which looked the name up once, fails nobody."""
    shop, port = app
    front = docker("inspect", "-f", "{{.Id}} {{.State.StartedAt}}", f"{shop.name}-front-1")
    assert found_by(shop, "web") == {address(shop)}, "only the edge has the web service's name"
    edge = Edge(shop.paths, Engine())
    counted = edge.answers(edge.site(shop.settings()))
    with Front(port) as clients:
        wait(lambda: clients.asked > 40, "traffic", 20)
        for mode, version in (("overlap", "v2"), ("single-writer", "v1"), ("recreate", "v2")):
            shop.mode(mode)
            verdict = shop.deploy(version)
            wait(lambda: verdict.release in clients.releases, f"answers of {verdict.release}", 20)
            assert found_by(shop, "web") == {address(shop)}
        assert shop.run("rollback").outcome == "rolled-back"
        assert found_by(shop, "web") == {address(shop)}
    now = edge.answers(edge.site(shop.settings()))
    assert counted and now and now.since(counted).asked >= clients.asked, "the watch sees them all"
    evidence.add("trust", inner_nginx_requests=clients.asked, inner_nginx_failed=len(clients.bad))
    assert not clients.bad and len(clients.releases) >= 4, (clients.bad[:5], clients.asked)
    assert docker("inspect", "-f", "{{.Id}} {{.State.StartedAt}}", f"{shop.name}-front-1") == front


def test_the_page_and_a_new_edge_behind_nginx(app: tuple[Tiny, int]) -> None:
    """The maintenance page comes through; an edge made anew is found where the old one was."""
    shop, port = app
    assert shop.run("maintenance-on", cause=Cause("anna", "a new disk")).code == 0
    page = ask(port, "shop.test")
    assert page.status == 503 and page.headers["homeport-edge"] == "maintenance"
    shop.run("maintenance-off")
    assert ask(port, "shop.test").status == 200
    before = address(shop)
    edge = Edge(shop.paths, Engine())
    wanted = replace(edges.restored(edge.facts()), change="recreate")
    edge.apply("recreate", wanted, lambda: None)
    assert address(shop) == before and ask(port, "shop.test").status == 200
    assert found_by(shop, "web") == {before}


def test_a_removed_app_leaves_no_network_behind_that_is_in_use(app: tuple[Tiny, int]) -> None:
    """The edge leaves the network of an app that goes, so that its owner can remove it."""
    shop, _ = app
    other = Tiny(f"{shop.name}-o", shop.root, shop.port, shop.image)
    try:
        other.deploy("v1")
        edge = (Engine().inspect(the_edge()) or {})["Id"]
        assert shop.run("remove", yes=True).outcome == "removed"
        assert (Engine().inspect(the_edge()) or {})["Id"] == edge
        assert not (Engine().network(f"{shop.name}_default") or {}).get("Containers")
        assert other.ask().status == 200
    finally:
        other.clear()


def test_another_app_s_network_leads_nowhere(app: tuple[Tiny, int]) -> None:
    """The inner port answers whoever is on the app's own network, and nobody else."""
    shop, _ = app
    network = (Engine().inspect(the_edge()) or {})["NetworkSettings"]["Networks"][the_edge()]
    code = "import urllib.request, sys; urllib.request.urlopen(sys.argv[1], timeout=5)"
    words = ("run", "--rm", "--network", the_edge(), shop.image("v1"), "python3", "-c", code)
    done = subprocess.run(
        ["docker", *words, f"http://{network['IPAddress']}:8000/"],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert "404" in done.stderr, done
