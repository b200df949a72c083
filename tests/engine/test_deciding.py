"""A group of requests is decided as a pair of servers would decide it, and as one account after the other."""

from __future__ import annotations

from collections.abc import Mapping

from hypothesis import given
from hypothesis import strategies as st

from bankrmi.bank.accounts import Accounts
from bankrmi.bank.forms import CLOSE, DEPOSIT, OPEN, TRANSFER, WITHDRAW, Form
from bankrmi.bank.forms import accounts_of as accounts_of_form
from bankrmi.bank.operations import LARGEST
from bankrmi.engine.deciding import AccountState, BankState, Known, WantedRequest, accounts_of, decide
from bankrmi.engine.records import EngineRecord
from bankrmi.replication.effects import IsForgotten, IsStale
from bankrmi.replication.record import packed, unpacked
from bankrmi.replication.sessions import new_session
from bankrmi.storage.database import open_in_memory

LEDGER = {1: 100, 2: 0, 3: LARGEST}

accounts = st.sampled_from([1, 2, 3, 8, 9])
amounts = st.sampled_from([0, 1, 60, LARGEST])
transfers = st.tuples(accounts, accounts, amounts).filter(lambda drawn: drawn[0] != drawn[1])
forms = st.one_of(
    st.tuples(st.sampled_from([WITHDRAW, DEPOSIT]), accounts, amounts),
    transfers.map(lambda drawn: (TRANSFER, drawn[0], (drawn[1], drawn[2]))),
    st.tuples(st.sampled_from([OPEN, CLOSE]), accounts, st.just(0)),
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
    decided = decide(group, Known({}, states(LEDGER)))
    for place, request in enumerate(requests):
        told = packed(pair.apply(request, place + 1))
        assert decided.records[group[place].request].outcomes == told
    pair.flush()
    after = dict(pair.export())
    for account in {*LEDGER, 8, 9}:
        state = decided.changed.get(account, AccountState(LEDGER.get(account), 0))
        assert state.balance == after.get(account)


@given(groups)
def test_action_ids_count_for_each_account_and_every_operation_of_one_is_an_entry(
    requests: list[list[Form]],
) -> None:
    group = wanted(requests)
    decided = decide(group, Known({}, states(LEDGER)))
    entries: dict[int, list[int]] = {}
    for account, action_id, *_ in decided.entries:
        entries.setdefault(account, []).append(action_id)
    for account, ids in entries.items():
        begin = 7 if account in LEDGER else 0
        assert ids == [*range(begin + 1, begin + 1 + len(ids))]
        assert decided.changed[account].action_id == ids[-1]
    noted = {(entry[3], entry[4], entry[0]): entry[1] for entry in decided.entries}
    for one in group:
        record = decided.records[one.request]
        for place, form in enumerate(unpacked(one.operations)):
            ids_here = [noted.get((one.request[1], place, account)) for account in accounts_of_form(form)]
            assert (record.action_ids[place] or None) == ids_here[0]
            assert all(ids_here) or not any(ids_here), "an operation of both, or of none"


def test_what_is_recorded_is_not_decided_again_nor_what_stands_twice() -> None:
    before = EngineRecord(packed([(WITHDRAW, 1, 1)]), packed([99]), (3,))
    twice = WantedRequest(("s", 2), packed([(WITHDRAW, 1, 10)]))
    decided = decide(
        [WantedRequest(("s", 1), b"anything"), twice, twice], Known({("s", 1): before}, states(LEDGER))
    )
    assert decided.records["s", 1] is before
    assert decided.new == [("s", 2)]
    assert decided.changed == {1: AccountState(90, 8)}
    assert len(decided.entries) == 1


def test_whose_outcome_is_asked_before_it_was_decided_never_happens() -> None:
    later = WantedRequest(("s", 1), packed([(WITHDRAW, 1, 10)]))
    decided = decide([WantedRequest(("s", 1), b""), later], Known({}, states(LEDGER)))
    assert decided.records["s", 1].cancelled
    assert not decided.changed


def test_accounts_are_locked_in_the_order_of_their_ids() -> None:
    group = wanted([[(WITHDRAW, 5, 1), (DEPOSIT, 2, 1)], [(DEPOSIT, 3, 1), (DEPOSIT, 5, 1)]])
    assert accounts_of(group) == [2, 3, 5]
    assert accounts_of([WantedRequest(("s", 1), b"")]) == []


def test_what_is_older_than_what_its_session_has_recorded_is_decided_by_nobody() -> None:
    known = Known({("s", 4): None}, states(LEDGER), {"s": (4, 6)})
    content = packed([(DEPOSIT, 1, 1)])
    group = [WantedRequest(("s", number), content) for number in (3, 4, 5, 7, 6)]
    decided = decide(group, known)
    assert decided.new == [("s", 7)]
    assert decided.refused == {
        ("s", 3): IsForgotten(),  # Older than the oldest that is left: it may have been done.
        ("s", 4): IsForgotten(),  # It was done, and what came of it is forgotten.
        ("s", 5): IsStale(6),
        ("s", 6): IsStale(7),
    }


def test_a_session_that_is_over_is_decided_by_nobody_unless_it_is_recorded() -> None:
    over, later = new_session(1_000), new_session(3_000)
    before = EngineRecord(packed([(DEPOSIT, 1, 1)]), packed([101]), (8,))
    known = Known({(over, 1): before}, states(LEDGER), {over: (1, 1)}, BankState(horizon_ms=2_000))
    content = packed([(DEPOSIT, 1, 1)])
    decided = decide(
        [WantedRequest((name, seq), content) for name, seq in ((over, 1), (over, 2), (later, 1))], known
    )
    assert decided.records[over, 1] == before
    assert decided.refused == {(over, 2): IsForgotten()}
    assert decided.new == [(later, 1)]


def test_action_ids_count_on_from_where_the_bank_came_from() -> None:
    group = [WantedRequest(("s", 1), packed([(DEPOSIT, 1, 1), (OPEN, 9, 0)]))]
    decided = decide(group, Known({}, states(LEDGER), {}, BankState(base=50)))
    assert decided.records["s", 1].action_ids == (51, 51)
