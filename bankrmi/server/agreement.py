"""What servers of one bank have to be told alike: compared whenever two of them meet.  Pure.

Each states its settings in the greeting; whoever made the connection compares. So both do, each on its own.

Rule 1: a difference is one line: the key, both values, and what comes of it.
Rule 2: what would be unsafe, or could never work, is refused: no connection, until one file is changed. All
        else is told, and the bank goes on; safety rests on no two files being equal.
Rule 3: nothing that the other one states is believed to have a certain form, or length.

What a later version states beside these keys is not looked at. Which version of the protocol the two speak
is no setting: it is settled before (see `protocol_versions`).

What is unsafe, and what is not though it looks so:

- *An address of a server*, where a refusal there proves that the server is gone (R3): whoever looks at
  another machine's address takes a primary for dead that still answers reads by its lease. It is enough that
  one of the two goes by refusals (`refused_means_gone`): the other one's links lead to it, and get its word.
  Refused, by both; as long as both go by their files. Once a view says where everybody lives, who has not
  read it yet is told by the witness, and proves nothing by another address meanwhile (V12).
- *refused_means_gone*, with equal addresses: a refusal is looked for by whoever wants to lead, at the
  address that both mean, and proves there what it proves in a bank where both go by it. Who does not go by it
  waits longer. Told.
- *The witness*: two of them keep two views, so two servers may lead. Whether they are two is not seen by
  their addresses (one may be reached by relays; "localhost" is another one on each machine), but by the id of
  what the witness keeps. It is stated while there is a connection to it, so both are of now. Refused; but
  not while the view is moved from one to the other, and one of the two servers has not heard of it yet.
- *copies_min*: what one file promises must not be broken by a primary with another. The larger counts for
  both (`Replica.copies_min`), from when they first meet; so it is changed, up or down, by restarting one
  after the other. Told. (A server that starts while the other one is away knows its own file only.)
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from bankrmi.config import Configuration, bytes_needed, keeper_as_stated, one_endpoint

__all__ = ["GOES_BY_VIEW", "LEFT_WITNESS_ID", "WITNESS_ID", "Difference", "compared", "stated"]

WITNESS_ID = "witness_id"
"""Of the witness that a server is connected to; stated only while it is."""

LEFT_WITNESS_ID = "left_witness_id"
"""Of the keeper of the view that was closed in favour of that one: who still asks it wins nothing there."""

GOES_BY_VIEW = "servers_by_view"
"""Whether `servers` are those of the view (V12), not of a file; a version before does not state it."""

_SHOWN_AT_MOST = 60
_SERVICES_READ = 10_000
"""Characters, of the services beside the first one that another server states."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One key that was told differently; `refused` if there can be no connection with it."""

    key: str
    ours: str
    theirs: str
    refused: bool
    so: str


def stated(configuration: Configuration) -> dict[str, Any]:
    """Return what a server states of its configuration, as plain values."""
    limits = configuration.limits
    return {
        "service": configuration.service,
        "serves": next(iter(configuration.services.values()), None),
        "serves_beside": _beside(configuration),
        "servers": dict(configuration.servers),
        GOES_BY_VIEW: False,
        "witness": keeper_as_stated(configuration),
        "copies_min": configuration.copies_min,
        "lease_ms": configuration.lease_ms,
        "drift_ms": configuration.drift_ms,
        "heartbeat_ms": configuration.heartbeat_ms,
        "checkpoint_timeout_ms": configuration.checkpoint_timeout_ms,
        "refused_means_gone": configuration.refused_means_gone,
        "limits.operations_per_request": limits.operations_per_request,
        "limits.group_bytes": limits.group_bytes,
        "limits.server_message_bytes": limits.server_message_bytes,
    }


def _beside(configuration: Configuration) -> str | None:
    """Return the services beside the first one, and their classes; None if there are none."""
    beside = list(configuration.services.items())[1:]
    return " ".join(f"{name}={target}" for name, target in sorted(beside)) or None


