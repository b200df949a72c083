from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bankrmi.errors import BrokenInvariant
from bankrmi.replication.record import Position, chained, entries_of, packed, size_of
from bankrmi.storage import rolled_back
from tests.storage.journals import LEDGER, adopted, decide, deposit, journal_on, opened, withdraw


def test_a_new_copy_is_empty_until_it_is_opened() -> None:
    journal = journal_on(None)
    assert (journal.adopted, journal.tip.action_id, journal.position(0)) == (None, 0, None)
    assert journal.opened_with is None
    journal.open(adopted())
    journal.commit()
    assert journal.position(0) == journal.tip
    assert dict(journal.export()) == LEDGER
    with pytest.raises(BrokenInvariant, match="opened before"):
        journal.open(adopted())


def test_what_the_bank_opened_with_tells_ledgers_apart_and_histories_too() -> None:
    one, other = journal_on(None), journal_on(None)
    one.open(adopted(history="h1"))
    other.open(adopted(history="h2"))
    assert one.opened_with == other.opened_with
    assert one.tip.digest != other.tip.digest


@pytest.mark.parametrize("outcomes", [[91, 300], [("insufficient", 90), 300], [90], [90, 300, 1]])
def test_a_request_that_comes_out_differently_here_is_a_broken_invariant(outcomes: list[object]) -> None:
    source, copy = opened(), opened()
    record = decide(source, 1, ("a", 1), [withdraw(1, 10), deposit(2, 0)], 7)
    with pytest.raises(BrokenInvariant, match="the request at action id 1 comes out differently here"):
        copy.append([record._replace(outcomes=packed(outcomes))])
    copy.discard()
    copy.append([record])
    assert copy.tip == source.tip


@pytest.mark.parametrize(
    "change",
    [
        {"epoch": 2},
        {"session": "b"},
        {"sequence": 2},
        {"action_id": 3},
        {"time_us": 8},
        {"digest": bytes(16)},
    ],
)
def test_a_record_that_does_not_follow_from_the_one_before_is_a_broken_invariant(
    change: dict[str, object],
) -> None:
    source, copy = opened(), opened()
    record = decide(source, 1, ("a", 1), [withdraw(1, 10), deposit(2, 1)], 7)
    with pytest.raises(BrokenInvariant, match="does not follow from the one before"):
        copy.append([record._replace(**change)])  # type: ignore[arg-type]


@pytest.mark.parametrize("count", [1, 3])
def test_a_record_that_does_not_hold_as_many_operations_as_it_says_is_a_broken_invariant(count: int) -> None:
    """Else a request would take action ids that are another's, or leave some to nobody."""
    record, copy = decide(opened(), 1, ("a", 1), [withdraw(1, 10), deposit(2, 1)], 7), opened()
    wrong = chained(copy.tip, 1, record.request, (count, record.operations, record.outcomes), 7)
    with pytest.raises(BrokenInvariant, match="action id 1 comes out differently here"):
        copy.append([wrong])


def test_what_is_cancelled_is_one_operation() -> None:
    copy = opened()
    with pytest.raises(BrokenInvariant, match="action id 1 comes out differently here"):
        copy.append([chained(copy.tip, 1, ("a", 1), (2, b"", b""), 7)])


@pytest.mark.parametrize("operations", [b"\xc1", packed([1]), packed([["a", 1, 1]]), b"\x01"])
def test_operations_that_cannot_be_read_are_a_broken_invariant(operations: bytes) -> None:
    """They come from another copy: what it sends is judged here, whatever it is."""
    copy = opened()
    record = chained(copy.tip, 1, ("a", 1), (1, operations, packed([1])), 7)
    with pytest.raises(BrokenInvariant, match="action id 1 c"):
        copy.append([record])


def test_a_gap_in_the_journal_is_a_broken_invariant() -> None:
    source, copy = opened(), opened()
    decide(source, 1, ("a", 1), [deposit(1, 1)], 7)
    second = decide(source, 1, ("a", 2), [deposit(2, 1)], 7)
    with pytest.raises(BrokenInvariant, match="action id 2 does not follow"):
        copy.append([second])


