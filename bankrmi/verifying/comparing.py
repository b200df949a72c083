"""Where do two copies of a journal part?  Of data directories and backups alike.

Rule 1: what is compared is what is recorded, byte by byte; whether either is sound is told by itself.
Rule 2: one that ends earlier does not differ for that: a standby may lag, and a backup is older.
Rule 3: what they do not both hold cannot be compared, and that is said. Where one is folded, the balances at
        the higher anchor, and what is kept of requests up to there, have to be the same as well.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import NamedTuple

import apsw

from bankrmi.bank.accounts import Accounts, sum_of
from bankrmi.bank.forms import described
from bankrmi.errors import InvalidRequest
from bankrmi.replication.record import Entry, Position, Record
from bankrmi.service.calls import called
from bankrmi.storage.backup_label import label_of
from bankrmi.storage.folding import share_of
from bankrmi.storage.state_machine import SUM_MODULUS
from bankrmi.verifying.compared_sessions import difference_in_sessions
from bankrmi.verifying.journal_check import CopyFault
from bankrmi.verifying.record_check import UNREADABLE
from bankrmi.verifying.server_directory import DATABASE, anchor_of
from bankrmi.verifying.stopped_directory import alone_in, opened_unchanged

__all__ = ["Comparison", "compare"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """What came of it, in a sentence; `agree` if one may be what the other has become."""

    agree: bool
    sentence: str


class _Copy(NamedTuple):
    """A journal that can be read: its name, the position that its first record follows, its database.

    Only one that is whole has accounts and sessions.
    """

    name: Path
    since: Position
    database: apsw.Connection
    is_whole: bool

    def records(self, above: int) -> Iterator[Record]:
        rows = self.database.execute("SELECT * FROM journal WHERE action_id > ? ORDER BY action_id", (above,))
        return map(Record._make, rows)

    def position(self, action_id: int) -> Position | None:
        if action_id == self.since.action_id:
            return self.since
        row = self.database.execute(
            "SELECT action_id, epoch, digest FROM journal WHERE action_id = ?", (action_id,)
        ).get
        return None if row is None else Position._make(row)

    @property
    def ends_at(self) -> int:
        newest: int | None = self.database.execute("SELECT max(action_id) FROM journal").get
        return self.since.action_id if newest is None else newest


def compare(one: Path, other: Path) -> Comparison:
    """Compare the journals of two databases: of servers, or of backups.

    Raises ConfigurationError if a process uses one of them.
    """
    try:
        if one.samefile(other):
            return Comparison(agree=True, sentence=f"{one} and {other} are the same file")
        with ExitStack() as alone:
            for path in (one, other):
                if path.name == DATABASE:
                    alone.enter_context(alone_in(path.parent))
            with _opened(one) as ours, _opened(other) as theirs:
                return _compared(ours, theirs)
    except (apsw.Error, UnicodeDecodeError, InvalidRequest, CopyFault, OSError) as error:
        return Comparison(agree=False, sentence=f"{one} and {other} cannot be compared: {error}")


@contextmanager
def _opened(path: Path) -> Iterator[_Copy]:
    with opened_unchanged(path) as database:
        label = label_of(database)
        if label is not None:
            yield _Copy(path, label.since, database, label.is_whole)
            return
        has_opened = database.execute("SELECT 1 FROM sqlite_schema WHERE name = 'about'").get
        opening = has_opened and database.execute("SELECT value FROM about WHERE name = 'opening'").get
        if not opening:
            raise InvalidRequest(f"{path} holds nothing yet")
        anchor = anchor_of(dict(database.execute("SELECT name, value FROM about")))
        yield _Copy(path, Position(0, 0, opening) if anchor is None else anchor.position, database, True)


def _compared(ours: _Copy, theirs: _Copy) -> Comparison:
    earlier, later = sorted((ours, theirs), key=lambda copy: copy.since.action_id)
    begin = later.since
    if earlier.ends_at < begin.action_id:
        return Comparison(
            agree=False,
            sentence=(
                f"{later.name} continues action id {begin.action_id}, and {earlier.name} ends at "
                f"{earlier.ends_at}: what is between is missing"
            ),
        )
    if earlier.position(begin.action_id) != begin:
        return _differ(ours, theirs, begin.action_id, _why_from_the_beginning(begin))
    for mine, yours in zip_longest(ours.records(begin.action_id), theirs.records(begin.action_id)):
        if mine is None or yours is None:
            break
        if mine != yours:
            return _differ(ours, theirs, *_first_difference(mine, yours))
    if begin.action_id and earlier.is_whole and later.is_whole:
        if _sum_at(earlier, begin.action_id) != _sum_at(later, begin.action_id):
            return _differ(
                ours, theirs, begin.action_id, "the same journal, and other balances: one was changed by hand"
            )
        difference = difference_in_sessions(
            earlier.database, later.database, earlier.since.action_id, begin.action_id
        )
        if difference is not None:
            return _differ(ours, theirs, begin.action_id, difference)
    return _agree(ours, theirs)


def _sum_at(copy: _Copy, action_id: int) -> int:
    """Return the sum of the balances there: of the accounts, and what was done since is undone."""
    written_to = copy.database.execute("SELECT value FROM about WHERE name = 'written_to'").get
    if type(written_to) is not int:
        raise CopyFault(f"{copy.name} does not say up to where its accounts are written")
    first, last = sorted((action_id, written_to))
    rows = copy.database.execute(
        "SELECT * FROM journal WHERE action_id > ? AND action_id <= ? ORDER BY action_id", (first, last)
    )
    try:
        between = share_of(Accounts({}), map(Record._make, rows))
    except UNREADABLE as error:
        raise CopyFault(f"a record of {copy.name} above action id {first} cannot be read") from error
    written = sum_of(copy.database.execute("SELECT id, balance FROM accounts"))
    return (written - between if written_to > action_id else written + between) % SUM_MODULUS


def _why_from_the_beginning(begin: Position) -> str:
    if begin.action_id == 0:
        return "they opened with different ledgers, or as different banks"
    return "what one of them continues is not what the other holds"


def _differ(ours: _Copy, theirs: _Copy, action_id: int, why: str) -> Comparison:
    return Comparison(
        agree=False, sentence=f"{ours.name} and {theirs.name} differ from action id {action_id} on: {why}"
    )


def _agree(ours: _Copy, theirs: _Copy) -> Comparison:
    short, long = sorted((ours, theirs), key=lambda copy: copy.ends_at)
    same = f"{ours.name} and {theirs.name} hold the same up to action id {short.ends_at}"
    if long.ends_at > short.ends_at:
        same += f", where {short.name} ends; {long.name} goes on to {long.ends_at}"
    return Comparison(agree=True, sentence=same)


def _first_difference(mine: Record, yours: Record) -> tuple[int, str]:
    """Return the first action id at which two records differ that follow the same one, and in what."""
    first = min(mine.first_id, yours.first_id)
    if mine.request != yours.request or mine.epoch != yours.epoch:
        return first, f"{_in_words(mine)}, and {_in_words(yours)}"
    try:
        for ours, theirs in zip_longest(mine.entries(), yours.entries()):
            if ours is None or theirs is None or _content(ours) != _content(theirs):
                there = ours or theirs
                return there.action_id, f"{_operation(ours)}, and {_operation(theirs)}"
    except UNREADABLE:
        return first, "what is recorded cannot be read in one of them"
    return first, f"the record of request {mine.session}:{mine.sequence} has another time, or digest"


def _content(entry: Entry) -> tuple[object, ...]:
    return entry.operation, entry.status, entry.result, entry.beside


def _in_words(record: Record) -> str:
    return f"request {record.session}:{record.sequence} of epoch {record.epoch}"


def _operation(entry: Entry | None) -> str:
    if entry is None:
        return "nothing"
    if entry.operation is None:
        return "a cancelled request"
    if type(entry.operation[0]) is str:
        call = called(entry.operation)
        return f"{call.method}{tuple(call.args)!r:.200}, {entry.status}: {entry.result!r:.200}"
    what = described(entry.operation)
    amount = f" {what['amount']}" if "amount" in what else ""
    to = f" to {what['to']}" if "to" in what else ""
    came = (entry.result, *entry.beside) if entry.beside else entry.result
    return f"{what['kind']}{amount}, account {what['account']}{to}, {entry.status}: {came!r}"
