"""Behind a proxy: whose word is taken, and what HTTPS changes."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
from flask import Flask, request

from foodbudget import limits

from .browser import PASSWORD, Browser

MakeApp = Callable[..., Flask]
TLS = {"X-Forwarded-Proto": "https", "X-Forwarded-For": "203.0.113.7"}


@pytest.mark.parametrize(
    ("peer", "settings", "believed"),
    [
        ("", {}, True),
        ("", {"TRUSTED_PROXIES": "0"}, False),
        ("127.0.0.1", {}, False),
        ("172.18.0.3", {}, False),
        ("172.18.0.3", {"TRUSTED_NETWORKS": "172.18.0.0/16"}, True),
        ("172.19.0.3", {"TRUSTED_NETWORKS": "172.18.0.0/16"}, False),
        ("::ffff:172.18.0.3", {"TRUSTED_NETWORKS": "10.0.0.1, 172.18.0.0/16"}, True),
        ("fd00::3", {"TRUSTED_NETWORKS": "fd00::/64,172.18.0.0/16"}, True),
        ("fd00::3", {"TRUSTED_NETWORKS": "172.18.0.0/16"}, False),
        ("nonsense", {"TRUSTED_NETWORKS": "0.0.0.0/0"}, False),
    ],
)
def test_who_is_believed(
    make_app: MakeApp, peer: str, settings: dict[str, str], believed: bool
) -> None:
    """The unix socket and the networks that are named; anybody else's headers are not read."""
    app = make_app(**({"TRUSTED_PROXIES": "1"} | settings))
    app.get("/seen")(lambda: [request.scheme, request.remote_addr])
    seen = app.test_client().get("/seen", headers=TLS, environ_base={"REMOTE_ADDR": peer}).json
    assert seen == (["https", "203.0.113.7"] if believed else ["http", peer])


def over_tls(browser: Browser, path: str) -> dict[str, str]:
    answer = browser.client.get(path, headers=TLS, environ_base={"REMOTE_ADDR": ""})
    return dict(answer.headers)


def test_https_changes_the_cookie(make_app: MakeApp) -> None:
    """Plain http at home can log in; behind TLS the cookie never leaves it, nor this host."""
    app = make_app(TRUSTED_PROXIES="1")
    plain = app.test_client().get("/login").headers
    tls = over_tls(Browser(app.test_client()), "/login")
    assert plain["Set-Cookie"].startswith("foodbudget=")
    assert "Secure" not in plain["Set-Cookie"]
    assert "Strict-Transport-Security" not in plain
    assert tls["Set-Cookie"].startswith("__Host-foodbudget=")
    for flag in ("Secure", "HttpOnly", "SameSite=Lax", "Path=/"):
        assert flag in tls["Set-Cookie"]
    assert "Domain" not in tls["Set-Cookie"]
    assert "HttpOnly" in plain["Set-Cookie"] and "SameSite=Lax" in plain["Set-Cookie"]
    assert tls["Strict-Transport-Security"] == "max-age=2592000"


def test_a_cookie_of_plain_http_is_nobody_over_https(make_app: MakeApp) -> None:
    """Who sits on the line of the plain site can not plant a session on the other one."""
    app = make_app(TRUSTED_PROXIES="1")
    ada = Browser(app.test_client()).sign_up()
    assert "Log out" in ada.get("/").text
    assert (
        ada.client.get("/", headers=TLS, environ_base={"REMOTE_ADDR": ""}).text.count("Log out")
        == 0
    )


@pytest.mark.parametrize("path", ["/", "/login", "/nowhere", "/health", "/static/style.css"])
def test_headers(app: Flask, path: str) -> None:
    """Every answer says what browsers may do with it: next to nothing."""
    headers = app.test_client().get(path).headers
    policy = dict(part.split(" ", 1) for part in headers["Content-Security-Policy"].split("; "))
    assert policy == {
        "default-src": "'none'",
        "style-src": "'self'",
        "img-src": "'self'",
        "form-action": "'self'",
        "base-uri": "'none'",
        "frame-ancestors": "'none'",
    }
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "same-origin"
    assert headers["Cross-Origin-Opener-Policy"] == "same-origin"
    assert "camera=()" in headers["Permissions-Policy"]


