"""A whole backup and the increments that continue it, read as one journal.

Rule 1: they may be named in any order; each has to begin where those before it end, or earlier.
Rule 2: the digests tie them together: an increment that was taken of another history is refused, wherever it
        begins.
Rule 3: each file is checked in full before anything is made of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from functools import partial
from itertools import pairwise
from pathlib import Path

import apsw

from bankrmi.errors import InvalidRequest, OperationFailed
from bankrmi.replication.record import Position, Record
from bankrmi.service.versions import classes_beside
from bankrmi.storage.about import served_class
from bankrmi.storage.backup_label import Label
from bankrmi.storage.folding import anchor_in
from bankrmi.verifying.backup_file import read_label, verify_backup
from bankrmi.verifying.stopped_directory import opened_unchanged

__all__ = ["Chain", "ChainedBackup", "ordered"]

Progress = Callable[[str], None]


class ChainedBackup:
    """One file of a chain, open to be read (see `point.Span`)."""

    def __init__(self, path: Path, label: Label, database: apsw.Connection) -> None:
        self.path = path
        self.label = label
        self._execute = database.execute
        self.classes_beside = classes_beside(database)
        self.served_class = served_class(database)
        """The class whose state this is; None if it is the accounts of a bank."""

    @property
    def ends_at(self) -> int:
        """The action id of its newest operation."""
        return self.label.tip.action_id

    @property
    def begins_at(self) -> int:
        """The action id that its first record follows."""
        return self.label.since.action_id

    @property
    def begins_us(self) -> int:
        """The newest time of what is folded before that; 0 where nothing is, or it is not known."""
        text = self._execute("SELECT value FROM about WHERE name = 'anchor'").get
        return 0 if text is None else anchor_in(text).time_us

    @property
    def newest_us(self) -> int | None:
        """The time of its newest record, None if it has none."""
        found: int | None = self._execute("SELECT time_us FROM journal ORDER BY action_id DESC LIMIT 1").get
        return found

    def holding(self, action_id: int) -> tuple[int, int] | None:
        """Return the first and the last operation of the record that holds this one."""
        found: tuple[int, int] | None = self._execute(
            "SELECT action_id - operation_count + 1, action_id FROM journal WHERE action_id >= ?"
            " ORDER BY action_id LIMIT 1",
            (action_id,),
        ).get
        return found

    def first_later(self, time_us: int) -> int | None:
        """Return the first operation of the first record that is later."""
        first: int | None = self._execute(
            "SELECT action_id - operation_count + 1 FROM journal WHERE time_us > ?"
            " ORDER BY action_id LIMIT 1",
            (time_us,),
        ).get
        return first

    def position(self, action_id: int) -> Position | None:
        """Return where the journal stands after the record that ends there; None if none of these does."""
        if action_id == self.label.since.action_id:
            return self.label.since
        row = self._execute(
            "SELECT action_id, epoch, digest FROM journal WHERE action_id = ?", (action_id,)
        ).get
        return None if row is None else Position._make(row)

    def records(self, above: int, up_to: int) -> Iterator[Record]:
        """Give the records that end above the one action id, and not above the other."""
        rows = self._execute(
            "SELECT * FROM journal WHERE action_id > ? AND action_id <= ? ORDER BY action_id", (above, up_to)
        )
        return map(Record._make, rows)


class Chain:
    """The files in their order, the whole one first; a context, in which they are open."""

    def __init__(self, files: Sequence[Path]) -> None:
        """Raises InvalidRequest if one is no backup, or they are no chain by what their labels say."""
        self._files = ordered([(file, read_label(file)) for file in files])
        self._open = ExitStack()
        self.links: list[ChainedBackup] = []

    def __enter__(self) -> Chain:
        for file, label in self._files:
            self.links.append(ChainedBackup(file, label, self._open.enter_context(opened_unchanged(file))))
        return self

    def __exit__(self, *_: object) -> None:
        self._open.close()

    @property
    def whole(self) -> ChainedBackup:
        """What it begins with."""
        return self.links[0]

    @property
    def served_class(self) -> str | None:
        """The class whose state this is; None if it is the accounts of a bank."""
        return self.whole.served_class

    @property
    def classes_beside(self) -> dict[str, str]:
        """The services that stand beside the first one, and the class of each."""
        return self.whole.classes_beside

    @property
    def highest_epoch(self) -> int:
        """The newest epoch that any of the sources had adopted."""
        return max(label.epoch for _, label in self._files)

    @property
    def services(self) -> set[str]:
        """Of which bank these are; one, if all is well."""
        return {label.service for _, label in self._files}

    def check(self, progress: Progress) -> None:
        """Check each file in full, and that each continues those before; raise OperationFailed."""
        for file, _ in self._files:
            verdict = verify_backup(file, partial(_show, progress, file))
            if not verdict.sound:
                raise OperationFailed(f"{file} is damaged, and nothing was restored: {verdict.faults[0]}")
        for before, link in pairwise(self.links):
            _check_that_it_continues(link, before)


def _show(progress: Progress, file: Path, what: str) -> None:
    progress(f"{file}: {what}")


def _check_that_it_continues(link: ChainedBackup, before: ChainedBackup) -> None:
    """Equal digests where the one before ends mean equal histories up to there."""
    tip = before.label.tip
    if link.position(tip.action_id) != tip:
        raise OperationFailed(
            f"{link.path} does not continue {before.path}: they hold different histories at action id "
            f"{tip.action_id}, and nothing was restored"
        )


def ordered(files: Sequence[tuple[Path, Label]]) -> list[tuple[Path, Label]]:
    """Return the whole backup, and the increments in the order in which they continue it.

    Raises InvalidRequest if there is not one whole backup, a piece is missing, or one adds nothing.
    """
    whole = [one for one in files if one[1].is_whole]
    if len(whole) != 1:
        which = "none is" if not whole else f"{len(whole)} are ({', '.join(str(file) for file, _ in whole)})"
        raise InvalidRequest(
            f"one whole backup is needed, and increments that continue it; here {which} whole"
        )
    chain = whole
    increments = [one for one in files if not one[1].is_whole]
    for file, label in sorted(increments, key=lambda one: (one[1].tip.action_id, one[1].since.action_id)):
        ends_at = chain[-1][1].tip.action_id
        if label.since.action_id > ends_at:
            raise InvalidRequest(
                f"{file} continues action id {label.since.action_id}, and what comes before it ends at "
                f"{ends_at}: an increment is missing"
            )
        chain.append((file, label))
    return chain
