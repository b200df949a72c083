"""Exports: one acknowledged state of all accounts, in pages, while the server serves.

Rule 1: an export is a read. At the primary the rules say when it may leave (R1, R2, R4); elsewhere it leaves
        when this server knows that the primary has acknowledged the entry at which the state stands.
Rule 2: a page costs a few milliseconds, however many accounts there are.
Rule 3: what is kept for an operator has a bound, in number and in time, and every call ends.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from typing import Any, Protocol

from bankrmi.bank.accounts import Accounts
from bankrmi.bank.snapshot import Snapshot
from bankrmi.errors import Busy, InvalidRequest, NotPrimary, OperationFailed
from bankrmi.replication.effects import NotLeading, Read, Reply
from bankrmi.replication.events import Event, ReadArrived
from bankrmi.replication.record import Position
from bankrmi.replication.replica import Replica
from bankrmi.rmi import Call
from bankrmi.storage.journal import SqliteJournal

__all__ = ["AT_ONCE", "IDLE_MS", "PAGE", "Exports", "begins_export"]

PAGE = 4_000
AT_ONCE = 2
IDLE_MS = 30_000.0
"""After this without a question, an export is over."""
PATIENT_MS = 2_000.0
"""A new one may take the place of one that has been idle for this long, if there are too many."""


def begins_export(call: Call) -> bool:
    """Whether this is the first of the calls that an export takes."""
    return not call.args or call.args[0] is None


class ReplicaHost(Protocol):
    """Who serves: the driver."""

    @property
    def replica(self) -> Replica:
        """Its rules."""

    @property
    def journal(self) -> SqliteJournal:
        """What it writes to now."""

    def take(self, event: Event) -> None:
        """Give an event to the rules."""


class _Export:
    """One export, from the question to its last page."""

    def __init__(self, call: Call, now_ms: float) -> None:
        self.name = secrets.token_hex(8)
        self.snapshot = Snapshot()
        self.about: dict[str, Any] = {}
        self.stands_at: Position | None = None
        self.waiting: Call | None = call
        self.asked_ms = now_ms

    @property
    def next(self) -> str:
        """The name of the page that comes next."""
        return f"{self.name}+{self.snapshot.read_up_to}"


class _Token:
    """What the rules answer when the state may leave."""

    def __init__(self, exports: Exports, export: _Export) -> None:
        self._exports = exports
        self._export = export

    def reply(self, reply: Reply) -> None:
        """Hand the first page over, or say that another server leads."""
        match reply:
            case Read(history=history, action_id=action_id):
                self._exports.may_leave(self._export, {"action_id": action_id, "history": history})
            case NotLeading(primary=primary):
                self._exports.not_leading(self._export, primary)


class Exports:
    """All exports of one server."""

    def __init__(
        self,
        driver: ReplicaHost,
        accounts: Callable[[], Accounts],
        *,
        server: str,
        now_ms: Callable[[], float],
        timeout_ms: float,
        page: int = PAGE,
    ) -> None:
        self._driver = driver
        self._at_once = page
        self._accounts = accounts
        self._server = server
        self._now_ms = now_ms
        self._timeout_ms = timeout_ms
        self._exports: dict[str, _Export] = {}

    def __len__(self) -> int:
        return len(self._exports)

    @property
    def any_waits(self) -> bool:
        """Whether any has not left yet: until then it has to be seen that its state was not rolled back."""
        return any(export.waiting is not None for export in self._exports.values())

    def ask(self, call: Call) -> None:
        """Answer (state, page, name of the next page) to `export(next page, leading)`."""
        wanted, leading = [*call.args, None, None][:2]
        if wanted is not None:
            call.answer(self._page(self._export_of(wanted)))
            return
        self._make_room()
        export = _Export(call, self._now_ms())
        self._exports[export.name] = export
        if self._driver.replica.primary is not None:
            self._driver.take(ReadArrived(_Token(self, export), export.snapshot))
        elif leading:
            self._end(export)
            raise NotPrimary(f"{self._server} does not lead", primary=None, address=None)
        else:
            self._begin_here(export)

    # -- the state -------------------------------------------------------------------------------

    def _begin_here(self, export: _Export) -> None:
        """Take the state that this server holds now; it leaves when its newest entry is acknowledged."""
        journal = self._driver.journal
        if journal.adopted is None:
            self._end(export)
            raise OperationFailed(f"{self._server} holds nothing yet")
        journal.read(export.snapshot)
        export.stands_at = journal.tip
        export.about = {"action_id": journal.tip.action_id, "history": journal.adopted.history}
        self._look_at(export)

    def _look_at(self, export: _Export) -> None:
        position = export.stands_at
        if position is None:
            return
        if self._driver.journal.position(position.action_id) != position:
            self._begin_here(export)  # It was rolled back: nobody may see it.
        elif self._acknowledged() >= position.action_id:
            export.stands_at = None
            self.may_leave(export, export.about)

    def _acknowledged(self) -> int:
        return self._driver.replica.acknowledged

    def may_leave(self, export: _Export, about: dict[str, Any]) -> None:
        """Answer the call that began this export, unless it was given up."""
        call, export.waiting = export.waiting, None
        if call is None or call.connection_lost or export.name not in self._exports:
            self._end(export)
            return
        export.about = {**about, "server": self._server}
        try:
            call.answer(self._page(export))
        except OperationFailed as error:
            call.fail(error)

    def not_leading(self, export: _Export, primary: str | None) -> None:
        """Another server leads by now."""
        call, export.waiting = export.waiting, None
        self._end(export)
        if call is not None:
            leads = f"{primary} leads" if primary is not None else "nobody is known to lead"
            call.fail(NotPrimary(f"{self._server} leads no more, {leads}: export again", primary=primary))

    # -- pages -----------------------------------------------------------------------------------

    def _export_of(self, wanted: object) -> _Export:
        name = wanted.partition("+")[0] if isinstance(wanted, str) else ""
        export = self._exports.get(name)
        if export is None or export.waiting is not None or export.next != wanted:
            raise InvalidRequest("there is no such page, or no longer: begin the export again")
        return export

    def _page(self, export: _Export) -> dict[str, Any]:
        export.asked_ms = self._now_ms()
        try:
            rows = self._accounts().page(export.snapshot, self._at_once)
        except OperationFailed:
            self._end(export)
            raise
        following = export.next if len(rows) == self._at_once else None
        if following is None:
            self._end(export)
        return {**export.about, "balances": rows, "next": following}

    # -- what is kept ----------------------------------------------------------------------------

    def tick(self) -> None:
        """Let go what may leave, and end what nobody waits for any more."""
        if not self._exports:
            return
        now_ms = self._now_ms()
        for export in list(self._exports.values()):
            call = export.waiting
            if call is not None and call.connection_lost:
                self._end(export)
            elif call is not None and now_ms - export.asked_ms > self._timeout_ms:
                self._end(export)
                call.fail(self._too_late(export))
            elif now_ms - export.asked_ms > IDLE_MS:
                self._end(export)
            elif call is not None:
                try:
                    self._look_at(export)
                except OperationFailed as error:
                    call.fail(error)

    def _too_late(self, export: _Export) -> OperationFailed:
        if export.stands_at is None:
            return OperationFailed(f"{self._server} could not make sure in time that it leads: export again")
        return OperationFailed(
            f"{self._server} holds entries up to action id {export.stands_at.action_id}, and knows only those"
            f" up to {self._acknowledged()} to be acknowledged: `bankrmi status` shows whether anybody leads"
        )

    def _make_room(self) -> None:
        if len(self._exports) < AT_ONCE:
            return
        idle = min(self._exports.values(), key=lambda export: export.asked_ms)
        if idle.waiting is not None or self._now_ms() - idle.asked_ms < PATIENT_MS:
            raise Busy(f"{AT_ONCE} exports are under way at {self._server}: try again in some seconds")
        self._end(idle)

    def _end(self, export: _Export) -> None:
        self._exports.pop(export.name, None)
        export.snapshot.end()
        self._accounts().drop(export.snapshot)
