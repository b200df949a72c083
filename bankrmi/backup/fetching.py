"""What is asked of a server for a backup, how fast, and what of its answers is believed.

    state ──> a page of accounts, until there is none ──> pieces of the journal, until the goal
                └─ of a journal that is folded: a page of sessions, until there is none

The goal is where the journal stood at the last page of accounts (for an increment: what was acknowledged at
the first question), so a backup ends, however much is written meanwhile.

Rule 1: no record is taken that does not follow from the one before, by its digest.
Rule 2: each position at which accounts were looked at has to be passed: else they were those of records that
        were rolled back.
Rule 3: over any time it takes no more than its rate; a server that is busy is left alone for a moment.
Rule 4: every wait has an end.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import msgpack

from bankrmi.bank.operations import LARGEST
from bankrmi.client.asking import Ask
from bankrmi.counted import counted
from bankrmi.errors import Busy, OperationFailed
from bankrmi.replication.fields import (
    EPOCHS_AT_MOST,
    digest,
    epoch,
    identifier,
    number,
    position,
    records_after,
)
from bankrmi.replication.pause import reason_of
from bankrmi.replication.record import Position, Record
from bankrmi.storage.folding import Anchor, anchor_in

__all__ = ["BackupState", "Fetch", "FetchPace", "PieceAnswer", "piece_answer", "records_in"]

SECONDS = 30.0
"""For one answer; and for a server that is busy, or that hears of nothing acknowledged, all the time."""
PAUSE_SECONDS = 0.1

ACCOUNT_BYTES = 32
"""What an account counts, shorter as it is: it takes the server as long as so much of the journal."""

Progress = Callable[[str], None]
SessionRow = tuple[Any, ...]
"""As the table `sessions` of a database has it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PieceAnswer:
    """What every answer says of where the server stands (see `server.backing_up`)."""

    history: str
    epoch: int
    tip: Position
    acknowledged: int
    time_us: int
    begins_at: int = 0
    retired_for: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class BackupState:
    """What there is to back up: after `since`, of a journal with this anchor (None: kept whole)."""

    since: Position
    anchor: Anchor | None
    opening: bytes
    opened_with: bytes | None
    size_bytes: int
    now: PieceAnswer