def wrong(
    app: Flask, name: str, address: str = "203.0.113.7", password: str = "wrong password"
) -> int:
    """Try to log in once, from an address."""
    client = app.test_client()
    browser = Browser(client)
    token = browser.token("/login")
    client.environ_base["REMOTE_ADDR"] = ""
    sent = {"csrf_token": token, "name": name, "password": password}
    answer = client.post("/login", data=sent, headers={"X-Forwarded-For": address})
    if answer.status_code == 429:
        assert 1 <= int(answer.headers["Retry-After"]) <= 900
        assert "tried too often. Try again in 15 minutes" in answer.text
    return answer.status_code


@pytest.mark.parametrize("name", ["ada", "nobody"])
def test_an_account_is_limited(make_app: MakeApp, name: str) -> None:
    """Ten wrong passwords, from wherever, and it is closed for a while: to the right one as well,
    after a restart as well, and for a name that is not there in just the same way."""
    app = make_app(TRUSTED_PROXIES="1")
    Browser(app.test_client()).sign_up()
    tried = [wrong(app, name, f"203.0.113.{number}") for number in range(11)]
    assert tried == [401] * 10 + [429]
    again = make_app(TRUSTED_PROXIES="1")
    assert wrong(again, f" {name.upper()} ", "203.0.113.99", PASSWORD) == 429
    assert wrong(again, "somebody") == 401


def test_an_address_is_limited(make_app: MakeApp, monkeypatch: pytest.MonkeyPatch) -> None:
    """Many names from one address are tried only so often; a good log-in does not count."""
    monkeypatch.setattr(limits, "ADDRESS", replace(limits.ADDRESS, most=5))
    app = make_app(TRUSTED_PROXIES="1")
    Browser(app.test_client()).sign_up()
    six = "2001:db8:1:2::"
    tried = [wrong(app, f"name-{number}", f"{six}{number}") for number in range(3)]
    tried += [wrong(app, "ada", f"{six}9", PASSWORD) for _ in range(3)]
    tried += [wrong(app, f"other-{number}", f"{six}{number}") for number in range(3)]
    assert tried == [401] * 3 + [302] * 3 + [401, 401, 429]
    assert wrong(app, "ada", "2001:db8:1:3::1", PASSWORD) == 302


def test_a_good_one_forgets_the_wrong_ones(make_app: MakeApp) -> None:
    app = make_app(TRUSTED_PROXIES="1")
    Browser(app.test_client()).sign_up()
    for _ in range(2):
        assert [wrong(app, "ada") for _ in range(9)] == [401] * 9
        assert wrong(app, "ada", password=PASSWORD) == 302


@pytest.mark.parametrize(
    ("referer", "status"),
    [("https://food.example/login", 302), ("https://evil.example/", 400), (None, 400)],
)
def test_forms_over_https(make_app: MakeApp, referer: str | None, status: int) -> None:
    """Behind TLS a form works, and must come from a page of this very site."""
    app = make_app(TRUSTED_PROXIES="1")
    Browser(app.test_client()).sign_up()
    client = app.test_client()
    seen: dict[str, Any] = {"base_url": "https://food.example", "environ_base": {"REMOTE_ADDR": ""}}
    page = client.get("/login", headers=TLS, **seen).text
    found = re.search(r'name="csrf_token" value="([^"]+)"', page)
    assert found
    sent = {"csrf_token": found[1], "name": "ada", "password": PASSWORD}
    headers = TLS | ({"Referer": referer} if referer else {})
    assert client.post("/login", data=sent, headers=headers, **seen).status_code == status
