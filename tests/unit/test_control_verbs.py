"""Every verb from its words to its exit code, with a host of this machine and an agent that echoes.

The bootstrap, the bundle, the pipe and the wire are the real ones; only the agent is the test's.
"""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from homeport.control import bundle, changing, cli
from homeport.control.context import Context
from packages import make_package
from test_core_freeze import EVIL

AGENT = """
import json
WORDS = ("verb", "release", "force", "shared", "monitor", "yes", "freeze", "unfreeze", "key")
WORDS += ("minutes", "check_compatible", "set", "hold", "unverified")
STATUS = {"app": "a", "release": "", "backup": "not configured"}
EDGE = {"version": "2.11.4", "sites": []}
CA = {"pem": "-----BEGIN CERTIFICATE-----\\n", "sha256": "AB:CD"}
SETS = {"configured": True, "verified": None, "sets": [], "problems": []}
DATA = {"status": STATUS, "history": [], "edge-status": EDGE, "edge-ca": CA, "backup-list": SETS}
COST = {"said": ["it would undo 3 rows"], "checked": False, "notices": ["2 s"]}
COST["steps"] = [{"id": "hold", "cause": "nobody writes"}]
DATA = {**DATA, "plan-rollback": COST, "plan-restore": COST}
PLAN = {"text": "- start: compose-up", "problems": []}
def main(payload, stdin, stdout):
    asked = json.loads(payload)
    def tell(kind, **fields):
        stdout.write(json.dumps({"e": kind, **fields}).encode() + b"\\n")
        stdout.flush()
    verb, code, sentence = asked["verb"], 0, ""
    if verb == "plan" or verb in DATA:
        tell("notice", text="seen")
        tell("data", data={**DATA, "plan": PLAN}[verb])
    elif verb == "logs":
        for number in range(asked["lines"]):
            tell("log", service=asked["release"] or "web", line="line %d" % number)
        code = 2 if asked["release"] == "gone" else 0
    elif verb == "watch":
        look = {"release": "r1", "text": "2 of 9 answers were 5xx", "bad": "", "smoke": ""}
        tell("look", run="", **look)
        tell("notice", text="r0 serves now")
        tell("look", run="run-1", **{**look, "bad": "web is down"})
        code = 50 if asked["monitor"] == 2 else 0
    else:
        tell("run", run="run-1", verb=verb, app="a")
        image = asked["image"] or {}
        if verb == "deploy" and image and not image["digest"]:
            tell("need", need="image", ref=image["ref"])
            sentence = stdin.readline().decode().strip() + "; "
        tell("step", id="start", state="done", seconds=0.5)
        told = {key: asked[key] for key in WORDS}
        sentence += json.dumps(told)
        code = 32 if asked["release"] == "r0099-aaaaaaa" else 33 if asked["monitor"] == 33 else 0
    tell("verdict", outcome="done", code=code, sentence=sentence, problems=[], figures={"n": 1})
    return code
"""


