"""Runs this repository's workflows as GitHub would, as far as that can be done without GitHub.

Jobs run in the order of their ``needs``, steps in theirs; ``if``, ``env``, outputs, ``GITHUB_ENV``,
``GITHUB_PATH`` and summaries behave as documented. Every ``run:`` is run by bash in a checkout of
its own. An action from elsewhere is replaced by a stand-in that the test gives by name; one without
is an error, and so is an input that the action's own file does not know.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from gh_expressions import evaluate, fill, text, truthy

#: what a job may take, at most
LIMIT = 1200


@dataclass
class Step:
    """One step that was run, or left out."""

    job: str
    name: str
    outcome: str
    log: str = ""
    outputs: dict[str, str] = field(default_factory=dict)


@dataclass
class Job:
    """One job as it ended."""

    name: str
    result: str = "success"
    outputs: dict[str, str] = field(default_factory=dict)
    steps: list[Step] = field(default_factory=list)
    summary: str = ""
    url: str = ""

    def log(self) -> str:
        """All that its steps printed."""
        return "\n".join(step.log for step in self.steps)


@dataclass
class Around:
    """What GitHub would bring: contexts of the event, and stand-ins for its actions.

    ``workspace`` is the folder that every job works in; ``environments`` holds the variables and
    secrets of each environment; ``replaced`` maps a ``run:`` line to what is run in its place.
    """

    github: Mapping[str, Any]
    workspace: Path
    actions: Mapping[str, Callable[["Work", Mapping[str, str]], Mapping[str, str]]]
    inputs: Mapping[str, Any] = field(default_factory=dict)
    variables: Mapping[str, str] = field(default_factory=dict)
    secrets: Mapping[str, str] = field(default_factory=dict)
    environments: Mapping[str, Mapping[str, Mapping[str, str]]] = field(default_factory=dict)
    replaced: Mapping[str, str] = field(default_factory=dict)
    environ: Mapping[str, str] = field(default_factory=dict)
    #: text that stands for other text in whatever a step is given or gives: a registry's address
    renamed: Mapping[str, str] = field(default_factory=dict)
    #: a folder of programs that GitHub's machines have and this one need not
    programs: Path | None = None
    matrix: Callable[[str, list[dict[str, Any]]], list[dict[str, Any]]] = lambda job, rows: rows
    skip: frozenset[str] = frozenset()
    #: jobs that are not run again: they end as they did in an earlier run of the same commit
    known: Mapping[str, Job] = field(default_factory=dict)


@dataclass
class Work:
    """A job that is going on: its folders, and what its steps have said so far."""

    around: Around
    job: str
    workspace: Path
    temp: Path
    environ: dict[str, str]
    paths: list[str] = field(default_factory=list)

    def file(self, name: str) -> Path:
        """A fresh file for one of GitHub's channels."""
        descriptor, path = tempfile.mkstemp(dir=self.temp, prefix=name)
        os.close(descriptor)
        return Path(path)


def load(path: Path) -> dict[str, Any]:
    """A workflow or an action; the key ``on``, which YAML reads as true, gets its name back."""
    data = yaml.safe_load(path.read_text(encoding="utf-8"))
    if True in data:
        data["on"] = data.pop(True)
    return dict(data)


def run_workflow(
    path: Path, around: Around, inputs: Mapping[str, Any] | None = None
) -> dict[str, Job]:
    """Runs a workflow's jobs; each by its id, a called workflow's as ``caller/id``."""
    flow = load(path)
    given = dict(around.inputs if inputs is None else inputs)
    done: dict[str, Job] = {}
    waiting = dict(flow["jobs"])
    while waiting:
        ready = [name for name, job in waiting.items() if all(n in done for n in _needs(job))]
        assert ready, f"{path.name}: {sorted(waiting)} wait for each other"
        for name in ready:
            began = time.monotonic()
            done[name] = _run_job(path, flow, name, waiting.pop(name), around, given, done)
            ended = f"{done[name].result} after {time.monotonic() - began:.1f} s"
            print(f"{path.name}: {name}: {ended}", file=sys.stderr, flush=True)
    return done


