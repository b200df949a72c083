"""A copy of the primary's database, for a server that has nothing in common with it.

Files, links and logs; who gets a copy and when is in `copy_serving` and `copy_fetching`.

Rule 1: the primary copies a few pages whenever it has nothing else to do: nobody waits for a joiner.
Rule 2: the joiner verifies what it got before it tells the rules that it has it.
Rule 3: no copy stays on a disk that is of no use to anybody any more.
Rule 4: neither of the two fills its disk for a copy, and each says so at most every few minutes.
"""

from __future__ import annotations

import asyncio
import secrets
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

import apsw
import structlog

from bankrmi.errors import BankError, Busy
from bankrmi.replication.events import Event
from bankrmi.replication.journal import Adopted
from bankrmi.rmi import Failure, RemoteError, TlsCredentials, handshake, open_link, over_tls
from bankrmi.server.copy_fetching import Fetches, downloading
from bankrmi.server.copy_serving import NAME_BYTES, SECONDS, CopyServer
from bankrmi.server.peer_network import STANDBY_ID
from bankrmi.server.ports import Clock
from bankrmi.storage.copying import RESTORED, CopyMaker, put_in_place, remove_logs, sync_copy, verify_copy
from bankrmi.storage.database import private_opener
from bankrmi.storage.journal import SqliteJournal
from bankrmi.storage.space import check_room

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["CopyFetcher", "copy_server", "remove_leftovers"]

log = structlog.get_logger("bankrmi.server")

OWN_NAMES = f"copy-{'[0-9a-f]' * 2 * NAME_BYTES}.db*"
"""What a process that was killed may have left; other names are somebody else's."""


def copy_server(source: Callable[[], apsw.Connection], directory: Path, clock: Clock) -> CopyServer:
    """Return who makes copies of a database, as files in this folder."""
    return CopyServer(lambda name: CopyMaker(source(), directory / f"copy-{name}.db"), clock, log.warning)


def remove_leftovers(directory: Path) -> None:
    """Remove what a process that was killed had made for others, and what a restore had begun."""
    for leftover in (*directory.glob(OWN_NAMES), *directory.glob(f"{RESTORED}*")):
        if leftover.is_file():
            leftover.unlink(missing_ok=True)


class _File:
    """Where a copy is put while it comes (see `copy_fetching.Staging`)."""

    def __init__(self, path: Path, on_progress: Callable[[tuple[int, int]], None]) -> None:
        self._path = path
        self._on_progress = on_progress
        self._file: BinaryIO | None = None
        self._size = 0

    def begin(self, size: int) -> None:
        self.throw_away()  # With its logs: they would be brought into the new one.
        check_room(self._path.parent, size)
        self._file = open(self._path, "wb", opener=private_opener)  # noqa: SIM115  # Closed by `close`.
        self._size = size

    def write(self, chunk: bytes) -> None:
        assert self._file is not None
        self._file.write(chunk)
        self._on_progress((self.length, self._size))

    @property
    def length(self) -> int:
        return self._file.tell() if self._file is not None else 0

    def close(self) -> None:
        if self._file is not None:
            self._file.close()

    def throw_away(self) -> None:
        with suppress(OSError):
            self._path.unlink(missing_ok=True)
            remove_logs(self._path)


