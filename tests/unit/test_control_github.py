"""What a job of GitHub Actions is told: log, annotations, outputs, summary, as literal text."""

from __future__ import annotations

import io
import re
from pathlib import Path
from typing import Any

import pytest

from homeport.control import cli, github, job, present, refusals, summary
from homeport.control.context import Context
from homeport.control.hostkeys import HostKey
from homeport.errors import Frozen, LoginRefused, NeverHealthy, UsageError

HOSTILE = "::error::gotcha\n  ::set-output name=x::y\n##[add-mask]a\n::endgroup::"
ENV = {
    "GITHUB_ACTIONS": "true",
    "GITHUB_SERVER_URL": "https://git.example",
    "GITHUB_REPOSITORY": "me/app",
    "GITHUB_RUN_ID": "7",
    "GITHUB_JOB": "deploy",
    "GITHUB_ACTOR": "octo",
}


@pytest.fixture(autouse=True)
def a_job(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """GitHub's variables and files, and none of this machine's own."""
    for name in ("HOMEPORT_HOST", "HOMEPORT_SSH_KEY", "HOMEPORT_HOST_KEY", "HOMEPORT_URL"):
        monkeypatch.delenv(name, raising=False)
    for name, value in ENV.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("GITHUB_OUTPUT", str(tmp_path / "output"))
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "summary"))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def obeyed(log: str) -> list[str]:
    """The commands that the runner would carry out of a log, by its own rules."""
    found, token = [], ""
    for line in log.splitlines():
        command = re.match(r"\s*::([^:\s]+)(?:\s[^:]*)?::(.*)", line)
        old = re.search(r"##\[([^\]\s]+)[^\]]*\](.*)", line)
        if token:
            token = "" if line.strip() == f"::{token}::" else token
        elif command and command[1] == "stop-commands":
            token = command[2]
        elif command or old:
            found.append((command or old)[1])  # type: ignore[index]
    assert not token, "commands were stopped and never let through again"
    return found


def outputs(folder: Path) -> dict[str, str]:
    """The step's outputs as the runner reads them."""
    found, lines = {}, iter((folder / "output").read_text().split("\n"))
    for line in lines:
        name, mark, end = line.partition("<<")
        if mark:
            value = []
            while (one := next(lines)) != end:
                value.append(one)
            found[name] = "\n".join(value)
    return found


def test_the_runner_of_this_test_obeys() -> None:
    """The judge of the tests below finds what the runner would carry out."""
    assert obeyed(HOSTILE) == ["error", "set-output", "add-mask", "endgroup"]
    assert obeyed("a::b::c\n#[x]") == []


EVENTS: list[dict[str, Any]] = [
    {"e": "run", "run": "r1", "verb": "deploy", "app": "a"},
    {"e": "step", "id": "preflight", "state": "begin", "cause": "check before changing"},
    {"e": "step", "id": "preflight", "state": "done", "seconds": 0.5},
    {
        "e": "plan",
        "release": "r0002-1a2b3c4",
        "mode": "overlap",
        "steps": [{"id": "pull", "cause": "100% of it\nis missing"}],
    },
    {"e": "step", "id": "pull", "state": "begin"},
    {"e": "progress", "id": "pull", "text": "app", "done": 0, "total": 100_000_000},
    {"e": "step", "id": "pull", "state": "done", "seconds": 1.25, "note": "55 MB"},
    {"e": "step", "id": "start", "state": "begin"},
    {"e": "log", "service": "web", "line": "up"},
    {"e": "step", "id": "start", "state": "failed", "seconds": 2},
]
LOG = """\
deploy of a: r1
::group::preflight: check before changing
✓ preflight  0.5 s
::endgroup::
release r0002-1a2b3c4, overlap, 1 steps
::group::pull: 100%25 of it%0Ais missing
  app: 0 of 100 MB
✓ pull  1.2 s  55 MB
::endgroup::
::group::start
  web | up
::endgroup::
✗ start  2.0 s
"""


def test_the_log() -> None:
    """A group a step; what failed stands outside of it, where it is seen unopened."""
    out = io.StringIO()
    view = present.for_terminal(out)
    for event in EVENTS:
        view.show(event)
    view.close()
    assert out.getvalue() == LOG


