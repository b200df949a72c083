"""The report as a file: whole, alone, and true to the run whatever things are called."""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import fields, is_dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from bankrmi.errors import ConfigurationError
from bankrmi.robustness.chaos.recorded import (
    CallColumns,
    Fault,
    FaultKind,
    MadeCall,
    OutcomeKind,
    Recorded,
    columns,
)
from bankrmi.robustness.chaos.report import report, write_report
from bankrmi.robustness.chaos.report_figures import answered_operations, binned
from bankrmi.robustness.chaos.report_markup import Markup, element
from bankrmi.robustness.chaos.telling import told
from tests.robustness.made_up_runs import MS, SECOND, START, made_up_run, no_run
from tests.robustness.pages import Page

HOSTILE = "</script><script>alert(1)</script><img src=x onerror=alert(2)>&amp;\"' style='"


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


def test_the_report_is_well_formed_and_every_reference_stays_on_the_page(short: Recorded) -> None:
    text = report(short)
    page = Page(text)
    assert "://" not in text
    assert "url(" not in text
    assert "@import" not in text
    names = Counter(page.values("id"))
    assert set(names.values()) == {1}
    references = page.values("href")
    assert all(reference.startswith("#") for reference in references)
    assert {reference[1:] for reference in references if not reference.startswith("#t=")} <= set(names)
    assert not {name for _, name, _ in page.attributes if name.startswith("on")}
    assert not page.values("src")


def test_its_own_policy_forbids_everything_but_its_style_and_its_script(short: Recorded) -> None:
    [policy] = [value for value in Page(report(short)).values("content") if "default-src" in value]
    assert policy.startswith("default-src 'none'; style-src 'unsafe-inline'; script-src 'sha256-")


def test_no_name_can_become_part_of_the_page(short: Recorded) -> None:
    """Processes, causes, clients, requests, kinds, notes, files, violations: all hostile."""
    run = hostile(replace(short, violations=("a read was stale",), notes=("a note",)))
    plain = Page(report(replace(short, violations=("a read was stale",), notes=("a note",))))
    page = Page(report(run))
    assert page.elements == plain.elements
    assert Counter(name for _, name, _ in page.attributes) == Counter(name for _, name, _ in plain.attributes)
    for text in (run.command, run.violations[0], run.processes[1].name, run.calls.slowest[0].request):
        assert text in page.text()


def test_text_is_escaped_and_markup_is_not_escaped_again() -> None:
    inner = element("b", "1 < 2")
    assert element("p", inner, ["&", Markup("<br>")], title='"') == (
        '<p title="&quot;"><b>1 &lt; 2</b>&amp;<br></p>'
    )


def test_the_verdict_comes_first_in_plain_words(short: Recorded) -> None:
    def headings(run: Recorded) -> str:
        return Page(report(run)).text().partition("servers and a witness ran")[0]

    assert "No violation in 23\u202f534 operations" in headings(short)
    broken = headings(replace(short, violations=("client c1 read 100; it was 99",)))
    assert "1 violation in 23\u202f534 operations" in broken
    assert "client c1 read 100; it was 99" in broken
    assert "No violation" not in broken


def test_violations_that_are_too_many_to_tell_are_counted(short: Recorded) -> None:
    run = replace(short, violations=tuple(f"violation {number}" for number in range(25)), untold=1975)
    page = Page(report(run)).text()
    assert "2\u202f000 violations in 23\u202f534 operations" in page
    assert "and 1\u202f975 more" in page
    verdict, *sentences = told(run)
    assert verdict.startswith("2,000 violations in 23,534 operations: ")
    assert sentences[19:21] == ["  violation 19", "  and 1,980 more"]


def test_a_run_in_which_nothing_was_answered_is_not_called_good() -> None:
    doubtful = MadeCall(
        client="c1", request="a:1", kind="withdraw", outcome=OutcomeKind.IN_DOUBT,
        invoked_ns=START + SECOND, completed_ns=START + 4 * SECOND,
    )  # fmt: skip
    for run in (no_run(), no_run(calls=columns([doubtful]))):
        text = Page(report(run)).text()
        assert "Nothing was judged: no operation was answered" in text
        assert "No violation" not in text
        assert "somebody was always answered" not in text
        assert next(told(run)).startswith("nothing was judged: no operation was answered")


