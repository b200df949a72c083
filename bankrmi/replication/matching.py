"""What another server says of its journal, held against our own.  Pure.  Rule A3."""

from __future__ import annotations

from collections.abc import Sequence

from bankrmi.replication.entry import Entry, Position
from bankrmi.replication.journal import Journal
from bankrmi.replication.messages import Checkpoint

__all__ = ["contradiction", "holds", "without_known"]


def holds(journal: Journal, position: Position) -> bool:
    """Whether this journal is the same as another one up to there."""
    return journal.position(position.action_id) == position


def without_known(journal: Journal, entries: Sequence[Entry]) -> list[Entry]:
    """Return what is left of the entries after those that the journal holds just so."""
    for index, entry in enumerate(entries):
        if entry.action_id > journal.tip.action_id:
            return list(entries[index:])
        known = journal.position(entry.action_id)
        if known is None or known.digest != entry.digest:
            return list(entries[index:])
    return []


def contradiction(journal: Journal, message: Checkpoint) -> str | None:
    """Return why the entries cannot be: two different ones of an epoch at one action id."""
    if not message.entries or message.previous.action_id >= journal.tip.action_id:
        return None
    news = without_known(journal, message.entries) if holds(journal, message.previous) else []
    known = journal.position(news[0].action_id) if news else None
    if known is None or known.epoch != news[0].epoch:
        return None
    return (
        f"two different entries of epoch {known.epoch} at action id {known.action_id}: "
        f"ours, and one from {message.primary}"
    )
