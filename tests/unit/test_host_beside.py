"""Who else is on a host, as the agent sees it: other apps, what is theirs, where links lead."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

from homeport.core.escape import Reached
from homeport.core.render import Rendered
from homeport.host import neighbours
from homeport.host.engine import Engine
from homeport.host.paths import Paths


class Labels:
    """An Engine that knows networks and volumes by their labels."""

    def __init__(self, known: dict[str, dict[str, str] | None]) -> None:
        self._known = known

    def network(self, name: str) -> dict[str, Any] | None:
        """As ``GET /networks/NAME``."""
        return {"Labels": self._known[name]} if name in self._known else None

    volume = network


def test_other_apps_are_known_by_their_files(tmp_path: Path) -> None:
    """One that was deployed or only set up; not the app itself, Homeport, or somebody's folder."""
    for file in (
        "shop/app.env",
        "blog/journal.jsonl",
        "wiki/app.env",
        "homeport/app.env",
        "a b/lock",
    ):
        (tmp_path / file).parent.mkdir(exist_ok=True)
        (tmp_path / file).touch()
    (tmp_path / "photos").mkdir()
    assert neighbours.apps(Paths("shop", tmp_path)) == {"blog", "wiki"}


def test_links_are_followed_to_their_end(tmp_path: Path) -> None:
    """Of a folder on the way as well; what is not there yet leads nowhere."""
    (tmp_path / "homeport").mkdir()
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "data").symlink_to("../homeport")
    paths = [str(tmp_path / "shop" / one) for one in ("data", "data/edge", "new", "./new/../x")]
    found = Rendered(reached=tuple(Reached(path, "", "web", True) for path in paths))
    assert neighbours.leads(found) == {
        paths[0]: str(tmp_path / "homeport"),
        paths[1]: str(tmp_path / "homeport" / "edge"),
    }


def test_what_is_labelled_anothers() -> None:
    """The edge's own and another app's; the app's own, a person's and what is not there are not."""
    named: dict[str, dict[str, Any]] = {
        one: {} for one in ("edge", "its", "mine", "hand", "none", "new")
    }
    engine = Labels(
        {
            "edge": {"homeport.edge": "1"},
            "its": {"homeport.app": "blog"},
            "mine": {"homeport.app": "shop"},
            "hand": {"x": "y"},
            "none": None,
        }
    )
    wanted = {"edge": "the edge's own", "its": "the app blog's"}
    for rendered in (Rendered(networks=named), Rendered(volumes=named)):
        assert neighbours.others(cast(Engine, engine), rendered, "shop") == wanted
