"""Push to main → live → rolled back → frozen → lifted: the workflows' own lines, on the lab.

GitHub is the one part that is played (`gh_runner`): every `run:` of the workflows is run as it
stands, with a registry for ghcr.io and a lab host for the Pi.
"""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from bench.images import TOP
from bench.stage import Stage
from gh_repository import Repository
from gh_runner import Job
from lab.registry import ensure_registry
from lab.shell import command
from pipeline import skopeo

pytestmark = pytest.mark.lab

#: jobs of ci.yml that a second push need not go through once more
CHECKED = frozenset({"lint", "test", "agent", "e2e", "security", "scan"})
#: what is replaced: a run of the very suite this test is part of, and what asks a database of
#: known holes that a test must not depend on
REPLACED = {
    "make test": "echo 'this very suite'",
    "make scan": "test -s build/image/image.tar",
    "make audit": "test -s requirements.txt",
}


#: two checkouts on one machine may test at once, each on hosts of its own
MARK = hashlib.sha256(str(TOP).encode()).hexdigest()[:4]


def talk(line: str) -> None:
    """Say what is being done; pytest shows it where something fails, or with -s."""
    print(line, file=sys.stderr, flush=True)


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    """A host that was set up for MyFoodBudget and has no release yet."""
    made = Stage.up(f"gh-{MARK}", "systemd", talk)
    yield made
    made.down()


@pytest.fixture(scope="module")
def repository(stage: Stage, tmp_path_factory: pytest.TempPathFactory) -> Repository:
    """The repository, with the settings that docs/deployment-guide.md names."""
    made = Repository(tmp_path_factory.mktemp("github"))
    made.renamed = {"ghcr.io/": f"{ensure_registry(talk)}/"}
    made.replaced = dict(REPLACED)
    made.variables = {"HOMEPORT_DEPLOY": "true"}
    made.environments = {
        "production": {
            "vars": {
                "HOMEPORT_HOST": f"homeport@{stage.host.address}",
                "HOMEPORT_HOST_KEY": stage.host.host_key,
                "HOMEPORT_URL": f"http://{stage.host.address}:8080/",
            },
            "secrets": {"HOMEPORT_SSH_KEY": stage.host.key.read_text()},
        }
    }
    return made


def place(repository: Repository) -> str:
    """Where the image is."""
    return repository.renamed["ghcr.io/"] + "someone/myfoodbudget"


def results(jobs: dict[str, Job]) -> dict[str, str]:
    """Job → how it ended."""
    return {name: job.result for name, job in jobs.items()}


def serving(stage: Stage) -> str:
    """The digest of the image that the running web container is made of, as Docker tells."""
    name = [one for one in stage.running() if "web" in one][0]
    image = stage.on_host("docker", "inspect", "--format", "{{.Config.Image}}", name)
    return image.strip().partition("@")[2]


def answers(stage: Stage) -> dict[str, str]:
    """What the app itself says that it is."""
    url = f"http://{stage.host.address}:8080/version"
    return dict(json.loads(command(["curl", "-fsS", url]).stdout))


def logins(stage: Stage) -> int:
    """How often sshd on the host has let somebody in."""
    return stage.on_host("journalctl", "-t", "sshd").count("Accepted ")


def lines(summary: str) -> str:
    """A summary on one line, without Markdown's escapes."""
    return " ".join(summary.replace("\\", "").split())


class Story:
    """What one test of the story leaves to the next."""

    first = second = ""
    digests: dict[str, str] = {}


def test_a_push_goes_live(repository: Repository, stage: Stage) -> None:
    """CI, publish, deploy, mark; what CI probed is what the host runs, to the digest."""
    Story.first = repository.create({"docker-compose.prod.yml": ("monitor: 30s", "monitor: 3s")})
    jobs = repository.event("cd.yml", "push", Story.first)
    assert results(jobs) == {
        "choose": "success",
        "ci": "success",
        "publish": "success",
        "staging": "skipped",
        "production": "success",
        "mark": "success",
    }
    digest = Story.digests["first"] = jobs["ci"].outputs["digest"]
    assert digest.startswith("sha256:")
    assert serving(stage) == digest
    assert jobs["production"].outputs["digest"] == digest
    assert jobs["production"].outputs["outcome"] == "deployed"
    assert jobs["production"].url == f"http://{stage.host.address}:8080/"
    for tag in ("main", f"sha-{Story.first}", "production"):
        assert skopeo.digest(f"{place(repository)}:{tag}") == digest
    assert answers(stage)["release"].startswith("r0001-")
    said = lines(jobs["production"].summary)
    for expected in ("r0001-", digest, "someone"):
        assert expected in said
    assert stage.host.key.read_text().splitlines()[2] not in "".join(
        job.log() + job.summary for job in jobs.values()
    )


def test_the_next_push_takes_over(repository: Repository, stage: Stage) -> None:
    """Another commit, another image; the marks say which serves and which did."""
    page = repository.origin / "foodbudget" / "__init__.py"
    page.write_text(page.read_text() + "\n# the second push\n")
    Story.second = repository.commit("Change something")
    jobs = repository.event("cd.yml", "push", Story.second, skip=CHECKED)
    digest = Story.digests["second"] = jobs["ci"].outputs["digest"]
    assert jobs["production"].outputs["outcome"] == "deployed"
    assert serving(stage) == digest != Story.digests["first"]
    assert skopeo.digest(f"{place(repository)}:production") == digest
    assert skopeo.digest(f"{place(repository)}:previous") == Story.digests["first"]
    said = lines(jobs["production"].summary)
    for expected in ("r0002-", "r0001-", "/actions/workflows/rollback.yml", "/actions/runs/"):
        assert expected in said


