"""The page while the bank is down, on a slow connection, with motion reduced; and can everybody use it?"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from tests.console.browsers import PATIENCE_MS, OpenPage, in_chromium, started
from tests.console.shown_bank import console_of, shown
from tests.system.cluster import Cluster

pytestmark = [in_chromium, pytest.mark.long]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with started() as running:
        yield running


def check_for_everybody(page: Page) -> None:
    found = Axe().run(page)
    assert found.violations_count == 0, found.generate_report()
    width = page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
    assert width[0] <= width[1], "nobody scrolls sideways"


@pytest.mark.parametrize("narrow", [False, True], ids=["wide-dark", "narrow-light"])
def test_while_the_bank_is_down_it_is_said_and_then_the_bank_is_found(
    browser: Browser, tmp_path: Path, narrow: bool
) -> None:
    with (
        Cluster(tmp_path, client={"timeout_ms": 2000}) as cluster,
        console_of(cluster.config) as told,
        OpenPage(browser, told.address, narrow=narrow, colours="light" if narrow else "dark") as opened,
    ):
        page = opened.page
        expect(page.locator("h1")).to_have_text("Nobody can say who leads")
        expect(page.locator("#lead")).to_contain_text("does not answer")
        teller = page.get_by_role("region", name="Teller")
        teller.get_by_role("button", name="Look up").click()
        expect(teller.get_by_role("listitem").first).to_contain_text(
            re.compile("nobody|reach", re.IGNORECASE)
        )
        check_for_everybody(page)
        cluster.start_all()
        expect(page.locator("h1")).to_contain_text("in sync", timeout=PATIENCE_MS)
        teller.get_by_role("button", name="Look up").click()
        expect(teller.get_by_role("listitem").first).to_contain_text("Account 1 has 100.")
        for name in (*cluster.servers, "nameserver"):
            cluster.kill(name)
        expect(page.locator("h1")).to_have_text("Nobody can say who leads", timeout=PATIENCE_MS)


def test_on_a_slow_connection_everything_comes_only_later(browser: Browser, tmp_path: Path) -> None:
    with (
        shown(tmp_path) as (_, _, told),
        OpenPage(browser, "about:blank") as opened,
    ):
        page = opened.page
        network = page.context.new_cdp_session(page)
        network.send("Network.enable")
        slow = {"offline": False, "latency": 800, "downloadThroughput": 60_000, "uploadThroughput": 60_000}
        network.send("Network.emulateNetworkConditions", slow)
        page.goto(told.address)
        expect(page.locator("h1")).to_contain_text("in sync", timeout=2 * PATIENCE_MS)
        primary = page.locator("h1").inner_text()[:2]
        page.get_by_role("article", name=primary, exact=True).get_by_role("button", name="kill -9").click()
        expect(page.locator("#done-to-it")).to_contain_text(f"{primary} was killed", timeout=PATIENCE_MS)
        other = "s2" if primary == "s1" else "s1"
        expect(page.locator("h1")).to_contain_text(re.compile(f"^{other} leads"), timeout=PATIENCE_MS)
        expect(page.get_by_text("live", exact=True)).to_be_visible()


def test_with_motion_reduced_nothing_moves_by_itself(browser: Browser, tmp_path: Path) -> None:
    with (
        shown(tmp_path, "--relays") as (_, _, told),
        OpenPage(browser, "about:blank", colours="dark") as opened,
    ):
        page = opened.page
        page.emulate_media(reduced_motion="reduce")
        page.goto(told.address)
        expect(page.locator("h1")).to_contain_text("in sync", timeout=PATIENCE_MS)
        page.get_by_role("button", name="8 clients").click()
        expect(page.locator("#topology-drawing")).to_contain_text(re.compile(r"[1-9]\d* calls/s"))
        expect(page.locator("#topology-note")).to_contain_text("No dots")
        assert page.locator(".dot").count() == 0
        assert page.evaluate("document.getAnimations().length") == 0
        page.get_by_role("article", name="Links").get_by_role("button", name="Cut").click()
        expect(page.get_by_role("region", name="Broken now")).to_be_visible()
        rules = page.get_by_role("region", name="Rules taken out")
        rules.get_by_role("button", name="Take it out").click()
        expect(rules).to_contain_text("Moment 1 of", timeout=120_000)
        expect(rules.get_by_role("button", name="Play", exact=True)).to_be_focused()
        check_for_everybody(page)
        page.get_by_role("region", name="Broken now").get_by_role("button", name="Heal").click()
