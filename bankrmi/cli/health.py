"""Is this bank well? Judged by the dictionary of `client.overview`; the worst that is wrong comes first.
Pure.

Rule 1: a bank is well if somebody leads, can acknowledge, and could be replaced; what is not so has a code.
Rule 2: what the operator reaches is not what the servers reach: who waits for whom, and who cannot ask the
        witness, the servers say themselves. About who says nothing, what the operator sees counts.
Rule 3: nobody leads but the server that the view names; one whose epoch is over acknowledges nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from bankrmi.cli.exit_codes import ExitCode, HealthCode
from bankrmi.counted import counted
from bankrmi.foreign_text import foreign
from bankrmi.moments import as_logged

__all__ = [
    "Finding",
    "Status",
    "begun",
    "findings",
    "health",
    "keeper_answers",
    "keeper_forgot",
    "keeper_of",
    "keeper_tells",
    "leader_of",
    "missed",
    "moved_away",
    "pause_in_words",
    "retired_in_words",
    "unanswered",
    "why_not_in_its_place",
]

Status = Mapping[str, Any]
Finding = tuple[int, str]
"""An exit code of `status --check`, and its sentence."""

_MOVED = "and is not kept here any more"


def health(status: Status) -> Finding:
    """Return the exit code of `status --check`, and its sentence."""
    if not any(part["reachable"] for part in (*status["servers"], status["witness"], status["nameserver"])):
        keeper = keeper_of(status).removeprefix("the ")
        nobody = f"nobody answers: no server, no {keeper}, no name server"
        return ExitCode.UNREACHED, _denied(status) or nobody
    return next(findings(status), None) or _well(status)


def _denied(status: Status) -> str:
    """Say who is there all the same, and with whom there is no handshake; nothing if nobody is."""
    told = [f"{foreign(one['why'])} ({', '.join(one['who'])})" for one in status.get("denials", ())]
    parts = (*status["servers"], status["witness"], status["nameserver"])
    others = "" if all("denied" in part for part in parts) else "; nobody else answers"
    return f"nobody tells anything, and some are there: {'; '.join(told)}{others}" if told else ""


def findings(status: Status) -> Iterator[Finding]:
    """Yield what is wrong, the worst first."""
    leader = leader_of(status)
    if retired := retired_in_words(status):
        yield HealthCode.NOTHING_ACKNOWLEDGED, retired
    found = (
        _leading(status) if leader is None else _acknowledging(status, leader),
        _copies(status, leader),
        _successor(status, leader),
    )
    yield from (one for one in found if one is not None)


# -- who keeps the view ------------------------------------------------------------------------------


def keeper_of(status: Status) -> str:
    """Return what the keeper of the view is called: etcd has members, the witness has none."""
    return "etcd" if "members" in status["witness"] else "the witness"


def keeper_answers(status: Status) -> bool:
    """Whether the keeper of the view answers whoever looks."""
    return bool(status["witness"]["reachable"])


def keeper_tells(status: Status) -> bool:
    """Whether it tells whoever looks which view it holds; the witness tells clients nothing."""
    return keeper_answers(status) and not status["witness"].get("denied")


def moved_away(status: Status) -> bool:
    """Whether the view is kept elsewhere, as its keeper or the servers say: this file knows no more of it."""
    return bool(status["witness"].get("elsewhere")) or _MOVED in str(status["witness"].get("reason"))


def keeper_forgot(status: Status) -> bool:
    """Whether the keeper holds no view, or an older one than is led: nobody leads by that (V9)."""
    leader, view = leader_of(status), status["view"]
    if leader is None or not keeper_tells(status):
        return False
    return view is None or _epoch(leader) > _epoch(view)


def begun(status: Status) -> bool:
    """Whether any server that can be asked has acted in a view."""
    return any(_epoch(one) for one in status["servers"])


def unanswered(status: Status) -> str:
    """Say what it means that the keeper does not answer."""
    if moved_away(status):
        reason = foreign(status["witness"]["reason"])
        return f"{reason}: ask with the configuration that names that keeper"
    return f"{keeper_of(status)} cannot be reached: no change of primary until it can"


def _lost_memory(status: Status) -> str:
    return f"{keeper_of(status)} has lost its memory: run `bankrmi witness restore`"


# -- who leads ---------------------------------------------------------------------------------------


def _primaries(status: Status) -> list[Status]:
    return [one for one in status["servers"] if one["reachable"] and one.get("role") == "primary"]


def leader_of(status: Status) -> Status | None:
    """Return the server that leads; one with an epoch newer than the view knows of what the view does not."""
    view, primaries = status["view"], _primaries(status)
    if view is not None:
        primaries = [one for one in primaries if one.get("history") in (None, view["history"])]
        named = [one for one in primaries if one["server"] == view["primary"]]
        primaries = [one for one in primaries if _epoch(one) > _epoch(view)] or named
    return max(primaries, key=_epoch, default=None)


def _deposed(status: Status) -> list[str]:
    """Return the servers that lead an epoch that is over, and do not know of it yet."""
    leader, view = leader_of(status), status["view"]
    if view is None:
        return []
    return [
        one["server"]
        for one in _primaries(status)
        if one is not leader and one["server"] != view["primary"] and _epoch(one) < _epoch(view)
    ]


def _leading(status: Status) -> Finding:
    view = status["view"]
    if view is None:
        why = f"; {_lost_memory(status)}" if begun(status) and keeper_tells(status) else ""
        return HealthCode.NOBODY_LEADS, f"nobody leads: no view is known{why}"
    primary = view["primary"]
    one = _named(status, primary)
    if not one.get("reachable"):
        how = one.get("reason", "not configured")
    elif one.get("role") == "primary":
        how = "it leads in another history"
    else:
        how = one.get("why") or f"is {one.get('role')}"
    over = "".join(f"; {name} does, but its epoch is over" for name in _deposed(status))
    waits = f"; {paused}" if (paused := pause_in_words(status)) else ""
    sentence = f"nobody leads: {foreign(primary)} does not ({foreign(how)}){over}{_only_copy(status)}{waits}"
    return HealthCode.NOBODY_LEADS, sentence


def _only_copy(status: Status) -> str:
    """Return why no other server takes over from a primary that is away, as the end of a sentence."""
    view = status["view"]
    if len(view["in_sync"]) != 1 or _named(status, view["primary"]).get("reachable", True):
        return ""
    primary = foreign(view["primary"])
    return f"; nobody else may, for only {primary} is known to hold everything: start it again"


# -- is anything acknowledged ------------------------------------------------------------------------


def _acknowledging(status: Status, leader: Status) -> Finding | None:
    view, says = status["view"], leader.get("acknowledges")
    why = ""
    if view is not None and _epoch(leader) < _epoch(view) and "epoch" in leader and not says:
        ours, newest = foreign(leader["epoch"]), foreign(view["epoch"])
        why = f"until {leader['server']}, which leads epoch {ours}, knows of epoch {newest}"
    elif waited_for := missed(status):
        why = f"without {', '.join(waited_for)}, until the view changes"
        if _silent(status["witness"], leader):
            why += f"; {leader['server']} does not reach {keeper_of(status)}, so that it cannot"
    elif _copies_of(status, leader) < status.get("copies_min", 1):
        why = f"on {_copies_of(status, leader)} of {counted(status['copies_min'], 'copy', 'copies')}"
    elif says is False:
        why = f"by {leader['server']}, until the view changes"
    return (HealthCode.NOTHING_ACKNOWLEDGED, f"nothing is acknowledged {why}") if why else None


def _silent(witness: Status, one: Status) -> bool:
    return not witness["reachable"] or bool(_number(one.get("witness_silent_ms")))


def missed(status: Status) -> list[str]:
    """Return the copies that count and do not answer: for a moment, or while the witness is away.

    Whether they answer the primary is what matters; who cannot be asked that tells only about himself.
    """
    leader = leader_of(status)
    reached = leader.get("connected") if leader is not None else None
    if leader is None or not isinstance(reached, list | tuple):
        return [one["server"] for one in _in_sync(status, leader) if not one["reachable"]]
    return [one["server"] for one in _in_sync(status, leader) if one["server"] not in reached]


def _in_sync(status: Status, leader: Status | None) -> list[Status]:
    """Return the copies that count, but for the leader's own."""
    if leader is not None and status["view"] is not None and _epoch(leader) > _epoch(status["view"]):
        return []  # Its view is another one, and newer.
    return [one for one in status["servers"] if one.get("in_sync") and one is not leader]


