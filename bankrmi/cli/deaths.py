"""What would come of it if one more process of the bank died now: from `client.overview`.  Pure.

Rule 1: what is not known is not taken for "no": without a view it is the primary's word that counts, and
        where that says nothing either, the sentence says so.
Rule 2: a keeper that holds no view, or an older one, lets nobody lead, go on without a copy, or come back
        (V9): what stands still then waits for the keeper's memory, and not for a process.
Rule 3: etcd is no process: one member may die for nothing, and the last one of a majority may not.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from bankrmi.cli.health import (
    Status,
    begun,
    keeper_answers,
    keeper_forgot,
    keeper_of,
    moved_away,
    pause_in_words,
)

__all__ = ["Deaths"]

_RESTORED = "`bankrmi witness restore`"


@dataclass(frozen=True, slots=True, kw_only=True)
class Deaths:
    """A bank, who leads it, and who may take over."""

    status: Status
    leader: Status | None
    successors: list[str]

    def each(self) -> Iterator[tuple[str, str]]:
        """Yield each process, and what would come of its death."""
        for one in self.status["servers"]:
            yield one["server"], f"{_already(one)}{self._server(one)}"
        witness, nameserver = self.status["witness"], self.status["nameserver"]
        together = witness.get("address") is not None and witness["address"] == nameserver.get("address")
        both = "it is one process with the name server; " if together else ""
        yield keeper_of(self.status).removeprefix("the "), f"{_already(witness)}{both}{self._keeper()}"
        both = "it is one process with the witness; " if together else ""
        own = "clients would use the addresses of their own configuration; one that has none finds nobody"
        yield "nameserver", f"{_already(nameserver)}{both}{own} until it is back."

    # -- of a server -------------------------------------------------------------------------------

    def _server(self, one: Status) -> str:
        if moved_away(self.status):
            return "what would come of it cannot be told by this file: the view is kept elsewhere by now."
        if self.leader is None:
            return self._while_nobody_leads(one)
        if keeper_forgot(self.status):
            return self._without_memory(self.leader, one)
        if one is self.leader:
            return self._primary(one["server"])
        if not one.get("in_sync"):
            return "nothing would change: it is not in sync, and nobody waits for it."
        return self._copy(self.leader["server"])

    def _while_nobody_leads(self, one: Status) -> str:
        if self.status["view"] is None:
            return self._before_any_view()
        if not one.get("in_sync"):
            return "nothing would change: it is not in sync."
        rest = [
            other["server"]
            for other in self.status["servers"]
            if other is not one and other.get("in_sync") and other["reachable"]
        ]
        if rest:
            return f"{', '.join(rest)} would still hold all that was acknowledged."
        return "no running server would be known to hold all that was acknowledged."

    def _before_any_view(self) -> str:
        if not keeper_answers(self.status):
            return "no view is known, so nobody knows whether it is needed."
        if begun(self.status):
            return f"{_RESTORED} would find no safe view until it is back, or given up."
        return "the bank would not begin until it is back: its first view needs every server."

    def _without_memory(self, leader: Status, one: Status) -> str:
        primary, copies = leader["server"], leader.get("copies")
        if one is leader:
            return (
                f"the bank would stand still until {self._memory}: nobody may lead before that, "
                f"{primary} itself included."
            )
        if copies == 1:
            return f"nothing would change: {primary} is the only copy, and waits for nobody."
        perhaps = ""
        if not isinstance(copies, int) or copies < len(self.status["servers"]):
            perhaps = f", if {primary} counts it among the copies"
        return f"nothing would be acknowledged until {self._memory}{perhaps}."

    @property
    def _memory(self) -> str:
        """What has to happen before anybody may lead, or go on without a copy."""
        if self.status["view"] is None:
            return _RESTORED
        return f"{keeper_of(self.status)} holds the newest view again"

    def _primary(self, name: str) -> str:
        if not keeper_answers(self.status):
            keeper = keeper_of(self.status)
            return f"the bank would stand still until {keeper} is back: {name}, too, leads again only then."
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

    def _copy(self, primary: str) -> str:
        if not self._can_change:
            keeper = keeper_of(self.status)
            return f"nothing would be acknowledged until it is back, or {keeper} can be reached."
        if self._copies_left < self._copies_min:
            return (
                f"nothing would be acknowledged until it is back: copies_min is {self._copies_min}, and "
                f"{self._copies_left} would be left."
            )
        alone = self._copies_left == 1
        return f"{primary} would go on without it{', as the only copy' if alone else ''}."

    @property
    def _can_change(self) -> bool:
        """Whether the view can change: by what is reached from here, and by what the leader reaches."""
        silent = self.leader is not None and self.leader.get("witness_silent_ms")
        return keeper_answers(self.status) and not silent

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

    # -- of who keeps the view ---------------------------------------------------------------------

    def _keeper(self) -> str:
        if moved_away(self.status):
            return "nothing would change: the view is kept elsewhere by now."
        if keeper_forgot(self.status):
            holds = "no view" if self.status["view"] is None else "an older view than the one that is led"
            return f"nothing would change: it holds {holds}, and nobody takes over until {self._memory}."
        members = self.status["witness"].get("members", ())
        if len(members) > 1 and keeper_answers(self.status):
            return self._member(len(members), sum(bool(one["reachable"]) for one in members))
        return self._without_keeper("it is back")

    def _member(self, count: int, answer: int) -> str:
        """Say what the death of one member of etcd would mean."""
        needed = count // 2 + 1
        if answer > needed:
            return (
                f"the death of any one member would change nothing: {answer} of {count} answer, and "
                f"{needed} are enough."
            )
        return (
            f"{answer} of {count} members answer, and {needed} are needed: if one of these died, "
            f"{self._without_keeper('a majority is back')}"
        )

    def _without_keeper(self, until: str) -> str:
        if self.leader is None:
            return f"nobody would lead until {until}."
        stands = ", and a copy that fails stops the bank" if self._copies_left else ""
        return (
            f"clients would notice nothing; but until {until} nobody takes over, is let in, or leads as a "
            f"new process{stands}."
        )


def _already(one: Status) -> str:
    if one["reachable"] and one.get("lets_us_in") is not False:
        return ""
    return "there is no handshake with it now; " if "denied" in one else "it does not answer now; "
