from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bankrmi.replication.admission import newest_common
from bankrmi.replication.events import CopyInstalled
from bankrmi.replication.joining import tail_of
from bankrmi.replication.replica import Replica
from bankrmi.replication.settings import Settings
from tests.examples import examples
from tests.replication.histories import taken_over
from tests.replication.scenario import Letter, running
from tests.storage.journals import adopted, decide, deposit, journal_on, opened


@settings(max_examples=examples(20))
@given(length=st.integers(0, 300))
def test_a_tail_thins_out_and_always_ends_at_the_opening(length: int) -> None:
    """One operation a record: as far apart as the rule says."""
    journal = opened()
    for number in range(1, length + 1):
        decide(journal, 1, ("a", number), [deposit(1, 1)], 1)
    tail = [position.action_id for position in tail_of(journal)]
    assert tail[0] == length
    assert tail[-1] == 0
    assert tail == sorted(set(tail), reverse=True)
    gaps = [newer - older for newer, older in pairwise(tail[:-1])]
    assert gaps == [2**place for place in range(len(gaps))]
    assert len(tail) <= length.bit_length() + 2


SIZES = st.lists(st.sampled_from([1, 1, 2, 5, 100, 3000]), max_size=40)


@settings(max_examples=examples(20))
@given(sizes=SIZES)
def test_a_tail_of_long_records_is_as_short_and_tells_as_much(sizes: list[int]) -> None:
    """Who differs from some record on is sent about as much again as it has to be, and a record at most."""
    journal = opened()
    for number, size in enumerate(sizes, 1):
        decide(journal, 1, ("a", number), [deposit(1, 1)] * size, 1)
    tail = tail_of(journal)
    assert all(journal.position(position.action_id) == position for position in tail)
    ids = [position.action_id for position in tail]
    assert ids[0] == sum(sizes)
    assert ids[-1] == 0
    assert ids == sorted(set(ids), reverse=True)
    assert len(ids) <= sum(sizes).bit_length() + 2
    for record in journal.records(0, ids[0] + 1):
        known = max(number for number in ids if number <= record.action_id)
        assert record.action_id - known <= ids[0] - record.action_id + max(sizes)


def test_an_empty_copy_has_no_tail() -> None:
    assert tail_of(journal_on(None)) == []
    assert newest_common(opened(), []) is None


@settings(max_examples=examples(20))
@given(same=st.integers(0, 60), ours=st.integers(0, 20), theirs=st.integers(0, 20))
def test_what_both_have_is_found_by_epoch_and_digest(same: int, ours: int, theirs: int) -> None:
    """Never above what is the same; and as near as the tail allows."""
    one, other = opened(), opened()
    for journal in (one, other):
        for number in range(same):
            decide(journal, 1, ("both", number + 1), [deposit(1, 1)], 1)
    for number in range(ours):
        decide(one, 2, ("ours", number + 1), [deposit(1, 1)], 1)
    for number in range(theirs):
        decide(other, 3, ("theirs", number + 1), [deposit(1, 1)], 1)
    tail = tail_of(other)
    ids = [position.action_id for position in tail]
    assert newest_common(one, tail) == max(number for number in ids if number <= same)


def test_banks_that_opened_differently_have_nothing_in_common() -> None:
    one, other = opened(), journal_on(None)
    other.open(adopted(history="another"))
    assert newest_common(one, tail_of(other)) is None


def test_a_joiner_is_answered_though_the_answer_takes_longer_than_a_heartbeat() -> None:
    """It asks again, and only the answer to the newest request counts."""
    bank = running("s1", "s2")
    bank.crash("s2", wipe=True)
    bank.settle(lambda: bank.view is not None and bank.view.in_sync == {"s1"})
    bank.start("s2")
    bank.link("s1", "s2")
    posted: list[tuple[float, Letter]] = []
    for _ in range(500):
        bank.wait(10)
        bank.tick()
        known = [letter for _, letter in posted]
        posted += [(bank.now_ms, letter) for letter in bank.mail if letter not in known]
        for at_ms, letter in list(posted):
            if bank.now_ms - at_ms >= 150:
                posted.remove((at_ms, letter))
                bank.mail.remove(letter)
                letter.arrive()
        if "s2 fetches a copy of s1" in bank.trace:
            return
    raise AssertionError(bank.trace[-12:])


@pytest.mark.parametrize("another", ["connection", "primary"])
def test_a_joiner_is_as_quick_as_ever_with_another_primary_or_connection(another: str) -> None:
    bank = running("s1", "s2", "s3")
    bank.crash("s3")
    bank.settle(lambda: bank.view is not None and bank.view.in_sync == {"s1", "s2"})
    bank.start("s3")
    for other in ("s1", "s2"):
        bank.link(other, "s3")
    for _ in range(200):
        bank.drop("s1 -> s3")
        bank.drop("s3 -> s1")
        bank.deliver_all()
        bank.wait(10)
        bank.tick()
    if another == "connection":
        bank.cut("s1", "s3")
        bank.link("s1", "s3")
    else:
        bank.crash("s1")
        taken_over(bank, "s2", "s1")
    bank.told()
    for _ in range(20):
        bank.deliver_all()
        bank.wait(10)
        bank.tick()
    assert any(line.endswith("-> s3: join: checkpoints") for line in bank.told()), bank.trace


def test_of_a_copy_just_put_in_place_nothing_is_known_to_be_acknowledged() -> None:
    """What was known was known of another journal, perhaps of another history."""
    replica = Replica(
        Settings(server="s2", servers=("s1", "s2")), journal_on(None), start_id="s2#1", now_ms=0.0
    )
    replica._office.party.acknowledged = 100
    replica.step(CopyInstalled(opened()), now_ms=1.0)
    assert replica.acknowledged == 0
