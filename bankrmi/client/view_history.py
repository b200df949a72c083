"""How the view came to be what it is: every change of it, from its keeper.  For operators.

Rule 1: the newest ones are asked for first, page by page, and no more than are wanted: what it costs does not
        depend on how often the view changed.
Rule 2: a witness of the version before cannot be read backward; then it is read from the beginning, and only
        as many are kept as are wanted.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator
from itertools import islice

from bankrmi.client.asking import Ask, asking
from bankrmi.config import Configuration
from bankrmi.coordination.coordinator import Expected
from bankrmi.coordination.witness import WITNESS_ID
from bankrmi.errors import BankError, OperationFailed, Unreached
from bankrmi.replication.view import View
from bankrmi.rmi import RemoteError

__all__ = ["history"]

_SECONDS = 5.0
"""For one answer; of the usual size it takes a few milliseconds."""
_SECONDS_IN_ALL = 60.0


def history(configuration: Configuration, *, limit: int) -> list[View]:
    """Return the newest `limit` views there were, oldest first; the last one is the view.

    Raises OperationFailed (Unreached, if nobody is there) if the witness does not answer.
    """
    deadline = time.monotonic() + _SECONDS_IN_ALL
    try:
        with asking(configuration.witness, WITNESS_ID, seconds=_SECONDS) as ask:
            return _newest(lambda method, *args: _page(ask, method, args, deadline), configuration, limit)
    except Unreached as error:
        silent = f"the witness at {configuration.witness} does not answer"
        raise Unreached(f"{silent}, and it alone keeps the history of the view: {error.message}") from error
    except BankError as error:
        told = f"the witness at {configuration.witness} did not tell the history of the view"
        raise OperationFailed(f"{told}: {error.message}") from error


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


def _page(ask: Ask, method: str, args: tuple[object, ...], deadline: float) -> list[View]:
    left_s = deadline - time.monotonic()
    if left_s <= 0:
        raise OperationFailed(f"it takes more than {_SECONDS_IN_ALL:g} s; ask for fewer")
    answer = ask(method, args, seconds=min(_SECONDS, left_s))
    try:
        return [View.from_wire(form) for form in answer]
    except (TypeError, ValueError):
        raise OperationFailed("what it answers cannot be read") from None


def _knows_no_such_method(error: OperationFailed) -> bool:
    cause = error.__cause__
    return isinstance(cause, RemoteError) and cause.class_name.rpartition(".")[2] == "AttributeError"