def compared(ours: Mapping[str, Any], theirs: object) -> list[Difference]:
    """Return what differs, what is refused first."""
    if not isinstance(theirs, Mapping):
        return [_difference("settings", "stated", None, "it is no server of a bank", refused=True)]
    by_view = ours.get(GOES_BY_VIEW) is True or theirs.get(GOES_BY_VIEW) is True
    found = [
        *([] if by_view else _of_addresses(ours, theirs)),
        *_of_witness(ours, theirs),
        *_of_sizes(ours, theirs),
        *_of_plain_keys(ours, theirs),
    ]
    return sorted(found, key=lambda one: not one.refused)


def _difference(key: str, ours: object, theirs: object, so: str, *, refused: bool = False) -> Difference:
    return Difference(key=key, ours=_shown(ours), theirs=_shown(theirs), refused=refused, so=so)


def _shown(value: object) -> str:
    """A value as a log line may hold it: short, printable."""
    if value is None:
        return "not stated"
    text = ascii(value) if isinstance(value, str | int | float) else f"a {type(value).__name__}"
    text = text.strip("'\"")
    return text if len(text) <= _SHOWN_AT_MOST else text[: _SHOWN_AT_MOST - 3] + "..."


def _of_addresses(ours: Mapping[str, Any], told: Mapping[Any, Any]) -> Iterator[Difference]:
    """R3: that an address refuses connections proves that a server is gone, if it is that server's."""
    servers = told.get("servers")
    servers = servers if isinstance(servers, Mapping) else {}
    for name, address in ours["servers"].items():
        if name not in servers:
            so = "the other one does not know this server, and neither counts it nor lets it in"
            yield _difference(f"servers.{name}", address, None, so)
        elif not _same_endpoint(address, servers[name]):
            proves_death = bool(ours["refused_means_gone"] or told.get("refused_means_gone"))
            so = "one of the two would take another machine for this server, alive or dead"
            so = so if proves_death else "each goes by its own: with refused_means_gone false that is safe"
            yield _difference(f"servers.{name}", address, servers[name], so, refused=proves_death)
    if servers and next(iter(servers)) != (first := next(iter(ours["servers"]))):
        so = "the first one in the file makes the first view: a new bank may wait for ever"
        yield _difference("servers", f"{first} first", f"{_shown(next(iter(servers)))} first", so)
    unknown = [name for name in servers if name not in ours["servers"]]
    if unknown:
        more = f" and {len(unknown) - 1} more" if len(unknown) > 1 else ""
        so = "this server does not know it, and neither counts it nor lets it in"
        yield _difference("servers", None, f"{_shown(unknown[0])}{more}", so)


def _of_witness(ours: Mapping[str, Any], told: Mapping[Any, Any]) -> Iterator[Difference]:
    our_id, their_id = ours.get(WITNESS_ID), told.get(WITNESS_ID)
    if our_id is not None and isinstance(their_id, str):
        closed = (ours.get(LEFT_WITNESS_ID), told.get(LEFT_WITNESS_ID))
        if our_id != their_id and closed[0] != their_id and closed[1] != our_id:
            so = "two witnesses keep two views, so two servers may lead: lead both files to one of them"
            yield _difference(WITNESS_ID, our_id, their_id, so, refused=True)
    elif not _same_endpoint(ours["witness"], told.get("witness")):
        so = "two witnesses keep two views: they have to be one and the same, if under two names"
        yield _difference("witness", ours["witness"], told.get("witness"), so)


def _same_endpoint(one: str, other: object) -> bool:
    try:
        return isinstance(other, str) and (one == other or one_endpoint(one) == one_endpoint(other))
    except ValueError:
        return False


