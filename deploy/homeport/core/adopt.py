"""What was on the host before, or is not there yet: the commands that make way or bring it."""

from __future__ import annotations

import shlex
from typing import Collection

from homeport.core.facts import Facts
from homeport.core.render import Rendered
from homeport.errors import Problem
from homeport.model import HostAddress, Settings

#: the host as it calls itself where it is this very machine
LOCAL = "local"


def on_host(host: HostAddress, command: str) -> str:
    """``command`` as it is typed here to run there, as the agent's user."""
    if host.address == LOCAL:
        return f"sudo -u {host.user} {command}"
    port = f"-p {host.port} " if host.port != 22 else ""
    return f"ssh {port}{host.user}@{host.address or 'HOST'} {command}"


def to_host(host: HostAddress, name: str, folder: str) -> str:
    """The command that copies a file or folder from here into a folder there."""
    if host.address == LOCAL:
        return f"sudo cp -r {shlex.quote(name)} {folder}/"
    port = f"-P {host.port} " if host.port != 22 else ""
    at = f"[{host.address}]" if ":" in host.address else host.address or "HOST"
    return f"scp -r {port}{shlex.quote(name)} {host.user}@{at}:{folder}/"


def strangers(settings: Settings, facts: Facts) -> list[Problem]:
    """A Compose project of the app's name, started by hand: the commands that take it over."""
    if not facts.strangers:
        return []
    app, host = settings.app, settings.host
    mend = on_host(host, f"docker compose -p {app} down") + "   (its volumes stay; Homeport uses"
    mend += " them from then on)"
    for source, target in sorted(facts.left_behind.items()):
        mend += f"\n        on the host: sudo cp -aT {shlex.quote(source)} {shlex.quote(target)}"
    why = f"containers: {', '.join(facts.strangers)}"
    return [Problem(f"a Compose project {app!r} runs already", "host", why, mend)]


def free(settings: Settings, port: int, holder: str) -> str:
    """What frees a port that ``holder`` has, as the facts name it."""
    other = "or set another [site] port"
    if not holder.startswith("container "):
        return f"on the host: sudo ss -ltnp 'sport = :{port}' shows which; stop it, {other}"
    name, _, project = holder.removeprefix("container ").partition(" of the Compose project ")
    if not project:
        return f"{on_host(settings.host, f'docker stop {name}')}, {other}"
    down = on_host(settings.host, f"docker compose -p {project} down")
    if project == settings.app:
        return down
    return (
        f"{down}, {other}; if that is this app, keep its data: its volumes are called"
        f" {project}_NAME, say so in the compose file (volumes: {{NAME: {{name: {project}_NAME}}}})"
    )


def ports(
    settings: Settings, rendered: Rendered, facts: Facts, site: Collection[int]
) -> list[Problem]:
    """Ports that a service besides the web one publishes and that are not to be had."""
    found, ours = [], {one.name for one in facts.containers}
    for port, name in sorted(rendered.published.items()):
        where = f"{settings.compose}: services.{name}.ports"
        holder = facts.host.listeners.get(port, "")
        mine = holder.startswith("container ") and holder.split()[1] in ours
        if port in site:
            why, mend = "the edge answers there for the app", "set another [site] port"
            found.append(Problem(f"port {port} is the site's own", where, why, mend))
        elif holder and not mine and not (name not in rendered.services and facts.shared_running):
            mend = free(settings, port, holder).replace("[site] port", f"port of {name}")
            found.append(Problem(f"port {port} of the host is taken", where, f"by {holder}", mend))
    return found


def absent(settings: Settings, rendered: Rendered, facts: Facts) -> list[Problem]:
    """What the compose file takes from the host and is not there."""
    host, folder = settings.host, f"/opt/{settings.app}"
    found = []
    for one in rendered.needed:
        if one.path in facts.missing:
            mend = f"on the host: put the file there, or for a folder: sudo mkdir -p {one.path}"
            mend += " and chown it to whom the container runs as"
            if one.copy:
                mend = to_host(host, one.copy, folder)
            why = "the compose file is sent, and nothing that lies beside it"
            if one.where.endswith("volumes"):
                why = "Docker would make an empty folder there"
            found.append(Problem(f"{one.path} is not on the host", one.where, why, mend))
    for kind, tables, have in (
        ("network", rendered.networks, facts.networks),
        ("volume", rendered.volumes, facts.volumes),
    ):
        for name in sorted(set(tables) - have):
            if tables[name].get("external"):
                what, where = f"the {kind} {name} does not exist", f"{settings.compose}: {kind}s"
                mend = on_host(host, f"docker {kind} create {name}")
                found.append(Problem(what, where, "it is external: true", mend))
    return found
