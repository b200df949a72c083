"""What it would mean to let this server lead, before an operator says so.  Rules V7 and V11.

Rule 1: judged from what everybody says now: the keeper of the view, with its changes, and every server.
        Nothing is changed by it, and the server that is to lead judges once more, by itself.
Rule 2: force is for when nobody is left who holds everything; who is there, and holds it, stands in its way.
Rule 3: what is lost is said as far as it is known; and what cannot be known is said, too.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bankrmi.foreign_text import foreign
from bankrmi.moments import as_logged
from bankrmi.replication.cause import in_words
from bankrmi.replication.messages import Holdings
from bankrmi.replication.view import View

__all__ = ["FailoverFacts", "FailoverPlan", "judged"]


@dataclass(frozen=True, slots=True, kw_only=True)
class FailoverFacts:
    """What was found: the view and its changes, what each server holds (or why it cannot be asked), and says.

    `told` is the status of each server, as `client.overview` has it.
    """

    view: View
    changes: Sequence[View]
    holds: Mapping[str, Holdings | str]
    told: Mapping[str, Mapping[str, Any]]
    copies_min: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class FailoverPlan:
    """It may be done: what was found, in sentences, and what it rests on."""

    server: str
    address: str
    forced: bool
    view: View
    found: tuple[str, ...]
    lost: tuple[str, ...]
    """What of it is lost, or may be; nothing without force."""
    off: tuple[str, ...]
    """Who must be off until the server leads: all that do not answer. Of them any may lead, or let one go on
    that still leads an epoch before."""


def judged(facts: FailoverFacts, server: str, *, forced: bool) -> FailoverPlan | str:
    """Return the plan, or in a sentence why `server` is not to lead so."""
    why = _objection(facts, server, forced=forced)
    if why:
        return why
    lost = tuple(_lost(facts, server)) if forced else ()
    off = tuple(name for name, holds in facts.holds.items() if isinstance(holds, str))
    off += tuple(sorted(facts.view.in_sync - facts.holds.keys()))  # No configuration names them any more.
    found = tuple(_found(facts))
    return FailoverPlan(
        server=server,
        address=facts.told[server]["address"],
        forced=forced,
        view=facts.view,
        found=found,
        lost=lost,
        off=off,
    )


# -- may it be done at all? --------------------------------------------------------------------------


def _objection(facts: FailoverFacts, server: str, *, forced: bool) -> str:
    view, holds = facts.view, facts.holds.get(server)
    if holds is None:
        return f"there is no server {server}: there are {', '.join(facts.holds)}"
    if isinstance(holds, str):
        return f"{server} cannot be asked ({foreign(holds)}): start it first"
    if holds.history is None:
        return f"{server} holds nothing"
    leading = next(_leading(facts), None)
    if leading == server:
        return f"{server} leads already"
    if leading is not None:
        standby = "" if forced and not _is_member(facts, server) else f" --to {server}"
        end = "or, if it hangs, end that process first"
        return f"{leading} answers as the primary: use `bankrmi switchover{standby}`, {end}"
    if holds.history != view.history:
        other = foreign(holds.history)
        return f"{server} is of another history ({other}): nobody knows what the two have in common"
    members = [name for name in facts.holds if _is_member(facts, name)]
    if server in members and server == view.primary:
        return (
            f"{server} is the primary of the newest view, and leads again by itself; `bankrmi why` says more"
        )
    if not forced and server not in members:
        return _why_not_without_force(view, server, members)
    return _why_not_by_force(view, server, members) if forced else ""


def _why_not_without_force(view: View, server: str, members: Sequence[str]) -> str:
    lacks = f"{server} is not in sync, and may lack what was acknowledged"
    if members:
        return f"{lacks}; {', '.join(members)} may lead, and nothing is lost by that"
    in_sync = ", ".join(sorted(view.in_sync))
    return (
        f"{lacks}: start {in_sync} again; if that is not possible any more, --force says what would be lost"
    )


def _why_not_by_force(view: View, server: str, members: Sequence[str]) -> str:
    if not members:
        return ""
    who = server if server in members else members[0]
    how = f"`bankrmi failover --to {who}`, without --force, lets it lead"
    if view.paused is None:
        how = "it takes over by itself as soon as it may, and `bankrmi why` says what it waits for"
    if who == view.primary:
        how = "it leads again by itself as soon as it may, and `bankrmi why` says what it waits for"
    return f"{who} is in sync, and can be reached; nothing is lost without --force: {how}"


def _leading(facts: FailoverFacts) -> Iterator[str]:
    """Yield who answers as a primary, of the history that counts."""
    for name, told in facts.told.items():
        leads = told.get("reachable") and told.get("role") == "primary"
        if leads and told.get("history") in (None, facts.view.history):
            yield name


def _is_member(facts: FailoverFacts, server: str) -> bool:
    """Whether it answers, and has the disk that the view names."""
    holds = facts.holds[server]
    return isinstance(holds, Holdings) and facts.view.names(server, holds.incarnation)


# -- what is known -----------------------------------------------------------------------------------


def _found(facts: FailoverFacts) -> Iterator[str]:
    view = facts.view
    yield (
        f"the view is epoch {view.epoch}, made at {as_logged(view.written_us) or 'an unknown time'}: "
        f"primary {view.primary}, in sync {', '.join(sorted(view.in_sync))} ({foreign(in_words(view.cause))})"
    )
    for name, holds in facts.holds.items():
        yield f"{name}: {_standing(facts, name)}, {_holding(facts, name, holds)}"


def _standing(facts: FailoverFacts, name: str) -> str:
    if name not in facts.view.in_sync:
        return "not in sync"
    holds = facts.holds[name]
    if isinstance(holds, str) or _is_member(facts, name):
        return "in sync"
    return "in sync with a disk that it has lost"


def _holding(facts: FailoverFacts, name: str, holds: Holdings | str) -> str:
    if isinstance(holds, str):
        return f"cannot be asked ({foreign(holds)})"
    if holds.history is None:
        return "holds nothing"
    written = as_logged(facts.told[name].get("newest_us"))
    told = f" at {written}" if written else ""
    other = "" if holds.history == facts.view.history else f", history {foreign(holds.history)}"
    tip = holds.tip
    if tip.action_id == 0:
        return f"holds what the bank opened with, and no entry{other}"
    return f"holds entries up to action id {tip.action_id}, written{told} in epoch {tip.epoch}{other}"


def _lost(facts: FailoverFacts, server: str) -> Iterator[str]:
    """Say what is lost if this server leads by force, as far as it is known."""
    holds = facts.holds[server]
    assert isinstance(holds, Holdings)
    kept, view = holds.tip.action_id, facts.view
    yield f"{server} would go on after action id {kept}: whatever was acknowledged beyond it is lost"
    known, by = _known_acknowledged(facts)
    if known > kept:
        yield f"lost for certain: action ids {kept + 1} to {known}, acknowledged as {by} knows"
    if better := _holds_most(facts, kept):
        yield f"{better} holds more than {server}: less would be lost with it"
    yield _since(facts, server)
    in_sync = ", ".join(sorted(view.in_sync - {server}))
    yield f"how much {in_sync} acknowledged beyond it, and until when, cannot be known from here"
    if facts.copies_min > 1:
        yield (
            f"copies_min is {facts.copies_min}: {server} would lead, and acknowledge nothing before another "
            "copy is in sync"
        )
    if view.paused is not None:
        yield "automatic takeover stays paused"


def _known_acknowledged(facts: FailoverFacts) -> tuple[int, str]:
    """Return the highest action id of this history that any server knows to be acknowledged, and who."""
    known = [
        (told["acknowledged"], name)
        for name, told in facts.told.items()
        if type(told.get("acknowledged")) is int
        and isinstance(holds := facts.holds[name], Holdings)
        and holds.history == facts.view.history
    ]
    return max(known, default=(0, ""))


def _holds_most(facts: FailoverFacts, kept: int) -> str:
    """Return who holds more of this history than so much, if anybody does."""
    more = [
        (one.tip.epoch, one.tip.action_id, name)
        for name, one in facts.holds.items()
        if isinstance(one, Holdings) and one.history == facts.view.history and one.tip.action_id > kept
    ]
    return max(more)[2] if more else ""


def _since(facts: FailoverFacts, server: str) -> str:
    """Say since when what was acknowledged need not be on this server."""
    was_in_sync = False
    left: View | None = None
    for change in facts.changes:
        if server in change.in_sync:
            was_in_sync, left = True, None
        elif left is None:
            left = change
    if left is None or not was_in_sync:
        views = f"the {len(facts.changes)} newest views"
        return f"{server} is in sync in none of {views}: `bankrmi history` has more"
    when = as_logged(left.written_us) or "an unknown time"
    why = foreign(in_words(left.cause))
    since = f"since epoch {left.epoch}, made at {when} ({why})"
    return f"{server} is not in sync {since}: it may lack anything that was acknowledged from then on"
