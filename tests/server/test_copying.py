from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest
from structlog.testing import capture_logs

from bankrmi.errors import Busy, InvalidRequest, OperationFailed
from bankrmi.protocol_versions import NEWEST
from bankrmi.replication.events import CopyEnded, Event
from bankrmi.replication.record import entries_of
from bankrmi.rmi import Call, Peer
from bankrmi.server import copy_fetching, copy_serving, copying, standby_object
from bankrmi.server.clock import LoopClock
from bankrmi.server.copy_fetching import FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS, Fetches
from bankrmi.server.copy_serving import CopyServer
from bankrmi.server.copying import CopyFetcher, copy_server, remove_leftovers
from bankrmi.server.standby_object import StandbyObject
from bankrmi.storage import space
from bankrmi.storage.copying import CopyMaker
from bankrmi.storage.journal import SqliteJournal
from tests.storage.journals import adopted, decide, deposit, journal_on, opened


class _Link:
    """Hands out one file, as a primary does."""

    def __init__(self, content: bytes) -> None:
        self._content = content

    async def ask(self, method: str, args: list[object], _: float) -> object:
        if method == "begin_copy":
            return ["copy", len(self._content)]
        if method == "read_copy":
            assert isinstance(args[1], int)
            return self._content[args[1] :]
        return None

    def close(self) -> None:
        """Nothing to close."""


def copy_of(journal: SqliteJournal, path: Path) -> bytes:
    maker = CopyMaker(journal.database, path)
    while not maker.step():
        pass
    return path.read_bytes()


