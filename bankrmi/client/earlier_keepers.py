"""The changes of the view from before it was moved to the keeper in use: asked of those that were left.

Rule 1: a witness is asked where it was then, as the view says; etcd likewise where it takes everybody
        (http, no password). No certificate, password or path of a file comes from a view: whoever can write
        one could have any file of ours sent to himself. What else it takes is in a file that is named.
Rule 2: what answers there has to be the keeper that was left, by its id.
Rule 3: nobody is waited for longer than `_SECONDS`, and not for more keepers than `_KEEPERS_AT_MOST`. What
        cannot be had is said, with where it is, and why.
"""

from __future__ import annotations

import time
from collections.abc import Collection, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice

from bankrmi.client.view_history import history, in_pages
from bankrmi.config import Configuration, EtcdSettings
from bankrmi.config_settings import checked_address, is_loopback
from bankrmi.coordination.coordinator import Expected
from bankrmi.coordination.keepers import AskedKeeper, KeeperSilent, asked_keeper, place_of_keeper
from bankrmi.errors import BankError, OperationFailed
from bankrmi.foreign_text import foreign
from bankrmi.replication.keeper_move import PLACE_AT_MOST, KeeperMove
from bankrmi.replication.view import View

__all__ = ["ViewHistory", "whole_history"]

_SECONDS = 10.0
"""For one keeper that was left, and the views of the usual number that it has."""
_KEEPERS_AT_MOST = 10
"""That are asked for what was before: whoever can write a view can write where it came from."""
_HOW_TO_ASK = "`bankrmi history --left FILE` asks it, with the configuration from then"


@dataclass(frozen=True, slots=True, kw_only=True)
class ViewHistory:
    """The changes that could be had, oldest first, and in sentences where others are."""

    views: Sequence[View]
    elsewhere: Sequence[str]


def whole_history(
    configuration: Configuration, *, limit: int, left: Sequence[Configuration] = ()
) -> ViewHistory:
    """Return the newest `limit` changes of the view, where they can be had those before a move as well.

    `left` are configurations that name keepers that were left.  Raises as `history` does.
    """
    views = history(configuration, limit=limit)
    missing: list[tuple[View, str]] = []
    asked: set[tuple[str, int]] = set()
    while found := next(_left_behind(views, asked, limit), None):
        view, move = found
        asked.add((move.keeper, view.epoch))
        try:
            if len(asked) > _KEEPERS_AT_MOST:
                raise OperationFailed(f"the view was moved over {_KEEPERS_AT_MOST} times since")
            views = _merged(views, _before(configuration, left, view, move, limit))[-limit:]
        except BankError as error:
            missing.append((view, f"{foreign(move.left)} ({_why(error)})"))
    gaps = [
        f"the changes before epoch {view.epoch} are with {who}"
        for view, who in missing
        if _lacks(views, view, limit)
    ]
    return ViewHistory(views=views, elsewhere=(*gaps, *_moved_on(configuration)))


def _left_behind(
    views: Sequence[View], asked: Collection[tuple[str, int]], limit: int
) -> Iterator[tuple[View, KeeperMove]]:
    """Yield the keepers that were left and not asked yet, the last one first, each with the view then."""
    for view in reversed(views):
        for move in reversed(view.moves):
            if (move.keeper, view.epoch) not in asked and _lacks(views, view, limit):
                yield view, move


def _lacks(views: Sequence[View], view: View, limit: int) -> bool:
    """Return whether the change before this one is wanted, and not among them."""
    if view.epoch == 1 or view.epoch not in {one.epoch for one in views}:
        return False
    before = [one for one in views if one.epoch < view.epoch]
    if not before:
        return len(views) < limit
    return before[-1].epoch < view.epoch - 1 and not view.forced


def _merged(views: Sequence[View], earlier: Sequence[View]) -> list[View]:
    """Return both in their order: whoever keeps the view, epochs go up. The newer keeper's notes count."""
    by_epoch = {(one.epoch, one.history): one for one in (*earlier, *views)}
    return [by_epoch[key] for key in sorted(by_epoch)]


def _moved_on(configuration: Configuration) -> Iterator[str]:
    """Yield where later changes are, if this keeper was left."""
    try:
        asked_keeper(configuration).read()
    except OperationFailed as failure:
        moved_to = getattr(failure.__cause__, "moved_to", None)
        if moved_to is not None:
            yield (
                f"the view was moved from here to {foreign(moved_to)}: later changes are there; ask with the "
                "configuration that the servers run with"
            )


# -- one keeper that was left --------------------------------------------------------------------------


def _before(
    configuration: Configuration, left: Sequence[Configuration], view: View, move: KeeperMove, limit: int
) -> list[View]:
    """Return what the keeper that was left has of before this view, oldest first; no more than `limit`."""
    deadline, known = time.monotonic() + _SECONDS, (view.history, view.epoch)
    keeper = _named(left, move) or asked_keeper(
        configuration.model_copy(update={"witness": _as_the_view_says(move, insecure=configuration.insecure)})
    )
    if (found := keeper.kept().keeper) != move.keeper:
        raise OperationFailed(f"another one is there by now, {foreign(found)}")

    def older(end: Expected) -> list[View]:
        if time.monotonic() > deadline:
            raise OperationFailed(f"it takes more than {_SECONDS:g} s; ask for fewer")
        return keeper.history_before(end or known)

    return list(islice(in_pages(older), limit))[::-1]


def _named(left: Sequence[Configuration], move: KeeperMove) -> AskedKeeper | None:
    """Return the keeper that was left, if one of these files names it: by its place, or by its id."""
    for one in left:
        if place_of_keeper(one)[:PLACE_AT_MOST] == move.place:
            return asked_keeper(one)
    for one in left:
        with suppress(BankError):
            keeper = asked_keeper(one)
            if keeper.kept().keeper == move.keeper:
                return keeper
    return None


def _as_the_view_says(move: KeeperMove, *, insecure: bool) -> str | EtcdSettings:
    """Return where it is asked; raise OperationFailed if that takes more than a view says."""
    try:
        if not move.was_etcd:
            return checked_address(move.place)
        urls, prefix = move.place.split(","), move.keeper.split(":", 2)[-1]
        if len(move.place) >= PLACE_AT_MOST:
            urls.pop()  # Half of it may be missing.
        settings = EtcdSettings.model_validate({"etcd": urls, "prefix": prefix})
    except ValueError:
        raise OperationFailed("what the view says of it cannot be read") from None
    if settings.is_encrypted:
        raise OperationFailed(f"it takes certificates to ask it, and the view names none: {_HOW_TO_ASK}")
    if not insecure and not all(map(is_loopback, settings.addresses())):
        raise OperationFailed("it is asked over http, on another machine: that needs --insecure")
    return settings


def _why(error: BankError) -> str:
    """Return why it cannot be asked; of one that does not answer, what else could be tried."""
    if isinstance(error, KeeperSilent):
        return f"{error.__cause__}; if it is elsewhere by now, {_HOW_TO_ASK}"
    return error.message
