"""A whole backup and increments: in what order, from what to what, and where a restored journal may end."""

from __future__ import annotations

import random
from collections.abc import Sequence
from pathlib import Path

import apsw
import pytest

from bankrmi.backup.chain import Chain
from bankrmi.backup.point import at_action_id, at_time
from bankrmi.backup.rebuilding import rebuild
from bankrmi.errors import InvalidRequest, OperationFailed
from bankrmi.moments import moment
from bankrmi.storage.backup_label import label_of
from bankrmi.verifying.server_directory import verify_database
from tests.backup.sources import Source
from tests.storage.journals import LEDGER, adopted, deposit, journal_on, withdraw

HOUR_US = 3_600_000_000
NOON_US = moment("2026-11-29T12:00:00Z")


@pytest.fixture
def source() -> Source:
    return Source()


def filled(source: Source, requests: int, *, hour: int = 0) -> None:
    for number in range(requests):
        source.do(deposit(1, 5), withdraw(2, 4), withdraw(77, 1), time_us=NOON_US + hour * HOUR_US + number)


@pytest.fixture
def files(tmp_path: Path, source: Source) -> list[Path]:
    """A whole backup up to action id 9, and increments up to 15 and 21: of noon, one and two o'clock."""
    whole, first, second = (tmp_path / name for name in ("whole", "first", "second"))
    filled(source, 3)
    label = source.back_up(whole)
    filled(source, 2, hour=1)
    label = source.back_up(first, since=label)
    filled(source, 2, hour=2)
    source.back_up(second, since=label)
    return [whole, first, second]


def restored(files: Sequence[Path], folder: Path, end: int | None = None) -> dict[int, int]:
    """Rebuild a database, check it, and return its accounts."""
    folder.mkdir(exist_ok=True)
    path = folder / "bank.db"
    with Chain(files) as chain:
        chain.check(lambda _: None)
        end = chain.links[-1].ends_at if end is None else end
        incarnation = rebuild(chain, end, path, adopted(1_000_001, history="new"), lambda _: None)
    verdict = verify_database(path)
    assert verdict.faults == ()
    assert verdict.holds == f"{end} operations, epoch 1000001 of history new"
    journal = journal_on(path)
    assert journal.incarnation == incarnation
    assert label_of(journal.database) is None
    found = dict(journal.export())
    journal.close()
    return found


def after(requests: int) -> dict[int, int]:
    return {**LEDGER, 1: 100 + 5 * requests, 2: 300 - 4 * requests}


# -- rebuilding -------------------------------------------------------------------------------------------


def test_whole_and_increments_in_any_order_are_all_there_is(tmp_path: Path, files: list[Path]) -> None:
    chance = random.Random(1)
    for number in range(4):
        chance.shuffle(files)
        assert restored(files, tmp_path / f"s{number}") == after(7)


@pytest.mark.parametrize("requests", range(8))
def test_a_journal_may_end_after_any_request(tmp_path: Path, files: list[Path], requests: int) -> None:
    """Within the whole one by undoing, within an increment by going no further."""
    assert restored(files, tmp_path / "s1", 3 * requests) == after(requests)


