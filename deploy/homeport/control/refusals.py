"""What a failed SSH connection means, in words: what was seen, and what mends it."""

from __future__ import annotations

import socket

from homeport.control import hostkeys
from homeport.errors import ConnectError, HomeportError, HostKeyChanged, HostKeyUnknown


def unknown(name: str, key: hostkeys.HostKey) -> HomeportError:
    """No place knows a key of ``name``; it shows ``key``."""
    return HostKeyUnknown.of(
        "its host key has never been seen",
        name,
        f"it shows {key.kind} {key.fingerprint}; nothing was sent to it",
        f"homeport setup --host USER@{name} compares and pins it; in CI put the line of the "
        f"host's /etc/ssh/ssh_host_ed25519_key.pub into {hostkeys.VARIABLE}",
    )


def changed(name: str, key: hostkeys.HostKey) -> HomeportError:
    """Another key than ``key`` is known for ``name``."""
    return HostKeyChanged.of(
        "its host key is not the one that was pinned",
        name,
        f"it shows {key.kind} {key.fingerprint}: another machine answers there, or the host was "
        "installed anew; nothing was sent to it",
        f"if it was: ssh-keygen -f {hostkeys.pins()} -R '{name}', the same for "
        f"~/.ssh/known_hosts or {hostkeys.VARIABLE}, then homeport setup",
    )


def unreachable(where: str, error: Exception, seconds: float) -> HomeportError:
    """No SSH connection came about, for what ``error`` says."""
    if isinstance(error, socket.gaierror):
        return ConnectError.of("there is no such name", where, str(error), "check [host] address")
    if isinstance(error, ConnectionRefusedError):
        why, mend = "nothing listens there", "on the host: sudo systemctl enable --now ssh"
    elif isinstance(error, TimeoutError):
        why, mend = f"no answer in {seconds:g} s", "is it on, and on this network? ping it"
    else:
        why, mend = str(error) or type(error).__name__, "the same command again; -v tells more"
    return ConnectError.of("it cannot be reached by SSH", where, why, mend)
