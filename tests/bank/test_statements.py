"""The total of all accounts, and the entries of one: bounded work, and what an account may be told."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bankrmi.bank.accounts import Accounts
from bankrmi.bank.forms import form_of
from bankrmi.bank.operations import LARGEST, CloseAccount, Deposit, OpenAccount, Operation, Transfer, Withdraw
from bankrmi.bank.statements import LOOKED_THROUGH, TOTAL, Statement, StatementPage, StatementQuery
from bankrmi.errors import InvalidRequest
from bankrmi.replication.journal import Adopted
from bankrmi.replication.record import packed
from bankrmi.storage.database import open_in_memory
from bankrmi.storage.folding import Keeping
from bankrmi.storage.journal import SqliteJournal, WriteBehind
from tests.bank.test_opening_and_closing import OPERATIONS

LEDGER = {1: 100, 2: 300, 300: 5}


class Kept:
    """A journal, and what is asked of it."""

    def __init__(self, keeping: Keeping | None = None) -> None:
        self.journal = SqliteJournal(
            open_in_memory(),
            Accounts(LEDGER),
            new_incarnation=lambda: "disk",
            keeping=keeping,
            behind=WriteBehind(records=0, operations=0) if keeping else None,
        )
        self.journal.open(Adopted(history="h", epoch=1, primary="s1", start_id="s1#1"))
        self._number = 0

    def do(self, *operations: Operation) -> None:
        self._number += 1
        content = packed([form_of(one) for one in operations])
        self.journal.decide(1, ("a", self._number), len(operations), content, 1_000 * self._number)

    def page(self, account: int, since: int = 0, limit: int = 100) -> StatementPage:
        page = self.journal.read(StatementQuery(account, since, limit, lambda: self.journal))
        assert isinstance(page, StatementPage)
        return page

    def whole(self, account: int, limit: int = 100) -> list[dict[str, Any]]:
        """Return all entries, page after page."""
        entries, since = list[dict[str, Any]](), 0
        while since < self.journal.tip.action_id:
            page = self.page(account, since, limit)
            assert page.through > since
            assert len(page.entries) <= limit
            entries += page.entries
            since = page.through
        return entries


def test_each_account_has_its_own_side_of_what_happened() -> None:
    bank = Kept()
    bank.do(Withdraw(1, 10))
    bank.do(Transfer(1, 2, 30), Deposit(2, 5), Transfer(2, 1, 500))
    bank.do(Transfer(2, 1, 35))
    bank.journal.cancel(1, ("b", 1), 7)
    bank.do(OpenAccount(9))
    bank.do(CloseAccount(9))
    bank.do(Withdraw(404, 1))
    mine = bank.whole(1)
    digests = {one.pop("digest") for one in mine}
    assert len(digests) == 3
    assert mine[0] == {
        "action_id": 1, "time_us": 1000, "request_id": "a:1",
        "kind": "withdraw", "amount": 10, "status": "done", "balance": 90,
    }  # fmt: skip
    assert [(one["action_id"], one["balance"], one.get("to"), one.get("from")) for one in mine] == [
        (1, 90, None, None),
        (2, 60, 2, None),
        (5, 95, None, 2),
    ]
    assert [(one["action_id"], one["status"], one["balance"]) for one in bank.whole(2)] == [
        (2, "done", 330),
        (3, "done", 335),
        (4, "insufficient", 335),  # The payee of this has nothing to do with it.
        (5, "done", 300),
    ]
    assert [(one["kind"], "amount" in one) for one in bank.whole(9)] == [
        ("open_account", False),
        ("close_account", False),
    ]
    assert [one["status"] for one in bank.whole(404)] == ["no_account"]
    assert bank.page(9).balance is None
    assert bank.page(1).balance == 95
    assert bank.whole(300) == []


def test_what_one_page_does_not_know_any_more_the_whole_does_not_either() -> None:
    """In a database what is gone may end in one page, and the next one has all that it is about."""
    first = Statement(account=1, balance=9, entries=[], since=0, through=50, begins_after=40, action_id=60)
    further = Statement(account=1, balance=9, entries=[], since=50, through=60, begins_after=3, action_id=60)
    whole = first.continued(further, 100)
    assert (whole.since, whole.through, whole.begins_after) == (0, 60, 40)


@pytest.mark.parametrize("limit", [1, 2, 3, 100])
def test_pages_follow_one_another_within_a_request_too(limit: int) -> None:
    bank = Kept()
    for _ in range(3):
        bank.do(*[Deposit(1, 1), Deposit(2, 1)] * 3)
    assert [one["action_id"] for one in bank.whole(1, limit)] == [1, 3, 5, 7, 9, 11, 13, 15, 17]
    assert bank.page(1, since=4, limit=2).entries[0]["action_id"] == 5


def test_an_answer_looks_through_so_much_and_no_more() -> None:
    bank = Kept()
    for _ in range(3):
        bank.do(*[Deposit(2, 1)] * LOOKED_THROUGH)
    bank.do(Deposit(1, 1))
    page = bank.page(1)
    assert (page.entries, page.through) == ([], LOOKED_THROUGH)
    assert [one["action_id"] for one in bank.whole(1)] == [3 * LOOKED_THROUGH + 1]


def test_beyond_the_end_there_is_nothing_and_it_is_said() -> None:
    bank = Kept()
    bank.do(Deposit(1, 1))
    for since in (1, 7):
        page = bank.page(1, since)
        assert (page.entries, page.through) == ([], since)


def test_what_is_folded_is_in_no_statement_and_the_answer_says_up_to_where() -> None:
    bank = Kept(Keeping(operations=2))
    for _ in range(5):
        bank.do(Deposit(1, 1))
        bank.journal.commit()
    while bank.journal.fold(5, 10_000):
        bank.journal.commit()
    anchor = bank.journal.anchor.action_id
    assert anchor > 0
    page = bank.page(1)
    assert page.begins_after == anchor
    assert [one["action_id"] for one in page.entries] == list(range(anchor + 1, 6))


@pytest.mark.parametrize("number", [0, 1, 127, 128, 255, 256, 65_535, 65_536, 1 << 32, LARGEST])
def test_an_account_is_found_in_whatever_form_its_number_was_sent(number: int) -> None:
    """msgpack has several for one number, and a stranger may choose any of them."""
    forms = [b"\xcf" + number.to_bytes(8, "big")]
    forms += [b"\xce" + number.to_bytes(4, "big")] if number < 1 << 32 else []
    forms += [b"\xcd" + number.to_bytes(2, "big")] if number < 1 << 16 else []
    forms += [b"\xcc" + number.to_bytes(1, "big")] if number < 1 << 8 else []
    bank = Kept()
    for place, form in enumerate([*forms, packed([number])[1:]], 1):
        bank.journal.decide(1, ("x", place), 1, b"\x91\x93\x01" + form + b"\x05", place)
    assert [one["action_id"] for one in bank.whole(number)] == list(range(1, len(forms) + 2))


@pytest.mark.parametrize(
    ("account", "since", "limit"),
    [
        (-1, 0, 1),
        ("1", 0, 1),
        (1, -1, 1),
        (1, None, 1),
        (1, 0, 0),
        (1, 0, 501),
        (1, 0, True),
        (1, LARGEST + 1, 1),
    ],
)
def test_what_is_no_question_is_refused(account: Any, since: Any, limit: Any) -> None:
    with pytest.raises(InvalidRequest):
        StatementQuery(account, since, limit, lambda: pytest.fail("it is not even looked at"))


# -- the total ---------------------------------------------------------------------------------------


def total(machine: Accounts) -> int:
    held = machine.read(TOTAL)
    assert isinstance(held, int)
    return held


def test_a_total_may_be_larger_than_any_balance() -> None:
    database = open_in_memory()
    machine = Accounts(dict.fromkeys(range(5), LARGEST))
    machine.attach(database)
    machine.open()
    assert total(machine) == 5 * LARGEST
    again = Accounts({})
    again.attach(database)
    assert total(again) == 5 * LARGEST


@given(groups=st.lists(st.lists(OPERATIONS, min_size=1, max_size=5), max_size=12), undone=st.integers(0, 12))
def test_it_is_the_sum_of_all_balances_whatever_is_done_undone_or_read_anew(
    groups: list[list[Operation]], undone: int
) -> None:
    machine = Accounts({1: 100, 2: 0, 5: 0, 9: 7})
    machine.attach(open_in_memory())
    machine.open()
    done = []
    for number, group in enumerate(groups, 1):
        forms = [form_of(one) for one in group]
        done.append((forms, machine.apply(forms, number)))
        assert total(machine) == sum(balance for _, balance in machine.export())
    for forms, outcomes in done[: -undone - 1 : -1]:
        machine.undo(forms, outcomes, 0)
        assert total(machine) == sum(balance for _, balance in machine.export())
    held = total(machine)
    machine.flush()
    machine.forget()
    assert total(machine) == held


def test_it_is_as_new_as_the_newest_entry() -> None:
    machine = Accounts(LEDGER)
    machine.attach(open_in_memory())
    machine.open()
    assert machine.changed_at(TOTAL) is None
    machine.apply([form_of(Withdraw(1, 10_000))], 3)
    assert machine.changed_at(TOTAL) == 3
