"""What happened in a simulated world, as a sequence chart in text: a column a party, an arrow a message.

       time ms  c1    s1    s2    witness
      1203.118  o---->                      request c1.0:7, 1 operation
      1203.402        o---->                checkpoint 31 of epoch 4: 12..12
      1203.402        o--x                  checkpoint 32 of epoch 4: heartbeat (lost)
      1204.001              *               standby was=joining

An arrow stands where the message arrived (or got lost).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from bankrmi.replication.effects import Decided, IsBehind, IsForgotten, IsStale, NotLeading, Read, Refusal
from bankrmi.replication.events import OutcomeAsked, ReadArrived, RequestArrived
from bankrmi.robustness.in_words import message_in_words, range_in_words
from bankrmi.robustness.simulator.trace import Arrival, Happening, Loss, Note

__all__ = ["chart"]

_WIDTH = 8
_LATE_MS = 5.0


def chart(parties: Sequence[str], happenings: Iterable[Happening]) -> list[str]:
    """Return the lines of the chart; `parties` are its columns, from left to right."""
    places = {party: number for number, party in enumerate(parties)}
    head = "   time ms  " + "".join(party.ljust(_WIDTH) for party in parties)
    return [head.rstrip(), *(_line(one, places) for one in happenings)]


def _line(happening: Happening, places: dict[str, int]) -> str:
    match happening:
        case Note(who=who, sentence=sentence, details=details):
            picture = _blank(places)
            if who in places:
                picture[places[who] * _WIDTH] = "*"
            words = " ".join([sentence, *map(_in_words, details)])
        case Arrival(sender=sender, receiver=receiver, what=what):
            picture = _arrow(places, sender, receiver, lost=False)
            took_ms = happening.now_ms - happening.sent_ms
            words = described(what) + (f" (sent {took_ms:.0f} ms before)" if took_ms > _LATE_MS else "")
        case Loss(sender=sender, receiver=receiver, what=what):
            picture = _arrow(places, sender, receiver, lost=True)
            words = f"{described(what)} (lost)"
    return f"{happening.now_ms:10.3f}  {''.join(picture)}  {words}".rstrip()


def _blank(places: dict[str, int]) -> list[str]:
    return [" "] * (len(places) * _WIDTH)


def _arrow(places: dict[str, int], sender: str, receiver: str, *, lost: bool) -> list[str]:
    picture = _blank(places)
    begin, end = places[sender] * _WIDTH, places[receiver] * _WIDTH
    step = 1 if end > begin else -1
    last = begin + (end - begin) // 2 if lost else end
    picture[begin:last:step] = "-" * len(range(begin, last, step))
    picture[begin] = "o"
    picture[last] = "x" if lost else (">" if step > 0 else "<")
    return picture


def _in_words(detail: Any) -> str:
    if isinstance(detail, dict):
        return " ".join(f"{key}={_in_words(value)}" for key, value in detail.items())
    if isinstance(detail, (list, tuple, frozenset)):
        return ", ".join(_in_words(one) for one in detail)
    return str(detail)


def described(what: Any) -> str:
    """Return a few words for anything that servers, clients and the witness say."""
    match what:
        case RequestArrived(request=request, operation_count=count):
            return f"request {_id(request)}, {_count(count, 'operation')}"
        case OutcomeAsked(request=request):
            return f"outcome of {_id(request)}?"
        case ReadArrived(query=query):
            return f"read {query}"
        case Decided(record=record):
            ids = range_in_words(record.first_id, record.action_id)
            return f"decided {_id(record.request)}: {record.entries()[0].status}, {ids}"
        case Read(action_id=action_id, value=value):
            return f"it is {value}, at {action_id}"
        case NotLeading(primary=primary):
            return f"not the primary (ask {primary})" if primary else "not the primary"
        case IsStale(newest_sequence=newest):
            return f"stale: {newest} was decided"
        case IsForgotten():
            return "forgotten"
        case IsBehind(action_id=action_id):
            return f"behind: at {action_id}"
        case Refusal(why=why):
            return f"refused: {why}"
        case str():
            return what
        case _:
            return message_in_words(what)


def _id(request: tuple[str, int]) -> str:
    return f"{request[0]}:{request[1]}"


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"
