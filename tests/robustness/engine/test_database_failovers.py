"""How long nobody was told of an update when another database began to lead."""

from __future__ import annotations

from bankrmi.robustness.chaos.recorded import Fault, FaultKind
from bankrmi.robustness.chaos.roles import Lead
from bankrmi.robustness.checker.history import AnsweredOutcome, HistoryCall, OperationResult
from bankrmi.robustness.engine.failovers import database_failovers

SECOND = 1_000_000_000


def update(at_s: float) -> HistoryCall:
    outcome = AnsweredOutcome(None, (OperationResult(1, "done", 1),))
    at_ns = round(at_s * SECOND)
    return HistoryCall(
        client="c",
        number=1,
        kind="deposit",
        invoked_ns=at_ns - 1000,
        completed_ns=at_ns,
        request=("s", 1),
        operations=((1, 1, 1),),
        query=None,
        outcome=outcome,
    )


def lead(server: str, epoch: int, at_s: float) -> Lead:
    return Lead(server=server, epoch=epoch, at_ns=round(at_s * SECOND))


def fault(kind: FaultKind, target: str, at_s: float, note: str = "") -> Fault:
    return Fault(
        kind=kind, target=target, from_ns=round(at_s * SECOND), to_ns=round((at_s + 1) * SECOND), note=note
    )


def test_it_counts_from_the_fault_to_the_next_update_that_was_told() -> None:
    calls = [update(second) for second in (1.0, 2.0, 2.9, 7.5, 7.6, 7.7)]
    faults = [fault(FaultKind.PAUSE, "db1", 1.5), fault(FaultKind.KILL, "db1", 2.91, "PostgreSQL")]
    [found] = database_failovers([lead("db1", 1, 0.5), lead("db2", 2, 7.0)], faults, calls)
    assert found.cause == "kill of the primary's PostgreSQL"
    assert (found.old_primary, found.new_primary, found.epoch) == ("db1", "db2", 2)
    assert found.took_ns == round((7.5 - 2.91) * SECOND)


def test_what_hit_others_is_no_cause_and_a_change_without_a_fault_is_none() -> None:
    calls = [update(second) for second in (1.0, 5.0)]
    leads = [lead("db1", 1, 0.5), lead("db2", 2, 4.0)]
    assert not [*database_failovers(leads, [fault(FaultKind.KILL, "db2", 2.0)], calls)]
    assert not [*database_failovers(leads, [], calls)]


def test_a_switchover_is_called_that() -> None:
    calls = [update(second) for second in (1.0, 1.5, 2.5)]
    leads = [lead("db1", 1, 0.5), lead("db2", 2, 2.0)]
    [found] = database_failovers(leads, [fault(FaultKind.SWITCHOVER, "db1", 1.2)], calls)
    assert found.cause == "switchover"


def test_what_came_when_all_was_over_is_not_the_cause() -> None:
    """Updates came seldom: the first fault came within the longest time without one, the other after it."""
    calls = [update(second) for second in (1.0, 6.0, 6.5, 7.0)]
    faults = [fault(FaultKind.PAUSE, "db1", 6.2), fault(FaultKind.KILL, "db1", 2.0)]
    [found] = database_failovers([lead("db1", 1, 0.5), lead("db2", 2, 7.5)], faults, calls)
    assert (found.cause, found.took_ns) == ("kill of the primary", 4 * SECOND)