def test_a_run_that_is_broken_off_leaves_no_group_open() -> None:
    """What the job says next is not folded under the last step."""
    out = io.StringIO()
    view = present.for_terminal(out)
    for event in EVENTS[:-1]:
        view.show(event)
    view.close()
    assert obeyed(out.getvalue()) == ["group", "endgroup"] * 3


def test_what_others_wrote_is_no_command() -> None:
    """Containers, hosts and people can write what they want; the runner obeys only us."""
    out = io.StringIO()
    view = present.for_terminal(out, verbose=True)
    for event in (
        {"e": "notice", "text": HOSTILE},
        {"e": "notice", "text": "a\r::error::b"},
        {"e": "log", "service": "::error::x", "line": HOSTILE},
        {"e": "step", "id": HOSTILE, "state": "begin", "cause": HOSTILE},
        {"e": "progress", "id": "x", "text": HOSTILE},
        {"e": "step", "id": "x", "state": "done", "note": HOSTILE},
        {"e": "trace", "text": HOSTILE},
    ):
        view.show(event)
    view.close()
    assert set(obeyed(out.getvalue())) == {"group", "endgroup"}
    assert out.getvalue().count("gotcha") >= 6


def test_nothing_of_it_outside_of_a_job(
    monkeypatch: pytest.MonkeyPatch, a_job: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """On a laptop no command, no file, no key; what others wrote stands as it is."""
    monkeypatch.setenv("GITHUB_ACTIONS", "false")
    assert type(present.for_terminal(io.StringIO())) is present.Plain
    github.annotate("error", "a", "b")
    github.output({"a": "b"})
    github.summary("a")
    assert github.foreign(HOSTILE) == HOSTILE and github.request_key("deploy") == ""
    assert capsys.readouterr() == ("", "") and not (a_job / "output").exists()


def test_an_annotation_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    """Percent, line ends, and in a property colon and comma are escaped."""
    github.annotate("error", "a: b, 5%", "x\r\ny: 5%\n::z")
    line = "::error title=a%3A b%2C 5%25::x%0D%0Ay: 5%25%0A::z\n"
    assert capsys.readouterr().err == line


def test_an_output_cannot_forge_another(a_job: Path) -> None:
    """A value with lines of its own arrives whole and makes no second output."""
    github.output({"why": "a\nrelease<<EOF\nr9\nEOF", "run": "x"})
    assert outputs(a_job) == {"why": "a\nrelease<<EOF\nr9\nEOF", "run": "x"}


def test_the_key_of_a_request(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same for every attempt of a job; another run, job, verb or wish has another."""
    first = github.request_key("deploy", "a", "sha256:1")
    monkeypatch.setenv("GITHUB_RUN_ATTEMPT", "2")
    assert github.request_key("deploy", "a", "sha256:1") == first and len(first) == 32
    others = {github.request_key("rollback", "a", "sha256:1"), github.request_key("deploy", "a")}
    for name in ("GITHUB_RUN_ID", "GITHUB_JOB", "GITHUB_REPOSITORY"):
        with monkeypatch.context() as patch:
            patch.setenv(name, "9")
            others.add(github.request_key("deploy", "a", "sha256:1"))
    assert len({*others, first}) == 6
    monkeypatch.setenv("GITHUB_RUN_ID", "")
    assert github.request_key("deploy", "a", "sha256:1") == ""


LIVE = {
    "id": "r0002-2222222",
    "image": "r.io/a@sha256:22",
    "digest": "sha256:22",
    "size": 52_400_000,
}
BEFORE = {
    "id": "r0001-1111111",
    "image": "r.io/a@sha256:11",
    "digest": "sha256:11",
    "size": 50_000_000,
}
GOOD = {
    "e": "verdict",
    "outcome": "deployed",
    "code": 0,
    "sentence": "r0002-2222222 is live after 3.1 s",
    "release": "r0002-2222222",
    "run": "20261121T110000-1a2b",
    "problems": [],
    "figures": {
        "steps": [{"id": "preflight", "seconds": 0.5}, {"id": "hand|over", "seconds": 0.012}],
        "held_s": 1.3,
        "longest_hold_s": 1.25,
        "total_s": 3.1,
        "serves": LIVE,
        "before": BEFORE,
        "previous": BEFORE,
        "frozen": None,
    },
}
ASKED = {"app": "a", "who": "octo", "why": "1a2b Fix `it` | <b>now</b>", "url": "http://pi.local/"}
GOOD_SUMMARY = """\
### ✅ a: Deployed

r0002-2222222 is live after 3.1 s.

| | |
|---|---|
| serves | `r0002-2222222` |
| digest | `sha256:22` |
| image | 52 MB to pull, 2.4 MB more than before |
| before | `r0001-1111111` |
| who | octo |
| why | 1a2b Fix \\`it\\` \\| &lt;b&gt;now&lt;/b&gt; |
| run | [this run](https://git.example/me/app/actions/runs/7) |
| open it | [http\\://pi.local/](http://pi.local/) |
| requests | held for 1.2 s at most, then answered |

| step | seconds |
|---|---:|
| preflight | 0.5 |
| hand\\|over | 0.0 |
| **in all** | **3.1** |

To go back to `r0001-1111111`: \
[the rollback workflow](https://git.example/me/app/actions/workflows/rollback.yml), \
or `homeport rollback` on a laptop.

"""


def test_a_good_deploy(
    a_job: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """What serves, what it took, how to go back; and what later steps go on with."""
    assert job.tell("deploy", GOOD, [], ASKED) == 0
    assert (a_job / "summary").read_text() == GOOD_SUMMARY
    assert outputs(a_job) == {
        "outcome": "deployed",
        "release": "r0002-2222222",
        "digest": "sha256:22",
        "previous-digest": "sha256:11",
        "url": "http://pi.local/",
        "run": "20261121T110000-1a2b",
    }
    assert capsys.readouterr().err == ""
    monkeypatch.setenv("HOMEPORT_URL", "https://shop.example/")
    job.tell("deploy", GOOD, [], ASKED)
    assert outputs(a_job)["url"] == "https://shop.example/"


def test_a_failure(a_job: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """An annotation a problem, the container's own words in a block that they cannot end."""
    why = "503\nlast lines of web:\n```\n### not a heading\n\x1b[31mKeyError\x1b[0m\n<b>"
    problem = {"what": "it is not well", "where": "web", "why": why, "mend": "homeport logs"}
    figures = {"serves": BEFORE, "before": BEFORE, "previous": None, "frozen": None}
    bad = {**GOOD, "outcome": "failed", "code": NeverHealthy.code, "figures": figures}
    steps = [{"id": "start", "state": "failed", "seconds": 2}]
    assert job.tell("deploy", {**bad, "problems": [problem]}, steps, ASKED) == NeverHealthy.code
    told = (a_job / "summary").read_text()
    block = "````text\n503\nlast lines of web:\n```\n### not a heading\nKeyError\n<b>\n````"
    assert block in told and "To mend it: homeport logs" in told and "### ❌ a: Failed" in told
    assert "| start ❌ | 2.0 |" in told
    assert "| deploy of | `r0002-2222222` |" in told and "| serves | `r0001-1111111` |" in told
    assert outputs(a_job)["digest"] == "sha256:11" and outputs(a_job)["previous-digest"] == ""
    err = capsys.readouterr().err
    assert err.startswith("::error title=") and err.count("\n") == 1 and obeyed(err) == ["error"]


def test_a_push_while_frozen_is_expected(a_job: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The step ends well with a warning; outcome and summary say who froze it and why."""
    frozen = {"who": "ann", "why": "r9 was bad", "url": "https://git.example/1", "at": 1.0}
    told = {**GOOD, "outcome": "refused", "code": Frozen.code, "release": ""}
    first = {"what": "deploys are frozen", "why": "r9 was bad", "mend": "homeport unfreeze"}
    told |= {"problems": [first, {"what": "Another reason"}]}
    told |= {"figures": {"serves": LIVE, "before": LIVE, "previous": BEFORE, "frozen": frozen}}
    assert job.tell("deploy", told, [], ASKED) == 0
    assert obeyed(capsys.readouterr().err) == ["warning", "warning"]
    assert outputs(a_job)["outcome"] == "frozen" and outputs(a_job)["release"] == LIVE["id"]
    text = (a_job / "summary").read_text()
    assert "### ⏸️ a: Frozen, not deployed" in text and text.count("r9 was bad") == 1
    assert "**Deploys are frozen** by ann, " in text and "Another reason" in text
    assert "[the run that froze it](https://git.example/1)" in text
    assert job.tell("rollback", told, [], ASKED) == Frozen.code


@pytest.mark.parametrize(
    "text", [HOSTILE, "](javascript:x)", "a\n\n# b", "| a | b |", "<img src=x>"]
)
def test_no_text_breaks_the_summary(text: str) -> None:
    """Whatever people wrote, the summary has the same lines and the same cells."""
    asked = {"app": "a", "who": text, "why": text, "url": text}
    frozen = {"who": text, "why": text, "url": text, "at": 1.0}
    figures: Any = GOOD["figures"]
    told = {**GOOD, "sentence": text, "figures": {**figures, "frozen": frozen}}
    calm = {"app": "a", "who": "x", "why": "x", "url": "x"}
    tame = {**told, "sentence": "x"}
    tame["figures"] = {**figures, "frozen": {"who": "x", "why": "x", "url": "x", "at": 1.0}}

    def form(verdict: dict[str, Any], said: dict[str, str]) -> list[int]:
        made = summary.of_verdict("deploy", verdict, [], said, 100.0)
        return [len(re.findall(r"(?<!\\)\|", line)) for line in made.splitlines()]

    assert form(told, asked) == form(tame, calm)
    made = summary.of_verdict("deploy", told, [], asked, 100.0)
    assert "<img" not in made and "](javascript" not in made.replace("\\](", "")


def typed(words: list[str], folder: Path) -> int:
    """The exit code of a command in a folder with an app in it."""
    (folder / "homeport.toml").write_text('app = "a"\ncompose = "c.yml"\n')
    (folder / "c.yml").write_text("services: {web: {image: x}}\n")
    return cli.main(words)


def test_no_host_names_the_variable(a_job: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """An unset variable comes as ""; the job is told which one it is, the step that it failed."""
    assert typed(["rollback", ""], a_job) == UsageError.code
    err = capsys.readouterr().err
    assert "set the variable HOMEPORT_HOST" in err and obeyed(err) == ["error"]
    assert outputs(a_job)["outcome"] == "failed"
    assert "did not begin" in (a_job / "summary").read_text()


def test_the_host_of_the_environment(a_job: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """HOMEPORT_HOST is the default of --host, and stands over homeport.toml."""
    (a_job / "homeport.toml").write_text('app = "a"\n[host]\naddress = "file"\n')
    for value, words, address in (
        ("", [], "file"),
        ("homeport@pi.local:2222\n", [], "pi.local"),
        ("pi.local", ["--host", "nuc.local"], "nuc.local"),
        ("pi.local", ["--host", ""], "pi.local"),
    ):
        monkeypatch.setenv("HOMEPORT_HOST", value)
        assert Context(cli.parse(["status", *words])).host.address == address


def test_keys_in_the_words_of_github(monkeypatch: pytest.MonkeyPatch) -> None:
    """Host keys missing, wrong, changed: the variable, the host's own file, never the network."""
    key = HostKey("ssh-ed25519", "AAAA")
    for error in (
        refusals.unknown("pi", key),
        refusals.changed("pi", key),
        refusals.no_host_key("x"),
    ):
        (problem,) = error.problems
        assert "variable HOMEPORT_HOST_KEY" in problem.mend and "nothing was sent" in problem.why
        assert "cat /etc/ssh/ssh_host_ed25519_key.pub" in problem.mend
        assert "on the host itself" in problem.mend and "not to what ssh-keyscan" in problem.mend
    unset = refusals.login("homeport@pi", "no")
    assert isinstance(unset, LoginRefused) and "secret HOMEPORT_SSH_KEY" in unset.problems[0].what
    monkeypatch.setenv("HOMEPORT_SSH_KEY", "-----BEGIN X")
    assert "homeport setup --key" in refusals.login("homeport@pi", "no").problems[0].mend
