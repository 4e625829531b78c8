"""MyFoodBudget in a real browser with a phone's screen: by touch, by keyboard, and as a screen
reader needs it."""

from __future__ import annotations

import json
import os
import re
import sys
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, BrowserContext, Page, expect, sync_playwright

from bench import evidence
from lab.browser import FLAGS, ensure_browser
from serving import served

PASSWORD = "correct horse battery"
NEW_PASSWORD = "staple battery horse"
# a small phone; whoever has a larger one has less to scroll
PHONE: dict[str, Any] = {
    "viewport": {"width": 360, "height": 740},
    "device_scale_factor": 2,
    "is_mobile": True,
    "has_touch": True,
    "locale": "en-GB",
}
TABS = 40
WAIT_MS = 15_000
GRAVE = ("serious", "critical")
# to look at what the tests see: HOMEPORT_SCREENS=folder
SCREENS = os.environ.get("HOMEPORT_SCREENS")
CONTRAST = {"runOnly": {"type": "rule", "values": ["color-contrast"]}}


class Eyes:
    """Looks at pages: collects what a person could not use, and what the browser complains of."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.axe = Axe()
        self.seen: list[str] = []
        self.findings: list[str] = []
        self.complaints: list[str] = []

    def watch(self, context: BrowserContext) -> Page:
        """A new page, whose complaints and requests are noted."""
        context.set_default_timeout(WAIT_MS)
        page = context.new_page()
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        page.on("console", lambda said: self._console(said.type, said.text))
        page.on("request", lambda asked: self._request(asked.url))
        return page

    def _console(self, kind: str, text: str) -> None:
        # a 422 is an answer like another, though the console calls it an error
        if kind == "error" and "the server responded with a status of 4" not in text:
            self.complaints.append(text)

    def _request(self, url: str) -> None:
        if not url.startswith((f"{self.address}/", "data:")):
            self.complaints.append(f"asked for {url}")

    def look(self, page: Page, name: str) -> None:
        """Have axe look at the page, light and dark, and see that nothing lies beside it."""
        self.seen.append(name)
        for scheme, options in (("light", {}), ("dark", CONTRAST)):
            page.emulate_media(color_scheme=scheme)  # type: ignore[arg-type]
            found = self.axe.run(page, options={"resultTypes": ["violations"], **options})
            for one in found.response["violations"]:
                if one["impact"] in GRAVE:
                    where = "; ".join(node["html"][:120] for node in one["nodes"][:3])
                    self.findings.append(f"{name} ({scheme}): {one['help']}: {where}")
            if SCREENS:
                page.screenshot(path=f"{SCREENS}/{name}-{scheme}.png", full_page=True)
        page.emulate_media(color_scheme="light")
        wide = page.evaluate("document.documentElement.scrollWidth - innerWidth")
        assert wide <= 0, f"{name} is {wide} pixels wider than the screen"


def focus(page: Page, name: str) -> None:
    """Press Tab until what has this name is in focus, and can be seen to be."""
    for _ in range(TABS):
        page.keyboard.press("Tab")
        told = page.evaluate("""() => {
            const one = document.activeElement;
            const label = one.labels && one.labels[0];
            const style = getComputedStyle(one);
            const named = one.getAttribute('aria-label') || (label || one).innerText || '';
            return [named.trim(), style.outlineStyle != 'none' && style.outlineWidth != '0px'];
        }""")
        if str(told[0]).startswith(name):
            assert told[1], f"{name} does not show that it is in focus"
            return
    raise AssertionError(f"Tab does not lead to {name!r}")


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """A Chromium with no past."""
    program = ensure_browser(lambda text: print(text, file=sys.stderr))
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def eyes(tmp_path: Path) -> Iterator[Eyes]:
    """Somebody who watches an app with nothing in it."""
    with served(tmp_path) as address:
        yield Eyes(address)


def by_keyboard(page: Page, eyes: Eyes) -> None:
    """From the welcome to a budget with no hand on the screen."""
    press = page.keyboard
    page.goto(eyes.address)
    eyes.look(page, "welcome")
    focus(page, "Skip to content")
    focus(page, "Create an account")
    press.press("Enter")
    expect(page.get_by_label("Name")).to_be_focused()
    eyes.look(page, "signup")
    press.type("ada")
    focus(page, "Password")
    press.type(PASSWORD)
    press.press("Enter")
    expect(page.get_by_text("Nothing written down")).to_be_visible()
    eyes.look(page, "month-empty")
    focus(page, "Add a purchase")
    press.press("Enter")
    expect(page.get_by_label("Food")).to_be_focused()
    press.type("Rye bread")
    focus(page, "Price")
    press.type("3,80")
    focus(page, "Category")
    press.type("Bread")
    focus(page, "Quantity")
    press.press("Control+a")
    press.type("750")
    focus(page, "Unit")
    press.type("g")
    focus(page, "Save")
    press.press("Enter")
    expect(page.get_by_role("status")).to_have_text("Rye bread is written down.")
    focus(page, "Set a budget")
    press.press("Enter")
    expect(page.get_by_role("heading", name="Budget")).to_be_visible()
    focus(page, "All food together")
    press.type("250")
    press.press("Enter")
    expect(page.get_by_text("€246.20 left")).to_be_visible()


def by_touch(page: Page, eyes: Eyes) -> None:
    """Purchases, mistakes and prices."""
    for price, quantity, day in (("4.10", "750", "2026-09-02"), ("", "1", "2026-10-07")):
        page.goto(eyes.address)
        page.get_by_role("link", name="Add").tap()
        page.get_by_label("Food").fill("Rye bread")
        page.get_by_label("Price").fill(price or "free")
        page.get_by_label("Quantity").fill(quantity)
        page.get_by_label("Unit").select_option("g" if price else "kg")
        page.get_by_label("Day").fill(day)
        page.get_by_role("button", name="Save").tap()
        if price:
            expect(page.get_by_role("status")).to_have_text("Rye bread is written down.")
    expect(page.get_by_label("Price")).to_have_attribute("aria-invalid", "true")
    eyes.look(page, "purchase-mistake")
    page.get_by_label("Price").fill("5.20")
    page.get_by_role("button", name="Save").tap()
    page.get_by_role("link", name=re.compile("Rye bread")).tap()
    eyes.look(page, "purchase")
    page.get_by_role("link", name="How the price of this food went").tap()
    picture = page.get_by_role("img", name="Price of Rye bread per kg")
    expect(picture).to_be_visible()
    assert "€5.47 on 2026-09-02" in (picture.locator("desc").text_content() or "")
    assert page.get_by_role("row").count() == 4
    eyes.look(page, "prices")
    page.get_by_role("link", name="All foods").tap()
    eyes.look(page, "foods")
    page.goto(f"{eyes.address}/month/2026-10")
    page.get_by_role("link", name="Change the budget").or_(
        page.get_by_role("link", name="Set a budget")
    ).tap()
    page.get_by_label("Bread & grains").fill("3")
    eyes.look(page, "budget")
    page.get_by_role("button", name="Save budget").tap()
    expect(page.get_by_text("€2.20 over").first).to_be_visible()
    eyes.look(page, "month-over")


def out_and_in(page: Page, eyes: Eyes, folder: Path) -> None:
    """The CSV that comes out goes in again; one wrong line keeps all of it out."""
    page.goto(f"{eyes.address}/settings")
    page.get_by_role("link", name="Out and in").tap()
    with page.expect_download() as download:
        page.get_by_role("link", name="Purchases, CSV").tap()
    kept = folder / "purchases.csv"
    download.value.save_as(kept)
    assert kept.read_text("utf-8-sig").count("Rye bread") == 3
    more = folder / "more.csv"
    more.write_text(kept.read_text("utf-8-sig") + "2026-11-31,Milk,,dairy,1,l,x,EUR\n")
    file, send = page.get_by_label("File"), page.get_by_role("button", name="Bring in")
    file.set_input_files(more)
    send.tap()
    expect(page.get_by_role("alert")).to_contain_text("Nothing was stored")
    expect(page.get_by_role("alert")).to_contain_text("Line 5")
    eyes.look(page, "data-mistake")
    more.write_text(kept.read_text("utf-8-sig") + "2026-11-30,Milk,,dairy,1,l,1.29,EUR\n")
    file.set_input_files(more)
    send.tap()
    status = page.get_by_role("status")
    expect(status).to_have_text("1 purchase is stored; 3 were there already.")
    # more than is taken: an answer in words, not a cut connection
    more.write_text("x" * 3_000_000)
    file.set_input_files(more)
    send.tap()
    expect(page.get_by_text("Send at most 2 MB at once.")).to_be_visible()
    eyes.look(page, "too-large")


def a_program(page: Page, eyes: Eyes) -> None:
    """A token, once seen, opens the API until it is revoked."""
    page.goto(f"{eyes.address}/settings")
    page.get_by_label("Name of the program").fill("my kitchen scale")
    page.get_by_role("button", name="Make a token").tap()
    token = page.get_by_role("status").locator("code").inner_text()
    eyes.look(page, "settings")
    asked = urllib.request.Request(
        f"{eyes.address}/api/v1/purchases", headers={"Authorization": f"Bearer {token}"}
    )
    with urllib.request.urlopen(asked, timeout=30) as answer:
        assert len(json.load(answer)["purchases"]) == 4
    page.get_by_role("button", name="Revoke my kitchen scale").tap()
    expect(page.get_by_role("status")).to_have_text("The token opens nothing any more.")
    with pytest.raises(urllib.request.HTTPError, match="401"):
        urllib.request.urlopen(asked, timeout=30)


def a_stranger(page: Page, eyes: Eyes) -> None:
    """Guesses, and is told to wait."""
    page.goto(eyes.address)
    page.get_by_role("link", name="Log in").first.tap()
    eyes.look(page, "login")
    for number in range(11):
        page.get_by_label("Name").fill("ada")
        page.get_by_label("Password").fill(f"guess number {number}")
        page.get_by_role("button", name="Log in").tap()
        if number < 10:
            expect(page.get_by_role("status")).to_contain_text("don't belong together")
    expect(page.get_by_text("That was tried too often")).to_be_visible()
    eyes.look(page, "too-often")


def the_way_out(page: Page, eyes: Eyes) -> None:
    """A new password, out and in by it, and gone."""
    page.goto(f"{eyes.address}/settings")
    page.get_by_label("Current password").fill(PASSWORD)
    page.get_by_label("New password").fill(NEW_PASSWORD)
    page.get_by_role("button", name="Change password").tap()
    expect(page.get_by_role("status")).to_contain_text("Your password is changed")
    page.get_by_role("link", name="Delete my account").tap()
    expect(page.get_by_text("4 purchases")).to_be_visible()
    eyes.look(page, "farewell")
    page.get_by_label("Your password").fill(NEW_PASSWORD)
    page.get_by_role("button", name="Delete everything").tap()
    expect(page.get_by_role("status")).to_contain_text("Your account is deleted")
    page.goto(f"{eyes.address}/nowhere")
    eyes.look(page, "not-found")


def test_a_persons_story(browser: Browser, eyes: Eyes, tmp_path: Path) -> None:
    """From the first account to the last click everything can be done on a phone, the main path by
    keyboard alone; axe finds nothing serious on any page, and nothing is loaded from elsewhere."""
    with browser.new_context(**PHONE) as mine, browser.new_context(**PHONE) as theirs:
        page = eyes.watch(mine)
        by_keyboard(page, eyes)
        by_touch(page, eyes)
        out_and_in(page, eyes, tmp_path)
        a_program(page, eyes)
        a_stranger(eyes.watch(theirs), eyes)
        the_way_out(page, eyes)
    grave = len(eyes.findings)
    evidence.add("trust", axe_serious=grave, axe_pages=len(eyes.seen))
    assert eyes.findings == []
    assert eyes.complaints == []
    assert len(eyes.seen) >= 15


def test_axe_finds_what_is_wrong(browser: Browser, eyes: Eyes) -> None:
    """A planted field without a name, and grey on grey, are found; so is a strange host."""
    with browser.new_context(**PHONE) as context:
        page = eyes.watch(context)
        page.goto(eyes.address)
        page.evaluate("""() => {
            document.querySelector('main').innerHTML = '<input><p>grey on grey</p>';
            // our policy lets no style stand in a page; a script may still set one
            Object.assign(document.querySelector('p').style, {color: '#777', background: '#888'});
        }""")
        eyes.look(page, "planted")
        page.evaluate("() => fetch('https://elsewhere.invalid/').catch(() => 0)")
    where = [one.split(":")[0] for one in eyes.findings]
    assert where == ["planted (light)", "planted (light)", "planted (dark)"]
    assert any("elsewhere.invalid" in one for one in eyes.complaints)
