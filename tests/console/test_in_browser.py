"""The page in a real browser, of a real bank: what a person does, and what they see of it."""

from __future__ import annotations

import os
import re
import signal
import sys
import webbrowser
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, ConsoleMessage, Page, expect

from bankrmi.cli.console import OfferedConsole, open_in_browser
from tests.console.browsers import OpenPage, in_chromium, started
from tests.console.picture import parts_in, parts_of
from tests.console.shown_bank import shown
from tests.pages import ROOT
from tests.system.cluster import Cluster
from tests.system.supervised import Up

pytestmark = in_chromium
PATIENCE_MS = 30_000


class Shown(NamedTuple):
    """A bank, and where its page is."""

    cluster: Cluster
    up: Up
    address: str


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with started() as browser:
        yield browser


class Seen(OpenPage):
    """The console's page in the browser."""

    def _note(self, message: ConsoleMessage) -> None:
        if "ERR_" not in message.text:  # The network's are no script's.
            super()._note(message)

    def press(self, server: str, what: str) -> None:
        """Press one of a server's buttons."""
        self.page.get_by_role("article", name=server, exact=True).get_by_role("button", name=what).click()


@pytest.fixture(scope="module")
def bank(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shown]:
    with shown(tmp_path_factory.mktemp("shown"), "--relays") as (cluster, up, page):
        yield Shown(cluster, up, page.address)


def leads(page: Page, server: str) -> None:
    expect(page.locator("h1")).to_contain_text(re.compile(rf"^{server} leads"), timeout=PATIENCE_MS)


def all_well(page: Page) -> str:
    """Wait until two copies are in sync; return who leads."""
    expect(page.locator("h1")).to_contain_text("in sync", timeout=PATIENCE_MS)
    return str(page.locator("h1").inner_text())[:2]


def test_a_person_kills_the_primary_and_the_money_is_there(browser: Browser, bank: Shown) -> None:
    seen = Seen(browser, bank.address)
    page = seen.page
    primary = all_well(page)
    other = "s2" if primary == "s1" else "s1"
    page.get_by_role("button", name="Deposit").click()
    teller = page.get_by_role("region", name="Teller")
    expect(teller).to_contain_text("Deposited 10. Account 1 has 110 now.")
    page.get_by_role("button", name="8 clients").click()
    expect(page.get_by_text("8 clients are at work")).to_be_visible()
    seen.press(primary, "kill -9")
    leads(page, other)
    expect(page.get_by_text(f"{primary} was killed").first).to_be_visible()
    expect(page.get_by_text(re.compile(r"kill -9 \d+")).first).to_be_visible()
    expect(page.get_by_text(re.compile(r"\d ms")).first).to_be_visible()  # How long callers heard nothing.
    page.get_by_role("button", name="No load").click()
    teller.get_by_role("button", name="again").first.click()  # Of the server that is dead.
    expect(teller).to_contain_text("Nothing happened twice.")
    all_well(page)
    assert seen.complaints == []
    page.close()


def test_a_link_is_cut_one_way_seen_in_the_picture_and_healed(browser: Browser, bank: Shown) -> None:
    seen = Seen(browser, bank.address)
    page = seen.page
    primary = all_well(page)
    other = "s2" if primary == "s1" else "s1"
    page.get_by_role("combobox", name="From").select_option(primary)
    page.get_by_role("combobox", name="To", exact=True).select_option(other)
    page.get_by_role("combobox", name="Which way").select_option("one way")
    seen.press("Links", "Cut")
    expect(page.get_by_text(f"misfortune cut {primary} {other} --one-way").first).to_be_visible()
    expect(page.locator("#drawing-description")).to_contain_text(f"Nothing passes from {primary} to {other}.")
    expect(page.locator("[data-link=cut]")).to_have_count(1)
    expect(page.locator("h1")).to_contain_text(f"{primary} leads alone", timeout=PATIENCE_MS)
    page.get_by_role("button", name="Heal").click()
    expect(page.get_by_role("region", name="Broken now")).to_be_hidden()
    all_well(page)
    expect(page.locator("[data-link=cut]")).to_have_count(0)
    assert seen.complaints == []
    page.close()


def test_the_picture_of_the_readme_shows_the_parts_that_the_page_has(browser: Browser, bank: Shown) -> None:
    seen = Seen(browser, bank.address)
    all_well(seen.page)
    picture = (ROOT / "docs/failover.png").read_bytes()
    assert parts_in(picture) == parts_of(seen.page), "the page has changed: `make picture`, and look at it"
    seen.page.close()


