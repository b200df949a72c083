"""The page of a recorded bank in a browser: how it was at the play head, its copies, its failovers."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser, expect

from bankrmi.console.events import FORMAT, AnyEvent, HelloEvent, event_of
from bankrmi.console.one_page import one_page
from tests.console.browsers import OpenPage, in_chromium, started

pytestmark = in_chromium

BEGUN = 1_796_009_571_000


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with started() as browser:
        yield browser


def server(name: str, role: str, epoch: int, action_id: int, *, digest: str = "abc") -> dict[str, Any]:
    known = {"role": role, "epoch": epoch, "action_id": action_id, "acknowledged": action_id}
    return {"name": name, "reachable": True, "process": "running", "digest": digest, "connected": [], **known}


def gone(name: str) -> dict[str, Any]:
    return {"name": name, "reachable": False, "process": "gone", "role": None, "reason": "nobody listens"}


def recorded() -> list[AnyEvent]:
    """Return ten seconds of a bank whose primary was killed after three, between two look-ups."""
    events: list[tuple[float, str, dict[str, Any]]] = []

    def state(after: float, epoch: int, primary: str, in_sync: list[str], *servers: dict[str, Any]) -> None:
        view = {"history": "h", "epoch": epoch, "primary": primary, "in_sync": in_sync, "paused": None}
        up = {"reachable": True, "reason": None, "process": "running"}
        told = {"view": view, "view_from": "witness", "keeper": up, "nameserver": up}
        events.append((after, "state", {**told, "servers": list(servers)}))

    def view(after: float, epoch: int, primary: str, in_sync: list[str], why: str, kind: str) -> None:
        told = {"history": "h", "epoch": epoch, "primary": primary, "in_sync": in_sync, "why": why}
        events.append(
            (after, "view", {**told, "cause_kind": kind, "changed_ms": BEGUN + after, "takes_time": True})
        )

    view(0, 2, "s1", ["s1", "s2"], "s2 joined", "joined")
    state(10, 2, "s1", ["s1", "s2"], server("s1", "primary", 2, 100), server("s2", "standby", 2, 100))
    view(3_000, 3, "s2", ["s2"], "crash of s1", "crash")
    state(3_010, 3, "s2", ["s2"], gone("s1"), server("s2", "primary", 3, 180))
    state(8_000, 4, "s2", ["s1", "s2"], server("s1", "standby", 4, 400), server("s2", "primary", 4, 400))
    entries = [{"action_id": 181, "request_id": "a:7", "kind": "withdraw", "account": 2, "amount": 10}]
    rolled_back = {"server": "s1", "epoch": 2, "entries": entries, "count": 1, "noticed_ms": BEGUN + 8_000}
    events.append((8_001, "rolled_back", {**rolled_back, "record": "data/s1/rolled-back-2.jsonl"}))
    for at in range(250, 10_001, 250):
        sums = {"calls": 5, "done": 5, "declined": 0, "failed": 0, "in_doubt": 0, "median_us": 900}
        events.append(
            (at, "rate", {"from_ms": BEGUN + at - 250, **sums, "p99_us": 2_000, "slowest_us": 2_000})
        )
        events.append((at, "decided", {"from_ms": BEGUN + at - 250, "operations": 10}))
        cpu = {"s1": 0.1, "s2": 0.2}
        events.append(
            (at, "usage", {"from_ms": BEGUN + at - 250, "cpu": cpu, "resident_kb": {"s1": 1, "s2": 2}})
        )
    call = {"client": "record", "what": "balance", "outcome": "done", "took_us": 25_000}
    events += [(5_000, "call", call), (10_000, "note", {"text": "The recording ends: it was told to end."})]
    hello = HelloEvent(
        t=BEGUN, format=FORMAT, version="1", service="account", servers={"s1": "", "s2": ""},
        keeper="witness", told_by="record",
    )  # fmt: skip
    events.sort(key=lambda event: event[0])
    return [hello, *(event_of(kind, BEGUN + after, told) for after, kind, told in events)]


@pytest.mark.parametrize(
    "narrow", [False, pytest.param(True, marks=pytest.mark.long)], ids=["wide-light", "narrow-dark"]
)
def test_a_recorded_bank_is_shown_as_it_was(browser: Browser, tmp_path: Path, narrow: bool) -> None:
    path = tmp_path / "page.html"
    path.write_text(one_page(recorded()))
    with OpenPage(browser, path.as_uri(), narrow=narrow, colours="dark" if narrow else "light") as seen:
        page = seen.page
        expect(page.locator("h1")).to_have_text("account, 10 s: 1 failover")
        expect(page.get_by_text("as bankrmi record saw them")).to_be_visible()
        expect(page.get_by_text("no caller waited", exact=True)).to_be_visible()
        expect(page.locator("#moment-title")).to_have_text("s2 leads; s1 is in sync")
        copies = page.get_by_role("table", name="The copies of the journal")
        expect(copies).to_contain_text("400")
        expect(page.get_by_text("What was rolled back, and why")).to_be_visible()
        expect(page.get_by_role("table", name="The slowest calls")).to_contain_text("25.0 ms")
        expect(page.get_by_role("table", name="What processes used of the machine")).to_contain_text("20 %")
        page.get_by_role("button", name="Show the failover before").click()
        expect(page.locator("#moment-title")).to_have_text("s1 leads; s2 is in sync")
        expect(copies).to_contain_text("100")
        expect(page.get_by_text("What was rolled back, and why")).to_be_hidden()
        page.get_by_text("All of them: 1 failover").click()
        expect(page.get_by_role("table", name="All failovers")).to_contain_text("nobody waited")
        found = Axe().run(page)
        assert found.violations_count == 0, found.generate_report()
        width = page.evaluate("[document.documentElement.scrollWidth, innerWidth]")
        assert width[0] <= width[1], "nothing is cut off, and nobody scrolls sideways"
        assert seen.asked_for == [path.as_uri()]
