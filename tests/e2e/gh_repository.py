"""A repository on this machine that stands for the one on GitHub, and the events it sends."""

from __future__ import annotations

import itertools
import json
import os
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.images import TOP
from gh_events import starts
from gh_runner import Around, Job, Work, load, run_workflow

GH = Path(__file__).with_name("gh_program.py")
#: what stays in the workspace between jobs; on GitHub each job would make its own
KEPT = (".venv", ".venv-engine", ".venv-agent")


def git(folder: Path, *words: str, at: str = "") -> str:
    """Run git in a folder, at an instant where one is given; its stdout."""
    identity = ["-c", "user.name=someone", "-c", "user.email=someone@users.noreply.github.com"]
    argv = ["git", "-C", str(folder), *identity, *words]
    env = {**os.environ, **({"GIT_AUTHOR_DATE": at, "GIT_COMMITTER_DATE": at} if at else {})}
    done = subprocess.run(argv, env=env, check=True, capture_output=True, text=True, timeout=120)
    return done.stdout


@dataclass
class Repository:
    """``origin`` has the branch main; ``workspace`` is where jobs work."""

    folder: Path
    name: str = "someone/MyFoodBudget"
    variables: dict[str, str] = field(default_factory=dict)
    environments: dict[str, dict[str, dict[str, str]]] = field(default_factory=dict)
    renamed: dict[str, str] = field(default_factory=dict)
    replaced: dict[str, str] = field(default_factory=dict)
    environ: dict[str, str] = field(default_factory=dict)
    private: bool = False
    artifacts: dict[str, Path] = field(default_factory=dict)
    called: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    runs: Any = field(default_factory=lambda: itertools.count(1001))

    @property
    def origin(self) -> Path:
        return self.folder / "origin"

    @property
    def workspace(self) -> Path:
        return self.folder / "workspace"

    @property
    def programs(self) -> Path:
        return self.folder / "programs"

    def github(self) -> dict[str, Any]:
        """What `gh` has made: ``releases`` by tag, and the workflows that were ``started``."""
        path = self.folder / "github.json"
        return dict(json.loads(path.read_text())) if path.exists() else {}

    def create(self, changes: Iterable[tuple[str, str, str]]) -> str:
        """Make it of this checkout's files, committed or not; the first commit.

        ``changes``: a file, a text in it, and what stands there instead.
        """
        self.origin.mkdir(parents=True)
        listed = ["ls-files", "-z", "--cached", "--others", "--exclude-standard"]
        for name in filter(None, git(TOP, *listed).split("\0")):
            if (TOP / name).is_file():
                (self.origin / name).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(TOP / name, self.origin / name)
        for name, old, new in changes:
            path = self.origin / name
            assert old in path.read_text(), f"{name} has no {old!r}"
            path.write_text(path.read_text().replace(old, new))
        git(self.origin, "init", "-q", "-b", "main")
        self.programs.mkdir()
        gh = self.programs / "gh"
        gh.write_text(
            f'#!/bin/sh\nexec {shlex.quote(sys.executable)} {shlex.quote(str(GH))} "$@"\n'
        )
        gh.chmod(0o755)
        return self.commit("Begin")

    def commit(self, message: str) -> str:
        """Commit what is in origin's tree; the commit's name.

        Its date is this checkout's: a builder that has just made that finds most of it made.
        """
        at = git(TOP, "show", "-s", "--format=%ci", "HEAD").strip()
        git(self.origin, "add", "-A")
        git(self.origin, "commit", "-q", "--allow-empty", "-m", message, at=at)
        return git(self.origin, "rev-parse", "HEAD").strip()

    def points(self, tag: str) -> str:
        """The commit that a tag of origin points to; empty where there is no such tag."""
        return git(
            self.origin, "for-each-ref", "--format=%(objectname)", f"refs/tags/{tag}"
        ).strip()

    def checkout(self, commit: str, whole: bool = True) -> None:
        """Leave nothing in the workspace but the commit, and virtual environments.

        Without ``whole`` it has no history, no branches and no tags, as GitHub's checkout leaves
        it where nobody asks for more.
        """
        if not self.workspace.exists():
            git(self.folder, "clone", "-q", str(self.origin), str(self.workspace))
        shallow = self.workspace / ".git" / "shallow"
        shallow.unlink(missing_ok=True)
        git(self.workspace, "fetch", "-q", "--force", "--tags", "--prune", "origin")
        git(self.workspace, "fetch", "-q", "origin")
        git(self.workspace, "checkout", "-q", "--force", "--detach", commit)
        keep = [word for name in KEPT for word in ("-e", name)]
        git(self.workspace, "clean", "-ffdxq", *keep)
        if not whole:
            listed = git(self.workspace, "for-each-ref", "--format=%(refname)").split()
            for ref in listed:
                git(self.workspace, "update-ref", "--no-deref", "-d", ref)
            shallow.write_text(commit + "\n")

    def push_tag(self, tag: str, commit: str) -> dict[str, dict[str, Job]]:
        """Push a tag; workflow → its jobs, for every workflow that this starts."""
        git(self.origin, "tag", "-f", tag, commit)
        self.checkout(commit)
        ref, found = f"refs/tags/{tag}", {}
        for file in sorted((self.workspace / ".github" / "workflows").glob("*.yml")):
            if starts(load(file), "push", ref):
                found[file.name] = self.event(file.name, "push", commit, ref=ref)
        return found

    def event(
        self,
        workflow: str,
        name: str,
        commit: str,
        inputs: Mapping[str, Any] | None = None,
        run: int | None = None,
        skip: frozenset[str] = frozenset(),
        known: Mapping[str, Job] | None = None,
        ref: str = "refs/heads/main",
    ) -> dict[str, Job]:
        """Send an event that starts a workflow; its jobs as they ended.

        ``skip``: jobs that count as passed; ``known``: as ended in an earlier run of the commit.
        """
        self.checkout(commit)
        path = self.workspace / ".github" / "workflows" / workflow
        assert starts(load(path), name, ref), f"{workflow} is not started by {name} of {ref}"
        github = {
            "actor": "someone",
            "api_url": "https://api.github.com",
            "base_ref": "",
            "event": {"repository": {"private": self.private}, "inputs": dict(inputs or {})},
            "event_name": name,
            "ref": ref,
            "ref_name": ref.split("/", 2)[2],
            "ref_type": "tag" if ref.startswith("refs/tags/") else "branch",
            "repository": self.name,
            "repository_owner": self.name.split("/")[0],
            "run_attempt": 1,
            "run_id": run or next(self.runs),
            "run_number": 1,
            "server_url": "https://github.com",
            "sha": commit,
            "token": "a-token-of-this-run",
            "workflow": workflow,
        }
        around = Around(
            github=github,
            workspace=self.workspace,
            actions=self.actions(commit),
            variables=self.variables,
            environments=self.environments,
            renamed=self.renamed,
            replaced=self.replaced,
            # the lab may install what it needs, and finds its state where it always is
            environ={"HOME": os.environ["HOME"], **_passed_on(), **self.environ},
            programs=self.programs,
            matrix=lambda job, rows: rows[:1],
            skip=skip,
            known=known or {},
        )
        return run_workflow(path, around, inputs or {})

    def actions(self, commit: str) -> dict[str, Any]:
        """Stand-ins for GitHub's actions; each call is noted."""

        def noted(name: str, does: Any = lambda given: {}) -> Any:
            def act(work: Work, given: Mapping[str, str]) -> Mapping[str, str]:
                self.called.append((name, dict(given)))
                return dict(does(given) or {})

            return act

        nothing = (
            "actions/setup-python",
            "docker/setup-qemu-action",
            "docker/setup-buildx-action",
            "actions/attest",
            "sigstore/cosign-installer",
            "tailscale/github-action",
        )
        return {
            **{name: noted(name) for name in nothing},
            "actions/checkout": noted(
                "actions/checkout",
                lambda given: self.checkout(
                    given.get("ref") or commit, whole=given.get("fetch-depth") == "0"
                ),
            ),
            "docker/login-action": noted("docker/login-action", _login),
            "actions/upload-artifact": noted("actions/upload-artifact", self._upload),
            "actions/download-artifact": noted("actions/download-artifact", self._download),
        }

    def _upload(self, given: Mapping[str, str]) -> None:
        source = self.workspace / given["path"]
        if not source.exists():
            assert given.get("if-no-files-found") == "ignore", f"there is no {given['path']}"
            return
        target = self.folder / "artifacts" / given["name"]
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(source, target)
        self.artifacts[given["name"]] = target

    def _download(self, given: Mapping[str, str]) -> None:
        shutil.copytree(
            self.artifacts[given["name"]], self.workspace / given["path"], dirs_exist_ok=True
        )


def _login(given: Mapping[str, str]) -> None:
    """GitHub's registry lets a job in that may at least read packages."""
    assert "packages=" in given["password"], "the job has no grant for packages"


def _passed_on() -> dict[str, str]:
    """Variables of this machine that decide where packages come from and what is trusted."""
    prefixes = (
        "PIP_",
        "SSL_",
        "REQUESTS_",
        "CURL_",
        "UV_",
        "XDG_",
        "GO",
        "HTTP",
        "http",
        "DOCKER_",
    )
    names = [*prefixes, "no_proxy", "NO_PROXY", "HOMEPORT_YES"]
    return {key: value for key, value in os.environ.items() if key.startswith(tuple(names))}