# -- how many copies, and who could take over --------------------------------------------------------


def _copies_of(status: Status, leader: Status | None) -> int:
    """Return how many copies count; by the primary's word where the view is not known, or older."""
    view = status["view"]
    told = leader.get("copies") if leader is not None else None
    if isinstance(told, int) and leader is not None and (view is None or _epoch(leader) > _epoch(view)):
        return told
    return len(view["in_sync"]) if view is not None else len(status["servers"])


def _copies(status: Status, leader: Status | None) -> Finding | None:
    view = status["view"]
    if _copies_of(status, leader) > 1 or len(status["servers"]) == 1:
        return None
    holder = leader["server"] if leader is not None else view["primary"]
    return HealthCode.ONE_COPY, f"ONE COPY ONLY: what {foreign(holder)} holds is all there is"


def _successor(status: Status, leader: Status | None) -> Finding | None:
    """Say why nobody could take over, or the primary could not go on without a copy that fails."""
    why = _witness(status, leader) or _standbys(status, leader) or pause_in_words(status)
    return (HealthCode.NOBODY_COULD_TAKE_OVER, why) if why else None


def _witness(status: Status, leader: Status | None) -> str:
    view, keeper = status["view"], keeper_of(status)
    if not status["witness"]["reachable"]:
        return unanswered(status)
    if leader is None:
        return ""  # If no view is known, that is said of who leads.
    if view is None:
        return _lost_memory(status)
    if _epoch(leader) > _epoch(view):
        older = f"{keeper} holds epoch {view['epoch']}, and {leader['server']} leads epoch {leader['epoch']}"
        return f"{older}: it has lost its memory, or it was asked a moment too early"
    if _number(leader.get("witness_silent_ms")):
        return f"{leader['server']} does not reach {keeper}: if a copy fails, nothing will be acknowledged"
    return ""


