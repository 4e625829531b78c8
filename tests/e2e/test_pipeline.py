"""Push to main → live → rolled back → frozen → lifted: the workflows' own lines, on the lab.

GitHub is the one part that is played (`gh_runner`, and `gh_program` for its program): every `run:`
of the workflows is run as it stands, with a registry for ghcr.io and a lab host for the Pi.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from bench.images import MARK
from bench.stage import Stage
from gh_repository import Repository, git
from gh_runner import Job
from lab import builder as lab_builder
from lab import foreign
from lab.registry import ensure_registry
from lab.shell import command
from pipeline import builder, layout, skopeo
from pipeline.base import LABEL

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
#: modules of the jobs' own tests that are run there too: the suite that this test is part of has
#: just been through all of them, and to most a job's surroundings mean nothing
SOME = ("errors", "wire", "pipeline_github", "values", "readme_text")
ROOT = Path(__file__).parents[2]
OTHERS = [
    str(path.relative_to(ROOT))
    for folder in ("unit", "app", "policy")
    for path in sorted(ROOT.glob(f"tests/{folder}/test_*.py"))
    if path.stem.removeprefix("test_") not in SOME
]
#: a module that a verb names itself is not ignored: its tests are left out by name
PART = f"-k 'test_{' or test_'.join(SOME)}' " + " ".join(f"--ignore={one}" for one in OTHERS)


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
def base() -> str:
    """A base image under a name of this test's own, so that it can move: the lab's."""
    name = f"{ensure_registry(talk)}/gh-{MARK}/python:3.13-slim"
    skopeo.ensure(talk)
    lent = skopeo.registry(foreign.ensure_bases(talk))
    skopeo.copy(lent, skopeo.registry(name), *skopeo.WHOLE)
    return name


@pytest.fixture(scope="module")
def repository(stage: Stage, base: str, tmp_path_factory: pytest.TempPathFactory) -> Repository:
    """The repository, with the settings that docs/deployment-guide.md names, and one commit."""
    # what an earlier run has published lies in the lab's registry still
    made = Repository(tmp_path_factory.mktemp("github"), f"someone/Food-{MARK}-{os.getpid()}")
    made.renamed = {"ghcr.io/": f"{ensure_registry(talk)}/"}
    made.replaced = dict(REPLACED)
    made.environ = {"PYTEST_ADDOPTS": PART}
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
    Story.first = made.create(
        [
            ("docker-compose.prod.yml", "monitor: 30s", "monitor: 3s"),
            ("Dockerfile", "BASE=python:3.13-slim", f"BASE={base}"),
            ("Dockerfile", "BASE_NAME=docker.io/library/python:3.13-slim", f"BASE_NAME={base}"),
        ]
    )
    return made


def place(repository: Repository) -> str:
    """Where the image is."""
    return repository.renamed["ghcr.io/"] + repository.name.lower()


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


class Left(dict[str, Any]):
    """What earlier tests left; that something is missing is no fault of whoever asks for it."""

    def __missing__(self, name: str) -> Any:
        raise AssertionError(f"an earlier test did not leave {name!r}: see how that one ended")


class Story:
    """What one test of the story leaves to the next."""

    first = second = ""
    digests = Left()
    #: what CI made of a commit: a later run of it need not make it again
    ci = Left()


def weekly(repository: Repository) -> dict[str, Job]:
    """Monday morning: scheduled.yml on main's newest commit."""
    newest = git(repository.origin, "rev-parse", "main").strip()
    return repository.event("scheduled.yml", "schedule", newest, skip=CHECKED)


def released(repository: Repository, tag: str, commit: str) -> Job:
    """The one job of the one workflow that a tag starts."""
    started = repository.push_tag(tag, commit)
    assert list(started) == ["release.yml"] and list(started["release.yml"]) == ["release"]
    return started["release.yml"]["release"]


def refused(job: Job) -> str:
    """What a job that failed said, without a traceback."""
    assert job.result == "failure", job.log()
    assert "Traceback" not in job.log() and "::error::" in job.log()
    return job.log()


