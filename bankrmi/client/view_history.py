"""How the view came to be what it is: every change of it, from its keeper.  For operators.

Rule 1: the newest ones are asked for first, page by page, and no more than are wanted: what it costs does not
        depend on how often the view changed.
Rule 2: a witness of the version before cannot be read backward; then it is read from the beginning, and only
        as many are kept as are wanted.
What was before a move to this keeper is with the one that was left: see `earlier_keepers`.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from itertools import islice

from bankrmi.client.asking import Ask, asking
from bankrmi.config import Configuration
from bankrmi.coordination.coordinator import Expected
from bankrmi.coordination.keepers import AskedKeeper, KeeperSilent, asked_keeper, keeper_in_words
from bankrmi.coordination.witness import WITNESS_ID
from bankrmi.errors import BankError, ConfigurationError, OperationFailed, Unreached
from bankrmi.own_credentials import own_credentials
from bankrmi.replication.view import View
from bankrmi.rmi import ConnectDenied, RemoteError

__all__ = ["history", "in_pages"]

_SECONDS = 5.0
"""For one answer; of the usual size it takes a few milliseconds."""
_SECONDS_IN_ALL, _LEAST_S = 60.0, 0.05


def history(configuration: Configuration, *, limit: int) -> list[View]:
    """Return the newest `limit` views there were, oldest first; the last one is the view.

    Those that the keeper in use has.  Raises OperationFailed (Unreached, if nobody is there) if it does not
    answer, ConfigurationError if what it takes to ask it is missing.
    """
    deadline = time.monotonic() + _SECONDS_IN_ALL
    keeper, address = keeper_in_words(configuration), configuration.witness_address
    try:
        if address is None:
            etcd = asked_keeper(configuration)
            return list(islice(in_pages(lambda end: _in_time(deadline, etcd, end)), limit))[::-1]
        credentials = own_credentials(configuration, "operator")
        with asking(address, WITNESS_ID, seconds=_SECONDS, credentials=credentials) as ask:
            return _newest(lambda method, *args: _page(ask, method, args, deadline), configuration, limit)
    except ConfigurationError:  # Not the keeper's fault: it was not asked.
        raise
    except (Unreached, KeeperSilent) as error:
        is_there = isinstance(error.__cause__, ConnectDenied)
        silent = f"{keeper} tells us nothing" if is_there else f"{keeper} does not answer"
        raise Unreached(f"{silent}, and it alone keeps the history of the view: {error.message}") from error
    except BankError as error:
        raise OperationFailed(f"{keeper} did not tell the history of the view: {error.message}") from error


def _newest(page: Callable[..., list[View]], configuration: Configuration, limit: int) -> list[View]:
    service = configuration.service
    try:
        backward = list(islice(in_pages(lambda end: page("history_before", service, end)), limit))
    except OperationFailed as error:
        if not _knows_no_such_method(error):
            raise
        return list(deque(in_pages(lambda begin: page("history", service, begin)), maxlen=limit))
    return backward[::-1]


def in_pages(page_from: Callable[[Expected], list[View]]) -> Iterator[View]:
    """Yield the views of one page after the other; each one begins where the last one ended."""
    reached: Expected = None
    while views := page_from(reached):
        yield from views
        reached = views[-1].history, views[-1].epoch


def _in_time(deadline: float, keeper: AskedKeeper, end: Expected) -> list[View]:
    _left_s(deadline)
    return keeper.history_before(end)


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
