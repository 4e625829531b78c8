"""``homeport restore SET --from REPOSITORY``: an app that lost its host, on a new one."""

from __future__ import annotations

import getpass
import os
import re
import sys
from dataclasses import replace
from pathlib import Path

from homeport.control import changing, images
from homeport.control.context import Context
from homeport.core import restic, words
from homeport.errors import UsageError
from homeport.model import Request

#: what else opens a repository, by the beginning of its address
_KEYS = {
    "rest:": r"RESTIC_REST_(?:USERNAME|PASSWORD)",
    "s3:": r"AWS_(?:ACCESS_KEY_ID|SECRET_ACCESS_KEY|SESSION_TOKEN|DEFAULT_REGION)",
    "b2:": r"B2_ACCOUNT_(?:ID|KEY)",
    "azure:": r"AZURE_ACCOUNT_(?:NAME|KEY|SAS)",
}
#: what a line of an env file can carry as it stands
_PLAIN = re.compile(r"[A-Za-z0-9_./:@%+,=~-]*")


def restore(context: Context) -> int:
    """Makes the app on the host from a set, and lets it go on saving where that came from."""
    repository, wanted = str(context.options.source), str(context.options.set or "latest")
    if not words.is_set(wanted):
        mend = "latest, or one as homeport backup list shows it: 20260131T033000-1a2b"
        raise UsageError.of("that is no set of copies", words.sentence(wanted, 80), mend=mend)
    if restic.has_secret(repository):
        mend = "take the login out of the address: RESTIC_REST_USERNAME and RESTIC_REST_PASSWORD"
        why = "others on this machine can read a command line"
        raise UsageError.of("a password stands in the address", "--from", why, mend)
    request = context.request("restore-from", set=wanted, source=repository)
    context.host  # a missing host is said before a password is asked for
    request = replace(request, opens=keys(repository, context.options.keys))
    return changing.carry_out(context, _with_image(context, request))


def _with_image(context: Context, request: Request) -> Request:
    """The request with this machine's image, or with its login for the registry."""
    if not context.options.from_local:
        return replace(request, auth=changing.todays_login(context))
    name = images.of_compose(context.compose_path, context.settings, local=True)
    return replace(request, image=images.from_local(name, context.settings.app))


def keys(repository: str, file: str | None) -> str:
    """What opens the repository, as lines of restic.env: from a file, else the environment.

    A password that is in neither is asked for; an empty answer leaves it to restic.env on the host.
    """
    if file:
        try:
            return Path(file).expanduser().read_text("utf-8")
        except (OSError, UnicodeDecodeError) as error:
            mend = "a file like restic.env: RESTIC_PASSWORD=…"
            raise UsageError.of("the keys cannot be read", file, str(error), mend) from None
    wanted = next((names for start, names in _KEYS.items() if repository.startswith(start)), "")
    found = {name: os.environ[name] for name in sorted(os.environ) if re.fullmatch(wanted, name)}
    password = os.environ.get(restic.PASSWORD)
    if password is None:
        if not sys.stdin.isatty():
            mend = f"set {restic.PASSWORD}, or --keys FILE with a line {restic.PASSWORD}=…"
            raise UsageError.of("nobody is there to ask for the password", repository, mend=mend)
        password = getpass.getpass(f"Password of {repository}: ")
    lines = {restic.PASSWORD: password, **found} if password else found
    return "".join(f"{name}={_quoted(name, value)}\n" for name, value in lines.items())


def _quoted(name: str, value: str) -> str:
    """A value as a line of an env file carries it; raises UsageError for what none can."""
    if _PLAIN.fullmatch(value):
        return value
    for quote in "'\"":
        if quote not in value and not re.search(r"[\\\n\r]", value):
            return f"{quote}{value}{quote}"
    why = "it has both kinds of quotes, a backslash, or a new line"
    raise UsageError.of("the value fits into no line of restic.env", name, why, "--keys FILE")
