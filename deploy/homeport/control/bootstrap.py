"""What runs first on a host: ``python3 -I -c SOURCE HASH``; finds or takes in the agent.

This file is its own source on the wire (``command``), so it imports only the standard library, and
its grammar is one that an old Python can at least read, to say that it is too old.
"""

import fcntl
import hashlib
import importlib
import io
import json
import os
import shutil
import signal
import sys
import tarfile
import tempfile
import time
import zlib
from typing import Any, BinaryIO, Dict, NoReturn

NEEDED = (3, 10)
#: seconds without a byte after which who sends is given up, and for all that is sent here
SILENCE, WHOLE = 60, 900
#: bytes of a request, of a bundle, and of what a bundle unpacks to
REQUEST, PACKED, UNPACKED = 4 << 20, 4 << 20, 32 << 20
#: so many older agents stay, and for so many seconds all that were current: a run that goes on has
#: its own, and so has a controller of another version
KEPT, IDLE = 3, 7 * 86400


def say(event: Dict[str, Any]) -> None:
    """One event to the controller."""
    sys.stdout.buffer.write(json.dumps(event).encode() + b"\n")
    sys.stdout.buffer.flush()


def stop(what: str, why: str, mend: str, code: int = 24) -> NoReturn:
    """Ends with a verdict: that the host is not set up (24), or fails (60)."""
    problem = {"what": what, "where": "host", "why": why, "mend": mend}
    verdict = {"e": "verdict", "outcome": "refused", "code": code, "release": "", "run": ""}
    say(dict(verdict, sentence="Nothing was done: " + what + ".", problems=[problem], figures={}))
    sys.exit(code)


def late(*_: Any) -> NoReturn:
    """Ends with a verdict where who sends has stopped doing so."""
    stop("the connection is silent", "less came than was announced", "the same command again", 60)


def read(stream: Any, length: bytes, most: int) -> bytes:
    """So many bytes; ends with a verdict where they do not come, or would be more than ``most``."""
    if not length.strip().isdigit() or len(length) > 30 or int(length) > most:
        stop("too much was announced", "%r bytes, at most %d" % (length, most), "upgrade")
    parts, left, end = [], int(length), time.monotonic() + WHOLE
    while left:
        signal.alarm(SILENCE)
        part = stream.read1(min(left, 65536))
        if not part or time.monotonic() > end:
            late()
        parts.append(part)
        left -= len(part)
    return b"".join(parts)


def read_request(stream: BinaryIO) -> bytes:
    """The payload of the framed request; ends with a verdict for anything else."""
    head = stream.readline(64)
    words = head.split()
    if len(words) != 3 or words[0] != b"homeport" or not words[2].isdigit():
        stop("what came over the connection is no Homeport request", repr(head), "")
    if words[1] != b"1":
        stop("the request is of another version", "it is %r, 1 is spoken" % words[1], "upgrade")
    return read(stream, words[2], REQUEST)


def sync(path: str) -> None:
    """Make what is at a path last through a power cut."""
    handle = os.open(path, os.O_RDONLY)
    os.fsync(handle)
    os.close(handle)


def alone(agents: str) -> int:
    """Nobody else changes the agents' folder until the handle that this gives is closed.

    So what lies there half made is from a command that died, and goes.
    """
    handle = os.open(agents, os.O_RDONLY)
    fcntl.flock(handle, fcntl.LOCK_EX)
    for name in os.listdir(agents):
        path = os.path.join(agents, name)
        if name.startswith(".new-"):
            shutil.rmtree(path, ignore_errors=True)
        elif name.startswith("current.") and os.path.islink(path):
            os.unlink(path)
    return handle


def receive(stream: BinaryIO, name: str) -> bytes:
    """Reads a bundle, a tar, and checks its hash; nobody waits for it meanwhile."""
    say({"e": "need", "need": "agent"})
    signal.alarm(SILENCE)
    packed = read(stream, stream.readline(32), PACKED)
    try:
        raw = zlib.decompressobj(31).decompress(packed, UNPACKED)
    except zlib.error as error:
        stop("the agent arrived damaged", str(error), "the same command again")
    if hashlib.sha256(raw).hexdigest()[:16] != name:
        stop("the agent arrived damaged", "its hash is not " + name, "the same command again")
    return raw


