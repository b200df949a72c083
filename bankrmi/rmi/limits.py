"""How much a stranger may cost us: every queue, size and wait of this room has its limit here.

Rule: a limit is enforced where the cost would arise, before it arises, and each has a test.
"""

from __future__ import annotations

from dataclasses import dataclass

from .frames import CONNECT, CONNECT_FAIL, CONNECT_OK, INVOKE, JSON, MSGPACK, PING, RESULT, SERPENT, Rules
from .values import CALL, ITEMS_AT_MOST, Bounds

__all__ = [
    "HANDSHAKE",
    "Limits",
    "call_bounds",
    "calling_rules",
    "greeting_rules",
    "handshake_rules",
    "serving_rules",
]

HANDSHAKE = Bounds(512)
"""Values in a message of somebody who has not said yet who he is."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """Of one daemon. Sizes in bytes, times in milliseconds."""

    connections: int = 1000
    """Of callers. For servers and operators there is a reserve; when all are taken, see `seats`."""
    unfinished: int = 1000
    """Connections without a handshake yet; over it, who has said nothing for longest has to go."""
    handshake_bytes: int = 4096
    serpent_bytes: int = 1 << 16
    json_bytes: int = 1 << 19
    """At most; a batch of 8 192 with the longest numbers has 459 kB."""
    message_bytes: int = 1 << 20
    server_message_bytes: int = 16 << 20
    annotation_bytes: int = 4096
    message_deadline_ms: int = 5000
    """For one message to arrive from its first byte on, for a handshake from connecting on, and for
    an answer to be read once it has filled the socket's buffers."""
    server_message_deadline_ms: int = 30000
    sweep_ms: int = 250
    """How often deadlines are looked at."""
    piled_bytes: int = 1 << 16
    """Of further messages of one connection while a call is in progress; over it, it is not read."""
    held_bytes: int = 64 << 20
    """Of messages that are not complete or wait for their turn, of all connections together; one half is for
    servers. Over it, who holds most is cut."""
    unsent_bytes: int = 1 << 18
    """Of answers that a caller has not read; over it, its calls wait."""
    discarded_bytes: int = 4 << 20
    """Read and thrown away after a refusal, so that the caller gets to read why."""
    strangers_percent: int = 25
    """Of the time of one core, for all callers together that do not come with our handshake."""
    unread_ms: float = 0
    """For a call of ours to wait for its turn; then it is answered, unread, that there is too much to do.
    0: it waits for as long as it takes."""
    batched_calls: int = 1024
    answer_bytes: int = 4 << 20
    """Of one answer; of a batched call no further part is begun when its answers have this many."""
    taken_answer_bytes: int = 16 << 20
    """Of an answer that we take from others, who may have been told another limit; servers take more."""
    error_bytes: int = 1 << 16
    """Of an error that we take from others."""
    items: int = ITEMS_AT_MOST
    """Values in a message, all lists together; a list counts three."""
    server_items: int = 1 << 20
    """Values in an answer that we take from others."""
    server_call_items: int = 370_000
    """Values in a message of a server, where a list counts twelve and a dict two thousand: the largest one is
    a checkpoint, of 16 384 lists of ten with the limits as they come."""
    server_calls_in_progress: int = 64
    """A server may have several calls on their way on one connection; everybody else one."""


def handshake_rules(limits: Limits) -> Rules:
    """Return the rules for whoever has not said yet who he is."""
    return Rules(
        kinds=frozenset({CONNECT}),
        payload_bytes=dict.fromkeys((SERPENT, JSON, MSGPACK), limits.handshake_bytes),
        annotation_bytes=limits.annotation_bytes,
    )


def serving_rules(limits: Limits, *, for_servers: bool) -> Rules:
    """Return the rules for calls after the handshake."""
    payload_bytes = {
        SERPENT: limits.serpent_bytes,
        JSON: min(limits.json_bytes, limits.message_bytes),
        MSGPACK: limits.message_bytes,
    }
    if for_servers:  # They are ours, and speak as we do.
        payload_bytes = {MSGPACK: limits.server_message_bytes}
    return Rules(
        kinds=frozenset({INVOKE, PING}),
        payload_bytes=payload_bytes,
        annotation_bytes=limits.annotation_bytes,
    )


def call_bounds(limits: Limits, *, for_servers: bool) -> Bounds:
    """Return what a call may hold."""
    if for_servers:
        return Bounds(limits.server_call_items, a_list=12, a_dict=2000, a_pair=12)
    return CALL._replace(items=limits.items)


def greeting_rules(limits: Limits) -> Rules:
    """Return the rules for the answer to our own handshake (a denial may come in any serializer)."""
    return Rules(
        kinds=frozenset({CONNECT_OK, CONNECT_FAIL}),
        payload_bytes=dict.fromkeys((SERPENT, JSON, MSGPACK), limits.serpent_bytes),
        annotation_bytes=limits.annotation_bytes,
    )


def calling_rules(limits: Limits, *, for_servers: bool = False) -> Rules:
    """Return the rules for answers to our own calls, which go out in msgpack."""
    return Rules(
        kinds=frozenset({RESULT, PING}),
        payload_bytes={MSGPACK: limits.server_message_bytes if for_servers else limits.taken_answer_bytes},
        annotation_bytes=limits.annotation_bytes,
    )
