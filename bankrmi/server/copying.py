"""A copy of the primary's database, for a server that has nothing in common with it.

Rule 1: the primary copies a few pages whenever it has nothing else to do: nobody waits for a joiner.
Rule 2: the joiner verifies what it got before it tells the rules that it has it.
Rule 3: one joiner at a time: a copy is its own until it has it, is gone, or has read nothing for too long.
Rule 4: no copy stays on a disk that is of no use to anybody any more.
Rule 5: neither of the two fills its disk for a copy; a joiner that got none asks for another one after pauses
        that grow, and says why at most every few minutes.
"""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import apsw
import structlog

from bankrmi.errors import BankError, InvalidRequest, OperationFailed
from bankrmi.replication.events import CopyEnded, Event
from bankrmi.replication.journal import Adopted
from bankrmi.rmi import Call, Failure, RemoteError, handshake, open_link
from bankrmi.server.peer_network import STANDBY_ID
from bankrmi.storage.copying import CopyMaker, put_in_place, remove_logs, verify_copy
from bankrmi.storage.database import DiskFailed, private_opener
from bankrmi.storage.journal import SqliteJournal
from bankrmi.storage.space import check_room

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["CopyFetcher", "CopyServer"]

log = structlog.get_logger("bankrmi.server")

CHUNK_BYTES = 4 << 20
SECONDS = 30.0
WATCH_SECONDS = 0.5
STEP_PAUSE_SECONDS = 0.0005
LONGEST_PAUSE_SECONDS = 15.0
FIRST_PAUSE_SECONDS = 0.5
SAY_AGAIN_SECONDS = 300.0

NAME_BYTES = 4
OWN_NAMES = f"copy-{'[0-9a-f]' * 2 * NAME_BYTES}.db*"
"""What a process that was killed may have left; other names are somebody else's."""


@dataclass(slots=True)
class _Made:
    """A copy that is being handed out."""

    name: str
    path: Path
    call: Call
    read_at: float


class Complaint:
    """One thing that is wrong: said at once, and again after some minutes if it still is."""

    def __init__(self) -> None:
        self._said_at = float("-inf")

    def say(self, what: str, **details: object) -> None:
        """Log it, unless that was done not long ago."""
        now_s = asyncio.get_running_loop().time()
        if now_s - self._said_at >= SAY_AGAIN_SECONDS:
            self._said_at = now_s
            log.warning(what, **details)

    def is_over(self) -> None:
        """It went well: the next time is news."""
        self._said_at = float("-inf")


