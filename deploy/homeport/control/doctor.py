"""``homeport doctor``: what is wrong here, on the way and on the host, as far as can be seen."""

from __future__ import annotations

import socket
import sys
import time
from dataclasses import asdict
from pathlib import Path

from homeport.control import images, keys, report, survey
from homeport.control.context import LOCAL, Context, print_json
from homeport.control.line import Lost
from homeport.control.reading import show_line
from homeport.control.session import Session
from homeport.core.doctor import CONNECTION, HERE, needs_a_person
from homeport.core.finding import Finding, Said, bad, ok, problems, unknown, warn
from homeport.errors import (
    ComposeError,
    HomeportError,
    HostKeyChanged,
    HostKeyUnknown,
    LoginRefused,
    NeedsMending,
    NotSetUp,
    SettingsError,
    from_wire,
)
from homeport.model import HostAddress

_HOST = "the host"
#: the check that an error of the connection belongs to
_CHECKS: dict[type[HomeportError], str] = {
    LoginRefused: "login",
    HostKeyUnknown: "host-key",
    HostKeyChanged: "host-key",
    NotSetUp: "set-up",
}


def run(context: Context) -> int:
    """Shows every finding; the code of NeedsMending where one of them is a problem."""
    found = [*here(context), *there(context)]
    if context.json:
        print_json([asdict(one) for one in found])
    else:
        show_line(report.doctor(found))
    return NeedsMending.code if needs_a_person(found) else 0


def _as(name: str, group: str, said: list[Said]) -> list[Finding]:
    return [Finding(name, group, one.state, one.what, one.why, one.mend) for one in said]


# --- this machine
def here(context: Context) -> list[Finding]:
    """The checks that need no host."""
    found = []
    try:
        said = [ok(f"{context.settings_path.name}: the app {context.settings.app}")]
    except SettingsError as error:
        said = problems(error.problems, "", f"correct it in {context.settings_path}")
    found += _as("settings", HERE, said)
    if said[0].state == "ok":
        found += _as("compose-here", HERE, _compose(context))
    found += _as("docker-here", HERE, _docker())
    return found + _as("key", HERE, _key())


def _compose(context: Context) -> list[Said]:
    """The compose file and the image it names, as this machine's Compose reads them."""
    path = context.compose_path
    try:
        data = images.read_compose(path, interpolate=False)
    except ComposeError as error:
        shown = f"docker compose -f {path} config   (shows the same)"
        return [
            bad(f"{path.name}: {one.what}", one.why or "nothing can be shipped", one.mend or shown)
            for one in error.problems
        ]
    except HomeportError as error:
        return [warn(one.what, one.why, one.mend) for one in error.problems]
    service = context.settings.web.service
    if service not in (data.get("services") or {}):
        why = f"it has {', '.join(sorted(data.get('services') or {})) or 'none'}"
        return [bad(f"{path.name} has no service {service!r}", why, "[web] service = … names one")]
    try:
        name = images.of_compose(path, context.settings, local=True)
    except HomeportError as error:
        why = error.problems[0].why or "homeport deploy alone cannot tell which image is meant"
        return [warn(f"{path.name} names no image here", why, "homeport deploy IMAGE")]
    return [ok(f"{path.name}: {service} runs {name}")]


def _docker() -> list[Said]:
    version = images.engine_here()
    if version:
        return [ok(f"Docker {version} here: --from-local can send an image")]
    why = "homeport deploy --from-local sends an image of this machine's Docker"
    mend = "open -a Docker" if sys.platform == "darwin" else "sudo systemctl start docker"
    return [warn("Docker does not answer here", why, mend)]


