"""One backup: whatever the server does in between, one acknowledged state is written, or nothing is."""

from __future__ import annotations

import ctypes
import os
import re
import stat
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgpack
import pytest

from bankrmi.backup import fetching, taking
from bankrmi.backup.fetching import Fetch, FetchPace
from bankrmi.backup.taking import Order, back_up_from
from bankrmi.errors import BankError, Busy, InvalidRequest, OperationFailed
from bankrmi.replication.record import Record
from bankrmi.server import backing_up
from bankrmi.storage import space
from bankrmi.storage.database import open_to_read
from bankrmi.verifying.backup_file import read_label, verify_backup
from tests.backup.sources import SERVICE, Source
from tests.storage.journals import LEDGER, adopted, deposit, withdraw
from tests.system.test_mistakes import mounted, needs_root


@pytest.fixture
def source() -> Source:
    source = Source()
    for _ in range(5):
        source.do(deposit(1, 5), withdraw(2, 4), withdraw(77, 1))
    return source


def accounts_in(file: Path) -> dict[int, int]:
    database = open_to_read(file)
    found = dict(database.execute("SELECT id, balance FROM accounts"))
    database.close()
    return found


def nothing_is_left(folder: Path) -> bool:
    return not list(folder.iterdir())


def test_a_whole_backup_holds_everything_and_says_so(tmp_path: Path, source: Source) -> None:
    source.journal.cancel(1, ("b", 1), 1)
    label = source.back_up(tmp_path / "whole")
    assert (label.since.action_id, label.tip) == (0, source.journal.tip)
    assert (label.service, label.server, label.history, label.epoch) == (SERVICE, "s1", "h", 1)
    verdict = verify_backup(tmp_path / "whole")
    assert verdict.faults == ()
    assert "16 operations, up to action id 16, epoch 1 of history h; taken of s1 on 20" in verdict.holds
    assert accounts_in(tmp_path / "whole") == {**LEDGER, 1: 125, 2: 280}
    assert [file.name for file in tmp_path.iterdir()] == ["whole"]
    assert stat.S_IMODE((tmp_path / "whole").stat().st_mode) == 0o600


def test_a_backup_of_a_bank_that_has_done_nothing_is_its_opening_ledger(tmp_path: Path) -> None:
    assert Source().back_up(tmp_path / "whole").tip.action_id == 0
    assert verify_backup(tmp_path / "whole").faults == ()
    assert accounts_in(tmp_path / "whole") == LEDGER


