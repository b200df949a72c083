"""Each check of what clients were told, seen to fail once: a planted lie is found, and told in a sentence."""

from __future__ import annotations

import gc
from dataclasses import replace
from typing import Any

import pytest

from bankrmi.robustness.checker.history import HistoryCall, RefusedOutcome, UnknownOutcome, UnreachedOutcome
from tests.robustness.made_up_calls import (
    BATCH,
    GOOD,
    JOURNAL,
    PUT,
    SECOND,
    TAKE,
    TOOK,
    call,
    only,
    read,
    told,
    verdict,
)


def instead(old: HistoryCall, **changes: Any) -> list[HistoryCall]:
    return [replace(old, **changes) if one is old else one for one in GOOD]


def test_a_sound_history_has_no_violation_and_is_counted() -> None:
    found = verdict(GOOD)
    assert found.violations == ()
    assert (found.calls, found.operations, found.reads, found.entries) == (6, 4, 2, 4)
    assert (found.unknown_done, found.unknown_cancelled, found.unknown_not_done) == (0, 0, 0)


# -- answers ---------------------------------------------------------------------------------------


def test_an_acknowledged_operation_that_is_not_in_the_journal_is_lost() -> None:
    more = call("c4", 9, 10, told((5, "done", 310)), ("d", 1), PUT)
    assert only(verdict([*GOOD, more])) == (
        "c4 at 9.000000 s, deposit 5 on account 2 as d:1: told done (310) at action id 5, "
        "and the request is not in the journal"
    )


def test_an_answer_that_is_not_the_journals_is_found() -> None:
    lie = told((2, "done", 305), (3, "done", 90))
    assert only(verdict(instead(BATCH, outcome=lie))) == (
        "c2 at 3.000000 s, 2 operations as b:1: told operation 2: done (90) at action id 3, "
        "and the journal holds insufficient (90) at action id 3"
    )


def test_every_call_of_one_request_has_to_be_told_the_same() -> None:
    again = call("c1", 10, 11, told((2, "done", 80)), ("a", 1), TAKE)
    assert only(verdict([*GOOD, again])).endswith(
        "told done (80) at action id 2, and the journal holds done (90) at action id 1"
    )
    asked = call("c5", 10, 11, told((1, "insufficient", 100)), ("a", 1))
    assert only(verdict([*GOOD, asked])).startswith("c5 at 10.000000 s, outcome of a:1: told insufficient")


def test_an_answer_with_too_few_results_is_found() -> None:
    assert "told 1 results from done (305) at action id 2, and the journal holds 2 from" in only(
        verdict(instead(BATCH, outcome=told((2, "done", 305))))
    )


def test_what_was_done_may_not_be_called_cancelled_nor_the_other_way_round() -> None:
    lie = told((1, "cancelled", None))
    assert "told cancelled at action id 1, and the journal holds done (90)" in only(
        verdict(instead(TOOK, outcome=lie))
    )
    late = call("c1", 8, 9, told((4, "done", 80)), ("a", 2), TAKE)
    assert "told done (80) at action id 4, and the journal holds cancelled" in only(verdict([*GOOD, late]))


def test_nobody_is_told_the_outcome_of_other_operations() -> None:
    other = call("c1", 10, 11, told((1, "done", 90)), ("a", 1), PUT)
    assert only(verdict([*GOOD, other])).endswith("told the outcome of other operations, at action id 1")


@pytest.mark.parametrize("code", ["stale", "invalid_request", "refused"])
def test_what_was_refused_may_never_be_in_the_journal(code: str) -> None:
    again = call("c1", 10, 11, RefusedOutcome(code), ("a", 1), TAKE)
    assert only(verdict([*GOOD, again])).endswith(f"refused ({code}), and the request is at action id 1")


def test_an_id_that_was_used_for_something_else_may_be_refused() -> None:
    assert (
        verdict([*GOOD, call("c1", 10, 11, RefusedOutcome("invalid_request"), ("a", 1), PUT)]).violations
        == ()
    )


def test_stale_is_said_only_when_something_newer_of_the_session_was_done() -> None:
    overtaken = call("c2", 10, 11, RefusedOutcome("stale"), ("b", 2), TAKE)
    assert only(verdict([*GOOD, overtaken])).endswith(
        "told that it is stale, and nothing newer of its session was done"
    )
    journal = [*JOURNAL, (("b", 3), (TAKE,))]
    newer = call("c2", 10, 11, told((5, "done", 80)), ("b", 3), TAKE)
    assert verdict([*GOOD, overtaken, newer], journal).violations == ()


# -- what nobody asked for -------------------------------------------------------------------------


def test_what_nobody_asked_for_is_found() -> None:
    assert only(verdict(GOOD, [*JOURNAL, (("z", 1), (PUT,))])) == (
        "request z:1 at action id 5 was never asked for"
    )