class CopyFetcher:
    """Gets a copy from the primary, and puts it in the place of this server's database."""

    def __init__(
        self,
        server: str,
        addresses: Mapping[str, str],
        database: Path,
        take: Callable[[Event], None],
        reopen: Callable[[], SqliteJournal],
        open_copy: Callable[[Path], SqliteJournal],
        current: Callable[[], SqliteJournal],
        clock: Clock,
        credentials: TlsCredentials | None = None,
    ) -> None:
        self._handshake = over_tls(handshake("server", server=server), credentials)
        self._addresses = addresses
        self._database = database
        self._path = database.with_name("fetched.db")
        self._throw_away()  # What a process that was killed had fetched is fetched anew.
        self._take = take
        self._reopen = reopen
        self._open_copy = open_copy
        self._current = current
        self.fetched: tuple[int, int] | None = None
        """Bytes that are here, and bytes of the whole, while there is something to fetch."""
        self._task: asyncio.Task[None] | None = None
        self._fetches = Fetches(clock, take, self._begin, log.warning)

    def fetch(self, primary: str) -> None:
        """Begin, in place of what was begun before; `CopyEnded` is taken when it is done."""
        if self._task is not None:
            self._task.cancel()
        self._fetches.fetch(primary)

    def _begin(self, primary: str, number: int) -> None:
        self._task = asyncio.get_running_loop().create_task(self._fetch(primary, number, self._task))

    async def _fetch(self, primary: str, number: int, before: asyncio.Task[None] | None) -> None:
        if before is not None:
            await asyncio.wait([before])  # There is one file for all of them.
        wrong, busy = "", False
        try:
            size = await self._download(primary)
            if damage := await _verified(self._path, self._open_copy):
                wrong = f"it is damaged: {damage}"
        except (Failure, RemoteError, BankError, OSError) as error:
            wrong, busy = str(error) or type(error).__name__, isinstance(error, Busy)
        except Exception as error:  # Whatever it was, the rules have to hear that there is none.
            wrong = f"{type(error).__name__}: {error}"
        if wrong:
            if self._fetches.is_newest(number):
                self._throw_away()
            self._fetches.failed(number, primary, wrong, busy=busy)
        else:
            log.info("copy fetched", source=primary, bytes=size)
            self._fetches.succeeded(number)

    def _throw_away(self) -> None:
        _File(self._path, lambda _: None).throw_away()

    def _progressed(self, fetched: tuple[int, int]) -> None:
        self.fetched = fetched

    async def _download(self, primary: str) -> int:
        link = await open_link(self._addresses[primary], STANDBY_ID + primary, self._handshake, SECONDS)
        place = _File(self._path, self._progressed)
        download = downloading(primary, place)
        try:
            ask = next(download)
            while True:
                ask = download.send(await link.ask(ask.method, ask.args, ask.seconds))
        except StopIteration as done:
            return int(done.value)
        finally:
            download.close()
            place.close()
            link.close()
            self.fetched = None

    def install(self, adopted: Adopted | None) -> SqliteJournal | None:
        """Put what was fetched in place and return it opened; or (None) throw it away."""
        if adopted is None:
            self._throw_away()
            return None
        copy = self._open_copy(self._path)
        copy.make_own(secrets.token_hex(8), adopted)
        copy.commit()
        old = self._current()
        continues = copy.position(old.tip.action_id) == old.tip  # Nothing is here that is not there.
        copy.close()
        keep_as = f"replaced-{old.incarnation}.db" if old.tip.action_id and not continues else None
        old.close(writes=False)
        if keep_as is not None:
            log.warning("this server held another history; it is kept beside the database", file=keep_as)
        put_in_place(
            self._path,
            self._database,
            keep_as=None if keep_as is None else self._database.with_name(keep_as),
        )
        return self._reopen()

    def close(self) -> None:
        """Give up."""
        if self._task is not None:
            self._task.cancel()


async def _verified(path: Path, open_copy: Callable[[Path], SqliteJournal]) -> str:
    """Return what is wrong with a copy; whoever gives up waits for the thread that is reading it, and that
    one hears of it."""
    unwanted = threading.Event()
    verifying = asyncio.ensure_future(asyncio.to_thread(_looked_through, path, open_copy, unwanted.is_set))
    try:
        return await asyncio.shield(verifying)
    except asyncio.CancelledError:
        unwanted.set()
        await asyncio.wait([verifying])
        raise


def _looked_through(
    path: Path, open_copy: Callable[[Path], SqliteJournal], is_unwanted: Callable[[], bool]
) -> str:
    """Return what is wrong with a copy, nothing if it is sound; write what lags in it behind its journal.

    And make it durable, as long as that takes: in the loop, at the end, only little is left of that.
    """
    if wrong := verify_copy(path, is_unwanted):
        return wrong
    try:
        open_copy(path).close()
    except Exception as error:  # Whatever a copy makes the journal say: it is not put in place.
        return str(error) or type(error).__name__
    if not is_unwanted():
        sync_copy(path)
    return ""