def test_what_is_opened_by_an_invitation_has_the_token_and_the_command_line_has_not(
    browser: Browser, bank: Shown, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    base, _, token = bank.address.partition("/#token=")
    command = tmp_path / "browser"
    command.write_text(f'#!/bin/sh\necho "$@" > "{tmp_path}/opened"\n')
    command.chmod(0o755)
    monkeypatch.setenv("BROWSER", str(command))
    monkeypatch.setenv("DISPLAY", ":0")
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setattr(
        webbrowser, "_tryorder", None
    )  # As in a process of its own, which looks for the first time.
    offered = OfferedConsole(address=base.removeprefix("http://"), token=token)
    assert open_in_browser(offered)
    opened = (tmp_path / "opened").read_text().strip()
    assert token not in opened
    seen = Seen(browser, opened)
    all_well(seen.page)
    expect(seen.page.get_by_role("button", name="kill -9").first).not_to_have_attribute(
        "aria-disabled", "true"
    )
    response = seen.page.goto(opened)
    assert response is not None
    assert response.status == 410
    seen.page.close()
    monkeypatch.delenv("DISPLAY")
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)
    assert not open_in_browser(offered), "there is no screen"


@pytest.mark.long
def test_a_frozen_server_is_thawed_and_switching_over_costs_nothing(browser: Browser, bank: Shown) -> None:
    seen = Seen(browser, bank.address)
    page = seen.page
    primary = all_well(page)
    other = "s2" if primary == "s1" else "s1"
    seen.press(primary, "Freeze")
    leads(page, other)
    seen.press(primary, "Thaw")
    assert all_well(page) == other
    page.get_by_role("button", name="Switch over").click()
    leads(page, primary)
    all_well(page)
    assert seen.complaints == []
    page.close()


@pytest.mark.long
def test_by_the_keyboard_alone(browser: Browser, bank: Shown) -> None:
    seen = Seen(browser, bank.address)
    page = seen.page
    primary = all_well(page)
    other = "s2" if primary == "s1" else "s1"
    for _ in range(60):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.dataset.misfortune") == "switchover":
            break
    page.keyboard.press("Enter")
    leads(page, other)
    all_well(page)
    page.close()


@pytest.mark.but_first_long(1)
@pytest.mark.parametrize(
    ("narrow", "dark"), [(True, True), (False, False)], ids=["narrow-dark", "wide-light"]
)
def test_everybody_can_use_it(browser: Browser, bank: Shown, narrow: bool, dark: bool) -> None:
    seen = Seen(browser, bank.address, narrow=narrow, colours="dark" if dark else "light")
    all_well(seen.page)
    found = Axe().run(seen.page)
    assert found.violations_count == 0, found.generate_report()
    width = seen.page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
    assert width[0] <= width[1], "nothing is cut off, and nobody scrolls sideways"
    assert seen.complaints == []
    seen.page.close()


@pytest.mark.long
def test_without_the_token_everything_is_seen_and_nothing_can_be_done(browser: Browser, bank: Shown) -> None:
    seen = Seen(browser, bank.address.partition("#")[0])
    all_well(seen.page)
    button = seen.page.get_by_role("button", name="kill -9").first
    expect(button).to_have_attribute("aria-disabled", "true")
    pids = dict(bank.up.pids)
    button.click(force=True)
    expect(seen.page.get_by_text("Token").first).to_be_visible()
    assert bank.up.pids == pids
    seen.page.close()


@pytest.mark.long
def test_a_console_that_is_gone_is_said_and_found_again(browser: Browser, bank: Shown) -> None:
    seen = Seen(browser, bank.address)
    all_well(seen.page)
    live = seen.page.get_by_text("live", exact=True)
    expect(live).to_be_visible()
    os.kill(bank.up.pids["the console"], signal.SIGKILL)
    expect(live).to_be_hidden()
    expect(live).to_be_visible(timeout=PATIENCE_MS)
    all_well(seen.page)
    seen.page.close()


@pytest.mark.long
def test_nothing_comes_from_elsewhere(browser: Browser, bank: Shown) -> None:
    asked: list[str] = []
    page = browser.new_page()
    page.on("request", lambda request: asked.append(request.url))
    page.goto(bank.address)
    all_well(page)
    assert {url.split("/")[2] for url in asked} == {bank.address.split("/")[2]}
    page.close()