def test_a_run_that_was_not_judged_is_not_called_good(short: Recorded) -> None:
    text = report(replace(short, checked=()))
    assert "Nothing was judged in 23\u202f534 operations" in Page(text).text()
    assert "verdict empty" in Page(text).values("class")
    assert "No violation" not in text


def test_never_is_anything_called_proved(short: Recorded) -> None:
    text = Page(report(short)).text().lower()
    assert "prove" not in text
    assert "not what can never happen" in text


def test_every_fault_failover_and_figure_is_there_in_words(short: Recorded) -> None:
    text = Page(report(short)).text()
    assert f"All faults, link by link: {len(short.faults)}" in text
    assert f"All failovers: {len(short.failovers)}" in text
    for said in (short.command, *short.checked, *short.notes, *(path for _, path in short.files)):
        assert said in text
    for failover in short.failovers:
        assert f"{failover.old_primary} → {failover.new_primary}" in text


def test_every_role_and_every_kind_of_fault_has_its_mark() -> None:
    run = made_up_run(seconds=600, calls_per_second=20, servers=3)
    assert {fault.kind for fault in run.faults} == set(FaultKind)
    page = Page(report(run))
    classes = Counter(page.values("class"))
    assert sum(
        classes[f"role {role}"] for role in ("primary", "standby", "joining", "starting", "down")
    ) >= len([span for span in run.roles if span.process != "witness"])
    assert set(page.values("href")) >= {f"#{kind.value}" for kind in FaultKind}


def test_a_link_is_one_row_and_its_halves_are_the_two_directions() -> None:
    def cut(target: str, toward: str, *, both_ways: bool = False) -> Fault:
        at = START + SECOND
        return Fault(
            kind=FaultKind.CUT, target=target, toward=toward, both_ways=both_ways,
            from_ns=at, to_ns=at + SECOND,
        )  # fmt: skip

    faults = (cut("s1", "s2"), cut("s2", "s1"), cut("s1", "witness", both_ways=True), cut("s2", "c1"))
    page = Page(report(no_run(faults=faults)))
    kinds = Counter(value for value in page.values("class") if value.startswith("fault cut "))
    assert kinds == {"fault cut there": 1, "fault cut back": 2, "fault cut both": 1}
    for row in ("s1 – s2", "witness – s1", "clients – s2"):
        assert page.texts.count(row) == 1


def test_the_script_is_given_the_whole_run_in_its_finest_bins(short: Recorded) -> None:
    [embedded] = re.findall(r'id="fine">(.*?)</script>', report(short))
    fine = json.loads(embedded)
    kept = (fine["rates"], fine["medians"], fine["p99s"], fine["longests"])
    assert {len(values) for values in kept} == {round(30 / fine["width"])}
    drawn = sum(
        stretch.operations for stretch in binned(short.calls, short.started_ns, short.ended_ns, SECOND)
    )
    assert 0 <= answered_operations(short.calls) - drawn < 10  # What ends after the run is not drawn.
    assert round(sum(fine["rates"]) * fine["width"]) == drawn
    assert max(fine["longests"]) * 10_000 >= max(short.calls.latency_ns)


def test_half_an_hour_under_hundreds_of_faults_stays_below_three_megabytes() -> None:
    """What is embedded does not depend on how many calls there are, so a few must do here."""
    run = made_up_run(seconds=1800, calls_per_second=30)
    assert len(run.faults) > 400
    text = report(run)
    Page(text)
    assert len(text.encode()) < 3_000_000


def test_a_report_that_cannot_be_written_is_said_in_a_sentence(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="cannot be written: Is a directory"):
        write_report(no_run(), tmp_path)


def test_a_failover_at_the_very_end_does_not_break_the_page() -> None:
    run = made_up_run(seconds=12, calls_per_second=50)
    early = replace(run, ended_ns=START + 4 * SECOND + 17 * MS)
    Page(report(early))
