"""What restic is told and what it says, as text: repositories, their keys, snapshots, complaints.

restic 0.17 and newer give three failures an exit code of their own. Debian 12 and Raspberry Pi OS
12 have 0.14, which ends with 1 for each of them: there, and only there, its words have to tell.
"""

from __future__ import annotations

import calendar
import json
import re
from dataclasses import dataclass
from typing import Any, Iterable, Literal, Mapping

from homeport.backups import SET_ID
from homeport.core import envfile

#: older ones print no JSON for all that is asked here
LEAST = (0, 12)
INSTALL = "sudo apt-get install -y restic"
PASSWORD = "RESTIC_PASSWORD"
#: one of these opens a repository
_OPENERS = (PASSWORD, "RESTIC_PASSWORD_FILE", "RESTIC_PASSWORD_COMMAND")
#: what restic and its ways to a repository read; no other variable of restic.env reaches it
_KNOWN = re.compile(r"(?:RESTIC|AWS|B2|AZURE|GOOGLE|OS|ST|RCLONE)_[A-Z0-9_]+")
#: these are Homeport's to say
_OURS = re.compile(r"RESTIC_(?:REPOSITORY|REPOSITORY_FILE|CACHE_DIR|PROGRESS_FPS|HOST|REST_.*)")
_REST = ("RESTIC_REST_USERNAME", "RESTIC_REST_PASSWORD")
_LOGIN = re.compile(r"(?P<before>://)[^/@\s]*@")
#: of USER@HOST: what stands there becomes words of an ssh command
_TO = "[A-Za-z0-9@._-]"
_SECRET = re.compile(r"://[^/@\s:]*:[^/@\s]+@")

Kind = Literal["local", "sftp", "other"]
Fault = Literal["absent", "wrong-key", "locked", "unreachable", "other"]


def kind(repository: str) -> Kind:
    """How a repository is reached: a path of this host, sftp, or by way of another program."""
    if repository.startswith("sftp:"):
        return "sftp"
    return "other" if re.match(r"[a-z0-9]+:", repository) else "local"


def shown(repository: str) -> str:
    """The repository as people may see it: without a login in its address."""
    return _LOGIN.sub(r"\g<before>", repository)


def has_secret(repository: str) -> bool:
    """Whether a password stands in the address, where files and history would show it."""
    return _SECRET.search(repository) is not None


def environment(keys: str, repository: str) -> dict[str, str]:
    """The variables that open ``repository``, from the text of restic.env.

    A login for a REST server goes into the address itself: restic 0.14 knows no other place.
    """
    known = dict(envfile.values(keys))
    found = {
        name: value
        for name, value in known.items()
        if _KNOWN.fullmatch(name) and not _OURS.fullmatch(name)
    }
    user, password = (known.get(name, "") for name in _REST)
    if user and repository.startswith("rest:") and "://" in repository:
        login = ":".join(_quoted(one) for one in (user, password))
        repository = _LOGIN.sub(r"\g<before>", repository).replace("://", f"://{login}@", 1)
    return {**found, "RESTIC_REPOSITORY": repository}


def _quoted(text: str) -> str:
    """Text as it may stand in the login of an address."""
    safe = re.compile(r"[A-Za-z0-9._~-]")
    return "".join(chr(one) if safe.fullmatch(chr(one)) else f"%{one:02X}" for one in text.encode())


def opens(keys: str) -> bool:
    """Whether the text of restic.env says what the password is."""
    return any(dict(envfile.values(keys)).get(name) for name in _OPENERS)


def options(repository: str) -> tuple[str, ...]:
    """Options for the way there: an ssh that asks nobody and ends when nobody is there any more."""
    target = _sftp(repository)
    if not target:
        return ()
    host, port = target
    ssh = "ssh -o BatchMode=yes -o ConnectTimeout=20 -o ServerAliveInterval=15"
    ssh += f" -o ServerAliveCountMax=4{f' -p {port}' if port else ''} {host} -s sftp"
    return ("-o", f"sftp.command={ssh}")


def login(repository: str) -> str:
    """What is typed on the host to see whether an sftp repository's server lets it in."""
    host, port = _sftp(repository) or ("USER@HOST", "")
    return f"sudo -u homeport ssh{f' -p {port}' if port else ''} {host}"


def _sftp(repository: str) -> tuple[str, str] | None:
    """USER@HOST and port of ``sftp:USER@HOST:PATH`` or ``sftp://USER@HOST:PORT/PATH``."""
    found = re.fullmatch(rf"sftp://({_TO}+|{_TO}*\[[0-9A-Fa-f:.]+\])(?::(\d+))?/.*", repository)
    if found is None:
        found = re.fullmatch(rf"sftp:({_TO}+)():.*", repository)
    if found is None or found[1].startswith("-"):
        return None
    return found[1], found[2] or ""


