"""A check that cannot fail is worthless: each check finds something here (`test_mutants`: each rule).

Rule: a planted bug is one changed function; the number of seeds within which it has to be found is bounded.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest

from bankrmi.bank.accounts import Accounts
from bankrmi.bank.forms import Form
from bankrmi.bank.snapshot import Snapshot
from bankrmi.client.attempts import Attempts
from bankrmi.client.decisions import Decision, Wait
from bankrmi.replication import membership
from bankrmi.replication.answers import Answers
from bankrmi.replication.copies import CopySet
from bankrmi.replication.leading import Leader
from bankrmi.replication.step import Step
from bankrmi.replication.view import View
from bankrmi.robustness.mutants import planted
from bankrmi.robustness.simulator import load
from bankrmi.robustness.simulator.failure import SimulationFailure
from bankrmi.robustness.simulator.promises import PromiseMonitor
from bankrmi.robustness.simulator.simulation import simulate
from bankrmi.server.copy_serving import CopyServer
from bankrmi.server.exporting import Exports
from bankrmi.server.rates import EntryRates
from bankrmi.server.service_rate import ServiceRate
from bankrmi.server.waiting import WaitingRoom
from tests.robustness.request_ids import forgets_request_ids

Plant = Callable[[pytest.MonkeyPatch], None]

pytestmark = pytest.mark.timeout(300)


def found(
    rule: str, *, servers: int = 2, seeds: int, first: Sequence[int] = (), under_load: bool = False
) -> int:
    """Return the first seed that fails with this rule; any other failure on the way is looked past.

    Those of `first` save time: they found the bug soonest when this was written. A change of the product
    makes other histories of them; so there are some, and all `seeds` are tried if none finds it any more.
    """
    others = []
    for seed in [*first, *(seed for seed in range(seeds) if seed not in first)]:
        failure = simulate(seed, servers=servers, under_load=under_load).failure
        if failure is not None and re.search(rule, failure.rule):
            return seed
        if failure is not None:
            others.append(failure.rule)
    raise AssertionError(f"not found in {seeds} seeds; but {others[:5]}")


# -- the checks ----------------------------------------------------------------------------------


def acknowledge_too_early(patch: pytest.MonkeyPatch) -> None:
    """A1 off: what is in the own journal is taken for acknowledged."""

    def advance(self: Leader, step: Step) -> None:
        self.acknowledged = step.tip
        self.ever_acknowledged = max(self.ever_acknowledged, self.acknowledged)
        self._release(step)

    patch.setattr(Leader, "_advance", advance)


def test_an_acknowledged_record_that_an_in_sync_server_misses_is_found(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    acknowledge_too_early(monkeypatch)
    found("what was acknowledged at action id .* is missing from its disk", seeds=5)


def test_a_proposal_that_the_witness_has_to_refuse_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """Production's would not let it win; but nobody may come to ask for it."""
    started_again = View.started_again

    def skips_an_epoch(self: View, start_id: str) -> View:
        view = started_again(self, start_id)
        return replace(view, epoch=view.epoch + 1)

    monkeypatch.setattr(View, "started_again", skips_an_epoch)
    found("the witness has to refuse what s. proposes: epoch .* cannot follow epoch", seeds=10)


