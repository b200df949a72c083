"""One client with two requests, one after the other; and whether what it is told can be true.

Rule 1: it names nothing that it has seen, as a stock client: else a stale copy would refuse (R5), and a stale
        read could not be seen.
Rule 2: whatever leaves a server for it is checked, heard or not.
"""

from __future__ import annotations

from bankrmi.bank.forms import form_of
from bankrmi.bank.operations import Withdraw
from bankrmi.replication.effects import Decided, IsBehind, IsStale, NotLeading, Read, Reply
from bankrmi.replication.events import ReadArrived, RequestArrived
from bankrmi.replication.record import Record, entries_of
from bankrmi.robustness.exhaustive.disks import LEDGER
from bankrmi.verifying.model import BankModel

__all__ = ["READ", "WANTED", "WITHDRAW", "WITHDRAW_AGAIN", "asked", "in_words", "is_answer", "objection"]

WITHDRAW, WITHDRAW_AGAIN, READ = 1, 2, 3

WANTED = ((WITHDRAW,), (WITHDRAW_AGAIN, READ), ())
"""What the client may want first, second, and then; the second withdrawal finds too little money."""

_SESSION, _ACCOUNT, _AMOUNT = "c", 1, 60

_WORDS = {WITHDRAW: "the withdrawal c:1", WITHDRAW_AGAIN: "the withdrawal c:2", READ: "a read"}


def asked(request: int) -> RequestArrived | ReadArrived:
    """Return the event that this request is, each time that it arrives."""
    if request == READ:
        return ReadArrived(request, _ACCOUNT)
    return RequestArrived.of(request, (_SESSION, request), [form_of(Withdraw(_ACCOUNT, _AMOUNT))])


def in_words(request: int) -> str:
    """Return a request in words."""
    return _WORDS[request]


def is_answer(reply: Reply) -> bool:
    """Whether the client has what it wanted; else it asks again."""
    return not isinstance(reply, (NotLeading, IsBehind))


def objection(request: int, reply: Reply, acknowledged: tuple[Record, ...]) -> str:
    """Return why this reply breaks a promise, given all that was acknowledged before; or nothing."""
    match reply:
        case NotLeading() | IsBehind():
            return ""
        case Decided(record=record) if request != READ:
            return _objection_to_record(request, record, acknowledged)
        case Read(action_id=action_id, value=value) if request == READ:
            return _objection_to_read(action_id, value, acknowledged)
        case IsStale():
            if any(record.sequence == request for record in acknowledged):
                return f"{_WORDS[request]} is called stale, and it was acknowledged"
            return ""
    return f"{_WORDS[request]} is answered with {reply!r}"


def _objection_to_record(request: int, record: Record, acknowledged: tuple[Record, ...]) -> str:
    if record.request != (_SESSION, request):
        return f"{_WORDS[request]} is answered with the record of another request"
    for known in acknowledged:
        if known.action_id == record.action_id and known != record:
            return f"two different records were acknowledged at action id {record.action_id}"
        if known.sequence == record.sequence and known != record:
            return f"{_WORDS[request]} was acknowledged with two outcomes"
    return ""


def _objection_to_read(action_id: int, value: object, acknowledged: tuple[Record, ...]) -> str:
    newest = max((record.action_id for record in acknowledged), default=0)
    if action_id < newest:
        return f"a read is answered at action id {action_id}; {newest} was acknowledged before it was asked"
    model = BankModel(LEDGER)
    for entry in entries_of(sorted(acknowledged)):
        model.apply(entry.operation)
    if value != model.values[_ACCOUNT]:
        return f"a read is answered with {value}; what was acknowledged leaves {model.values[_ACCOUNT]}"
    return ""
