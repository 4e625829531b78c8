"""Judgements about what setup left on the host, about Docker, and about the edge."""

from __future__ import annotations

from typing import Iterable

from homeport.core import edge as edges
from homeport.core import policy
from homeport.core.checkup import Checkup
from homeport.core.finding import Judge, Said, bad, cautioned, ok, problems, unknown, warn
from homeport.core.words import SETUP

USER, APPLY = "homeport", "homeport edge apply"
#: the edge renews a certificate of an ACME server a month before its end; in seconds
_SOON = 14 * 86400.0


def _user(seen: Checkup) -> Iterable[Said]:
    setup = seen.setup
    if setup.user not in (USER, ""):
        why = "the app's files would belong to somebody else"
        yield warn(f"deploys run as {setup.user}, not as {USER}", why, SETUP)
    if setup.user == "root" or "docker" in setup.groups:
        yield ok(f"{setup.user} may use Docker")
        return
    what = f"{setup.user or USER} is not in the group docker"
    yield bad(what, "it cannot start containers", f"sudo usermod -aG docker {setup.user or USER}")


def _hook(seen: Checkup) -> Iterable[Said]:
    for one in cautioned(seen, "boot-hook"):
        yield bad(one.what, one.why, one.mend)
        return
    if seen.setup.hook_runs:
        yield ok(f"the boot hook is in place ({seen.facts.host.boot_hook})")
    elif seen.setup.hook_runs is None:
        yield unknown("whether the boot hook runs")
    else:
        what, mend = "the boot hook is installed and will not run", SETUP
        if seen.setup.systemd:
            mend = "sudo systemctl enable homeport-boot.service"
        yield bad(what, "after a power cut nothing mends itself", mend)


def _linger(seen: Checkup) -> Iterable[Said]:
    if seen.setup.lingers is None:
        return
    if seen.setup.lingers:
        yield ok("a deploy outlives its connection")
        return
    why = "a lost connection may end a deploy half way"
    yield bad(f"lingering is off for {USER}", why, f"sudo loginctl enable-linger {USER}")


def _docker_at_boot(seen: Checkup) -> Iterable[Said]:
    if seen.setup.docker_at_boot is None:
        return
    if seen.setup.docker_at_boot:
        yield ok("Docker starts at boot")
        return
    why = "after a power cut no app comes back"
    yield bad("Docker does not start at boot", why, "sudo systemctl enable docker")


def _folders(seen: Checkup) -> Iterable[Said]:
    setup, found = seen.setup, []
    for one in setup.folders:
        if not one.owner:
            found.append(bad(f"{one.path} is missing", "setup makes it", SETUP))
        elif one.owner != setup.user:
            mend = f"sudo chown {setup.user}:{setup.user} {one.path}"
            what = f"{one.path} belongs to {one.owner}"
            found.append(bad(what, f"{setup.user} must be able to write there", mend))
        elif one.mode & 0o022:
            what = f"{one.path} can be changed by others (mode {one.mode:o})"
            mend = f"sudo chmod go-w {one.path}"
            found.append(bad(what, "whoever changes it decides what runs", mend))
    yield from found or [ok("the folders are the right user's")]


def _secrets(seen: Checkup) -> Iterable[Said]:
    open_ = [one for one in seen.setup.secrets if one.owner and one.mode & 0o077]
    for one in open_:
        what = f"{one.path} can be read by others (mode {one.mode:o})"
        yield bad(what, "it holds the app's secrets", f"sudo chmod 600 {one.path}")
    if not open_:
        yield ok("only their owner can read the files with secrets")


def _docker(seen: Checkup) -> Iterable[Said]:
    docker = seen.docker
    if docker.fault:
        yield bad(docker.fault, "without it nothing is served or deployed", docker.mend)
        return
    well = f"Docker {seen.facts.host.docker}, {docker.storage}, cgroup {docker.cgroup}"
    yield from problems(policy.old_docker(seen.facts), well)


def _compose(seen: Checkup) -> Iterable[Said]:
    well = f"Compose {seen.facts.host.compose}"
    yield from problems(policy.old_compose(seen.facts), well)


