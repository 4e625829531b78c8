"""``homeport init``: writes homeport.toml from a compose file, and asks for what it cannot know."""

from __future__ import annotations

import json
import re
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Mapping
from urllib.parse import urlsplit

from homeport.control import images, settings
from homeport.control.context import Context, parse_host
from homeport.core.service import as_map, writable
from homeport.errors import ComposeError, UsageError
from homeport.model import APP_NAME, SHARED_LABEL, HostAddress

#: the compose files that are looked for, the likeliest for production first
FILES = (
    "docker-compose.prod.yml",
    "compose.prod.yaml",
    "compose.prod.yml",
    "compose.yaml",
    "compose.yml",
    "docker-compose.yml",
    "docker-compose.yaml",
)
#: images that are somebody else's and hold data or route: they outlive releases
SHARED = re.compile(
    r"(?:^|/)(postgres|postgis|mariadb|mysql|mongo|redis|valkey|memcached|rabbitmq|nats|minio|"
    r"nginx|caddy|traefik|haproxy|cloudflared|pgvector|timescaledb|mosquitto|influxdb)(?:[:@/]|$)"
)


DATABASE = re.compile(r"postgres(?:ql)?(?:\+\w+)?://")
#: when nobody is likely to notice a busy disk
NIGHT = "03:30"


@dataclass(frozen=True)
class Draft:
    """What homeport.toml will say."""

    app: str
    compose: str
    host: HostAddress
    service: str
    port: int | None
    ready: str
    site_port: int | None
    #: whether it has data of its own, and the variable with the address of its PostgreSQL database
    data: bool = False
    postgres: str = ""

    def text(self) -> str:
        """The file, with the settings people change most beside it as comments."""
        lines = [
            "# What Compose has no word for. Every key: homeport.example.toml",
            f"app = {quote(self.app)}",
            f"compose = {quote(self.compose)}",
            "",
            "[host]",
            f"address = {quote(self.host.address)}",
        ]
        if self.host.port != 22:
            lines.append(f"port = {self.host.port}")
        lines += ["", "[web]", f"service = {quote(self.service)}"]
        if self.port is not None:
            lines.append(f"port = {self.port}")
        lines += [f"ready = {quote(self.ready)}", "", "[site]"]
        lines.append(f"port = {self.site_port or 80}")
        if self.data or self.postgres:
            lines += [
                "",
                "# A copy that was restored and looked at, before deploys and every night.",
            ]
            lines += ["[backup]", f"schedule = {quote(NIGHT)}"]
        if self.postgres:
            lines.append(f"postgres = {quote(self.postgres)}")
        return "\n".join(lines) + "\n"


def run(context: Context) -> int:
    """Writes the file; never over one that is there without asking."""
    path = context.settings_path
    if path.exists() and not context.ask(f"{path} is there already. Write over it?"):
        print("Nothing was written.", file=sys.stderr)
        return 0
    compose = find_compose(path.parent)
    data = images.read_compose(path.parent / compose)
    services = data.get("services") or {}
    asker = Asker(context.yes)
    service = choose_web(services, asker)
    draft = draft_from(data, compose, service, choose_host(context, asker), path.parent)
    ready = asker.text("Path that answers 200 when the app is ready", draft.ready)
    draft = Draft(**{**vars(draft), "ready": ready})
    text = draft.text()
    settings.parse(text, path.name)  # what we write must be what we accept
    path.write_text(text, encoding="utf-8")
    print(f"Wrote {path}.", file=sys.stderr)
    for line in advice(services, service):
        print(line, file=sys.stderr)
    # the user of setup is one who may use sudo, not the one that deploys log in as
    login = draft.host.user if context.options.host and "@" in context.options.host else "USER"
    print(
        f"Next:  homeport setup --host {login}@{draft.host.address or 'ADDRESS'}", file=sys.stderr
    )
    return 0


class Asker:
    """Asks a person; takes the default with ``--yes`` or where nobody is there."""

    def __init__(self, yes: bool) -> None:
        self._quiet = yes or not sys.stdin.isatty()

    def text(self, question: str, default: str) -> str:
        if self._quiet:
            return default
        hint = f" [{default}]" if default else ""
        print(f"{question}{hint}: ", end="", file=sys.stderr, flush=True)
        return sys.stdin.readline().strip() or default


