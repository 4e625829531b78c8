"""SSH: Fabric's connection with the host's key always verified. Nothing else imports Fabric.

Fabric itself accepts any key (it sets AutoAddPolicy and loads no known_hosts), so the keys that are
trusted and the policy are set here, on every connection and on every jump host before it.
"""

from __future__ import annotations

import io
import logging
import socket
from typing import TYPE_CHECKING, Any

from homeport.control import hostkeys, keys, later, refusals
from homeport.control.line import TAIL, Lost, Pipe, grown
from homeport.errors import HomeportError, LoginRefused
from homeport.model import HostAddress

if TYPE_CHECKING:
    from paramiko import Channel, PKey

later.put_off()
CONNECT = 15.0
KEEPALIVE = 15


class SshPipe:
    """A command on the other side of an SSH connection."""

    def __init__(self, channel: Channel) -> None:
        self._channel = channel
        self._pending = b""
        self._errors = b""

    def send(self, data: bytes) -> None:
        try:
            self._channel.settimeout(None)
            self._channel.sendall(data)
        except OSError as error:
            raise Lost(str(error) or "the connection is closed") from None

    def end_input(self) -> None:
        self._channel.shutdown_write()

    def read_line(self, timeout: float) -> bytes:
        while b"\n" not in self._pending:
            self._channel.settimeout(timeout)
            try:
                chunk = self._channel.recv(65536)
            except TimeoutError:
                raise Lost(f"nothing came for {timeout:g} s") from None
            self._drain()
            if not chunk:
                rest, self._pending = self._pending, b""
                return rest
            self._pending = grown(self._pending, chunk)
        line, _, self._pending = self._pending.partition(b"\n")
        return line + b"\n"

    def _drain(self) -> None:
        while self._channel.recv_stderr_ready():
            chunk = self._channel.recv_stderr(65536)
            if not chunk:
                return
            self._errors = (self._errors + chunk)[-TAIL:]

    def finish(self) -> tuple[int, str]:
        # a lost connection has no exit status and would be waited for in vain
        self._channel.status_event.wait(5)
        self._drain()
        return self._channel.exit_status, self._errors.decode("utf-8", "replace")


class SshLine:
    """One SSH connection, opened and verified."""

    def __init__(self, connection: Any) -> None:
        self._connection = connection
        self.user = str(connection.user)
        self.address = str(connection.host)
        self.port = int(connection.port)

    @property
    def where(self) -> str:
        return f"{self.user}@{hostkeys.lookup_name(self.address, self.port)}"

    @property
    def used_key(self) -> str:
        """The public key that logged in, as an authorized_keys line, or "" (a password)."""
        return str(getattr(self._connection.client.get_transport(), "used_key", ""))

    @property
    def host_key(self) -> str:
        """The host's key that was verified, as a line of its .pub file."""
        return _key(self._connection.client.get_transport().get_remote_server_key()).text()

    def run(self, command: str) -> Pipe:
        from paramiko import SSHException

        try:
            channel = self._connection.client.get_transport().open_session(timeout=CONNECT)
            channel.exec_command(command)
        except (SSHException, OSError, AttributeError) as error:
            raise Lost(str(error) or "the connection is closed") from None
        return SshPipe(channel)

    def close(self) -> None:
        self._connection.close()


def connect(target: HostAddress, password: str | None = None) -> SshLine:
    """An open connection to ``target``; raises ConnectError or one of its kinds."""
    import paramiko

    connection = _prepare(target, _credentials(password))
    name = hostkeys.lookup_name(connection.host, connection.port)
    where = f"{connection.user}@{name}"
    try:
        if connection.gateway is None:
            connection.connect_kwargs["sock"] = _dial(connection.host, connection.port)
        connection.open()
        connection.client.get_transport().set_keepalive(KEEPALIVE)
    except (paramiko.SSHException, HomeportError, OSError, EOFError) as error:
        answered = _answered(connection.client.get_transport())
        connection.client.close()
        raise _in_words(error, name, where, answered) from None
    return SshLine(connection)


def pinned(target: HostAddress) -> bool:
    """Whether a key of ``target`` is known; raises HostKeyUnknown where what is given is none."""
    asked = _prepare(target, {})
    return bool(_known(hostkeys.lookup_name(asked.host, asked.port)))


def offered_key(target: HostAddress) -> tuple[str, hostkeys.HostKey]:
    """The name ``target`` is known by and the key it shows now, before anything is trusted."""
    import paramiko

    asked = _prepare(target, {})
    name = hostkeys.lookup_name(asked.host, asked.port)
    try:
        sock = asked.open_gateway() if asked.gateway else _dial(asked.host, asked.port)
        transport = paramiko.Transport(sock)
        try:
            transport.start_client(timeout=CONNECT)
            return name, _key(transport.get_remote_server_key())
        finally:
            transport.close()
    except (paramiko.SSHException, OSError, EOFError) as error:
        raise _in_words(error, name, name, answered=False) from None


