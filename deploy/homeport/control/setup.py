"""``homeport setup``: the one step as root. Looks, lists what it will do, asks, and does it."""

from __future__ import annotations

import getpass
import os
import re
import shlex
import sys
from dataclasses import replace
from pathlib import Path

from homeport.control import hostkeys, keys, setup_restic, survey
from homeport.control.context import LOCAL, Context, parse_host
from homeport.control.line import Line, LocalLine, Lost
from homeport.core import words
from homeport.errors import (
    ConnectError,
    HostFault,
    HostKeyUnknown,
    LoginRefused,
    Problem,
    Refused,
    UsageError,
)
from homeport.model import HostAddress

SSH_PASSWORD = "HOMEPORT_SSH_PASSWORD"
SUDO_PASSWORD = "HOMEPORT_SUDO_PASSWORD"
AGENT_USER = "homeport"


def run(context: Context) -> int:
    """Prepares the host for this app."""
    app = context.settings.app
    host = context.options.host or context.settings.host.address
    if not host:
        raise UsageError.of("which host?", mend="homeport setup --host USER@ADDRESS")
    target = parse_host(host, HostAddress(user=getpass.getuser()))
    line = LocalLine() if target.address == LOCAL else enter(context, target)
    try:
        found = survey.look(line, app)
        problems = found.problems(line.where)
        if problems:
            raise Refused(*problems)
        key = public_key(context, line)
        backup = context.settings.backup
        rule = backup.schedule if backup else ""
        say("\n".join(tell(found, line.where, app, key, rule)))
        say("\n".join(setup_restic.tell(found, context.settings)))
        if not context.ask("Go on?"):
            say("Nothing was changed.")
            return 0
        as_root(line, found, app, key, setup_restic.asked(context.settings))
    except Lost as lost:
        mend = "the same command again: what is done already is left as it is"
        raise ConnectError.of("the connection was lost", line.where, str(lost), mend) from None
    finally:
        line.close()
    if target.address != LOCAL:
        say(for_github(target, check_login(target)))
    say(next_steps(context, target))
    return 0


def say(text: str) -> None:
    """Talk goes to stderr."""
    print(text, file=sys.stderr, flush=True)


def enter(context: Context, target: HostAddress) -> Line:
    """Logs in as the person; pins the host's key at first contact, asks for a password at need."""
    from homeport.control import ssh

    pin_given_key(context, target)
    password: str | None = os.environ.get(SSH_PASSWORD)
    while True:
        try:
            return ssh.connect(target, password)
        except HostKeyUnknown:
            first_contact(context, target)
        except LoginRefused:
            if password is not None or not sys.stdin.isatty():
                raise
            password = getpass.getpass(f"Password of {target.user} on {target.address}: ")


def pin_given_key(context: Context, target: HostAddress) -> None:
    """``--host-key`` is trusted as it stands: whoever gives it has compared it."""
    text = context.options.host_key
    if not text:
        return
    try:
        key = hostkeys.read_key(text)
    except ValueError as error:
        mend = "the line of /etc/ssh/ssh_host_ed25519_key.pub on the host, in quotes"
        raise UsageError.of(str(error), "--host-key", mend=mend) from None
    hostkeys.pin(hostkeys.lookup_name(target.address, target.port), key)


def first_contact(context: Context, target: HostAddress) -> None:
    """Shows the key the host offers and how to compare it; pins it when a person agrees."""
    from homeport.control import ssh

    name, key = ssh.offered_key(target)
    accepted = context.options.accept_host_key
    kind = {"ssh-ed25519": "ed25519", "ssh-rsa": "rsa"}.get(key.kind, "ecdsa")
    say(f"First contact with {name}. It shows this key ({kind}):\n\n  {key.fingerprint}\n")
    say("Compare it on the host itself, at its own screen and keyboard:\n")
    say(f"  ssh-keygen -lf /etc/ssh/ssh_host_{kind}_key.pub\n")
    if accepted and accepted != key.fingerprint:
        raise HostKeyUnknown.of(
            "the host shows another key than the one to accept",
            name,
            f"it shows {key.fingerprint}, not {accepted}",
            "compare again on the host itself",
        )
    if not accepted:
        # --yes is no answer here: it says yes to what is known, not to a stranger
        if not sys.stdin.isatty():
            raise HostKeyUnknown.of(
                "nobody is there to compare the host's key",
                name,
                f"it shows {key.kind} {key.fingerprint}",
                f"--accept-host-key {key.fingerprint} once you have compared it",
            )
        print("Is it the same? [y/N] ", end="", file=sys.stderr, flush=True)
        if sys.stdin.readline().strip().lower() not in ("y", "yes"):
            raise HostKeyUnknown.of("the host's key was not accepted", name, "nothing was sent")
    say(f"Pinned in {hostkeys.pin(name, key)}")


