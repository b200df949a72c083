"""What another server says of its journal, held against our own.  Pure.  Rule A3."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from bankrmi.replication.journal import Journal
from bankrmi.replication.messages import Checkpoint
from bankrmi.replication.record import Position, Record

__all__ = ["above_anchor", "contradiction", "holds", "without_known"]


def holds(journal: Journal, position: Position) -> bool:
    """Whether this journal is the same as another one up to there."""
    return journal.position(position.action_id) == position


def without_known(journal: Journal, records: Sequence[Record]) -> list[Record]:
    """Return what is left of the records after those that the journal holds just so."""
    for index, record in enumerate(records):
        if not holds(journal, record.position):
            return list(records[index:])
    return []


def above_anchor(journal: Journal, message: Checkpoint) -> Checkpoint:
    """Return the same message, without what is folded here: it was acknowledged, so its sender has it, too.

    If it ends below our anchor, what is left says nothing but that; whoever gets our answer holds the digest
    against his own journal (A5). If it has another record where our anchor is, it is left as it is: then what
    precedes it is not in this journal.
    """
    anchor = journal.anchor
    if message.previous.action_id >= anchor.action_id:
        return message
    at = next((at for at, record in enumerate(message.records) if record.action_id >= anchor.action_id), None)
    if at is None:
        return replace(message, previous=anchor, records=())
    if message.records[at].position != anchor:
        return message
    return replace(message, previous=anchor, records=message.records[at + 1 :])


def contradiction(journal: Journal, message: Checkpoint) -> str | None:
    """Return why the records cannot be: two different ones of an epoch at one action id."""
    message = above_anchor(journal, message)
    if not message.records or message.previous.action_id >= journal.tip.action_id:
        return None
    news = without_known(journal, message.records) if holds(journal, message.previous) else []
    known = journal.holding(news[0].first_id) if news else None
    if known is None or known.epoch != news[0].epoch:
        return None
    return (
        f"two different requests of epoch {known.epoch} at action id {news[0].first_id}: "
        f"ours, and one from {message.primary}"
    )
