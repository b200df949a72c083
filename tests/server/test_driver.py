"""Whatever goes wrong ends the process with one sentence, which says what it was."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import apsw
import pytest

from bankrmi.errors import BrokenInvariant, ConfigurationError, OperationFailed
from bankrmi.replication.replica import Replica
from bankrmi.replication.settings import Settings
from bankrmi.server.driver import Driver
from bankrmi.storage.disk_failure import DiskFailed
from tests.storage.journals import opened

NOBODY: Any = None
"""Is the coordinator, which is not asked here."""


@pytest.fixture
def driving(tmp_path: Path) -> Iterator[Callable[[Callable[[Driver], object]], str]]:
    """Return what does something with a driver, and returns why the driver stopped."""
    journal = opened(tmp_path / "bank.db")

    async def drive(work: Callable[[Driver], object]) -> str:
        replica = Replica(
            Settings(server="s1", servers=("s1", "s2")), journal, start_id="s1#2", now_ms=0, new_id=str
        )
        driver = Driver(replica, NOBODY)
        work(driver)
        assert driver.stopped.done()
        return driver.stopped.result()

    yield lambda work: asyncio.run(drive(work))
    journal.close()


@pytest.mark.parametrize(
    ("error", "sentence"),
    [
        (DiskFailed("the disk refused a commit"), "the disk refused a commit"),
        (apsw.IOError("disk I/O error"), "the database failed: disk I/O error"),
        (BrokenInvariant("twice"), "a rule that cannot be broken was: twice"),
        (OperationFailed("bank.db is locked by another process"), "bank.db is locked by another process"),
        (ConfigurationError("bank.db cannot be opened"), "bank.db cannot be opened"),
        (ValueError("five"), "this is a bug in bankrmi: ValueError: five"),
    ],
)
def test_what_went_wrong_is_told_as_what_it_is(
    driving: Callable[[Callable[[Driver], object]], str], error: Exception, sentence: str
) -> None:
    """A copy that was put in place, and that somebody looks into, is locked: that is no bug of ours."""
    assert driving(lambda driver: driver.failed(error)) == sentence


def test_whatever_is_found_of_the_disk_between_groups_stops_the_server(
    driving: Callable[[Callable[[Driver], object]], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is not left to the event loop, which would print where it was, at every tick."""

    def tend(driver: Driver) -> None:
        grown = BrokenInvariant("the log grows without end")
        monkeypatch.setattr(driver.journal, "tend", lambda: raising(grown))
        driver.tend()

    assert driving(tend) == "a rule that cannot be broken was: the log grows without end"


def raising(error: Exception) -> None:
    raise error


def test_what_the_disk_refuses_at_the_end_is_a_sentence_too(
    driving: Callable[[Callable[[Driver], object]], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    def close(driver: Driver) -> None:
        refused = apsw.IOError("disk I/O error")
        driver.stop("")
        with monkeypatch.context() as broken:
            broken.setattr(driver.journal, "close", lambda: raising(refused))
            with pytest.raises(DiskFailed, match="the database failed: disk I/O error"):
                driver.close()

    assert driving(close) == ""


def test_a_read_that_the_disk_refuses_stops_the_server_though_nothing_is_under_way(
    driving: Callable[[Callable[[Driver], object]], str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else it would stop when it is busy, and go on when it is not, and tell each caller of a mistake."""

    def read(driver: Driver) -> None:
        refused = apsw.IOError("disk I/O error")
        monkeypatch.setattr(driver.replica, "read_at_once", lambda *_, **__: raising(refused))
        assert driver.read_at_once(1, None) is None

    assert driving(read) == "the database failed: disk I/O error"
