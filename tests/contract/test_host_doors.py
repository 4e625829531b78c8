"""The doors on the host itself, opened as the user homeport would: no controller anywhere."""

from __future__ import annotations

import subprocess
from collections.abc import Callable

import pytest

from homeport.errors import Frozen, ImageMissing, UsageError
from homeport.host import doors, read, scripts
from homeport.model import DeployRules
from tinyapp.driver import Tiny

pytestmark = pytest.mark.docker


@pytest.fixture(scope="module")
def app(make_app: Callable[..., Tiny]) -> Tiny:
    """An app with two releases that served."""
    made = make_app("doors", rules=DeployRules(handover="recreate", start=8.0, drain=2.0))
    made.deploy("v1")
    made.deploy("v2")
    return made


def test_health_check_says_what_serves(app: Tiny, capsys: pytest.CaptureFixture[str]) -> None:
    """The door tells the release and its state, and its exit code is for a monitor."""
    assert doors.main("health-check", app.name, []) == 0
    assert "r0002-" in capsys.readouterr().out


def test_rollback_goes_back_and_says_so(app: Tiny, capsys: pytest.CaptureFixture[str]) -> None:
    """The script in the app's folder takes the release before back."""
    script = app.paths.folder / "scripts" / "rollback"
    assert script.stat().st_mode & 0o111 and "rollback" in script.read_text()
    assert doors.main("rollback", app.name, []) == 0
    said = capsys.readouterr()
    assert "r0001-" in said.out and "handover" in said.err
    # nothing is older: the door says so, with its own exit code and no traceback
    assert doors.main("rollback", app.name, []) == 32
    assert "no release before" in capsys.readouterr().err


def test_deploy_wants_an_image_it_can_pull(app: Tiny, capsys: pytest.CaptureFixture[str]) -> None:
    """No image, and one that no registry has, are refused in words; nothing changes."""
    before = app.paths.link.read_text()
    assert doors.main("deploy", app.name, []) == UsageError.code
    assert doors.main("deploy", app.name, ["127.0.0.1:5010/none:none"]) == ImageMissing.code
    assert "which image?" in capsys.readouterr().err
    assert app.paths.link.read_text() == before


def test_a_freeze_keeps_deploys_out_until_it_is_lifted(
    app: Tiny, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whoever sits at the host can stop the pipeline there too, and let it go on."""
    assert doors.main("freeze", app.name, ["bad", "colours"]) == 0
    assert "deploys are refused" in capsys.readouterr().out
    frozen = read.status(app.context("status"))["frozen"]
    assert frozen["why"] == "bad colours" and frozen["who"].endswith("@host")
    assert app.run("deploy", "v1", force=True).code == Frozen.code
    assert doors.main("unfreeze", app.name, ["now"]) == UsageError.code
    assert doors.main("unfreeze", app.name, []) == 0
    assert "possible again" in capsys.readouterr().out
    assert read.status(app.context("status"))["frozen"] is None


def test_every_script_is_a_shell_script(app: Tiny) -> None:
    """What was hung up parses."""
    for name in scripts.DOORS:
        path = app.paths.folder / "scripts" / name
        assert subprocess.run(["sh", "-n", str(path)], check=False).returncode == 0