def test_a_long_way_back_goes_in_pieces(
    tmp_path: Path, files: list[Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("bankrmi.backup.rebuilding._UNDONE_AT_ONCE", 2)
    monkeypatch.setattr("bankrmi.backup.rebuilding._RECORDS_AT_ONCE", 1)
    assert restored(files, tmp_path / "s1", 3) == after(1)


def test_increments_that_overlap_are_taken_once(tmp_path: Path, source: Source, files: list[Path]) -> None:
    whole, first, _ = files
    source.back_up(tmp_path / "overlapping", since=6)
    source.back_up(tmp_path / "all of it", since=0)
    assert restored(
        [whole, first, tmp_path / "overlapping", tmp_path / "all of it"], tmp_path / "s1"
    ) == after(7)


def test_a_bank_goes_on_after_the_end_and_an_old_request_is_still_known(
    tmp_path: Path, files: list[Path]
) -> None:
    restored(files, tmp_path / "s1", 12)
    journal = journal_on(tmp_path / "s1" / "bank.db")
    assert journal.recorded("a", 4) is not None
    assert journal.recorded("a", 5) is None
    assert journal.newest("a") == 4


# -- what is no chain -------------------------------------------------------------------------------------


def test_what_is_missing_or_too_much_is_named(tmp_path: Path, source: Source, files: list[Path]) -> None:
    whole, first, second = files
    source.back_up(tmp_path / "another")
    for wrong, sentence in (
        ([first, second], "here none is whole"),
        ([whole, tmp_path / "another"], "here 2 are .*whole, .*another. whole"),
        (
            [whole, second],
            "second continues action id 15, and what comes before it ends at 9: an increment is",
        ),
        ([whole, tmp_path / "nowhere"], "nowhere is not a file"),
    ):
        with pytest.raises(InvalidRequest, match=sentence):
            Chain(wrong)


def test_an_increment_of_another_history_is_refused_wherever_it_begins(
    tmp_path: Path, files: list[Path]
) -> None:
    """Its action ids fit; its digests do not."""
    another = Source()
    for _ in range(8):
        another.do(deposit(1, 6), withdraw(2, 4), withdraw(77, 1))
    for since in (0, 6, 9):
        another.back_up(tmp_path / f"another-{since}", since=since)
        with (
            Chain([files[0], tmp_path / f"another-{since}"]) as chain,
            pytest.raises(
                OperationFailed,
                match=r"does not continue .*whole: they hold different histories at action id 9",
            ),
        ):
            chain.check(lambda _: None)


def test_what_is_no_backup_is_told(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("1,100\n" * 5000)
    journal_on(tmp_path / "bank.db").close()
    for name in ("text", "bank.db"):
        with pytest.raises(InvalidRequest, match="is no backup"):
            Chain([tmp_path / name])


def test_a_flipped_bit_is_found_wherever_it_is(tmp_path: Path, files: list[Path]) -> None:
    """In the pages' content, their checksums, the file's header: by the label, or by the check."""
    chance = random.Random(2)
    for file in files:
        content = file.read_bytes()
        for _ in range(60):
            damaged = bytearray(content)
            damaged[chance.randrange(len(damaged))] ^= 1 << chance.randrange(8)
            file.write_bytes(damaged)
            with pytest.raises((OperationFailed, InvalidRequest)), Chain(files) as chain:
                chain.check(lambda _: None)
        file.write_bytes(content)
    assert restored(files, tmp_path / "s1") == after(7)


def changed(file: Path, statement: str, *values: object) -> None:
    database = apsw.Connection(str(file), vfs="cksmvfs")
    database.execute(statement, values)
    database.close()


@pytest.mark.parametrize(
    ("number", "statement", "sentence"),
    [
        (0, "UPDATE accounts SET balance = 1 WHERE id = 3", "do not lead back to the ledger"),
        (0, "DELETE FROM journal WHERE action_id = 9", "its label says that it ends at action id 9, not 6"),
        (0, "UPDATE about SET value = x'00' WHERE name = 'opening'", "does not fit the state that it begins"),
        (1, "UPDATE journal SET time_us = 0 WHERE action_id = 12", "the digest at action id 12 is not"),
        (1, "DELETE FROM journal WHERE action_id = 12", "action id 10 is missing from the journal"),
        (1, "DELETE FROM journal", "its label says that it ends at action id 15, not 9"),
        (1, "UPDATE about SET value = 7 WHERE name = 'format'", "records are of format 7, and this version"),
    ],
)
def test_what_somebody_has_changed_is_refused(
    files: list[Path], number: int, statement: str, sentence: str
) -> None:
    changed(files[number], statement)
    with Chain(files) as chain, pytest.raises(OperationFailed, match=sentence):
        chain.check(lambda _: None)


def test_an_outcome_that_does_not_follow_is_found_when_it_is_put_upon_its_base(
    tmp_path: Path, files: list[Path]
) -> None:
    """An increment by itself cannot know what an account held: what it is put upon does."""
    whole, first, _ = files
    rich = Source()
    filled(rich, 3)
    rich.journal.database.execute("UPDATE accounts SET balance = 1000 WHERE id = 2")
    rich.journal.machine.forget()
    filled(rich, 2, hour=1)
    first.unlink()
    rich.back_up(first, since=9)
    with Chain([whole, first]) as chain:
        chain.check(lambda _: None)
        with pytest.raises(OperationFailed, match="cannot be put upon what it continues, and nothing was"):
            rebuild(chain, 15, tmp_path / "bank.db", adopted(9), lambda _: None)


def test_a_label_of_a_later_version_is_told(files: list[Path]) -> None:
    changed(files[0], "UPDATE about SET value = '{\"format\": 9}' WHERE name = 'backup'")
    with pytest.raises(InvalidRequest, match=r"a backup whose label this version cannot read .format 9"):
        Chain(files)


# -- where it may end ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("action_id", "sentence"),
    [
        (1, "action id 1 is within the request of action ids 1 to 3, .* never split: say 0 or 3"),
        (11, "action id 11 is within the request of action ids 10 to 12, .*: say 9 or 12"),
        (20, "action id 20 is within the request of action ids 19 to 21, .*: say 18 or 21"),
        (22, "action id 22 is not in these backups: they end at 21"),
    ],
)
def test_a_request_is_never_split(files: list[Path], action_id: int, sentence: str) -> None:
    with Chain(files) as chain, pytest.raises(InvalidRequest, match=sentence):
        at_action_id(chain.links, action_id)


@pytest.mark.parametrize(
    ("text", "end"),
    [
        ("2026-11-29T11:59:59Z", 0),
        ("2026-11-29T12:00:00Z", 3),
        ("2026-11-29 12:00:00.000001 UTC", 6),
        ("2026-11-29T13:30:00+01:00", 9),
        ("2026-11-29T13:00:00.000000Z", 12),
        ("2026-11-29T14:00:00.000000Z", 18),
        ("2026-11-29T14:00:00.000001Z", 21),
    ],
)
def test_a_time_is_the_state_before_the_first_later_record(files: list[Path], text: str, end: int) -> None:
    with Chain(files) as chain:
        assert at_time(chain.links, moment(text)) == end


def test_a_time_after_the_newest_record_is_refused(tmp_path: Path, files: list[Path]) -> None:
    """What was done in between may be missing."""
    with (
        Chain(files) as chain,
        pytest.raises(
            InvalidRequest, match=r"their newest is of 2026-11-29 14:00:00.000001 UTC.: leave --at out"
        ),
    ):
        at_time(chain.links, moment("2026-11-29T15:00:00Z"))
    Source().back_up(tmp_path / "empty")
    with Chain([tmp_path / "empty"]) as chain, pytest.raises(InvalidRequest, match="they hold no operation"):
        at_time(chain.links, moment("2026-11-29T15:00:00Z"))


def test_where_the_clock_went_back_what_comes_after_is_left_out(tmp_path: Path, source: Source) -> None:
    for minutes in (0, 10, 5, 20):
        source.do(deposit(1, 1), time_us=NOON_US + minutes * 60_000_000)
    source.back_up(tmp_path / "whole")
    with Chain([tmp_path / "whole"]) as chain:
        assert at_time(chain.links, moment("2026-11-29T12:07:00Z")) == 1
        assert at_time(chain.links, moment("2026-11-29T12:15:00Z")) == 3