def version(text: str) -> tuple[int, ...]:
    """``(0, 14, 0)`` of what ``restic version`` prints; empty where it is none."""
    found = re.match(r"restic (\d+)\.(\d+)(?:\.(\d+))?", text)
    return tuple(int(one) for one in found.groups("0")) if found else ()


# --- snapshots -----------------------------------------------------------------------------------
@dataclass(frozen=True)
class Copy:
    """A set in a repository: the snapshot that holds it, when it got there, and from which host."""

    snapshot: str
    set: str
    at: float
    host: str = ""


def tags(app: str, set_id: str) -> tuple[str, ...]:
    """The tags by which an app's sets are found among other people's snapshots."""
    return (f"app={app}", f"set={set_id}")


def copies(text: str, app: str) -> tuple[Copy, ...]:
    """The app's sets of what ``restic snapshots --json`` prints, by set, the newest last.

    A set that was sent twice is there once, by its latest snapshot. Raises ValueError for what is
    no such list.
    """
    found: dict[str, Copy] = {}
    for one in json.loads(text) or ():
        known = dict(tag.partition("=")[::2] for tag in one.get("tags") or ())
        # a tag becomes the name of a folder
        if known.get("app") != app or not SET_ID.match(known.get("set", "")):
            continue
        made = Copy(str(one["id"]), known["set"], _instant(str(one["time"])), str(one["hostname"]))
        if made.set not in found or found[made.set].at <= made.at:
            found[made.set] = made
    return tuple(found[name] for name in sorted(found))


_TIME = re.compile(r"(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d):(\d\d)(\.\d+)?(?:Z|([+-])(\d\d):(\d\d))")


def _instant(text: str) -> float:
    """An instant as restic writes it, in the time of the host that wrote it; raises ValueError."""
    found = _TIME.fullmatch(text)
    if found is None:
        raise ValueError(f"not a time: {text[:40]!r}")
    away = int(found[9] or 0) * 3600 + int(found[10] or 0) * 60
    local = calendar.timegm(tuple(int(found[one]) for one in range(1, 7)))
    return local + float(found[7] or 0) + (away if found[8] == "-" else -away)


def pick(found: Iterable[Copy], wanted: str) -> Copy | None:
    """The copy of the set that ``wanted`` names or begins; "" and ``latest`` mean the newest."""
    known = sorted(found, key=lambda one: one.set)
    if wanted in ("", "latest"):
        return known[-1] if known else None
    mine = [one for one in known if one.set.startswith(wanted)]
    return mine[0] if len(mine) == 1 else None


def said(line: str) -> Mapping[str, Any]:
    """A line of ``--json``; empty for any other, as older restics mix them."""
    try:
        data = json.loads(line)
    except ValueError:
        return {}
    return data if isinstance(data, dict) else {}


# --- complaints ----------------------------------------------------------------------------------
_CODES: Mapping[int, Fault] = {10: "absent", 11: "locked", 12: "wrong-key"}
#: what restics before 0.17 say, and what ends a connection in all of them
_WORDS: tuple[tuple[Fault, str], ...] = (
    ("wrong-key", r"wrong password or no key found"),
    ("locked", r"repository is already locked"),
    (
        "unreachable",
        r"subprocess ssh|sftp session|dial tcp|no such host|Host key verification|TLS|x509"
        r"|i/o timeout|connection re(?:fused|set)|Permission denied|permission denied"
        r"|server response unexpected|Access Denied|InvalidAccessKeyId|SignatureDoesNotMatch"
        r"|no route to host|network is unreachable|401 Unauthorized|403 Forbidden",
    ),
    ("absent", r"(?:config file.*(?:no such file|does not exist|not exist|404)|NoSuchBucket)"),
)


def fault(code: int, complaint: str) -> Fault:
    """What went wrong, by restic's exit code and, where that says nothing, its words."""
    if code in _CODES:
        return _CODES[code]
    for name, words in _WORDS:
        if re.search(words, complaint):
            return name
    return "other"


#: what says nothing but that something was said before
_NOISE = re.compile(r"^(?:Is there a repository at the following location\?|\S+)$")


def complaint(text: str) -> str:
    """The lines of restic's that tell what is wrong, the last few of them."""
    lines = []
    for line in text.splitlines():
        told = said(line)
        if told.get("message_type") == "error":
            error = told.get("error") or {}
            words = error.get("message") if isinstance(error, dict) else error
            line = f"{told.get('item', '')}: {words or error}"
        elif told.get("message_type") == "exit_error":
            line = str(told.get("message", ""))
        if line.strip() and not _NOISE.match(line.strip()):
            lines.append(line.strip())
    return "\n".join(list(dict.fromkeys(lines))[-6:])
