"""The Docker Engine over its unix socket: a kept connection, JSON in and out.

Source of the calls: the Engine API's reference, version 1.41 (Docker 20.10) and later. They are
made in 1.41 or, where an Engine knows that no more, in the oldest that it does.
"""

from __future__ import annotations

import http.client
import json
import os
import socket
from contextlib import suppress
from typing import Any, Callable, Iterator, Sequence
from urllib.parse import quote, urlencode

from homeport.host import pull as pulls
from homeport.host.faults import EngineError, api, fault, message, pull_failed, silent
from homeport.host.unix import UnixConnection, frames

SOCKET = "/var/run/docker.sock"
#: longer than any stop grace a compose file should ask for, in seconds
PATIENCE = 330.0
#: a pull without any progress for so many seconds is over. The Engine tells of every half megabyte
#: that it takes in or unpacks; writing a large layer out to a slow SD card is its longest silence
PULL_SILENCE = 120.0


class Engine:
    """What the agent asks of the Docker Engine, each call a method."""

    def __init__(self, path: str | None = None) -> None:
        self._path = path or os.environ.get("HOMEPORT_DOCKER_SOCKET", SOCKET)
        self._kept: UnixConnection | None = None
        self._api = ""
        self._streaming: socket.socket | None = None

    # --- the calls themselves
    def call(
        self, method: str, path: str, body: Any = None, query: dict[str, Any] | None = None
    ) -> Any:
        """One request, its JSON answer; raises EngineError for a status of 400 and above."""
        data = (
            b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
        )
        kind = "application/x-tar" if isinstance(body, bytes) else "application/json"
        status, text = self._ask(method, self._url(path, query), data, kind)
        if status >= 400:
            raise fault(message(text) or f"{method} {path}: {status}", status)
        return json.loads(text) if text.strip() else None

    def _url(self, path: str, query: dict[str, Any] | None) -> str:
        if not self._api:
            status, text = self._ask("GET", "/version", b"", "application/json")
            if status >= 400:
                raise fault(message(text), status)
            self._api = api(json.loads(text))
        return self._api + path + (f"?{urlencode(query)}" if query else "")

    def _ask(self, method: str, url: str, data: bytes, kind: str) -> tuple[int, bytes]:
        try:
            answer = self._send(method, url, data, {"Content-Type": kind})
            return answer.status, answer.read()
        except (OSError, http.client.HTTPException) as error:
            self._kept = None
            raise silent(self._path, error) from error

    def _send(
        self, method: str, url: str, data: bytes, headers: dict[str, str]
    ) -> http.client.HTTPResponse:
        kept, self._kept = self._kept, None
        for connection in (kept, None):
            if connection is None:
                connection = UnixConnection(self._path, PATIENCE)
            try:
                connection.request(method, url, data, headers)
                answer = connection.getresponse()
            except (http.client.RemoteDisconnected, BrokenPipeError, ConnectionResetError):
                if connection is not kept:
                    raise
                continue
            self._kept = connection
            return answer
        raise OSError("no connection")

    def stream(
        self,
        method: str,
        path: str,
        body: Any = None,
        query: dict[str, Any] | None = None,
        headers: dict[str, str] | None = None,
        timeout: float = PATIENCE,
    ) -> http.client.HTTPResponse:
        """A request on a connection of its own, whose answer is read as it comes."""
        url = self._url(path, query)
        connection = UnixConnection(self._path, timeout)
        data = b"" if body is None else json.dumps(body).encode()
        try:
            connection.connect()
            self._streaming = connection.sock
            connection.request(
                method, url, data, {"Content-Type": "application/json", **(headers or {})}
            )
            answer = connection.getresponse()
        except (OSError, http.client.HTTPException) as error:
            raise silent(self._path, error) from error
        if answer.status >= 400:
            raise fault(message(answer.read()), answer.status)
        return answer

    def cut(self) -> None:
        """End the stream that was opened last, from another thread: its reader finds no more."""
        if self._streaming is not None:
            with suppress(OSError):
                self._streaming.shutdown(socket.SHUT_RDWR)

    # --- the host
    def info(self) -> dict[str, Any]:
        """``docker info``."""
        return dict(self.call("GET", "/info"))

    # --- containers
    def containers(self, *labels: str) -> list[dict[str, Any]]:
        """All containers, running or not, that carry these labels (``name`` or ``name=value``)."""
        query = {"all": "1", "filters": json.dumps({"label": list(labels)})}
        return list(self.call("GET", "/containers/json", query=query))

    def inspect(self, name: str) -> dict[str, Any] | None:
        """One container, or None where there is none by that name or id."""
        return self._maybe(f"/containers/{quote(name)}/json")

    def create(self, name: str, body: dict[str, Any]) -> str:
        """Create a container; its id."""
        return str(self.call("POST", "/containers/create", body, {"name": name})["Id"])

    def start(self, name: str) -> None:
        """Start a container; nothing if it runs."""
        self.call("POST", f"/containers/{quote(name)}/start")

    def stop(self, name: str, within: int | None = None) -> None:
        """Stop a container and wait for its end; its own grace unless seconds are given."""
        query = None if within is None else {"t": within}
        self.call("POST", f"/containers/{quote(name)}/stop", query=query)

    def rename(self, name: str, new: str) -> None:
        """Give a container another name."""
        self.call("POST", f"/containers/{quote(name)}/rename", query={"name": new})

    def remove(self, name: str) -> None:
        """Remove a container and its anonymous volumes; nothing if it is gone."""
        try:
            self.call("DELETE", f"/containers/{quote(name)}", query={"v": "1", "force": "1"})
        except EngineError as error:
            if error.status not in (404, 409):
                raise

    def set_policy(self, name: str, policy: str) -> None:
        """Give a container a restart policy as Compose writes it: ``on-failure:3``, ``always``."""
        kind, _, count = policy.partition(":")
        rule = {"Name": kind or "no", "MaximumRetryCount": int(count or 0)}
        for left in (2, 1, 0):
            try:
                self.call("POST", f"/containers/{quote(name)}/update", {"RestartPolicy": rule})
                return
            except EngineError:
                if not left:
                    raise
            # one that crashes over and over cannot be changed between two starts: that ends first
            if ((self.inspect(name) or {}).get("State") or {}).get("Restarting"):
                self.stop(name, 0)

    def run_in(self, name: str, command: list[str], timeout: float = PATIENCE) -> tuple[int, str]:
        """Run a command in a running container: its exit code and the end of its output.

        Raises TimeoutError after so many seconds of silence; the command itself may go on.
        """
        body = {"AttachStdout": True, "AttachStderr": True, "Cmd": command}
        made = self.call("POST", f"/containers/{quote(name)}/exec", body)
        url, body = f"/exec/{made['Id']}/start", {"Detach": False, "Tty": False}
        answer = self.stream("POST", url, body, timeout=timeout)
        output = b"".join(data for _, data in frames(answer))
        code = self.call("GET", f"/exec/{made['Id']}/json").get("ExitCode")
        return int(code if code is not None else -1), output[-2000:].decode("utf-8", "replace")

    def logs(self, name: str, lines: int = 20, until: float = 0.0) -> str:
        """The last lines a container wrote, up to an instant where one is given."""
        query = {"stdout": "1", "stderr": "1", "tail": str(lines)}
        if until:
            query["until"] = f"{until:.9f}"
        try:
            answer = self.stream("GET", f"/containers/{quote(name)}/logs", query=query)
        except EngineError:
            return ""
        return b"".join(data for _, data in frames(answer)).decode("utf-8", "replace").strip()

    def follow(self, name: str, lines: int) -> Iterator[bytes]:
        """What a container writes, as it comes, beginning with its last lines."""
        query = {"stdout": "1", "stderr": "1", "tail": str(lines), "follow": "1"}
        answer = self.stream("GET", f"/containers/{quote(name)}/logs", query=query, timeout=86400)
        for _, data in frames(answer):
            yield data

    def put(self, name: str, path: str, tar: bytes) -> None:
        """Unpack a tar inside a container, with the owners it names."""
        self.call("PUT", f"/containers/{quote(name)}/archive", tar, {"path": path})

    def read_file(self, name: str, path: str) -> bytes:
        """A tar that holds one file of a container; empty where there is none."""
        try:
            url = f"/containers/{quote(name)}/archive"
            return self.stream("GET", url, query={"path": path}).read()
        except EngineError as error:
            if error.status == 404:
                return b""
            raise

    # --- images
    def image(self, ref: str) -> dict[str, Any] | None:
        """An image on the host, or None."""
        return self._maybe(f"/images/{quote(ref, safe='/:@')}/json")

    def pull(self, ref: str, auth: str, progress: Callable[[int, int], None]) -> None:
        """Pull an image by its pinned reference; ``progress`` is told bytes done and in all."""
        name, _, tag = ref.partition("@")
        if not tag:
            name, tag = pulls.split_tag(ref)
        headers = {"X-Registry-Auth": auth} if auth else {}
        query = {"fromImage": name, "tag": tag}
        quiet = f"no progress for {PULL_SILENCE:g} s"
        try:
            answer = self.stream(
                "POST", "/images/create", query=query, headers=headers, timeout=PULL_SILENCE
            )
            pulls.read(answer, ref, progress)
        except TimeoutError as error:
            raise pull_failed(ref, quiet) from error
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise pull_failed(ref, f"the Engine's answer broke off: {error}") from error
        except EngineError as error:
            late = isinstance(error.__cause__, TimeoutError)
            why = quiet if late else error.problems[0].what
            raise pull_failed(ref, why, error.status) from error

    def tag(self, ref: str, repo: str, tag: str) -> None:
        """Give an image one more name."""
        url = f"/images/{quote(ref, safe='/:@')}/tag"
        self.call("POST", url, query={"repo": repo, "tag": tag})

    def untag(self, ref: str) -> None:
        """Take a name from an image, and the image with its last; nothing if in use or gone."""
        try:
            self.call("DELETE", f"/images/{quote(ref, safe='/:@')}")
        except EngineError as error:
            if error.status not in (404, 409):
                raise

    # --- networks and volumes
    def network(self, name: str) -> dict[str, Any] | None:
        """A network, or None."""
        return self._maybe(f"/networks/{quote(name)}")

    def ranges(self, name: str) -> tuple[list[str], list[str]]:
        """The ranges of a network's addresses, and its gateways; none where there is no network."""
        pools = ((self.network(name) or {}).get("IPAM") or {}).get("Config") or []
        found = ([str(pool.get(key) or "") for pool in pools] for key in ("Subnet", "Gateway"))
        subnets, gateways = ([one for one in every if one] for every in found)
        return subnets, gateways

    def connect(self, network: str, container: str, names: Sequence[str] = ()) -> None:
        """Join a container to a network, also under these names; nothing if it is there already."""
        body = {"Container": container, "EndpointConfig": {"Aliases": list(names)}}
        try:
            self.call("POST", f"/networks/{quote(network)}/connect", body)
        except EngineError as error:
            if error.status not in (403, 409) or "already" not in str(error):
                raise

    def leave(self, network: str, container: str) -> None:
        """Take a container from a network; nothing if either is not there."""
        body = {"Container": container, "Force": True}
        try:
            self.call("POST", f"/networks/{quote(network)}/disconnect", body)
        except EngineError as error:
            if error.status not in (403, 404) and "not connected" not in str(error):
                raise

    def volume(self, name: str) -> dict[str, Any] | None:
        """A volume, or None."""
        return self._maybe(f"/volumes/{quote(name)}")

    def _maybe(self, path: str) -> dict[str, Any] | None:
        try:
            return dict(self.call("GET", path))
        except EngineError as error:
            if error.status == 404:
                return None
            raise