def test_a_request_that_is_in_the_journal_already_is_a_broken_invariant() -> None:
    journal = opened()
    decide(journal, 1, ("a", 2), [deposit(1, 1)], 7)
    journal.commit()
    for number in (1, 2):
        with pytest.raises(BrokenInvariant, match="is journalled twice, or after a newer one"):
            decide(journal, 1, ("a", number), [deposit(1, 1)], 7)
        journal.discard()


def test_an_adopted_epoch_never_goes_back() -> None:
    journal = opened()
    journal.adopt(adopted(5))
    journal.adopt(adopted(5, history="restored"))
    with pytest.raises(BrokenInvariant, match="cannot go back from epoch 5 to 4"):
        journal.adopt(adopted(4))
    assert journal.adopted == adopted(5, history="restored")


def test_a_copy_gets_an_incarnation_of_its_own_and_never_an_older_epoch(tmp_path: Path) -> None:
    journal = opened(tmp_path / "bank.db")
    journal.adopt(adopted(5))
    journal.make_own("mine", adopted(7))
    journal.commit()
    assert (journal.incarnation, journal.adopted) == ("mine", adopted(7))
    journal.make_own("mine too", adopted(3))
    journal.make_own("mine too", adopted(9, history="of a view that is out of date"))
    journal.commit()
    journal.close()
    again = journal_on(tmp_path / "bank.db")
    assert (again.incarnation, again.adopted) == ("mine too", adopted(7))


def test_the_incarnation_stays_with_the_disk(tmp_path: Path) -> None:
    journal = opened(tmp_path / "bank.db")
    journal.close()
    assert journal_on(tmp_path / "bank.db").incarnation == "disk1"


@given(sizes=st.lists(st.integers(1, 5), min_size=1, max_size=8), after=st.data())
def test_about_as_many_operations_are_read_as_are_asked_for(sizes: list[int], after: st.DataObject) -> None:
    """However few that are: the last request comes whole, and no more than that (A4)."""
    journal = opened()
    for number, size in enumerate(sizes, 1):
        decide(journal, 1, ("a", number), [deposit(1, 1)] * size, 1)
    begin = after.draw(st.sampled_from([0, *(sum(sizes[:cut]) for cut in range(1, len(sizes)))]))
    limit = after.draw(st.integers(1, sum(sizes) + 1))
    entries = entries_of(journal.records(begin, limit))
    ends = [sum(sizes[: cut + 1]) for cut in range(len(sizes))]
    wanted = min((end for end in ends if end >= begin + limit), default=ends[-1])
    assert [entry.action_id for entry in entries] == list(range(begin + 1, wanted + 1))


def test_fewer_are_read_if_they_are_long_but_never_none() -> None:
    journal = opened()
    for number in range(1, 5):
        decide(journal, 1, ("a", number), [deposit(1, 1)] * 100, 1)
    size = size_of(journal.records(0, 1)[0])
    read = [len(journal.records(0, 1000, at_most_bytes=most)) for most in (1, size, size + 1, 9 * size)]
    assert read == [1, 1, 2, 4]


def ids(*positions: Position | None) -> list[int | None]:
    return [position and position.action_id for position in positions]


def test_where_a_record_ends_and_which_record_holds_an_operation() -> None:
    """Records of two, one and three operations: ends at 2, 3 and 6."""
    journal = opened()
    for number, size in enumerate((2, 1, 3), 1):
        decide(journal, 1, ("a", number), [deposit(1, 1)] * size, 1)
    every = range(8)
    assert ids(*map(journal.position, every)) == [0, None, 2, 3, None, None, 6, None]
    assert ids(*map(journal.before, every[1:])) == [0, 0, 2, 3, 3, 3, 6]
    assert ids(*map(journal.holding, every[1:])) == [2, 2, 3, 6, 6, 6, None]
    assert ids(journal_on(None).before(1), journal_on(None).holding(1)) == [None, None]


@pytest.mark.parametrize(("to", "left"), [(0, 0), (1, 0), (2, 2), (3, 3), (4, 3), (5, 3), (6, 6)])
def test_a_roll_back_into_a_record_takes_all_of_it(to: int, left: int) -> None:
    """A request is never split (A4), and what stays is what was there before."""
    journal, other = opened(), opened()
    sizes = (2, 1, 3)
    for number, size in enumerate(sizes, 1):
        decide(journal, 1, ("a", number), [deposit(1, 7), withdraw(1, 500), withdraw(2, 3)][:size], 1)
    kept = journal.records(0, 100)[: (0, 2, 3, 6).index(left)]
    removed = journal.roll_back(to)
    assert [record.action_id for record in removed] == [end for end in (2, 3, 6) if end > left]
    if kept:
        other.append(kept)
    assert (journal.tip, list(journal.export())) == (other.tip, list(other.export()))
    assert journal.newest("a") == other.newest("a")


