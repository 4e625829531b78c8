"""The private key in ``HOMEPORT_SSH_KEY``: the path of a file, or the key's own text.

A job of CI has the text in a secret. It stays in memory: it is never written to a file and no
message repeats any of it.
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from homeport.control import github
from homeport.errors import HomeportError, LoginRefused

VARIABLE = "HOMEPORT_SSH_KEY"
BEGIN = "-----BEGIN"
#: a path that is longer is none, and what looks like a key's inside is not repeated in a message
LONGEST = 200
_PATH = re.compile(rf"\S{{1,{LONGEST}}}")
_INSIDE = re.compile(r"[A-Za-z0-9+/=]{40,}")
_MAKE = "make one for deploys alone: ssh-keygen -t ed25519 -N '' -f deploy_key"


#: a key's own text, once it was taken out of the environment
_taken = ""


def take() -> None:
    """Takes a key's own text out of the environment: no program that we start may inherit it."""
    global _taken
    value = os.environ.get(VARIABLE, "")
    _taken = os.environ.pop(VARIABLE) if value.strip() and is_text(value) else ""


def given() -> str:
    """What the variable holds or held; "" where it is unset, empty or blank."""
    value = os.environ.get(VARIABLE, "") or _taken
    return value if value.strip() else ""


def file() -> Path | None:
    """The file that the variable names; None where it is unset or holds a key's own text.

    Raises LoginRefused where it is neither a file nor a key.
    """
    value = given()
    if not value or is_text(value):
        return None
    path = Path(value.strip()).expanduser()
    # a name that is too long for a file is an error of the system's
    if len(value) <= LONGEST and path.is_file():
        return path
    if not _PATH.fullmatch(value) or _INSIDE.search(value):
        raise _no_key(value)
    raise LoginRefused.of(
        "there is no such key file", f"{VARIABLE}={value}", mend=_mend(f"unset {VARIABLE}")
    )


def is_text(value: str) -> bool:
    """Whether ``value`` is meant as a key's text and not as a path."""
    return "\n" in value.strip() or value.lstrip().startswith((BEGIN, "ssh-", "ecdsa-", "PuTTY-"))


def load(value: str) -> tuple[str, str]:
    """Kind (``ed25519``, ``ecdsa``, ``rsa``) and OpenSSH's form of the private key in ``value``.

    Windows' line ends, lost indents and a missing last newline are forgiven. Raises LoginRefused,
    which says what the text looks like, for anything else and for a key with a passphrase.
    """
    # comes with Paramiko, which signs with it
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

    lines = (line.strip() for line in value.strip().splitlines())
    text = "".join(f"{line}\n" for line in lines)
    of_ssh = text.startswith(f"{BEGIN} OPENSSH")
    try:
        read = serialization.load_ssh_private_key if of_ssh else serialization.load_pem_private_key
        key = read(text.encode(), None)
    except TypeError:  # what cryptography raises where a passphrase is wanted
        raise LoginRefused.of(
            "the key is locked with a passphrase",
            VARIABLE,
            "nobody is there to type it",
            _mend(_MAKE),
        ) from None
    except (ValueError, UnsupportedAlgorithm):
        raise _no_key(text) from None
    kinds = {
        "ed25519": ed25519.Ed25519PrivateKey,
        "ecdsa": ec.EllipticCurvePrivateKey,
        "rsa": rsa.RSAPrivateKey,
    }
    for kind, made in kinds.items():
        if isinstance(key, made):
            plain = key.private_bytes(
                serialization.Encoding.PEM,
                serialization.PrivateFormat.OpenSSH,
                serialization.NoEncryption(),
            )
            return kind, plain.decode()
    raise _no_key(text)


def looks_like(text: str) -> str:
    """What a text that is no private key looks like, in words that repeat nothing of it."""
    start = text.strip()
    if start.startswith(("ssh-", "ecdsa-", "sk-")) or "PUBLIC KEY" in start[:60]:
        return "a public key: the private one is wanted, the file without .pub"
    if start.startswith("PuTTY-"):
        return "a key of PuTTY: PuTTYgen exports it in OpenSSH's form"
    if start.startswith(BEGIN) and "\n" not in start:
        return "a private key that lost its line breaks"
    if start.startswith(BEGIN) and "PRIVATE KEY" in start[:60]:
        whole = "-----END" in start
        return "a private key that is damaged" if whole else "a private key that was cut off"
    if start.startswith(BEGIN):
        return "a file of another kind, a certificate perhaps"
    return "nothing that is known"


def _no_key(text: str) -> HomeportError:
    return LoginRefused.of(
        "that is no private key that SSH can use",
        VARIABLE,
        f"it looks like {looks_like(text)}",
        _mend(f"put the whole file there, from {BEGIN} to the last dash; or {_MAKE}"),
    )


def _mend(elsewhere: str) -> str:
    if not github.active():
        return elsewhere
    return (
        f"put the text of the private key file into the secret {VARIABLE} of the environment or"
        f" repository, from {BEGIN} to the last dash; {_MAKE}"
    )