def _prepare(target: HostAddress, credentials: dict[str, Any]) -> Any:
    """Fabric's connection to ``target``, not yet open, that trusts only known keys."""
    import fabric

    # paramiko logs tracebacks of failures that are reported in words
    logging.getLogger("paramiko").setLevel(logging.CRITICAL + 1)
    connection = fabric.Connection(
        # Fabric splits host strings at "@" and ":"; an IPv6 address must come in brackets
        host=f"[{target.address}]" if ":" in target.address else target.address,
        user=target.user,
        # 22 is what is meant when nothing is said: then ~/.ssh/config may know better
        port=None if target.port == 22 else target.port,
        connect_timeout=int(CONNECT),
        connect_kwargs=credentials,
    )
    if "pkey" in credentials:
        # what ~/.ssh/config names as the host's key is another one
        connection.connect_kwargs.pop("key_filename", None)
    hop = connection
    while isinstance(hop, fabric.Connection):
        _trust_only_known(hop)
        hop = hop.gateway
    return connection


def _credentials(password: str | None) -> dict[str, Any]:
    kwargs: dict[str, Any] = {"banner_timeout": CONNECT, "auth_timeout": CONNECT}
    kwargs["transport_factory"] = _recording_transport()
    path, value = keys.file(), keys.given()
    if path is not None:
        kwargs["key_filename"] = [str(path)]
    elif value:
        # this key and no other: what else this machine holds is not offered
        kwargs |= {"pkey": _in_memory(value), "look_for_keys": False, "allow_agent": False}
    if password is not None:
        kwargs["password"] = password
    return kwargs


def _in_memory(value: str) -> Any:
    """The key whose text ``value`` is; raises LoginRefused."""
    import paramiko

    kind, text = keys.load(value)
    classes: dict[str, Any] = {
        "ed25519": paramiko.Ed25519Key,
        "ecdsa": paramiko.ECDSAKey,
        "rsa": paramiko.RSAKey,
    }
    return classes[kind].from_private_key(io.StringIO(text))


def _recording_transport() -> Any:
    """A Transport that remembers the key that logged in: ``setup`` authorises that one."""
    import paramiko

    class Recording(paramiko.Transport):
        used_key = ""

        def auth_publickey(self, username: str, key: PKey, event: Any = None) -> list[str]:
            more = super().auth_publickey(username, key, event)
            self.used_key = _key(key).text()
            return more

    return Recording


def _dial(address: str, port: int) -> socket.socket:
    sock = socket.create_connection((address, port), timeout=CONNECT)
    # without it every exec waits ~42 ms for Nagle
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


def _trust_only_known(connection: Any) -> None:
    """Loads the keys trusted for this connection's host; any other key ends it."""
    import paramiko

    class Refuse(paramiko.MissingHostKeyPolicy):
        def missing_host_key(self, client: Any, hostname: str, key: PKey) -> None:
            raise refusals.unknown(hostname, _key(key))

    name = hostkeys.lookup_name(connection.host, connection.port)
    trusted = connection.client.get_host_keys()
    trusted.clear()
    for kind, key in _known(name):
        trusted.add(name, kind, key)
    connection.client.set_missing_host_key_policy(Refuse())


def _known(name: str) -> list[tuple[str, PKey]]:
    """The keys the first place that knows ``name`` holds for it."""
    from paramiko.hostkeys import HostKeyEntry, HostKeys, InvalidHostKey

    try:
        given = hostkeys.from_environment()
    except ValueError as error:
        raise refusals.no_host_key(str(error)) from None
    texts = [f"{name} {key.text()}" for key in given]
    files = [path.read_text(errors="replace") for path in hostkeys.places() if path.is_file()]
    for text in ["\n".join(texts), *files]:
        entries = HostKeys()
        for number, line in enumerate(text.splitlines(), 1):
            try:
                entry = HostKeyEntry.from_line(line, number)
            except InvalidHostKey:
                continue  # another tool's line; it can only make a key unknown, never trusted
            if entry is not None and entry.key is not None:
                for one in entry.hostnames or ():
                    entries.add(one, entry.key.get_name(), entry.key)
        found = entries.lookup(name)
        if found:
            return [(kind, found[kind]) for kind in found.keys()]
    return []


def _key(key: PKey) -> hostkeys.HostKey:
    return hostkeys.HostKey(key.get_name(), key.get_base64())


def _answered(transport: Any) -> bool:
    """Whether the host has shown its key and is still there."""
    import paramiko

    try:
        return transport is not None and bool(transport.get_remote_server_key())
    except paramiko.SSHException:
        return False


def _in_words(error: Exception, name: str, where: str, answered: bool) -> Exception:
    """What a failed connection means; ``answered``: the host is still there to talk to."""
    import paramiko

    if isinstance(error, HomeportError):
        return error
    if isinstance(error, paramiko.BadHostKeyException):
        return refusals.changed(name, _key(error.key))
    if isinstance(error, paramiko.PasswordRequiredException):
        mend = "ssh-add, then the same again"
        return LoginRefused.of("the key is locked with a passphrase", where, mend=mend)
    # with no key at all to offer, paramiko raises its plainest error
    if isinstance(error, paramiko.AuthenticationException) or answered:
        return refusals.login(where, str(error))
    if isinstance(error, paramiko.SSHException):
        return refusals.mute(where, str(error))
    return refusals.unreachable(where, error, CONNECT)
