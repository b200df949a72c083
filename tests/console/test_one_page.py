"""A recording in one page: whole, alone, and true to what happened, whatever things are called."""

from __future__ import annotations

import gzip
import json
from base64 import b64decode
from collections import Counter
from dataclasses import fields, is_dataclass, replace
from typing import Any

import pytest

from bankrmi.console.events import HelloEvent, NoteEvent
from bankrmi.console.one_page import MARK, one_page
from bankrmi.robustness.chaos.recorded import CallColumns, Recorded
from bankrmi.robustness.chaos.retold import events_of
from tests.robustness.made_up_runs import made_up_run
from tests.robustness.pages import Page

HOSTILE = "</script><script>alert(1)</script></title><img src=x onerror=alert(2)>&amp;\"' style='"


@pytest.fixture(scope="module")
def short() -> Recorded:
    return made_up_run(seconds=30)


def hostile(value: Any) -> Any:
    """The same values, with every text in them turned against the page."""
    if isinstance(value, str):
        return value and f"{value}{HOSTILE}"
    if isinstance(value, tuple):
        return tuple(map(hostile, value))
    if is_dataclass(value) and not isinstance(value, (CallColumns, type)):
        changes = {one.name: hostile(getattr(value, one.name)) for one in fields(value)}
        return replace(value, **changes)
    if isinstance(value, CallColumns):
        return replace(value, slowest=hostile(value.slowest))
    return value


def recording_in(page: str) -> list[dict[str, Any]]:
    """Return the events that are in a page."""
    embedded = page.partition(' id="recording">')[2].partition("</script>")[0]
    return [json.loads(line) for line in gzip.decompress(b64decode(embedded)).splitlines()]


def test_the_page_is_well_formed_and_nothing_in_it_points_elsewhere(short: Recorded) -> None:
    text = one_page(events_of(short))
    page = Page(text)
    assert "://" not in text.replace("http://www.w3.org/2000/svg", "").replace("https?:\\/\\/", "")
    assert "url(" not in text
    assert "@import" not in text
    assert not page.values("src")
    assert set(Counter(page.values("id")).values()) == {1}
    references = {
        value for value in page.values("href") if not value.startswith("data:image/svg+xml;base64,")
    }
    assert {value[1:] for value in references} <= set(page.values("id"))
    assert not {name for _, name, _ in page.attributes if name.startswith("on") or name == "style"}


def test_its_own_policy_forbids_everything_but_its_style_and_its_script(short: Recorded) -> None:
    text = one_page(events_of(short))
    [policy] = [value for value in Page(text).values("content") if "default-src" in value]
    assert policy.startswith("default-src 'none'; script-src 'sha256-")
    assert "unsafe" not in policy
    assert "connect-src" not in policy
    assert MARK in text[:4096]


def test_no_name_can_become_part_of_the_page(short: Recorded) -> None:
    """Processes, causes, clients, requests, kinds, notes, files, violations: all hostile."""
    plain = replace(short, violations=("a read was stale",), notes=("a note",))
    run = hostile(plain)
    page, before = Page(one_page(events_of(run))), Page(one_page(events_of(plain)))
    assert page.elements == before.elements
    assert Counter(name for _, name, _ in page.attributes) == Counter(
        name for _, name, _ in before.attributes
    )
    told = json.dumps(recording_in(one_page(events_of(run))))
    for text in (run.command, run.violations[0], run.processes[1].name, run.calls.slowest[0].request):
        assert json.dumps(text)[1:-1] in told


def test_without_its_script_it_says_the_verdict_and_each_failover(short: Recorded) -> None:
    text = Page(one_page(events_of(replace(short, violations=("a read was stale",))))).text()
    assert "1 violation in 23,534 operations" in text
    assert "a read was stale" in text
    assert short.command in text
    for failover in short.failovers:
        assert f"{failover.cause}: {failover.old_primary} → {failover.new_primary}" in text


def test_a_recording_without_a_verdict_is_called_by_its_service_and_time() -> None:
    hello = HelloEvent(
        t=0, format=1, version="1", service="account", servers={}, keeper="witness", told_by="record"
    )
    assert "<title>account, 1970-01-01 00:00Z – bankrmi</title>" in one_page(
        [hello, NoteEvent(t=5, text="a")]
    )


def test_half_an_hour_under_hundreds_of_faults_stays_below_three_megabytes() -> None:
    """What is in it does not depend on how many calls there are, so a few must do here."""
    run = made_up_run(seconds=1800, calls_per_second=5)
    assert len(run.faults) > 400
    assert len(one_page(events_of(run)).encode()) < 3_000_000
