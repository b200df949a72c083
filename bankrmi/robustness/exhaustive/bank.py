"""Everything that can happen next to a bank.

Rule 1: each connection keeps its order; what was sent on one that broke may still arrive, whenever it likes,
        between what is sent on the next one, or never. Its answers reach nobody.
Rule 2: answers of the witness are as late as they like: a reading tells any view there was since it began, a
        proposal may be decided long after its sender gave up.
Rule 3: crashes, losses and retries are taken from what is left of them; all else is always possible.

Steps that only wait are joined, where every order stays possible: a connection is up when both sides know;
a look at an address sees any state of it since the look began; a request arrives when it is asked (being
late on the way is the same as being asked late), unless the client gives it up for late and asks elsewhere;
an answer to the client arrives when it leaves, or is lost.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from bankrmi.coordination.succession import decided
from bankrmi.replication.effects import Decided
from bankrmi.replication.view import View
from bankrmi.robustness.exhaustive import client
from bankrmi.robustness.exhaustive.forgetting import CHECKPOINTS, OTHERS_JOINING, OWN_JOINING
from bankrmi.robustness.exhaustive.scribe import Deed
from bankrmi.robustness.exhaustive.server import Happening, Servers
from bankrmi.robustness.exhaustive.state import (
    ACKNOWLEDGED,
    ANSWERED,
    ANSWERS,
    ASKED,
    BROKEN,
    COPIES,
    CRASHES,
    DOWN,
    IDLE,
    LATE_PROPOSALS,
    LATE_REQUESTS,
    LINK,
    LOOKS,
    LOSSES,
    PROPOSAL,
    READING,
    REQUESTS,
    RETRIES,
    SERVER,
    SWITCHOVERS,
    UP,
    VIEW,
    BrokenPromise,
    Label,
    Move,
    State,
    TimeModel,
)

__all__ = ["MoveGenerator"]


class MoveGenerator:
    """What can happen to a bank."""

    def __init__(self, servers: Servers, pace: TimeModel) -> None:
        self.servers = servers
        self.pace = pace
        self._kept = servers.kept
        self._objections: dict[tuple[int, int, int], tuple[int, str]] = {}

    # -- what can happen -------------------------------------------------------------------------

    def moves(self, state: State) -> list[Move]:
        """Return everything that can happen without haste, and the bank after it; raise BrokenPromise."""
        return self.without_time(state) + (self.time_passes(state) if self._is_quiet(state) else [])

    def hasty_moves(self, state: State) -> list[Move]:
        """Return what happens in haste: time runs out that should have been enough."""
        found = [] if self._is_quiet(state) else self.time_passes(state)
        if not self.pace.everywhere:
            self._ticks(found, state, self.pace.long_ms)
        return found

    def time_passes(self, state: State) -> list[Move]:
        """Let a moment pass, at one server or at all."""
        found: list[Move] = []
        if self.pace.everywhere:
            found.append(self._wait(state, self.pace.moment_ms))
        else:
            self._ticks(found, state, self.pace.moment_ms)
        return found

    def _ticks(self, found: list[Move], state: State, ms: float) -> None:
        for place in (0, 1):
            if self.servers.glances[state[SERVER[place]]].alive:
                self._happen(found, state, place, ("tick", ms))

    def without_time(self, state: State) -> list[Move]:
        """Return what can happen without any time passing."""
        found: list[Move] = []
        for place in (0, 1):
            if self.servers.glances[state[SERVER[place]]].alive:
                self._messages(found, state, place)
                self._connections(found, state, place)
                self._witness_answers(found, state, place)
                self._own_steps(found, state, place)
            else:
                found.append((("starts", place), self._started(state, place)))
        self._witness(found, state)
        self._client(found, state)
        if state[LOSSES]:
            self._losses(found, state)
        return found

    def _happen(
        self,
        found: list[Move],
        state: State,
        place: int,
        happening: Happening,
        changes: Iterable[tuple[int, Any]] = (),
        *,
        answered: bool = True,
    ) -> None:
        """Let something happen to a server: it does all that it wants, or crashes on the way."""
        outcome = self.servers.step(state[SERVER[place]], happening)
        label: Label = (place, happening)
        if outcome.broken:
            raise BrokenPromise(label, outcome.broken)
        before = list(state)
        for field, value in changes:
            before[field] = value
        after = before.copy()
        after[SERVER[place]] = outcome.server
        heard = self._do(after, place, outcome.deeds, label, answered=answered)
        found.append((label, self._settled(after)))
        if heard and after[LOSSES]:
            after[ANSWERED], after[ASKED] = before[ANSWERED], (before[ASKED][0], None)
            after[LOSSES] -= 1
            found.append(((*label, "and the client does not hear the answer"), self._settled(after)))
        if state[CRASHES]:
            for dead, deeds in outcome.crashes:
                after = before.copy()
                crash: Label = (*label, f"and crashes after {len(deeds)} effects")
                self._do(after, place, deeds, crash, answered=answered)
                self._crash(after, place, dead)
                found.append((crash, self._settled(after)))

    def _messages(self, found: list[Move], state: State, place: int) -> None:
        """What the other server sent."""
        other = 1 - place
        field = REQUESTS[other]
        waiting = state[field]
        if waiting:
            self._happen(found, state, place, ("message", waiting[0]), ((field, waiting[1:]),))
        field = LATE_REQUESTS[other]
        waiting = state[field]
        if waiting:
            rest = ((field, waiting[1:]),)
            self._happen(found, state, place, ("message", waiting[0]), rest, answered=False)
        field = ANSWERS[place]
        waiting = state[field]
        if waiting:
            self._happen(found, state, place, ("answer", waiting[0]), ((field, waiting[1:]),))

    def _connections(self, found: list[Move], state: State, place: int) -> None:
        link, other = state[LINK[place]], 1 - place
        glance = self.servers.glances[state[SERVER[other]]]
        if link == BROKEN:
            lost = ((LINK[place], DOWN), (ANSWERS[place], ()))
            self._happen(found, state, place, ("link down",), lost)
        elif link == DOWN and glance.alive:
            self._happen(found, state, place, ("link up", glance.boot), ((LINK[place], UP),))
        looks = state[LOOKS[place]]
        for index, sights in enumerate(looks):
            rest = ((LOOKS[place], looks[:index] + looks[index + 1 :]),)
            for sight in sights:
                self._happen(found, state, place, ("probed", index, sight), rest)

    def _witness_answers(self, found: list[Move], state: State, place: int) -> None:
        reading = state[READING[place]]
        if reading is not None:
            since_epoch, views = reading
            for view in views:
                self._happen(found, state, place, ("view", view, since_epoch), ((READING[place], None),))
        proposal = state[PROPOSAL[place]]
        if proposal is not None and proposal[0] == "decided":
            self._happen(found, state, place, ("proposed", proposal[1]), ((PROPOSAL[place], None),))

    def _own_steps(self, found: list[Move], state: State, place: int) -> None:
        glance = self.servers.glances[state[SERVER[place]]]
        if glance.has_work:
            self._happen(found, state, place, ("proceed",))
        if glance.due:
            self._happen(found, state, place, ("tick", 0.001))
        if state[CRASHES]:
            after = list(state)
            self._crash(after, place, glance.idle_crash)
            found.append((("crashes", place), self._settled(after)))
        if state[SWITCHOVERS] and glance.leads >= 0:
            self._happen(found, state, place, ("switch over",), ((SWITCHOVERS, state[SWITCHOVERS] - 1),))

    def _wait(self, state: State, ms: float) -> Move:
        """Let time pass everywhere; each server notices when it gets to it."""
        after = list(state)
        for field in SERVER:
            after[field] = self.servers.wait(state[field], ms)
        return ("time passes",), tuple(after)

    def _is_quiet(self, state: State) -> bool:
        """Whether nothing is under way that a server waits for, so that time passes before anything else."""
        return not (
            any(state[REQUESTS[0] : LATE_REQUESTS[0]])
            or any(state[ANSWERS[0] : LINK[0]])
            or BROKEN in state[LINK[0] : READING[0]]
            or state[READING[0] : VIEW] != IDLE
            or any(self.servers.glances[state[field]].due for field in SERVER)
        )

    # -- the witness -----------------------------------------------------------------------------

    def _witness(self, found: list[Move], state: State) -> None:
        for place in (0, 1):
            proposal = state[PROPOSAL[place]]
            if proposal is not None and proposal[0] == "asked":
                label: Label = ("the witness decides", place, proposal[1])
                after = self._decided(state, label, proposal[1], proposal[2])
                after[PROPOSAL[place]] = ("decided", after[VIEW])
                found.append((label, self._settled(after)))
        for proposal in state[LATE_PROPOSALS]:
            label = ("the witness decides late", None, proposal[0])
            after = self._decided(state, label, *proposal)
            after[LATE_PROPOSALS] = tuple(one for one in after[LATE_PROPOSALS] if one != proposal)
            found.append((label, self._settled(after)))

    def _decided(self, state: State, label: Label, number: int, expected: tuple[str, int]) -> list[Any]:
        after = list(state)
        current: View = self._kept[state[VIEW]]
        proposed: View = self._kept[number]
        verdict = decided(current, expected, proposed)
        if verdict.objection is not None:
            raise BrokenPromise(label, f"the witness has to refuse: {verdict.objection}")
        if not verdict.follows:
            return after
        after[VIEW] = number
        for field in READING:
            if after[field] is not None:
                since_epoch, views = after[field]
                after[field] = (since_epoch, (*views, number))
        # What can no longer win, and has nobody to tell, is as good as lost.
        after[LATE_PROPOSALS] = tuple(one for one in after[LATE_PROPOSALS] if one[1][1] >= proposed.epoch)
        return after

    # -- the client ------------------------------------------------------------------------------

    def _client(self, found: list[Move], state: State) -> None:
        for copy in state[COPIES]:
            request, place = copy
            rest = list(state[COPIES])
            rest.remove(copy)
            self._happen(found, state, place, ("ask", request), ((COPIES, tuple(rest)),))
        asked = state[ASKED]
        if asked is None:
            for request in client.WANTED[state[ANSWERED]]:
                self._asks(found, state, request)
        elif asked[1] is None:
            self._asks(found, state, asked[0])
        elif state[RETRIES]:
            after = list(state)
            after[RETRIES] -= 1
            after[ASKED] = (asked[0], None)
            found.append((("the client waits no longer", asked[1], asked[0]), tuple(after)))

    def _asks(self, found: list[Move], state: State, request: int) -> None:
        for place in (0, 1):
            if self.servers.glances[state[SERVER[place]]].alive:
                self._happen(found, state, place, ("ask", request), ((ASKED, (request, place)),))
                if state[RETRIES]:
                    after = list(state)
                    after[RETRIES] -= 1
                    after[ASKED] = (request, None)
                    after[COPIES] = tuple(sorted((*state[COPIES], (request, place))))
                    found.append((("the request is late", place, request), tuple(after)))

    # -- losses ----------------------------------------------------------------------------------

    def _losses(self, found: list[Move], state: State) -> None:
        for place in (0, 1):
            for field in (REQUESTS[place], ANSWERS[place]):
                if state[field]:
                    after = list(state)
                    after[field] = state[field][1:]
                    after[LOSSES] -= 1
                    found.append((("lost", place, state[field][0]), self._settled(after)))
            if state[LINK[place]] == UP:
                after = list(state)
                self._break(after, place)
                after[LOSSES] -= 1
                found.append((("the connection breaks", place), self._settled(after)))
            self._silences(found, state, place)

    def _silences(self, found: list[Move], state: State, place: int) -> None:
        """What a server asked, and never hears the answer of."""
        if not self.servers.glances[state[SERVER[place]]].alive:
            return
        once = (LOSSES, state[LOSSES] - 1)
        if state[READING[place]] is not None:
            self._happen(found, state, place, ("silence", False), (once, (READING[place], None)))
        proposal = state[PROPOSAL[place]]
        if proposal is not None:
            changes = [once, (PROPOSAL[place], None)]
            if proposal[0] == "asked":
                changes.append((LATE_PROPOSALS, _with(state[LATE_PROPOSALS], proposal[1:])))
            self._happen(found, state, place, ("silence", True), changes)
        looks = state[LOOKS[place]]
        for index in range(len(looks)):
            rest = (LOOKS[place], looks[:index] + looks[index + 1 :])
            self._happen(found, state, place, ("probed", index, "nothing"), (once, rest))

    # -- what servers do -------------------------------------------------------------------------

    def _do(
        self, after: list[Any], place: int, deeds: tuple[Deed, ...], label: Label, *, answered: bool
    ) -> bool:
        """Carry out effects; return whether the client was told what it waits for."""
        heard, other = False, 1 - place
        for deed in deeds:
            kind = deed[0]
            if kind == "send":
                if after[LINK[place]] == UP:
                    after[REQUESTS[place]] += (deed[1],)
            elif kind == "answer":
                if deed[1] >= 0 and answered and after[LINK[other]] == UP:
                    after[ANSWERS[other]] += (deed[1],)
            elif kind == "reply":
                heard = self._reply(after, deed[1], deed[2], label) or heard
            elif kind == "read":
                after[READING[place]] = (deed[1], (after[VIEW],))
            elif kind == "propose":
                after[PROPOSAL[place]] = ("asked", deed[1], deed[2])
            else:
                after[LOOKS[place]] += ((self._sight(after, other),),)
        return heard

    def _settled(self, after: list[Any]) -> State:
        """Return the bank without what can make no difference any more."""
        quiet = [0, 0]
        for place, other in ((0, 1), (1, 0)):
            late = after[LATE_REQUESTS[place]]
            if late:
                late = after[LATE_REQUESTS[place]] = self.servers.in_time(after[SERVER[other]], late)
            if not after[REQUESTS[place]] and not after[ANSWERS[place]]:
                quiet[place] |= CHECKPOINTS
                if not late:
                    quiet[place] |= OWN_JOINING
                    quiet[other] |= OTHERS_JOINING
        for place in (0, 1):
            after[SERVER[place]] = self.servers.calm(after[SERVER[place]], quiet[place])
        return tuple(after)

    def _sight(self, state: list[Any], place: int) -> int | str:
        glance = self.servers.glances[state[SERVER[place]]]
        return glance.boot if glance.alive else "refused"

    def _reply(self, after: list[Any], token: Any, number: int, label: Label) -> bool:
        if not isinstance(token, int):
            return False  # An operator's.
        reply = self._kept[number]
        key = (token, number, after[ACKNOWLEDGED])
        known = self._objections.get(key)
        if known is None:
            acknowledged = self._kept[after[ACKNOWLEDGED]]
            why = client.objection(token, reply, acknowledged)
            told = {*acknowledged, *([reply.record] if isinstance(reply, Decided) else [])}
            known = self._objections[key] = (self._kept.number(tuple(sorted(told))), why)
        after[ACKNOWLEDGED], why = known
        if why:
            raise BrokenPromise(label, why)
        if after[ASKED] is None or after[ASKED][0] != token:
            return False
        if not client.is_answer(reply):
            after[ASKED] = (token, None)
            return False
        after[ASKED] = None
        after[ANSWERED] += 1
        return True

    def _break(self, after: list[Any], place: int) -> None:
        """The connection of a server to the other one is gone; it has not been told."""
        after[LINK[place]] = BROKEN
        after[LATE_REQUESTS[place]] += after[REQUESTS[place]]
        after[REQUESTS[place]] = ()

    def _crash(self, after: list[Any], place: int, dead: int | None) -> None:
        other = 1 - place
        after[SERVER[place]] = dead
        after[CRASHES] -= 1
        after[LATE_REQUESTS[place]] += after[REQUESTS[place]]
        after[REQUESTS[place]] = after[ANSWERS[place]] = ()
        after[REQUESTS[other]] = after[LATE_REQUESTS[other]] = ()
        after[LINK[place]] = DOWN
        if after[LINK[other]] == UP:
            after[LINK[other]] = BROKEN
        after[READING[place]] = None
        proposal = after[PROPOSAL[place]]
        if proposal is not None and proposal[0] == "asked":
            after[LATE_PROPOSALS] = _with(after[LATE_PROPOSALS], proposal[1:])
        after[PROPOSAL[place]] = None
        after[LOOKS[place]] = ()
        after[LOOKS[other]] = tuple(_seen(sights, "refused") for sights in after[LOOKS[other]])
        if after[ASKED] is not None and after[ASKED][1] == place:
            after[ASKED] = (after[ASKED][0], None)
        after[COPIES] = tuple(copy for copy in after[COPIES] if copy[1] != place)

    def _started(self, state: State, place: int) -> State:
        after = list(state)
        after[SERVER[place]] = self.servers.start(state[SERVER[place]])
        boot = self.servers.glances[after[SERVER[place]]].boot
        looks = LOOKS[1 - place]
        after[looks] = tuple(_seen(sights, boot) for sights in state[looks])
        return tuple(after)


def _with(proposals: tuple[Any, ...], proposal: tuple[Any, ...]) -> tuple[Any, ...]:
    """Return the late proposals with one more; one that arrives twice is decided once."""
    return tuple(sorted({*proposals, proposal}))


def _seen(sights: tuple[Any, ...], sight: int | str) -> tuple[Any, ...]:
    return sights if sight in sights else (*sights, sight)