class FetchPace:
    """Keeps to a rate, in bytes a second."""

    def __init__(
        self,
        bytes_per_second: float,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._rate = bytes_per_second
        self._clock = clock
        self._sleep = sleep
        self._free_s = clock()
        self.taken = 0
        """Bytes, in all."""

    def took(self, size: int) -> None:
        """Wait until there may be more; time in which nothing was taken is not made up for."""
        self.taken += size
        now_s = self._clock()
        self._free_s = max(self._free_s, now_s - PAUSE_SECONDS) + size / self._rate
        if self._free_s > now_s:
            self._sleep(self._free_s - now_s)


class Fetch:
    """One backup's questions to one server."""

    def __init__(self, server: str, ask: Ask, pace: FetchPace, progress: Progress) -> None:
        self.server = server
        self._question = ask
        self._pace = pace
        self.progress = progress
        self._looked_at: deque[Position] = deque()
        """Where the journal stood when accounts were looked at; the first is the next to be passed."""
        self.newest: PieceAnswer | None = None

    # -- questions -------------------------------------------------------------------------------

    def state(self, since: int | None) -> BackupState:
        """Ask what there is after this action id; None: everything."""
        answer = self._ask("backup_state", since)
        try:
            opened_with = answer["opened_with"]
            if opened_with is not None and type(opened_with) is not bytes:
                raise ValueError("opened_with is no fingerprint")
            anchor, opening = answer.get("anchor"), answer.get("opening")
            return BackupState(
                since=position(answer["since"]),
                anchor=None if anchor is None else anchor_in(anchor),
                opening=position(answer["since"]).digest if opening is None else digest(opening),
                opened_with=opened_with,
                size_bytes=number(answer["size_bytes"]),
                now=self._noted(answer),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise self._unreadable(error) from error

    def accounts(self, take: Callable[[dict[int, int]], None]) -> Position:
        """Give all accounts, page by page; return where the journal stood at the last one."""
        newest: int | None = None
        count = 0
        while True:
            answer = self._ask("backup_accounts", newest)
            try:
                page = _accounts(answer["accounts"], -1 if newest is None else newest)
                stands_at = self._noted(answer).tip
            except (KeyError, TypeError, ValueError) as error:
                raise self._unreadable(error) from error
            self._look(stands_at)
            take(page)
            count += len(page)
            self.progress(counted(count, "account"))
            self._pace.took(max(len(answer["accounts"]), ACCOUNT_BYTES * len(page)))
            newest = max(page, default=LARGEST)
            if newest == LARGEST:
                return stands_at

    def _look(self, at: Position) -> None:
        """Note where the journal stood when accounts were looked at."""
        before = self._looked_at[-1] if self._looked_at else None
        if before is not None and at.action_id < before.action_id:
            raise self._rolled_back(before.action_id)
        if at != before:
            self._looked_at.append(at)

    def sessions(self, since: Position, take: Callable[[Sequence[SessionRow]], None]) -> None:
        """Give what is kept of the sessions whose requests are folded, up to `since`."""
        newest: str | None = None
        while True:
            answer = self._ask("backup_sessions", newest)
            try:
                begins_at = self._noted(answer).begins_at
                if begins_at != since.action_id:
                    raise OperationFailed(
                        f"{self.server} has folded its journal up to {begins_at} meanwhile: back up again"
                    )
                page = _sessions(answer["sessions"], "" if newest is None else newest, since.action_id)
            except (KeyError, TypeError, ValueError) as error:
                raise self._unreadable(error) from error
            self._pace.took(len(answer["sessions"]))
            if not page:
                return
            take(page)
            newest = page[-1][0]

    def records(self, since: Position, goal: int, take: Callable[[list[Record]], None]) -> Position:
        """Give the acknowledged records after `since`, up to `goal` at least; return where they end.

        Raises OperationFailed if the goal is not known to be acknowledged in time.
        """
        at, waited_since_s = since, time.monotonic()
        self._pass(at)
        while at.action_id < goal:
            answer = self._ask("backup_records", list(at))
            try:
                records = records_in(answer, at)
                self._noted(answer)
            except (KeyError, TypeError, ValueError) as error:
                raise self._unreadable(error) from error
            take(records)
            for record in records:
                self._pass(record.position)
            if records:
                at, waited_since_s = records[-1].position, time.monotonic()
                self._pace.took(len(answer["records"]))
                self.progress(f"action id {at.action_id} of {goal}, {self._pace.taken / 1e6:.1f} MB")
            else:
                self._wait_for_more(goal, waited_since_s)
        return at

    def _wait_for_more(self, goal: int, since_s: float) -> None:
        now = self.newest
        if now is not None and now.tip.action_id < goal:
            raise self._rolled_back(goal)
        if time.monotonic() - since_s > SECONDS and now is not None:
            raise OperationFailed(
                f"{self.server} holds entries up to action id {goal}, and knows only those up to "
                f"{now.acknowledged} to be acknowledged: `bankrmi status` shows whether anybody leads"
            )
        self.progress(f"waiting until action id {goal} is acknowledged")
        time.sleep(PAUSE_SECONDS)

    # -- answers ---------------------------------------------------------------------------------

    def _ask(self, method: str, argument: object) -> Any:
        """Ask, again if the server is busy."""
        deadline_s = time.monotonic() + SECONDS
        while True:
            try:
                return self._question(method, [argument], seconds=SECONDS)
            except Busy:
                if time.monotonic() > deadline_s:
                    raise
                time.sleep(PAUSE_SECONDS)

    def _noted(self, answer: Any) -> PieceAnswer:
        self.newest = piece_answer(answer)
        return self.newest

    def _pass(self, at: Position) -> None:
        """Go by the positions at which accounts were looked at; raise OperationFailed if one is not there."""
        looked_at = self._looked_at
        while looked_at and looked_at[0].action_id <= at.action_id:
            if looked_at.popleft() != at:
                raise self._rolled_back(at.action_id)

    def _rolled_back(self, action_id: int) -> OperationFailed:
        return OperationFailed(
            f"what {self.server} held at action id {action_id} was rolled back since: back up again"
        )

    def _unreadable(self, error: Exception) -> OperationFailed:
        why = f"it has no {error}" if isinstance(error, KeyError) else str(error)
        return OperationFailed(f"{self.server} answered what cannot be read ({why})")


def piece_answer(answer: Any) -> PieceAnswer:
    """Return where a server stands, as its answer says; raises ValueError, TypeError or KeyError."""
    return PieceAnswer(
        history=identifier(answer["history"]),
        epoch=epoch(answer["epoch"]),
        tip=position(answer["tip"]),
        acknowledged=number(answer["acknowledged"]),
        time_us=number(answer["time_us"]),
        begins_at=number(answer.get("begins_at", 0)),
        retired_for=reason_of(answer.get("retired_for")),
    )


def records_in(answer: Any, after: Position) -> list[Record]:
    """Return the records of an answer, which begin after this position; raises as `piece_answer` does."""
    return records_after(after, EPOCHS_AT_MOST, _unpacked(answer["records"]))


def _unpacked(content: Any) -> tuple[Any, ...]:
    if type(content) is not bytes:
        raise ValueError("it is not packed")
    values = msgpack.unpackb(content, use_list=False)
    if type(values) is not tuple:
        raise ValueError("it is not a list")
    return values


def _sessions(content: Any, newest: str, up_to: int) -> list[SessionRow]:
    """Return a page of sessions; raises ValueError unless they are in order, and what a database may hold."""
    page: list[SessionRow] = []
    for row in _unpacked(content):
        session, sequence, action_id, at_epoch, count, operations, outcomes, time_us, its_digest = row
        identifier(session)
        if not newest < session or not 0 < number(action_id) <= up_to:
            raise ValueError("sessions are out of order, or not folded")
        for one in (sequence, at_epoch, count):
            number(one)
        digest(its_digest)
        for one in (operations, outcomes):
            if one is not None and type(one) is not bytes:
                raise ValueError("what came of a request is not packed")
        if type(time_us) is not int or not abs(time_us) < 1 << 63:
            raise ValueError("a time is none")
        page.append(row)
        newest = session
    return page


def _accounts(content: Any, newest: int) -> dict[int, int]:
    """Return a page of accounts; raises ValueError unless they are in order, and follow the page before."""
    page: dict[int, int] = {}
    for row in _unpacked(content):
        account, balance = row
        if type(account) is not int or type(balance) is not int:
            raise ValueError("an account and its balance are whole numbers")
        if not (newest < account <= LARGEST and 0 <= balance <= LARGEST):
            raise ValueError("accounts are out of order, or a balance is none")
        page[account] = balance
        newest = account
    return page
