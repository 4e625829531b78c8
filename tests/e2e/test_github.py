"""Deploy, freeze and rollback as a job of GitHub Actions types them, on a lab host over SSH."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from bench.stage import Ran, Stage
from scenario import Before, Typed, status

pytestmark = pytest.mark.lab


class Job:
    """One job of a workflow: its variables, its secrets, and the files of the step that runs."""

    def __init__(self, stage: Stage, folder: Path, run: str, name: str = "deploy") -> None:
        self._folder, self._steps = folder, 0
        key = Path(stage.env["HOMEPORT_SSH_KEY"]).read_text()
        env = {
            **{name: value for name, value in os.environ.items() if "HOMEPORT" not in name},
            "PYTHONPATH": stage.env["PYTHONPATH"],
            # a fresh runner: no pins, no keys, no agent of anybody
            "HOME": str(folder),
            "XDG_CONFIG_HOME": str(folder / "none"),
            "SSH_AUTH_SOCK": "",
            "CI": "true",
            "GITHUB_ACTIONS": "true",
            "GITHUB_SERVER_URL": "https://git.example",
            "GITHUB_REPOSITORY": "me/app",
            "GITHUB_RUN_ID": run,
            "GITHUB_JOB": name,
            "GITHUB_ACTOR": "octo",
            "HOMEPORT_HOST": f"homeport@{stage.host.address}",
            "HOMEPORT_HOST_KEY": stage.host.host_key,
            "HOMEPORT_SSH_KEY": key.replace("\n", "\r\n"),
            "HOMEPORT_URL": "",
        }
        self.stage, self.key = replace(stage, env=env), key

    def attempt(self, number: int) -> Job:
        """The job once more, as somebody's click on "re-run" makes it."""
        self.stage.env["GITHUB_RUN_ATTEMPT"] = str(number)
        return self

    def step(self) -> Job:
        """New files for the step that comes next."""
        self._steps += 1
        for name in ("OUTPUT", "STEP_SUMMARY"):
            path = self._folder / f"{name}-{self._steps}"
            path.write_text("")
            self.stage.env[f"GITHUB_{name}"] = str(path)
        return self

    def types(self, *words: str, check: bool = True) -> Ran:
        """A step that runs `homeport …`."""
        ran = self.step().stage.homeport(*words, check=check)
        body = "".join(self.key.splitlines()[1:3])
        for text in (ran.out, ran.err, self.summary()):
            assert body not in text.replace("\n", ""), "the key shows"
        return ran

    def summary(self) -> str:
        """The step's summary."""
        return Path(self.stage.env["GITHUB_STEP_SUMMARY"]).read_text()

    def outputs(self) -> dict[str, str]:
        """The step's outputs."""
        text = Path(self.stage.env["GITHUB_OUTPUT"]).read_text()
        return dict(re.findall(r"^([\w-]+)<<\S+\n(.*)\nend-\w+$", text, re.MULTILINE))


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """The runner's own folder; nothing of the key is left in it."""
    yield tmp_path
    assert "PRIVATE KEY" not in "".join(
        one.read_text(errors="replace") for one in tmp_path.rglob("*") if one.is_file()
    )


def test_a_push_a_rollback_and_a_push_after_it(
    stage: Stage, folder: Path, versions: dict[str, str]
) -> None:
    """Deploy → rollback --freeze → a deploy that is expected to stop → lifted with a deploy."""
    stage.deploy(versions["v1"], "--monitor", "0s", "--force")
    cd = Job(stage, folder, "1")
    shipped = cd.types("deploy", versions["v2"], "--monitor", "1s", "--why", "a `push`")
    told, text = cd.outputs(), cd.summary()
    assert told["outcome"] == "deployed" and told["release"] == status(stage)["release"]
    assert told["digest"] == status(stage)["digest"] and told["previous-digest"]
    assert told["digest"] != told["previous-digest"]
    assert told["url"] == f"http://{stage.host.address}/" and told["run"] in shipped.err
    assert "::group::preflight" in shipped.err and "::group::handover" in shipped.err
    assert "| handover |" in text and "a \\`push\\`" in text and "requests | held for" in text
    assert "MB to pull" in text and "actions/workflows/rollback.yml" in text

    button = Job(stage, folder, "2", "rollback")
    button.types("rollback", "", "--freeze", "--monitor", "0s", "--why", "$(id) ::error::x")
    back = button.outputs()
    assert (back["outcome"], back["digest"]) == ("rolled-back", told["previous-digest"])
    assert "Deploys are frozen" in button.summary() and status(stage)["frozen"]["who"] == "octo"

    push = Job(stage, folder, "3")
    met = push.types("deploy", versions["v2"], "--monitor", "0s")
    assert push.outputs()["outcome"] == "frozen" and "::warning " in met.err
    assert push.outputs()["digest"] == back["digest"] == status(stage)["digest"]
    assert stage.deploy(versions["v2"], check=False).code == 33

    again = button.attempt(2)
    assert again.types("rollback", "", "--freeze", "--monitor", "0s").code == 0
    assert again.outputs()["run"] == back["run"] and status(stage)["digest"] == back["digest"]

    push.attempt(2).types("deploy", versions["v2"], "--monitor", "0s", "--unfreeze")
    assert push.outputs()["outcome"] == "deployed" and status(stage)["frozen"] is None


def test_a_retried_job_follows_the_run_it_began(
    stage: Stage, folder: Path, versions: dict[str, str], turns: Iterator[str]
) -> None:
    """The runner dies after the handover; the next attempt reports that very run."""
    stage.deploy(versions["v1"], "--monitor", "0s", "--force")
    before = Before(stage)
    words = ("deploy", versions["v2"], "--monitor", "4s")
    job = Job(stage, folder, "9").step()
    with Typed(job.stage, *words) as typed:
        before.reaches("committed")
        typed.kill()
    ran = job.attempt(2).types(*words)
    runs = [one["run"] for one in stage.homeport("history", "--json").data]
    assert job.outputs()["run"] == runs[0] and job.outputs()["outcome"] == "deployed"
    assert "following it" in ran.err or "its verdict again" in ran.err
    assert "| watch |" in job.summary()


@pytest.mark.parametrize("verb", ["deploy", "rollback"])
@pytest.mark.parametrize("held", ["missing", "wrong"])
def test_the_hosts_key_comes_first(
    stage: Stage, folder: Path, versions: dict[str, str], held: str, verb: str
) -> None:
    """Without the right host key nothing is sent, and the job is told where it comes from."""
    job = Job(stage, folder, "4")
    job.stage.env["HOMEPORT_HOST_KEY"] = ""
    if held == "wrong":
        other = stage.host.host_key.split()[1]
        job.stage.env["HOMEPORT_HOST_KEY"] = f"ssh-ed25519 {other[:-6]}{other[-6:].swapcase()}"
    wanted = {"deploy": versions["v1"], "rollback": "r0001"}[verb]
    ran = job.types(verb, wanted, check=False)
    assert ran.code == (22 if held == "missing" else 23)
    assert "set the variable HOMEPORT_HOST_KEY" in ran.err and "::error " in ran.err
    assert job.outputs()["outcome"] == "failed" and "did not begin" in job.summary()
