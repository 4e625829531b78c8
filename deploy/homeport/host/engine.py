"""The Docker Engine over its unix socket: a kept connection, JSON in and out.

Source of the calls: the Engine API's reference, version 1.41 (Docker 20.10) and later.
"""

from __future__ import annotations

import http.client
import json
import os
import struct
from typing import Any, BinaryIO, Callable, Iterator
from urllib.parse import quote, urlencode

from homeport.errors import HostFault, ImageMissing, Problem, RegistryError
from homeport.host.unix import UnixConnection

SOCKET = "/var/run/docker.sock"
API = "/v1.41"
#: longer than any stop grace a compose file should ask for, in seconds
PATIENCE = 330.0


class EngineError(HostFault):
    """The Engine answered with an error; ``status`` is its HTTP status."""

    status = 0


def _fault(what: str, status: int = 0) -> EngineError:
    error = EngineError(Problem(what, "Docker Engine", "", "docker info; journalctl -u docker"))
    error.status = status
    return error


class Engine:
    """What the agent asks of the Docker Engine, each call a method."""

    def __init__(self, path: str | None = None) -> None:
        self._path = path or os.environ.get("HOMEPORT_DOCKER_SOCKET", SOCKET)
        self._kept: UnixConnection | None = None

    # --- the calls themselves
    def call(
        self, method: str, path: str, body: Any = None, query: dict[str, Any] | None = None
    ) -> Any:
        """One request, its JSON answer; raises EngineError for a status of 400 and above."""
        data = (
            b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()
        )
        kind = "application/x-tar" if isinstance(body, bytes) else "application/json"
        url = API + path + (f"?{urlencode(query)}" if query else "")
        try:
            answer = self._send(method, url, data, {"Content-Type": kind})
            text = answer.read()
        except (OSError, http.client.HTTPException) as error:
            self._kept = None
            raise _fault(f"the Docker Engine does not answer: {error}") from error
        if answer.status >= 400:
            raise _fault(_message(text) or f"{method} {path}: {answer.status}", answer.status)
        return json.loads(text) if text.strip() else None

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
        connection = UnixConnection(self._path, timeout)
        data = b"" if body is None else json.dumps(body).encode()
        url = API + path + (f"?{urlencode(query)}" if query else "")
        try:
            connection.request(
                method, url, data, {"Content-Type": "application/json", **(headers or {})}
            )
            answer = connection.getresponse()
        except (OSError, http.client.HTTPException) as error:
            raise _fault(f"the Docker Engine does not answer: {error}") from error
        if answer.status >= 400:
            raise _fault(_message(answer.read()), answer.status)
        return answer

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
        self.call("POST", f"/containers/{quote(name)}/update", {"RestartPolicy": rule})

    def run_in(self, name: str, command: list[str]) -> tuple[int, str]:
        """Run a command in a running container: its exit code and the end of its output."""
        body = {"AttachStdout": True, "AttachStderr": True, "Cmd": command}
        made = self.call("POST", f"/containers/{quote(name)}/exec", body)
        answer = self.stream("POST", f"/exec/{made['Id']}/start", {"Detach": False, "Tty": False})
        output = b"".join(data for _, data in _frames(answer))
        code = self.call("GET", f"/exec/{made['Id']}/json").get("ExitCode")
        return int(code if code is not None else -1), output[-2000:].decode("utf-8", "replace")

    def logs(self, name: str, lines: int = 20) -> str:
        """The last lines a container wrote."""
        query = {"stdout": "1", "stderr": "1", "tail": str(lines)}
        try:
            answer = self.stream("GET", f"/containers/{quote(name)}/logs", query=query)
        except EngineError:
            return ""
        return b"".join(data for _, data in _frames(answer)).decode("utf-8", "replace").strip()

    def follow(self, name: str, lines: int) -> Iterator[bytes]:
        """What a container writes, as it comes, beginning with its last lines."""
        query = {"stdout": "1", "stderr": "1", "tail": str(lines), "follow": "1"}
        answer = self.stream("GET", f"/containers/{quote(name)}/logs", query=query, timeout=86400)
        for _, data in _frames(answer):
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
            name, tag = _split_tag(ref)
        headers = {"X-Registry-Auth": auth} if auth else {}
        query = {"fromImage": name, "tag": tag}
        try:
            answer = self.stream("POST", "/images/create", query=query, headers=headers)
            _read_pull(answer, ref, progress)
        except EngineError as error:
            raise _pull_failed(ref, error.problems[0].what, error.status) from error

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

    def connect(self, network: str, container: str) -> None:
        """Join a container to a network; nothing if it is there already."""
        try:
            self.call("POST", f"/networks/{quote(network)}/connect", {"Container": container})
        except EngineError as error:
            if error.status not in (403, 409) or "already" not in str(error):
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


def _message(text: bytes) -> str:
    try:
        return str(json.loads(text).get("message", ""))
    except (ValueError, AttributeError):
        return text.decode("utf-8", "replace").strip()


def _frames(stream: http.client.HTTPResponse | BinaryIO) -> Iterator[tuple[int, bytes]]:
    """Docker's multiplexed output: eight bytes of head (stream, length) before each part."""
    while True:
        head = stream.read(8)
        if len(head) < 8:
            return
        kind, length = struct.unpack(">BxxxL", head)
        yield kind, stream.read(length)


def _split_tag(ref: str) -> tuple[str, str]:
    head, _, tail = ref.rpartition(":")
    return (head, tail) if head and "/" not in tail else (ref, "latest")


def _read_pull(
    answer: http.client.HTTPResponse, ref: str, progress: Callable[[int, int], None]
) -> None:
    done: dict[str, int] = {}
    total: dict[str, int] = {}
    for line in answer:
        if not line.strip():
            continue
        event = json.loads(line)
        if "error" in event:
            raise _pull_failed(ref, str(event["error"]), 0)
        detail = event.get("progressDetail") or {}
        if event.get("status") == "Downloading" and detail.get("total"):
            done[event["id"]], total[event["id"]] = int(detail["current"]), int(detail["total"])
            progress(sum(done.values()), sum(total.values()))


def _pull_failed(ref: str, why: str, status: int) -> RegistryError:
    mend = "docker login where you deploy from, then deploy again"
    if status == 404:
        return ImageMissing(Problem("the image cannot be pulled", ref, why, "check its name"))
    return RegistryError(Problem("the image cannot be pulled", ref, why, mend))
