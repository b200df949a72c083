"""What a checkpoint means for the epoch that its receiver acts in.  Pure.  Rule A2.

Rule 1: a checkpoint of an epoch below the adopted one, or below one that this server has won, is answered
        with the newer epoch; its sender stops answering.
Rule 2: a newer epoch is adopted in the same transaction as what it brings, and durable before the answer.
Rule 3: epochs are compared within one history; on another one, the view tells which counts.
Rule 4: nothing here acts: what is to be done comes back.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import NamedTuple

from bankrmi.replication import matching
from bankrmi.replication.effects import Refusal
from bankrmi.replication.journal import Adopted
from bankrmi.replication.lease import Grants
from bankrmi.replication.messages import Checkpoint, Superseded
from bankrmi.replication.step import Step
from bankrmi.replication.view import View

__all__ = ["Adopt", "GoOn", "ReceiverFacts", "TurnedAway", "weigh"]


@dataclass(frozen=True, slots=True)
class TurnedAway:
    """Nothing changes for the message but that it is answered; `look`: the view is worth a reading."""

    reply: Superseded | Refusal | None = None
    look: bool = False


@dataclass(frozen=True, slots=True)
class Adopt:
    """The message is of a newer epoch: adopt that, and take the message."""

    adopted: Adopted


@dataclass(frozen=True, slots=True)
class GoOn:
    """The message is of the epoch that this server follows; `longer` is to be written before, if it is there.

    R3: before a longer lease is granted than is noted, it is; for the process after this one. The epoch may
    have been adopted without having heard its primary: with a copy, or before an upgrade.
    """

    longer: Adopted | None = None


_AS_NOTED = GoOn()


class ReceiverFacts(NamedTuple):
    """What its receiver knows when a checkpoint arrives.

    `view` is the newest known; `won` the view that it has won and does not lead yet; `leads`: it leads.
    `believed`: the epoch of the message may be acted on before the witness is asked. Acknowledging the
    message binds for `granted_ms`, and `grants` are what binds already (R3).
    """

    view: View | None
    won: View | None
    leads: bool
    believed: bool
    granted_ms: int
    grants: Grants


def weigh(message: Checkpoint, facts: ReceiverFacts, step: Step) -> TurnedAway | Adopt | GoOn:
    """Return what to do with a checkpoint."""
    adopted, view = step.journal.adopted, facts.view
    if adopted is None:
        return TurnedAway()  # Empty: a copy has to come first.
    if message.history != adopted.history and (view is None or view.history != message.history):
        return TurnedAway(_superseded(message, adopted.history, adopted.epoch, step), look=True)
    floor = max(adopted.epoch, facts.won.epoch if facts.won is not None else 0)
    if message.epoch < floor:
        return TurnedAway(_superseded(message, adopted.history, floor, step))
    if message.epoch > floor and not facts.believed:
        return TurnedAway(look=True)  # Nothing changes before the witness has answered.
    why = _contradiction(message, adopted, floor, facts, step)
    if why is not None:
        return TurnedAway(Refusal(why), look=True)
    if message.epoch > floor:
        return Adopt(
            Adopted(
                history=message.history,
                epoch=message.epoch,
                primary=message.primary,
                start_id=message.start_id,
                granted_ms=_longest_ms(facts, step),
            )
        )
    if adopted.granted_ms is None or adopted.granted_ms < facts.granted_ms:
        return GoOn(replace(adopted, granted_ms=_longest_ms(facts, step)))
    return _AS_NOTED


def _longest_ms(facts: ReceiverFacts, step: Step) -> int:
    return max(facts.grants.longest_ms(step.now_ms), facts.granted_ms)


def _superseded(message: Checkpoint, history: str, epoch: int, step: Step) -> Superseded:
    return Superseded(server=step.server, history=history, epoch=epoch, number=message.number)


def _contradiction(
    message: Checkpoint, adopted: Adopted, floor: int, facts: ReceiverFacts, step: Step
) -> str | None:
    """Return why this cannot be, if both servers keep the rules; nothing is changed by such a message.

    It does not stop this process: anybody may have sent it, and it spreads no further.
    """
    ours = facts.won is not None or facts.leads
    led_by = (adopted.primary, adopted.start_id)
    if message.epoch == floor and (ours or (message.primary, message.start_id) != led_by):
        return f"two processes lead epoch {message.epoch}: one is {message.primary}"
    return matching.contradiction(step.journal, message)
