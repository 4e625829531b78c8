"""A small HTTP/1.1 client on raw asyncio streams.

Not aiohttp or httpx: a pool that retries on its own, or a parser that forgives a short body,
would hide the very failures that the load is there to find, and every part between the stamp and
the socket adds its own time to the figure.
"""

from __future__ import annotations

import asyncio
import os
import select
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field

CHUNK = 64 * 1024
# Idle connections beyond these are closed: after a hold hundreds come back at once, and a server
# would close the surplus by itself while a request is on its way there.
IDLE_CONNECTIONS = 32


class BadAnswer(Exception):
    """The peer's bytes are not a whole HTTP/1.1 answer; the text says in a word what is wrong."""


@dataclass(frozen=True)
class Answer:
    """A whole answer: status, headers by lower-case name, whether the connection may stay."""

    status: int
    headers: Mapping[str, str]
    reusable: bool


@dataclass
class Stamps:
    """When it happened, `time.monotonic()` seconds; None for what has not happened.

    `idle`: for how long the connection had been idle before.
    """

    sent: float | None = None
    first_byte: float | None = None
    idle: float | None = None


@dataclass
class Connection:
    """One TCP connection and its two streams."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter
    kept_since: float | None = None

    def closed_by_peer(self) -> bool:
        """Whether the peer has closed, or sent what nobody asked for: asked of the kernel itself.

        The event loop may not have seen a FIN that has already arrived, hence poll(2).
        """
        if self.reader.at_eof() or self.writer.is_closing():
            return True
        poll = select.poll()
        events = select.POLLIN | select.POLLRDHUP | select.POLLHUP | select.POLLERR
        poll.register(self.writer.get_extra_info("socket").fileno(), events)
        return bool(poll.poll(0))

    def close(self) -> None:
        """Drop the connection at once; what was not sent stays unsent."""
        self.writer.transport.abort()


class _Telling(asyncio.StreamReaderProtocol):
    """Streams that tell of an answer which came before the connection broke.

    A server may answer before it has the whole body, and close: RFC 9112, 9.5, has clients look for
    that while they send, as curl and browsers do. The loop may meet the broken pipe first, and
    would close the socket with the answer unread in it.
    """

    def __init__(self, reader: asyncio.StreamReader) -> None:
        super().__init__(reader)
        self._answer, self._socket = reader, -1

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Note the socket: the transport may not tell of it later."""
        super().connection_made(transport)
        self._socket = transport.get_extra_info("socket").fileno()

    def connection_lost(self, exc: Exception | None) -> None:
        """Hand on what is left in the socket, which is closed after this."""
        left = b"".join(iter(self._more, b"")) if exc else b""
        if left:
            self._answer.feed_data(left)
            exc = None
        super().connection_lost(exc)

    def _more(self) -> bytes:
        try:
            return os.read(self._socket, CHUNK)
        except OSError:
            return b""


@dataclass
class Pool:
    """Kept connections to one address, the longest idle first, so that each is used in its turn."""

    host: str
    port: int
    idle: deque[Connection] = field(default_factory=deque)
    replaced: int = 0

    async def fresh(self) -> Connection:
        """Open a connection. Raises OSError."""
        loop, reader = asyncio.get_running_loop(), asyncio.StreamReader(limit=CHUNK)
        transport, protocol = await loop.create_connection(
            lambda: _Telling(reader), self.host, self.port
        )
        return Connection(reader, asyncio.StreamWriter(transport, protocol, reader, loop))

    async def take(self) -> Connection:
        """Return a kept connection that is open now, else a fresh one. Raises OSError.

        One found closed is dropped before a byte of the next request was sent on it, and counted
        in `replaced`: any client does so, and no request has failed.
        """
        while self.idle:
            kept = self.idle.popleft()
            if not kept.closed_by_peer():
                return kept
            self.replaced += 1
            kept.close()
        return await self.fresh()

    def give(self, connection: Connection) -> None:
        """Take a connection back for the next request."""
        connection.kept_since = time.monotonic()
        if len(self.idle) < IDLE_CONNECTIONS:
            self.idle.append(connection)
        else:
            connection.close()

    def close(self) -> None:
        """Close what is idle."""
        while self.idle:
            self.idle.popleft().close()


async def exchange(connection: Connection, request: bytes, stamps: Stamps) -> Answer:
    """Send one request and read the whole answer, stamping both in `stamps`.

    Raises BadAnswer for an answer that is cut short or no HTTP, OSError for a broken connection.
    """
    stamps.sent = time.monotonic()
    if connection.kept_since is not None:
        stamps.idle = stamps.sent - connection.kept_since
    # No drain: an answer given before the whole body was read must still be seen.
    connection.writer.write(request)
    try:
        return await _read_answer(connection.reader, stamps)
    except asyncio.IncompleteReadError as error:
        where = "closed" if stamps.first_byte is None else "short"
        raise BadAnswer(where) from error
    except (asyncio.LimitOverrunError, ValueError) as error:
        raise BadAnswer("garbage") from error


async def _read_answer(reader: asyncio.StreamReader, stamps: Stamps) -> Answer:
    first = await reader.readexactly(1)
    stamps.first_byte = time.monotonic()
    status, headers, version = _parse(first + await reader.readuntil(b"\r\n\r\n"))
    while 100 <= status < 200:
        status, headers, version = _parse(await reader.readuntil(b"\r\n\r\n"))
    framed = await _skip_body(reader, status, headers)
    stays = framed and version == "HTTP/1.1" and headers.get("connection", "").lower() != "close"
    return Answer(status, headers, stays)


def _parse(head: bytes) -> tuple[int, dict[str, str], str]:
    first, *lines = head[:-4].decode("latin-1").split("\r\n")
    version, status, *_ = first.split(" ", 2)
    if not version.startswith("HTTP/1."):
        raise ValueError(first)
    pairs = (line.partition(":") for line in lines)
    return int(status), {name.lower(): value.strip() for name, _, value in pairs}, version


async def _skip_body(reader: asyncio.StreamReader, status: int, headers: Mapping[str, str]) -> bool:
    """Read the body to its end; return whether its length was announced (else: to the close)."""
    if status in (204, 304):
        return True
    if headers.get("transfer-encoding", "").lower() == "chunked":
        while size := int((await _line(reader)).split(b";")[0], 16):
            await _skip(reader, size)
            await reader.readexactly(2)
        while await _line(reader):
            pass  # trailers
        return True
    if "content-length" in headers:
        await _skip(reader, int(headers["content-length"]))
        return True
    while await reader.read(CHUNK):
        pass
    return False


async def _line(reader: asyncio.StreamReader) -> bytes:
    return (await reader.readuntil(b"\r\n"))[:-2]


async def _skip(reader: asyncio.StreamReader, size: int) -> None:
    while size:
        part = await reader.read(min(size, CHUNK))
        if not part:
            raise asyncio.IncompleteReadError(b"", size)
        size -= len(part)
