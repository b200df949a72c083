"""What operators want of a primary: to give the lead away, to pause or to resume, to change the servers, to
retire them.

Rule 1: of each kind at most one is under way; which one is refused while which other is, stands in
        `_why_not_now`.
Rule 2: who asked is told once what became of it: when this server leads on and it is decided (`look`), when
        there is nothing more to propose for it (`urgent`), or when this server leads no more (`left`).
Rule 3: which view is wanted for it is said; whether and when it is proposed is for the replica.
"""

from __future__ import annotations

from dataclasses import dataclass

from bankrmi.replication import pausing, retiring, server_changes, switchover
from bankrmi.replication.copies import CopySet
from bankrmi.replication.effects import Refusal, Reply
from bankrmi.replication.events import PauseAsked, RetireAsked, ServersAsked, SwitchoverAsked
from bankrmi.replication.pausing import Pausing
from bankrmi.replication.retiring import Retiring
from bankrmi.replication.server_changes import ServerChange
from bankrmi.replication.step import Step
from bankrmi.replication.switchover import Switchover
from bankrmi.replication.view import View

__all__ = ["Asked", "Wishes"]

Asked = SwitchoverAsked | PauseAsked | RetireAsked | ServersAsked
Wish = Switchover | Pausing | Retiring | ServerChange

_ANOTHER_CHANGE = "another server is being added, removed or moved: ask again when that is over"


@dataclass(slots=True)
class Wishes:
    """What is under way of that, at one primary."""

    switchover: Switchover | None = None
    pausing: Pausing | None = None
    retiring: Retiring | None = None
    change: ServerChange | None = None

    def begin(self, asked: Asked, view: View, copies: CopySet, step: Step) -> None:
        """Have it under way from now on; or say why not."""
        why = self._why_not_now(asked)
        begun = Refusal(why) if why else _begun(asked, view, copies, step)
        match begun:
            case Switchover():
                self.switchover = begun
            case Pausing():
                self.pausing = begun
            case Retiring():
                self.retiring = begun
            case ServerChange():
                self.change = begun
            case Refusal():
                _tell(asked, begun, step)

    def _why_not_now(self, asked: Asked) -> str:
        """Return which other wish it has to wait for; nothing if it need not."""
        if self.retiring is not None:
            return "the servers are being retired, or reinstated: ask again when that is over"
        match asked:
            case RetireAsked() if self._under_way:
                return "another change is under way: ask again when it is over"
            case SwitchoverAsked() if self.switchover is not None:
                return "a switchover is under way already"
            case SwitchoverAsked(stopping=False) if self.change is not None:
                return _ANOTHER_CHANGE
            case PauseAsked() if self.pausing is not None or self.switchover is not None:
                return "a pause or a switchover is under way already"
            case ServersAsked() if self.switchover is not None:
                return "a switchover is under way: ask again when it is over"
            case ServersAsked() if self.change is not None:
                return _ANOTHER_CHANGE
            case _:
                return ""

    @property
    def keep_all_waiting(self) -> bool:
        """Whether nothing is decided and nothing read until one is over (V5, V14)."""
        return self.switchover is not None or self.retiring is not None

    # -- what to propose -------------------------------------------------------------------------

    def urgent(self, view: View, copies: CopySet, acknowledged: int, step: Step) -> View | None:
        """Return the view to propose before all others (V5, V12, V14)."""
        wanted: View | None = None
        if (move := self.switchover) is not None:
            target = copies.peers[move.target]
            wanted = self._unless_refused(move, move.wanted(view, target, acknowledged, step), step)
        if wanted is None and (change := self.change) is not None:
            wanted = self._unless_refused(change, change.wanted(view, step), step)
        if wanted is None and self.retiring is not None:
            wanted = self.retiring.wanted(view)
        return wanted

    def patient(self, view: View) -> View | None:
        """Return the view to propose when no other is wanted, and the lead is not being given away (V11)."""
        if self.pausing is None or self.switchover is not None:
            return None
        return self.pausing.wanted(view)

    def _unless_refused(self, wish: Wish, wanted: View | Refusal | None, step: Step) -> View | None:
        if isinstance(wanted, Refusal):
            self._end(wish, wanted, step)
            return None
        return wanted

    # -- what became of it -----------------------------------------------------------------------

    def look(self, view: View, step: Step) -> None:
        """This server leads in `view`: end what is decided by that, or has waited for too long."""
        for wish in self._under_way:
            if (reply := wish.outcome(view, step)) is not None:
                self._end(wish, reply, step)

    def left(self, view: View | None, known: View | None, step: Step) -> None:
        """This server leads no more, for `view` if that is why; `known` is the newest view known."""
        for wish in self._under_way:
            self._end(wish, wish.left(view, known, step), step)

    @property
    def _under_way(self) -> list[Wish]:
        wishes: tuple[Wish | None, ...] = (self.switchover, self.pausing, self.retiring, self.change)
        return [wish for wish in wishes if wish is not None]

    def _end(self, wish: Wish, reply: Reply, step: Step) -> None:
        match wish:
            case Switchover():
                self.switchover = None
            case Pausing():
                self.pausing = None
            case Retiring():
                self.retiring = None
            case ServerChange():
                self.change = None
        _tell(wish, reply, step)


def _begun(asked: Asked, view: View, copies: CopySet, step: Step) -> Wish | Refusal:
    match asked:
        case SwitchoverAsked():
            return switchover.begun(asked, list(copies.peers.values()), view, step)
        case PauseAsked():
            return pausing.begun(asked, view, step)
        case RetireAsked():
            return retiring.begun(asked, view, step)
        case ServersAsked():
            return server_changes.begun(asked, view, step)


def _tell(whom: Asked | Wish, reply: Reply, step: Step) -> None:
    """Tell who asked; a server that stops of its own accord is told nothing (V10)."""
    if whom.token is not None:
        step.answer(whom.token, reply)
