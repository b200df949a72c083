"""The report in a real browser, from a file: what a person sees of a run, finds, and moves in."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Page, expect

from bankrmi.robustness.chaos.report import write_report
from tests.console.browsers import OpenPage, in_chromium, started
from tests.console.test_one_page import hostile
from tests.robustness.made_up_runs import made_up_run

pytestmark = in_chromium


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with started() as browser:
        yield browser


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> str:
    path = tmp_path_factory.mktemp("report") / "report.html"
    write_report(made_up_run(seconds=30), path)
    return path.as_uri()


def test_all_of_a_run_is_there_and_nothing_is_asked_of_anybody(browser: Browser, address: str) -> None:
    run = made_up_run(seconds=30)
    with OpenPage(browser, address) as seen:
        page = seen.page
        expect(page.locator("h1")).to_have_text("No violation in 23,534 operations")
        expect(page.get_by_text("and not what can never happen")).to_be_visible()
        for heading in (
            "Timeline", "Servers", "A closer look", "How long failovers took", "The slowest calls",
            "What was done to it", "What was looked at", "How to do it again",
        ):  # fmt: skip
            expect(page.get_by_role("heading", name=heading, exact=True)).to_be_visible()
        tiles = page.locator(".tiles")
        for name in (
            "operations answered",
            "time of a call",
            "faults",
            "failovers",
            "longest silence",
            "calls in doubt",
        ):
            expect(tiles).to_contain_text(name)
        assert page.locator("#looks canvas").count() >= 3
        drawn = page.evaluate("[...document.querySelectorAll('canvas')].map(c => [c.width, c.height])")
        assert all(width > 200 and height > 200 for width, height in drawn)
        expect(page.get_by_text(f"All of them: {len(run.failovers)} failovers")).to_be_visible()
        expect(page.get_by_text(f"All of them, link by link: {len(run.faults)} faults")).to_be_visible()
        page.get_by_text("All of them: ").click()
        rows = page.get_by_role("table", name="All failovers").get_by_role("row")
        expect(rows).to_have_count(1 + len(run.failovers))
        for failover in run.failovers:
            expect(
                rows.filter(has_text=f"{failover.old_primary} → {failover.new_primary}").first
            ).to_be_visible()
        expect(page.get_by_role("table", name="The slowest calls").get_by_role("row")).to_have_count(16)
        expect(page.get_by_role("table", name="The slowest calls")).to_contain_text(
            run.calls.slowest[0].request
        )
        for said in (run.command, *run.checked, *run.notes, *(path for _, path in run.files), "AMD EPYC"):
            expect(page.locator("main")).to_contain_text(said)
        assert seen.asked_for == [address]


def test_one_moves_in_it_by_buttons_keys_and_links(browser: Browser, address: str) -> None:
    with OpenPage(browser, f"{address}#t=10,14.5") as seen:
        page, shown = seen.page, seen.page.locator("#timeline-tools .soft")
        expect(shown).to_have_text("0:10.0 to 0:14.5")
        timeline = page.locator("#timeline-drawing")
        timeline.focus()
        page.keyboard.press("0")
        expect(shown).to_have_text("0:00.0 to 0:30.0")
        page.keyboard.press("+")
        expect(shown).to_have_text("0:10.0 to 0:20.0")
        page.keyboard.press("End")
        expect(shown).to_have_text("0:20.0 to 0:30.0")
        page.get_by_role("button", name="Show the failover before the play head").click()
        expect(page.locator("#moment-when")).not_to_have_text("At 0:30.0:")
        before = page.locator("#moment-when").inner_text()
        page.get_by_text("All of them: ").click()
        page.get_by_role("table", name="All failovers").get_by_role("button").first.click()
        assert re.fullmatch(r"#t=[\d.]+,[\d.]+", page.evaluate("location.hash"))
        box = timeline.bounding_box()
        assert box is not None
        page.keyboard.press("0")
        page.mouse.click(box["x"] + box["width"] / 2, box["y"] + 60)
        expect(page.locator("#moment-when")).not_to_have_text(before)
        page.mouse.move(box["x"] + box["width"] / 2, box["y"] + 60)
        expect(page.locator("#timeline-readout")).to_contain_text(
            re.compile(r"s1 \w+.* · .*operations/s|no calls")
        )


def test_it_plays_the_run_and_shows_how_the_bank_was_then(browser: Browser, address: str) -> None:
    with OpenPage(browser, address) as seen:
        page = seen.page
        timeline = page.locator("#timeline-drawing")
        timeline.focus()
        page.get_by_label("How fast").select_option("20")
        page.mouse.click(*_place(page, 0.2))
        when = page.locator("#moment-when").inner_text()
        page.get_by_role("button", name="Play", exact=True).click()
        expect(page.locator("#moment-when")).not_to_have_text(when)
        expect(page.get_by_role("button", name="Play", exact=True)).to_be_visible()  # It has come to its end.
        expect(page.locator("#moment-when")).to_have_text("At 0:30.0:")


def _place(page: Page, share: float) -> tuple[float, float]:
    box = page.locator("#timeline-drawing").bounding_box()
    assert box is not None
    return box["x"] + 100 + (box["width"] - 112) * share, box["y"] + 60


def test_a_violation_is_the_first_thing_that_one_sees(browser: Browser, tmp_path: Path) -> None:
    run = made_up_run(seconds=10, calls_per_second=50)
    sentence = "client c1 read 100; it was <b>99</b>"
    write_report(replace(run, violations=(sentence,), untold=1975), tmp_path / "bad.html")
    with OpenPage(browser, (tmp_path / "bad.html").as_uri()) as seen:
        expect(seen.page.locator("h1")).to_contain_text("1,976 violations in ")
        expect(seen.page.locator("h1")).to_have_attribute("data-tone", "bad")
        expect(seen.page.get_by_text(sentence)).to_be_visible()
        expect(seen.page.get_by_text("and 1,975 more")).to_be_visible()


def test_whatever_things_are_called_it_is_text(browser: Browser, tmp_path: Path) -> None:
    run = hostile(replace(made_up_run(seconds=10, calls_per_second=50), violations=("a read was stale",)))
    write_report(run, tmp_path / "hostile.html")
    with OpenPage(browser, (tmp_path / "hostile.html").as_uri()) as seen:
        seen.page.on("dialog", lambda dialog: seen.complaints.append(dialog.message))
        expect(seen.page.locator("h1")).to_contain_text("1 violation in ")
        expect(seen.page.locator("#violations")).to_contain_text("<img src=x onerror=alert(2)>")
        expect(seen.page.locator("#slowest")).to_contain_text("<img src=x onerror=alert(2)>")
        assert seen.page.locator("img").count() == 0


def test_without_its_script_the_verdict_can_be_read(browser: Browser, address: str) -> None:
    with OpenPage(browser, address, scripted=False) as seen:
        expect(seen.page.locator("h1")).to_contain_text("No violation in 23,534 operations")
        expect(seen.page.locator("#words")).to_contain_text("s1 → s2")


@pytest.mark.parametrize(  # Wide and light, that of a real run is looked at in test_chaos.py.
    "narrow", [pytest.param(False, marks=pytest.mark.long), True], ids=["wide-light", "narrow-dark"]
)
def test_everybody_can_use_it(browser: Browser, address: str, narrow: bool) -> None:
    with OpenPage(browser, address, narrow=narrow, colours="dark" if narrow else "light") as seen:
        expect(seen.page.locator("h1")).to_contain_text("No violation")
        found = Axe().run(seen.page)
        assert found.violations_count == 0, found.generate_report()
        width = seen.page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
        assert width[0] <= width[1], "nothing is cut off, and nobody scrolls sideways"
