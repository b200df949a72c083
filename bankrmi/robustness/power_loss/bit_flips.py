"""One bit of a stopped server's files is flipped: is it noticed, or does it change nothing that is read?

Rule 1: the copy is opened and read by the product's own code, and everything that comes out is compared.
Rule 2: nothing else may come out than what was there; an error is as good as the truth.
Rule 3: a log is another matter: SQLite takes a damaged frame for the end of the log, so that commits are
        missing. What is missing then is counted by itself, and `verify` has to tell (but for the newest
        commit, where the bytes alone cannot).
"""

from __future__ import annotations

import random
import tempfile
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import apsw

from bankrmi.bank.accounts import Accounts
from bankrmi.bank.forms import Form, form_of
from bankrmi.bank.operations import Deposit, Withdraw
from bankrmi.replication.journal import Adopted
from bankrmi.replication.record import packed
from bankrmi.storage.database import open_database
from bankrmi.storage.journal import SqliteJournal, WriteBehind
from bankrmi.verifying.server_directory import DATABASE, verify_database

__all__ = ["Flips", "flip_bits", "make_files"]

DETECTED = "an error when it is opened or read"
HARMLESS = "everything reads as before"
SHORTER = "commits at the end are missing; verify tells"
NEWEST = "the newest commit is missing; nothing tells"
WRONG = "something else reads"

_ACCOUNTS = 2_000
_REQUESTS = 400
_RECORDS_BEHIND = 7


@dataclass(slots=True, kw_only=True)
class Flips:
    """What became of all flips, by file and outcome; those with a wrong outcome in words."""

    outcomes: Counter[tuple[str, str]] = field(default_factory=Counter)
    told_by_verify: Counter[tuple[str, str]] = field(default_factory=Counter)
    violations: list[str] = field(default_factory=list)


def make_files(folder: Path, *, stopped: bool, seed: str) -> dict[str, bytes]:
    """Return the files of a server that was stopped in good order, or (not `stopped`) was killed."""
    path = folder / DATABASE
    opening = dict.fromkeys(range(1, _ACCOUNTS + 1), 500)
    journal = SqliteJournal(
        open_database(path),
        Accounts(opening),
        new_incarnation=lambda: "a-disk",
        behind=WriteBehind(records=_RECORDS_BEHIND),
    )
    journal.open(Adopted(history="h", epoch=1, primary="s1", start_id="s1#1"))
    journal.commit()
    chance = random.Random(f"{seed}/content")
    for number in range(1, _REQUESTS + 1):
        work = [
            form_of(
                chance.choice((Deposit, Withdraw))(chance.randint(1, _ACCOUNTS + 5), chance.randint(0, 400))
            )
            for _ in range(chance.choice((1, 1, 10)))
        ]
        journal.decide(1, (f"session{number % 5}", number), len(work), packed(work), number)
        journal.commit()
        if number == _REQUESTS // 2:
            journal.database.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)
    if stopped:
        journal.close()
    files = {file.name: file.read_bytes() for file in folder.glob(f"{DATABASE}*")}
    journal.close()
    return files


def _operation(chance: random.Random) -> Form:
    kind = chance.choice((Deposit, Withdraw))
    return form_of(kind(chance.randint(1, _ACCOUNTS + 5), chance.randint(0, 400)))


def flip_bits(
    flips: int, *, seed: str, say: Callable[[str], None] = lambda _: None, stopped: bool = True
) -> Flips:
    """Flip `flips` bits, one at a time, in the files of a server that was stopped, or was killed."""
    result = Flips()
    with tempfile.TemporaryDirectory(prefix="bankrmi-flips-") as made:
        files = make_files(Path(made), stopped=stopped, seed=seed)
    chance = random.Random(f"{seed}/flips")
    truth = _read(files)
    assert isinstance(truth, _Content)
    for number in range(flips):
        name = chance.choices(list(files), weights=[len(content) for content in files.values()])[0]
        place, bit = chance.randrange(len(files[name])), chance.randrange(8)
        damaged = bytearray(files[name])
        damaged[place] ^= 1 << bit
        _judge(result, {**files, name: bytes(damaged)}, truth, f"bit {bit} of byte {place} of {name}")
        say(f"{number + 1} flips, {len(result.violations)} violations")
    return result


@dataclass(frozen=True, slots=True, kw_only=True)
class _Content:
    """Everything that can be read."""

    about: tuple[Any, ...]
    records: tuple[Any, ...]
    balances: tuple[tuple[int, int], ...]
    looked_up: tuple[Any, ...]


def _judge(result: Flips, files: dict[str, bytes], truth: _Content, where: str) -> None:
    file = where.rpartition(" ")[2]
    told = _verify(files)
    found = _read(files)
    if isinstance(found, str):
        outcome = DETECTED
    elif found == truth:
        outcome = HARMLESS
    elif file != DATABASE and found.records == truth.records[: len(found.records)]:
        outcome = SHORTER if told else NEWEST
        missing = truth.records[len(found.records) :]
        if outcome is NEWEST and len(missing) > 1:
            result.violations.append(f"{where}: {len(missing)} records are missing, and verify says nothing")
    else:
        outcome = WRONG
        result.violations.append(f"{where}: {outcome}")
    result.outcomes[file, outcome] += 1
    result.told_by_verify[file, outcome] += told


def _in_folder(files: dict[str, bytes]) -> tempfile.TemporaryDirectory[str]:
    folder = tempfile.TemporaryDirectory(prefix="bankrmi-flip-")
    for name, content in files.items():
        (Path(folder.name) / name).write_bytes(content)
    return folder


def _verify(files: dict[str, bytes]) -> bool:
    """Whether `bankrmi verify` finds something."""
    with _in_folder(files) as folder:
        return not verify_database(Path(folder) / DATABASE).sound


def _read(files: dict[str, bytes]) -> _Content | str:
    """Open the files as a starting server does and read all there is; or return the error."""
    with _in_folder(files) as folder:
        try:
            journal = SqliteJournal(
                open_database(Path(folder) / DATABASE), Accounts({}), new_incarnation=lambda: "made anew"
            )
            try:
                return _content(journal)
            finally:
                journal.close()
        except Exception as error:  # Whatever it is: it is not served.
            return f"{type(error).__name__}: {error}"


def _content(journal: SqliteJournal) -> _Content:
    records = journal.records(0, 1 << 62)
    sessions = sorted({record.session for record in records})
    return _Content(
        about=(journal.incarnation, journal.adopted, journal.position(0), journal.opened_with),
        records=tuple(records),
        balances=tuple(journal.export()),
        looked_up=tuple(
            (session, journal.newest(session), journal.recorded(session, journal.newest(session) or 0))
            for session in sessions
        ),
    )
