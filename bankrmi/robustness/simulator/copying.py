"""Copies of databases between simulated processes: production's rules of who gets one, and when.

A copy is made a few pages a turn, sent in chunks, checked, put in place; each costs time where it is done.

Rule 1: the connection is one of its own: it stalls while the network is cut, and breaks when that lasts, or
        an end of it dies. What is on it comes once, and in order.
Rule 2: whatever can fail half way fails now and then: no room on either disk, a broken connection, damage.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import apsw

from bankrmi.errors import BankError, Busy, OperationFailed
from bankrmi.replication.journal import Adopted
from bankrmi.robustness.simulator.cluster import JoinerCall, OtherCopies, OtherServer
from bankrmi.robustness.simulator.own_process import OwnProcess
from bankrmi.robustness.simulator.trace import Arrival
from bankrmi.server.copy_fetching import Download, Fetches, Question, downloading
from bankrmi.server.copy_serving import CopyServer
from bankrmi.storage.database import DiskFailed, open_in_memory
from bankrmi.storage.journal import SqliteJournal

__all__ = ["SimulatedCopies"]

PAGES_AT_ONCE = 8
CHUNK_BYTES = 16 << 10
GO_ON_SECONDS = 1.0
RETRY_MS = 200.0
SILENT_MS = 8000.0
"""Shorter than in production, as `GO_ON_SECONDS`: so long one that stays stopped keeps others from a copy."""
REFUSED_MS = 0.1


class SimulatedCopies:
    """The copies that one process makes for others, and those that it gets (see `ports.Copies`)."""

    def __init__(self, process: OwnProcess) -> None:
        self._process = process
        self._world = process.world
        self._links: dict[_CopyLink, None] = {}  # In order: a seed is one history.
        self._place: _Place | None = None
        self._lost: set[tuple[str, int]] = set()  # Processes that are gone: server, boot.
        self._fetches = Fetches(process, process.take, self._begin, self._say)
        self.server = CopyServer(
            self._made,
            process,
            self._say,
            new_name=self._world.new_id,
            chunk_bytes=CHUNK_BYTES,
            idle_seconds=SILENT_MS / 1000,
            go_on_seconds=GO_ON_SECONDS,
        )

    def _say(self, what: str, **details: object) -> None:
        self._world.note(self._process.name, what, details)

    # -- as the source ---------------------------------------------------------------------------

    def _made(self, _name: str) -> _Making:
        if self._process.server.journal.adopted is None:
            raise OperationFailed("it is empty")
        return _Making(self._process)

    def asked(self, question: Question, call: JoinerCall) -> None:
        """Another process asks for something of a copy."""
        try:
            self.server.call(call.joiner[0], question.method, question.args, call)
        except BankError as error:
            call.fail(error)

    # -- as the joiner ---------------------------------------------------------------------------

    def fetch(self, primary: str) -> None:
        """Begin to get a copy of whatever the process that lives there holds then."""
        for link in list(self._links):
            link.close("given up")
        self._fetches.fetch(primary)

    def _begin(self, primary: str, number: int) -> None:
        place = self._place = _Place(self._process)
        source = self._process.cluster.servers[primary]

        def over(reason: str, busy: bool) -> None:
            self._links.pop(link, None)
            if self._fetches.is_newest(number) and reason:
                self._place = None
                self._fetches.failed(number, primary, reason, busy=busy)

        def fetched() -> None:
            verify_ms = self._process.cluster.work.verify_ms(place.length)
            self._process.after(verify_ms, verified)

        def verified() -> None:
            if _fails(self._process):
                over("it is damaged", busy=False)
            else:
                self._fetches.succeeded(number)

        link = _CopyLink(self._process, source, downloading(primary, place), fetched, over)
        self._links[link] = None
        link.open()

    def has_lost(self, process: tuple[str, int]) -> bool:
        """Whether this process, a server and its boot, is known to be gone."""
        return process in self._lost

    def lose(self, server: str, boot: int) -> None:
        """The process of that boot is gone: whoever gave us a copy, or wanted one of ours."""
        self._lost.add((server, boot))
        for link in list(self._links):
            if link.leads_to(server, boot):
                link.close("the connection is lost")

    def install(self, adopted: Adopted | None) -> SqliteJournal | None:
        """Put the copy in place of the disk's content; or throw it away."""
        process, place = self._process, self._place
        self._place = None
        if place is None or adopted is None:
            return None
        database = open_in_memory()
        database.deserialize("main", bytes(place.content))
        copy = process.server.journal_on(database)
        copy.make_own(self._world.new_id(), adopted)
        copy.commit()
        process.loop.spend(process.cluster.work.install_ms(place.length))
        broken = self._world.happens(self._world.faults.io_error)
        if broken and self._world.chance.random() < 0.5:
            raise DiskFailed("the disk refused to put a copy in place")
        process.server.put_in_place(copy, adopted)
        if broken:
            raise DiskFailed("the disk reports an error, and the copy is in place")
        return copy


def _fails(process: OwnProcess) -> bool:
    """Whether what can fail about a copy fails now."""
    return process.world.happens(process.cluster.copies_fail)


