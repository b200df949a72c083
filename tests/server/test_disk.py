"""Commits are made durable in place while that is quick, and beside the loop when it is not."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from bankrmi.server.disk import IN_PLACE_MS, SyncedDisk
from bankrmi.storage.disk_failure import DiskFailed
from bankrmi.storage.journal import SqliteJournal
from tests.storage.journals import decide, deposit, opened

Scene = Callable[["Table"], Coroutine[Any, Any, None]]


class Table:
    """A disk, how long its syncs take, and what was said."""

    def __init__(self, journal: SqliteJournal, monkeypatch: pytest.MonkeyPatch) -> None:
        self.failures: list[Exception] = []
        self.sync_ms = 0.0
        self.seconds = 0.0
        self.disk = SyncedDisk(journal, self.failures.append, seconds=lambda: self.seconds)
        self.fails_with: Exception | None = None
        self.syncs: list[bool] = []  # Whether it was in the loop's thread.
        self.under_way = 0
        self.told: list[int] = []
        self.thread: threading.Thread | None = None
        self.ends_at: threading.Event | None = None  # What a sync beside the loop waits for.
        self._number = 0
        monkeypatch.setattr(journal, "sync", self._sync)

    def _sync(self) -> None:
        assert not self.under_way, "one sync at a time"
        self.under_way += 1
        self.thread = threading.current_thread()
        self.syncs.append(threading.current_thread() is threading.main_thread())
        if self.ends_at is None:
            time.sleep(self.sync_ms / 1000)
        else:
            assert self.ends_at.wait(20)
        self.seconds += self.sync_ms / 1000
        self.under_way -= 1
        if self.fails_with is not None:
            raise self.fails_with

    def commit(self, then: Callable[[], None] = lambda: None) -> int:
        """Commit a record; its number is told when it is durable, and then this is done."""
        self._number += 1
        number = self._number

        def done() -> None:
            self.told.append(number)
            then()

        decide(self.disk.journal, 1, ("a", number), [deposit(1, 1)], 1)
        self.disk.commit(done)
        return number

    async def slow_down(self, sync_ms: float = 30) -> None:
        """Let syncs take long; the first one is made in place still."""
        self.sync_ms = sync_ms
        self.commit()
        assert self.disk._usual_ms >= IN_PLACE_MS
        self.told.clear()
        self.syncs.clear()

    async def until(self, told: int) -> None:
        async with asyncio.timeout(5):
            while len(self.told) < told and not self.failures:
                await asyncio.sleep(0.001)


@pytest.fixture
def play(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Scene], None]:
    """Return what plays a scene at a table."""
    journal = opened(tmp_path / "bank.db")

    async def at_a_table(scene: Scene) -> None:
        await scene(Table(journal, monkeypatch))

    return lambda scene: asyncio.run(at_a_table(scene))


def test_a_quick_sync_is_made_in_place(play: Callable[[Scene], None]) -> None:
    async def scene(table: Table) -> None:
        for number in range(1, 4):
            table.commit()
            assert table.told == list(range(1, number + 1))
        assert table.syncs == [True] * 3

    play(scene)


def test_the_loop_goes_on_while_a_disk_takes_its_time(play: Callable[[Scene], None]) -> None:
    async def scene(table: Table) -> None:
        await table.slow_down()
        table.ends_at = threading.Event()
        table.commit()
        while not table.under_way:
            await asyncio.sleep(0.001)
        for _ in range(5):
            await asyncio.sleep(0.001)
        assert table.told == []
        table.ends_at.set()
        await table.until(1)
        assert table.syncs == [False]

    play(scene)


def test_what_is_written_meanwhile_is_covered_by_the_next_sync(play: Callable[[Scene], None]) -> None:
    async def scene(table: Table) -> None:
        await table.slow_down()
        for _ in range(5):
            table.commit()
        await table.until(1)
        assert len(table.told) == 1
        await table.until(5)
        assert table.told == [2, 3, 4, 5, 6]
        assert table.syncs == [False, False]

    play(scene)


def test_what_comes_of_a_commit_is_told_after_it(play: Callable[[Scene], None]) -> None:
    """Whoever is told that a commit is durable may write the next one at once."""

    async def scene(table: Table) -> None:
        def write_more() -> None:
            table.commit()

        await table.slow_down()
        table.commit(then=write_more)
        table.commit()
        await table.until(3)
        assert table.told == [2, 3, 4]
        assert len(table.syncs) == 2

    play(scene)


def test_a_disk_that_is_quick_again_is_waited_for_again(play: Callable[[Scene], None]) -> None:
    async def scene(table: Table) -> None:
        await table.slow_down()
        table.sync_ms = 0
        for number in range(1, 60):
            table.commit()
            await table.until(number)
        assert table.syncs[0] is False
        assert table.syncs[-1] is True

    play(scene)


def test_a_sync_that_fails_beside_the_loop_is_told_and_nothing_is_synced_again(
    play: Callable[[Scene], None],
) -> None:
    """F1."""

    async def scene(table: Table) -> None:
        await table.slow_down()
        table.fails_with = DiskFailed("the disk refused a commit")
        table.commit()
        table.commit()
        await table.until(1)
        assert [str(failure) for failure in table.failures] == ["the disk refused a commit"]
        assert table.told == []
        await asyncio.sleep(0.05)
        assert table.syncs == [False]

    play(scene)


def test_whatever_goes_wrong_beside_the_loop_is_told(play: Callable[[Scene], None]) -> None:
    """F1: a thread that ended without a word would be a disk that hangs for ever."""

    async def scene(table: Table) -> None:
        await table.slow_down()
        table.fails_with = ZeroDivisionError("what nobody thought of")
        table.commit()
        await table.until(1)
        assert [str(failure) for failure in table.failures] == ["what nobody thought of"]
        assert table.told == []

    play(scene)


def test_to_finish_waits_for_the_sync_under_way_and_makes_the_rest_durable(
    play: Callable[[Scene], None],
) -> None:
    async def scene(table: Table) -> None:
        await table.slow_down()
        table.commit()
        table.commit()
        table.disk.finish()
        assert table.told == [2, 3]
        assert table.syncs == [False, True]
        await asyncio.sleep(0.05)
        assert table.told == [2, 3], "nobody is told twice"

    play(scene)


def test_a_failure_is_found_by_whoever_finishes_or_closes(play: Callable[[Scene], None]) -> None:
    async def scene(table: Table) -> None:
        await table.slow_down()
        table.fails_with = DiskFailed("the disk refused a commit")
        table.commit()
        with pytest.raises(DiskFailed):
            table.disk.finish()
        with pytest.raises(DiskFailed):
            table.disk.close()
        assert table.syncs == [False]
        assert table.told == []

    play(scene)


def test_a_sync_that_ends_after_its_loop_is_waited_for_when_the_disk_is_closed(
    play: Callable[[Scene], None],
) -> None:
    tables: list[Table] = []

    async def scene(table: Table) -> None:
        tables.append(table)
        await table.slow_down()
        table.commit()

    play(scene)
    tables[0].disk.close()
    assert tables[0].syncs == [False]
    thread = tables[0].thread
    assert thread is not None
    thread.join(5)
    assert not thread.is_alive(), "pytest tells if it ended in error"


def test_one_who_is_told_may_finish_what_others_wait_for(play: Callable[[Scene], None]) -> None:
    """As when a copy is put in place: nobody is left out, or told twice."""

    async def scene(table: Table) -> None:
        def finish() -> None:
            table.commit()
            table.disk.finish()

        await table.slow_down()
        table.commit()
        table.commit(then=finish)
        table.commit()
        await table.until(4)
        assert sorted(table.told) == [2, 3, 4, 5]

    play(scene)


def test_one_long_sync_among_quick_ones_is_soon_forgotten(play: Callable[[Scene], None]) -> None:
    async def scene(table: Table) -> None:
        await table.slow_down(60)
        table.sync_ms = 0
        for number in (1, 2, 3):
            table.commit()
            await table.until(number)
        assert table.syncs == [False, True, True]

    play(scene)
