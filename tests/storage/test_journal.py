from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bankrmi.errors import BrokenInvariant, ConfigurationError
from bankrmi.replication.entry import chained
from bankrmi.storage import journal as journal_module
from tests.storage.journals import LEDGER, adopted, deposit, journal_on, opened, withdraw


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


def test_an_entry_that_comes_out_differently_here_is_a_broken_invariant() -> None:
    source, copy = opened(), opened()
    [entry] = source.decide(1, ("a", 1), [withdraw(1, 10)], 7)
    with pytest.raises(BrokenInvariant, match="action id 1 comes out differently here"):
        copy.append([entry._replace(result=91)])
    copy.discard()
    with pytest.raises(BrokenInvariant, match="action id 1 comes out differently here"):
        copy.append([entry._replace(status="insufficient")])


@pytest.mark.parametrize(
    "change", [{"epoch": 2}, {"sequence": 2}, {"place": 1}, {"time_us": 8}, {"digest": bytes(16)}]
)
def test_an_entry_that_does_not_follow_from_the_one_before_is_a_broken_invariant(
    change: dict[str, object],
) -> None:
    source, copy = opened(), opened()
    [entry] = source.decide(1, ("a", 1), [withdraw(1, 10)], 7)
    with pytest.raises(BrokenInvariant, match="action id 1 does not follow from the one before"):
        copy.append([entry._replace(**change)])  # type: ignore[arg-type]


def test_a_gap_in_the_journal_is_a_broken_invariant() -> None:
    source, copy = opened(), opened()
    source.decide(1, ("a", 1), [deposit(1, 1)], 7)
    [second] = source.decide(1, ("a", 2), [deposit(2, 1)], 7)
    with pytest.raises(BrokenInvariant, match="action id 2 does not follow"):
        copy.append([second])


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
def test_entries_never_splits_a_request(sizes: list[int], after: st.DataObject) -> None:
    """However few are asked for, the last request comes whole, and no more than that (A4)."""
    journal = opened()
    for number, size in enumerate(sizes, 1):
        journal.decide(1, ("a", number), [deposit(1, 1)] * size, 1)
    begin = after.draw(st.sampled_from([0, *(sum(sizes[:cut]) for cut in range(1, len(sizes)))]))
    limit = after.draw(st.integers(1, sum(sizes) + 1))
    entries = journal.entries(begin, limit)
    ends = [sum(sizes[: cut + 1]) for cut in range(len(sizes))]
    wanted = min((end for end in ends if end >= begin + limit), default=ends[-1])
    assert [entry.action_id for entry in entries] == list(range(begin + 1, wanted + 1))


def test_the_name_of_the_record_survives_a_power_loss(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[Path] = []
    monkeypatch.setattr(journal_module, "sync_directory", synced.append)
    journal = opened(tmp_path / "bank.db", tmp_path)
    journal.decide(3, ("a", 1), [deposit(1, 1)], 1)
    journal.roll_back(0)
    assert synced == [tmp_path]


def test_what_is_rolled_back_is_written_down_for_whoever_has_to_explain_it(tmp_path: Path) -> None:
    journal = opened(tmp_path / "bank.db", tmp_path)
    journal.decide(3, ("a", 1), [deposit(1, 1)], 1)
    journal.decide(4, ("a", 2), [withdraw(1, 500), deposit(2, 5)], 1_700_000_000_000_000)
    journal.cancel(4, ("b", 1), 1_700_000_000_000_000)
    removed = journal.roll_back(1)
    lines = [json.loads(line) for line in (tmp_path / "rolled-back-4.jsonl").read_text().splitlines()]
    assert [line.pop("digest") for line in lines] == [entry.digest.hex() for entry in removed]
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


def test_a_database_of_another_format_is_refused(tmp_path: Path) -> None:
    journal = opened(tmp_path / "bank.db")
    journal.database.execute("UPDATE about SET value = 2 WHERE name = 'format'")
    journal.close()
    with pytest.raises(ConfigurationError, match="is of format 2, this version reads format 1: run"):
        journal_on(tmp_path / "bank.db")


def test_the_digest_covers_everything_before_and_in_the_entry() -> None:
    tip = opened().tip
    parts = (1, ("a", 1), 0, (b"operation", "done", 5), 9)
    one = chained(tip, *parts)
    others = [
        chained(tip._replace(digest=bytes(16)), *parts),
        chained(tip, 2, *parts[1:]),
        chained(tip, 1, ("b", 1), *parts[2:]),
        chained(tip, 1, ("a", 2), *parts[2:]),
        chained(tip, 1, ("a", 1), 1, *parts[3:]),
        chained(tip, 1, ("a", 1), 0, (b"another", "done", 5), 9),
        chained(tip, 1, ("a", 1), 0, (b"operation", "insufficient", 5), 9),
        chained(tip, 1, ("a", 1), 0, (b"operation", "done", 6), 9),
        chained(tip, 1, ("a", 1), 0, (b"operation", "done", 5), 8),
    ]
    assert len({one.digest, *(other.digest for other in others)}) == 10
    assert one == chained(tip, *parts)