def test_the_name_of_the_record_survives_a_power_loss(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[Path] = []
    monkeypatch.setattr(rolled_back, "sync_directory", synced.append)
    journal = opened(tmp_path / "bank.db", tmp_path)
    decide(journal, 3, ("a", 1), [deposit(1, 1)], 1)
    journal.roll_back(0)
    assert synced == [tmp_path]


def test_what_is_rolled_back_is_written_down_for_whoever_has_to_explain_it(tmp_path: Path) -> None:
    journal = opened(tmp_path / "bank.db", tmp_path)
    decide(journal, 3, ("a", 1), [deposit(1, 1)], 1)
    decide(journal, 4, ("a", 2), [withdraw(1, 500), deposit(2, 5)], 1_700_000_000_000_000)
    journal.cancel(4, ("b", 1), 1_700_000_000_000_000)
    removed = journal.roll_back(1)
    lines = [json.loads(line) for line in (tmp_path / "rolled-back-4.jsonl").read_text().splitlines()]
    assert [line.pop("digest") for line in lines] == [entry.digest.hex() for entry in entries_of(removed)]
    common = {"epoch": 4, "time": "2023-11-14T22:13:20Z"}
    first = {"action_id": 2, "request_id": "a:2", "place": 0, "kind": "withdraw", "account": 1, "amount": 500}
    second = {"action_id": 3, "request_id": "a:2", "place": 1, "kind": "deposit", "account": 2, "amount": 5}
    third = {"action_id": 4, "request_id": "b:1", "place": 0, "status": "cancelled", "result": None}
    assert lines == [
        {**common, **first, "status": "insufficient", "result": 101},
        {**common, **second, "status": "done", "result": 305},
        {**common, **third},
    ]
    assert not (tmp_path / "rolled-back-3.jsonl").exists()
    assert journal.roll_back(1) == []


@pytest.mark.parametrize("whole", [0, 1, 100])
def test_a_record_whose_last_line_was_cut_off_takes_none_of_the_next_ones_with_it(
    tmp_path: Path, whole: int
) -> None:
    """The disk was full, or the process was killed, while it was written; then all of it is done again."""
    kept = b'{"action_id": 1}\n' * whole
    torn = b'{"action_id": 2, "why": "' + b"x" * 10_000
    (tmp_path / "rolled-back-3.jsonl").write_bytes(kept + torn)
    journal = opened(tmp_path / "bank.db", tmp_path)
    for number in (1, 2):
        decide(journal, 3, ("a", number), [deposit(1, 1)], 1)
    journal.roll_back(0)
    content = (tmp_path / "rolled-back-3.jsonl").read_bytes()
    assert content.startswith(kept)
    added = [json.loads(line) for line in content[len(kept) :].splitlines()]
    assert [line["request_id"] for line in added] == ["a:1", "a:2"]


def test_the_digest_covers_everything_before_and_in_the_record() -> None:
    tip = opened().tip
    decided = (2, b"operations", b"outcomes")
    one = chained(tip, 1, ("a", 1), decided, 9)
    others = [
        chained(tip._replace(digest=bytes(16)), 1, ("a", 1), decided, 9),
        chained(tip, 2, ("a", 1), decided, 9),
        chained(tip, 1, ("b", 1), decided, 9),
        chained(tip, 1, ("a", 2), decided, 9),
        chained(tip, 1, ("a", 1), (3, b"operations", b"outcomes"), 9),
        chained(tip, 1, ("a", 1), (2, b"others", b"outcomes"), 9),
        chained(tip, 1, ("a", 1), (2, b"operations", b"others"), 9),
        chained(tip, 1, ("a", 1), (2, b"operationsout", b"comes"), 9),
        chained(tip, 1, ("a", 1), decided, 8),
    ]
    assert len({one.digest, *(other.digest for other in others)}) == 10
    assert one == chained(tip, 1, ("a", 1), decided, 9)