def workflow_outputs(path: Path, around: Around, jobs: Mapping[str, Job]) -> dict[str, str]:
    """The outputs that a called workflow passes on."""
    flow = load(path)
    declared = (flow["on"].get("workflow_call") or {}).get("outputs") or {}
    contexts = {"jobs": {n: {"outputs": j.outputs, "result": j.result} for n, j in jobs.items()}}
    return {name: text(fill(one["value"], contexts, {})) for name, one in declared.items()}


def _needs(job: Mapping[str, Any]) -> list[str]:
    needs = job.get("needs", [])
    return [needs] if isinstance(needs, str) else list(needs)


def _run_job(
    path: Path,
    flow: Mapping[str, Any],
    name: str,
    job: Mapping[str, Any],
    around: Around,
    inputs: Mapping[str, Any],
    done: Mapping[str, Job],
) -> Job:
    needs = {one: {"result": done[one].result, "outputs": done[one].outputs} for one in _needs(job)}
    contexts: dict[str, Any] = {
        "github": dict(around.github),
        "inputs": dict(inputs),
        "vars": dict(around.variables),
        "secrets": dict(around.secrets),
        "needs": needs,
        "strategy": {},
        "runner": {"os": "Linux", "arch": "X64", "temp": ""},
    }
    results = {one["result"] for one in needs.values()}
    if not truthy(_condition(job.get("if"), contexts, _status(results))):
        return Job(name, "skipped")
    if name in around.skip:
        return Job(name, "success")
    if name in around.known:
        return around.known[name]
    if "uses" in job:
        return _call(path, name, job, around, contexts)
    rows = _rows(job, contexts)
    jobs = [
        _run_steps(name, flow, job, around, {**contexts, "matrix": row})
        for row in around.matrix(name, rows)
    ]
    merged = jobs[0]
    for other in jobs[1:]:
        merged.steps += other.steps
        merged.outputs.update(other.outputs)
        merged.summary += other.summary
        merged.result = other.result if merged.result == "success" else merged.result
    return merged


def _rows(job: Mapping[str, Any], contexts: Mapping[str, Any]) -> list[dict[str, Any]]:
    matrix = fill((job.get("strategy") or {}).get("matrix") or {}, contexts, {})
    rows: list[dict[str, Any]] = [{}]
    for key, values in matrix.items():
        if key == "include":
            rows = [*(rows if rows != [{}] else []), *values]
        elif key != "exclude":
            rows = [{**row, key: value} for row in rows for value in values]
    return rows


def _call(
    path: Path, name: str, job: Mapping[str, Any], around: Around, contexts: Mapping[str, Any]
) -> Job:
    called = path.parent / Path(job["uses"]).name
    given = fill(job.get("with") or {}, contexts, {})
    # a called workflow sees the caller's secrets only where they are passed on
    inherits = job.get("secrets") == "inherit"
    inner = around if inherits else Around(**{**vars(around), "secrets": {}})
    jobs = run_workflow(called, inner, given)
    bad = {one.result for one in jobs.values()} - {"success", "skipped"}
    whole = Job(name, "failure" if bad else "success")
    whole.outputs = workflow_outputs(called, inner, jobs)
    for one in jobs.values():
        whole.steps += one.steps
        whole.summary += one.summary
    return whole


def _status(results: set[str]) -> dict[str, Callable[[], bool]]:
    """The status functions of a job's ``if``, from the results of what it needs."""
    return {
        "success": lambda: results <= {"success"},
        "failure": lambda: "failure" in results,
        "always": lambda: True,
        "cancelled": lambda: False,
    }


def _condition(
    source: Any, contexts: Mapping[str, Any], functions: Mapping[str, Callable[..., Any]]
) -> Any:
    """An ``if:``; one that asks for no status means "and all went well"."""
    if source is None:
        return functions["success"]()
    if not isinstance(source, str):
        return source and functions["success"]()
    inner = source.strip()
    if inner.startswith("${{") and inner.endswith("}}"):
        inner = inner[3:-2]
    asks = any(f"{name}(" in inner for name in ("success", "failure", "always", "cancelled"))
    value = evaluate(inner, contexts, functions)
    return value if asks else truthy(value) and functions["success"]()


