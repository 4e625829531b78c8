"""The link's one line: written and read back."""

from __future__ import annotations

import pytest
from homeport.core import link
from homeport.model import Web
from hypothesis import given
from hypothesis import strategies as st

READ = {
    None: ("missing", ""),
    "": ("garbage", ""),
    "unix//run/homeport/shop/hold.sock": ("hold", ""),
    "unix//run/homeport/shop/hold.sock\n": ("hold", ""),
    "unix//run/homeport/shop/r0042/app.sock": ("release", "r0042"),
    "unix//run/homeport/shop/r0042/app.sock\n": ("release", "r0042"),
    "unix//run/homeport/shop/r12345/app.sock": ("release", "r12345"),
    "unix//run/homeport/shop/r042/app.sock": ("garbage", ""),
    "unix//run/homeport/shop/r0042/other.sock": ("garbage", ""),
    "unix//run/homeport/shop/r0042/appXsock": ("garbage", ""),
    "unix//run/homeport/shop2/r0042/app.sock": ("garbage", ""),
    "unix//run/homeport/shop/../x/r0042/app.sock": ("garbage", ""),
    "shop-r0042-web-1:8000": ("release", "r0042"),
    "shop-r0042-my.web_2-1:80": ("release", "r0042"),
    "shop-r0042-web-2:8000": ("garbage", ""),
    "shop-r0042-web-1:": ("garbage", ""),
    "shop-r0042-web-1:8000-9000": ("garbage", ""),
    "other-r0042-web-1:8000": ("garbage", ""),
    "shop-r0042-web-1:8000 x": ("garbage", ""),
    "unix//run/homeport/shop/r0042/app.sock\nshop-r0042-web-1:1": ("garbage", ""),
    "\x00\x00\x00": ("garbage", ""),
}


@pytest.mark.parametrize("text", READ)
def test_read(text: str | None) -> None:
    """Only an address that the engine writes is a release's."""
    assert link.read("shop", text) == READ[text]


def test_addresses() -> None:
    """A socket where the web service has no port, else its container's own name."""
    assert link.address("shop", "r0001", Web()) == "unix//run/homeport/shop/r0001/app.sock"
    assert link.address("shop", "r0001", Web("app", 8000)) == "shop-r0001-app-1:8000"


@given(
    st.from_regex(r"[a-z0-9](?:[a-z0-9-]{0,30}[a-z0-9])?", fullmatch=True),
    st.integers(0, 99999),
    st.from_regex(r"[a-zA-Z0-9][a-zA-Z0-9._-]{0,12}", fullmatch=True),
    st.none() | st.integers(1, 65535),
)
def test_what_is_written_is_read_back(app: str, number: int, service: str, port: int) -> None:
    """For every app, slot and service the engine can have."""
    slot = f"r{number:04d}"
    written = link.address(app, slot, Web(service, port))
    assert link.read(app, written + "\n") == ("release", slot)
    assert link.read(app, link.hold(app)) == ("hold", "")
