"""Which action id `--to` and `--at` mean: where a restored journal ends.

Rule 1: a request is never split (A4): a journal ends after a whole record, or at the opening ledger.
Rule 2: a time means the state before the first record that is later. It is the wall clock of whoever led,
        which may have gone back: what comes after that record is left out, whatever its time.
Rule 3: what is folded in the whole backup cannot be taken apart: the oldest state is that at its anchor.
Rule 4: what a backup cannot know is refused: what was done after its newest record may have been earlier
        than the time that is asked for.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from bankrmi.errors import InvalidRequest
from bankrmi.moments import in_words

__all__ = ["Span", "at_action_id", "at_time"]


class Span(Protocol):
    """Records of one file of a chain; each goes on from the one before."""

    @property
    def ends_at(self) -> int:
        """The action id of its newest operation."""

    @property
    def begins_at(self) -> int:
        """The action id that its first record follows."""

    @property
    def begins_us(self) -> int:
        """The newest time of what is folded before that; 0 where nothing is."""

    @property
    def newest_us(self) -> int | None:
        """The time of its newest record, None if it has none."""

    def holding(self, action_id: int) -> tuple[int, int] | None:
        """Return the first and the last operation of the record that holds this one."""

    def first_later(self, time_us: int) -> int | None:
        """Return the first operation of the first record that is later."""


def at_action_id(spans: Sequence[Span], action_id: int) -> int:
    """Return `action_id` if a journal may end there; else raise InvalidRequest, which says where it may."""
    ends_at = spans[-1].ends_at
    if action_id > ends_at:
        raise InvalidRequest(f"action id {action_id} is not in these backups: they end at {ends_at}")
    begins_at = spans[0].begins_at
    if action_id < begins_at:
        raise InvalidRequest(
            f"action id {action_id} is older than these backups: their journal begins after action id "
            f"{begins_at}, which is the oldest state that can be restored"
        )
    if action_id == begins_at:
        return begins_at
    first, last = next(found for span in spans if (found := span.holding(action_id)) is not None)
    if action_id != last:
        raise InvalidRequest(
            f"action id {action_id} is within the request of action ids {first} to {last}, and a request is "
            f"never split: say {first - 1} or {last}"
        )
    return action_id


def _check_that_it_is_not_folded(first: Span, action_id: int, time_us: int) -> None:
    if action_id == first.begins_at and time_us < first.begins_us:
        raise InvalidRequest(
            f"{in_words(time_us)} is older than these backups: their journal begins after action id "
            f"{first.begins_at}, of {in_words(first.begins_us)}: the oldest state that can be restored"
        )


def at_time(spans: Sequence[Span], time_us: int) -> int:
    """Return where the journal stood at this time.

    Raises InvalidRequest if it is later than the newest record.
    """
    for span in spans:
        first = span.first_later(time_us)
        if first is not None:
            _check_that_it_is_not_folded(spans[0], first - 1, time_us)
            return first - 1
    newest_us = max((span.newest_us for span in spans if span.newest_us is not None), default=None)
    if newest_us is not None and newest_us == time_us:
        return spans[-1].ends_at
    newest = "they hold no operation" if newest_us is None else f"their newest is of {in_words(newest_us)}"
    raise InvalidRequest(
        f"what was done up to {in_words(time_us)} may not all be in these backups ({newest}): "
        "leave --at out to have all that is"
    )
