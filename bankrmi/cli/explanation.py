"""Who leads and why, who may take over, what if one more process died: from `client.overview`.  Pure.

Rule 1: every sentence rests on what is in that dictionary: whoever doubts it looks at `status --json`.
Rule 2: what may happen follows from the rules alone: who is in sync may lead (V1, V7), the view changes only
        through the witness (F2), and below `copies_min` nothing is acknowledged (A1).
Rule 3: of a server that cannot be asked nothing is known but what the others, and the view, say.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from bankrmi.cli.exit_codes import ExitCode
from bankrmi.cli.health import (
    Status,
    findings,
    health,
    leader_of,
    pause_in_words,
    why_not_in_its_place,
)
from bankrmi.foreign_text import foreign
from bankrmi.moments import as_logged
from bankrmi.replication.cause import Cause, in_words

__all__ = ["Explanation", "explain"]

_LONGEST_MS = 1e15
"""Longer than that nobody has led, whatever it says."""


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
    """Of each server, the witness and the name server: what would come of its death now."""

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
    leader = leader_of(status)
    others = [one for one in status["servers"] if one is not leader]
    judged = {one["server"]: _successor(status, leader, one) for one in others}
    may = {name: objection is None for name, (objection, _) in judged.items()}
    bank = _Bank(status=status, leader=leader, successors=[name for name in may if may[name]])
    return Explanation(
        leads=None if leader is None else leader["server"],
        now=tuple(_now(status, leader)),
        may_take_over=may,
        successors={
            name: f"{name} may take over: {why}" if objection is None else f"{name} may not: {objection}"
            for name, (objection, why) in judged.items()
        },
        if_it_died=dict(bank.deaths()),
    )


# -- now ---------------------------------------------------------------------------------------------


def _now(status: Status, leader: Status | None) -> Iterator[str]:
    code, sentence = health(status)
    if code == ExitCode.UNREACHED:
        yield f"{sentence[:1].upper()}{sentence[1:]}."
        return
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
    view = status["view"]
    if view is None:
        return "no view is known, so nobody knows who holds everything", ""
    if not one.get("in_sync"):
        why = one.get("why") or one.get("reason") or one.get("role") or "nothing is known of it"
        return f"it is not in sync, so it may lack what was acknowledged ({foreign(why)})", ""
    if not one["reachable"]:
        reached = leader.get("connected") if leader is not None else None
        if not isinstance(reached, list | tuple) or one["server"] not in reached:
            return f"it is in sync, and cannot be reached ({foreign(one.get('reason', 'no answer'))})", ""
    if not status["witness"]["reachable"]:
        return "it is in sync, but the witness cannot be reached, and nobody leads without its word", ""
    if why_not := why_not_in_its_place(one):
        return f"it is in sync, but {why_not.removeprefix(one['server'] + ' ')}", ""
    if paused := pause_in_words(status):
        by_hand = f"`bankrmi failover --to {one['server']}` lets it lead once the primary is gone"
        return f"it is in sync, but {paused}; {by_hand}", ""
    return None, "it is in sync, so it holds all that was acknowledged"


# -- what if one more died ---------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class _Bank:
    """A bank, who leads it, and who may take over."""

    status: Status
    leader: Status | None
    successors: list[str]

    def deaths(self) -> Iterator[tuple[str, str]]:
        """Yield each process, and what would come of its death."""
        for one in self.status["servers"]:
            yield one["server"], self._server(one)
        together = self.status["witness"].get("address") == self.status["nameserver"].get("address")
        yield "witness", self._witness(together=together)
        yield "nameserver", self._nameserver(together=together)

    @property
    def _can_change(self) -> bool:
        """Whether the view can change: by what is reached from here, and by what the leader reaches."""
        silent = self.leader is not None and self.leader.get("witness_silent_ms")
        return bool(self.status["witness"]["reachable"]) and not silent and self.status["view"] is not None

    def _server(self, one: Status) -> str:
        name = one["server"]
        if self.leader is None:
            return self._while_nobody_leads(one)
        if one is self.leader:
            return self._primary(name)
        if not one.get("in_sync"):
            return f"{_already(one)}nothing would change: it is not in sync, and nobody waits for it."
        return f"{_already(one)}{self._copy()}"

    def _while_nobody_leads(self, one: Status) -> str:
        if not one.get("in_sync"):
            return f"{_already(one)}nothing would change: it is not in sync."
        rest = [
            other["server"]
            for other in self.status["servers"]
            if other is not one and other.get("in_sync") and other["reachable"]
        ]
        if rest:
            return f"{_already(one)}{', '.join(rest)} would still hold all that was acknowledged."
        return f"{_already(one)}no running server would be known to hold all that was acknowledged."

    def _primary(self, name: str) -> str:
        if not self.status["witness"]["reachable"]:
            return (
                f"the bank would stand still until the witness is back: {name}, too, leads again only then."
            )
        if not self.successors:
            others = len(self.status["servers"]) > 1
            why = "nobody may take over now" if others else "there is no other server"
            if others and (paused := pause_in_words(self.status)):
                why = f"{paused}, so nobody takes over but by an operator's word"
            return f"the bank would stand still until {name} is started again: {why}."
        who = self.successors[0] if len(self.successors) == 1 else f"one of {', '.join(self.successors)}"
        return (
            f"{who} would take over, at once if the address of {name} refuses connections, else when its "
            f"lease is over{self._too_few()}."
        )

    def _copy(self) -> str:
        assert self.leader is not None
        primary = self.leader["server"]
        if not self._can_change:
            return "nothing would be acknowledged until it is back, or the witness can be reached."
        if self._copies_left < self._copies_min:
            return (
                f"nothing would be acknowledged until it is back: copies_min is {self._copies_min}, and "
                f"{self._copies_left} would be left."
            )
        alone = self._copies_left == 1
        return f"{primary} would go on without it{', as the only copy' if alone else ''}."

    def _too_few(self) -> str:
        if self._copies_left >= self._copies_min:
            return ", as the only copy" if self._copies_left == 1 else ""
        return (
            f"; but nothing would be acknowledged before another copy is in sync: copies_min is "
            f"{self._copies_min}, and {self._copies_left} would be left"
        )

    @property
    def _copies_left(self) -> int:
        view = self.status["view"]
        return max(0, len(view["in_sync"]) - 1) if view is not None else 0

    @property
    def _copies_min(self) -> int:
        told = self.status.get("copies_min")
        return told if isinstance(told, int) else 1

    def _witness(self, *, together: bool) -> str:
        one = "it is one process with the name server; " if together else ""
        stands = ", and a copy that fails stops the bank" if self._copies_left else ""
        return (
            f"{_already(self.status['witness'])}{one}clients would notice nothing; but until it is back "
            f"nobody takes over, is let in, or leads as a new process{stands}."
        )

    def _nameserver(self, *, together: bool) -> str:
        one = "it is one process with the witness; " if together else ""
        return (
            f"{_already(self.status['nameserver'])}{one}clients would use the addresses of their own "
            "configuration; one that has none finds nobody until it is back."
        )


def _already(one: Status) -> str:
    return "" if one["reachable"] else "it does not answer now; "