def test_accounts_that_change_between_their_pages_and_the_journal_are_right(
    tmp_path: Path, source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They are read one a page; before each page, and before the journal, everything changes."""
    monkeypatch.setattr(backing_up, "ACCOUNTS", 1)
    monkeypatch.setattr(backing_up, "RECORD_OPERATIONS", 2)

    def write() -> None:
        source.do(deposit(1, 7), withdraw(3, 1))
        source.before["backup_accounts"] = write

    source.before["backup_accounts"] = write
    label = source.back_up(tmp_path / "whole")
    pages = source.asked.count("backup_accounts")
    assert pages == len(LEDGER) + 1  # The last one is empty.
    assert label.tip.action_id == 15 + 2 * pages
    assert verify_backup(tmp_path / "whole").faults == ()
    assert accounts_in(tmp_path / "whole") == {**LEDGER, 1: 125 + 7 * pages, 2: 280, 3: 450 - pages}


def test_what_is_written_meanwhile_does_not_make_a_backup_endless(tmp_path: Path, source: Source) -> None:
    def write() -> None:
        source.do(deposit(1, 1))
        source.before["backup_records"] = write

    source.before["backup_records"] = write
    assert source.back_up(tmp_path / "whole").tip.action_id in (15, 16)


def test_what_is_not_acknowledged_is_waited_for_and_never_backed_up(
    tmp_path: Path, source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetching, "SECONDS", 0.2)
    monkeypatch.setattr(fetching, "PAUSE_SECONDS", 0.01)
    source.acknowledged = 12
    with pytest.raises(OperationFailed, match="up to action id 15, and knows only those up to 12 to be"):
        source.back_up(tmp_path / "whole")
    assert nothing_is_left(tmp_path)
    assert source.back_up(tmp_path / "increment", since=3).tip.action_id == 12
    assert verify_backup(tmp_path / "increment").faults == ()


@pytest.mark.parametrize("since", [1, 7])
def test_accounts_that_were_looked_at_and_then_rolled_back_are_not_backed_up(
    tmp_path: Path, source: Source, since: int
) -> None:
    """A standby was given records that no other copy had, and loses them again between two questions.

    Whether fewer or more came in their place.
    """

    def roll_back() -> None:
        source.journal.roll_back(12)
        for _ in range(since):
            source.do(deposit(2, 1), epoch=2)
        source.journal.adopt(adopted(2))
        source.journal.commit()

    source.before["backup_records"] = roll_back
    source.do(deposit(3, 50))
    with pytest.raises(OperationFailed, match="was rolled back since: back up again"):
        source.back_up(tmp_path / "whole")
    assert nothing_is_left(tmp_path)
    assert source.back_up(tmp_path / "whole").tip.action_id == 12 + since


def test_a_journal_that_was_replaced_between_two_questions_is_noticed(
    tmp_path: Path, source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(backing_up, "RECORD_OPERATIONS", 3)
    another = Source()
    for _ in range(9):
        another.do(withdraw(1, 1))

    def replace_at_the_second() -> None:
        source.before["backup_records"] = lambda: setattr(source, "journal", another.journal)

    source.before["backup_records"] = replace_at_the_second
    with pytest.raises(OperationFailed, match="s1 holds another history than before at action id 3"):
        source.back_up(tmp_path / "whole")
    assert nothing_is_left(tmp_path)


# -- increments -----------------------------------------------------------------------------------------


def test_an_increment_holds_what_came_after_and_can_be_empty(tmp_path: Path, source: Source) -> None:
    whole = source.back_up(tmp_path / "whole")
    nothing = source.back_up(tmp_path / "nothing", since=whole)
    assert nothing.since == nothing.tip == whole.tip
    source.do(deposit(1, 1))
    one = source.back_up(tmp_path / "one", since=nothing)
    assert (one.since, one.tip.action_id, one.is_whole) == (whole.tip, 16, False)
    for name in ("nothing", "one"):
        assert verify_backup(tmp_path / name).faults == ()
    assert "1 operation since action id 15, up to action id 16" in verify_backup(tmp_path / "one").holds
    assert read_label(tmp_path / "one") == one


@pytest.mark.parametrize(
    ("since", "sentence"),
    [
        (5, "action id 5 is within a request, and a request is never split: say 3 or 6"),
        (16, "s1 knows what is acknowledged up to action id 15, and nothing since 16"),
    ],
)
def test_an_increment_begins_where_a_request_ends(
    tmp_path: Path, source: Source, since: int, sentence: str
) -> None:
    with pytest.raises(InvalidRequest, match=sentence):
        source.back_up(tmp_path / "increment", since=since)
    assert nothing_is_left(tmp_path)


def test_an_increment_waits_until_a_new_primary_knows_what_is_acknowledged(
    tmp_path: Path, source: Source
) -> None:
    """As in the moment after an epoch has begun; who moves a bank asks just then."""
    whole = source.back_up(tmp_path / "whole")
    source.acknowledged = 0
    asked = 0

    def known_at_last() -> None:
        nonlocal asked
        asked += 1
        if asked == 3:
            source.acknowledged = source.journal.tip.action_id
        else:
            source.before["backup_state"] = known_at_last

    source.before["backup_state"] = known_at_last
    one = source.back_up(tmp_path / "one", since=whole)
    assert (asked, one.since, one.tip) == (3, whole.tip, whole.tip)


def test_a_backup_of_another_history_is_not_continued(tmp_path: Path, source: Source) -> None:
    """Its action id is there, too, and stands for something else."""
    another = Source()
    for _ in range(5):
        another.do(deposit(1, 6), withdraw(2, 4), withdraw(77, 1))
    before = another.back_up(tmp_path / "another")
    with pytest.raises(InvalidRequest, match="s1 holds another history at action id 15 than the backup"):
        source.back_up(tmp_path / "increment", since=before)


# -- the file -------------------------------------------------------------------------------------------


def test_what_is_there_is_never_replaced_unless_that_is_said(tmp_path: Path, source: Source) -> None:
    file = tmp_path / "whole"
    file.write_text("precious")
    with pytest.raises(InvalidRequest, match="is there already, and is left as it is: name another, or say"):
        source.back_up(file)
    assert file.read_text() == "precious"
    source.back_up(file, overwrite=True)
    assert verify_backup(file).faults == ()
    assert stat.S_IMODE(file.stat().st_mode) == 0o600


@pytest.mark.parametrize("overwrite", [False, True])
def test_a_file_that_appears_meanwhile_stays_and_one_is_replaced_only_by_a_whole_one(
    tmp_path: Path, source: Source, overwrite: bool
) -> None:
    file = tmp_path / "whole"
    source.before["backup_records"] = lambda: file.write_text("precious")
    if overwrite:
        source.back_up(file, overwrite=True)
        assert verify_backup(file).faults == ()
    else:
        with pytest.raises(InvalidRequest, match="is there by now, and is left as it is"):
            source.back_up(file)
        assert file.read_text() == "precious"
    assert [one.name for one in tmp_path.iterdir()] == ["whole"]


def test_a_file_system_without_links_is_enough(
    tmp_path: Path, source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    def no_links(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", no_links)
    source.back_up(tmp_path / "whole")
    with pytest.raises(InvalidRequest, match="is there already"):
        source.back_up(tmp_path / "whole")
    source.before["backup_records"] = lambda: (tmp_path / "other").write_text("precious")
    with pytest.raises(InvalidRequest, match="is there by now"):
        source.back_up(tmp_path / "other")


@pytest.mark.parametrize(
    ("name", "sentence"),
    [("missing/whole", "is not a directory"), ("link", "is not a plain file"), (".", "is not a plain file")],
)
def test_a_name_that_no_backup_can_have_is_refused(
    tmp_path: Path, source: Source, name: str, sentence: str
) -> None:
    (tmp_path / "link").symlink_to("/dev/null")
    with pytest.raises(InvalidRequest, match=sentence):
        source.back_up(tmp_path / name, overwrite=True)


@needs_root
def test_a_disk_that_fills_up_while_it_is_written_is_one_sentence_and_nothing_is_left(
    tmp_path: Path, source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Others took the room since it was looked at."""
    monkeypatch.setattr(taking, "check_room", lambda *_, **__: None)
    for _ in range(30):
        source.do(*[deposit(1, 1)] * 1000)
    with mounted(tmp_path / "full", "size=100k"):
        with pytest.raises(OperationFailed, match=r"full is full \(.*\): no backup was written"):
            source.back_up(tmp_path / "full" / "whole")
        assert nothing_is_left(tmp_path / "full")


def test_room_is_looked_at_again_while_it_is_written(
    tmp_path: Path, source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may be the disk of a server, which stops when that is full."""
    monkeypatch.setattr(taking, "_LOOK_AT_ROOM_BYTES", 1)
    monkeypatch.setattr(space, "RESERVE_BYTES", 0)
    source.before["backup_records"] = lambda: monkeypatch.setattr(space, "RESERVE_BYTES", 1 << 60)
    with pytest.raises(OperationFailed, match="no room for a copy of"):
        source.back_up(tmp_path / "whole")
    assert nothing_is_left(tmp_path)


def test_whatever_ends_it_nothing_is_left(tmp_path: Path, source: Source) -> None:
    def interrupt() -> None:
        raise KeyboardInterrupt

    for question in ("backup_accounts", "backup_records"):
        source.before[question] = interrupt
        with pytest.raises(KeyboardInterrupt):
            source.back_up(tmp_path / "whole")
        assert nothing_is_left(tmp_path)


# -- what a server may answer -----------------------------------------------------------------------------


def changed(source: Source, method_to_change: str, change: Callable[[dict[str, Any]], object]) -> Fetch:
    """Return questions to a server that answers one of them in another way."""

    def ask(method: str, args: Sequence[object], *, seconds: float) -> Any:
        answer = source.ask(method, args, seconds=seconds)
        if method == method_to_change:
            change(answer)
        return answer

    return Fetch("s1", ask, FetchPace(1e12), lambda _: None)


def replaced(key: str, value: object) -> Callable[[dict[str, Any]], object]:
    return lambda answer: answer.update({key: value})


def repacked(change: Callable[[list[Any]], object]) -> Callable[[dict[str, Any]], object]:
    def do(answer: dict[str, Any]) -> None:
        rows = msgpack.unpackb(answer["records"])
        change(rows)
        answer["records"] = msgpack.packb(rows)

    return do


@pytest.mark.parametrize(
    ("method", "change", "sentence"),
    [
        ("backup_state", lambda answer: answer.clear(), "it has no 'opened_with'"),
        ("backup_state", replaced("opened_with", 5), "opened_with is no fingerprint"),
        ("backup_state", replaced("opened_with", bytes(16)), "do not lead back to the ledger"),
        ("backup_state", replaced("since", [0, 0, bytes(16)]), "another history than before at action id 0"),
        ("backup_state", replaced("history", "\x1b[2J"), "holds characters that are in no name"),
        ("backup_accounts", replaced("accounts", 7), "it is not packed"),
        ("backup_accounts", replaced("accounts", b"\xc1"), "cannot be read"),
        ("backup_accounts", replaced("accounts", msgpack.packb([[2, 5], [1, 5]])), "out of order"),
        ("backup_accounts", replaced("accounts", msgpack.packb([[1, -5]])), "a balance is none"),
        ("backup_accounts", replaced("accounts", msgpack.packb([[1]])), "cannot be read"),
        ("backup_accounts", replaced("accounts", msgpack.packb([])), "do not lead back to the ledger"),
        ("backup_records", replaced("records", msgpack.packb([[1]])), "holds what is not a record"),
        ("backup_records", replaced("records", msgpack.packb({})), "it is not a list"),
        ("backup_records", repacked(lambda rows: rows.pop(0)), "records that do not follow one another"),
        ("backup_records", repacked(lambda rows: rows[2].__setitem__(7, 9)), "does not follow from the one"),
    ],
)
def test_a_wrong_answer_is_one_sentence_and_no_backup(
    tmp_path: Path,
    source: Source,
    monkeypatch: pytest.MonkeyPatch,
    method: str,
    change: Callable[[dict[str, Any]], object],
    sentence: str,
) -> None:
    monkeypatch.setattr(fetching, "SECONDS", 0.2)
    with pytest.raises(OperationFailed, match=sentence):
        back_up_from(changed(source, method, change), SERVICE, Order(file=tmp_path / "whole"))
    assert nothing_is_left(tmp_path)


def test_a_balance_that_was_changed_on_the_servers_disk_is_no_backup(tmp_path: Path) -> None:
    """The journal is right, and the accounts beside it are not: that is found before anybody needs it."""
    source = Source(tmp_path / "s1")
    source.do(deposit(1, 5))
    source.journal.database.execute("UPDATE accounts SET balance = 7 WHERE id = 3")
    (tmp_path / "backups").mkdir()
    with pytest.raises(OperationFailed, match=r"not sound \(accounts and journal do not lead back"):
        source.back_up(tmp_path / "backups" / "whole")
    assert nothing_is_left(tmp_path / "backups")


def test_a_server_that_is_busy_is_asked_again_and_not_for_ever(
    tmp_path: Path, source: Source, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fetching, "PAUSE_SECONDS", 0.01)
    left = 3

    def ask(method: str, args: Sequence[object], *, seconds: float) -> Any:
        nonlocal left
        if left:
            left -= 1
            raise Busy("there is too much to do")
        return source.ask(method, args, seconds=seconds)

    def take(name: str) -> None:
        fetch = Fetch("s1", ask, FetchPace(1e12), lambda _: None)
        back_up_from(fetch, SERVICE, Order(file=tmp_path / name))

    take("whole")
    left = 1_000_000
    monkeypatch.setattr(fetching, "SECONDS", 0.0)
    with pytest.raises(Busy):
        take("another")


def test_the_largest_account_id_ends_the_pages(source: Source) -> None:
    fetch = Fetch("s1", source.ask, FetchPace(1e12), lambda _: None)
    source.journal.database.execute("INSERT INTO accounts VALUES (?, 1)", (2**63 - 1,))
    found: dict[int, int] = {}
    fetch.accounts(found.update)
    assert found[2**63 - 1] == 1
    assert source.asked == ["backup_accounts"]


@pytest.mark.parametrize(
    ("method", "args"),
    [
        ("backup_state", []),
        ("backup_state", ["1"]),
        ("backup_state", [-1]),
        ("backup_accounts", [1.5]),
        ("backup_accounts", [2**63]),
        ("backup_records", [None]),
        ("backup_records", [[0, 0]]),
        ("backup_records", [[0, 0, "x"]]),
        ("backup_records", [[0, 0, b""], 1]),
    ],
)
def test_a_wrong_question_is_refused(source: Source, method: str, args: list[object]) -> None:
    with pytest.raises(InvalidRequest, match=f"{method}"):
        source.ask(method, args, seconds=1)


def test_a_server_that_holds_nothing_says_so(tmp_path: Path, source: Source) -> None:
    source.journal._adopted = None
    with pytest.raises(BankError, match="s1 holds nothing yet: back up another server"):
        source.back_up(tmp_path / "whole")


# -- how fast ---------------------------------------------------------------------------------------------


def test_over_any_time_it_takes_no_more_than_its_rate() -> None:
    """What was not taken while the server was slow is not made up for in a burst."""
    now, slept = 0.0, 0.0

    def sleep(seconds: float) -> None:
        nonlocal now, slept
        now += seconds
        slept += seconds

    pace = FetchPace(1000.0, lambda: now, sleep)
    for _ in range(10):
        pace.took(500)
    assert now == pytest.approx(5.0, abs=0.2)
    now += 60.0
    before = now
    for _ in range(10):
        pace.took(500)
    assert now - before >= 4.8
    assert pace.taken == 10_000


def test_each_answer_is_bounded(source: Source) -> None:
    """By bytes and by operations; the largest request always fits."""
    large = Source()
    for _ in range(3):
        large.do(*[deposit(1, 2**40)] * 8192)
    opening = large.ask("backup_state", [None], seconds=1)["since"]
    answer = large.ask("backup_records", [opening], seconds=1)
    records = msgpack.unpackb(answer["records"], use_list=False)
    assert [Record._make(record).operation_count for record in records] == [8192]
    assert len(answer["records"]) < 1 << 20


def made_in(folder: Path, work: Callable[[], object]) -> set[str]:
    """Return the names of all files that were made there meanwhile, also of those that are gone."""
    libc, in_create = ctypes.CDLL(None, use_errno=True), 0x100
    watch = libc.inotify_init1(os.O_NONBLOCK)
    try:
        assert libc.inotify_add_watch(watch, bytes(folder), in_create) >= 0
        work()
        told = os.read(watch, 1 << 16)
    finally:
        os.close(watch)
    names, at = set(), 0
    while at < len(told):
        length = int.from_bytes(told[at + 12 : at + 16], sys.byteorder)
        names.add(told[at + 16 : at + 16 + length].rstrip(b"\0").decode())
        at += 16 + length
    return names


def test_at_no_moment_there_is_more_than_one_file_to_be_left_by_who_is_killed(
    tmp_path: Path, source: Source
) -> None:
    made = made_in(tmp_path, lambda: source.back_up(tmp_path / "whole"))
    assert {re.sub(r"[0-9a-f]{8}", "XXXXXXXX", name) for name in made} <= {".XXXXXXXX.backup.tmp", "whole"}
    assert len(made) <= 2