class _Making:
    """A copy that is being made; it is what the database is when its last page was copied."""

    def __init__(self, process: OwnProcess) -> None:
        self._process = process
        self._source = process.server.journal.database
        self._left = int(self._source.pragma("page_count"))
        self._content = b""

    def step(self) -> bool:
        """Copy some pages, which keeps the process busy; others may have taken the room meanwhile."""
        if self._process.server.disk.full or _fails(self._process):
            raise OperationFailed("no room for a copy")
        pages = min(PAGES_AT_ONCE, self._left)
        self._left -= pages
        self._process.loop.spend(self._process.cluster.work.pages_ms(pages))
        if not self._left:
            assert not self._source.in_transaction
            self._content = self._source.serialize("main")
        return not self._left

    def abandon(self) -> None:
        """Nothing of it is anywhere else."""

    @property
    def size_bytes(self) -> int:
        return len(self._content)

    def read(self, offset: int, at_most: int) -> bytes:
        chunk = self._content[offset : offset + at_most]
        self._process.loop.spend(self._process.cluster.work.chunk_ms(len(chunk)))
        return chunk

    def remove(self) -> None:
        self._content = b""


class _Place:
    """Where a copy is put while it comes (see `copy_fetching.Staging`)."""

    def __init__(self, process: OwnProcess) -> None:
        self._process = process
        self.content = bytearray()

    def begin(self, size: int) -> None:
        self.content.clear()
        if self._process.server.disk.full or _fails(self._process):
            raise OperationFailed(f"no room for {size} bytes")

    def write(self, chunk: bytes) -> None:
        self._process.loop.spend(self._process.cluster.work.chunk_ms(len(chunk)))
        self.content += chunk

    @property
    def length(self) -> int:
        return len(self.content)


class _Call:
    """What a source knows of a question, and of who asked."""

    def __init__(self, link: _CopyLink, source: OtherCopies, answered: Callable[[object], None]) -> None:
        self.joiner: tuple[str, int] = link.joiner
        self._link = link
        self._source = source
        self._answered = answered

    @property
    def connection_lost(self) -> bool:
        return self._link.is_over or self._source.has_lost(self.joiner)

    def answer(self, value: object) -> None:
        self._answered(value)

    def fail(self, error: Exception) -> None:
        self._answered(error)


class _CopyLink:
    """The connection on which one copy comes."""

    def __init__(
        self,
        process: OwnProcess,
        source: OtherServer,
        download: Download,
        on_fetched: Callable[[], None],
        on_over: Callable[[str, bool], None],
    ) -> None:
        """`on_over` is told once why there is no copy (nothing: there is one), and if the source was busy."""
        self.is_over = False
        self._process = process
        self._world = process.world
        self._source = source
        self._boot = 0
        self.joiner: tuple[str, int] = (process.name, process.server.boot)
        """Who wants the copy: a server, and which of its processes."""
        self._download = download
        self._on_fetched = on_fetched
        self._on_over = on_over
        self._questions = 0

    def open(self) -> None:
        """Connect, and ask for all there is."""
        self._process.after(SILENT_MS, lambda: None if self._boot else self.close("no answer"))
        self._carry(self._process.name, self._source.name, "may I have a copy?", self._greet)

    def _greet(self) -> None:
        """A process that stands still greets when it goes on."""
        if self.is_over:
            return
        if not self._source.alive:
            self._process.after(REFUSED_MS, lambda: self.close("refused"))
        elif self._source.paused:
            self._world.after(RETRY_MS, self._greet)
        else:
            self._boot = self._source.boot
            self._carry(self._source.name, self._process.name, "yes", lambda: self._go_on(None))

    def leads_to(self, server: str, boot: int) -> bool:
        """Whether that process is at the other end."""
        return (self._source.name, self._boot) == (server, boot)

    def close(self, reason: str, *, busy: bool = False) -> None:
        """End it, and say why."""
        if not self.is_over:
            self.is_over = True
            self._download.close()
            self._on_over(reason, busy)

    def _go_on(self, answer: object) -> None:
        """An answer came, at the joiner: ask on."""
        self._process.arrive(lambda: self._ask_on(answer))

    def _ask_on(self, answer: object) -> None:
        if self.is_over:
            return
        if _fails(self._process):
            self.close("the connection is reset")
            return
        try:
            if isinstance(answer, Exception):
                raise answer
            question = self._download.send(answer) if self._questions else next(self._download)
        except StopIteration:
            self.close("")
            self._on_fetched()
        except (BankError, apsw.Error) as error:
            self.close(str(error), busy=isinstance(error, Busy))
        else:
            self._ask(question)

    def _ask(self, question: Question) -> None:
        self._questions += 1
        number = self._questions
        late = 1000 * question.seconds
        self._process.after(late, lambda: self.close("no answer") if self._questions == number else None)
        self._carry(self._process.name, self._source.name, question.method, lambda: self._arrived(question))

    def _arrived(self, question: Question) -> None:
        process = self._source.process
        if process is None or self._source.boot != self._boot:
            self._process.after(REFUSED_MS, lambda: self.close("the connection is lost"))
            return

        def answered(value: object) -> None:
            what = value if isinstance(value, (Exception, list)) else "some pages"
            self._carry(self._source.name, self._process.name, str(what), lambda: self._go_on(value))

        process.arrive(lambda: process.copies.asked(question, _Call(self, process.copies, answered)))

    def _carry(self, sender: str, receiver: str, what: Any, deliver: Callable[[], None]) -> None:
        """Carry something to the other end, as soon as a cut is healed; or notice that it does not heal."""
        began_ms = self._world.now_ms

        def carry() -> None:
            if self.is_over or not self._process.alive:
                return
            now_ms = self._world.now_ms
            if not self._world.is_cut(sender, receiver):
                arrival = Arrival(now_ms, now_ms, sender, receiver, what)
                self._world.after(self._world.travel_ms(sender, receiver), deliver, arrival)
            elif now_ms - began_ms > SILENT_MS:
                self._process.arrive(lambda: self.close("the connection is lost"))
            else:
                self._world.after(RETRY_MS, carry)

        carry()