def test_the_log_of_a_copy_that_a_crash_interrupted_is_not_brought_into_the_next_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`fetched.db` is overwritten; to SQLite, a `fetched.db-wal` beside it has the newest of its pages."""
    old = opened(tmp_path / "old.db")
    decide(old, 1, ("old", 1), [deposit(1, 1)], 1)
    old.commit()
    (tmp_path / "fetched.db-wal").write_bytes((tmp_path / "old.db-wal").read_bytes())
    new = opened(tmp_path / "new.db")
    for number in range(1, 4):
        decide(new, 1, ("new", number), [deposit(2, 2)], 1)
    new.commit()
    content = copy_of(new, tmp_path / "copy.db")

    async def open_link(*_: object) -> _Link:
        return _Link(content)

    monkeypatch.setattr(copying, "open_link", open_link)
    taken: list[Event] = []

    async def fetch() -> None:
        fetcher = CopyFetcher(
            "s2",
            {"s1": "127.0.0.1:1"},
            tmp_path / "bank.db",
            taken.append,
            reopen=lambda: journal_on(tmp_path / "bank.db"),
            open_copy=journal_on,
            current=lambda: journal_on(tmp_path / "bank.db"),
            clock=LoopClock(),
        )
        fetcher.fetch("s1")
        while not taken:
            await asyncio.sleep(0.001)
        fetcher.install(adopted(9)).close()  # type: ignore[union-attr]

    asyncio.run(fetch())
    journal = journal_on(tmp_path / "bank.db")
    assert journal.tip == new.tip
    assert [entry.session for entry in entries_of(journal.records(0, 10))] == ["new"] * 3


@pytest.mark.parametrize("own", [0, 1])
def test_what_the_copy_has_as_well_is_not_kept_beside_it(tmp_path: Path, own: int) -> None:
    """A server that only lagged would need twice the space for nothing; who holds more, loses nothing."""
    source, old = opened(tmp_path / "source.db"), opened(tmp_path / "bank.db")
    for journal in (source, old):
        decide(journal, 1, ("both", 1), [deposit(1, 1)], 1)
    for number in range(own):
        decide(old, 1, ("old", number + 1), [deposit(1, 1)], 1)
    decide(source, 2, ("new", 1), [deposit(2, 2)] * 3, 1)
    source.commit()
    old.commit()
    copy_of(source, tmp_path / "fetched.db")
    fetched = (tmp_path / "fetched.db").read_bytes()

    async def install() -> None:
        fetcher = CopyFetcher(
            "s2",
            {"s1": "127.0.0.1:1"},
            tmp_path / "bank.db",
            lambda _: None,
            reopen=lambda: journal_on(tmp_path / "bank.db"),
            open_copy=journal_on,
            current=lambda: old,
            clock=LoopClock(),
        )
        (tmp_path / "fetched.db").write_bytes(fetched)
        installed = fetcher.install(adopted(9))
        assert installed is not None
        assert installed.tip == source.tip
        installed.close()

    asyncio.run(install())
    assert len(list(tmp_path.glob("replaced-*.db"))) == own


def test_a_start_leaves_nothing_of_copies_that_were_being_made(tmp_path: Path) -> None:
    """Nor of their journals, which would stay for ever: a copy never has the same name again."""
    for name in ("copy-12ab34cd.db", "copy-12ab34cd.db-journal", "bank.db"):
        (tmp_path / name).touch()
    remove_leftovers(tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == ["bank.db"]


def test_a_start_leaves_everything_that_it_did_not_make(tmp_path: Path) -> None:
    for name in ("copy-of-last-year.db", "copy-notes"):
        (tmp_path / name).touch()
    for name in ("copy-12ab34cd.db", "copy-before-upgrade"):
        (tmp_path / name).mkdir()
    before = set(tmp_path.iterdir())
    remove_leftovers(tmp_path)
    assert set(tmp_path.iterdir()) == before


class _Call:
    """Somebody who asks for a copy."""

    def __init__(self) -> None:
        self.connection_lost = False
        self.answered: list[tuple[str, int] | Exception] = []

    def answer(self, value: tuple[str, int]) -> None:
        self.answered.append(value)

    def fail(self, error: Exception) -> None:
        self.answered.append(error)


async def begun(server: CopyServer, joiner: str = "s2") -> tuple[_Call, str]:
    """Ask for a copy, and wait until it is made; return who asked, and its name."""
    call = _Call()
    server.begin(joiner, call)  # type: ignore[arg-type]
    async with asyncio.timeout(10):
        while not call.answered:
            await asyncio.sleep(0.001)
    [made] = call.answered
    assert not isinstance(made, Exception)
    return call, made[0]


def test_a_copy_is_not_taken_from_who_is_reading_it(tmp_path: Path) -> None:
    """Two joiners would begin again and again, and none would ever have its own."""
    journal = opened(tmp_path / "bank.db")

    async def work() -> None:
        server = copy_server(lambda: journal.database, tmp_path, LoopClock())
        _, name = await begun(server)
        with pytest.raises(Busy, match="another server is getting a copy"):
            server.begin("s3", _Call())  # type: ignore[arg-type]
        assert server.read(name, 0)
        server.end(name)
        _, name = await begun(server)
        server.end(name)

    asyncio.run(work())


def test_a_joiner_that_begins_anew_gets_another_copy_though_its_first_connection_does_not_seem_lost(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its machine lost its power; its own last copy kept it out for half a minute (seed 410001042)."""
    journal = opened(tmp_path / "bank.db")

    async def work() -> None:
        server = copy_server(lambda: journal.database, tmp_path, LoopClock())
        _, first = await begun(server)
        with pytest.raises(Busy, match="a moment ago"):
            server.begin("s2", _Call())  # type: ignore[arg-type]
        assert server.read(first, 0), "whoever asks without end gets nothing by it"
        monkeypatch.setattr(copy_serving, "ANEW_SECONDS", 0.0)
        _, name = await begun(server)
        with pytest.raises(InvalidRequest, match="no such copy any more"):
            server.read(first, 0)
        assert server.read(name, 0)
        server.end(name)

    asyncio.run(work())
    assert not list(tmp_path.glob("copy-*"))


class _Clock:
    """Stands still unless it is moved; what is for soon is done at once."""

    def __init__(self) -> None:
        self.ms = 0.0

    def now_ms(self) -> float:
        return self.ms

    def soon(self, work: Callable[[], None]) -> None:
        work()


def test_a_joiner_does_not_stay_away_because_its_primary_gave_a_copy_to_another_one_first() -> None:
    """It had failed before, and the next pause would have been 15 s, for nothing (seed 550000221)."""
    clock, begun, taken = _Clock(), list[int](), list[Event]()
    fetches = Fetches(clock, taken.append, lambda _, number: begun.append(number), lambda *_, **__: None)  # type: ignore[arg-type]
    for _ in range(10):
        fetches.fetch("s1")
        fetches.failed(begun[-1], "s1", "the connection is lost")
        clock.ms += 1000 * LONGEST_PAUSE_SECONDS
    for _ in range(3):
        fetches.fetch("s1")
        fetches.failed(begun[-1], "s1", "another server is getting a copy", busy=True)
        clock.ms += 1000 * FIRST_PAUSE_SECONDS - 1
        count = len(begun)
        fetches.fetch("s1")
        assert len(begun) == count, "it asks without end"
        clock.ms += 1
    fetches.fetch("s1")
    fetches.failed(begun[-1], "s1", "the connection is lost")
    clock.ms += 1000 * LONGEST_PAUSE_SECONDS - 1
    count = len(begun)
    fetches.fetch("s1")
    assert len(begun) == count, "what failed before was forgotten"