def public_key(context: Context, line: Line) -> str:
    """The key to let in as ``homeport``; raises UsageError where there is none."""
    if context.options.key:
        return read_public(Path(context.options.key).expanduser())
    used = str(getattr(line, "used_key", ""))
    if used:
        return f"{used} {getpass.getuser()}"
    named = keys.file()
    folder = Path("~/.ssh").expanduser()
    places = [named.with_name(named.name + ".pub")] if named else []
    places += [folder / f"id_{kind}.pub" for kind in ("ed25519", "ecdsa", "rsa")]
    for path in places:
        if path.is_file():
            return read_public(path)
    if isinstance(line, LocalLine):
        return ""
    raise UsageError.of(
        "there is no key of yours to let in",
        "~/.ssh",
        mend="ssh-keygen -t ed25519, or --key FILE.pub",
    )


def read_public(path: Path) -> str:
    """The first line of a public key file; raises UsageError for a private or missing one."""
    try:
        text = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        mend = "--key FILE.pub; ssh-keygen -t ed25519 makes one"
        raise UsageError.of("the key cannot be read", str(path), str(error), mend) from None
    if "PRIVATE" in text or not text.startswith(("ssh-", "ecdsa-", "sk-")) or "\n" in text:
        raise UsageError.of("that is no public key", str(path), mend="--key FILE.pub")
    return text


def tell(found: survey.Survey, where: str, app: str, key: str, schedule: str = "") -> list[str]:
    """What will be done, a line each; ``schedule`` is that of the app's backups."""
    hook = "a systemd unit, homeport-boot.service" if found["hook"] == "systemd" else "a cron line"
    lines = [
        f"{where}: {found['name'] or found['os']}, {found['machine']}, Python {found['python']},",
        f"  {found['docker']}, Compose {found['compose']}",
        "",
        "As root, once:",
        f"  user {AGENT_USER}, in group docker (which is as good as root on that machine)",
        f"  /opt/homeport and /opt/{app}, owned by {AGENT_USER}",
        f"  /opt/{app}/app.env for your settings, readable by {AGENT_USER} only",
    ]
    if key:
        words = key.split()
        lines.append(f"  this key may log in as {AGENT_USER}: {words[0]} …{words[1][-16:]}")
    lines.append(f"  after every boot, {hook} brings your apps back")
    timer = "homeport-schedule.timer" if found["hook"] == "systemd" else "another one"
    lines.append(f"  every quarter of an hour, {timer} makes the backups that are due:")
    when = {"": "none, until [backup] has a schedule", "hourly": "every hour"}
    lines.append(f"    of {app}: {when.get(schedule, f'daily at {schedule}')}")
    if found["hook"] == "systemd":
        lines.append(f"  lingering for {AGENT_USER}: a deploy outlives its connection")
    if found["folder"] and not found["before"]:
        lines.append(f"  /opt/{app} is there already: its owner changes, what is in it does not")
    if found["before"]:
        lines.append("It was set up before: only what is missing is added.")
    return [*lines, ""]


