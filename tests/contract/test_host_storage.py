"""Where data lies, as the real Engine and Compose tell it: refused before anything is changed."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from typing import Any

import pytest

from homeport.host import checkup, prepare
from homeport.host.engine import Engine
from homeport.model import DeployRules
from tinyapp.driver import Tiny, docker

pytestmark = pytest.mark.docker
MakeApp = Callable[..., Tiny]
#: every way to lose a database that can be seen from outside, beside each other
COMPOSE = """\
services:
  web:
    image: ${IMAGE:-tiny}
    env_file: [app.env]
    environment:
      CACHE_DB: /app/cache/cache.sqlite
      LOG_DB: /app/keep/log.sqlite
    tmpfs: [/app/cache]
    volumes:
      - ./shop.sqlite:/app/shop.sqlite
      - ./notes.txt:/app/notes.txt
      - share:/app/share
      - theirs:/app/theirs
      - keep:/app/keep
      - /app/nameless
    restart: unless-stopped
  store:
    image: homeport-test/tiny:v1
    command: [postgres, -c, fsync=off]
    labels: {homeport.shared: "true"}
volumes:
  keep: {}
  share:
    driver_opts: {type: nfs, o: "addr=192.0.2.1,rw", device: ":/share"}
  theirs:
    name: THEIRS
    external: true
"""


@pytest.fixture(scope="module")
def app(make_app: MakeApp) -> Iterator[Tiny]:
    """An app with all of it, and a volume that somebody else made on a share."""
    made = make_app("places", rules=DeployRules(handover="overlap"))
    theirs = f"{made.name}-theirs"
    made.compose = COMPOSE.replace("THEIRS", theirs)
    (made.paths.folder / "app.env").write_text("DATABASE_URL=sqlite:////app/food.db\n")
    (made.paths.folder / "notes.txt").write_text("no database")
    with closing(sqlite3.connect(made.paths.folder / "shop.sqlite")) as file:
        file.execute("CREATE TABLE t (x)")
    options = ("-o", "type=cifs", "-o", "device=//192.0.2.1/share")
    docker("volume", "create", *options, theirs)
    yield made
    docker("volume", "rm", theirs)


def told(app: Tiny) -> list[str]:
    """What is refused in a test of this app."""
    return [
        f"the volume {app.name}_share lies on nfs",
        f"the volume {app.name}-theirs lies on cifs",
        f"{app.paths.folder}/shop.sqlite is a database, mounted by itself",
        "DATABASE_URL leads to /app/food.db, which lies in no volume",
        "overlap is not possible with SQLite",
    ]


def test_a_deploy_is_refused_with_all_of_it(app: Tiny) -> None:
    """Every place is named at once, and the host is as it was."""
    before = app.tree()
    verdict = app.run("deploy")
    assert (verdict.outcome, verdict.code) == ("refused", 30)
    assert sorted(one["what"] for one in verdict.problems) == sorted(told(app))
    for name in (f"{app.name}_share", f"{app.name}_keep"):
        assert Engine().volume(name) is None
    assert not app.containers()
    changed = {path for path, seen in app.tree().items() if before.get(path) != seen}
    assert not {path for path in changed if path.endswith((".sqlite", ".txt", ".env"))}


def test_the_plan_and_the_doctor_say_the_same(app: Tiny) -> None:
    """Whoever looks first is told what a deploy would be refused for, and what it would warn of."""
    plan: dict[str, Any] = prepare.plan_only(app.context("plan"))
    assert sorted(one["what"] for one in plan["problems"]) == sorted(told(app))
    loose = "store runs with fsync=off"
    memory = "CACHE_DB leads to /app/cache/cache.sqlite in memory"
    said = [one.partition(":")[0] for one in plan["notices"]]
    assert loose in said and memory in said

    found = checkup.doctor(app.context("doctor"))
    data = {one["what"]: one["state"] for one in found if one["id"] == "data-disk"}
    for text in told(app):
        assert [state for what, state in data.items() if what.endswith(text)] == ["problem"]
    assert data[loose] == data[memory] == "warning"


def test_an_app_that_keeps_its_database_in_a_volume_is_let_through(app: Tiny) -> None:
    """What mends each of them mends it: the same app with its database in a named volume."""
    lines = app.compose.splitlines(keepends=True)
    wrong = ("shop.sqlite", "share:", "theirs", "THEIRS", "external", "driver_opts")
    text = "".join(line for line in lines if not any(one in line for one in wrong))
    good = replace(app, compose=text, rules=DeployRules())
    good.paths.settings_env.write_text("DATABASE_URL=sqlite:////app/keep/food.db\n")
    plan = prepare.plan_only(good.context("plan"))
    assert plan["problems"] == []