def _key() -> list[Said]:
    try:
        named = keys.file()
    except LoginRefused as error:
        return problems(error.problems, "")
    if named is None and keys.given():
        return [ok(f"a key's own text is in {keys.VARIABLE}")]
    folder = Path("~/.ssh").expanduser()
    found = [named] if named else [one for one in sorted(folder.glob("id_*")) if not one.suffix]
    loose = [one for one in found if one.stat().st_mode & 0o077]
    if loose:
        why = "whoever reads it can deploy in your name"
        return [warn(f"{one} can be read by others", why, f"chmod 600 {one}") for one in loose]
    if found:
        return [ok(f"only you can read {', '.join(str(one) for one in found)}")]
    return [ok("no key file in ~/.ssh: an agent or a password is used")]


# --- the connection, and the host itself
def there(context: Context) -> list[Finding]:
    """The connection's checks, and the host's own findings where it can be asked."""
    try:
        app, host = context.settings.app, context.host
    except SettingsError:
        why = "homeport.toml must be mended first"
        return _as("reach", CONNECTION, [unknown("the host was not asked", why)])
    except HomeportError as error:
        return _as("reach", CONNECTION, problems(error.problems, ""))
    found = _as("host-key", CONNECTION, _pinned(host))
    try:
        text = context.compose_text
    except ComposeError:
        text = ""  # told above
    try:
        asked = _ask(context, text)
    except HomeportError as error:
        return [*found, *_failed(error, context, app)]
    place = f"{host.user}@{host.address}" if host.address != LOCAL else "this machine"
    found += _as("login", CONNECTION, [ok(f"{place} lets us in")])
    site = context.settings.site
    for name in (site.name, *site.also):
        found += _as("name", CONNECTION, _name(name, host)) if name else []
    return found + asked


def _ask(context: Context, compose: str) -> list[Finding]:
    """What the host's agent finds; raises HomeportError where it cannot be asked."""
    found: list[Finding] = []
    request = context.request("doctor", compose=compose, at=time.time())
    for event in Session(request, context.open_line):
        if event["e"] == "data":
            found = [Finding(**one) for one in event.get("data") or ()]
        elif event["e"] == "verdict" and event.get("code"):
            raise from_wire(event)
    return found


def _failed(error: HomeportError, context: Context, app: str) -> list[Finding]:
    """Why the host could not be asked; one that was reached and not set up is looked at anyway."""
    name = _CHECKS.get(type(error), "reach")
    found = _as(name, CONNECTION, problems(error.problems, ""))
    rest: list[Said] = [unknown("nothing was looked at there", "it could not be asked")]
    if isinstance(error, NotSetUp):
        try:
            line = context.open_line()
            try:
                rest = problems(survey.look(line, app).problems("host"), "it can be set up")
            finally:
                line.close()
        except (HomeportError, Lost):
            rest = [unknown("what is there", "the connection was lost")]
    return found + _as("host", _HOST, rest)


def _pinned(host: HostAddress) -> list[Said]:
    if host.address == LOCAL:
        return []
    from homeport.control import ssh

    try:
        if ssh.pinned(host):
            return [ok(f"the key of {host.address} is pinned")]
    except HomeportError as error:
        return problems(error.problems, "", f"homeport setup --host USER@{host.address}")
    why = "without it another machine could pass for the host"
    mend = f"homeport setup --host USER@{host.address}"
    return [bad(f"no key of {host.address} is pinned", why, mend)]


def _name(name: str, host: HostAddress) -> list[Said]:
    """Whether the site's name leads to the host: behind a router or a tunnel it need not."""
    ours, theirs = _addresses(host.address), _addresses(name)
    if theirs & ours or (theirs and host.address == LOCAL):
        return [ok(f"{name} leads to the host")]
    mend = f"a DNS record of {name} with the address that people reach the host by"
    if not theirs:
        return [warn(f"the name {name} leads nowhere", "nobody finds the app", mend)]
    why = f"it leads to {', '.join(sorted(theirs))}; right only if a router or tunnel is there"
    return [warn(f"{name} does not lead to {host.address}", why, mend)]


def _addresses(name: str) -> set[str]:
    try:
        return {str(one[4][0]) for one in socket.getaddrinfo(name, None)}
    except (OSError, UnicodeError):
        return set()