def _of_sizes(ours: Mapping[str, Any], told: Mapping[Any, Any]) -> Iterator[Difference]:
    """A4: what one sends as a primary, the other has to be able to take."""
    key = "limits.server_message_bytes"
    we_send, we_take, they_send, they_take = _needed(ours), ours[key], _needed(told), _number(told, key)
    so = "what a standby has to hold could not be sent: use the same limits on all machines"
    if they_take < we_send:
        yield _difference(key, f"{we_send} needed", they_take, so, refused=True)
    elif we_take < they_send:
        yield _difference(key, we_take, f"{they_send} needed", so, refused=True)
    elif we_take != they_take:
        yield _difference(key, we_take, they_take, "each takes what the other sends, all the same")


def _needed(settings: Mapping[Any, Any]) -> int:
    group, operations = "limits.group_bytes", "limits.operations_per_request"
    return bytes_needed(_number(settings, group), _number(settings, operations))


def _number(settings: Mapping[Any, Any], key: str) -> int:
    value = settings.get(key)
    return value if type(value) is int else 0  # That it is not one is told as a difference of its own.


_Effect = Callable[[Mapping[str, Any], Any], tuple[str, bool]]


def _service(_: Mapping[str, Any], __: Any) -> tuple[str, bool]:
    return "it is a server of another bank", True


def _serves(ours: Mapping[str, Any], theirs: Any) -> tuple[str, bool]:
    mine = ours["serves"]
    both = isinstance(mine, str) and isinstance(theirs, str)
    if both and mine.partition(":")[2] == theirs.partition(":")[2]:
        return "each loads the class from where it has it: it has to be the same one", False
    return "what one does with a call, the other would not", True


def _serves_beside(ours: Mapping[str, Any], theirs: Any) -> tuple[str, bool]:
    mine, other = _by_name(ours["serves_beside"]), _by_name(theirs)
    for name in mine.keys() & other.keys():
        if mine[name].partition(":")[2] != other[name].partition(":")[2]:
            return f"as {name} one serves another class than the other", True
    if mine.keys() == other.keys():
        return "each loads the classes from where it has them: they have to be the same ones", False
    return (
        "a service is created once every server names it; whoever does not name one that is there waits",
        False,
    )


def _by_name(told: Any) -> dict[str, str]:
    parts = told[:_SERVICES_READ].split() if isinstance(told, str) else []
    return {name: target for name, _, target in (part.partition("=") for part in parts)}


def _copies_min(ours: Mapping[str, Any], theirs: Any) -> tuple[str, bool]:
    more = max(ours["copies_min"], theirs) if type(theirs) is int else ours["copies_min"]
    return f"the larger counts, for both, as long as they know of each other: {more} copies", False


def _lease(_: Mapping[str, Any], __: Any) -> tuple[str, bool]:
    return "the primary's counts, for both", False


def _heartbeat(ours: Mapping[str, Any], theirs: Any) -> tuple[str, bool]:
    silence_ms = ours["lease_ms"] or 2 * ours["checkpoint_timeout_ms"]
    if type(theirs) is int and theirs >= silence_ms:
        return f"it is heard seldom: this server takes it for gone after {silence_ms} ms", False
    return "the primary's counts", False


def _own(_: Mapping[str, Any], __: Any) -> tuple[str, bool]:
    return "each goes by its own", False


_PLAIN_KEYS: Mapping[str, _Effect] = {
    "service": _service,
    "serves": _serves,
    "serves_beside": _serves_beside,
    "copies_min": _copies_min,
    "lease_ms": _lease,
    "drift_ms": _lease,
    "heartbeat_ms": _heartbeat,
    "checkpoint_timeout_ms": _own,
    "refused_means_gone": _own,
    "limits.operations_per_request": _own,
    "limits.group_bytes": _own,
}


def _of_plain_keys(ours: Mapping[str, Any], told: Mapping[Any, Any]) -> Iterator[Difference]:
    for key, effect in _PLAIN_KEYS.items():
        theirs = told.get(key)
        if theirs != ours[key] or type(theirs) is not type(ours[key]):
            so, refused = effect(ours, theirs)
            yield _difference(key, ours[key], theirs, so, refused=refused)
