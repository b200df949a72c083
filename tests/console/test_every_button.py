"""Every button of the page, in a real browser, on a real bank: what is done and said, and the way back."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

import pytest
from playwright.sync_api import Browser, Locator, Page, expect

from tests.console.browsers import PATIENCE_MS, OpenPage, in_chromium, started
from tests.console.shown_bank import shown
from tests.system.cluster import Cluster
from tests.system.supervised import Up

pytestmark = [in_chromium, pytest.mark.long]


class Shown(NamedTuple):
    """A bank with relays, and where its page is."""

    cluster: Cluster
    up: Up
    address: str


@pytest.fixture(scope="module")
def bank(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shown]:
    with shown(tmp_path_factory.mktemp("buttons"), "--relays") as (cluster, up, page):
        yield Shown(cluster, up, page.address)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with started() as running:
        yield running


class Desk:
    """The page, and a way to its buttons."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.all_well()

    def all_well(self) -> None:
        expect(self.page.locator("h1")).to_contain_text("in sync", timeout=PATIENCE_MS)
        self.primary = str(self.page.locator("h1").inner_text())[:2]
        self.standby = "s2" if self.primary == "s1" else "s1"

    def leads(self, server: str) -> None:
        expect(self.page.locator("h1")).to_contain_text(re.compile(rf"^{server} leads"), timeout=PATIENCE_MS)

    def card(self, name: str) -> Locator:
        return self.page.get_by_role("article", name=name, exact=True)

    def press(self, name: str, what: str) -> None:
        self.card(name).get_by_role("button", name=what, exact=True).click()

    @property
    def broken(self) -> Locator:
        return self.page.get_by_role("region", name="Broken now")

    def says(self, words: str | re.Pattern[str]) -> None:
        expect(self.card("The whole bank")).to_contain_text(words, timeout=PATIENCE_MS)

    def until_over(self) -> None:
        """Wait until what was done last is felt no more."""
        expect(self.page.locator("#done-to-it li").first).to_contain_text(re.compile(r", for \d"))

    def standing(self, name: str, words: str) -> None:
        expect(self.card(name).locator(".is")).to_contain_text(words, timeout=PATIENCE_MS)


def test_whoever_is_frozen_stopped_or_wiped_comes_back(browser: Browser, bank: Shown) -> None:
    with OpenPage(browser, bank.address) as opened:
        desk = Desk(opened.page)
        frozen = desk.primary
        desk.press(frozen, "Freeze")
        desk.standing(frozen, "frozen")
        desk.leads(desk.standby)
        expect(desk.card(frozen).get_by_role("button", name="Freeze")).to_be_hidden()
        desk.press(frozen, "Thaw")
        desk.all_well()
        stopped = desk.standby
        desk.press(stopped, "Stop")
        desk.standing(stopped, "gone")
        desk.press(stopped, "Start")
        desk.all_well()
        desk.press(desk.standby, "Delete its disk")
        desk.says("Another copy has it")
        desk.press(desk.standby, "Press again to do it")
        desk.says("was killed, and its disk deleted")
        desk.until_over()
        desk.all_well()
        desk.press(desk.standby, "kill -9")
        desk.says(re.compile(r"kill -9 \d+"))
        desk.until_over()
        desk.all_well()


def test_the_witness_is_killed_frozen_and_loses_its_memory(browser: Browser, bank: Shown) -> None:
    with OpenPage(browser, bank.address) as opened:
        desk = Desk(opened.page)
        desk.press("witness", "Freeze")
        desk.standing("witness", "frozen")
        desk.press("witness", "Thaw")
        desk.standing("witness", "serving")
        desk.press("witness", "kill -9")
        desk.says("witness was killed")
        desk.standing("witness", "serving")
        expect(desk.card("witness").get_by_role("button", name="Lose its memory")).not_to_have_attribute(
            "aria-disabled", "true", timeout=PATIENCE_MS
        )
        desk.press("witness", "Lose its memory")
        desk.says("nobody can take over until you have it restored")
        desk.press("witness", "Press again to do it")
        expect(opened.page.locator("h1")).to_contain_text("Nobody can say who leads", timeout=PATIENCE_MS)
        desk.standing("witness", "serving")
        desk.broken.get_by_role("button", name="Restore its memory").click()
        expect(opened.page.locator("#ribbon")).to_contain_text("restored", timeout=PATIENCE_MS)
        desk.all_well()


def test_everything_is_undone_by_one_button_and_surprises_are_survived(browser: Browser, bank: Shown) -> None:
    with OpenPage(browser, bank.address) as opened:
        desk, page = Desk(opened.page), opened.page
        page.get_by_role("combobox", name="From").select_option(desk.primary)
        page.get_by_role("combobox", name="To", exact=True).select_option("witness")
        page.get_by_label("Slow by (ms)").fill("70")
        desk.press("Links", "Slow down")
        expect(page.locator("#topology-drawing")).to_contain_text("70 ms late")
        page.get_by_role("combobox", name="To", exact=True).select_option("everybody")
        desk.press("Links", "Cut")
        desk.leads(desk.standby)
        expect(desk.broken.get_by_role("listitem")).to_have_count(2)
        desk.broken.get_by_role("button", name="Undo everything").click()
        expect(desk.broken).to_be_hidden(timeout=PATIENCE_MS)
        desk.all_well()
        before = desk.primary
        desk.press("The whole bank", "Switch over")
        desk.says(f"{before} has handed over to {desk.standby}.")
        desk.leads(desk.standby)
        desk.all_well()
        assert desk.primary != before
        for _ in range(3):
            desk.press("The whole bank", "Surprise me")
            expect(page.locator("#done-to-it li").first).to_be_visible()
            page.wait_for_timeout(500)  # What was done is felt by now, or never.
            desk.all_well()


