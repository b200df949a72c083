"""How the view came to be what it is: every change of it, from its keeper.  For operators.

Rule 1: the newest ones are asked for first, page by page, and no more than are wanted: what it costs does not
        depend on how often the view changed.
Rule 2: a witness of the version before cannot be read backward; then it is read from the beginning, and only
        as many are kept as are wanted.
Rule 3: what was before a move to this keeper is with the one that was left. A witness is asked where it was
        then; of etcd the view does not say how to ask it. What cannot be had is said, with where it is.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

from bankrmi.client.asking import Ask, asking
from bankrmi.config import Configuration
from bankrmi.coordination.coordinator import Expected
from bankrmi.coordination.keepers import AskedKeeper, KeeperSilent, asked_keeper, keeper_in_words
from bankrmi.coordination.witness import WITNESS_ID
from bankrmi.errors import BankError, OperationFailed, Unreached
from bankrmi.foreign_text import foreign
from bankrmi.own_credentials import own_credentials
from bankrmi.replication.keeper_move import KeeperMove
from bankrmi.replication.view import View
from bankrmi.rmi import RemoteError

__all__ = ["ViewHistory", "history", "whole_history"]

_SECONDS = 5.0
"""For one answer; of the usual size it takes a few milliseconds."""
_SECONDS_IN_ALL, _LEAST_S = 60.0, 0.05
_KEEPERS_AT_MOST = 10
"""That are asked for what was before: whoever can write a view can write where it came from."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ViewHistory:
    """The changes that could be had, oldest first, and in sentences where others are."""

    views: Sequence[View]
    elsewhere: Sequence[str]


def whole_history(configuration: Configuration, *, limit: int) -> ViewHistory:
    """Return the newest `limit` changes of the view, where they can be had those before a move as well.

    Raises as `history` does.
    """
    views = history(configuration, limit=limit)
    missing: list[tuple[View, str]] = []
    asked: set[tuple[str, int]] = set()
    while left := next(_left_behind(views, asked, limit), None):
        view, move = left
        asked.add((move.keeper, view.epoch))
        try:
            if len(asked) > _KEEPERS_AT_MOST:
                raise OperationFailed(f"the view was moved over {_KEEPERS_AT_MOST} times since")
            views = _merged(views, _before(configuration, view, move, limit))[-limit:]
        except BankError as error:
            missing.append((view, f"{move.left}{_how_to_ask(error)}"))
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


def _before(configuration: Configuration, view: View, move: KeeperMove, limit: int) -> list[View]:
    """Return what the keeper that was left has of before this view."""
    if move.was_etcd:
        raise OperationFailed("how it is asked is not in the view")
    deadline = time.monotonic() + _SECONDS
    credentials = own_credentials(configuration, "operator")
    service, known = configuration.service, (view.history, view.epoch)
    with asking(move.place, WITNESS_ID, seconds=_SECONDS, credentials=credentials) as ask:

        def older(end: Expected) -> list[View]:
            return _page(ask, "history_before", (service, end or known), deadline)

        return list(islice(_pages(older), limit))[::-1]


def _merged(views: Sequence[View], earlier: Sequence[View]) -> list[View]:
    """Return both in their order: whoever keeps the view, epochs go up. The newer keeper's notes count."""
    by_epoch = {(one.epoch, one.history): one for one in (*earlier, *views)}
    return [by_epoch[key] for key in sorted(by_epoch)]


def _how_to_ask(error: BankError) -> str:
    return f" ({error.message}): ask with the configuration that names it (`bankrmi --config FILE history`)"


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


def history(configuration: Configuration, *, limit: int) -> list[View]:
    """Return the newest `limit` views there were, oldest first; the last one is the view.

    Those that the keeper in use has; see `whole_history`.  Raises OperationFailed (Unreached, if nobody is
    there) if the witness does not answer.
    """
    deadline = time.monotonic() + _SECONDS_IN_ALL
    keeper, address = keeper_in_words(configuration), configuration.witness_address
    try:
        if address is None:
            etcd = asked_keeper(configuration)
            return list(deque(_pages(lambda begin: _in_time(deadline, etcd, begin)), maxlen=limit))
        credentials = own_credentials(configuration, "operator")
        with asking(address, WITNESS_ID, seconds=_SECONDS, credentials=credentials) as ask:
            return _newest(lambda method, *args: _page(ask, method, args, deadline), configuration, limit)
    except (Unreached, KeeperSilent) as error:
        silent = f"{keeper} does not answer"
        raise Unreached(f"{silent}, and it alone keeps the history of the view: {error.message}") from error
    except BankError as error:
        raise OperationFailed(f"{keeper} did not tell the history of the view: {error.message}") from error


def _newest(page: Callable[..., list[View]], configuration: Configuration, limit: int) -> list[View]:
    service = configuration.service
    try:
        backward = list(islice(_pages(lambda end: page("history_before", service, end)), limit))
    except OperationFailed as error:
        if not _knows_no_such_method(error):
            raise
        return list(deque(_pages(lambda begin: page("history", service, begin)), maxlen=limit))
    return backward[::-1]


def _pages(page_from: Callable[[Expected], list[View]]) -> Iterator[View]:
    """Yield the views of one page after the other; each one begins where the last one ended."""
    reached: Expected = None
    while views := page_from(reached):
        yield from views
        reached = views[-1].history, views[-1].epoch


def _in_time(deadline: float, keeper: AskedKeeper, begin: Expected) -> list[View]:
    _left_s(deadline)
    return keeper.history(begin)


def _left_s(deadline: float) -> float:
    left_s = deadline - time.monotonic()
    if left_s < _LEAST_S:
        raise OperationFailed(f"it takes more than {_SECONDS_IN_ALL:g} s; ask for fewer")
    return left_s


def _page(ask: Ask, method: str, args: tuple[object, ...], deadline: float) -> list[View]:
    answer = ask(method, args, seconds=min(_SECONDS, _left_s(deadline)))
    try:
        return [View.from_wire(form) for form in answer]
    except TypeError:
        raise OperationFailed("what it answers cannot be read") from None
    except ValueError as error:
        raise OperationFailed(f"what it answers cannot be read: it {error}") from None


def _knows_no_such_method(error: OperationFailed) -> bool:
    cause = error.__cause__
    return isinstance(cause, RemoteError) and cause.class_name.rpartition(".")[2] == "AttributeError"
