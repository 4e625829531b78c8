"""What a failed SSH connection means, in words: what was seen, and what mends it."""

from __future__ import annotations

import socket

from homeport.control import github, hostkeys, keys
from homeport.errors import (
    ConnectError,
    HomeportError,
    HostKeyChanged,
    HostKeyUnknown,
    LoginRefused,
)

#: how a job gets the host's key: from the host itself, never from who answers on the network
IN_CI = (
    f"set the variable {hostkeys.VARIABLE} of the environment or repository to the line that"
    " `cat /etc/ssh/ssh_host_ed25519_key.pub` prints on the host itself (homeport setup prints it"
    " too); not to what ssh-keyscan says, which trusts whoever answers"
)


def unknown(name: str, key: hostkeys.HostKey) -> HomeportError:
    """No place knows a key of ``name``; it shows ``key``."""
    return HostKeyUnknown.of(
        "its host key has never been seen",
        name,
        f"it shows {key.kind} {key.fingerprint}; nothing was sent to it",
        (
            IN_CI
            if github.active()
            else f"homeport setup --host USER@{name} compares and pins it; in CI put the line of"
            f" the host's /etc/ssh/ssh_host_ed25519_key.pub into {hostkeys.VARIABLE}"
        ),
    )


def no_host_key(why: str) -> HomeportError:
    """What ``HOMEPORT_HOST_KEY`` holds is not a public key, for the reason ``why``."""
    return HostKeyUnknown.of(
        "that is not a host's public key",
        hostkeys.VARIABLE,
        f"{why}; nothing was sent to the host",
        IN_CI if github.active() else "the line of /etc/ssh/ssh_host_ed25519_key.pub of the host",
    )


def login(where: str, why: str) -> HomeportError:
    """The host is the right one and lets nobody in, with what SSH says."""
    what, offered = "the host refused the login", "no key or password it was offered"
    mend = f"homeport setup --host USER@ADDRESS authorises your key; {keys.VARIABLE}=FILE"
    mend += " names another"
    if github.active() and not keys.given():
        what = f"no key was given: the secret {keys.VARIABLE} is not set"
        mend = "put the text of the deploy key's file into it, in the environment or repository"
    elif github.active():
        mend = f"homeport setup --key FILE.pub, with the public half of the secret {keys.VARIABLE}"
    return LoginRefused.of(what, where, f"{offered} is accepted there ({why})", mend)


def changed(name: str, key: hostkeys.HostKey) -> HomeportError:
    """Another key than ``key`` is known for ``name``."""
    return HostKeyChanged.of(
        "its host key is not the one that was pinned",
        name,
        f"it shows {key.kind} {key.fingerprint}: another machine answers there, or the host was "
        "installed anew; nothing was sent to it",
        (
            f"if it was: {IN_CI}"
            if github.active()
            else f"if it was: ssh-keygen -f {hostkeys.pins()} -R '{name}', the same for "
            f"~/.ssh/known_hosts or {hostkeys.VARIABLE}, then homeport setup"
        ),
    )


def mute(where: str, why: str) -> HomeportError:
    """Something takes the connection and does not speak SSH, or not in time, with what SSH says."""
    return ConnectError.of(
        "what answers there does not speak SSH",
        where,
        why,
        "is it the right port? --host USER@ADDRESS:PORT; on the host: sudo systemctl restart ssh",
    )


def unreachable(where: str, error: Exception, seconds: float) -> HomeportError:
    """No SSH connection came about, for what ``error`` says."""
    if isinstance(error, socket.gaierror):
        mend = "correct [host] address in homeport.toml, or --host USER@ADDRESS"
        return ConnectError.of("there is no such name", where, str(error), mend)
    if isinstance(error, ConnectionRefusedError):
        why, mend = "nothing listens there", "on the host: sudo systemctl enable --now ssh"
    elif isinstance(error, TimeoutError):
        why, mend = f"no answer in {seconds:g} s", "is it on, and on this network? ping it"
    else:
        why, mend = str(error) or type(error).__name__, "the same command again; -v tells more"
    return ConnectError.of("it cannot be reached by SSH", where, why, mend)
