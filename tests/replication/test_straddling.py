"""Journals that differ, where one's record begins or ends inside another's.  A3, A4.

A record is removed as a whole and sent as a whole, wherever the other journal's records begin and end.
"""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import given, settings
from hypothesis import strategies as st

from bankrmi.bank.operations import Deposit, Operation, Withdraw
from bankrmi.replication.events import MessageArrived
from bankrmi.replication.messages import Checkpoint
from bankrmi.replication.record import Position, Record
from tests.examples import examples
from tests.replication.histories import comes_back, dies, taken_over
from tests.replication.scenario import Bank, running
from tests.replication.words import Caller

SIZE = st.sampled_from([1, 2, 3, 5, 9])
FEW = st.lists(SIZE, max_size=3)


def batches(bank: Bank, name: str, session: str, sizes: Sequence[int]) -> None:
    """Have a server decide requests of these sizes, in this order; it knows none of them."""
    for number, size in enumerate(sizes, 1):
        kinds: list[Operation] = [Deposit(1, 3), Withdraw(1, 10_000), Deposit(2, 1)]
        bank.request(name, f"{session}:{number}", *(kinds * 3)[:size])


def same(bank: Bank, one: str, other: str) -> None:
    """Both hold the same journal, and what it adds up to."""
    ours, theirs = bank.journals[one], bank.journals[other]
    assert ours.records(0, 1000) == theirs.records(0, 1000)
    assert list(ours.export()) == list(theirs.export())
    assert ours.tip == theirs.tip
    assert [ours.newest(session) for session in ("both", "ours", "theirs")] == [
        theirs.newest(session) for session in ("both", "ours", "theirs")
    ]


def two_that_differ(shared: Sequence[int], ours: Sequence[int], theirs: Sequence[int], at_once: int) -> Bank:
    """s1 died, and never shared the last of what it had decided; s2 leads, and went on in its own way."""
    bank = running("s1", "s2", catch_up_operations=at_once)
    for number, size in enumerate(shared, 1):
        bank.request("s1", f"both:{number}", *[Deposit(1, 1)] * size)
        bank.deliver_all()
    leader = bank.replicas["s1"].primary
    assert leader is not None
    for number, size in enumerate(ours, 1):
        leader.acknowledged = bank.journals["s1"].tip.action_id  # So that each one is a group.
        bank.request("s1", f"ours:{number}", *[Deposit(2, 1)] * size)
    bank.crash("s1")
    bank.drop()
    taken_over(bank, "s2", "s1")
    batches(bank, "s2", "theirs", theirs)
    bank.deliver_all()
    return bank


@settings(max_examples=examples(30))
@given(shared=FEW, ours=FEW, theirs=FEW, at_once=st.sampled_from([1, 3, 2048]))
def test_who_comes_back_holds_what_the_primary_holds_wherever_their_records_end(
    shared: list[int], ours: list[int], theirs: list[int], at_once: int
) -> None:
    bank = two_that_differ(shared, ours, theirs, at_once)
    assert bank.tips() == {
        "s1": (sum(shared) + sum(ours), 2 if shared or ours else 0),
        "s2": (sum(shared) + sum(theirs), 3 if theirs else 2 if shared else 0),
    }
    comes_back(bank, "s1")
    bank.settle(lambda: bank.view is not None and bank.view.in_sync == {"s1", "s2"})
    same(bank, "s1", "s2")
    assert bank.contradictions == []


def test_a_tip_inside_of_the_primarys_record_is_rolled_back_and_the_record_taken() -> None:
    bank = two_that_differ([1], [2], [4], at_once=2048)
    comes_back(bank, "s1")
    bank.told()
    bank.settle(lambda: bank.view is not None and bank.view.in_sync == {"s1", "s2"})
    told = bank.told()
    assert "s2 -> s1: checkpoint in 4 of 2-5" in told or "s2 -> s1: checkpoint in 3 of 2-5" in told
    assert not [line for line in told if "mismatch" in line]
    assert [record[:2] for record in bank.journals["s1"].records(0, 100)] == [(1, 2), (5, 3)]
    same(bank, "s1", "s2")


def test_a_record_that_ends_above_the_primarys_tip_is_rolled_back_whole() -> None:
    bank = two_that_differ([1], [5], [2], at_once=2048)
    comes_back(bank, "s1")
    bank.settle(lambda: bank.view is not None and bank.view.in_sync == {"s1", "s2"})
    assert [record[:2] for record in bank.journals["s1"].records(0, 100)] == [(1, 2), (3, 3)]
    same(bank, "s1", "s2")


