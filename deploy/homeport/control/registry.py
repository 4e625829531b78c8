"""Asks a registry, by its HTTP API, which image a name means today: digest, platforms, size."""

from __future__ import annotations

import hashlib
import json
import re
import time
import urllib.error
import urllib.parse
import urllib.request
from dataclasses import dataclass
from http.client import HTTPException, HTTPMessage
from typing import Any, Mapping

from homeport.control.credentials import Credentials
from homeport.control.reference import Reference
from homeport.errors import ImageMissing, Problem, RegistryError
from homeport.model import Image

#: for each answer of a registry, and for all of a body, in seconds
TIMEOUT = 15.0
#: a manifest or an image's configuration is never larger
LIMIT = 8 * 1024 * 1024
INDEXES = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
)
MANIFESTS = (
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)


@dataclass(frozen=True)
class Answer:
    """What the registry said: body and headers."""

    body: bytes
    headers: Mapping[str, str]

    def json(self) -> dict[str, Any]:
        data = json.loads(self.body)
        return data if isinstance(data, dict) else {}


def resolve(ref: Reference, login: Credentials | None, as_typed: str) -> Image:
    """The image that ``ref`` means; raises ImageMissing or RegistryError, with what mends it."""
    registry = Registry(ref, login)
    try:
        top = registry.get(f"/manifests/{ref.digest or ref.tag}", (*INDEXES, *MANIFESTS))
        digest = "sha256:" + hashlib.sha256(top.body).hexdigest()
        if ref.digest and ref.digest != digest:
            raise registry.wrong("its answer does not have the digest that was asked for")
        manifest = top.json()
        if "manifests" in manifest:
            platforms, size = _of_index(registry, manifest)
        else:
            platforms, size = _of_manifest(registry, manifest)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise registry.wrong(f"its answer is not understood: {error}") from None
    return Image(as_typed, digest, platforms, size)


def _of_index(registry: Registry, index: Mapping[str, Any]) -> tuple[tuple[str, ...], int]:
    """Platforms of all entries; the size of the largest of them, since one will be pulled."""
    platforms, size = [], 0
    for entry in index["manifests"]:
        name = _platform(entry.get("platform") or {})
        if name.startswith("unknown"):
            continue  # attestations are listed like images
        platforms.append(name)
        child = registry.get(f"/manifests/{entry['digest']}", MANIFESTS).json()
        size = max(size, sum(int(layer["size"]) for layer in child.get("layers", ())))
    return tuple(sorted(set(platforms))), size


def _of_manifest(registry: Registry, manifest: Mapping[str, Any]) -> tuple[tuple[str, ...], int]:
    config = registry.get(f"/blobs/{manifest['config']['digest']}").json()
    return (_platform(config),), sum(int(layer["size"]) for layer in manifest["layers"])


def _platform(data: Mapping[str, Any]) -> str:
    parts = [data.get("os") or "linux", data.get("architecture") or "unknown", data.get("variant")]
    return "/".join(str(part) for part in parts if part)


def _body(response: Any) -> bytes:
    """What it says, as far as a manifest can go; raises TimeoutError where it dribbles."""
    end, body = time.monotonic() + TIMEOUT, b""
    while len(body) < LIMIT and (chunk := response.read1(65536)):
        body += chunk
        if time.monotonic() > end:
            raise TimeoutError(f"its answer is not complete after {TIMEOUT:g} s")
    return body


class _Redirects(urllib.request.HTTPRedirectHandler):
    """Follows redirects, as blobs need, but never from https to http."""

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: Any,
        code: int,
        msg: str,
        headers: HTTPMessage,
        newurl: str,
    ) -> urllib.request.Request | None:
        if req.type == "https" and not newurl.startswith("https:"):
            return None
        return super().redirect_request(req, fp, code, msg, headers, newurl)


