"""How new is the newest state that this client has seen?  Sent along, so no older copy answers (rule R5).

Rule 1: within one history it only grows; action ids of different histories are never compared.
Rule 2: another history means that an operator forced a takeover or restored the view: the client follows it,
        and what a late answer says about a history already left is not gone back to.
Rule 3: safe to use from several threads; the value is replaced as a whole.
Rule 4: what was learned can be false (a server that lies, or lost its mind). Once a caller has been told that
        all servers are behind it, it is forgotten: nobody is locked out for ever.
"""

from __future__ import annotations

from collections import deque
from threading import Lock

__all__ = ["Seen"]

_LEFT_AT_MOST = 8
"""Histories are left by an operator's hand; more than a few in a client's life are somebody's invention."""


class Seen:
    """The highest acknowledged action id that the servers told us of, and its history."""

    __slots__ = ("_left", "_lock", "_newest")

    def __init__(self) -> None:
        self._newest: tuple[str, int] | None = None
        self._left: deque[str] = deque(maxlen=_LEFT_AT_MOST)
        self._lock = Lock()

    def on_wire(self) -> tuple[str, int] | None:
        """Return what is sent with a request: (history, action id), or None before the first answer."""
        return self._newest

    def learn(self, history: str, action_id: int) -> None:
        """Take in what an answer says."""
        newest = self._newest
        if newest is not None and newest[0] == history and newest[1] >= action_id:
            return  # Without the lock: the usual case for reads, and being late here changes nothing.
        with self._lock:
            newest = self._newest
            if newest is None:
                self._newest = (history, action_id)
            elif newest[0] == history:
                self._newest = (history, max(newest[1], action_id))
            elif history not in self._left:
                self._left.append(newest[0])
                self._newest = (history, action_id)

    def forget(self) -> None:
        """Begin again with what the next answer says."""
        with self._lock:
            self._newest = None
            self._left.clear()

    def after_fork(self) -> None:
        """In the child: whoever held the lock in the parent is not here to give it back."""
        self._lock = Lock()
