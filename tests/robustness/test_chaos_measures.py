"""What a run came to in figures, as clients saw it."""

from __future__ import annotations

from typing import Any

from bankrmi.robustness.chaos.measures import Acknowledgements, failovers, fault_counts, made_calls
from bankrmi.robustness.chaos.recorded import Fault, FaultKind, OutcomeKind, ProcessRole, RoleSpan
from bankrmi.robustness.chaos.roles import Lead, leads, role_spans, serving_spans
from bankrmi.robustness.checker.history import (
    AnsweredOutcome,
    HistoryCall,
    OperationResult,
    RefusedOutcome,
    UnknownOutcome,
)
from bankrmi.robustness.checker.history import Outcome as Told

MS = 1_000_000
NOTHING = UnknownOutcome()


def call(
    at_ms: int, outcome: Told = NOTHING, *, kind: str = "withdraw", took_ms: int | None = 1
) -> HistoryCall:
    return HistoryCall(
        client="client1.1",
        number=at_ms,
        kind=kind,
        invoked_ns=at_ms * MS,
        completed_ns=None if took_ms is None else (at_ms + took_ms) * MS,
        request=None if kind == "balance" else ("a", at_ms + 1),
        operations=() if kind == "balance" else (b"x",),
        query=1,
        outcome=outcome,
    )


def told(action_id: int, status: str = "done") -> AnsweredOutcome:
    return AnsweredOutcome(None, (OperationResult(action_id, status, 5),))


def fault(kind: FaultKind, target: str, from_ms: int, to_ms: int, toward: str = "") -> Fault:
    return Fault(kind=kind, target=target, from_ns=from_ms * MS, to_ns=to_ms * MS, toward=toward)


FIRST, SECOND = Lead(server="s1", epoch=2, at_ns=0), Lead(server="s2", epoch=3, at_ns=120 * MS)
UPDATES = Acknowledgements(
    [call(50, told(1)), call(98, told(2)), call(90, told(2, "shown"), kind="balance", took_ms=70),
     call(95, told(3), took_ms=70)],
    epochs={2: 1, 3: 3},
)  # fmt: skip


def test_a_failover_lasts_from_the_fault_to_the_first_update_that_a_client_was_told_of() -> None:
    """Of the new primary. Reads do not end it, and when the new primary began to lead does not either."""
    (found,) = failovers([FIRST, SECOND], [fault(FaultKind.KILL, "s1", 100, 300)], UPDATES)
    assert (found.cause, found.at_ns, found.took_ns) == ("kill of the primary", 100 * MS, 65 * MS)
    assert (found.old_primary, found.new_primary, found.epoch) == ("s1", "s2", 3)


def test_the_cause_is_the_fault_after_which_the_old_primary_told_nobody_anything() -> None:
    """Not what had hit it before without an effect, nor what hit it when it was silent already."""
    faults = [
        fault(FaultKind.CUT, "client1", 20, 40, toward="s1"),
        fault(FaultKind.PAUSE, "s1", 99, 110),
        fault(FaultKind.KILL, "s1", 110, 300),
    ]
    (found,) = failovers([FIRST, SECOND], faults, UPDATES)
    assert found.cause == "pause of the primary"


def test_a_change_that_no_fault_has_brought_about_is_no_failover() -> None:
    """Nor is one of another server a cause."""
    assert not list(failovers([FIRST, SECOND], [fault(FaultKind.KILL, "s2", 100, 110)], UPDATES))


def test_links_that_one_fault_cuts_are_one_cut() -> None:
    """Who is cut off from everybody is cut off once; processes count each."""
    faults = [
        *(fault(FaultKind.CUT, "s1", 100 + 10 * number, 900, toward=f"c{number}") for number in range(6)),
        fault(FaultKind.CUT, "s1", 1000, 1100, toward="s2"),
        fault(FaultKind.KILL, "s1", 100, 200),
        fault(FaultKind.KILL, "s2", 100, 200),
    ]
    assert dict(fault_counts(faults)) == {"kills": 2, "cuts": 2}


def test_every_call_that_ended_is_drawn_with_what_it_came_to() -> None:
    """A decline is not an error, cancelled is refused, and what never ended cannot be drawn."""
    outcomes: dict[Told, OutcomeKind] = {
        told(1): OutcomeKind.DONE,
        told(1, "insufficient"): OutcomeKind.DECLINED,
        told(1, "cancelled"): OutcomeKind.REFUSED,
        RefusedOutcome("stale"): OutcomeKind.REFUSED,
        NOTHING: OutcomeKind.IN_DOUBT,
    }
    calls = [call(1, outcome) for outcome in outcomes]
    assert [made.outcome for made in made_calls(calls)] == list(outcomes.values())
    assert not list(made_calls([call(1, took_ms=None)]))


def test_a_server_is_what_it_says_until_its_process_is_killed() -> None:
    """Down from the kill to the start; starting until it says something else."""
    said: list[tuple[int, dict[str, Any]]] = [
        (10 * MS, {"event": "listening"}),
        (20 * MS, {"event": "standby", "was": "starting"}),
        (30 * MS, {"event": "primary", "epoch": 4}),
        (35 * MS, {"event": "view changed", "epoch": 5}),
        (62 * MS, {"event": "listening"}),
        (70 * MS, {"event": "joining"}),
    ]
    faults = [fault(FaultKind.KILL, "s1", 40, 60), fault(FaultKind.KILL, "s2", 45, 50)]
    spans = list(role_spans("s1", said, faults, ended_ns=80 * MS))
    assert [(span.role, span.from_ns // MS, span.to_ns // MS, span.epoch) for span in spans] == [
        (ProcessRole.STARTING, 10, 20, 0),
        (ProcessRole.STANDBY, 20, 30, 0),
        (ProcessRole.PRIMARY, 30, 35, 4),
        (ProcessRole.PRIMARY, 35, 40, 5),
        (ProcessRole.DOWN, 40, 60, 0),
        (ProcessRole.STARTING, 60, 62, 0),
        (ProcessRole.STARTING, 62, 70, 0),
        (ProcessRole.JOINING, 70, 80, 0),
    ]


def test_leads_change_only_when_another_server_leads() -> None:
    """One that goes on in a new epoch, or leads again, is not a change."""
    spans = [
        RoleSpan(
            process=server, role=ProcessRole.PRIMARY, from_ns=epoch * MS, to_ns=(epoch + 1) * MS, epoch=epoch
        )
        for server, epoch in (("s1", 1), ("s1", 2), ("s2", 4), ("s2", 5), ("s1", 7))
    ]
    assert [(lead.server, lead.epoch) for lead in leads(reversed(spans))] == [("s1", 1), ("s2", 4), ("s1", 7)]


def test_a_witness_serves_except_while_it_is_down() -> None:
    """It has no role of its own."""
    faults = [fault(FaultKind.KILL, "witness", 10, 20), fault(FaultKind.PAUSE, "witness", 30, 40)]
    spans = serving_spans("witness", faults, started_ns=0, ended_ns=50 * MS)
    assert [(span.role, span.from_ns // MS, span.to_ns // MS) for span in spans] == [
        (ProcessRole.SERVING, 0, 10),
        (ProcessRole.DOWN, 10, 20),
        (ProcessRole.SERVING, 20, 50),
    ]
