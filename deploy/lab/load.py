"""The load: open loop, counted from the planned arrival, every failure with its author.

    load = Load("http://172.30.0.5", rate=100, seed=1)
    load.start()
    ...
    result = load.stop()
    figures = judge(result, read_audit(copy), holds=holds_seen(result))

Standard library and raw asyncio streams only (`load_http` says why). By hand:
`python -m lab.load http://172.30.0.5 --rate 100 --seconds 30`.
"""

from __future__ import annotations

import asyncio
import resource
import secrets
import sys
import threading
import time
from collections.abc import Mapping
from urllib.parse import urlsplit

from lab.load_http import Answer, BadAnswer, Pool, Stamps, exchange
from lab.load_judge import AuditRow, judge, read_audit
from lab.load_plan import MIX, PATHS, WRITES, Arrival, Bodies, arrivals
from lab.load_record import Hold, Request, Result, holds_seen

__all__ = ["AuditRow", "Hold", "Load", "Request", "Result", "holds_seen", "judge", "read_audit"]

CLIENT_TIMEOUT = 60.0
#: connections that a load may have open at once, where the system grants so many
FILES = 16384


class Load:
    """Requests to `url` at `rate` a second, from a thread of its own, until `stop`.

    `seed` fixes the order of kinds and the sizes. `host_header` replaces the address in `Host`.
    `timeout`: seconds from taking a request up to its last byte. `mix` and `paths` override
    shares and paths by kind (`read`, `write`, `big`, `slow`), for apps without the load layer:
    `mix={"read": 1}, paths={"read": "/"}`.

    Raises ValueError for a URL other than http://host[:port], a rate that is not above 0, or a mix
    or paths with strange kinds.
    """

    def __init__(
        self,
        url: str,
        rate: float = 100,
        seed: int = 1,
        host_header: str | None = None,
        timeout: float = CLIENT_TIMEOUT,
        mix: Mapping[str, int] = MIX,
        paths: Mapping[str, str] = PATHS,
    ) -> None:
        parts = urlsplit(url)
        if parts.scheme != "http" or not parts.hostname or parts.path not in ("", "/"):
            raise ValueError(f"the load takes http://HOST[:PORT] and no path: {url}")
        if rate <= 0:
            raise ValueError(f"the rate is requests a second, above 0: {rate}")
        if set(paths) - set(PATHS):
            raise ValueError(f"paths takes {', '.join(PATHS)}: {dict(paths)}")
        self._pool = Pool(parts.hostname, parts.port or 80)
        self._host = host_header or parts.netloc.rpartition("@")[2]
        self._rate, self._timeout = rate, timeout
        self._order = arrivals(seed, mix)
        next(self._order)  # a bad mix is told here, not in the thread
        self._order = arrivals(seed, mix)
        self._paths = {**PATHS, **paths}
        self._bodies = Bodies(seed)
        # Two loads with one seed must not share ids: the audit table outlives both.
        self._run = secrets.token_hex(4)
        self._done: list[Request] = []
        self._sent = 0
        self._wake: asyncio.Event | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._running = threading.Event()
        self._crash: BaseException | None = None
        self._result: Result | None = None
        self._thread = threading.Thread(target=self._main, name="load", daemon=True)

    def start(self) -> None:
        """Begin; returns once the first arrival is due."""
        _room_for_files()
        self._thread.start()
        self._running.wait()

    def sent(self) -> int:
        """Return how many requests have been handed to an open connection so far."""
        return self._sent

    def stop(self) -> Result:
        """Plan no more arrivals, wait for those in flight (at most `timeout`), return all seen.

        Raises RuntimeError if the load was not started or broke by a fault of its own.
        """
        if not self._thread.ident:
            raise RuntimeError("the load was not started")
        if self._loop and self._wake and self._thread.is_alive():
            try:
                self._loop.call_soon_threadsafe(self._wake.set)
            except RuntimeError:
                pass  # the loop ended between the two lines: nothing left to wake
        self._thread.join()
        if self._result is None:
            raise RuntimeError(f"the load broke: {self._crash!r}") from self._crash
        return self._result

    def _main(self) -> None:
        try:
            self._result = asyncio.run(self._drive())
        except BaseException as error:  # handed to the thread that calls stop()
            self._crash = error
        finally:
            self._running.set()

    async def _drive(self) -> Result:
        self._loop, self._wake = asyncio.get_running_loop(), asyncio.Event()
        start, offset, cpu = time.monotonic(), time.time() - time.monotonic(), time.thread_time()
        self._running.set()
        # The group waits for those in flight; a fault of our own in one of them ends the run aloud.
        async with asyncio.TaskGroup() as group:
            for number, arrival in enumerate(self._order):
                planned = start + number / self._rate
                if await self._stopped_before(planned, self._wake):
                    break
                group.create_task(self._request(number, arrival, planned))
        self._pool.close()
        return Result(
            requests=tuple(sorted(self._done, key=lambda r: r.planned)),
            offset=offset,
            clock_step=time.time() - time.monotonic() - offset,
            elapsed=time.monotonic() - start,
            cpu=time.thread_time() - cpu,
            replaced=self._pool.replaced,
        )

    @staticmethod
    async def _stopped_before(planned: float, wake: asyncio.Event) -> bool:
        """Wait until `planned`, or return True at once when told to stop."""
        delay = planned - time.monotonic()
        if delay > 0 and not wake.is_set():
            try:
                await asyncio.wait_for(wake.wait(), delay)
            except TimeoutError:
                pass
        return wake.is_set()

    async def _request(self, number: int, arrival: Arrival, planned: float) -> None:
        begun = time.monotonic()
        load_id = f"{self._run}-{number:07d}"
        body, digest = b"", ""
        if arrival.kind in WRITES:
            body, digest = self._bodies.make(load_id, arrival.size)
        stamps, answer, error = Stamps(), None, ""
        try:
            async with asyncio.timeout(self._timeout):
                answer = await self._exchange(arrival, load_id, body, stamps)
            if answer.headers.get("x-load-id", load_id) != load_id:
                error = "mixed"
        except (OSError, BadAnswer) as failure:
            error = _name(failure)
        headers = answer.headers if answer else {}
        self._done.append(
            Request(
                id=load_id,
                kind=arrival.kind,
                keepalive=arrival.keepalive,
                planned=planned,
                begun=begun,
                sent=stamps.sent,
                first_byte=stamps.first_byte,
                done=time.monotonic(),
                status=answer.status if answer else None,
                release=headers.get("homeport-release", ""),
                edge=headers.get("homeport-edge", ""),
                error=error,
                sha256=digest,
                idle=stamps.idle,
            )
        )

    async def _exchange(
        self, arrival: Arrival, load_id: str, body: bytes, stamps: Stamps
    ) -> Answer:
        pool = self._pool
        connection = await (pool.take() if arrival.keepalive else pool.fresh())
        self._sent += 1
        whole = False
        try:
            request = self._bytes(arrival, load_id, body)
            answer = await exchange(connection, request, stamps)
            whole = answer.reusable and arrival.keepalive
            return answer
        finally:
            if whole:
                pool.give(connection)
            else:
                connection.close()

    def _bytes(self, arrival: Arrival, load_id: str, body: bytes) -> bytes:
        lines = [
            f"{'POST' if body else 'GET'} {self._paths[arrival.kind]} HTTP/1.1",
            f"Host: {self._host}",
            f"X-Load-Id: {load_id}",
            f"Connection: {'keep-alive' if arrival.keepalive else 'close'}",
        ]
        if body:
            lines += ["Content-Type: application/octet-stream", f"Content-Length: {len(body)}"]
            # Said twice on purpose: a proxy that drops a retried body corrects Content-Length.
            lines.append(f"X-Load-Length: {len(body)}")
        return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


def _room_for_files() -> None:
    """Raise this process's limit of open files to what it may have: in a hold each request has one.

    Shells grant 1,024, which a hold of ten seconds at a hundred requests a second uses up.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = FILES if hard == resource.RLIM_INFINITY else min(FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < most:
        resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))


def _name(failure: Exception) -> str:
    if isinstance(failure, TimeoutError):
        return "timeout"
    if isinstance(failure, ConnectionRefusedError):
        return "refused"
    if isinstance(failure, (ConnectionResetError, BrokenPipeError)):
        return "reset"
    return str(failure) if isinstance(failure, BadAnswer) else type(failure).__name__


if __name__ == "__main__":
    from lab.load_cli import main

    sys.exit(main())
