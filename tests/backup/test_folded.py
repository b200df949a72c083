"""Backups of a journal that is folded: they begin at its anchor, and say so."""

from __future__ import annotations

from pathlib import Path

import pytest

from bankrmi.backup.chain import Chain
from bankrmi.backup.point import at_action_id, at_time
from bankrmi.backup.rebuilding import rebuild
from bankrmi.errors import InvalidRequest, OperationFailed
from bankrmi.moments import moment
from bankrmi.replication.sessions import HORIZON, new_session
from bankrmi.storage.folding import Keeping
from bankrmi.storage.journal import SqliteJournal
from bankrmi.verifying.comparing import compare
from bankrmi.verifying.directories import verify
from bankrmi.verifying.server_directory import verify_database
from tests.backup.sources import Source
from tests.storage.journals import adopted, decide, deposit, journal_on, withdraw

NOON_US = moment("2026-11-29T12:00:00Z")


@pytest.fixture
def source(tmp_path: Path) -> Source:
    """Thirty requests of two operations, a second each; all but the last ten are folded."""
    source = Source(tmp_path / "source", keeping=Keeping(operations=20))
    filled(source, 30)
    assert source.fold() == 40
    return source


def filled(source: Source, requests: int, *, second: int = 0) -> None:
    for number in range(second, second + requests):
        source.do(deposit(1, 5), withdraw(2, 1), time_us=NOON_US + 1_000_000 * number)


def restored(files: list[Path], folder: Path, end: int) -> SqliteJournal:
    folder.mkdir()
    with Chain(files) as chain:
        chain.check(lambda _: None)
        rebuild(chain, end, folder / "bank.db", adopted(1_000_001, history="new"), lambda _: None)
    assert verify_database(folder / "bank.db").faults == ()
    return journal_on(folder / "bank.db")


def test_a_whole_backup_holds_the_anchor_the_sessions_and_what_is_above(
    tmp_path: Path, source: Source
) -> None:
    label = source.back_up(tmp_path / "whole")
    assert (label.since.action_id, label.tip.action_id) == (40, 60)
    [verdict] = verify(tmp_path / "whole")
    assert verdict.faults == ()
    assert "20 operations since action id 40, up to action id 60" in verdict.holds
    journal = restored([tmp_path / "whole"], tmp_path / "s1", 60)
    assert list(journal.export()) == list(source.journal.export())
    assert journal.anchored == source.journal.anchored
    assert journal.recorded("a", 30) == source.journal.recorded("a", 30)
    assert journal.forgotten("a", 3) == 40
    assert compare(tmp_path / "whole", tmp_path / "s1" / "bank.db").agree


def test_a_session_whose_records_are_all_folded_is_known_after_a_restore(tmp_path: Path) -> None:
    source = Source(keeping=Keeping(operations=4))
    source.journal.cancel(1, ("till-7", 3), 1)
    source.journal.commit()
    filled(source, 10)
    source.fold()
    source.back_up(tmp_path / "whole")
    journal = restored([tmp_path / "whole"], tmp_path / "s1", source.journal.tip.action_id)
    assert journal.recorded("till-7", 3) == source.journal.recorded("till-7", 3) is not None
    assert journal.newest("till-7") == 3


def test_a_session_that_was_forgotten_stays_so_where_a_state_before_its_horizon_is_restored(
    tmp_path: Path,
) -> None:
    """What a request of it did is in the balances at the anchor: whoever asks must not be told that it was
    not done, and it must not be done again."""
    source = Source(keeping=Keeping(operations=8, session_us=86_400_000_000))
    journal, old, young = source.journal, new_session(1_000), new_session(2_000)
    decide(journal, 1, (old, 1), [deposit(1, 5)], 1)
    journal.commit()
    filled(source, 10)
    source.fold()
    end = journal.tip.action_id
    journal.cancel(1, (HORIZON, 1_000), 1)
    journal.commit()
    while journal.fold(journal.tip.action_id, NOON_US):
        pass
    journal.commit()
    assert journal.newest(old) is None or journal.recorded(old, 1) is None
    source.back_up(tmp_path / "whole")
    for folder, to in (("before", end), ("after", end + 1)):
        restored_one = restored([tmp_path / "whole"], tmp_path / folder, to)
        assert restored_one.tip.action_id == to
        assert restored_one.newest(old) is None
        assert restored_one.may_have_been_removed(old) == (to == end)
        assert (restored_one.over(old) is None) == (to == end)
        assert not restored_one.may_have_been_removed(young)


def test_increments_go_on_from_a_folded_one_and_it_may_be_folded_in_between(
    tmp_path: Path, source: Source
) -> None:
    label = source.back_up(tmp_path / "whole")
    filled(source, 5, second=30)
    assert source.fold() == 50
    source.back_up(tmp_path / "first", since=label)
    journal = restored([tmp_path / "whole", tmp_path / "first"], tmp_path / "s1", 70)
    assert list(journal.export()) == list(source.journal.export())
    assert journal.anchor.action_id == 40


def test_an_increment_since_before_the_anchor_is_refused(tmp_path: Path, source: Source) -> None:
    with pytest.raises(
        InvalidRequest,
        match="s1's journal begins after action id 40, the oldest that an increment can continue, and 38 is",
    ):
        source.back_up(tmp_path / "late", since=38)
    assert source.back_up(tmp_path / "oldest", since=40).since.action_id == 40
    with pytest.raises(InvalidRequest, match="and 0 is older: make a whole backup"):
        source.back_up(tmp_path / "late", since=0)


def test_a_point_below_the_anchor_is_refused_and_that_at_the_anchor_is_restored(
    tmp_path: Path, source: Source
) -> None:
    source.back_up(tmp_path / "whole")
    with Chain([tmp_path / "whole"]) as chain:
        assert at_action_id(chain.links, 40) == 40
        assert at_action_id(chain.links, 42) == 42
        assert at_time(chain.links, moment("2026-11-29T12:00:19Z")) == 40
        with pytest.raises(
            InvalidRequest, match="38 is older than these backups: their journal begins after"
        ):
            at_action_id(chain.links, 38)
        with pytest.raises(InvalidRequest, match="older than these backups: their journal begins after act"):
            at_time(chain.links, moment("2026-11-29T12:00:18Z"))
    journal = restored([tmp_path / "whole"], tmp_path / "s1", 40)
    assert dict(journal.export())[1] == 200
    assert journal.tip.action_id == 40


def test_what_is_folded_while_a_backup_is_taken_ends_it(tmp_path: Path, source: Source) -> None:
    """A server that was asked lately does not fold; one that was restarted may."""

    def folded() -> None:
        filled(source, 5, second=30)
        source.fold()

    source.before["backup_sessions"] = folded
    with pytest.raises(OperationFailed, match="s1 has folded its journal up to 50 meanwhile: back up again"):
        source.back_up(tmp_path / "whole")
    source.before["backup_records"] = folded
    with pytest.raises(OperationFailed, match="holds another history than before at action id 50"):
        source.back_up(tmp_path / "whole")
    assert not (tmp_path / "whole").exists()
