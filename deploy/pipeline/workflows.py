"""What must hold of every workflow: rules over its YAML, each of which names the breaches."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

DEPLOY = "./.github/actions/deploy"
PUBLISH = "./.github/actions/publish"
#: a key that is worth little: it asks a service about public packages; see ci.yml
SECRETS_ANYWHERE = {"SAFETY_API_KEY"}
SCANNERS = {"audit", "secrets", "scan", "lint"}
FOREIGN_TRIGGERS = {"workflow_run", "pull_request_target"}
USES = re.compile(r"^\s+(?:- )?uses:\s*([^\s#]+)(?:\s+#\s*(\S+))?", re.MULTILINE)
#: exec, or what a cancelled job is sent would reach the shell and not homeport
SHIPS = r"exec homeport (deploy|rollback)\b.*"
RUN = re.compile(rf"(make(?: -C \"\$ROOT\")? (?P<verb>[a-z][a-z-]*)|{SHIPS})")
#: inputs without which these actions keep something between runs
CACHES = {"docker/setup-qemu-action": "cache-image", "docker/setup-buildx-action": "cache-binary"}


@dataclass(frozen=True)
class File:
    """A workflow or a composite action, as text and as YAML (whose key ``on`` reads True).

    ``actions`` are the inputs and outputs of the actions that may be used, ``verbs`` those of make.
    """

    name: str
    text: str
    data: Mapping[Any, Any]
    actions: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    verbs: frozenset[str] = frozenset()

    @property
    def jobs(self) -> Mapping[str, Mapping[str, Any]]:
        """Its jobs; an action has one, without a name."""
        if "runs" in self.data:
            return {"": {"steps": self.data["runs"].get("steps", [])}}
        return dict(self.data.get("jobs", {}))

    @property
    def is_action(self) -> bool:
        """Whether it is a composite action."""
        return "runs" in self.data

    def steps(self) -> Iterator[tuple[str, Mapping[str, Any]]]:
        """Every step with its job's name."""
        for name, job in self.jobs.items():
            for step in job.get("steps", []):
                yield name, step


def pins(file: File) -> list[str]:
    """Every action is pinned to the commit that we know, with its release as a comment."""
    bad = []
    for used, comment in USES.findall(file.text):
        if used.startswith("./"):
            continue
        name, _, commit = used.partition("@")
        known = file.actions.get(name)
        if known is None:
            bad.append(f"{used}: not among the known actions")
        elif commit != known["commit"]:
            bad.append(f"{used}: not pinned to {known['commit']}")
        elif comment != known["version"]:
            bad.append(f"{used}: its comment is {comment or 'missing'}, not {known['version']}")
    return bad


def inputs(file: File) -> list[str]:
    """What is given to an action, and taken from one, is there in that action."""
    bad = []
    given: dict[str, Mapping[str, Any]] = {}
    for job, step in file.steps():
        known = file.actions.get(str(step.get("uses", "")).partition("@")[0])
        if known is None:
            continue
        if "id" in step:
            given[step["id"]] = known
        bad += [
            f"{job}: {step['uses']} has no input {name}"
            for name in step.get("with", {})
            if name not in known["inputs"]
        ]
    for step_id, name in re.findall(r"steps\.([\w-]+)\.outputs\.([\w-]+)", file.text):
        if step_id in given and name not in given[step_id]["outputs"]:
            bad.append(f"{step_id} has no output {name}")
    return bad


def permissions(file: File) -> list[str]:
    """Nothing is granted at the top, and every grant of a job's has its reason beside it."""
    if file.is_action:
        return []
    bad = [] if file.data.get("permissions") == {} else ["the top grants something: say {}"]
    for name, job in file.jobs.items():
        granted = job.get("permissions")
        if not isinstance(granted, Mapping):
            bad.append(f"{name}: grants are not listed one by one")
    for line in file.text.splitlines():
        grant = re.match(r"\s+(permissions: \{ *)?[a-z-]+: (read|write)\b", line)
        if grant and "#" not in line:
            bad.append(f"no reason beside {line.strip()}")
    return bad


def bounded(file: File) -> list[str]:
    """Every job has a name, and ends by itself where it hangs."""
    bad = [] if file.data.get("name") else ["it has no name"]
    for name, job in {} if file.is_action else file.jobs.items():
        if not job.get("name"):
            bad.append(f"{name}: no name")
        if "uses" not in job and not isinstance(job.get("timeout-minutes"), int):
            bad.append(f"{name}: no timeout")
    return bad


def commands(file: File) -> list[str]:
    """Every `run:` is one line of make or homeport, without anything put into it by GitHub."""
    bad = []
    for job, step in file.steps():
        if "run" not in step:
            continue
        line = str(step["run"])
        found = RUN.fullmatch(line)
        if "${{" in line:
            bad.append(f"{job}: ${{{{ }}}} inside run: {line}")
        elif not found:
            bad.append(f"{job}: neither make nor homeport: {line}")
        elif found["verb"] and found["verb"] not in file.verbs:
            bad.append(f"{job}: make has no verb {found['verb']}")
    return bad


