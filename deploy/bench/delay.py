"""A relay that makes a round trip longer: a far host, where a kernel cannot delay packets."""

from __future__ import annotations

import asyncio
import threading
from types import TracebackType


class Delay:
    """Relays a loopback port to a host's, each direction late by half of ``round_trip`` seconds."""

    def __init__(self, address: str, port: int, round_trip: float) -> None:
        self._target, self._late = (address, port), round_trip / 2
        self._loop = asyncio.new_event_loop()
        self._ready = threading.Event()
        self._thread = threading.Thread(target=self._main, name="delay", daemon=True)
        self.port = 0

    def __enter__(self) -> Delay:
        self._thread.start()
        if not self._ready.wait(10):
            raise TimeoutError("the relay did not start within 10 s")
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    def _main(self) -> None:
        asyncio.set_event_loop(self._loop)
        server = self._loop.run_until_complete(asyncio.start_server(self._serve, "127.0.0.1", 0))
        self.port = int(server.sockets[0].getsockname()[1])
        self._ready.set()
        try:
            self._loop.run_forever()
        finally:
            server.close()
            # what is still being copied ends here, not when somebody collects the garbage
            left = asyncio.all_tasks(self._loop)
            for task in left:
                task.cancel()
            self._loop.run_until_complete(asyncio.gather(*left, return_exceptions=True))
            self._loop.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        # the way there and back of TCP's own handshake
        await asyncio.sleep(self._late * 2)
        try:
            far_reader, far_writer = await asyncio.open_connection(*self._target)
        except OSError:
            writer.close()
            return
        try:
            await asyncio.gather(self._copy(reader, far_writer), self._copy(far_reader, writer))
        except asyncio.CancelledError:
            # the relay is being closed: raising it would only have asyncio complain of it
            return

    async def _copy(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Copy what comes, each piece as late as every other, so that pieces overlap in flight."""
        pieces: asyncio.Queue[tuple[float, bytes]] = asyncio.Queue()

        async def send() -> None:
            while True:
                due, data = await pieces.get()
                await asyncio.sleep(max(0.0, due - self._loop.time()))
                if not data:
                    writer.close()
                    return
                writer.write(data)

        sender = asyncio.create_task(send())
        while True:
            try:
                data = await reader.read(65536)
            except OSError:
                data = b""
            pieces.put_nowait((self._loop.time() + self._late, data))
            if not data:
                break
        await sender
