"""Who leads and why, who may take over, what if one more process died: from `client.overview`.  Pure.

Rule 1: every sentence rests on what is in that dictionary: whoever doubts it looks at `status --json`.
Rule 2: what may happen follows from the rules alone: who is in sync may lead (V1, V7), the view changes only
        through the witness (F2), and below `copies_min` nothing is acknowledged (A1).
Rule 3: of a server that cannot be asked nothing is known but what the others, and the view, say. Where nobody
        tells anything, nothing is known of any of them: that is said, and nothing is listed.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from bankrmi.cli.deaths import Deaths
from bankrmi.cli.exit_codes import ExitCode
from bankrmi.cli.health import (
    Status,
    findings,
    health,
    keeper_answers,
    keeper_forgot,
    keeper_of,
    leader_of,
    moved_away,
    pause_in_words,
    why_not_in_its_place,
)
from bankrmi.foreign_text import foreign
from bankrmi.moments import as_logged
from bankrmi.replication.cause import Cause, in_words

__all__ = ["Explanation", "explain"]

_LONGEST_MS = 1e15
"""Longer than that nobody has led, whatever it says."""
_NOTHING_KNOWN = "Who leads, who may take over, and what would come of a death is not known."


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """What `bankrmi why` says; a sentence for each server, or process, where there is one for each."""

    leads: str | None
    """The server that leads."""
    now: tuple[str, ...]
    """Who leads and since when, and why the view is what it is; what is wrong, the worst first."""
    may_take_over: dict[str, bool]
    successors: dict[str, str]
    """Of each server that does not lead: whether it may take over, and why, or why not."""
    if_it_died: dict[str, str]
    """Of each server, the keeper of the view and the name server: what would come of its death now."""

    def as_json(self) -> dict[str, Any]:
        """Return it for a program."""
        return {
            "leads": self.leads,
            "now": list(self.now),
            "take_over": [
                {"server": name, "may": self.may_take_over[name], "why": why}
                for name, why in self.successors.items()
            ],
            "if_it_died": [{"process": name, "then": then} for name, then in self.if_it_died.items()],
        }


def explain(status: Status) -> Explanation:
    """Explain one status of a bank."""
    code, sentence = health(status)
    if code == ExitCode.UNREACHED:
        now = (f"{sentence[:1].upper()}{sentence[1:]}.", _NOTHING_KNOWN)
        return Explanation(leads=None, now=now, may_take_over={}, successors={}, if_it_died={})
    leader = leader_of(status)
    others = [one for one in status["servers"] if one is not leader]
    judged = {one["server"]: _successor(status, leader, one) for one in others}
    may = {name: objection is None for name, (objection, _) in judged.items()}
    deaths = Deaths(status=status, leader=leader, successors=[name for name in may if may[name]])
    return Explanation(
        leads=None if leader is None else leader["server"],
        now=tuple(_now(status, leader)),
        may_take_over=may,
        successors={
            name: f"{name} may take over: {why}" if objection is None else f"{name} may not: {objection}"
            for name, (objection, why) in judged.items()
        },
        if_it_died=dict(deaths.each()),
    )


# -- now ---------------------------------------------------------------------------------------------


def _now(status: Status, leader: Status | None) -> Iterator[str]:
    view = status["view"]
    if leader is not None:
        yield f"{leader['server']} leads{_since(leader.get('role_for_ms'))}."
    if view is not None:
        yield _view_sentence(status, view)
    wrong = [f"{sentence[:1].upper()}{sentence[1:]}." for _, sentence in findings(status)]
    if not wrong and leader is None:
        wrong = [f"{health(status)[1]}."]
    yield from wrong


def _since(ms: object) -> str:
    """Return for how long it has led, as the end of a sentence."""
    if not isinstance(ms, int | float) or isinstance(ms, bool) or not 0 <= ms < _LONGEST_MS:
        return ""
    seconds = int(ms) // 1000
    for unit, length in (("days", 86_400), ("hours", 3600), ("minutes", 60)):
        if seconds >= 2 * length:
            return f", and has led for {seconds // length} {unit}"
    return f", and has led for {seconds} s"


def _view_sentence(status: Status, view: Status) -> str:
    written = as_logged(view.get("written_us"))
    since = f", made at {written}" if written else ""
    cause = Cause.from_wire(view.get("cause"))
    by = f" (proposed by {foreign(cause.by)})" if cause is not None else ""
    source = status.get("view_from")
    told = "" if source in (None, "witness") else f", as {foreign(source)} says"
    in_sync = ", ".join(map(foreign, view["in_sync"]))
    return (
        f"The view is epoch {foreign(view['epoch'])}{since}{told}: {foreign(view['primary'])} leads, in sync "
        f"{in_sync}. Its cause: {in_words(cause)}{by}."
    )


# -- who may take over -------------------------------------------------------------------------------


def _successor(status: Status, leader: Status | None, one: Status) -> tuple[str | None, str]:
    """Return why a server may not take over (None: it may), and why it may."""
    keeper = keeper_of(status)
    if status["view"] is None:
        return "no view is known, so nobody knows who holds everything", ""
    if keeper_forgot(status):
        return f"{keeper} holds an older view than the one that is led, and nobody leads by that", ""
    if not one.get("in_sync"):
        why = one.get("why") or one.get("reason") or one.get("role") or "nothing is known of it"
        return f"it is not in sync, so it may lack what was acknowledged ({foreign(why)})", ""
    if not one["reachable"]:
        reached = leader.get("connected") if leader is not None else None
        if not isinstance(reached, list | tuple) or one["server"] not in reached:
            return f"it is in sync, and cannot be reached ({foreign(one.get('reason', 'no answer'))})", ""
    if moved_away(status):
        return "it is in sync, but the view is kept elsewhere by now: ask with the file that says where", ""
    if not keeper_answers(status):
        return f"it is in sync, but {keeper} cannot be reached, and nobody leads without its word", ""
    if why_not := why_not_in_its_place(status, one):
        return f"it is in sync, but {why_not.removeprefix(one['server'] + ' ')}", ""
    if paused := pause_in_words(status):
        by_hand = f"`bankrmi failover --to {one['server']}` lets it lead once the primary is gone"
        return f"it is in sync, but {paused}; {by_hand}", ""
    return None, "it is in sync, so it holds all that was acknowledged"