def test_two_records_acknowledged_at_one_action_id_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the check before it switched off."""
    acknowledge_too_early(monkeypatch)
    monkeypatch.setattr(PromiseMonitor, "_check_holds_all", lambda *_: None)
    found("two different records were acknowledged at action id", seeds=200, first=(44, 15, 23))


def test_an_acknowledged_operation_that_is_gone_in_the_end_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """With all checks before it switched off."""
    acknowledge_too_early(monkeypatch)
    for check in ("_check_holds_all", "_check_is_acknowledged", "_check_state", "_check_record"):
        monkeypatch.setattr(PromiseMonitor, check, lambda *_: None)
    found("the acknowledged operation at action id .* is gone", seeds=60, first=(24, 23, 13))


def test_a_request_done_twice_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """O1 off, and the index does not mind either."""
    forgets_request_ids(monkeypatch)
    found("request .* is in the journal twice", seeds=20)


def test_a_stale_read_is_found() -> None:
    """A primary answers from its own copy without a lease."""
    with planted("read-without-lease"):
        found("read at action id .* was acknowledged before", seeds=200, first=(35, 18, 19))


def test_a_wrong_balance_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """Wrong on all servers alike."""
    apply = Accounts.apply

    def generous(self: Accounts, operations: Sequence[Form], action_id: int, *_: object) -> list[Any]:
        outcomes = apply(self, operations, action_id)
        return [one[1] if type(one) is tuple and one[0] == "insufficient" else one for one in outcomes]

    monkeypatch.setattr(Accounts, "apply", generous)
    found("says .* and replay says", seeds=3)


def test_a_total_that_forgets_what_was_undone_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    undo = Accounts.undo

    def forgetful(
        self: Accounts, operations: Sequence[Form], outcomes: Sequence[Any], action_id: int
    ) -> None:
        total = self._total
        undo(self, operations, outcomes, action_id)
        self._total = total

    monkeypatch.setattr(Accounts, "undo", forgetful)
    found("says that all accounts hold", seeds=60, first=(10, 16))


def test_a_wrong_look_up_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    read = Accounts.read
    monkeypatch.setattr(Accounts, "read", lambda self, account: (read(self, account) or 0) + 1)
    found(r"holds .*, and the journal adds up to", seeds=3)
    monkeypatch.setattr(PromiseMonitor, "_check_state", lambda *_: None)
    found(r"read .* at action id .*; it was", seeds=3)


def test_states_that_differ_under_equal_journals_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """A rolled back deposit stays on the account."""

    def forgetful(
        self: Accounts, operations: Sequence[Form], outcomes: Sequence[Any], action_id: int
    ) -> None:
        pass

    monkeypatch.setattr(Accounts, "undo", forgetful)
    found("comes out differently here|different states", seeds=60, first=(18, 45, 54))


def test_a_call_that_never_ends_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    decide = Attempts.decide

    def stubborn(self: Attempts, now_ms: int) -> Decision:
        return Wait(50) if now_ms >= self._deadline_ms and not self.ended else decide(self, now_ms)

    monkeypatch.setattr(Attempts, "decide", stubborn)
    found("calls have no answer", seeds=20)


def test_a_bank_that_answers_nobody_when_all_is_well_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each call ends with an honest error; but there is no reason for one."""
    monkeypatch.setattr(Answers, "released", lambda *_, **__: iter(()))
    found("calls have no answer|all is well, and .* is told: ", seeds=3)


def test_two_processes_that_lead_one_epoch_are_found() -> None:
    """A primary that starts again takes the epoch of the process before it for its own."""
    with planted("lead-again-without-fresh-epoch"):
        found("lead epoch", seeds=40)


@pytest.mark.long
def test_a_caller_that_adds_more_than_it_may_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """The buckets are never empty."""
    monkeypatch.setattr(EntryRates, "wait_ms", lambda *_, **__: 0.0)
    found("adds .* entries in .* ms: more than it may", seeds=60, first=(7, 22, 46))


@pytest.mark.long
def test_a_copy_that_is_kept_for_nobody_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its joiner has it, or is gone, and no other one ever gets any."""
    monkeypatch.setattr(CopyServer, "_drop_if_unwanted", lambda _: None)
    monkeypatch.setattr(CopyServer, "end", lambda *_: None)
    found("in sync are .* up are", servers=3, seeds=40, first=(12, 3, 18))


def test_an_export_of_what_is_not_acknowledged_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """A standby shows what it holds, whatever the primary has acknowledged."""
    monkeypatch.setattr(Exports, "_acknowledged", lambda _: 1 << 60)
    found(
        r"is missing from its (journal|disk)|exports .*, and at \d+ they were", seeds=100, first=(8, 97, 31)
    )


def test_an_export_that_is_of_no_one_moment_is_found(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each page shows the accounts as they are when it is their turn."""
    monkeypatch.setattr(Snapshot, "remember", lambda *_: None)
    found(r"exports \[.*, and at \d+ they were", seeds=60, first=(8, 9, 54))


def test_a_bank_that_is_beset_and_tells_nobody_that_it_is_busy_is_found(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Whoever comes may wait, as long as it takes."""
    monkeypatch.setattr(load, "cost_of", lambda _: 1 << 40)
    monkeypatch.setattr(ServiceRate, "wait_ms", lambda *_: 0.0)
    monkeypatch.setattr(WaitingRoom, "waiting_since", lambda *_: [])
    found("far over the capacity nobody is told", seeds=40, first=(17, 4), under_load=True)


def test_a_joiner_that_is_never_in_sync_while_the_load_lasts_is_found(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    letting_in = membership._letting_in

    def not_again(view: View, copies: CopySet, enough: int) -> View | None:
        return None if view.epoch > 2 else letting_in(view, copies, enough)

    monkeypatch.setattr(membership, "_letting_in", not_again)
    found("in sync under load are", seeds=40, first=(10,), under_load=True)


def test_a_failure_says_what_kind_it_is() -> None:
    failure = SimulationFailure("safety", "an entry is gone")
    assert (failure.kind, failure.rule, str(failure)) == ("safety", "an entry is gone", "an entry is gone")
