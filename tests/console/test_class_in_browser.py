"""The page of two classes in one pair, in a real browser: methods are called by hand and by a load, and
told of; and how a class alone is called."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, Locator, expect
from playwright.sync_api import Page as BrowserPage

from tests.console import odd_class
from tests.console.browsers import PATIENCE_MS, OpenPage, in_chromium, started
from tests.console.page_of import Page
from tests.console.shown_bank import console_of, shown
from tests.console.test_in_browser import all_well, leads
from tests.system.cluster import Cluster

pytestmark = in_chromium


class Shown(NamedTuple):
    """What is served, and where its page is."""

    cluster: Cluster
    address: str


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shown]:
    folder = tmp_path_factory.mktemp("class")
    shutil.copy(odd_class.__file__, folder / "odd_class.py")
    serves = {"odd": "odd_class:Odd", "errands": "odd_class:Errands"}
    with shown(folder, service="odd", serves=serves) as (cluster, _, page):
        yield Shown(cluster, page.address)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with started() as running:
        yield running


class Desk:
    """The teller of classes, as a person has it."""

    def __init__(self, page: BrowserPage) -> None:
        self.page = page
        self.teller = page.get_by_role("region", name="Teller")
        self.load = page.get_by_role("region", name="Load")
        self.calls = page.locator("#calls")
        self.primary = all_well(page)

    def call(self, method: str, **written: str) -> None:
        service, _, plain = method.rpartition(".")
        self.teller.get_by_role("combobox", name="Service").select_option(service)
        self.teller.get_by_role("combobox", name="Method of").select_option(label=plain)
        for name, text in written.items():
            self.teller.get_by_label(re.compile(rf"^{name} ")).fill(text)
        self.teller.get_by_role("button", name=f"Call {method}").click()

    @property
    def newest(self) -> Locator:
        return self.teller.locator(".answers > li").first

    def says(self, words: str | re.Pattern[str]) -> None:
        expect(self.newest).to_contain_text(words, timeout=PATIENCE_MS)


def test_a_method_is_called_and_sent_again_to_whoever_leads_then(browser: Browser, served: Shown) -> None:
    with OpenPage(browser, served.address) as opened:
        desk = Desk(opened.page)
        opened.complaints = []
        desk.call("odd.put", name="apple", count="3")
        desk.says("odd.put('apple', 3) returned 3")
        desk.says(re.compile("request id.*action id"))
        desk.call("odd.get", name="apple")
        desk.says("odd.get('apple') returned 3")
        expect(desk.newest.get_by_role("button")).to_have_count(0)  # Nothing could happen twice.
        opened.page.get_by_role("article", name=desk.primary, exact=True).get_by_role(
            "button", name="kill -9"
        ).click()
        leads(opened.page, "s2" if desk.primary == "s1" else "s1")
        desk.teller.get_by_role("button", name="again").click()
        expect(desk.teller).to_contain_text(
            re.compile("The same answer: .*returned 3.* Nothing happened twice")
        )
        all_well(opened.page)
        desk.call("odd.get", name="apple")
        desk.says("odd.get('apple') returned 3")
        row = desk.calls.locator("tbody tr", has_text="odd.put('apple', 3)").first
        expect(row).to_contain_text("done, sent again")


def test_a_call_of_one_service_that_calls_another_is_told_with_the_names_of_both(
    browser: Browser, served: Shown
) -> None:
    with OpenPage(browser, served.address) as opened:
        desk = Desk(opened.page)
        expect(opened.page.get_by_role("banner")).to_contain_text("odd and errands")
        desk.call("odd.put", name="fetched", count="2")
        desk.says("odd.put('fetched', 2) returned 2")
        desk.call("errands.fetch", name="fetched")
        desk.says("errands.fetch('fetched') returned 1")
        expect(desk.teller).to_contain_text(
            "What Errands changes of odd within a call is part of the same update."
        )
        desk.teller.get_by_role("button", name="again").first.click()
        expect(desk.teller).to_contain_text(
            re.compile("The same answer: .*returned 1.* Nothing happened twice")
        )
        desk.call("errands.fetch", name="nobody's")
        desk.says("raised OutOfStock: <i>nobody's</i>. Nothing was changed. The class does not declare that.")
        desk.call("errands.get", name="fetched")
        desk.says("errands.get('fetched') returned 1")
        desk.call("odd.get", name="fetched")
        desk.says("odd.get('fetched') returned 1")
        desk.teller.get_by_role("combobox", name="Service").select_option("errands")
        method = desk.teller.get_by_role("combobox", name="Method of Errands")
        expect(method.locator("option:checked")).to_have_text("get")
        for words in ("odd.put('fetched', 2)", "errands.fetch('fetched')"):
            expect(desk.calls.locator("tbody tr", has_text=words).first).to_be_visible()


def test_a_class_alone_is_called_by_the_names_of_its_methods(browser: Browser, tmp_path: Path) -> None:
    """Nothing of services is said where there is one; nobody has to answer for the page to be made."""
    shutil.copy(odd_class.__file__, tmp_path / "odd_class.py")
    config = tmp_path / "config.yaml"
    config.write_text(
        "serves: odd_class:Odd\nnameserver: 127.0.0.1:1\nservers: {s1: 127.0.0.1:2, s2: 127.0.0.1:3}\n"
    )
    with console_of(config) as page, OpenPage(browser, page.address) as opened:
        teller = opened.page.get_by_role("region", name="Teller")
        teller.get_by_role("combobox", name="Method of Odd").select_option("put")
        expect(teller.get_by_role("button", name="Call put")).to_be_visible()
        expect(teller.get_by_role("combobox", name="Service")).to_have_count(0)
        load = opened.page.get_by_role("region", name="Load")
        expect(load.get_by_label("Share of put")).to_have_value("1")


def test_words_of_the_class_and_of_callers_are_text(browser: Browser, served: Shown) -> None:
    with OpenPage(browser, served.address) as opened:
        desk = Desk(opened.page)
        desk.call("odd.put", name="<img src=x>", count="1")
        desk.says("odd.put('<img src=x>', 1) returned 1")
        desk.call("odd.take", name="<b>pear</b>", count="1")
        desk.says("raised OutOfStock: <i><b>pear</b></i>. Nothing was changed.")
        desk.call("odd.fail")
        desk.says("raised RuntimeError: \\u202ebroken. Nothing was changed. The class does not declare that.")
        desk.call("odd.long", text="<s>x</s>", times="5000")
        desk.says(re.compile(r"returned\s*\"<s>x</s><s>.*… \(\d+ more\)"))
        desk.call("odd.put", name="apple", count="many")
        desk.says("count: 'many' is no whole number")
        for hostile in ("img", "i", "s"):
            assert opened.page.locator(f"#teller-desk {hostile}, #calls {hostile}").count() == 0
        expect(desk.calls).to_contain_text("raised")
        opened.complaints = [
            one for one in opened.complaints if "400" not in one
        ]  # The console's own refusal.


@pytest.mark.long
def test_every_kind_of_argument_arrives_as_it_was_written(browser: Browser, served: Shown) -> None:
    """With the keyboard alone."""
    with OpenPage(browser, served.address, narrow=True) as opened:
        desk = Desk(opened.page)
        keys = opened.page.keyboard
        method = desk.teller.get_by_role("combobox", name="Method of Odd")
        method.focus()
        keys.type("everything")
        for written in (
            "9007199254740993",
            None,
            "-0.5",
            " ",
            "m",
            '{"shelf": "é", "marks": []}',
            "ab",
            "[7]",
            '{"z": null}',
        ):
            keys.press("Tab")
            if written == " ":
                keys.press("Space")
            elif written == "m":
                keys.press("ArrowDown")
            elif written is not None:
                keys.press("Control+a")
                keys.type(written)
        keys.press("Tab")
        keys.press("Enter")
        desk.says(
            '[9007199254740993, -0.5, true, "m", {"shelf": "é", "marks": []}, "6162", [7], {"z": null}]'
        )
        desk.teller.get_by_role("checkbox", name="None for number").check()
        desk.teller.get_by_role("button", name="Call odd.everything").click()
        expect(desk.newest).to_contain_text("odd.everything(None,")


@pytest.mark.long
def test_a_load_calls_what_its_mix_says(browser: Browser, served: Shown) -> None:
    with OpenPage(browser, served.address) as opened:
        desk = Desk(opened.page)
        for name in ("everything", "fail", "take", "long"):
            desk.load.get_by_label(f"Share of odd.{name}").fill("0")
        expect(desk.load.get_by_label("Arguments of odd.rare")).to_have_attribute("placeholder", "made up")
        desk.load.get_by_label("Arguments of odd.put").fill('"load", count=2')
        desk.load.get_by_role("button", name="8 clients").click()
        expect(desk.load).to_contain_text("8 clients are at work")
        expect(desk.calls).to_contain_text("odd.put('load', 2)")
        expect(desk.calls).to_contain_text("odd.get(")
        expect(desk.calls).to_contain_text("errands.fetch(")
        expect(desk.calls).to_contain_text("errands.get(")
        desk.load.get_by_label("Share of odd.rare").fill("1")
        desk.load.get_by_label("Share of odd.rare").blur()
        expect(desk.load).to_contain_text("odd.rare: its arguments cannot be made up: write them")
        desk.load.get_by_label("Arguments of odd.rare").fill("zebra")
        desk.load.get_by_label("Arguments of odd.rare").blur()
        expect(desk.load).to_contain_text("is no call with values alone")
        desk.load.get_by_label("Arguments of odd.rare").fill('"zebra-123456789"')
        desk.load.get_by_label("Arguments of odd.rare").blur()
        expect(desk.calls).to_contain_text("odd.rare('zebra-123456789')")
        desk.load.get_by_role("button", name="No load").click()
        expect(desk.load).to_contain_text("nobody is at work")
        opened.complaints = [one for one in opened.complaints if "400" not in one]


def test_everybody_can_use_it_and_nobody_reads_of_accounts(browser: Browser, served: Shown) -> None:
    with OpenPage(browser, served.address, narrow=True, colours="dark") as opened:
        desk = Desk(opened.page)
        desk.call("odd.put", name="apple", count="3")
        desk.says("returned")
        found = Axe().run(opened.page)
        assert found.violations_count == 0, found.generate_report()
        width = opened.page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
        assert width[0] <= width[1], "nothing is cut off, and nobody scrolls sideways"
        tour = opened.page.get_by_role("region", name="Tour")
        for step in range(10):
            assert not re.search(
                "account|balance|money|withdraw|deposit", tour.text_content() or "", re.IGNORECASE
            )
            if step < 9:
                tour.get_by_role("button", name="Next").click()
        for part in ("topology", "timeline", "teller", "load", "journal"):
            words = opened.page.locator(f"#{part}").inner_text()
            assert not re.search("account|balance|withdraw", words, re.IGNORECASE), words


def test_whatever_a_page_asks_for_is_done_or_refused_in_a_sentence(served: Shown) -> None:
    whole = {"number": None, "part": "1", "flag": "true", "size": '"s"'}
    with Page(served.address) as page:
        for asked in (
            {},
            {"method": "nothing"},
            {"method": "get", "arguments": {"name": "a"}},
            {"method": "errands.put", "arguments": {"name": "a"}},
            {"method": "nobody.put", "arguments": {"name": "a"}},
            {"method": ["put"]},
            {"method": "put", "arguments": "apple"},
            {"method": "put", "arguments": {"name": 7}},
            {"method": "put", "arguments": {"name": "a", "count": "9" * 5000}},
            {"method": "put", "arguments": {"name": "x" * 270_000}},
            {"method": "everything", "arguments": {**whole, "place": '{"shelf": "\\ud800", "marks": []}'}},
            {"method": "put", "arguments": {"name": "a"}, "again": "no request id"},
            {"method": "put", "arguments": {"name": "a"}, "again": {"a": 1}},
            {"method": "everything", "arguments": {"place": "[" * 9000}},
            {"method": "rare", "arguments": {"code": "zebra"}},
        ):
            refused = page.do("teller", **asked)
            assert refused["status"] == 400, asked
            assert 0 < len(refused["error"]) < 500
        put = {"method": "put", "share": 1, "arguments": ""}
        for mix in (
            "put",
            [7],
            [],
            [{**put, "share": 0}],
            [{**put, "share": -1}],
            [{**put, "share": 1.5}],
            [{**put, "method": "nothing"}],
            [{**put, "arguments": "__import__('os')"}],
            [{**put, "arguments": "1, 2, 3"}],
            [{**put, "arguments": None}],
            [put] * 50,
            [{**put, "method": "rare"}],
        ):
            assert page.do("load", clients=1, mix=mix)["status"] == 400, mix
        assert page.do("load", clients=0)["said"] == "nobody is at work"
        again = {"method": "put", "arguments": {"name": "once", "count": "5"}, "again": None}
        first = page.do("teller", **again)
        second = page.do("teller", **{**again, "again": first["request_id"]})
        other = page.do("teller", method="odd.get", arguments={"name": "once"})
        assert (first["value"], second["value"], other["value"]) == ("5", "5", "5")
        assert first["action_id"] == second["action_id"]
        both = {"odd.get", "errands.get"}
        mix = [{"method": method, "share": 1, "arguments": ""} for method in both]
        assert page.do("load", clients=2, mix=mix)["said"] == "2 clients are at work"
        served.cluster.until(
            lambda: {call["what"] for call in page.of("call") if call["client"] != "you"} >= both,
            "the load calls both services",
        )
        assert page.do("load", clients=0)["said"] == "nobody is at work"
        events = [call for call in page.of("call") if call["what"] == "odd.put"]
        assert events
        assert all(len(event["call"]) < 400 for event in events)


def test_who_has_not_got_the_class_watches_and_is_told_why(browser: Browser, tmp_path: Path) -> None:
    config = tmp_path / "config.yaml"
    config.write_text(
        "serves: no_such_module:Odd\nnameserver: 127.0.0.1:1\nservers: {s1: 127.0.0.1:2, s2: 127.0.0.1:3}\n"
    )
    with console_of(config) as page:
        assert page.do("teller", method="put")["status"] == 400
        assert page.do("load", clients=1)["status"] == 400
        with OpenPage(browser, page.address) as opened:
            why = "This console has no teller, it only watches: there is no module no_such_module"
            expect(opened.page.get_by_role("region", name="Teller")).to_contain_text(why)
            expect(opened.page.get_by_role("region", name="Load")).to_contain_text(why)
            opened.complaints = []