def as_root(line: Line, found: survey.Survey, app: str, key: str, offsite: bool = False) -> None:
    """Runs setup.sh as root; the password goes in on stdin, in front of the script."""
    script = Path(__file__).with_name("setup.sh").read_bytes()
    shell = f"sh -s -- {shlex.quote(app)} {shlex.quote(key)}{' offsite' * offsite}"
    before = b""
    if found.needs_password:
        password = os.environ.get(SUDO_PASSWORD)
        if password is None:
            if not sys.stdin.isatty():
                raise UsageError.of(
                    "sudo needs a password", line.where, mend=f"set {SUDO_PASSWORD}"
                )
            password = getpass.getpass(f"Password for sudo on {line.where}: ")
        before = password.encode() + b"\n"
        # tried alone first: after a wrong one, sudo would take the script for more guesses
        code, errors = command(line, "sudo -k -S -p '' true", before)
        if code:
            mend = f"type it again, or set {SUDO_PASSWORD}; sudo -v on the host tries it"
            raise LoginRefused.of("sudo refused the password", line.where, errors.strip(), mend)
        shell = f"sudo -k -S -p '' {shell}"
    elif not found.root:
        shell = f"sudo -n {shell}"
    code, errors = command(line, shell, before + script)
    if code:
        raise HostFault.of(
            "setup did not finish", line.where, errors.strip(), "mend that, then the same again"
        )


def command(line: Line, shell: str, stdin: bytes) -> tuple[int, str]:
    """Runs ``shell`` with ``stdin``, passing on what it says; exit code and the end of stderr."""
    pipe = line.run(shell)
    pipe.send(stdin)
    pipe.end_input()
    while raw := pipe.read_line(120):
        say("  " + words.harmless(raw.decode("utf-8", "replace")).rstrip())
    return pipe.finish()


def check_login(target: HostAddress) -> str:
    """Logs in as the agent's user, as every later command will; the host's key."""
    from homeport.control import ssh

    try:
        line = ssh.connect(replace(target, user=AGENT_USER))
        key = line.host_key
        line.close()
        return key
    except LoginRefused as error:
        why = Problem(
            "everything is there, but your key does not open it",
            f"{AGENT_USER}@{target.address}",
            "this machine holds no private key of the public key that was let in",
            "ssh-add, or HOMEPORT_SSH_KEY=FILE",
        )
        raise LoginRefused(why, *error.problems) from None


def for_github(target: HostAddress, key: str) -> str:
    """The two variables with which a job of GitHub Actions finds this host and knows it again."""
    at = f"[{target.address}]" if ":" in target.address else target.address
    at += "" if target.port == 22 else f":{target.port}"
    pairs = (("HOMEPORT_HOST", f"{AGENT_USER}@{at}"), (hostkeys.VARIABLE, key))
    lines = (f"  {name} = {value}" for name, value in pairs)
    return "\n".join(["", "For a deploy from GitHub Actions, as variables there:", *lines])


def next_steps(context: Context, target: HostAddress) -> str:
    """What a person does next: the app's settings, then the first deploy."""
    settings, path = context.settings, context.compose_path
    text = path.read_text("utf-8") if path.is_file() else ""
    # what Compose itself would refuse to run without
    wanted = sorted({*settings.secrets, *re.findall(r"\$\{(\w+):?\?", text)})
    env, local = f"/opt/{settings.app}/app.env", target.address == LOCAL
    lines = ["", "The host is ready."]
    if wanted:
        names = "\n".join(f"  {name}=…" for name in wanted)
        edit = f"sudo -u {AGENT_USER} nano {env}"
        port = f" -p {target.port}" if target.port != 22 else ""
        if not local:
            edit = f"ssh -t{port} {target.user}@{target.address} {edit}"
        lines += [f"Put these into {env} there:", names, f"for example with:  {edit}"]
    elif re.search(r"^\s+env_file:", text, re.MULTILINE):
        port = f" -P {target.port}" if target.port != 22 else ""
        copy = f"scp{port} .env {AGENT_USER}@{target.address}:{env}"
        if local:
            copy = f"sudo -u {AGENT_USER} tee {env} < .env > /dev/null"
        lines.append(f"Its settings go into {env} there, for example with:\n  {copy}")
    same = (settings.host.address, settings.host.port) == (target.address, target.port)
    at = f"[{target.address}]" if ":" in target.address else target.address
    at += "" if target.port == 22 else f":{target.port}"
    deploy = "homeport deploy" if same else f"homeport deploy --host {at}"
    # a compose file that only builds names no image that a registry could have
    if text and not re.search(r"^\s+image:", text, re.MULTILINE):
        deploy = f"docker compose build, then {deploy} --from-local"
    return "\n".join([*lines, f"Next:  {deploy}"])
