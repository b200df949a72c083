"""A group of requests is decided as a pair of servers would decide it, and as one account after the other."""

from __future__ import annotations

from collections.abc import Mapping

from hypothesis import given
from hypothesis import strategies as st

from bankrmi.bank.accounts import Accounts
from bankrmi.bank.forms import DEPOSIT, WITHDRAW, Form
from bankrmi.bank.operations import LARGEST
from bankrmi.engine.deciding import AccountState, WantedRequest, accounts_of, decide
from bankrmi.engine.records import EngineRecord
from bankrmi.replication.record import packed, unpacked
from bankrmi.storage.database import open_in_memory

LEDGER = {1: 100, 2: 0, 3: LARGEST}

forms = st.tuples(
    st.sampled_from([WITHDRAW, DEPOSIT]), st.sampled_from([1, 2, 3, 9]), st.sampled_from([0, 1, 60, LARGEST])
)
groups = st.lists(st.lists(forms, min_size=1, max_size=5), min_size=1, max_size=6)


def states(ledger: Mapping[int, int]) -> dict[int, AccountState]:
    return {account: AccountState(balance, 7) for account, balance in ledger.items()}


def wanted(requests: list[list[Form]]) -> list[WantedRequest]:
    return [WantedRequest(("s", number), packed(request)) for number, request in enumerate(requests, 1)]


@given(groups)
def test_what_comes_of_operations_is_what_a_pair_of_servers_says(requests: list[list[Form]]) -> None:
    pair = Accounts(LEDGER)
    pair.attach(open_in_memory())
    pair.open()
    group = wanted(requests)
    decided = decide(group, {}, states(LEDGER))
    for place, request in enumerate(requests):
        told = packed(pair.apply(request, place + 1))
        assert decided.records[group[place].request].outcomes == told
    after = dict(pair.export())
    assert {account: state.balance for account, state in decided.changed.items()} == {
        account: after[account] for account in decided.changed
    }


@given(groups)
def test_action_ids_count_for_each_account_and_every_operation_of_one_is_an_entry(
    requests: list[list[Form]],
) -> None:
    group = wanted(requests)
    decided = decide(group, {}, states(LEDGER))
    told: dict[int, list[int]] = {}
    for one in group:
        for form, action_id in zip(
            unpacked(one.operations), decided.records[one.request].action_ids, strict=True
        ):
            told.setdefault(form[1], []).append(action_id)
    assert all(action_id == 0 for action_id in told.pop(9, []))
    for account, ids in told.items():
        assert ids == [*range(8, 8 + len(ids))]
        assert decided.changed[account].action_id == ids[-1]
        assert [entry[1] for entry in decided.entries if entry[0] == account] == ids


def test_what_is_recorded_is_not_decided_again_nor_what_stands_twice() -> None:
    before = EngineRecord(packed([(WITHDRAW, 1, 1)]), packed([99]), (3,))
    twice = WantedRequest(("s", 2), packed([(WITHDRAW, 1, 10)]))
    decided = decide([WantedRequest(("s", 1), b"anything"), twice, twice], {("s", 1): before}, states(LEDGER))
    assert decided.records["s", 1] is before
    assert decided.new == [("s", 2)]
    assert decided.changed == {1: AccountState(90, 8)}
    assert len(decided.entries) == 1


def test_whose_outcome_is_asked_before_it_was_decided_never_happens() -> None:
    later = WantedRequest(("s", 1), packed([(WITHDRAW, 1, 10)]))
    decided = decide([WantedRequest(("s", 1), b""), later], {}, states(LEDGER))
    assert decided.records["s", 1].cancelled
    assert not decided.changed


def test_accounts_are_locked_in_the_order_of_their_ids() -> None:
    group = wanted([[(WITHDRAW, 5, 1), (DEPOSIT, 2, 1)], [(DEPOSIT, 3, 1), (DEPOSIT, 5, 1)]])
    assert accounts_of(group) == [2, 3, 5]
    assert accounts_of([WantedRequest(("s", 1), b"")]) == []
