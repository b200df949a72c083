"""What a process told others, read from the bytes that it sent.

Rule 1: an answer counts from the moment at which its bytes were given to the kernel, not when they arrived.
Rule 2: what says nothing of the disk (name look-ups, `status`, a census) promises nothing, so it is left out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from bankrmi.protocol_versions import NEWEST
from bankrmi.replication.messages import Acknowledged, Checkpoint
from bankrmi.replication.view import View
from bankrmi.rmi import frames
from bankrmi.rmi.values import Bounds, read_call, read_form
from bankrmi.robustness.power_loss.operations import Told, ToldEntry, ToldEpoch, ToldView
from bankrmi.server.wire import answer_from_wire, message_from_wire

__all__ = ["Listener"]

_ANY = frames.Rules(
    kinds=frozenset(range(1, 7)),
    payload_bytes=dict.fromkeys((frames.SERPENT, frames.MARSHAL, frames.JSON, frames.MSGPACK), 1 << 30),
)
_BEGINNING = b"PYRO"
_ACKNOWLEDGED = "ok"
_MOST_ITEMS = 1 << 24


class Listener:
    """Hears what one process sends; `witness` if its views are the ones that count."""

    def __init__(self, *, witness: bool) -> None:
        self._witness = witness
        self._connections: dict[str, frames.FrameReader] = {}

    def hears(self, connection: str, data: bytes) -> Iterator[Told]:
        """Take what was sent on a connection; give what it says, as soon as a message is whole."""
        if connection not in self._connections and not data.startswith(_BEGINNING):
            return  # Not the bank's wire: an event loop that wakes itself up, say.
        reader = self._connections.setdefault(connection, frames.FrameReader(_ANY))
        reader.feed(data)
        while (frame := reader.take()) is not None:
            if frame.serializer == frames.MSGPACK and frame.kind == frames.RESULT:
                yield from self._in_answer(read_form(frame.payload, Bounds(_MOST_ITEMS)))
            elif frame.serializer == frames.MSGPACK and frame.kind == frames.INVOKE:
                yield from self._in_request(frame)

    def _in_answer(self, form: Any) -> Iterator[Told]:
        if self._witness:
            yield from _views(form)
        elif isinstance(form, list) and form[:1] == [_ACKNOWLEDGED]:
            answer = answer_from_wire(form, NEWEST)
            assert isinstance(answer, Acknowledged)
            yield ToldEpoch(history=answer.history, epoch=answer.epoch)
            yield ToldEntry(action_id=answer.matched, digest=answer.digest)
        else:
            yield from _action_ids(form)

    def _in_request(self, frame: frames.Frame) -> Iterator[Told]:
        _, method, arguments, _ = read_call(frame.serializer, frame.payload, Bounds(_MOST_ITEMS))
        if self._witness or method != "checkpoint":
            return
        message = message_from_wire(method, arguments, NEWEST)
        assert isinstance(message, Checkpoint)
        yield ToldEpoch(history=message.history, epoch=message.epoch)
        yield ToldEntry(action_id=message.acknowledged)


def _views(form: Any) -> Iterator[Told]:
    """Find every view in an answer of the witness."""
    if isinstance(form, list):
        for item in form:
            yield from _views(item)
    elif isinstance(form, Mapping) and {"history", "epoch", "in_sync", "start_id"} <= form.keys():
        view = View.from_wire(form)
        yield ToldView(view=view, history=view.history, epoch=view.epoch)
    elif isinstance(form, Mapping):
        yield from _views(list(form.values()))


def _action_ids(form: Any) -> Iterator[Told]:
    """Find the newest entry on which an answer to a client rests; `status` promises nothing."""
    if not isinstance(form, Mapping) or "role" in form:
        return
    if type(form.get("action_id")) is int and "history" in form:
        yield ToldEntry(action_id=form["action_id"])
        return
    for value in form.values():
        yield from _action_ids(value)