def _storage(seen: Checkup) -> Iterable[Said]:
    if seen.docker.storage == "vfs":
        why = "every layer is copied whole: deploys are slow and fill the disk"
        mend = "https://docs.docker.com/engine/storage/drivers/select-storage-driver/"
        yield warn("Docker keeps its images with the driver vfs", why, mend)


def _logs(seen: Checkup) -> Iterable[Said]:
    if seen.docker.fault:
        return
    names = seen.docker.unbounded
    if not names:
        yield ok("the containers' logs are bounded")
        return
    what = f"the log of {', '.join(names)} grows for ever"
    mend = "in the compose file: logging: {driver: local, options: {max-size: 10m}}, then deploy"
    yield warn(what, "the driver json-file keeps every line until the disk is full", mend)


def _edge(seen: Checkup) -> Iterable[Said]:
    facts, edge = seen.facts, seen.facts.edge
    if seen.docker.fault:
        yield unknown("whether the edge runs", "Docker does not answer")
    elif facts.committed is None and not edge.exists:
        yield ok("no edge yet: the first deploy brings it")
    elif facts.committed and facts.app not in edge.sites:
        what = f"the edge does not know {facts.app}"
        yield bad(what, "its list of sites does not name it", APPLY)
    elif not edge.running:
        what = "the edge does not run" if edge.exists else "the edge is gone"
        yield bad(what, "nobody reaches the app", APPLY)
    else:
        yield from _edge_runs(seen)


def _edge_runs(seen: Checkup) -> Iterable[Said]:
    facts, edge = seen.facts, seen.facts.edge
    told = edges.wanted(edge, facts.app, edge.sites.get(facts.app))
    if told.change:
        yield bad(told.cause, "it is not as it was left: people may not reach the app", APPLY)
    yield from cautioned(seen, "edge")
    ports = ", ".join(str(port) for port in edge.ports) or "none"
    yield from problems(
        policy.old_edge(facts), f"the edge runs: Caddy {edge.version}, ports {ports}"
    )
    newer = edges.upgraded(edge)
    if newer.change and edge.pinned:
        yield warn(newer.cause, "what was mended since is not in it", "homeport edge upgrade")


def _certificates(seen: Checkup) -> Iterable[Said]:
    logs = "docker logs --tail 50 homeport-edge"
    for name, ends in sorted(seen.certificates.items()):
        left = (ends or 0.0) - seen.facts.now
        why = "browsers refuse the site; the edge says why it got none"
        if ends is None:
            yield warn(f"there is no certificate for {name} yet", why, logs)
        elif left < 0:
            yield bad(f"the certificate for {name} has ended", why, logs)
        # those of the edge's own authority live for half a day only, and are always made anew
        elif left < _SOON and seen.settings and seen.settings.site.tls == "acme":
            what = f"the certificate for {name} ends in {left / 86400:.0f} days"
            yield warn(what, "the edge renews it a month before, so something keeps it", logs)
        else:
            yield ok(f"the certificate for {name} is good")


def _maintenance(seen: Checkup) -> Iterable[Said]:
    page = seen.facts.maintenance
    if page:
        why = f"put up by {page.who or 'somebody'}: {page.why or 'no reason was given'}"
        yield warn("everybody gets the maintenance page", why, "homeport maintenance off")


def _ports(seen: Checkup) -> Iterable[Said]:
    if seen.settings and not seen.docker.fault:
        ports = " and ".join(map(str, edges.ports_of(edges.site_of(seen.settings, ""))))
        well = f"port {ports} is ours or free"
        yield from problems(policy.taken(seen.settings, seen.facts), well)


HOST: tuple[tuple[str, Judge], ...] = (
    ("docker-group", _user),
    ("boot-hook", _hook),
    ("lingering", _linger),
    ("docker-at-boot", _docker_at_boot),
    ("folders", _folders),
    ("secret-files", _secrets),
)
DOCKER: tuple[tuple[str, Judge], ...] = (
    ("docker", _docker),
    ("compose", _compose),
    ("storage-driver", _storage),
    ("log-rotation", _logs),
)
EDGE: tuple[tuple[str, Judge], ...] = (
    ("edge", _edge),
    ("ports", _ports),
    ("certificates", _certificates),
    ("maintenance", _maintenance),
)