def _standbys(status: Status, leader: Status | None) -> str:
    standbys = _in_sync(status, leader)
    if leader is None or not standbys or len(status["servers"]) == 1:
        return ""
    reasons = [why_not_in_its_place(status, one) for one in standbys]
    return f"nobody could take over: {'; '.join(reasons)}" if all(reasons) else ""


def why_not_in_its_place(status: Status, one: Status) -> str:
    """Say why this standby could not take over; of one that only the primary can ask nothing is known."""
    if not one["reachable"]:
        return ""
    if _number(one.get("witness_silent_ms")):
        return f"{one['server']} does not reach {keeper_of(status)}"
    if one.get("role") in ("starting", "joining"):
        return f"{one['server']} is {one['role']} ({foreign(one.get('why') or 'it has just begun')})"
    return ""


def pause_in_words(status: Status) -> str:
    """Say that nobody takes over by himself, by whose wish and why; nothing where it is not so (V11)."""
    pause = (status["view"] or {}).get("paused")
    if pause is None:
        return ""
    since, reason = as_logged(pause.get("since_us")), pause.get("reason")
    return (
        f"automatic takeover is paused by {foreign(pause.get('by') or 'somebody')}"
        f"{f' since {since}' if since else ''}{f': {foreign(reason)}' if reason else ''}"
    )


def retired_in_words(status: Status) -> str:
    """Say that the servers answer no clients any more, and where the bank is (V14); nothing if it is here."""
    there = (status["view"] or {}).get("retired_for")
    return "" if there is None else f"the bank is not here any more: it is in {foreign(there)}"


def _well(status: Status) -> Finding:
    view = status["view"]
    unseen = [one["server"] for one in _in_sync(status, leader_of(status)) if not one["reachable"]]
    but = "".join(f"; {name} answers {foreign(view['primary'])}, and not us" for name in unseen)
    copies = len(view["in_sync"])
    return (
        ExitCode.DONE,
        f"well: {foreign(view['primary'])} leads, {counted(copies, 'copy', 'copies')} in sync{but}",
    )


def _named(status: Status, name: str) -> Status:
    found: Iterable[Status] = (one for one in status["servers"] if one["server"] == name)
    return next(iter(found), {})


def _epoch(one: Status) -> int:
    """Return the epoch of a server or a view; 0 if it says none that could be one."""
    epoch = one.get("epoch")
    return epoch if isinstance(epoch, int) else 0


def _number(value: object) -> float:
    return value if isinstance(value, int | float) and not isinstance(value, bool) else 0
