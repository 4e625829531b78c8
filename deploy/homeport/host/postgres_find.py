"""Which container is the app's database server: found by the host that the app's URL names."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Mapping

from homeport.core import envfile, postgres, service
from homeport.core.oneshot import LABEL
from homeport.core.postgres import Address
from homeport.errors import HostFault, Problem, Refused
from homeport.host import compose, look
from homeport.host.context import Context
from homeport.model import Release


class Elsewhere(Refused):
    """The database is on a server that is none of the compose file's services."""

    meaning = "the database is not a service of the compose file"


@dataclass(frozen=True)
class Server:
    """The container of the database server, and how a container of ours gets to it.

    ``mount`` is the folder with its socket, source and target, where it is reached by one.
    """

    service: str
    container: str
    image: str
    network: str
    superuser: str
    address: Address
    mount: tuple[str, str] = ("", "")


def variable(release: Release) -> str:
    """The name of the variable that holds the database's URL; "" where there is none."""
    backup = release.settings.backup
    return backup.postgres if backup else ""


def address(ctx: Context, release: Release) -> Address:
    """The database that the release uses; raises Refused where its variable does not tell."""
    name = variable(release)
    where = f"/opt/{ctx.paths.app}/app.env"
    value = environment(ctx, release).get(name, "")
    if not value:
        what = f"{name} has no value"
        mend = f"add a line {name}=postgresql://… there, or name another variable"
        raise Refused(Problem(what, where, "[backup] postgres names it", mend))
    try:
        return postgres.parse(value)
    except ValueError as error:
        mend = f"{name}=postgresql://user:password@host:5432/name"
        raise Refused(Problem(f"{name} {error}", where, "", mend)) from error


def environment(ctx: Context, release: Release) -> dict[str, str]:
    """The variables of the release's web service, from Compose where they refer to others."""
    one = compose.project(ctx.paths, release)["services"][release.web]
    files = [entry.get("path") for entry in one.get("env_file") or []]
    own = str(ctx.store.env_file(release))
    text = look.text(ctx.store.env_file(release), strip=False) if files == [own] else ""
    found = {**dict(envfile.values(text)), **service.as_map(one.get("environment"))}
    plain = all(value is not None and not set("$\\") & set(str(value)) for value in found.values())
    if plain and files in ([], [own]):
        return {name: str(value) for name, value in found.items()}
    return compose.environment(ctx.paths, release, release.web)


def server(ctx: Context, release: Release) -> Server:
    """The database server of the release; raises Elsewhere where it is no service of the app's."""
    found = address(ctx, release)
    mine = ctx.engine.containers(f"{look.APP}={ctx.paths.app}")
    project = compose.project(ctx.paths, release)
    for one in sorted(mine, key=lambda one: str(one["Names"])):
        labels = one.get("Labels") or {}
        if look.slot_of(one) or LABEL in labels or not labels.get(look.SERVICE):
            continue
        seen = ctx.engine.inspect(one["Id"]) or {}
        match = _match(seen, str(labels[look.SERVICE]), found, project, release)
        if match is not None:
            return match
    what = f"{variable(release)} names the host {found.host}, which is no service of its own"
    why = f"no service labelled homeport.shared is called so in the compose file of {ctx.paths.app}"
    mend = "back it up where it runs, and leave [backup] postgres out; or name the service there"
    raise Elsewhere(Problem(what, "homeport.toml: [backup] postgres", why, mend))


def _match(
    seen: Mapping[str, Any],
    name: str,
    found: Address,
    project: Mapping[str, Any],
    release: Release,
) -> Server | None:
    """A container as the server, if the URL's host means it."""
    networks = (seen.get("NetworkSettings") or {}).get("Networks") or {}
    mine = _networks(project, release)
    base = (name, str(seen.get("Id", "")), str(seen.get("Image", "")))
    env = dict(one.partition("=")[::2] for one in (seen.get("Config") or {}).get("Env") or ())
    root = str(env.get("POSTGRES_USER") or "postgres")
    if found.socket:
        mount = _socket(seen, found.host, project, release)
        network = next(iter(sorted(networks)), "none")
        return Server(*base, network, root, found, mount) if mount else None
    own = str(seen.get("Name", "")).lstrip("/")
    fitting = [
        one
        for one, how in networks.items()
        if found.host in (name, own, *((how or {}).get("Aliases") or ()))
    ]
    fitting.sort(key=lambda one: (one not in mine, one))
    return Server(*base, fitting[0], root, found) if fitting else None


def _networks(project: Mapping[str, Any], release: Release) -> set[str]:
    """The real names of the networks that the web service is in."""
    known = project.get("networks") or {}
    keys = (project["services"][release.web].get("networks") or {}).keys()
    return {str((known.get(key) or {}).get("name") or key) for key in keys}


def _socket(
    seen: Mapping[str, Any], folder: str, project: Mapping[str, Any], release: Release
) -> tuple[str, str] | None:
    """What holds the socket on the host, where web service and server both mount it."""
    theirs = {str(one.get("Name") or one.get("Source")) for one in seen.get("Mounts") or []}
    volumes = project.get("volumes") or {}
    for mount in service.mounts(project["services"][release.web]):
        source, target = str(mount.get("source", "")), str(mount.get("target", "")).rstrip("/")
        source = str((volumes.get(source) or {}).get("name") or source)
        if source in theirs and (folder == target or folder.startswith(target + "/")):
            return source, target
    return None


def absent(ctx: Context, found: Server, program: str) -> HostFault:
    """The server's image has not the programs that PostgreSQL's own has."""
    what = f"the image of {found.service} has no {program}"
    why = "what the URL names must be PostgreSQL itself, not something in front of it"
    mend = f"docker run --rm --entrypoint {program} {found.image[:19]} --version"
    return HostFault(Problem(what, f"compose file: services.{found.service}", why, mend))