def find_compose(folder: Path) -> str:
    """The compose file in ``folder``; raises ComposeError where there is none."""
    for name in FILES:
        if (folder / name).is_file():
            return name
    raise ComposeError.of(
        "there is no compose file here",
        str(folder),
        f"looked for {', '.join(FILES)}",
        "type it in the app's folder",
    )


def choose_web(services: Mapping[str, Any], asker: Asker) -> str:
    """The service that answers requests: the one that publishes a port, or the one asked for."""
    ours = [name for name in sorted(services) if not is_shared(services[name])]
    likely = [name for name in ours if services[name].get("ports")] or ours
    if not likely:
        raise ComposeError.of(
            "it has no service of yours", "services", "all look shared", "build one there"
        )
    guess = "web" if "web" in likely else likely[0]
    if len(likely) == 1:
        return guess
    name = asker.text(f"Which service answers requests ({', '.join(likely)})?", guess)
    if name not in services:
        raise UsageError.of(
            "there is no such service", name, f"there are {', '.join(ours)}", "homeport init"
        )
    return name


def choose_host(context: Context, asker: Asker) -> HostAddress:
    """Where the app will run: ``--host``, or what a person says; may stay empty."""
    given = context.options.host or asker.text("Host (a name or an IP; empty: later)", "")
    return parse_host(given) if given else HostAddress()


def draft_from(
    data: Mapping[str, Any], compose: str, service: str, host: HostAddress, folder: Path
) -> Draft:
    """What the compose file tells about the web service."""
    web = data["services"][service]
    ports = [port for port in web.get("ports") or () if port.get("protocol", "tcp") == "tcp"]
    port = int(ports[0]["target"]) if ports else None
    if port is None and web.get("expose"):
        port = int(str(web["expose"][0]).split("/")[0])
    published = str(ports[0].get("published") or "") if ports else ""
    return Draft(
        app=app_name(str(data.get("name") or folder.resolve().name)),
        compose=compose,
        host=host,
        service=service,
        port=port,
        ready=ready_path(web),
        site_port=int(published) if published.isdigit() else None,
        data=any(writable(one) for one in data["services"].values() if not is_shared(one)),
        postgres=postgres(web),
    )


def postgres(web: Mapping[str, Any]) -> str:
    """The variable of the web service that holds the address of a PostgreSQL database, or ""."""
    asked = as_map(web.get("environment"))
    named = (name for name in sorted(asked) if DATABASE.match(str(asked[name])))
    return next(named, "")


def app_name(text: str) -> str:
    """``text`` as an app's name: what does not fit becomes a dash."""
    name = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:32].strip("-")
    return name if APP_NAME.match(name) else "app"


def ready_path(web: Mapping[str, Any]) -> str:
    """The path in the healthcheck's command, if one can be told; else /."""
    test = (web.get("healthcheck") or {}).get("test") or ""
    words = test if isinstance(test, str) else " ".join(str(word) for word in test)
    found = re.search(r"https?://[^\s'\"|;)]+", words)
    return (urlsplit(found[0]).path or "/") if found else "/"


def is_shared(service: Mapping[str, Any]) -> bool:
    """Whether a service outlives releases: by its label, else by what image it is."""
    label = str((service.get("labels") or {}).get(SHARED_LABEL, "")).lower()
    if label in ("true", "false"):
        return label == "true"
    return "build" not in service and bool(SHARED.search(str(service.get("image", ""))))


def advice(services: Mapping[str, Any], web: str) -> list[str]:
    """The label lines for services whose kind the compose file does not say."""
    lines: list[str] = []
    for name in sorted(services):
        labels = services[name].get("labels") or {}
        if name == web or SHARED_LABEL in labels:
            continue
        one = services[name]
        # what moves runs the release's own image
        other = "build" not in one and one.get("image") != services[web].get("image")
        shared = is_shared(one) or other
        fate = "outlives releases" if shared else "moves with a release"
        if not lines:
            lines.append("\nSay in the compose file which services outlive releases, for example:")
        value = "true" if shared else "false"
        lines += [f"  {name}:   # {fate}", "    labels:", f'      {SHARED_LABEL}: "{value}"']
    return lines


def quote(text: str) -> str:
    """``text`` as a TOML string."""
    return json.dumps(text, ensure_ascii=False)
