"""A command of an operator, simulated: step by step, each of which waits for an answer, or for none.

Between any two steps it may stand still for long, or be killed; whom it asks may be another process by then.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Generator, Sequence
from typing import Any

from bankrmi.backup.fetching import piece_answer, records_in
from bankrmi.errors import BankError
from bankrmi.replication.effects import Reply
from bankrmi.replication.events import Event
from bankrmi.replication.record import Position
from bankrmi.rmi.turn import Line
from bankrmi.robustness.simulator.server import SimulatedServer
from bankrmi.robustness.simulator.whole_cluster import WholeCluster
from bankrmi.robustness.simulator.world import World

__all__ = [
    "NAME",
    "Answered",
    "AskedProcess",
    "CommandStep",
    "CommandSteps",
    "HeardReply",
    "OperatorCommand",
    "ServerQuestion",
]

NAME = "operator"
THINKS_MS = (0, 0, 0, 0, 0, 1, 20, 200, 5_000)
"""How long a command stands still between two steps."""
PATIENCES_MS = (60.0, 400.0, 2_500.0)
"""After so long without an answer a command gives up; what comes then is heard by nobody."""
ENDS = 0.02
"""Of the steps: after how many a command is killed."""

CommandStep = Callable[[Callable[[object], None]], None]
"""Begins what a command waits for, and hands what comes of it over."""
CommandSteps = Generator[CommandStep, object, None]
Answered = Generator[CommandStep, object, Any]
"""Some steps, with what comes of them in the end."""


class AskedProcess:
    """A process of a server that is asked; who comes after it is another one."""

    def __init__(self, server: SimulatedServer) -> None:
        self.name = server.name
        self._server = server
        self._boot = server.boot

    @property
    def is_there(self) -> bool:
        return self._server.boot == self._boot and self._server.process is not None

    @property
    def process(self) -> Any:
        return self._server.process

    def take(self, event: Event) -> None:
        self._server.take(event)


class HeardReply:
    """Where the answer to an order goes."""

    __slots__ = ("reply",)

    def __init__(self, reply: Callable[[Reply], None]) -> None:
        self.reply = reply


class ServerQuestion:
    """A question to a server (see `rmi.Call`)."""

    def __init__(
        self,
        cluster: WholeCluster,
        server: AskedProcess,
        method: str,
        argument: object,
        done: Callable[[object], None],
    ) -> None:
        self.method = method
        self.args: Sequence[object] = (argument,)
        self.kwargs: dict[str, object] = {}
        self._cluster = cluster
        self._server = server
        self._done = done
        self._was_asked = False

    def arrives(self) -> None:
        """It is there, for the process that it was meant for."""
        if self._server.is_there:
            cost_ms = self._cluster.work.page_of_accounts_ms()
            self._server.process.called(NAME, Line.OURS, cost_ms, self._ask)

    def _ask(self) -> None:
        if self._was_asked or not self._server.is_there:
            return  # A connection does not deliver it once more.
        self._was_asked = True
        try:
            self._server.process.backups.ask(self)
        except BankError as error:
            self._back(error, str(error))

    def answer(self, value: Any) -> None:
        """It leaves: what it gives of the journal was acknowledged."""
        if self.method == "backup_records":
            records = records_in(value, Position(*self.args[0]))  # type: ignore[misc]  # As it was asked.
            if records:
                self._cluster.shown(self._server.name, records[-1].action_id)
        now = piece_answer(value)
        retired = ", retired" if now.retired_for is not None else ""
        self._back(
            value, f"{self.method}: {now.acknowledged} of {now.tip.action_id} in epoch {now.epoch}{retired}"
        )

    def _back(self, value: object, words: str) -> None:
        self._cluster.world.send(self._server.name, NAME, words, lambda: self._done(value))


class OperatorCommand:
    """One command, step by step; over when it has ended, whatever answers come then."""

    def __init__(self, world: World, chance: random.Random, name: str, steps: CommandSteps) -> None:
        self._world = world
        self._chance = chance
        self._name = name
        self._steps = steps
        self._number = 0
        self.over = False
        self._world.note(NAME, "begins", name)
        self._go_on(None)

    def kill(self) -> None:
        """End it where it is."""
        if not self.over:
            self.over = True
            self._steps.close()
            self._world.note(NAME, "ends", self._name)

    def _go_on(self, answer: object) -> None:
        if self.over:
            return
        if self._chance.random() < ENDS:
            self.kill()
            return
        try:
            step = self._steps.send(answer)
        except StopIteration:
            self.over = True
            return
        except BankError as error:
            self.over = True
            self._world.note(NAME, f"{self._name} fails:", str(error))
            return
        self._number += 1
        number = self._number
        waiting = True

        def once(value: object) -> None:
            nonlocal waiting
            if waiting and self._number == number:
                waiting = False
                think_ms = self._chance.choice(THINKS_MS) * self._chance.random()
                self._world.after(think_ms, lambda: self._go_on(value))

        self._world.after(self._chance.choice(PATIENCES_MS), lambda: once(None))
        step(once)
