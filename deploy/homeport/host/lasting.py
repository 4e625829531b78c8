"""What Docker writes, made to last through a power cut before anything relies on it.

Docker syncs little of what it writes. After a power cut right after a pull it knows an image whose
files are empty, of which another pull says that it is up to date; a container that was just made is
unknown (Docker 28.5 on ext4, with its own store of images and with containerd's). So a filesystem
is told to write out what it was given after a pull, and after containers were made: both come
before the link names a release.
"""

from __future__ import annotations

import ctypes
import os
import threading
from functools import lru_cache
from pathlib import Path
from typing import Callable

from homeport.errors import HomeportError
from homeport.host.engine import Engine
from homeport.host.paths import make, sync, write

#: seconds for what is written before a handover, and for an image; a disk that takes longer is so
#: busy or so ill that waiting for it would cost more than it may save
PATIENCE, PULL_PATIENCE = 20.0, 300.0
#: where Docker keeps images that containerd has for it
CONTAINERD = "/var/lib/containerd"
#: names the image that is being pulled, until it is here and lasts
MARK = "pulling"


@lru_cache(maxsize=4)
def _root(engine: Engine) -> str:
    return str(engine.info().get("DockerRootDir") or "/var/lib/docker")


def apart(engine: Engine, folder: Path) -> bool:
    """Whether Docker keeps anything on another filesystem than ``folder``'s, or may do so.

    On one filesystem what is synced later takes along every rename that came before it.
    """
    mine = os.stat(folder).st_dev
    try:
        root = _root(engine)
    except HomeportError:
        return True
    for place in (root, CONTAINERD):
        try:
            if os.stat(place).st_dev != mine:
                return True
        except FileNotFoundError:
            continue
        except OSError:  # nobody may look in there
            return True
    return False


def flush(engine: Engine, folder: Path, within: float = PATIENCE) -> bool:
    """Have everything written out that Docker was given, and what lies beside ``folder``.

    Whether that was done within so many seconds; it goes on meanwhile. Raises OSError where the
    disk fails. The agent may not open Docker's own folder: where that lies on another filesystem,
    all of them are written out.
    """
    every, failed = apart(engine, folder), []

    def work() -> None:
        try:
            os.sync() if every else _write_out(folder)
        except OSError as error:
            failed.append(error)

    worker = threading.Thread(target=work, daemon=True)
    worker.start()
    worker.join(within)
    if failed:
        raise failed[0]
    return not worker.is_alive()


def _write_out(folder: Path) -> None:
    """syncfs(2) of the filesystem that a folder lies on."""
    syncfs = getattr(ctypes.CDLL(None, use_errno=True), "syncfs", None)
    if syncfs is None:
        os.sync()
        return
    handle = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        if syncfs(handle) != 0:
            number = ctypes.get_errno()
            raise OSError(number, os.strerror(number), str(folder))
    finally:
        os.close(handle)


def torn(folder: Path) -> str:
    """The image whose pull never came to its end: whatever Docker has of it may be empty."""
    try:
        return (folder / MARK).read_text().strip()
    except OSError:
        return ""


def there(engine: Engine, folder: Path, ref: str) -> bool:
    """Whether an image is on the host, whole as far as can be known."""
    return engine.image(ref) is not None and torn(folder) != ref


def pull(
    engine: Engine, folder: Path, ref: str, auth: str, progress: Callable[[int, int], None]
) -> bool:
    """Pull an image so that it lasts; whether it was written out in time. Raises RegistryError.

    One whose last pull was cut short is let go first, with all that only it has: what Docker has
    by name it would not fetch again, however empty that is.
    """
    make(folder)
    if torn(folder) == ref:
        # what belongs to no image yet cannot be let go: it is given its image first
        engine.pull(ref, auth, progress)
        engine.untag(ref)
    write(folder / MARK, ref)
    try:
        engine.pull(ref, auth, progress)
    except HomeportError:
        # the layers that did come are whole then, and need not be fetched twice
        _over(engine, folder)
        raise
    return _over(engine, folder)


def _over(engine: Engine, folder: Path) -> bool:
    """Take the mark away once what was pulled lasts."""
    done = flush(engine, folder, PULL_PATIENCE)
    if done:
        (folder / MARK).unlink(missing_ok=True)
        sync(folder)
    return done
