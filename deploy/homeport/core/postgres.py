"""Where a PostgreSQL database is: its URL taken apart, and the limits a migration gets. Pure."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

DEFAULT_PORT = 5432
#: as SQLAlchemy and libpq read them: a driver's name may follow the kind, everything may be absent
_URL = re.compile(
    r"(?P<head>postgres(?:ql)?(?:\+\w+)?://"
    r"(?:(?P<user>[^:/@]*)(?::(?P<password>[^@]*))?@)?"
    r"(?:\[(?P<v6>[^\]]*)\]|(?P<host>[^/:?]*))(?::(?P<port>[^/?]*))?)"
    r"(?:/(?P<name>[^?]*))?(?P<tail>\?(?P<query>.*))?",
    re.DOTALL,
)
_ESCAPE = re.compile(rb"%([0-9A-Fa-f]{2})")
_PLAIN = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~")
#: what asks for a certificate asks for a file of the app's own image: encrypted is what is kept
_SSL = {"verify-ca": "require", "verify-full": "require", "true": "require", "false": "disable"}


@dataclass(frozen=True)
class Address:
    """A database as a URL names it. Its repr never holds the password.

    ``host`` is a name, an address, or the folder of a socket.
    """

    host: str
    port: int
    user: str
    name: str
    password: str = field(default="", repr=False)
    ssl: str = ""
    options: str = ""
    #: the URL before the database's name, and behind it
    head: str = field(default="", repr=False)
    tail: str = field(default="", repr=False)

    @property
    def socket(self) -> bool:
        """Whether it is reached through a socket in a folder."""
        return self.host.startswith("/")

    def elsewhere(self, name: str) -> str:
        """The URL of another database on the same server, for the same user."""
        return f"{self.head}/{quote(name)}{self.tail}"

    def environment(self) -> dict[str, str]:
        """libpq's variables for it, in which a password stays off every command line."""
        found = {
            "PGHOST": self.host,
            "PGPORT": str(self.port),
            "PGUSER": self.user,
            "PGDATABASE": self.name,
            "PGPASSWORD": self.password,
            "PGSSLMODE": self.ssl,
        }
        return {name: value for name, value in found.items() if value}


def parse(url: str) -> Address:
    """Take a URL apart; raises ValueError, whose text never holds a part of it."""
    match = _URL.fullmatch(url.strip())
    if not match:
        raise ValueError("is no address like postgresql://user:password@host:5432/name")
    words = {key: unquote(match[key] or "") for key in ("user", "password", "v6", "host", "name")}
    query = _query(match["query"] or "")
    if "dbname" in query:
        raise ValueError("names its database after the question mark; write it behind the host")
    user = query.get("user", words["user"])
    host = query.get("host", words["v6"] or words["host"])
    port = query.get("port", match["port"] or "") or str(DEFAULT_PORT)
    if not host:
        raise ValueError("names no host")
    if "," in host:
        raise ValueError("names several hosts")
    if not port.isdigit() or not 1 <= int(port) <= 65535:
        raise ValueError("names a port that is none")
    if not user:
        raise ValueError("names no user")
    if "\0" in "".join((*words.values(), *query.values())):
        raise ValueError("holds a NUL character (%00)")
    asked = query.get("sslmode", query.get("ssl", "")).lower()
    return Address(
        host=host,
        port=int(port),
        user=user,
        # as libpq has it
        name=words["name"] or user,
        password=query.get("password", words["password"]),
        ssl=_SSL.get(asked, asked),
        options=query.get("options", ""),
        head=match["head"],
        tail=match["tail"] or "",
    )


def _query(text: str) -> dict[str, str]:
    pairs = (one.partition("=") for one in text.split("&") if one)
    return {unquote(name): unquote(value) for name, _, value in pairs}


def unquote(text: str) -> str:
    """``text`` with its %xx read; raises ValueError where they are no UTF-8."""
    raw = _ESCAPE.sub(lambda found: bytes([int(found.group(1), 16)]), text.encode())
    try:
        return raw.decode()
    except UnicodeDecodeError:
        # its own text would show the bytes
        raise ValueError("is not UTF-8 once its %xx are read") from None


def quote(text: str) -> str:
    """``text`` as a part of a URL."""
    return "".join(chr(one) if one in _PLAIN else f"%{one:02X}" for one in text.encode())


def limits(
    variable: str, url: str, lock: float, statement: float, kept: str = ""
) -> dict[str, str]:
    """Variables that bound what a migration may wait for and do, in seconds.

    ``kept`` is a PGOPTIONS that the app has itself. Options in a URL win over PGOPTIONS, so where
    it has some the limits are added there too. Drivers that are not built on libpq heed neither.
    """
    words = f"-c lock_timeout={_ms(lock)} -c statement_timeout={_ms(statement)}"
    found = {"PGOPTIONS": f"{kept} {words}".strip()}
    there = parse(url)
    if there.options:
        parts = there.tail.removeprefix("?").split("&")
        parts = [one for one in parts if unquote(one.partition("=")[0]) != "options"]
        parts.append(f"options={quote(f'{there.options} {words}')}")
        front = url.strip()[: -len(there.tail)]
        found[variable] = f"{front}?{'&'.join(parts)}"
    return found


def _ms(seconds: float) -> int:
    # 0 would be no limit at all
    return max(1, round(seconds * 1000))
