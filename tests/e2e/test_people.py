"""Somebody who is logged in while releases come and go."""

from __future__ import annotations

import http.cookiejar
import re
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator

import pytest

from bench.stage import Stage

pytestmark = pytest.mark.lab

PASSWORD = "correct horse battery"


class Person:
    """A browser that keeps its cookies. It claims to come from elsewhere, as anybody may."""

    def __init__(self, stage: Stage) -> None:
        self.url = stage.url
        self.jar = http.cookiejar.CookieJar()
        self._opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(self.jar))
        self.claims = 0

    def ask(self, path: str, **fields: str) -> tuple[int, str]:
        """A GET, or with fields a POST; status and page in the end."""
        self.claims += 1
        request = urllib.request.Request(
            self.url + path,
            urllib.parse.urlencode(fields).encode() if fields else None,
            {"X-Forwarded-For": f"203.0.113.{self.claims}", "X-Forwarded-Proto": "https"},
        )
        try:
            with self._opener.open(request, timeout=30) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()

    def token(self, path: str) -> str:
        """What a form that lies open holds."""
        found = re.search(r'name="csrf_token" value="([^"]+)"', self.ask(path)[1])
        assert found, f"{path} holds no form"
        return found[1]


def test_a_log_in_outlives_releases(stage: Stage, turns: Iterator[str]) -> None:
    """Who is logged in stays so through a deploy and a rollback, and may send the form that lay
    open meanwhile; where they log out, it is over in every release. Wrong passwords are counted on
    over a deploy. What a client says of HTTPS, through the edge, counts for nothing."""
    ada = Person(stage)
    known = {"name": "ada", "password": PASSWORD}
    ada.ask("/signup", csrf_token=ada.token("/signup"), **known)
    # plain http here, whatever the client claims: with HTTPS the cookie would have another name
    assert [cookie.name for cookie in ada.jar] == ["foodbudget"]
    bought = {"food": "Rye bread", "price": "3.80", "category": "bread", "unit": "g"}
    bought |= {"quantity": "750", "day": "2026-11-20", "shop": ""}
    form = ada.token("/purchases/new")
    releases = {stage.get()[2]["Homeport-Release"]}

    stage.deploy(next(turns), "--monitor", "0s", "--force")
    releases.add(stage.get()[2]["Homeport-Release"])
    status, page = ada.ask("/purchases/new", csrf_token=form, **bought)
    assert status == 200 and "Rye bread is written down." in page

    stage.rollback()
    assert len(releases) == 2 and stage.get()[2]["Homeport-Release"] in releases
    assert "Rye bread" in ada.ask("/month/2026-11")[1]

    thief = Person(stage)
    for cookie in ada.jar:
        thief.jar.set_cookie(cookie)
    assert "Log out" in thief.ask("/")[1]
    ada.ask("/logout", csrf_token=ada.token("/"))
    assert "Log in" in thief.ask("/")[1]

    # one count over two releases
    form = thief.token("/login")
    wrong = {"csrf_token": form, "name": "ada", "password": "wrong password"}
    assert [thief.ask("/login", **wrong)[0] for _ in range(6)] == [401] * 6
    stage.deploy(next(turns), "--monitor", "0s", "--force")
    assert [thief.ask("/login", **wrong)[0] for _ in range(5)] == [401] * 4 + [429]
