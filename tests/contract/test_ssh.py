"""SSH against a real sshd: which host keys are let pass, which logins, and what is said of each."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
from dataclasses import dataclass
from getpass import getuser
from pathlib import Path
from typing import Iterator

import pytest

from homeport.control import hostkeys, ssh
from homeport.errors import ConnectError, HostKeyChanged, HostKeyUnknown, LoginRefused
from homeport.model import HostAddress
from lab.sshd import ensure_sshd


@dataclass(frozen=True)
class Server:
    """A running sshd: where it listens, its host key, and the log of what it saw."""

    port: int
    folder: Path

    @property
    def name(self) -> str:
        return f"[127.0.0.1]:{self.port}"

    @property
    def target(self) -> HostAddress:
        return HostAddress("127.0.0.1", getuser(), self.port)

    @property
    def host_key(self) -> hostkeys.HostKey:
        return hostkeys.read_key((self.folder / "host.pub").read_text())

    def log(self) -> str:
        return (self.folder / "log").read_text()


def make_key(path: Path, passphrase: str = "") -> hostkeys.HostKey:
    """A new key pair at ``path``; its public half."""
    words = ["ssh-keygen", "-q", "-t", "ed25519", "-N", passphrase, "-f", str(path)]
    subprocess.run(words, check=True)
    return hostkeys.read_key(path.with_name(path.name + ".pub").read_text())


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """An sshd of the test's own on a free loopback port, with a host key of its own."""
    program = ensure_sshd(print)
    folder = tmp_path_factory.mktemp("sshd")
    make_key(folder / "host")
    make_key(folder / "mine")
    shutil.copy(folder / "mine.pub", folder / "authorized")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    (folder / "config").write_text(
        f"ListenAddress 127.0.0.1\nPort {port}\nHostKey {folder}/host\nPidFile none\n"
        f"AuthorizedKeysFile {folder}/authorized\nStrictModes no\nUsePAM no\n"
        "PasswordAuthentication no\nKbdInteractiveAuthentication no\nLogLevel VERBOSE\n"
    )
    if os.getuid() == 0:
        # where sshd drops to before a login; packages make it at their own start
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    words = [program, "-D", "-f", str(folder / "config"), "-E", str(folder / "log")]
    child = subprocess.Popen(words)
    try:
        wait_for(port, child)
        yield Server(port, folder)
    finally:
        child.terminate()
        child.wait(timeout=10)


def wait_for(port: int, child: subprocess.Popen[bytes]) -> None:
    """Returns when something listens; fails after 10 s or when ``child`` has ended."""
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline and child.poll() is None:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except ConnectionRefusedError:
            time.sleep(0.05)
    pytest.fail("sshd does not listen")


