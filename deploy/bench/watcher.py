"""Which release answers, asked every few milliseconds from outside."""

from __future__ import annotations

import http.client
import threading
import time

PACE = 0.03


class Watcher:
    """Asks ``path`` in a loop and notes when the answering release changes."""

    def __init__(self, address: str, port: int = 80, path: str = "/version") -> None:
        self._address, self._port, self._path = address, port, path
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._main, name="watcher", daemon=True)
        #: (wall clock of the first answer, release)
        self.seen: list[tuple[float, str]] = []

    def start(self) -> Watcher:
        """Begin to ask."""
        self._thread.start()
        return self

    def stop(self) -> list[tuple[float, str]]:
        """End; every change of the answering release with its instant, the first one included."""
        self._end.set()
        self._thread.join(70)
        return self.seen

    def _main(self) -> None:
        while not self._end.is_set():
            release = self._ask()
            if release and (not self.seen or self.seen[-1][1] != release):
                self.seen.append((time.time(), release))
            time.sleep(PACE)

    def _ask(self) -> str:
        connection = http.client.HTTPConnection(self._address, self._port, timeout=60)
        try:
            connection.request("GET", self._path)
            answer = connection.getresponse()
            answer.read()
            return answer.getheader("Homeport-Release") or ""
        except (OSError, http.client.HTTPException):
            return ""
        finally:
            connection.close()