def _run_steps(
    name: str,
    flow: Mapping[str, Any],
    job: Mapping[str, Any],
    around: Around,
    contexts: dict[str, Any],
) -> Job:
    with tempfile.TemporaryDirectory(prefix="homeport-gh-") as folder:
        temp = Path(folder)
        workspace = around.workspace
        environment = fill(job.get("environment") or {}, {**contexts, "steps": {}}, {})
        label = environment if isinstance(environment, str) else environment.get("name", "")
        own = around.environments.get(text(label), {})
        contexts["vars"] = {**contexts["vars"], **own.get("vars", {})}
        contexts["secrets"] = {
            **contexts["secrets"],
            **own.get("secrets", {}),
            "GITHUB_TOKEN": _token(job, around),
        }
        contexts["runner"] = {**contexts["runner"], "temp": str(temp)}
        own_github = {"job": name, "workspace": str(workspace), "token": _token(job, around)}
        contexts["github"] = {**contexts["github"], **own_github}
        contexts["env"] = {
            key: text(value)
            for one in (flow.get("env"), job.get("env"))
            for key, value in fill(one or {}, contexts, {}).items()
        }
        work = Work(around, name, workspace, temp, dict(contexts["env"]))
        result = Job(name)
        contexts["steps"] = {}
        _walk(job["steps"], work, contexts, result)
        result.outputs = {
            key: text(value) for key, value in fill(job.get("outputs") or {}, contexts, {}).items()
        }
        if isinstance(job.get("environment"), dict):
            result.url = text(fill(job["environment"].get("url", ""), contexts, {}))
        return result


def _token(job: Mapping[str, Any], around: Around) -> str:
    """A job's token: it says in itself what it is good for, so that the played parts can refuse."""
    grants = (job.get("permissions") or {}).items()
    return around.github["token"] + ":" + ",".join(f"{name}={level}" for name, level in grants)


def _walk(
    steps: list[Mapping[str, Any]], work: Work, contexts: dict[str, Any], result: Job
) -> None:
    """Runs steps in order; after a failure only those whose ``if`` asks for it."""
    for number, step in enumerate(steps):
        known = {"success" if result.result == "success" else "failure"}
        name = str(step.get("name") or step.get("uses") or step.get("run"))
        if not truthy(_condition(step.get("if"), contexts, _status(known))):
            result.steps.append(Step(work.job, name, "skipped"))
            contexts["steps"][step.get("id", f"_{number}")] = {
                "outcome": "skipped",
                "conclusion": "skipped",
                "outputs": {},
            }
            continue
        made = _step(step, name, work, contexts, result)
        result.steps.append(made)
        passed = made.outcome == "success" or truthy(step.get("continue-on-error"))
        contexts["steps"][step.get("id", f"_{number}")] = {
            "outcome": made.outcome,
            "conclusion": "success" if passed else "failure",
            "outputs": made.outputs,
        }
        if not passed:
            result.result = "failure"


def _step(
    step: Mapping[str, Any], name: str, work: Work, contexts: dict[str, Any], result: Job
) -> Step:
    environ = {
        **work.environ,
        **{k: text(v) for k, v in fill(step.get("env") or {}, contexts, {}).items()},
    }
    inner = {**contexts, "env": environ}
    if "run" in step:
        line = work.around.replaced.get(str(step["run"]).strip(), str(step["run"]))
        folder = Path(text(fill(step.get("working-directory", "."), inner, {})))
        return _bash(line, name, work, inner, work.workspace / folder, result)
    filled = fill(step.get("with") or {}, inner, {})
    given = renamed({key: text(value) for key, value in filled.items()}, work.around)
    uses = str(step["uses"])
    if uses.startswith("./"):
        return _composite(work.workspace / uses, name, given, environ, work, inner, result)
    stand_in = work.around.actions[uses.partition("@")[0]]
    outputs = dict(stand_in(work, given))
    return Step(work.job, name, "success", "", outputs)