@pytest.fixture(autouse=True)
def a_home_of_its_own(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[None]:
    """No key, agent, pin or known_hosts of the person who runs the tests."""
    for name in ("SSH_AUTH_SOCK", "HOMEPORT_HOST_KEY", "XDG_CONFIG_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("HOMEPORT_SSH_KEY", str(server.folder / "mine"))
    yield


def answer(server: Server) -> str:
    """What a command over a new connection says."""
    line = ssh.connect(server.target)
    try:
        pipe = line.run("read word; echo got $word; echo bad >&2; exit 3")
        pipe.send(b"apple\n")
        pipe.end_input()
        said = pipe.read_line(10).decode()
        assert pipe.read_line(10) == b""
        assert pipe.finish() == (3, "bad\n")
        return said
    finally:
        line.close()


def test_a_pinned_key_lets_a_command_run(server: Server) -> None:
    """stdin, stdout, stderr and the exit code go over a connection to a pinned host."""
    hostkeys.pin(server.name, server.host_key)
    assert answer(server) == "got apple\n"


def test_the_users_own_known_hosts_counts(server: Server) -> None:
    """What OpenSSH knows, hashed as Debian writes it, need not be pinned again."""
    known = Path.home() / ".ssh" / "known_hosts"
    known.parent.mkdir()
    known.write_text(f"{server.name} {server.host_key.text()}\n")
    subprocess.run(["ssh-keygen", "-q", "-H", "-f", str(known)], check=True, capture_output=True)
    assert server.name not in known.read_text()
    assert answer(server) == "got apple\n"


def test_the_key_in_the_environment_counts(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """CI gives the host's public key line in a variable."""
    monkeypatch.setenv("HOMEPORT_HOST_KEY", (server.folder / "host.pub").read_text())
    assert answer(server) == "got apple\n"


def test_a_key_never_seen_is_refused_before_any_login(server: Server) -> None:
    """No pin: HostKeyUnknown with the fingerprint, and sshd saw no key of ours."""
    before = server.log().count("Accepted") + server.log().count("Failed")
    with pytest.raises(HostKeyUnknown) as caught:
        ssh.connect(server.target)
    (problem,) = caught.value.problems
    assert server.host_key.fingerprint in problem.why
    assert "homeport setup" in problem.mend and "HOMEPORT_HOST_KEY" in problem.mend
    assert server.log().count("Accepted") + server.log().count("Failed") == before


@pytest.mark.parametrize("place", ["pins", "user", "environment"])
def test_a_changed_key_is_refused(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    """Another key than the known one, wherever it is known from: HostKeyChanged."""
    other = make_key(tmp_path / "other")
    if place == "pins":
        hostkeys.pin(server.name, other)
        # the user's own file cannot overrule a pin
        (tmp_path / ".ssh").mkdir()
        known = f"{server.name} {server.host_key.text()}\n"
        (tmp_path / ".ssh" / "known_hosts").write_text(known)
    elif place == "user":
        (tmp_path / ".ssh").mkdir()
        (tmp_path / ".ssh" / "known_hosts").write_text(f"{server.name} {other.text()}\n")
    else:
        hostkeys.pin(server.name, server.host_key)
        monkeypatch.setenv("HOMEPORT_HOST_KEY", other.text())
    with pytest.raises(HostKeyChanged) as caught:
        ssh.connect(server.target)
    (problem,) = caught.value.problems
    assert server.host_key.fingerprint in problem.why
    assert "ssh-keygen" in problem.mend and server.name in problem.mend


def test_a_key_of_another_kind_is_a_changed_key(server: Server, tmp_path: Path) -> None:
    """A pin of an ECDSA key does not let an Ed25519 key pass as merely unknown."""
    words = ["ssh-keygen", "-q", "-t", "ecdsa", "-N", "", "-f", str(tmp_path / "other")]
    subprocess.run(words, check=True)
    hostkeys.pin(server.name, hostkeys.read_key((tmp_path / "other.pub").read_text()))
    with pytest.raises(HostKeyChanged):
        ssh.connect(server.target)


def test_the_first_contact_shows_the_key_that_ssh_keygen_shows(server: Server) -> None:
    """The fingerprint is the one a person reads on the host's own screen."""
    shown = subprocess.run(
        ["ssh-keygen", "-lf", str(server.folder / "host.pub")],
        check=True,
        capture_output=True,
        text=True,
    )
    assert ssh.offered_key(server.target) == (server.name, server.host_key)
    assert server.host_key.fingerprint in shown.stdout.split()


def test_a_login_that_is_not_let_in(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A key the host does not accept: LoginRefused, and how to get it authorised."""
    hostkeys.pin(server.name, server.host_key)
    make_key(tmp_path / "stranger")
    monkeypatch.setenv("HOMEPORT_SSH_KEY", str(tmp_path / "stranger"))
    with pytest.raises(LoginRefused) as caught:
        ssh.connect(server.target)
    assert "homeport setup" in caught.value.problems[0].mend


def test_a_login_with_nothing_to_offer(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """No key, no agent, no password: LoginRefused as well, not "cannot be reached"."""
    hostkeys.pin(server.name, server.host_key)
    monkeypatch.delenv("HOMEPORT_SSH_KEY")
    with pytest.raises(LoginRefused) as caught:
        ssh.connect(server.target)
    assert "homeport setup" in caught.value.problems[0].mend


def test_a_key_file_that_is_not_there(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """The variable's own mistake is named as such, before anything is sent."""
    hostkeys.pin(server.name, server.host_key)
    monkeypatch.setenv("HOMEPORT_SSH_KEY", "/nowhere/key")
    with pytest.raises(LoginRefused) as caught:
        ssh.connect(server.target)
    assert caught.value.problems[0].where == "HOMEPORT_SSH_KEY=/nowhere/key"


@pytest.mark.parametrize("kind", ["ed25519", "ecdsa", "rsa"])
def test_a_key_held_in_memory(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """The key's own text logs in, and no other key is tried: not the person's, not an agent's."""
    hostkeys.pin(server.name, server.host_key)
    (tmp_path / ".ssh").mkdir()
    # a key that would be let in, where SSH looks by itself and where its configuration points
    for name in ("id_ed25519", "configured"):
        shutil.copy(server.folder / "mine", tmp_path / ".ssh" / name)
    text = f"Host 127.0.0.1\n  IdentityFile {tmp_path}/.ssh/configured\n"
    (tmp_path / ".ssh" / "config").write_text(text)
    words = ["ssh-keygen", "-q", "-t", kind, "-N", "", "-f", str(tmp_path / "new")]
    subprocess.run(words, check=True)
    private, public = ((tmp_path / name).read_text() for name in ("new", "new.pub"))
    monkeypatch.setenv("HOMEPORT_SSH_KEY", private.replace("\n", "\r\n"))
    with pytest.raises(LoginRefused):
        ssh.connect(server.target)
    authorized = server.folder / "authorized"
    before = authorized.read_text()
    try:
        authorized.write_text(before + public)
        for path in (tmp_path / "new", tmp_path / "new.pub"):
            path.unlink()
        assert answer(server) == "got apple\n"
    finally:
        authorized.write_text(before)
    body = "".join(private.splitlines()[1:3])
    written = [one.read_text(errors="replace") for one in tmp_path.rglob("*") if one.is_file()]
    assert written and not [one for one in written if body in one.replace("\n", "")]


def test_what_is_no_key_is_said_before_anything_is_sent(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The public half pasted by mistake: no connection is made at all."""
    hostkeys.pin(server.name, server.host_key)
    monkeypatch.setenv("HOMEPORT_SSH_KEY", (server.folder / "mine.pub").read_text())
    before = server.log().count("Connection from")
    with pytest.raises(LoginRefused, match="no private key"):
        ssh.connect(server.target)
    assert server.log().count("Connection from") == before
    monkeypatch.setenv("HOMEPORT_SSH_KEY", (server.folder / "mine").read_text())
    assert answer(server) == "got apple\n"
    assert server.log().count("Connection from") > before


@pytest.mark.parametrize("held", ["", "wrong", "garbage"])
def test_a_job_is_told_where_the_hosts_key_comes_from(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, held: str
) -> None:
    """Missing, wrong, no key at all: stopped before a login, with the variable and its source."""
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    value = make_key(tmp_path / "other").text() if held == "wrong" else held
    monkeypatch.setenv("HOMEPORT_HOST_KEY", value)
    before = server.log().count("Accepted") + server.log().count("Failed")
    with pytest.raises(HostKeyChanged if held == "wrong" else HostKeyUnknown) as caught:
        ssh.connect(server.target)
    assert "set the variable HOMEPORT_HOST_KEY" in caught.value.problems[0].mend
    assert server.log().count("Accepted") + server.log().count("Failed") == before


def test_a_locked_key_asks_for_the_agent(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A key with a passphrase: ssh-add mends it."""
    hostkeys.pin(server.name, server.host_key)
    make_key(tmp_path / "locked", "a secret phrase")
    monkeypatch.setenv("HOMEPORT_SSH_KEY", str(tmp_path / "locked"))
    with pytest.raises(LoginRefused) as caught:
        ssh.connect(server.target)
    assert "ssh-add" in caught.value.problems[0].mend


def test_a_host_where_nothing_listens() -> None:
    """A closed port: ConnectError, of its own class, worth trying again."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound and not listening: refused
        with pytest.raises(ConnectError) as caught:
            ssh.connect(HostAddress("127.0.0.1", "nobody", taken.getsockname()[1]))
    assert type(caught.value) is ConnectError and caught.value.retry
    assert "nothing listens there" in caught.value.problems[0].why


def test_a_host_that_is_no_sshd() -> None:
    """Something else that listens: ConnectError, not a traceback."""
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        started = subprocess.Popen(
            [
                "python3",
                "-c",
                "import sys,socket; s=socket.socket(fileno=int(sys.argv[1]));"
                "c,_=s.accept(); c.sendall(b'HTTP/1.1 400 no\\r\\n\\r\\n'); c.close()",
                str(other.fileno()),
            ],
            pass_fds=[other.fileno()],
        )
        try:
            with pytest.raises(ConnectError) as caught:
                ssh.connect(HostAddress("127.0.0.1", "nobody", other.getsockname()[1]))
            assert type(caught.value) is ConnectError
        finally:
            started.kill()
            started.wait(timeout=10)


def test_the_key_that_logged_in_is_known(server: Server) -> None:
    """``setup`` authorises the very key a person came in with."""
    hostkeys.pin(server.name, server.host_key)
    line = ssh.connect(server.target)
    try:
        mine = hostkeys.read_key((server.folder / "mine.pub").read_text())
        assert line.used_key == mine.text()
    finally:
        line.close()


def test_a_connection_that_ends_is_lost_not_finished(server: Server) -> None:
    """A command whose connection is cut has no exit code: -1."""
    hostkeys.pin(server.name, server.host_key)
    line = ssh.connect(server.target)
    pipe = line.run("echo $PPID; exec sleep 60")
    parent = int(pipe.read_line(10))
    os.kill(parent, 9)
    assert pipe.read_line(10) == b""
    code, _ = pipe.finish()
    line.close()
    assert code == -1
