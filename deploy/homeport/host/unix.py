"""HTTP over a unix socket: how the Engine, the edge's admin and a slot are asked."""

from __future__ import annotations

import http.client
import socket
import struct
from typing import BinaryIO, Iterator


class UnixConnection(http.client.HTTPConnection):
    """An HTTP connection to the socket at ``path``; ``host`` is what the Host header says."""

    def __init__(self, path: str, timeout: float, host: str = "localhost") -> None:
        super().__init__(host, timeout=timeout)
        self._path = path

    def connect(self) -> None:
        """Open the socket; raises OSError."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


def frames(stream: http.client.HTTPResponse | BinaryIO) -> Iterator[tuple[int, bytes]]:
    """Docker's multiplexed output: eight bytes of head (stream, length) before each part."""
    while True:
        head = stream.read(8)
        if len(head) < 8:
            return
        kind, length = struct.unpack(">BxxxL", head)
        yield kind, stream.read(length)
