"""docs/myfoodbudget.md: its settings are the app's, its CSV goes in, its commands work."""

from __future__ import annotations

import re
import shutil
import subprocess
import threading
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest
from flask import Flask
from werkzeug.serving import make_server

from config import SETTINGS, Production
from foodbudget import sheets
from foodbudget.__main__ import main
from foodbudget.categories import CATEGORIES, UNITS
from foodbudget.limits import ACCOUNT, ADDRESS
from foodbudget.money import CURRENCIES

from .browser import Browser
from .test_api import token

ROOT = Path(__file__).parents[2]
GUIDE = (ROOT / "docs" / "myfoodbudget.md").read_text("utf-8")
COMMANDS = re.findall(r"```sh\n(.*?)```", GUIDE, re.DOTALL)


def test_every_setting_is_there() -> None:
    """With what holds without it; and nothing that the app does not know."""
    table = dict(re.findall(r"^\| `([A-Z_]+)` \| (.*?) \|", GUIDE, re.MULTILINE))
    assert table.pop("FLASK_ENV") == "`production`"
    given = {"SECRET_KEY": "must be set", "TRUSTED_NETWORKS": "nobody"}
    known = {
        one.variable: given.get(one.variable)
        or f"`{Production.defaults.get(one.variable, one.default)}`"
        for one in SETTINGS
        if not one.variable.startswith("HOMEPORT_")
    }
    assert table == known


def test_its_figures_are_the_apps() -> None:
    words = {10: "ten", 50: "fifty"}
    assert f"After {words[ACCOUNT.most]} wrong passwords" in GUIDE
    assert f"or {words[ADDRESS.most]} from one address" in GUIDE
    assert ACCOUNT.span.seconds == ADDRESS.span.seconds == 900
    assert f"{sheets.MOST:,} lines" in GUIDE
    for key in (*CATEGORIES, *UNITS):
        assert f"`{key}`" in GUIDE


def test_its_csv_goes_in() -> None:
    found = re.search(r"<!-- csv -->\n```\n(.*?)```", GUIDE, re.DOTALL)
    assert found
    sheet = sheets.read(found[1].encode(), CURRENCIES["EUR"])
    assert (len(sheet.rows), sheet.mistakes) == (2, {})


@pytest.fixture
def address(app: Flask) -> Iterator[str]:
    server = make_server("127.0.0.1", 0, app, threaded=True)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.port}"
    server.shutdown()
    thread.join()
    server.server_close()


def test_its_commands_work(ada: Browser, address: str) -> None:
    """Typed one after the other, with an address and a token, each does what it says."""
    assert shutil.which("curl"), "this needs curl: sudo apt-get install curl"
    said = []
    for command in COMMANDS:
        run = subprocess.run(
            ["sh", "-ec", command.replace("curl ", "curl --silent --show-error --fail ")],
            env={"PATH": "/usr/bin:/bin", "URL": address, "TOKEN": token(ada)},
            capture_output=True,
            text=True,
            timeout=30,
        )
        assert run.returncode == 0, f"{command}: {run.stdout}{run.stderr}"
        said.append(run.stdout)
    assert len(said) == 5
    assert '"price":"3.80"' in said[0] and '"next":null' in said[1]
    assert '"month":"2026-11"' in said[3] and '"total":"300.00"' in said[4]


def test_its_commands_are_there(app: Flask) -> None:
    """What the page and homeport.toml have people and Homeport type is a command of the app's."""
    typed = set(re.findall(r"`python -m foodbudget (\w+)`", GUIDE))
    settings = tomllib.loads((ROOT / "homeport.toml").read_text())
    rules = [settings["backup"]["check"], *map(settings["migrate"].get, ("command", "schema"))]
    assert {tuple(one[:3]) for one in rules} == {("python", "-m", "foodbudget")}
    assert typed == {one[3] for one in rules} == {*app.cli.commands} == {*main.commands}
