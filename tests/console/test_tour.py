"""The tour is done from its first step to its last, as a student does it; the page sees that it was done."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.sync_api import Locator, Page, expect

from tests.console.browsers import PATIENCE_MS, OpenPage, in_chromium, started
from tests.console.shown_bank import shown

pytestmark = [in_chromium, pytest.mark.long, pytest.mark.timeout(400)]


class Student:
    """Presses what the steps say."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.tour = page.get_by_role("region", name="Tour")
        self.teller = page.get_by_role("region", name="Teller")
        self.load = page.get_by_role("region", name="Load")

    def roles(self) -> tuple[str, str]:
        """Wait until all is well; return who leads, and who does not."""
        expect(self.page.locator("h1")).to_contain_text("in sync", timeout=PATIENCE_MS)
        primary = str(self.page.locator("h1").inner_text())[:2]
        return primary, "s2" if primary == "s1" else "s1"

    def press(self, name: str, what: str) -> None:
        card = self.page.get_by_role("article", name=name, exact=True)
        card.get_by_role("button", name=what, exact=True).click()

    def withdraw(self) -> None:
        self.teller.get_by_role("button", name="Withdraw").click()

    def answered(self) -> None:
        expect(self.teller.get_by_role("listitem").first).to_contain_text(
            re.compile("Withdrew|Nothing happened twice"), timeout=PATIENCE_MS
        )

    def seen(self, words: str) -> None:
        """Wait until the step says that this was done."""
        line: Locator = self.tour.locator(".checks li", has_text=words).first
        expect(line).to_have_attribute("data-met", "yes", timeout=PATIENCE_MS)

    def done(self, number: int) -> None:
        """Wait until the step is done, and go on to the next."""
        expect(self.tour).to_contain_text(f"Step {number} of 10, {number} done", timeout=2 * PATIENCE_MS)
        if number < 10:
            self.tour.get_by_role("button", name="Next").click()

    def cut(self, source: str, toward: str) -> None:
        self.page.get_by_role("combobox", name="From").select_option(source)
        self.page.get_by_role("combobox", name="To", exact=True).select_option(toward)
        self.press("Links", "Cut")

    def heal(self) -> None:
        self.page.get_by_role("region", name="Broken now").get_by_role("button", name="Heal").click()


def test_the_tour_from_its_first_step_to_its_last(tmp_path: Path) -> None:
    with (
        shown(tmp_path, "--relays") as (_, _, told),
        started() as browser,
        OpenPage(browser, told.address) as opened,
    ):
        student = Student(opened.page)

        primary, _ = student.roles()
        student.withdraw()
        student.answered()
        student.press(primary, "kill -9")
        student.done(1)

        primary, _ = student.roles()
        student.press(primary, "Freeze")
        student.seen("another server leads, because of the silence")
        student.press(primary, "Thaw")
        student.done(2)

        student.roles()
        student.load.get_by_role("button", name="8 clients").click()
        student.press("The whole bank", "Switch over")
        student.done(3)

        primary, _ = student.roles()
        student.withdraw()
        student.answered()
        student.press(primary, "kill -9")
        student.seen("another server leads")
        student.teller.get_by_role("button", name="again").first.click()
        student.done(4)

        _, standby = student.roles()
        student.press(standby, "Stop")
        student.seen("one copy is in sync")
        student.press(standby, "Start")
        student.done(5)

        primary, standby = student.roles()
        student.cut(primary, standby)
        student.seen("one server went on alone")
        student.heal()
        primary, _ = student.roles()
        student.cut(primary, "everybody")
        student.seen("the other one leads")
        student.heal()
        student.done(6)

        primary, standby = student.roles()
        student.load.get_by_role("button", name="No load").click()
        student.press(standby, "Stop")
        expect(opened.page.locator("h1")).to_contain_text("leads alone", timeout=PATIENCE_MS)
        student.withdraw()
        student.answered()
        student.press(primary, "Stop")
        student.seen("both servers were gone at once")
        student.press(standby, "Start")
        student.seen("one was started, and would not lead")
        student.press(primary, "Start")
        student.done(7)

        primary, _ = student.roles()
        student.press("witness", "Lose its memory")
        student.press("witness", "Press again to do it")
        student.seen("the witness lost its memory")
        student.withdraw()
        student.seen("a call was answered all the same")
        student.press(primary, "kill -9")
        student.seen("nobody led")
        broken = opened.page.get_by_role("region", name="Broken now")
        expect(opened.page.get_by_role("article", name="witness", exact=True)).to_contain_text("serving")
        broken.get_by_role("button", name="Restore its memory").click()
        student.done(8)

        _, standby = student.roles()
        student.press(standby, "Delete its disk")
        student.press(standby, "Press again to do it")
        student.done(9)

        primary, _ = student.roles()
        student.load.get_by_label("client").first.fill("16")
        student.seen("clients call")
        student.press(primary, "kill -9")
        opened.page.get_by_text("Every change of the view, as a table").click()
        student.done(10)
        assert not [call for call in told.of("call") if call["outcome"] in ("refused", "in_doubt")]
        opened.complaints[:] = [one for one in opened.complaints if "409" not in one]
