"""Turns in real event loops: the one that servers run on, and asyncio's own."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine

import pytest

from bankrmi.event_loop import new_event_loop
from bankrmi.rmi.rounds import Rounds, now_ms
from bankrmi.rmi.turn import Line

LOOPS = {"a server's": new_event_loop, "asyncio's": asyncio.new_event_loop}
OWED_MS = 20_000.0


class Caller:
    """Wants a few things, each of which takes no time."""

    has_answer = False
    was_message = True

    def __init__(self, line: Line, things: int) -> None:
        self.line = line
        self.is_in_line = False
        self.waits_since = self.waited_ms = 0.0
        self.left = things

    def work(self) -> bool:
        self.left -= 1
        return self.left > 0


@pytest.mark.parametrize("line", [Line.OURS, Line.SERVERS])
@pytest.mark.parametrize("loop", LOOPS)
def test_nobody_waits_until_strangers_may_go_on(loop: str, line: Line) -> None:
    """They have cost so much that they pause for a minute; whoever comes meanwhile is served at once."""

    async def work() -> None:
        rounds = Rounds(strangers_share=0.25)
        rounds.use(asyncio.get_running_loop())
        rounds.turn.charge(Line.STRANGERS, OWED_MS)
        stranger = Caller(Line.STRANGERS, 3)
        rounds.wait(stranger)
        await asyncio.sleep(0.01)
        assert stranger.left > 0, "they do not pause, so this tells nothing"
        for _ in range(3):
            caller = Caller(line, 3)
            rounds.arrived(caller)
            async with asyncio.timeout(10):
                while caller.left:
                    await asyncio.sleep(0)

    run_in(LOOPS[loop], work())


def run_in(make: Callable[[], asyncio.AbstractEventLoop], work: Coroutine[object, object, None]) -> None:
    with asyncio.Runner(loop_factory=make) as runner:
        runner.run(work)


def test_rounds_know_what_is_a_piece_of_an_answer() -> None:
    """Who was dear stays so, however many he is sent."""

    async def work() -> None:
        rounds = Rounds(strangers_share=0.25)
        rounds.use(asyncio.get_running_loop())
        caller = Caller(Line.OURS, 20)
        caller.has_answer, caller.was_message = True, False
        rounds.turn.spent(caller, Line.OURS, 5.0)
        rounds.arrived(caller)
        async with asyncio.timeout(10):
            while caller.left:
                await asyncio.sleep(0)
        assert caller in rounds.turn._dear

    asyncio.run(work())


def test_who_stands_in_line_and_sends_something_else_waits_since_then() -> None:
    """What he was put in line for was answered meanwhile: the next one has not waited with it."""

    async def work() -> None:
        rounds = Rounds(strangers_share=0.25)
        rounds.use(asyncio.get_running_loop())
        rounds.turn.spent(object(), Line.OURS, 1000.0)  # type: ignore[arg-type]  # Nobody is served at once.
        caller = Caller(Line.OURS, 1)
        rounds.arrived(caller)
        caller.waits_since -= 300.0
        rounds.arrived(caller)
        assert now_ms() - caller.waits_since < 300.0

    asyncio.run(work())
