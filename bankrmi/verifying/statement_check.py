"""Is a statement what the journal of a copy says?  Entry by entry, and by the digests of their records.

A digest stands for its record and for all that came before. So equal digests say more than that these
entries are the same: up to the newest of them, this copy holds what the server held that made the
statement.

Rule 1: the words of an entry are made anew of the copy's own records, and then compared.
Rule 2: an entry too many, one too few, and one that cannot be looked at any more, or not yet, are all told.
Rule 3: whether the copy is sound in itself is told by `verify`, and asked first.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import asdict, fields
from itertools import islice
from pathlib import Path
from typing import Any

import apsw

from bankrmi.bank.operations import LARGEST
from bankrmi.bank.statements import NO_DIGEST, Statement, StatementEntry, entries_of_account
from bankrmi.counted import counted
from bankrmi.errors import InvalidRequest
from bankrmi.replication.record import Record
from bankrmi.storage.backup_label import label_of
from bankrmi.verifying.record_check import UNREADABLE
from bankrmi.verifying.server_directory import DATABASE, anchor_of
from bankrmi.verifying.stopped_directory import alone_in, opened_unchanged

__all__ = ["faults_of_statement", "in_words", "read_statement_file"]

LARGEST_BYTES = 64 << 20
_FAULTS_AT_MOST = 20

_ENTRY = {field.name: str(field.type) for field in fields(StatementEntry)}


def read_statement_file(path: Path) -> Statement:
    """Return the statement that `bankrmi statement --json` has written.  Raises InvalidRequest."""
    try:
        with path.open("rb") as file:
            content = file.read(LARGEST_BYTES + 1)
    except OSError as error:
        raise InvalidRequest(f"{path} cannot be read: {error.strerror}") from error
    try:
        if len(content) > LARGEST_BYTES:
            raise ValueError(f"it is over {LARGEST_BYTES} bytes")
        statement = _statement_of(json.loads(content))
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise InvalidRequest(
            f"{path} is no statement, as `bankrmi statement ID --json` prints one: {error!s:.100}"
        ) from None
    if any(entry.digest == NO_DIGEST for entry in statement.entries):
        raise InvalidRequest(
            f"{path} was made where the accounts are in a database (engine): its entries have no digests, "
            "since "
            "there is no journal of all accounts whose copies could prove them; SQL reads the table `entry`"
        )
    return statement


def _statement_of(form: Any) -> Statement:
    if not isinstance(form, dict) or form.keys() != {field.name for field in fields(Statement)}:
        raise ValueError("it does not name what a statement has")
    numbers = [form[name] for name in ("account", "since", "through", "begins_after", "action_id")]
    if not all(type(number) is int and 0 <= number <= LARGEST for number in numbers):
        raise ValueError("a number in it cannot be")
    entries = [_entry_of(one) for one in form["entries"]]
    ids = [form["since"], *(entry.action_id for entry in entries), form["through"] + 1]
    if sorted(set(ids)) != ids:
        raise ValueError("its entries are out of order")
    return Statement(**form | {"entries": entries})


def _entry_of(form: Any) -> StatementEntry:
    if not isinstance(form, dict) or form.keys() != _ENTRY.keys():
        raise ValueError("an entry does not name what one has")
    for name, kind in _ENTRY.items():
        value = form[name]
        if not (type(value) is (str if kind == "str" else int) or (value is None and "None" in kind)):
            raise ValueError(f"{name} of an entry cannot be {value!r:.40}")
    return StatementEntry(**form)


def faults_of_statement(statement: Statement, path: Path) -> list[str]:
    """Return what in it is not what this copy says, in sentences; nothing if all of it is.

    Raises ConfigurationError if a process uses the copy.
    """
    try:
        with ExitStack() as alone:
            if path.name == DATABASE:
                alone.enter_context(alone_in(path.parent))
            with opened_unchanged(path) as database:
                return list(islice(_faults(statement, database), _FAULTS_AT_MOST))
    except (apsw.Error, UnicodeDecodeError, *UNREADABLE) as error:
        return [f"it cannot be read: {error}"]


def _faults(statement: Statement, database: apsw.Connection) -> Iterator[str]:
    begins_after, ends_at = _reach(database)
    if begins_after > statement.since:
        yield f"entries up to action id {begins_after} have left this journal: they cannot be checked"
    if ends_at < statement.through:
        yield f"this journal ends at action id {ends_at}: what comes after that cannot be checked"
    said = {entry.action_id: entry for entry in statement.entries}
    above, up_to = max(statement.since, begins_after), min(statement.through, ends_at)
    held = dict(_held(database, statement.account, above, up_to))
    for action_id in sorted(said.keys() | held.keys()):
        if not above < action_id <= up_to:
            continue
        ours, theirs = held.get(action_id), said.get(action_id)
        if ours is None:
            yield f"action id {action_id} is no entry of account {statement.account} here"
        elif theirs is None:
            yield f"action id {action_id} is about account {statement.account}, and is not in the statement"
        elif ours != theirs:
            yield f"action id {action_id}: {_difference(theirs, ours)}"


def _reach(database: apsw.Connection) -> tuple[int, int]:
    """Return after which action id a journal begins, and where it ends."""
    label = label_of(database)
    if label is not None and not label.is_whole:
        begins_after = label.since.action_id
    else:
        anchor = anchor_of(dict(database.execute("SELECT name, value FROM about")))
        begins_after = 0 if anchor is None else anchor.position.action_id
    newest: int | None = database.execute("SELECT max(action_id) FROM journal").get
    return begins_after, begins_after if newest is None else newest


def _held(
    database: apsw.Connection, account: int, above: int, up_to: int
) -> Iterator[tuple[int, StatementEntry]]:
    rows = database.execute(
        "SELECT * FROM journal WHERE action_id > ? AND action_id - operation_count < ? ORDER BY action_id",
        (above, up_to),
    )
    for row in rows:
        for form in entries_of_account(Record._make(row), account):
            entry = StatementEntry.of(form)
            yield entry.action_id, entry


def _difference(said: StatementEntry, held: StatementEntry) -> str:
    theirs, ours = asdict(said), asdict(held)
    name = next(name for name in theirs if theirs[name] != ours[name])
    if name == "digest":
        return "the entry is the same, and its record, or what came before it, is not (another digest)"
    return f"{name} is {theirs[name]!r:.80} in the statement, and {ours[name]!r:.80} here"


def in_words(statement: Statement) -> str:
    """Return what a statement covers."""
    entries = counted(len(statement.entries), "entry", "entries")
    between = f"from action id {statement.since + 1} to {statement.through}"
    return f"{entries} of account {statement.account}, {between}"