def checkpoint(bank: Bank, previous: Position, base: Position, records: Sequence[Record] = ()) -> Checkpoint:
    """Return what s2 might send in its epoch."""
    view = bank.view
    assert view is not None
    return Checkpoint(
        history=view.history,
        epoch=view.epoch,
        primary=view.primary,
        start_id=view.start_id,
        number=99,
        previous=previous,
        base=base,
        acknowledged=0,
        lease_ms=1000,
        drift_ms=20,
        records=records,
    )


def test_a_base_inside_of_a_record_leaves_nothing_of_it() -> None:
    """The record ends above `base`, so the primary cannot have it, and a part of it is not a record (A4)."""
    bank = two_that_differ([1], [1, 5, 1], [2], at_once=2048)
    comes_back(bank, "s1")
    bank.drop()
    journal = bank.journals["s1"]
    previous, unshared = journal.position(1), journal.position(2)
    assert previous is not None
    assert unshared is not None
    base = Position(4, 2, b"d" * 16)
    bank.told()
    bank.take("s1", MessageArrived(Caller("s2", 1), checkpoint(bank, previous, base)))
    assert journal.tip == unshared, "what ends below base may be shared, as far as this message says"
    assert bank.told() == [
        "s1 commits checkpoint",
        "s1 reads the view",
        "s1 -> s2: acknowledged in 3 up to 1",
    ]
    assert journal.read(2) == 301


def test_only_what_differs_of_a_message_is_taken_anew() -> None:
    """Records that are here stay; the first that is not here takes the place of all from its beginning on."""
    bank = two_that_differ([2, 3], [4], [1, 6], at_once=2048)
    comes_back(bank, "s1")
    bank.drop()
    records = bank.journals["s2"].records(0, 100)
    opening = bank.journals["s1"].position(0)
    assert opening is not None
    bank.told()
    bank.take("s1", MessageArrived(Caller("s2", 1), checkpoint(bank, opening, opening, records)))
    assert bank.told() == [
        "s1 commits checkpoint",
        "s1 reads the view",
        "s1 -> s2: acknowledged in 3 up to 12",
    ]
    same(bank, "s1", "s2")


def test_a_record_that_begins_inside_one_of_the_same_epoch_is_refused_and_nothing_changes() -> None:
    """A3: one primary decides an epoch's records, so two of them never overlap."""
    bank, other = running("s1", "s2"), running("s1", "s2")
    bank.request("s1", "a:1", *[Deposit(1, 1)] * 3)
    for number in (1, 2):
        other.request("s1", f"b:{number}", Deposit(1, 5))
        other.deliver_all()
    bank.deliver_all()
    opening = bank.journals["s2"].position(0)
    assert opening is not None
    bank.told()
    forged = checkpoint(bank, opening, opening, other.journals["s1"].records(0, 100))
    bank.take("s2", MessageArrived("forger", forged))
    assert bank.told() == [
        "s2 reads the view",
        "s2 answers forger: refused, two different requests of epoch 2 at action id 1: ours, and one from s1",
    ]
    assert bank.tips() == {"s1": (3, 2), "s2": (3, 2)}


def one_differs_inside_the_primarys_record() -> Bank:
    """s3 alone got the dead s1's batch of five; s2 took over, decided one of eight, and starts again."""
    bank = running("s1", "s2", "s3")
    bank.request("s1", "ours:1", *[Deposit(2, 1)] * 5)
    bank.deliver("s1 -> s3: checkpoint")
    dies(bank, "s1")
    bank.drop("s1 ->")
    bank.drop("s3 -> s1")
    taken_over(bank, "s2", "s1")
    bank.drop("s2 -> s3")
    bank.request("s2", "theirs:1", *[Deposit(1, 1)] * 8)
    assert {name: bank.tips()[name] for name in ("s2", "s3")} == {"s2": (8, 4), "s3": (5, 3)}
    bank.crash("s2")
    bank.drop()
    bank.start("s2")
    bank.link("s2", "s3")
    return bank


def test_a_search_that_ends_inside_a_record_goes_on_from_its_beginning() -> None:
    """The standby's tip is 5: the primary would send from 6 on, and its record has 1 to 8."""
    bank = one_differs_inside_the_primarys_record()
    bank.told()
    bank.settle(lambda: bank.journals["s3"].tip == bank.journals["s2"].tip)
    told = bank.told()
    mismatch = told.index("s3 -> s2: mismatch in 5, my tip is 5")
    assert told[mismatch + 1] == "s2 -> s3: checkpoint in 5 of 1-8"
    assert "s3 -> s2: acknowledged in 5 up to 8" in told
    same(bank, "s2", "s3")
    assert bank.contradictions == []
