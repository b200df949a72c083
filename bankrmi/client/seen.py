"""How new is the newest state that this client has seen?  Sent along, so no older copy answers (rule R5).

Rule 1: within one history it only grows; action ids of different histories are never compared.
Rule 2: another history means that an operator forced a takeover or restored the view: the client follows it,
        and what a late answer says about a history already left is not gone back to. Late is the answer to a
        call that began before the history was left.
Rule 3: safe to use from several threads; the value is replaced as a whole.
Rule 4: what was learned can be false (a server that lies, or lost its mind). Once a caller has been told that
        all servers are behind it, it is forgotten: nobody is locked out for ever.
Rule 5: a history that was left is gone back to if a call that began after that is answered in it. Who answers
        in a new history leads in it, so every lease in the old one is over, and nothing is acknowledged in it
        (R3; a restored history is a fresh one): no honest server answers so any more. So the history that was
        followed was an invention, and what was seen before counts again; else one lie would switch R5 off for
        the rest of its life. (Or this answer is the lie; then the next one leads back in the same way.)
"""

from __future__ import annotations

from collections import OrderedDict
from threading import Lock

__all__ = ["Seen"]

_LEFT_AT_MOST = 8
"""Histories are left by an operator's hand; more than a few in a client's life are somebody's invention."""


class Seen:
    """The highest acknowledged action id that the servers told us of, and its history."""

    __slots__ = ("_left", "_lock", "_newest", "turns")

    def __init__(self) -> None:
        self._newest: tuple[str, int] | None = None
        self._left: OrderedDict[str, int] = OrderedDict()  # With the highest action id that was seen in each.
        self.turns = 0
        """How often another history was followed; whoever begins a call notes it."""
        self._lock = Lock()

    def on_wire(self) -> tuple[str, int] | None:
        """Return what is sent with a request: (history, action id), or None before the first answer."""
        return self._newest

    def learn(self, history: str, action_id: int, *, began: int | None = None) -> None:
        """Take in what an answer says; `began` is what `turns` was when the call began, if that is known."""
        newest = self._newest
        if newest is not None and newest[0] == history and newest[1] >= action_id:
            return  # Without the lock: the usual case for reads, and being late here changes nothing.
        with self._lock:
            newest = self._newest
            if newest is None:
                self._newest = (history, action_id)
            elif newest[0] == history:
                self._newest = (history, max(newest[1], action_id))
            elif history not in self._left or began == self.turns:
                self._newest = (history, max(action_id, self._left.pop(history, 0)))
                self._left[newest[0]] = newest[1]
                if len(self._left) > _LEFT_AT_MOST:
                    self._left.popitem(last=False)
                self.turns += 1

    def forget(self) -> None:
        """Begin again with what the next answer says."""
        with self._lock:
            self._newest = None
            self._left.clear()
            self.turns += 1

    def after_fork(self) -> None:
        """In the child: whoever held the lock in the parent is not here to give it back."""
        self._lock = Lock()