def test_other_operations_than_were_asked_for_are_found() -> None:
    doubtful = call("c4", 9, None, UnknownOutcome(), ("d", 1), PUT)
    assert only(verdict([*GOOD, doubtful], [*JOURNAL, (("d", 1), (PUT, PUT))])) == (
        "request d:1 at action id 5 is not what was asked for: "
        "c4 at 9.000000 s, deposit 5 on account 2 as d:1"
    )


def test_what_was_never_sent_may_not_be_there() -> None:
    unsent = call("c4", 9, 10, UnreachedOutcome(), ("d", 1), PUT)
    assert verdict([*GOOD, unsent]).violations == ()
    assert only(verdict([*GOOD, unsent], [*JOURNAL, (("d", 1), (PUT,))])).startswith(
        "request d:1 at action id 5 was never sent: c4"
    )


def test_nothing_is_cancelled_unless_somebody_asks_for_its_outcome() -> None:
    doubtful = call("c4", 9, None, UnknownOutcome(), ("d", 1), PUT)
    assert only(verdict([*GOOD, doubtful], [*JOURNAL, (("d", 1), ())])) == (
        "request d:1 at action id 5 is cancelled, and nobody was asking for its outcome"
    )


def test_what_is_unknown_is_resolved_by_the_journal() -> None:
    calls = [call("c4", 9, None, UnknownOutcome(), (name, 1), PUT) for name in "def"]
    asked = call("c5", 9, None, UnknownOutcome(), ("f", 1))
    found = verdict([*GOOD, *calls, asked], [*JOURNAL, (("d", 1), (PUT,)), (("f", 1), ())])
    assert found.violations == ()
    assert (found.unknown_done, found.unknown_cancelled, found.unknown_not_done) == (1, 1, 1)


# -- reads and real time ---------------------------------------------------------------------------


def test_a_read_of_what_never_was_is_found() -> None:
    assert only(verdict([*GOOD, read("c5", 9, 10, 2, 4, 300)])) == (
        "c5 at 9.000000 s, balance 2: read 300 at action id 4; it was 305"
    )
    assert verdict([*GOOD, read("c5", 9, 10, 77, 4, None)]).violations == ()


def test_a_read_beyond_the_journal_is_found() -> None:
    assert only(verdict([*GOOD, read("c5", 9, 10, 2, 5, 305)])).endswith(
        "read at action id 5, and the journal ends at 4"
    )


def test_a_read_within_a_request_is_found() -> None:
    assert only(verdict([*GOOD, read("c5", 3, 10, 2, 2, 305)])).endswith(
        "read at action id 2, within a request that ends at 3"
    )


def test_a_stale_read_is_found() -> None:
    assert only(verdict([*GOOD, read("c5", 9, 10, 2, 3, 305)])) == (
        "c5 at 9.000000 s, balance 2: read at action id 3; 4 was acknowledged before (to c1 at 6.000000 s)"
    )


def test_where_stale_reads_are_allowed_a_client_still_goes_back_behind_nothing_it_saw() -> None:
    stale = read("c5", 9, 10, 2, 3, 305)
    assert verdict([*GOOD, stale], fresh_reads=False).violations == ()
    stale = read("c1", 9, 10, 2, 3, 305)
    assert "4 was acknowledged before" in only(verdict([*GOOD, stale], fresh_reads=False))


def test_a_request_that_stands_before_what_was_over_when_it_was_asked_is_found() -> None:
    assert only(verdict(instead(TOOK, invoked_ns=6 * SECOND, completed_ns=7 * SECOND))) == (
        "c1 at 6.000000 s, withdraw 10 from account 1 as a:1: it is at action id 1, and before it was first "
        "asked, 3 was acknowledged (to c2 at 3.000000 s)"
    )


def test_a_request_counts_from_the_first_time_that_it_was_asked() -> None:
    again = replace(TOOK, number=9, invoked_ns=6 * SECOND, completed_ns=7 * SECOND)
    assert verdict([*GOOD, again]).violations == ()


def test_what_nobody_was_told_has_its_place_in_time_too() -> None:
    doubtful = instead(TOOK, invoked_ns=6 * SECOND, completed_ns=None, outcome=UnknownOutcome())
    assert "it is at action id 1, and before it was first asked, 3" in verdict(doubtful).violations[0]


# -- the verdict itself -----------------------------------------------------------------------------


@pytest.mark.parametrize("enabled", [True, False])
def test_the_collector_of_cycles_is_afterwards_as_it_was(enabled: bool) -> None:
    was_enabled = gc.isenabled()
    try:
        (gc.enable if enabled else gc.disable)()
        verdict(GOOD)
        assert gc.isenabled() == enabled
    finally:
        (gc.enable if was_enabled else gc.disable)()


def test_a_run_that_went_all_wrong_is_told_in_a_thousand_sentences_and_counted_whole() -> None:
    found = verdict([*GOOD, *(read("c5", 9, 10, 2, 4, 0) for _ in range(1500))])
    assert (len(found.violations), found.violation_count) == (1000, 1500)