def _composite(
    folder: Path,
    name: str,
    given: Mapping[str, str],
    environ: Mapping[str, str],
    work: Work,
    contexts: Mapping[str, Any],
    result: Job,
) -> Step:
    """Runs a composite action of this repository from the workspace."""
    action = load(folder / "action.yml")
    declared = action.get("inputs") or {}
    unknown = set(given) - set(declared)
    assert not unknown, f"{folder.name} has no input {sorted(unknown)}"
    inputs = {
        key: given[key] if key in given else text(one.get("default", ""))
        for key, one in declared.items()
    }
    missing = [k for k, one in declared.items() if one.get("required") and not inputs[k]]
    assert not missing, f"{folder.name} needs {missing}"
    inner: dict[str, Any] = {
        **contexts,
        "inputs": inputs,
        "steps": {},
        "secrets": {},
        "github": {**contexts["github"], "action_path": str(folder.resolve())},
    }
    own = Work(work.around, work.job, work.workspace, work.temp, dict(environ), work.paths)
    part = Job(work.job)
    _walk(action["runs"]["steps"], own, inner, part)
    result.steps += part.steps
    result.summary += part.summary
    outputs = {
        key: text(fill(one["value"], inner, {}))
        for key, one in (action.get("outputs") or {}).items()
    }
    return Step(work.job, name, part.result, "", outputs)


def _bash(
    line: str, name: str, work: Work, contexts: Mapping[str, Any], folder: Path, result: Job
) -> Step:
    assert "${{" not in line, f"{name}: an expression inside a shell line: {line}"
    files = {one: work.file(one) for one in ("output", "env", "path", "step_summary")}
    github = contexts["github"]
    programs = [str(work.around.programs)] if work.around.programs else []
    environ = {
        "PATH": os.pathsep.join([*reversed(work.paths), *programs, os.environ["PATH"]]),
        "LANG": "C.UTF-8",
        **work.around.environ,
        **_variables(github, work),
        **renamed(contexts["env"], work.around),
        **{f"GITHUB_{one.upper()}": str(path) for one, path in files.items()},
    }
    done = subprocess.run(
        ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", line],
        cwd=folder,
        env=environ,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        timeout=LIMIT,
    )
    log = done.stdout.decode("utf-8", "replace")
    print(f"--- {work.job}: {line.strip()} → {done.returncode}\n{log}", file=sys.stderr, flush=True)
    work.environ.update(read_pairs(files["env"]))
    work.paths.extend(files["path"].read_text().split())
    result.summary += files["step_summary"].read_text()
    outcome = "success" if done.returncode == 0 else "failure"
    return Step(work.job, name, outcome, log, renamed(read_pairs(files["output"]), work.around))


def _variables(github: Mapping[str, Any], work: Work) -> dict[str, str]:
    """The variables that every step finds set."""
    names = "actor event_name job ref ref_name ref_type repository repository_owner run_attempt"
    names += " run_id run_number server_url sha workflow workspace api_url"
    return {
        "CI": "true",
        "GITHUB_ACTIONS": "true",
        "RUNNER_OS": "Linux",
        "RUNNER_ARCH": "X64",
        "RUNNER_TEMP": str(work.temp),
        **{f"GITHUB_{one.upper()}": text(github.get(one)) for one in names.split()},
    }


def renamed(values: Mapping[str, str], around: Around) -> dict[str, str]:
    """Values with every name replaced by what stands for it here."""
    made = dict(values)
    for old, new in around.renamed.items():
        made = {key: value.replace(old, new) for key, value in made.items()}
    return made


def read_pairs(path: Path) -> dict[str, str]:
    """``name=value`` and ``name<<MARK`` lines of a file that a step wrote."""
    found: dict[str, str] = {}
    lines = path.read_text(encoding="utf-8").splitlines()
    while lines:
        line = lines.pop(0)
        name, marked, mark = line.partition("<<")
        if marked and "=" not in name:
            end = lines.index(mark)
            found[name], lines = "\n".join(lines[:end]), lines[end + 1 :]
        elif "=" in line:
            name, _, value = line.partition("=")
            found[name] = value
    return found
