"""The keeper of the view, simulated: late, lost, down; and honest about who won.

Rule: production's witness refuses a view that can never follow; here nobody may even ask for one.
"""

from __future__ import annotations

from collections.abc import Callable

from bankrmi.coordination.succession import objection
from bankrmi.replication.events import CoordinatorSilent, Event, Proposed, ViewRead
from bankrmi.replication.view import View
from bankrmi.robustness.simulator.failure import Failure
from bankrmi.robustness.simulator.world import World

__all__ = ["SimulatedWitness"]

TIMEOUT_MS = 150.0
LATE_PROPOSALS_MS = (200, 1000, 3000)


class SimulatedWitness:
    """One compare-and-set record."""

    name = "witness"

    def __init__(self, world: World) -> None:
        self.world = world
        self.view: View | None = None
        self.up = True
        self._life = 0
        self._past_histories: set[str] = set()
        self.lost: set[str] = set()  # Servers that are never heard again, not even what is on its way.
        self.on_change: Callable[[], None] = lambda: None
        self.loses: Callable[[View], bool] = lambda _: False
        """Whether a proposal gets lost on its way, as seen from outside: see `Simulation`."""

    def lose_memory(self) -> None:
        """Its disk is gone: another process, with another one, takes its place."""
        self.world.note(self.name, "has lost its memory")
        self._life += 1
        self._past_histories.clear()
        self.view = None

    def read(self, server: str, since_epoch: int, answer: Callable[[Event], None]) -> None:
        """Answer a reading, or never."""
        silent = CoordinatorSilent(proposal=False)
        self._serve(server, "read the view", answer, lambda: ViewRead(self.view, since_epoch), silent)

    def propose(
        self, server: str, view: View, expected: tuple[str, int] | None, answer: Callable[[Event], None]
    ) -> None:
        """Decide a proposal, perhaps long after the proposer has given up; answer, or never."""

        def decide() -> Event | None:
            if self.loses(view):
                return None
            known = (self.view.history, self.view.epoch) if self.view is not None else None
            if known == expected:
                self._follow(view)
                who = f"epoch {view.epoch} is {view.primary}'s, in sync"
                self.world.note(self.name, who, sorted(view.in_sync))
                self.on_change()
            return Proposed(self.view)

        world, late_ms = self.world, 0.0
        if self._cannot_be_reached(server) and world.chance.random() < 0.5:
            world.after(TIMEOUT_MS, lambda: answer(CoordinatorSilent(proposal=True, sent=False)))
            return
        if world.happens(world.faults.late_proposal):
            late_ms = world.chance.choice(LATE_PROPOSALS_MS) * world.chance.random()
        self._serve(server, view, answer, decide, CoordinatorSilent(proposal=True), late_ms)

    def _cannot_be_reached(self, server: str) -> bool:
        """Whether nobody would answer a new connection; one that was there before carries what is sent."""
        cut = self.world.is_cut(server, self.name) or self.world.is_cut(self.name, server)
        return cut or not self.up

    def _follow(self, view: View) -> None:
        why = objection(self.view, view, self._past_histories)
        if why is not None:
            raise Failure("safety", f"the witness has to refuse what {view.primary} proposes: {why}")
        if self.view is not None and self.view.history != view.history:
            self._past_histories.add(self.view.history)
        self.view = view

    def _serve(
        self,
        server: str,
        asked: object,
        answer: Callable[[Event], None],
        decide: Callable[[], Event | None],
        silent: Event,
        late_ms: float = 0.0,
    ) -> None:
        over, life = False, self._life

        def end(event: Event) -> None:
            nonlocal over
            if not over:
                over = True
                answer(event)

        def arrive() -> None:
            if not self.up or self._life != life or server in self.lost:
                return
            reply = decide()
            if reply is not None and not self.world.happens(self.world.faults.witness_loss):
                self.world.send(self.name, server, reply, lambda: end(reply))

        self.world.send(server, self.name, asked, arrive, late_ms)
        self.world.after(TIMEOUT_MS, lambda: end(silent))