def take_in(raw: bytes, agents: str, name: str) -> None:
    """Puts a bundle under its name in one rename."""
    beside = tempfile.mkdtemp(prefix=".new-", dir=agents)
    try:
        with tarfile.open(fileobj=io.BytesIO(raw)) as tar:
            for entry in tar.getmembers():
                if not entry.isfile() or {"", ".", ".."} & set(entry.name.split("/")):
                    stop("the agent arrived damaged", "it holds " + entry.name, "")
                target = os.path.join(beside, entry.name)
                os.makedirs(os.path.dirname(target), exist_ok=True)
                content = tar.extractfile(entry)
                assert content is not None
                with open(target, "wb") as out:
                    out.write(content.read())
                    out.flush()
                    os.fsync(out.fileno())
        for folder, _, _ in os.walk(beside):
            sync(folder)
        os.chmod(beside, 0o755)
        try:
            os.rename(beside, os.path.join(agents, name))
        except OSError:
            # another command took the same agent in meanwhile
            if not os.path.isdir(os.path.join(agents, name)):
                raise
        sync(agents)
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def pointed(agents: str, name: str) -> bool:
    """Whether ``current`` is this agent already."""
    link = os.path.join(agents, "current")
    return os.path.islink(link) and os.readlink(link) == name


def point(agents: str, name: str) -> None:
    """``current`` → the agent in use, for the boot hook."""
    link = os.path.join(agents, "current")
    if pointed(agents, name):
        return
    beside = "%s.%d" % (link, os.getpid())
    os.symlink(name, beside)
    os.replace(beside, link)
    sync(agents)


def let_go(agents: str, name: str) -> None:
    """Removes agents that were not current for long, but for the newest of them.

    Each has a name of what is half made first: a power cut must leave none that looks whole.
    """
    os.utime(os.path.join(agents, name))
    paths = [os.path.join(agents, one) for one in os.listdir(agents) if one != name]
    folders = [one for one in paths if os.path.isdir(one) and not os.path.islink(one)]
    last = {one: os.stat(one).st_mtime for one in folders}
    for path in sorted(last, key=last.__getitem__, reverse=True)[KEPT:]:
        if time.time() - last[path] > IDLE:
            beside = tempfile.mkdtemp(prefix=".new-", dir=agents)
            os.rename(path, beside)
            shutil.rmtree(beside, ignore_errors=True)


def main() -> None:
    """Take the request, fetch the agent if it is missing, and let it answer."""
    setup = "homeport setup --host USER@ADDRESS"
    found = "%d.%d" % sys.version_info[:2]
    if sys.version_info[:2] < NEEDED:
        mend = "upgrade its system: Debian 12, Raspberry Pi OS 12, Ubuntu 22.04 and newer have one"
        stop("the host's Python is too old", "it is %s, 3.10 is needed" % found, mend)
    name = sys.argv[1]
    agents = os.path.join(os.environ.get("HOMEPORT_ROOT", "/opt"), "homeport", "agent")
    if len(name) != 16 or set(name) - set("0123456789abcdef"):
        stop("the agent is asked for by no hash", repr(name[:80]), "upgrade")
    signal.signal(signal.SIGALRM, late)
    signal.alarm(SILENCE)
    request = read_request(sys.stdin.buffer)
    if not os.path.isdir(agents):
        stop("the host has not been set up for Homeport", "there is no " + agents, setup)
    folder = os.path.join(agents, name)
    raw = b"" if os.path.isdir(folder) else receive(sys.stdin.buffer, name)
    # the agent waits as long as it likes: for an image, say, which takes its time
    signal.alarm(0)
    try:
        if not (os.path.isdir(folder) and pointed(agents, name)):
            handle = alone(agents)
            if raw and not os.path.isdir(folder):
                take_in(raw, agents, name)
            point(agents, name)
            let_go(agents, name)
            os.close(handle)
    except PermissionError as error:
        why = "user %d may not write %s" % (os.getuid(), error.filename)
        stop("this user may not run Homeport", why, "log in as homeport, or " + setup)
    except tarfile.TarError as error:
        stop("the agent arrived damaged", str(error), "the same command again")
    except OSError as error:
        mend = "on the host: df -h; if the disk is full: docker image prune -a"
        stop("the agent cannot be written on the host", str(error), mend, 60)
    sys.path.insert(0, folder)
    agent = importlib.import_module("homeport.host.agent")
    sys.exit(agent.main(request, sys.stdin.buffer, sys.stdout.buffer))


if __name__ == "__main__":
    main()