def test_before_the_first_push(repository: Repository) -> None:
    """What was never published cannot be released, and cannot be out of date."""
    said = refused(released(repository, "v0.1.0", Story.first))
    assert "There is no image to release" in said
    assert "wait until CD has published this commit, then run this job again" in said
    assert repository.github() == {} and repository.points("v0") == ""
    assert skopeo.digest(f"{place(repository)}:0.1.0") == ""
    jobs = weekly(repository)
    assert results(jobs) == {
        "audit": "success",
        "base": "success",
        "rebuild": "skipped",
        "ship": "skipped",
    }
    assert "Nothing is published" in lines(jobs["base"].summary)


def test_a_push_goes_live(repository: Repository, stage: Stage) -> None:
    """CI, publish, deploy, mark; what CI probed is what the host runs, to the digest."""
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


def test_a_version_is_what_main_has_published(repository: Repository) -> None:
    """The job that was refused, run again: version, release and short tag; and nothing built."""
    for _ in range(2):  # once more changes nothing
        job = released(repository, "v0.1.0", Story.first)
        assert job.result == "success", job.log()
        assert skopeo.digest(f"{place(repository)}:0.1.0") == Story.digests["first"]
        made = repository.github()
        assert list(made["releases"]) == ["v0.1.0"] and made["started"] == []
        assert (
            f"{place(repository)}@{Story.digests['first']}" in made["releases"]["v0.1.0"]["notes"]
        )
        assert made["releases"]["v0.1.0"]["candidate"] is False
        assert repository.points("v0") == Story.first
        assert not (repository.workspace / "build").exists()
        assert Story.digests["first"] in job.summary


def test_the_next_push_takes_over(repository: Repository, stage: Stage) -> None:
    """Another commit, another image; the marks say which serves and which did."""
    page = repository.origin / "foodbudget" / "__init__.py"
    page.write_text(page.read_text() + "\n# the second push\n")
    Story.second = repository.commit("Change something")
    jobs = repository.event("cd.yml", "push", Story.second, skip=CHECKED)
    digest = Story.digests["second"] = jobs["ci"].outputs["digest"]
    Story.ci["second"] = jobs["ci"]
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
    jobs = repository.event("cd.yml", "push", Story.second, known={"ci": Story.ci["second"]})
    assert results(jobs)["production"] == "success"
    assert jobs["production"].outputs["outcome"] == "frozen"
    assert results(jobs)["mark"] == "skipped"
    assert "::warning" in jobs["production"].log()
    assert "frozen" in lines(jobs["production"].summary).lower()
    assert serving(stage) == Story.digests["first"]


def test_a_person_lifts_it(repository: Repository, stage: Stage) -> None:
    """CD by hand with a chosen commit and `unfreeze`: deployed, and the next push would be."""
    inputs = {"commit": Story.second, "unfreeze": True}
    known = {"ci": Story.ci["second"]}
    jobs = repository.event("cd.yml", "workflow_dispatch", Story.second, inputs, known=known)
    assert jobs["production"].outputs["outcome"] == "deployed"
    assert serving(stage) == jobs["production"].outputs["digest"] == Story.digests["second"]
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


@pytest.mark.parametrize("tag", ["v1.0.0-$(touch${IFS}pwned)", "v1.0.0-a;touch${IFS}pwned"])
def test_a_tag_that_is_no_version_is_refused_and_never_run(
    repository: Repository, tag: str
) -> None:
    """A tag's name is a stranger's text like any other; nothing is released or moved."""
    before = repository.github()
    said = refused(released(repository, tag, Story.second))
    git(repository.origin, "tag", "-d", tag)
    assert "That tag makes no release" in said
    assert not list(Path(repository.folder).rglob("pwned"))
    assert repository.github() == before and repository.points("v0") == Story.first


def test_a_version_of_what_is_not_on_main_is_refused(repository: Repository) -> None:
    """A commit beside main was reviewed by nobody, whatever its code says."""
    tree = f"{Story.second}^{{tree}}"
    beside = git(repository.origin, "commit-tree", tree, "-p", Story.second, "-m", "Beside").strip()
    said = refused(released(repository, "v0.1.0", beside))
    assert "That tag is not on main" in said and repository.points("v0") == Story.first


