"""The keeper of the view, simulated: late, lost, down; and honest about who won.

Rule 1: production's witness refuses a view that can never follow; here nobody may even ask for one.
Rule 2: it has one thread: each question keeps it busy, and strangers have their share of it and no more.
"""

from __future__ import annotations

import functools
from collections.abc import Callable

from bankrmi.coordination.succession import decided
from bankrmi.replication.events import CoordinatorSilent, Event, Proposed, ViewRead
from bankrmi.replication.view import View
from bankrmi.rmi.turn import Line
from bankrmi.robustness.simulator.failure import SimulationFailure
from bankrmi.robustness.simulator.loop import Loop
from bankrmi.robustness.simulator.work import Work
from bankrmi.robustness.simulator.world import World

__all__ = ["SimulatedWitness"]

TIMEOUT_MS = 150.0
LATE_PROPOSALS_MS = (200, 1000, 3000)
LOOK_MS = 20.0
SOON_MS = 200.0

Carry = Callable[[Callable[[], None]], None]
"""Lets what is given happen when a message arrives, if it does."""


class SimulatedWitness:
    """One compare-and-set record."""

    name = "witness"

    def __init__(self, world: World) -> None:
        self.world = world
        self.view: View | None = None
        self.before: View | None = None  # What `view` has followed; None if the memory was lost in between.
        self.up = True
        self.work = Work(0)
        self.boot = 0
        self._loop = Loop(world, lambda: True, lambda: self._loop.go_on())
        self._past_histories: set[str] = set()
        self.views: list[View] = []
        """All that it remembers, oldest first."""
        self.lost: set[str] = set()  # Servers that are never heard again, not even what is on its way.
        self.on_change: Callable[[], None] = lambda: None
        self.is_well: Callable[[str], bool] = lambda _: True
        """Whether a server leads, and can be heard; to be late just when that matters."""
        self.loses: Callable[[View], bool] = lambda _: False
        """Whether a proposal gets lost on its way, as the nemesis sees it from outside."""

    def lose_memory(self) -> None:
        """Its disk is gone: another process, with another one, takes its place."""
        self.world.note(self.name, "has lost its memory")
        self.boot += 1
        self._past_histories.clear()
        self.views.clear()
        self.view = None

    def read(self, server: str, answer: Callable[[Event], None]) -> None:
        """Answer a reading, or never."""
        silent = CoordinatorSilent(proposal=False)
        self._serve(server, "read the view", answer, lambda: ViewRead(self.view, 0), silent)

    def propose(
        self, server: str, view: View, expected: tuple[str, int] | None, answer: Callable[[Event], None]
    ) -> None:
        """Decide a proposal, perhaps long after the proposer has given up; answer, or never."""

        def decide() -> Event | None:
            if self.loses(view):
                return None
            verdict = decided(self.view, expected, view, self._past_histories)
            if verdict.objection is not None:
                why = f"the witness has to refuse what {view.primary} proposes: {verdict.objection}"
                raise SimulationFailure("safety", why)
            if verdict.follows:
                self._follow(view)
                who = f"epoch {view.epoch} is {view.primary}'s, in sync"
                self.world.note(self.name, who, sorted(view.in_sync))
                self.on_change()
            return Proposed(self.view)

        world = self.world
        if self._cannot_be_reached(server) and world.chance.random() < 0.5:
            world.after(TIMEOUT_MS, lambda: answer(CoordinatorSilent(proposal=True, sent=False)))
            return
        carry: Carry = functools.partial(world.send, server, self.name, view)
        if world.happens(world.faults.late_proposal):
            carry = functools.partial(self._carry_late, carry, view)
        self._serve(server, view, answer, decide, CoordinatorSilent(proposal=True), carry)

    def _carry_late(self, carry: Carry, view: View, arrive: Callable[[], None]) -> None:
        """Carry a proposal after a while; a takeover soon after the primary that was silent is well again."""
        chance = self.world.chance
        wait_ms = chance.choice(LATE_PROPOSALS_MS) * chance.random()
        taken_over = self.view is not None and view.primary != self.view.primary and not view.handed_over_by
        if self.view is None or not taken_over or chance.random() < 0.5:
            self.world.after(wait_ms, lambda: carry(arrive))
            return
        primary, ends_ms = self.view.primary, self.world.now_ms + LATE_PROPOSALS_MS[-1]

        def look() -> None:
            if self.world.now_ms >= ends_ms:
                carry(arrive)
            elif self.is_well(primary):
                self.world.after(SOON_MS * chance.random(), lambda: carry(arrive))
            else:
                self.world.after(LOOK_MS, look)

        look()

    def called_by_stranger(self, boot: int, caller: str, cost_ms: float, served: Callable[[], None]) -> bool:
        """Somebody's message arrives that costs only time; False if nobody is there."""
        if not self.up or self.boot != boot:
            return False
        self._loop.call(caller, Line.STRANGERS, cost_ms, served)
        return True

    def _cannot_be_reached(self, server: str) -> bool:
        """Whether nobody would answer a new connection; one that was there before carries what is sent."""
        return self.world.are_apart(server, self.name) or not self.up

    def _follow(self, view: View) -> None:
        if self.view is not None and self.view.history != view.history:
            self._past_histories.add(self.view.history)
        self.before, self.view = self.view, view
        self.views.append(view)

    def _serve(
        self,
        server: str,
        asked: object,
        answer: Callable[[Event], None],
        decide: Callable[[], Event | None],
        silent: Event,
        carry: Carry | None = None,
    ) -> None:
        over, life = False, self.boot

        def end(event: Event) -> None:
            nonlocal over
            if not over:
                over = True
                answer(event)

        def arrive() -> None:
            if self.up and self.boot == life and server not in self.lost:
                self._loop.arrive(serve)

        def serve() -> None:
            if not self.up or self.boot != life or server in self.lost:
                return
            reply = decide()
            cost_ms = self.work.witness_ms(proposed=isinstance(reply, Proposed))
            self._loop.spend(cost_ms)
            if reply is not None and not self.world.happens(self.world.faults.witness_loss):
                self.world.after(
                    cost_ms, lambda: self.world.send(self.name, server, reply, lambda: end(reply))
                )

        if carry is None:
            self.world.send(server, self.name, asked, arrive)
        else:
            carry(arrive)
        self.world.after(TIMEOUT_MS, lambda: end(silent))