def test_what_failed_with_one_primary_keeps_nobody_from_the_next_one() -> None:
    """After one failure with this one the pause was the longest at once (seed 600000714)."""
    clock, begun = _Clock(), list[int]()
    fetches = Fetches(clock, lambda _: None, lambda _, number: begun.append(number), lambda *_, **__: None)  # type: ignore[arg-type]
    for primary in (*["s1"] * 10, "s3", "s3"):
        fetches.fetch(primary)
        fetches.failed(begun[-1], primary, "the connection is reset")
        clock.ms += 1000 * LONGEST_PAUSE_SECONDS if primary == "s1" else 0
    assert len(begun) == 12


def test_a_copy_that_nobody_wants_any_more_does_not_stay(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is as large as the database: on a full disk, the server itself would have to stop."""
    journal = opened(tmp_path / "bank.db")
    monkeypatch.setattr(copy_serving, "WATCH_SECONDS", 0.001)

    async def is_gone() -> None:
        async with asyncio.timeout(10):
            while list(tmp_path.glob("copy-*")):
                await asyncio.sleep(0.001)

    async def work() -> None:
        server = copy_server(lambda: journal.database, tmp_path, LoopClock())
        call, _ = await begun(server)
        assert list(tmp_path.glob("copy-*"))
        call.connection_lost = True
        await is_gone()
        monkeypatch.setattr(server, "_idle_seconds", 0.05)
        await begun(server)
        await is_gone()

    asyncio.run(work())


@pytest.mark.parametrize("failure", [OSError(28, "No space left on device"), RuntimeError("no more threads")])
def test_whatever_fails_the_rules_hear_that_there_is_no_copy_and_nothing_of_it_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failure: Exception
) -> None:
    class Failing(_Link):
        async def ask(self, method: str, args: list[object], seconds: float) -> object:
            if method == "read_copy" and args[1]:
                raise failure
            return await super().ask(method, args, seconds)

    async def open_link(*_: object) -> _Link:
        return Failing(b"some pages")

    monkeypatch.setattr(copying, "open_link", open_link)
    taken: list[Event] = []

    async def fetch() -> None:
        nothing = {"reopen": opened, "open_copy": journal_on, "current": opened, "clock": LoopClock()}
        fetcher = CopyFetcher("s2", {"s1": ""}, tmp_path / "bank.db", taken.append, **nothing)  # type: ignore[arg-type]
        fetcher.fetch("s1")
        while not taken:
            await asyncio.sleep(0.001)

    asyncio.run(fetch())
    assert taken == [CopyEnded(fetched=False)]
    assert not list(tmp_path.glob("fetched*"))


def test_a_primary_that_is_silent_keeps_nobody_from_getting_the_copy_of_its_successor(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may be stopped while it makes one: whoever leads by now is asked, and only that one ends."""
    new = opened(tmp_path / "new.db")
    new.commit()
    content = copy_of(new, tmp_path / "copy.db")
    closed: list[str] = []

    class Silent(_Link):
        async def ask(self, method: str, args: list[object], seconds: float) -> object:
            return await asyncio.Event().wait()

        def close(self) -> None:
            closed.append("s1")

    async def open_link(address: str, *_: object) -> _Link:
        return Silent(b"") if address == "one" else _Link(content)

    monkeypatch.setattr(copying, "open_link", open_link)
    taken: list[Event] = []

    async def fetch() -> None:
        nothing = {"reopen": opened, "open_copy": journal_on, "current": opened, "clock": LoopClock()}
        addresses = {"s1": "one", "s3": "three"}
        fetcher = CopyFetcher("s2", addresses, tmp_path / "bank.db", taken.append, **nothing)  # type: ignore[arg-type]
        fetcher.fetch("s1")
        await asyncio.sleep(0.01)
        assert taken == []
        fetcher.fetch("s3")
        async with asyncio.timeout(10):
            while not taken:
                await asyncio.sleep(0.001)

    asyncio.run(fetch())
    assert taken == [CopyEnded(fetched=True)]
    assert closed == ["s1"]


def fetching(
    folder: Path, content: bytes, monkeypatch: pytest.MonkeyPatch, taken: list[Event]
) -> CopyFetcher:
    """Return what has begun to fetch this."""

    async def open_link(*_: object) -> _Link:
        return _Link(content)

    monkeypatch.setattr(copying, "open_link", open_link)
    nothing = {"reopen": opened, "open_copy": journal_on, "current": opened, "clock": LoopClock()}
    fetcher = CopyFetcher("s2", {"s1": ""}, folder / "bank.db", taken.append, **nothing)  # type: ignore[arg-type]
    fetcher.fetch("s1")
    return fetcher


def test_nobody_waits_for_a_copy_to_be_looked_through_that_is_wanted_no_more(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may have gigabytes: a server that is told to stop would not end before that is done."""
    content = copy_of(opened(tmp_path / "new.db"), tmp_path / "copy.db")
    begun, ended = threading.Event(), threading.Event()

    def looking(_: Path, is_unwanted: Callable[[], bool] = lambda: False) -> str:
        begun.set()
        deadline_s = time.monotonic() + 20
        while not is_unwanted() and time.monotonic() < deadline_s:
            time.sleep(0.001)
        if is_unwanted():
            ended.set()
        return "it was given up"

    monkeypatch.setattr(copying, "verify_copy", looking)

    async def stop() -> None:
        fetcher = fetching(tmp_path, content, monkeypatch, [])
        async with asyncio.timeout(10):
            while not begun.is_set():
                await asyncio.sleep(0.001)
        fetcher.close()

    asyncio.run(stop())
    assert ended.is_set()


def test_a_copy_is_durable_beside_the_loop_before_it_is_put_in_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """To sync gigabytes in the loop would keep everybody waiting who asks this server anything."""
    content = copy_of(opened(tmp_path / "new.db"), tmp_path / "copy.db")
    taken: list[Event] = []
    synced: list[tuple[str, bool]] = []
    fsync = os.fsync

    def noting(descriptor: int) -> None:
        beside = threading.current_thread() is not threading.main_thread()
        synced.append((Path(f"/proc/self/fd/{descriptor}").readlink().name, beside))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", noting)

    async def fetch() -> None:
        fetching(tmp_path, content, monkeypatch, taken)
        async with asyncio.timeout(10):
            while not taken:
                await asyncio.sleep(0.001)

    asyncio.run(fetch())
    assert taken == [CopyEnded(fetched=True)]
    assert ("fetched.db", True) in synced


# -- a disk without room ---------------------------------------------------------------------------


class _Disk:
    """How much is free, as the test says."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.free = 1 << 40
        self.asked = 0
        self.shrinks = 0
        monkeypatch.setattr("bankrmi.storage.space.shutil.disk_usage", self._usage)

    def _usage(self, _: Path) -> object:
        self.asked += 1
        self.free -= self.shrinks
        return SimpleNamespace(free=self.free)


def filled(path: Path) -> SqliteJournal:
    journal = opened(path)
    for number in range(1, 21):
        decide(journal, 1, ("a", number), [deposit(1, 1)] * 2000, 1)
        journal.commit()
    return journal


def test_a_primary_makes_no_copy_that_its_disk_has_no_room_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With its last bytes it would stop itself; it says why, once, and goes on when there is room."""
    journal, disk = filled(tmp_path / "bank.db"), _Disk(monkeypatch)

    async def work() -> None:
        server = copy_server(lambda: journal.database, tmp_path, LoopClock())
        disk.free = space.RESERVE_BYTES + 1000
        for _ in range(3):
            with pytest.raises(OperationFailed, match=r"no room for a copy of \d.* kept for the bank"):
                server.begin("s3", _Call())  # type: ignore[arg-type]
        disk.free = 1 << 40
        _, name = await begun(server)
        server.end(name)

    with capture_logs() as logs:
        asyncio.run(work())
    assert [line["event"] for line in logs] == ["no copy can be made for another server"]
    assert {file.name for file in tmp_path.iterdir()} <= {"bank.db", "bank.db-wal", "bank.db-shm"}


def test_a_copy_that_is_being_made_gives_way_when_the_room_goes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    journal, disk = filled(tmp_path / "bank.db"), _Disk(monkeypatch)
    disk.free, disk.shrinks = space.RESERVE_BYTES + (40 << 20), 10 << 20
    monkeypatch.setattr("bankrmi.storage.copying.PAGES_AT_ONCE", 4)

    async def work() -> None:
        call = _Call()
        copy_server(lambda: journal.database, tmp_path, LoopClock()).begin("s2", call)  # type: ignore[arg-type]
        async with asyncio.timeout(10):
            while not call.answered:
                await asyncio.sleep(0.001)
        [answer] = call.answered
        assert isinstance(answer, OperationFailed)
        assert "no room for a copy" in answer.message

    asyncio.run(work())
    assert disk.asked > 1
    assert not list(tmp_path.glob("copy-*"))


def test_a_joiner_without_room_leaves_nothing_says_so_once_and_asks_more_and_more_seldom(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each attempt costs the primary a whole copy."""
    disk = _Disk(monkeypatch)
    disk.free = 1000
    links: list[str] = []

    async def open_link(address: str, *_: object) -> _Link:
        links.append(address)
        return _Link(b"some pages")

    monkeypatch.setattr(copying, "open_link", open_link)
    monkeypatch.setattr(copy_fetching, "FIRST_PAUSE_SECONDS", 1000.0)
    taken: list[Event] = []

    async def ended(number: int) -> None:
        async with asyncio.timeout(10):
            while len(taken) < number:
                await asyncio.sleep(0.001)

    async def fetch() -> None:
        nothing = {"reopen": opened, "open_copy": journal_on, "current": opened, "clock": LoopClock()}
        addresses = {"s1": "one", "s3": "three"}
        fetcher = CopyFetcher("s2", addresses, tmp_path / "bank.db", taken.append, **nothing)  # type: ignore[arg-type]
        for number in range(1, 9):
            fetcher.fetch("s1")
            await ended(number)
        fetcher.fetch("s3")
        await ended(9)

    with capture_logs() as logs:
        asyncio.run(fetch())
    assert taken == [CopyEnded(fetched=False)] * 9
    assert links == ["one", "one", "three"], "another primary is asked at once"
    assert [(line["event"], line["log_level"]) for line in logs] == [("no copy", "warning")]
    assert "no room for a copy" in logs[0]["reason"]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("begun_as", [None, [], ["x"], ["x", "7"], ["x", -1], [7, 7], ["x", 3]])
def test_a_primary_that_gives_something_else_than_a_copy_fills_no_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, begun_as: object
) -> None:
    """["x", 3]: more than it announced, for as long as anybody reads it."""

    class Strange(_Link):
        async def ask(self, method: str, args: list[object], seconds: float) -> object:
            return begun_as if method == "begin_copy" else b"endless"

    async def open_link(*_: object) -> _Link:
        return Strange(b"")

    monkeypatch.setattr(copying, "open_link", open_link)
    taken: list[Event] = []

    async def fetch() -> None:
        nothing = {"reopen": opened, "open_copy": journal_on, "current": opened, "clock": LoopClock()}
        fetcher = CopyFetcher("s2", {"s1": ""}, tmp_path / "bank.db", taken.append, **nothing)  # type: ignore[arg-type]
        fetcher.fetch("s1")
        async with asyncio.timeout(10):
            while not taken:
                await asyncio.sleep(0.001)

    asyncio.run(fetch())
    assert taken == [CopyEnded(fetched=False)]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("offset", [-1, 1.0, "0", None, True, 2**63, [0]])
def test_odd_places_in_a_copy_are_refused(tmp_path: Path, offset: object) -> None:
    journal = opened(tmp_path / "bank.db")

    async def work() -> None:
        server = copy_server(lambda: journal.database, tmp_path, LoopClock())
        _, name = await begun(server)
        with pytest.raises(InvalidRequest):
            server.read(name, offset)
        with pytest.raises(InvalidRequest):
            server.read([name], 0)
        server.end([name])
        assert server.read(name, 0)
        server.end(name)

    asyncio.run(work())


class _Caller:
    """The connection of another server, which speaks some version of the protocol."""

    lost = False

    def __init__(self, protocol: int) -> None:
        self.peer = Peer(
            address="127.0.0.1:5",
            protocol=protocol,
            role="server",
            handshake={"server": "s2", "start_id": "s2#1"},
        )
        self.answers: list[object] = []

    def answered(self, call: Call, value: object, *, is_error: bool) -> None:
        self.answers.append(value)


def test_a_database_is_not_handed_to_a_server_that_could_not_read_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It would fetch all of it, refuse it, and do so again and again."""

    async def work() -> None:
        copies = copy_server(lambda: journal.database, tmp_path, LoopClock())
        standby = StandbyObject(events.append, copies, ["s2"], format_of_copies=lambda: 4)
        older, newer = _Caller(NEWEST), _Caller(NEWEST + 1)
        for caller in (older, newer):
            call = Call(caller, caller.peer, "begin_copy", (), {})  # type: ignore[arg-type]
            if caller is older:
                with pytest.raises(InvalidRequest, match=r"cannot read .* of format 4: upgrade s2"):
                    standby.invoke(call)
                assert not list(tmp_path.glob("copy-*"))
            else:
                standby.invoke(call)
                assert list(tmp_path.glob("copy-*"))
        copies.close()

    events: list[object] = []
    journal = opened(tmp_path / "bank.db")
    monkeypatch.setattr(standby_object, "FORMATS_READ", {NEWEST: 3, NEWEST + 1: 4})
    asyncio.run(work())
    journal.close()