def test_the_teller_the_load_the_journal_and_the_tour(browser: Browser, bank: Shown) -> None:
    with OpenPage(browser, bank.address) as opened:
        page = Desk(opened.page).page
        teller = page.get_by_role("region", name="Teller")
        teller.get_by_label("Account").fill("7")
        teller.get_by_label("Amount").fill("5")
        teller.get_by_role("button", name="Deposit").click()
        expect(teller).to_contain_text(re.compile(r"Deposited 5\. Account 7 has \d+ now"))
        teller.get_by_role("button", name="Withdraw").click()
        expect(teller).to_contain_text("Withdrew 5")
        teller.get_by_role("button", name="Deposit").click()
        teller.get_by_label("Transfer to").fill("6")
        teller.get_by_role("button", name="Transfer").click()
        expect(teller).to_contain_text(re.compile(r"Transferred 5 to account 6\. Account 7 has \d+ now"))
        teller.get_by_label("Amount").fill("99999999")
        teller.get_by_role("button", name="Withdraw").click()
        expect(teller).to_contain_text("Declined")
        teller.get_by_role("button", name="Look up").click()
        expect(teller).to_contain_text(re.compile(r"Account 7 has \d+\."))
        teller.get_by_role("button", name="again").last.click()
        expect(teller).to_contain_text("Nothing happened twice.")

        load = page.get_by_role("region", name="Load")
        load.get_by_role("button", name="8 clients").click()
        expect(load).to_contain_text("8 clients are at work")
        load.get_by_label("calls only read").fill("100")
        load.get_by_label("Accounts, picked at random").fill("2")
        load.get_by_label("Accounts, picked at random").blur()
        load.get_by_role("button", name="No load").click()
        expect(load).to_contain_text("nobody is at work")

        journal = page.get_by_role("region", name="Journal")
        hold = journal.get_by_role("button", name="Hold still")
        hold.click()
        expect(hold).to_have_attribute("aria-pressed", "true")
        hold.click()
        journal.get_by_label("only what was not simply done").check()
        expect(journal).to_contain_text("declined")

        tour = page.get_by_role("region", name="Tour")
        expect(tour.get_by_role("heading", level=3)).to_have_text("Kill the primary")
        tour.get_by_role("button", name="Next").click()
        expect(tour.get_by_role("heading", level=3)).to_have_text("Freeze it instead")
        tour.get_by_role("button", name="Once more").click()
        tour.get_by_role("button", name="Back").click()
        tour.get_by_text("All ten steps").click()
        tour.get_by_role("button", name="Lose the witness").click()
        expect(tour.get_by_text("Step 8 of 10")).to_be_visible()
        tour.get_by_text("Why does nobody lead until you say so?").click()
        expect(tour.get_by_text("nobody believes it")).to_be_visible()


def test_a_rule_taken_out_is_played_by_the_keyboard(browser: Browser, bank: Shown) -> None:
    with OpenPage(browser, bank.address) as opened:
        page = opened.page
        rules = page.get_by_role("region", name="Rules taken out")
        rules.get_by_role("combobox", name="Rule").select_option(
            "acknowledge-before-standby", timeout=PATIENCE_MS
        )
        expect(rules).to_contain_text("Nothing is done to your bank.")
        rules.get_by_role("button", name="Take it out").click()
        play = rules.get_by_role("button", name=re.compile("^(Play|Pause)$"))
        expect(play).to_be_focused(timeout=120_000)
        page.keyboard.press("End")
        expect(rules.get_by_role("alert")).to_contain_text("What went wrong: ")
        expect(play).to_have_text("Play")
        page.keyboard.press("Home")
        expect(rules.get_by_role("alert")).to_be_empty()
        expect(rules).to_contain_text("Moment 1 of")
        page.keyboard.press("ArrowRight")
        expect(rules).to_contain_text("Moment 2 of")
        rules.get_by_role("combobox", name="How fast").select_option("fast")
        rules.get_by_role("button", name="One step on").click()
        rules.get_by_role("button", name="One step back").click()
        expect(rules).to_contain_text("Moment 2 of")
        page.keyboard.press("Space")
        expect(rules).to_contain_text(re.compile(r"Moment \d\d of"))
        rules.get_by_label("heartbeats and pings, too").check()
        rules.get_by_label("Which moment").press("End")
        expect(rules.get_by_role("alert")).to_contain_text("is missing from its disk")
        rules.get_by_role("combobox", name="Rule").select_option("lead-right-after-winning")
        rules.get_by_role("button", name="Take it out").click()
        expect(rules.get_by_role("status")).to_contain_text("tried", timeout=PATIENCE_MS)
        assert opened.complaints == []
        rules.get_by_role("button", name="Stop looking").click()
        expect(rules.get_by_role("status")).to_contain_text("the search was ended")
        opened.complaints.clear()  # The browser notes that the question was not answered.