@pytest.mark.parametrize(
    "release", ["$(touch pwned)", "a;touch pwned", "-oProxyCommand=touch pwned", "../x", "r0001\n"]
)
def test_what_is_no_release_is_refused_and_never_run(
    repository: Repository, stage: Stage, release: str
) -> None:
    """Inputs of people reach no shell and no option; nothing is asked of the host."""
    before, let_in = serving(stage), logins(stage)
    jobs = rollback(repository, release=release)
    assert jobs["rollback"].result == "failure"
    assert jobs["mark"].result == "skipped"
    assert serving(stage) == before
    assert logins(stage) == let_in
    assert not list(Path(repository.folder).rglob("pwned"))
    assert not [line for line in jobs["rollback"].log().splitlines() if "Traceback" in line]


def test_a_reason_is_only_a_reason(repository: Repository, stage: Stage) -> None:
    """A rollback by hand, whose reason looks like a command, goes back and freezes."""
    reason = 'it\'s $(touch pwned) `touch pwned`; "bad" | <b>::error::x</b>'
    jobs = rollback(repository, reason=reason, run=2001)
    assert jobs["rollback"].result == "success", jobs["rollback"].log()
    assert serving(stage) == Story.digests["first"]
    assert skopeo.digest(f"{place(repository)}:production") == Story.digests["first"]
    assert not list(Path(repository.folder).rglob("pwned"))
    frozen = status(stage)["frozen"]
    assert frozen and frozen["who"] == "someone"
    assert history(stage)[0]["why"] == reason


def test_a_rerun_of_the_rollback_goes_no_further(repository: Repository, stage: Stage) -> None:
    """The same run again, as GitHub's "Re-run jobs" does: its verdict, and nothing else."""
    jobs = rollback(repository, reason="whatever", run=2001)
    assert jobs["rollback"].result == "success", jobs["rollback"].log()
    assert serving(stage) == Story.digests["first"]
    assert len([one for one in history(stage) if one["verb"] == "rollback"]) == 1


def test_a_push_meets_the_freeze(repository: Repository, stage: Stage) -> None:
    """The bad line does not come back: the run is green, and says that nothing was deployed."""
    jobs = repository.event("cd.yml", "push", Story.second, skip=CHECKED)
    assert results(jobs)["production"] == "success"
    assert jobs["production"].outputs["outcome"] == "frozen"
    assert results(jobs)["mark"] == "skipped"
    assert "::warning" in jobs["production"].log()
    assert "frozen" in lines(jobs["production"].summary).lower()
    assert serving(stage) == Story.digests["first"]


def test_a_person_lifts_it(repository: Repository, stage: Stage) -> None:
    """CD by hand with a chosen commit and `unfreeze`: deployed, and the next push would be."""
    inputs = {"commit": Story.second, "unfreeze": True}
    jobs = repository.event("cd.yml", "workflow_dispatch", Story.second, inputs, skip=CHECKED)
    assert jobs["production"].outputs["outcome"] == "deployed"
    # its own build of that commit: the same images, with an attestation of this run beside them
    assert serving(stage) == jobs["ci"].outputs["digest"] != Story.digests["first"]
    assert status(stage)["frozen"] is None


@pytest.mark.parametrize("key", ["", "another", "garbled"])
def test_a_host_key_that_is_not_the_hosts_stops_the_job(
    repository: Repository, stage: Stage, key: str, tmp_path: Path
) -> None:
    """Missing, wrong, or no key at all: no login is tried, and the job says what to set."""
    command(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(tmp_path / "other")])
    other = (tmp_path / "other.pub").read_text()
    pinned = {"": "", "another": other, "garbled": "ssh-ed25519 x"}[key]
    before = logins(stage)
    variables = repository.environments["production"]["vars"]
    kept, variables["HOMEPORT_HOST_KEY"] = variables["HOMEPORT_HOST_KEY"], pinned
    try:
        jobs = rollback(repository, reason="to see")
    finally:
        variables["HOMEPORT_HOST_KEY"] = kept
    assert jobs["rollback"].result == "failure"
    assert logins(stage) == before
    assert "HOMEPORT_HOST_KEY" in jobs["rollback"].log()
    assert "HOMEPORT_HOST_KEY" in lines(jobs["rollback"].summary)


def rollback(repository: Repository, **more: object) -> dict[str, Job]:
    """The button on GitHub's page."""
    run = more.pop("run", None)
    inputs = {"environment": "production", "release": "", "reason": "to see", "freeze": True}
    return repository.event(
        "rollback.yml",
        "workflow_dispatch",
        Story.second,
        {**inputs, **more},
        run=run,  # type: ignore[arg-type]
    )


def status(stage: Stage) -> dict[str, object]:
    return dict(stage.homeport("status", "--json").data)


def history(stage: Stage) -> list[dict[str, object]]:
    return list(stage.homeport("history", "--json").data)