class CopyServer:
    """Makes copies of this server's database, one at a time, and hands them out in chunks."""

    def __init__(self, source: Callable[[], apsw.Connection], directory: Path) -> None:
        self._source = source
        self._directory = directory
        self._made: _Made | None = None
        self._making: CopyMaker | None = None
        self._complained = Complaint()
        for leftover in directory.glob(OWN_NAMES):
            if leftover.is_file():
                leftover.unlink(missing_ok=True)

    def begin(self, call: Call) -> None:
        """Answer (name, size in bytes) when a copy is made."""
        self._drop_if_unwanted()
        if self._making is not None or self._made is not None:
            raise OperationFailed("another server is getting a copy")
        name = secrets.token_hex(NAME_BYTES)
        try:
            self._making = CopyMaker(self._source(), self._directory / f"copy-{name}.db")
        except (apsw.Error, DiskFailed, BankError, OSError) as error:
            self._complained.say("no copy can be made for another server", reason=str(error))
            raise OperationFailed(f"no copy can be made: {error}") from error
        self._step(name, self._making, call)

    def _step(self, name: str, making: CopyMaker, call: Call) -> None:
        try:
            done = making.step()
        except (apsw.Error, BankError, OSError) as error:
            self._making = None
            making.abandon()
            self._complained.say("no copy can be made for another server", reason=str(error))
            call.fail(OperationFailed(f"the copy failed: {error}"))
            return
        if not done and not call.connection_lost:
            asyncio.get_running_loop().call_later(STEP_PAUSE_SECONDS, self._step, name, making, call)
            return
        self._making = None
        if not done:
            making.abandon()
            return
        self._complained.is_over()
        self._made = _Made(name, making.path, call, asyncio.get_running_loop().time())
        call.answer([name, making.path.stat().st_size])
        self._watch()

    def _watch(self) -> None:
        """Look now and then whether whoever asked for a copy still wants it."""
        self._drop_if_unwanted()
        if self._made is not None:
            asyncio.get_running_loop().call_later(WATCH_SECONDS, self._watch)

    def _drop_if_unwanted(self) -> None:
        made = self._made
        if made is not None:
            idle_s = asyncio.get_running_loop().time() - made.read_at
            if made.call.connection_lost or idle_s > SECONDS:
                self.end(made.name)

    def read(self, name: object, offset: object) -> bytes:
        """Return a chunk of a copy; empty at its end."""
        made = self._made
        if type(offset) is not int or not 0 <= offset < 1 << 62:
            raise InvalidRequest("a copy is read from a byte on, which is a whole number")
        if made is None or made.name != name:
            raise InvalidRequest("there is no such copy any more: begin again")
        made.read_at = asyncio.get_running_loop().time()
        with made.path.open("rb") as file:
            file.seek(offset)
            return file.read(CHUNK_BYTES)

    def end(self, name: object) -> None:
        """Throw a copy away."""
        if self._made is not None and self._made.name == name:
            self._made.path.unlink(missing_ok=True)
            self._made = None

    def close(self) -> None:
        """Throw everything away."""
        if self._making is not None:
            self._making.abandon()
        if self._made is not None:
            self.end(self._made.name)


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
    ) -> None:
        self._handshake = handshake("server", server=server)
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
        self._complained = Complaint()
        self._pause_s = 0.0
        self._not_before: dict[str, float] = {}

    def fetch(self, primary: str) -> None:
        """Begin; `CopyEnded` is taken when it is done: at once, if it is too soon after a failure."""
        loop = asyncio.get_running_loop()
        if loop.time() < self._not_before.get(primary, 0.0):
            loop.call_soon(self._take, CopyEnded(fetched=False))
        else:
            self._task = loop.create_task(self._fetch(primary))

    def _failed(self, primary: str, reason: str) -> None:
        self._complained.say("no copy", source=primary, reason=reason)
        now_s = asyncio.get_running_loop().time()
        self._not_before = {primary: now_s + self._pause_s}
        self._pause_s = min(max(2 * self._pause_s, FIRST_PAUSE_SECONDS), LONGEST_PAUSE_SECONDS)

    async def _fetch(self, primary: str) -> None:
        fetched = False
        try:
            size = await self._download(primary)
            wrong = await asyncio.to_thread(verify_copy, self._path)
            if wrong:
                self._failed(primary, f"it is damaged: {wrong}")
            else:
                fetched = True
                self._pause_s = 0.0
                self._complained.is_over()
                log.info("copy fetched", source=primary, bytes=size)
        except (Failure, RemoteError, BankError, OSError) as error:
            self._failed(primary, str(error))
        except Exception as error:  # Whatever it was, the rules have to hear that there is none.
            self._failed(primary, f"{type(error).__name__}: {error}")
        if not fetched:
            self._throw_away()
        self._take(CopyEnded(fetched=fetched))

    def _throw_away(self) -> None:
        with suppress(OSError):
            self._path.unlink(missing_ok=True)
            remove_logs(self._path)

    async def _download(self, primary: str) -> int:
        link = await open_link(self._addresses[primary], STANDBY_ID + primary, self._handshake, SECONDS)
        try:
            name, size = _announced(await link.ask("begin_copy", [], 10 * SECONDS))
            self._throw_away()  # With its logs: they would be brought into the new one.
            check_room(self._path.parent, size)
            with open(self._path, "wb", opener=private_opener) as file:
                while chunk := await link.ask("read_copy", [name, file.tell()], SECONDS):
                    if not isinstance(chunk, bytes) or file.tell() + len(chunk) > size:
                        raise OperationFailed(f"{primary} gave another copy than it had announced")
                    file.write(chunk)
                    self.fetched = (file.tell(), int(size))
            await link.ask("end_copy", [name], SECONDS)
        finally:
            link.close()
            self.fetched = None
        return size

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
        old.close()
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


def _announced(answer: object) -> tuple[str, int]:
    """Return name and size in bytes of the copy that a primary has made."""
    match answer:
        case [str(name), int(size)] if size >= 0:
            return name, size
    raise OperationFailed(
        "the primary's copy has no name and size that can be read: upgrade the older server"
    )
