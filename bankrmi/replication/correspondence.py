"""What other servers say, and what they answer: who may say it, and to whom it goes.  Rule A2.

Rule 1: a checkpoint of an epoch below the adopted one, or below one that this server has won, is answered
        with the newer epoch; its sender stops answering.
Rule 2: a newer epoch is adopted in the same transaction as what it brings, and durable before the answer.
Rule 3: epochs are compared within one history; on another one, the view tells which counts.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from bankrmi.replication.effects import Answer, Refusal, Stop
from bankrmi.replication.events import AnswerArrived, MessageArrived
from bankrmi.replication.journal import Adopted
from bankrmi.replication.lease import binding_ms
from bankrmi.replication.messages import (
    Acknowledged,
    Census,
    Checkpoint,
    Holdings,
    HoldStill,
    JoinAnswer,
    JoinRequest,
    LeaveRequest,
    Mismatch,
    Superseded,
    ViewNews,
)

if TYPE_CHECKING:
    from bankrmi.replication.replica import Replica

__all__ = ["Correspondence"]


class Correspondence:
    """The messages of one server."""

    def __init__(self, replica: Replica) -> None:
        self._replica = replica

    # -- messages --------------------------------------------------------------------------------

    def take_message(self, event: MessageArrived) -> None:
        """Another server says something and waits for the answer."""
        replica, token = self._replica, event.token
        match event.message:
            case Checkpoint():
                self._take_checkpoint(token, event.message)
            case JoinRequest():
                self._take_join(token, event.message)
            case LeaveRequest():
                self._take_leave(token, event.message)
            case ViewNews(view=view):
                replica.viewing.take_news(view)
                replica.effects.append(Answer(token, None))
            case Census():
                replica.effects.append(Answer(token, replica.viewing.holdings()))
            case HoldStill():
                replica.viewing.hold_still_asked(token)

    def _take_checkpoint(self, token: Any, message: Checkpoint) -> None:
        replica = self._replica
        adopted = replica.journal.adopted
        if adopted is None:
            replica.effects.append(Answer(token, None))  # Empty: a copy has to come first.
            return
        view = replica.viewing.view
        if message.history != adopted.history and (view is None or view.history != message.history):
            replica.viewing.read()
            self._supersede(token, message, adopted.history, adopted.epoch)
            return
        floor = max(adopted.epoch, replica.won.epoch if replica.won is not None else 0)
        if message.epoch < floor:
            self._supersede(token, message, adopted.history, floor)
            return
        if message.epoch > floor and not replica.believing.may_be(message.epoch):
            replica.viewing.read()
            replica.effects.append(Answer(token, None))  # Nothing changes before the witness has answered.
            return
        why = self._contradiction(message, adopted, floor)
        if why is not None:
            replica.viewing.read()
            replica.effects.append(Answer(token, Refusal(why)))
            return
        if message.epoch == floor:
            self._note_grant(message, adopted)
        else:
            self._adopt(message)
        replica.viewing.heard_leader()
        replica.standby.take(token, message)
        if replica.is_starting or view is None or view.epoch < message.epoch:
            replica.viewing.read()

    def _contradiction(self, message: Checkpoint, adopted: Adopted, floor: int) -> str | None:
        """Return why this cannot be, if both servers keep the rules; nothing is changed by such a message.

        It does not stop this process: anybody may have sent it, and it spreads no further.
        """
        ours = self._replica.won is not None or self._replica.primary is not None
        led_by = (adopted.primary, adopted.start_id)
        if message.epoch == floor and (ours or (message.primary, message.start_id) != led_by):
            return f"two processes lead epoch {message.epoch}: one is {message.primary}"
        return self._replica.standby.contradiction(message)

    def _adopt(self, message: Checkpoint) -> None:
        """A2: act in a newer epoch only after it is adopted; the commit comes with what it brings."""
        replica = self._replica
        replica.give_way(f"{message.primary} leads epoch {message.epoch}")
        replica.journal.adopt(
            Adopted(
                history=message.history,
                epoch=message.epoch,
                primary=message.primary,
                start_id=message.start_id,
                granted_ms=max(replica.grants.longest_ms(replica.now_ms), self.granted_by(message)),
            )
        )
        replica.changed = True

    def granted_by(self, message: Checkpoint) -> int:
        """R3: for how long acknowledging this binds: by what the primary counts, not by what we would."""
        return binding_ms(message.lease_ms, message.drift_ms)

    def _note_grant(self, message: Checkpoint, adopted: Adopted) -> None:
        """R3: before a longer lease is granted than is noted, it is; for the process after this one.

        The epoch may have been adopted without having heard its primary: with a copy, or before an upgrade.
        """
        granted_ms = self.granted_by(message)
        if adopted.granted_ms is None or adopted.granted_ms < granted_ms:
            longest_ms = max(self._replica.grants.longest_ms(self._replica.now_ms), granted_ms)
            self._replica.journal.adopt(replace(adopted, granted_ms=longest_ms))
            self._replica.changed = True

    def _supersede(self, token: Any, message: Checkpoint, history: str, epoch: int) -> None:
        server = self._replica.settings.server
        reply = Superseded(server=server, history=history, epoch=epoch, number=message.number)
        self._replica.effects.append(Answer(token, reply))

    def _take_join(self, token: Any, request: JoinRequest) -> None:
        replica = self._replica
        if replica.primary is not None:
            replica.primary.admit(token, request, replica.now)
            return
        server, number = replica.settings.server, request.number
        reply = JoinAnswer(server=server, number=number, outcome="not_primary", epoch=0)
        replica.effects.append(Answer(token, reply))

    def _take_leave(self, token: Any, request: LeaveRequest) -> None:
        """V10: take a member out that is about to stop, if the view can do without it.

        Not for the word of a process that is gone already: whoever is there now wants to stay.
        """
        if self._replica.primary is not None:
            self._replica.primary.take_leave(token, request, self._replica.now)
        else:
            self._replica.effects.append(Answer(token, None))

    # -- answers ---------------------------------------------------------------------------------

    def take_answer(self, event: AnswerArrived) -> None:
        """The answer to something that this server said."""
        replica = self._replica
        match event.answer:
            case Acknowledged() if replica.primary is not None:
                replica.primary.take_acknowledgement(event.answer, replica.now)
            case Mismatch() if replica.primary is not None:
                replica.primary.take_mismatch(event.answer, replica.now)
            case Superseded() if replica.primary is not None:
                self._take_superseded(event.answer)
            case JoinAnswer():
                replica.joiner.answered(event.answer)
            case Holdings():
                replica.first_view.told(event.answer)
            case None if replica.stopping and replica.primary is None:
                replica.effects.append(Stop())  # The answer to our leaving.
            case _:
                pass  # An answer to what this server was before it stepped down.

    def _take_superseded(self, answer: Superseded) -> None:
        """A2: stop answering at once, then look; lead again only if this server won there.

        Unless it cannot be believed: then look, and go on.
        """
        replica = self._replica
        assert replica.primary is not None
        view = replica.primary.view
        if answer.history != view.history or answer.epoch <= view.epoch:
            replica.viewing.read()
        elif replica.believing.claimed(
            answer.server, answer.history, answer.epoch, reading=replica.viewing.is_reading
        ):
            replica.give_way(f"{answer.server} knows a newer epoch, {answer.epoch}")
            replica.viewing.read()
        else:
            replica.viewing.poll(replica.settings.beacon_ms)