class Registry:
    """The HTTP API of one repository, with the token dance done once."""

    def __init__(self, ref: Reference, login: Credentials | None) -> None:
        self._ref = ref
        self._login = login
        self._authorization = ""
        handlers: list[urllib.request.BaseHandler] = [_Redirects()]
        if ref.loopback:
            handlers.append(urllib.request.ProxyHandler({}))
        self._opener = urllib.request.build_opener(*handlers)

    def get(self, path: str, accept: tuple[str, ...] = ()) -> Answer:
        """The answer to a GET below the repository; raises RegistryError or a kind of it."""
        url = self._ref.api + path
        try:
            return self._fetch(url, accept)
        except urllib.error.HTTPError as error:
            if error.code != 401 or self._authorization:
                raise self._failed(error) from None
            challenge = str(error.headers.get("WWW-Authenticate", ""))
        self._authorization = self._answer(challenge)
        try:
            return self._fetch(url, accept)
        except urllib.error.HTTPError as error:
            raise self._failed(error) from None

    def _fetch(self, url: str, accept: tuple[str, ...] = (), data: bytes | None = None) -> Answer:
        request = urllib.request.Request(url, data=data)
        request.add_header("Accept", ", ".join(accept) or "*/*")
        if self._authorization:
            # unredirected: a token is for the registry, not for the storage it points to
            request.add_unredirected_header("Authorization", self._authorization)
        try:
            with self._opener.open(request, timeout=TIMEOUT) as response:
                return Answer(_body(response), dict(response.headers.items()))
        except urllib.error.HTTPError:
            raise
        except (OSError, HTTPException) as error:
            why = str(getattr(error, "reason", "") or error)
            raise RegistryError.of(
                "the registry cannot be reached",
                self._ref.registry,
                why,
                f"check the image's name and the network (curl -v {url}), then the same again",
            ) from None

    def _answer(self, challenge: str) -> str:
        """The Authorization header that the challenge of a 401 asks for."""
        scheme, _, rest = challenge.partition(" ")
        if scheme.lower() == "basic" and self._login is not None:
            return self._login.basic()
        words = dict(re.findall(r'(\w+)="([^"]*)"', rest))
        realm = words.get("realm", "")
        if scheme.lower() != "bearer" or not realm:
            raise self._denied()
        if not realm.startswith("https:") and not self._ref.loopback:
            raise self.wrong(f"it wants the login sent unencrypted to {realm}")
        return "Bearer " + self._token(realm, words)

    def _token(self, realm: str, words: Mapping[str, str]) -> str:
        query = {key: words[key] for key in ("service", "scope") if key in words}
        data = None
        if self._login is not None and self._login.is_token:
            grant = {"grant_type": "refresh_token", "refresh_token": self._login.secret}
            data = urllib.parse.urlencode({**query, **grant, "client_id": "homeport"}).encode()
        else:
            self._authorization = self._login.basic() if self._login is not None else ""
            realm += ("&" if "?" in realm else "?") + urllib.parse.urlencode(query)
        try:
            answer = self._fetch(realm, data=data).json()
        except urllib.error.HTTPError as error:
            if error.code in (400, 401, 403):
                raise self._denied() from None
            raise self._failed(error) from None
        return str(answer.get("token") or answer["access_token"])

    def wrong(self, why: str) -> RegistryError:
        """An answer that no registry should give."""
        mend = f"is that a registry? check the image's name, or curl -v {self._ref.api}/tags/list"
        return RegistryError(Problem("the registry answers oddly", self._ref.registry, why, mend))

    def _denied(self) -> Exception:
        who = f"as {self._login.user}" if self._login is not None else "without a login"
        return RegistryError.of(
            "the registry does not let this machine read the image",
            f"{self._ref.registry}/{self._ref.path}",
            f"it was asked {who}",
            f"docker login {self._ref.registry}",
        )

    def _failed(self, error: urllib.error.HTTPError) -> Exception:
        name = f"{self._ref.registry}/{self._ref.path}"
        if error.code == 404:
            tag = self._ref.digest or self._ref.tag
            mend = f"push it first: docker push {name}:{self._ref.tag or 'TAG'}"
            mend += ", or homeport deploy --from-local IMAGE"
            return ImageMissing.of(f"there is no image {tag!r}", name, "404", mend)
        if error.code in (401, 403):
            return self._denied()
        if error.code == 429:
            mend = f"wait, or docker login {self._ref.registry}: logged in, the limit is higher"
            return RegistryError.of(
                "the registry's limit of requests is reached", name, "429", mend
            )
        why = f"HTTP {error.code}"
        mend = "wait a minute, then the same command again: it is not this machine's fault"
        return RegistryError.of("the registry failed", name, why, mend)