@pytest.fixture(autouse=True)
def app(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with homeport.toml and a compose file, and a host that is set up for it."""
    made = bundle.build(make_package(tmp_path / "package", AGENT))
    monkeypatch.setattr(bundle, "build", lambda: made)
    (tmp_path / "opt" / "homeport" / "agent").mkdir(parents=True)
    monkeypatch.setenv("HOMEPORT_ROOT", str(tmp_path / "opt"))
    monkeypatch.setenv("CI", "1")
    folder = tmp_path / "app"
    folder.mkdir()
    monkeypatch.chdir(folder)
    (folder / "homeport.toml").write_text(
        'app = "a"\ncompose = "c.yml"\n[host]\naddress = "local"\n[web]\nservice = "web"\n'
    )
    (folder / "c.yml").write_text("services: {web: {image: x, ports: ['5000:5000']}}\n")
    return folder


def told(err: str) -> dict[str, Any]:
    """What the agent was asked, as its verdict repeats it."""
    line = next(one for one in err.splitlines() if one.startswith("✓ {"))
    found: dict[str, Any] = json.loads(line[line.index("{") :])
    return found


def test_deploy_of_shared_services(capsys: pytest.CaptureFixture[str]) -> None:
    """No image is needed; every option reaches the agent; stdout stays empty."""
    assert cli.main(["deploy", "--shared", "--force", "--monitor", "1s", "--yes"]) == 0
    out, err = capsys.readouterr()
    asked = {"verb": "deploy", "release": "", "force": True, "shared": True, "monitor": 1.0}
    asked |= {"yes": True, "freeze": False, "unfreeze": False, "key": "", "minutes": 0}
    asked |= {"check_compatible": False, "set": "", "hold": False, "unverified": False}
    assert out == "" and told(err) == asked
    assert "✓ start  0.5 s" in err


def test_the_verdict_as_json(capsys: pytest.CaptureFixture[str]) -> None:
    """--json: one object on stdout with the verdict, its figures and the steps' seconds."""
    assert cli.main(["--json", "deploy", "--shared", "-v"]) == 0
    out, err = capsys.readouterr()
    data = json.loads(out)
    assert data["figures"] == {"n": 1} and data["code"] == 0 and "e" not in data
    assert data["steps"] == [{"id": "start", "state": "done", "seconds": 0.5}]
    assert "  n: 1" in err


@pytest.mark.parametrize(
    ("words", "verb", "release"),
    [
        (["rollback"], "rollback", ""),
        (["rollback", "r0001-aaaaaaa"], "rollback", "r0001-aaaaaaa"),
        (["attach"], "attach", ""),
        (["attach", "run-7"], "attach", "run-7"),
        (["recover"], "recover", ""),
        (["remove", "--yes"], "remove", ""),
        (["rollback", ""], "rollback", ""),
        (["rollback", "r0042"], "rollback", "r0042"),
        (["freeze", "--why", "x"], "freeze", ""),
        (["unfreeze"], "unfreeze", ""),
        (["edge", "apply"], "edge-apply", ""),
        (["edge", "upgrade"], "edge-upgrade", ""),
        (["maintenance", "on", "--why", "x"], "maintenance-on", ""),
        (["maintenance", "off"], "maintenance-off", ""),
        (["backup"], "backup", ""),
        (["backup", "now", "--why", "x"], "backup", ""),
        (["backup", "prune"], "backup-prune", ""),
    ],
)
def test_what_a_verb_asks(
    words: list[str], verb: str, release: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Verb and release as typed; remove says yes only when a person did."""
    assert cli.main(words) == 0
    asked = told(capsys.readouterr().err)
    assert (asked["verb"], asked["release"]) == (verb, release)
    assert asked["yes"] is (verb == "remove")


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["now", "--hold"], {"verb": "backup", "set": "", "hold": True}),
        (["verify"], {"verb": "backup-verify", "set": "", "hold": False}),
        (["verify", "20260331"], {"verb": "backup-verify", "set": "20260331", "hold": False}),
        (["verify", "--all"], {"verb": "backup-verify", "set": "all", "hold": False}),
    ],
)
def test_what_is_asked_about_backups(
    words: list[str], expected: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    """The newest set, one by the start of its id, all of them; and requests that wait."""
    assert cli.main(["backup", *words]) == 0
    asked = told(capsys.readouterr().err)
    assert {key: asked[key] for key in expected} == expected


@pytest.mark.parametrize(
    "words",
    [
        "list --hold",
        "verify --why x",
        "now 20260331",
        "prune --all",
        "now --check",
        "verify 2 --all",
    ],
)
def test_an_option_of_another_action(words: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Said, rather than left out without a word."""
    assert cli.main(["backup", *words.split()]) == 2
    assert "mend: homeport backup " in capsys.readouterr().err


def test_a_check_of_backups_for_programs(capsys: pytest.CaptureFixture[str]) -> None:
    """list shows; with --check its exit code says as well that nothing is saved."""
    assert cli.main(["backup", "list"]) == 0
    assert cli.main(["backup", "list", "--check"]) == 35
    assert capsys.readouterr().out.count("No set yet: homeport backup now") == 2


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["rollback", "1", "--with-data", "latest"], ("rollback", "1", "latest", False)),
        (["rollback", "--with-data", "2026"], ("rollback", "", "2026", False)),
        (
            ["rollback", "--with-data", "20261126T033000-1a2b", "--unverified"],
            ("rollback", "", "20261126T033000-1a2b", True),
        ),
        (["restore", "20261126T03"], ("restore", "", "20261126T03", False)),
        (["restore", "latest", "--unverified"], ("restore", "", "latest", True)),
    ],
)
def test_what_is_asked_of_data_that_goes_back(
    words: list[str],
    expected: tuple[str, str, str, bool],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Without --yes and nobody to ask: the cost is shown, and that is all; a person is asked."""
    assert cli.main(words) == 2
    out, err = capsys.readouterr()
    assert out.splitlines() == [
        "it would undo 3 rows",
        "nobody has checked that set yet: that is done first, before anybody waits",
        "",
        "  hold      nobody writes",
        "note: 2 s",
    ]
    assert "nobody is there to ask" in err and "run-1" not in err
    assert cli.main([*words, "--yes"]) == 0
    out, err = capsys.readouterr()
    asked = told(err)
    assert tuple(asked[key] for key in ("verb", "release", "set", "unverified")) == expected
    assert asked["yes"] is True and out == ""
    monkeypatch.setattr("sys.stdin.isatty", lambda: True)
    monkeypatch.setattr("sys.stdin.readline", lambda: "n\n")
    assert cli.main(words) == 0
    assert "Nothing was done." in capsys.readouterr().err
    monkeypatch.setattr("sys.stdin.readline", lambda: "y\n")
    assert cli.main(words) == 0
    assert told(capsys.readouterr().err)["set"] == expected[2]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["restore"], "which set of copies?"),
        (["restore", "../x"], "that is no set of copies"),
        (["restore", "20261126T033000-1a2b\n"], "that is no set of copies"),
        (["rollback", "--with-data", "$(id)"], "that is no set of copies"),
        (["rollback", "--with-data", "x" * 200], "that is no set of copies"),
        (["rollback", "--unverified"], "--unverified is said of a set"),
    ],
)
def test_a_set_that_is_none(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Refused before any connection, as usage, with what would do."""
    assert cli.main([*words, "--yes"]) == 2
    out, err = capsys.readouterr()
    assert out == "" and said in err and "run-1" not in err and "mend:" in err


@pytest.mark.parametrize("release", [one for one in EVIL if one])
def test_a_release_that_is_none(release: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Refused before any connection, as usage; what was typed cannot break the message."""
    assert cli.main(["rollback", "--", release]) == 2
    out, err = capsys.readouterr()
    assert out == "" and "that is no release" in err and "run-1" not in err


@pytest.mark.parametrize("image", ["$(id)", "a;b", "../x", "a b", "ghcr.io/me/app:v1\n"])
def test_an_image_that_is_none(image: str, capsys: pytest.CaptureFixture[str]) -> None:
    """The same for images, before any registry is asked."""
    assert cli.main(["deploy", image]) == 2
    assert "that is no image" in capsys.readouterr().err


def test_an_option_in_place_of_a_release(capsys: pytest.CaptureFixture[str]) -> None:
    """What looks like an option is one that nobody knows."""
    assert cli.main(["rollback", "-oProxyCommand=x"]) == 2
    assert cli.main(["deploy", "-oProxyCommand=x"]) == 2


def test_a_freeze_wants_a_reason(capsys: pytest.CaptureFixture[str]) -> None:
    """Whoever is stopped by it will ask why."""
    assert cli.main(["freeze"]) == 2
    assert "--why" in capsys.readouterr().err


def test_what_is_asked_of_the_freeze(capsys: pytest.CaptureFixture[str]) -> None:
    """rollback --freeze and deploy --unfreeze reach the agent, and neither does unasked."""
    for words, asked in (
        (["rollback", "--freeze"], (True, False)),
        (["rollback"], (False, False)),
        (["deploy", "--shared", "--unfreeze"], (False, True)),
    ):
        assert cli.main(words) == 0
        found = told(capsys.readouterr().err)
        assert (found["freeze"], found["unfreeze"]) == asked


def test_a_check_of_what_is_declared(app: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """--check-compatible reaches the agent where homeport.toml says what is to be checked."""
    words = ["deploy", "--shared", "--check-compatible"]
    assert cli.main(words) == 2
    assert "compatible = true in [migrate]" in capsys.readouterr().err
    with open(app / "homeport.toml", "a") as settings:
        settings.write('[migrate]\ncommand = ["m"]\nschema = ["s"]\ncompatible = true\n')
    assert cli.main(words) == 0
    assert told(capsys.readouterr().err)["check_compatible"] is True


def test_a_frozen_deploy(
    app: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Exit code 33 for people; in a job of GitHub a warning and a good end."""
    words = ["deploy", "--shared", "--monitor", "33s"]
    assert cli.main(words) == 33
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_OUTPUT", str(app / "output"))
    capsys.readouterr()
    assert cli.main(words) == 0
    assert "::warning " in capsys.readouterr().err
    assert re.search(r"^outcome<<(\S+)\nfrozen\n\1$", (app / "output").read_text(), re.MULTILINE)


def test_the_login_of_today(app: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A rollback sends the login of the compose file's registry, and goes without where unsure."""
    (app / "config.json").write_text('{"auths": {"ghcr.io": {"auth": "bWU6dG9rZW4="}}}')
    monkeypatch.setenv("DOCKER_CONFIG", str(app))
    context = Context(cli.parse(["rollback"]))
    for image, found in (
        ("ghcr.io/me/app:main", True),
        ("'${APP_IMAGE:-ghcr.io/me/app:main}'", True),
        ("other.example/me/app", False),
        ("${APP_IMAGE:?which}", False),
        ("$(id)", False),
    ):
        (app / "c.yml").write_text(f"services:\n  db:\n    image: x\n  web:\n    image: {image}\n")
        assert bool(changing.todays_login(context)) == found, image
    (app / "c.yml").unlink()
    assert changing.todays_login(context) == ""


def test_the_exit_code_is_the_verdicts(capsys: pytest.CaptureFixture[str]) -> None:
    """What the host says is what the shell gets."""
    assert cli.main(["rollback", "r0099-aaaaaaa"]) == 32
    assert "✗" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "text", "data"),
    [
        (["status"], "a: nothing is live yet", {"app": "a"}),
        (["history"], "No run yet.", []),
        (["edge"], "edge: Caddy 2.11.4, DOES NOT RUN", {"version": "2.11.4"}),
        (["edge", "status"], "edge: Caddy 2.11.4, DOES NOT RUN", {"version": "2.11.4"}),
        (["plan", "--shared"], "- start: compose-up", {"text": "- start: compose-up"}),
    ],
)
def test_reading(
    words: list[str], text: str, data: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    """Words for people, or with --json the data and nothing else, on stdout."""
    assert cli.main(words) == 0
    out, err = capsys.readouterr()
    assert text in out and "note: seen" in err
    assert cli.main([*words, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found == data if isinstance(data, list) else found.items() >= data.items()


def test_the_authority_of_the_edge(capsys: pytest.CaptureFixture[str]) -> None:
    """The certificate alone on stdout; on stderr its fingerprint, and how devices trust it."""
    assert cli.main(["edge", "ca"]) == 0
    out, err = capsys.readouterr()
    assert out == "-----BEGIN CERTIFICATE-----\n"
    for word in ("SHA-256 AB:CD", "iPhone", "Android", "Windows", "macOS", "Debian", "Firefox"):
        assert word in err


def test_maintenance_in_minutes(capsys: pytest.CaptureFixture[str]) -> None:
    """The minutes reach the host; what makes no sense is refused before it is asked."""
    assert cli.main(["maintenance", "on", "--minutes", "30"]) == 0
    assert told(capsys.readouterr().err)["minutes"] == 30
    for words in (
        ["on", "--minutes", "-1"],
        ["on", "--minutes", "999999999"],
        ["off", "--minutes", "5"],
        ["pause"],
    ):
        assert cli.main(["maintenance", *words]) == 2
    assert cli.main(["edge", "remove"]) == 2


def test_logs(capsys: pytest.CaptureFixture[str]) -> None:
    """The last lines of one service, as text or an object a line; a wrong service's exit code."""
    assert cli.main(["logs", "-n", "2", "db"]) == 0
    assert capsys.readouterr().out == "db | line 0\ndb | line 1\n"
    assert cli.main(["logs", "-n", "1", "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"service": "web", "line": "line 0"}
    assert cli.main(["logs", "-n", "0", "gone"]) == 2


def test_watching(capsys: pytest.CaptureFixture[str]) -> None:
    """A line a look, good or bad and who watches; as objects with --json; the agent's exit code."""
    assert cli.main(["watch", "--for", "1s"]) == 0
    shown = capsys.readouterr()
    assert shown.out.splitlines() == [
        "r1  well  2 of 9 answers were 5xx",
        "r1  NOT WELL: web is down  2 of 9 answers were 5xx  (run run-1)",
    ]
    assert "r0 serves now" in shown.err
    assert cli.main(["watch", "--for", "2s", "--json"]) == 50
    looks = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [one["bad"] for one in looks] == ["", "web is down"]
    assert cli.main(["watch", "--for", "soon"]) == 2
    assert "--for" in capsys.readouterr().err


def test_a_deploy_without_image_asks_which(app: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A service that is only built names no image: both ways to give one are told."""
    if shutil.which("docker") is None:
        pytest.fail("there is no docker here: the compose file cannot be read", pytrace=False)
    (app / "c.yml").write_text("services: {web: {build: .}}\n")
    assert cli.main(["deploy"]) == 2
    assert "--from-local" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("compose", "words"),
    [("services: {db: {image: x}}\n", "it has db"), ("services: [\n", "Compose refuses the file")],
)
def test_a_compose_file_that_will_not_do(
    app: Path, compose: str, words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """A missing service names those that are there; a broken file brings Compose's own words."""
    (app / "c.yml").write_text(compose)
    assert cli.main(["deploy"]) == 11
    assert words in capsys.readouterr().err


def test_a_missing_compose_file(app: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Named by the key of homeport.toml that points to it."""
    (app / "c.yml").unlink()
    assert cli.main(["deploy", "x"]) == 11
    assert "homeport.toml: compose" in capsys.readouterr().err


def test_init_writes_what_is_accepted(app: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """From a compose file to a good homeport.toml; never over one that is there unasked."""
    (app / "c.yml").rename(app / "compose.yaml")
    assert cli.main(["init"]) == 2
    assert cli.main(["init", "--yes", "--host", "pi@pi.local:2222"]) == 0
    text = (app / "homeport.toml").read_text()
    assert 'address = "pi.local"\nport = 2222\n' in text and "port = 5000\n" in text
    assert "homeport setup --host pi@pi.local" in capsys.readouterr().err
    (app / "compose.yaml").unlink()
    assert cli.main(["init", "--yes"]) == 11