def test_a_version_is_never_given_to_another_image(repository: Repository) -> None:
    """Who has pulled 0.1.0 has pulled 0.1.0, wherever its tag is put afterwards."""
    said = refused(released(repository, "v0.1.0", Story.second))
    git(repository.origin, "tag", "-f", "v0.1.0", Story.first)
    assert "0.1.0 is another image already" in said and "raise the version" in said
    assert skopeo.digest(f"{place(repository)}:0.1.0") == Story.digests["first"]
    assert repository.points("v0") == Story.first


def test_other_tags_start_nothing(repository: Repository) -> None:
    """Not the short tag itself, either."""
    for tag in ("nightly", "v0"):
        assert repository.push_tag(tag, Story.first) == {}


def test_a_base_that_has_not_moved_is_left_alone(repository: Repository) -> None:
    """Every Monday but a few: looked at, and nothing built."""
    jobs = weekly(repository)
    assert (jobs["base"].result, jobs["base"].outputs) == ("success", {"moved": "false"})
    assert results(jobs)["rebuild"] == results(jobs)["ship"] == "skipped"
    assert "unchanged" in lines(jobs["base"].summary)


def moved(base: str) -> str:
    """Let somebody publish a newer base under the same name; its digest."""
    old = skopeo.digest(base)
    argv = ["docker", "buildx", "build", "--platform", ",".join(builder.PLATFORMS)]
    argv += ["--provenance=false", "--output", f"type=image,name={base},push=true", "-"]
    text = f"FROM {base}@{old}\nLABEL moved=yes\n"
    command(argv, stdin=text.encode(), env=lab_builder.ensure(talk), timeout=120)
    new = skopeo.digest(base)
    assert new != old
    return new


def test_a_base_that_has_moved_is_built_on_and_tested(repository: Repository, base: str) -> None:
    """Where nobody asked for more, nothing is published: the owner learns whether it would work."""
    published, now = skopeo.digest(f"{place(repository)}:main"), moved(base)
    jobs = weekly(repository)
    assert jobs["base"].outputs == {"moved": "true"} and "moved" in lines(jobs["base"].summary)
    assert (jobs["rebuild"].result, jobs["ship"].result) == ("success", "skipped")
    built = layout.read(repository.artifacts["image"] / "image.tar")
    assert built.digest == jobs["rebuild"].outputs["digest"] != published
    assert {one.labels[LABEL] for one in built.platforms.values()} == {now}
    assert skopeo.digest(f"{place(repository)}:main") == published
    assert repository.github()["started"] == []
    Story.digests["rebuilt"], Story.ci["rebuilt"] = built.digest, jobs["rebuild"]


def test_it_ships_only_where_the_variable_says_so(
    repository: Repository, stage: Stage, base: str
) -> None:
    """CD is started, ships the image on the new base, and the week after nothing has moved."""
    repository.variables["HOMEPORT_SHIP_BASE_UPDATES"] = "true"
    jobs = weekly(repository)
    assert (jobs["rebuild"].result, jobs["ship"].result) == ("skipped", "success")
    assert repository.github()["started"] == [["cd.yml", "main"]]
    newest = git(repository.origin, "rev-parse", "main").strip()
    known = {"ci": Story.ci["rebuilt"]}
    shipped = repository.event("cd.yml", "workflow_dispatch", newest, known=known)
    assert shipped["production"].outputs["outcome"] == "deployed"
    digest = Story.digests["rebuilt"]
    assert serving(stage) == skopeo.digest(f"{place(repository)}:main") == digest
    assert skopeo.inspect(f"{place(repository)}:main")["Labels"][LABEL] == skopeo.digest(base)
    again = weekly(repository)
    assert again["base"].outputs == {"moved": "false"}
    assert results(again)["rebuild"] == results(again)["ship"] == "skipped"


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