def credentials(file: File) -> list[str]:
    """No checkout leaves the job's token behind in its folder."""
    return [
        f"{job}: checkout keeps its credentials"
        for job, step in file.steps()
        if str(step.get("uses", "")).startswith("actions/checkout@")
        and step.get("with", {}).get("persist-credentials") is not False
    ]


def triggers(file: File) -> list[str]:
    """Nothing that carries our secrets into a run that a stranger began."""
    on = file.data.get(True, file.data.get("on", {}))
    names = {on} if isinstance(on, str) else set(on or ())
    return sorted(f"begins by {name}" for name in names & FOREIGN_TRIGGERS)


def secrets(file: File) -> list[str]:
    """Secrets are for jobs with an environment, which can be guarded; and never all of them."""
    bad = []
    if re.search(r"secrets: *inherit|toJSON\( *secrets", file.text):
        bad.append("every secret at once")
    for name, job in file.jobs.items():
        wanted = set(re.findall(r"\bsecrets\.(\w+)", str(dict(job))))
        wanted -= {*SECRETS_ANYWHERE, "GITHUB_TOKEN"}
        if wanted and not job.get("environment"):
            bad.append(f"{name}: {', '.join(sorted(wanted))} without an environment")
    return bad


def clean_rooms(file: File) -> list[str]:
    """Where something is built to ship, published or deployed: no cache, and no scanner."""
    bad = []
    for name, job in file.jobs.items():
        steps = job.get("steps", [])
        runs = {str(step.get("run", "")).split(" ")[-1] for step in steps}
        used = [str(step.get("uses", "")).partition("@")[0] for step in steps]
        ships = runs & {"image", "publish", "mark", "release"} or {DEPLOY, PUBLISH} & set(used)
        if not (ships or file.is_action):
            continue
        bad += [f"{name}: runs the scanner {one}" for one in sorted(runs & SCANNERS)]
        for step in steps:
            action = str(step.get("uses", "")).partition("@")[0]
            options = step.get("with", {})
            if action == "actions/cache" or options.get("cache"):
                bad.append(f"{name}: {action} keeps a cache")
            if action in CACHES and options.get(CACHES[action]) is not False:
                bad.append(f"{name}: {action} without {CACHES[action]}: false")
    return bad


def queue(file: File) -> list[str]:
    """Deploys and rollbacks of one environment wait for each other, and are never cancelled."""
    bad = []
    for name, job in file.jobs.items():
        if not any(step.get("uses") == DEPLOY for step in job.get("steps", [])):
            continue
        where = job.get("environment", {})
        where = where.get("name") if isinstance(where, Mapping) else where
        wanted = {"group": f"homeport-{where}", "cancel-in-progress": False, "queue": "max"}
        if job.get("concurrency") != wanted:
            bad.append(f"{name}: its concurrency is {job.get('concurrency')}, not {wanted}")
    top = file.data.get("concurrency", {})
    ships = {DEPLOY, PUBLISH} & {str(step.get("uses")) for _, step in file.steps()}
    if ships and not file.is_action and top.get("cancel-in-progress") is not False:
        bad.append("a later run cancels this one")
    return bad


def order(file: File) -> list[str]:
    """A deploy needs publish, which needs ci; what they ship is the digest that ci put out."""
    bad = []
    for name, job in file.jobs.items():
        needs = job.get("needs", [])
        needs = [needs] if isinstance(needs, str) else needs
        for step in job.get("steps", []):
            given = step.get("with", {})
            if step.get("uses") == PUBLISH:
                bad += [] if "ci" in needs else [f"{name}: does not need ci"]
                if given.get("digest") != "${{ needs.ci.outputs.digest }}":
                    bad.append(f"{name}: publishes another digest than ci's")
            if step.get("uses") == DEPLOY and given.get("verb", "deploy") == "deploy":
                bad += [
                    f"{name}: does not need {one}" for one in ("ci", "publish") if one not in needs
                ]
                if not str(given.get("image", "")).endswith("@${{ needs.ci.outputs.digest }}"):
                    bad.append(f"{name}: deploys another image than ci's digest")
    return bad


def gate(file: File) -> list[str]:
    """The job that is required of a pull request looks at every other job, whatever their end."""
    if "pull_request" not in (file.data.get(True) or {}):
        return []
    job = file.jobs.get("success", {})
    bad = [] if job.get("if") == "always()" else ["success: does not run where a job failed"]
    left = sorted(set(file.jobs) - {"success"} - set(job.get("needs", [])))
    return bad + [f"success: does not look at {name}" for name in left]


def short(file: File) -> list[str]:
    """A workflow is read in one go."""
    lines = file.text.count("\n")
    return [] if file.is_action or lines < 150 else [f"{lines} lines"]


RULES: tuple[Callable[[File], list[str]], ...] = (
    pins,
    inputs,
    permissions,
    bounded,
    commands,
    credentials,
    triggers,
    secrets,
    clean_rooms,
    queue,
    order,
    gate,
    short,
)
