"""What leaves the journal, what stays of it, and what is told of it afterwards."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bankrmi.errors import BrokenInvariant
from bankrmi.replication.record import Position
from bankrmi.replication.sessions import HORIZON, began_ms, last_that_began, new_session
from bankrmi.storage.copying import verify_copy
from bankrmi.storage.disk_failure import DiskFailed
from bankrmi.storage.folding import Keeping
from bankrmi.storage.journal import SqliteJournal, WriteBehind
from bankrmi.storage.kept_sessions import KeptSessions
from bankrmi.storage.state_machine import SUM_MODULUS
from bankrmi.verifying.server_directory import verify_database
from tests.examples import examples
from tests.storage.journals import decide, deposit, journal_on, opened, withdraw

AT_ONCE = WriteBehind(records=0, operations=0)
DAY_US = 86_400_000_000
DAY_MS = DAY_US // 1000


def folding(path: Path | None = None, /, **keeping: int) -> SqliteJournal:
    return opened(path, behind=AT_ONCE, keeping=Keeping(**keeping))


def do(journal: SqliteJournal, count: int, *, session: str = "a", first: int = 1, time_us: int = 1) -> None:
    for number in range(first, first + count):
        decide(journal, 1, (session, number), [deposit(1 + number % 3, 5), withdraw(99, 1)], time_us)
    journal.commit()


def fold_all(journal: SqliteJournal, up_to: int | None = None, now_us: int = 0) -> int:
    """Fold until there is nothing to do; return in how many steps."""
    steps = 0
    while journal.fold(journal.tip.action_id if up_to is None else up_to, now_us):
        steps += 1
        assert steps < 10_000
    journal.commit()
    return steps


# -- records ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("keeping", "anchor"),
    [
        ({}, 0),  # Without a word of the operator's, everything stays.
        ({"operations": 50}, 150),
        ({"operations": 1}, 198),  # The newest record stays, whatever is said.
        ({"age_us": 1}, 198),
        ({"age_us": 2_000}, 0),
        ({"operations": 50, "age_us": 1}, 150),  # Beyond both bounds.
        ({"operations": 50, "age_us": 2_000}, 0),
        ({"operations": 1_000}, 0),
    ],
)
def test_what_is_beyond_all_bounds_is_folded(keeping: dict[str, int], anchor: int) -> None:
    journal = folding(**keeping)
    do(journal, 100, time_us=10)
    fold_all(journal, now_us=1_000)
    assert journal.anchor.action_id == anchor
    assert journal.tip.action_id == 200
    left = journal.records(journal.anchor.action_id, 1_000)
    assert [record.action_id for record in left] == list(range(anchor + 2, 202, 2))


def test_nothing_is_folded_above_what_is_acknowledged_nor_above_what_is_written_behind() -> None:
    journal = folding(operations=1)
    do(journal, 50)
    fold_all(journal, up_to=31)
    assert journal.anchor.action_id == 30
    lazy = opened(behind=WriteBehind(records=20, operations=1_000), keeping=Keeping(operations=1))
    do(lazy, 15)
    fold_all(lazy)
    assert lazy.anchor.action_id == 0


def test_a_step_is_small_and_a_record_is_never_split() -> None:
    journal = folding(operations=1)
    for number in range(1, 4):
        decide(journal, 1, ("a", number), [deposit(1, 1)] * 5_000, 1)
        journal.commit()
    do(journal, 100, first=4)
    anchors = []
    while journal.fold(journal.tip.action_id, 0) and journal.anchor.action_id not in anchors:
        anchors.append(journal.anchor.action_id)
    assert anchors[:2] == [5_000, 10_000]
    assert all(after - before <= 5_000 for before, after in pairwise(anchors))
    assert len(anchors) > 4


def test_the_journal_is_read_from_the_anchor_on() -> None:
    journal = folding(operations=20)
    do(journal, 50)
    at_80, before = journal.position(80), journal.position(78)
    assert at_80 is not None
    assert before is not None
    fold_all(journal)
    assert journal.anchor == at_80
    assert journal.position(80) == journal.before(82) == journal.before(81) == at_80
    assert journal.position(78) is None
    assert journal.position(0) is None
    assert journal.before(80) is None
    assert journal.holding(80) is None
    assert journal.holding(81) == journal.position(82)
    assert journal.position(100) == journal.tip


def test_what_is_folded_is_not_rolled_back() -> None:
    journal = folding(operations=20)
    do(journal, 50)
    fold_all(journal)
    assert [record.action_id for record in journal.roll_back(90)] == [92, 94, 96, 98, 100]
    with pytest.raises(BrokenInvariant, match="rolled back to action id 79: the journal goes back to 80"):
        journal.roll_back(79)
    journal.roll_back(80)
    journal.commit()
    assert journal.tip == journal.anchor
    do(journal, 3, session="b")
    assert journal.tip.action_id == 86


def test_a_database_that_is_folded_opens_as_it_was(tmp_path: Path) -> None:
    journal = folding(tmp_path / "bank.db", operations=20)
    do(journal, 50)
    fold_all(journal)
    state, tip, anchored = list(journal.export()), journal.tip, journal.anchored
    journal.close()
    assert verify_copy(tmp_path / "bank.db") == ""
    verdict = verify_database(tmp_path / "bank.db")
    assert verdict.faults == ()
    assert verdict.holds.endswith("; its journal begins after action id 80")
    again = journal_on(tmp_path / "bank.db")
    assert (list(again.export()), again.tip, again.anchored) == (state, tip, anchored)
    assert again.recorded("a", 40) == journal_record(journal=again, request=("a", 40))
    do(again, 2, first=51)
    assert again.tip.action_id == 104


def journal_record(journal: SqliteJournal, request: tuple[str, int]) -> object:
    """What stays of the newest folded request of a session, made again from its columns."""
    [row] = journal.kept_sessions("", 10, at_most_bytes=1 << 20)
    session, sequence, action_id, epoch, count, operations, outcomes, time_us, digest = row
    assert (session, sequence) == request
    return (action_id, epoch, session, sequence, count, operations, outcomes, time_us, digest)


def test_a_database_of_the_format_before_opens_as_before_and_has_another_format_once_it_is_folded(
    tmp_path: Path,
) -> None:
    """Format 2 has no sessions, and no anchor: who knows no more can read it until something is gone."""
    path = tmp_path / "bank.db"
    journal = opened(path)
    do(journal, 30)
    tip, state = journal.tip, list(journal.export())
    journal.close()
    before = journal_on(path).database
    before.execute("DROP TABLE sessions")
    before.close()
    assert verify_database(path).faults == ()
    again = journal_on(path, behind=AT_ONCE, keeping=Keeping(operations=20))
    assert (again.tip, list(again.export())) == (tip, state)
    assert again.recorded("a", 1) is not None
    assert again.anchor.action_id == 0
    assert written_format(again) == again.format == 2
    do(again, 1, first=31)
    fold_all(again)
    assert again.anchor.action_id == 42
    assert written_format(again) == again.format == 3
    again.close()
    assert verify_database(path).faults == ()
    assert journal_on(path).format == 3


def written_format(journal: SqliteJournal) -> object:
    return journal.database.execute("SELECT value FROM about WHERE name = 'format'").get


@settings(max_examples=examples(25))
@given(data=st.data())
def test_the_sum_at_the_anchor_is_that_of_the_state_there(data: st.DataObject) -> None:
    """Whatever was done, declined, cancelled and rolled back; folded in whatever steps."""
    journal = folding(operations=1)
    by_action_id = {0: sum_now(journal)}
    for number in range(1, data.draw(st.integers(1, 40)) + 1):
        kind = data.draw(st.sampled_from(["do", "do", "cancel", "fold", "roll back"]))
        if kind == "do":
            operation = st.tuples(st.booleans(), st.integers(1, 5), st.integers(0, 200))
            drawn = data.draw(st.lists(operation, min_size=1, max_size=4))
            forms = [deposit(one, amount) if plus else withdraw(one, amount) for plus, one, amount in drawn]
            decide(journal, 1, ("a", number), forms, number)
        elif kind == "cancel":
            journal.cancel(1, ("a", number), number)
        elif kind == "roll back":
            tail = [record.action_id for record in journal.records(journal.anchor.action_id, 1_000)]
            journal.roll_back(data.draw(st.sampled_from([journal.anchor.action_id, *tail])))
        journal.commit()
        by_action_id[journal.tip.action_id] = sum_now(journal)
        if kind == "fold":
            fold_all(journal)
            anchored = journal.anchored
            assert anchored is not None
            assert anchored.state == by_action_id[anchored.position.action_id]


def sum_now(journal: SqliteJournal) -> int:
    return journal.machine.sum() % SUM_MODULUS


# -- requests --------------------------------------------------------------------------------------------


def test_each_sessions_newest_outcome_stays_and_older_ones_are_forgotten() -> None:
    journal = folding(operations=2)
    do(journal, 5)
    newest = journal.recorded("a", 4)
    do(journal, 1, session="b")
    fold_all(journal)
    assert journal.anchor.action_id == 10
    assert journal.recorded("a", 5) is not None
    do(journal, 3, session="b", first=2)
    fold_all(journal)
    assert newest is not None
    assert journal.newest("a") == 5
    assert [journal.recorded("a", number) is None for number in range(1, 7)] == [True] * 4 + [False, True]
    assert [journal.forgotten("a", number) for number in range(1, 7)] == [10] * 5 + [None]
    assert journal.forgotten("c", 1) is None
    with pytest.raises(BrokenInvariant, match="a:5 is decided twice, or after number 5"):
        journal.append([newest._replace(sequence=5)])


def test_what_lies_between_what_is_folded_and_the_newest_is_stale_and_not_forgotten() -> None:
    """Of what is in the journal it is known that nothing else of the session is."""
    journal = folding(operations=2)
    do(journal, 1)
    do(journal, 1, first=4)
    do(journal, 1, first=9)
    fold_all(journal)
    assert journal.anchor.action_id == 4
    assert [journal.forgotten("a", number) for number in (1, 3, 4, 5, 8, 9)] == [4, 4, 4, None, None, None]
    assert journal.recorded("a", 4) is not None
    assert journal.recorded("a", 6) is None


def kept_outcomes(journal: SqliteJournal) -> dict[str, bool]:
    """Of which sessions something is kept; whether it is what came of the newest request."""
    rows = journal.kept_sessions("", 99, at_most_bytes=1 << 20)
    return {session: operations is not None for session, _, _, _, _, operations, *_ in rows}


def horizon(journal: SqliteJournal, ms: int) -> int:
    return journal.cancel(1, (HORIZON, ms), 1).action_id


def test_sessions_that_are_old_are_forgotten_when_the_horizon_has_passed_them() -> None:
    journal = folding(operations=1, session_us=DAY_US)
    old, young, own = new_session(DAY_MS // 2), new_session(2 * DAY_MS), "till-7"
    for session in (old, young, own):
        do(journal, 1, session=session, time_us=5)
    do(journal, 1, session="last", time_us=3 * DAY_US)
    fold_all(journal, up_to=6)
    assert journal.anchor.action_id == 6
    assert journal.wanted_horizon(DAY_US + DAY_US // 4) is None
    assert journal.wanted_horizon(2 * DAY_US) == DAY_MS // 2
    rests_on = horizon(journal, DAY_MS // 2)
    journal.commit()
    assert journal.wanted_horizon(2 * DAY_US) is None
    fold_all(journal, up_to=rests_on, now_us=DAY_US // 2)  # Nothing is a day old.
    assert kept_outcomes(journal) == {old: True, young: True, own: True, "last": True}
    assert journal.recorded(old, 1) is not None
    fold_all(journal, up_to=rests_on, now_us=2 * DAY_US)
    assert kept_outcomes(journal) == {young: False, own: False, "last": True}
    assert journal.forgotten(old, 1) == journal.forgotten(old, 2) == rests_on
    assert journal.forgotten(new_session(DAY_MS // 2 - 1), 1) == rests_on
    assert journal.forgotten(new_session(DAY_MS // 2 + 1), 1) is None
    assert journal.recorded(own, 1) is None
    assert journal.forgotten(own, 1) is not None
    assert journal.forgotten(own, 2) is None


def test_no_session_is_removed_by_a_horizon_that_is_not_acknowledged() -> None:
    """It may be rolled back, and then nobody would know that the session was ever there."""
    journal = folding(operations=1, session_us=DAY_US)
    old = new_session(1_000)
    do(journal, 1, session=old, time_us=5)
    do(journal, 1, session="last", time_us=5)
    fold_all(journal)
    acknowledged = journal.tip.action_id
    horizon(journal, 1_000)
    journal.commit()
    fold_all(journal, up_to=acknowledged, now_us=9 * DAY_US)
    assert journal.newest(old) == 1
    assert journal.forgotten(old, 2) is not None
    journal.roll_back(acknowledged)
    journal.commit()
    assert journal.forgotten(old, 2) is None
    assert journal.forgotten(old, 1) is not None


def test_what_was_removed_is_done_by_nobody_though_the_horizon_is_taken_back(tmp_path: Path) -> None:
    """A server was made to lead by force that had not heard of the horizon; this one follows, then leads."""
    journal = folding(tmp_path / "bank.db", operations=1, session_us=DAY_US)
    old = new_session(1_000)
    for session in (old, "last"):
        do(journal, 1, session=session, time_us=5)
    fold_all(journal)
    common = journal.tip.action_id
    rests_on = horizon(journal, 1_000)
    journal.commit()
    fold_all(journal, up_to=rests_on, now_us=9 * DAY_US)
    assert old not in kept_outcomes(journal)
    journal.roll_back(common)
    journal.commit()
    journal.close()
    again = journal_on(tmp_path / "bank.db", keeping=Keeping(operations=1, session_us=DAY_US))
    known = [again.may_have_been_removed(one) for one in (old, new_session(999), new_session(1_001), "last")]
    assert known == [True, True, False, False]
    assert again.wanted_horizon(0) == 1_000
    horizon(again, 1_000)
    assert not again.lacks_horizon
    assert not again.may_have_been_removed(old)
    assert again.forgotten(old, 1) == again.tip.action_id
    assert again.wanted_horizon(0) is None


def test_the_horizon_stays_known_when_its_record_is_folded_and_goes_back_when_it_is_rolled_back() -> None:
    journal = folding(operations=1)
    first = horizon(journal, 1_000)
    do(journal, 3)
    second = horizon(journal, 2_000)
    do(journal, 3, first=4)
    assert journal.forgotten(new_session(1_500), 1) == second
    fold_all(journal, up_to=second - 1)
    assert journal.anchor.action_id >= first
    journal.roll_back(second - 1)
    journal.commit()
    assert journal.forgotten(new_session(1_500), 1) is None
    assert journal.forgotten(new_session(1_000), 1) == first
    with pytest.raises(BrokenInvariant, match="journalled twice, or after a newer one"):
        journal.append([journal.cancel(1, (HORIZON, 999), 1)])


@pytest.mark.parametrize("ms", [0, 1, 1_764_000_000_000, 16**11 - 1])
def test_an_id_says_when_its_session_began_and_stands_in_that_order(ms: int) -> None:
    session = new_session(ms)
    assert began_ms(session) == ms
    assert session <= last_that_began(ms)
    assert not ms or session > last_that_began(ms - 1)
    assert new_session(ms) != session


@pytest.mark.parametrize(
    "session", ["till-7", "0" * 24, "t", HORIZON, "t" + "0" * 26, "T" + "0" * 27, "t0order"]
)
def test_any_other_id_does_not_say_so(session: str) -> None:
    assert began_ms(session) is None


# -- space and crashes -----------------------------------------------------------------------------------


def test_space_is_given_back_in_small_steps_while_it_goes_on(tmp_path: Path) -> None:
    journal = folding(tmp_path / "bank.db", operations=100)
    for number in range(1, 121):
        decide(journal, 1, ("a", number), [deposit(1, 1)] * 5_000, 1)
        journal.commit()
    pages = journal.database.pragma("page_count")
    steps = fold_all(journal)
    assert steps > 120
    assert journal.database.pragma("page_count") < pages / 3
    assert journal.database.pragma("freelist_count") <= 256
    journal.close()
    assert (tmp_path / "bank.db").stat().st_size < pages * 4096 / 3
    assert verify_database(tmp_path / "bank.db").faults == ()


def test_free_pages_are_used_again_so_the_file_stops_growing(tmp_path: Path) -> None:
    journal = folding(tmp_path / "bank.db", operations=2_000)
    longest = 0
    for round_ in range(10):
        do(journal, 1_000, session=f"s{round_}")
        fold_all(journal)
        pages = journal.database.pragma("page_count")
        if round_ < 3:
            longest = max(longest, pages)
    assert pages <= 1.1 * longest
    assert journal.anchor.action_id == 18_000


@pytest.mark.parametrize("after", ["begin", "sessions", "requests", "records", "anchor"])
def test_a_crash_within_a_step_leaves_all_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, after: str
) -> None:
    """A step is one transaction: whatever statement is the last one before kill -9."""
    journal = folding(tmp_path / "bank.db", operations=20)
    do(journal, 50)
    statements: dict[str, Callable[[str], bool]] = {
        "begin": lambda text: text.startswith("BEGIN"),
        "sessions": lambda text: "INTO sessions" in text,
        "requests": lambda text: "FROM requests" in text and text.startswith("DELETE"),
        "records": lambda text: "FROM journal" in text and text.startswith("DELETE"),
        "anchor": lambda text: "INTO about" in text,
    }

    class Killed(Exception):
        pass

    seen = False

    def trace(_cursor: object, text: str, _values: object) -> bool:
        nonlocal seen
        if seen:
            raise Killed
        seen = statements[after](text)
        return True

    journal.database.exec_trace = trace
    with pytest.raises(Killed):
        journal.fold(100, 0)
    left = tmp_path / "left"
    left.mkdir()
    for file in tmp_path.glob("bank.db*"):
        (left / file.name).write_bytes(file.read_bytes())
    assert verify_database(left / "bank.db").faults == ()
    again = journal_on(left / "bank.db")
    assert again.anchor == Position(0, 0, again.opening or b"")
    assert len(again.records(0, 1_000)) == 50
    assert again.recorded("a", 1) is not None


def test_a_disk_that_is_full_within_a_step_fails_and_leaves_all_as_it_was(tmp_path: Path) -> None:
    journal = folding(tmp_path / "bank.db", operations=20)
    for number in range(100):
        decide(journal, 1, (f"{number:060}", 1), [deposit(1, 5)] * 10, 1)
    journal.commit()
    journal.database.pragma("max_page_count", journal.database.pragma("page_count"))
    with pytest.raises(DiskFailed, match="refused to have the journal folded"):
        fold_all(journal)
    assert_nothing_is_written_any_more(journal)
    assert verify_database(tmp_path / "bank.db").faults == ()
    again = journal_on(tmp_path / "bank.db", behind=AT_ONCE, keeping=Keeping(operations=20))
    assert len(again.records(again.anchor.action_id, 10_000)) + kept_sessions(again) == 100
    fold_all(again)
    assert again.anchor.action_id == 980


def test_after_a_step_that_went_wrong_nothing_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever it was: the transaction is half done."""
    journal = folding(tmp_path / "bank.db", operations=20)
    do(journal, 50)
    monkeypatch.setattr(KeptSessions, "put", lambda *_: [][0])
    with pytest.raises(IndexError):
        journal.fold(100, 0)
    assert_nothing_is_written_any_more(journal)
    again = journal_on(tmp_path / "bank.db")
    assert again.tip.action_id == 100
    assert again.anchor.action_id == 0


def assert_nothing_is_written_any_more(journal: SqliteJournal) -> None:
    assert not journal.fold(100, 0)
    with pytest.raises(DiskFailed):
        journal.sync()
    journal.note("a", "note")
    journal.close()


def kept_sessions(journal: SqliteJournal) -> int:
    return len(journal.kept_sessions("", 10_000, at_most_bytes=1 << 30))
