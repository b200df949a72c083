"""Operators who move the bank to a database, go on with that, or take it back, at badly timed moments (V14).

What `bankrmi migrate --to` does, step by step, each with a question to a server or to the witness, on a
database that is pretended (`pretend_database`); what it goes by is production's (`relocation.retirement`,
and what a server gives to whoever asks). Between any two steps a command may stand still for long, or end for
good; several of them are under way at once; who is asked may have led long ago.

Rule 1: drawn apart from everything else, so that the worlds in which nobody moves are what they were.
Rule 2: a bank that has opened in the database is used by nobody there. Some time later it is taken back by
        the operator's word (`--cancel --force`): he ends all commands before he says that. So he does where a
        server was forced to lead (V7), and at the end.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from bankrmi.backup.fetching import PieceAnswer, piece_answer, records_in
from bankrmi.bank.accounts import Accounts
from bankrmi.errors import BankError, OperationFailed, Unreached
from bankrmi.relocation import retirement
from bankrmi.replication.effects import Handed, Reply
from bankrmi.replication.events import Event, RetireAsked, ViewRead
from bankrmi.replication.fields import position
from bankrmi.replication.record import Position, Record, follows
from bankrmi.replication.view import View
from bankrmi.robustness.simulator.operator_command import (
    NAME,
    Answered,
    AskedProcess,
    CommandStep,
    CommandSteps,
    HeardReply,
    OperatorCommand,
    ServerQuestion,
)
from bankrmi.robustness.simulator.pretend_database import PretendDatabase, PretendRow
from bankrmi.robustness.simulator.server import SimulatedServer
from bankrmi.robustness.simulator.whole_cluster import WholeCluster

__all__ = ["BankMover"]

WORLDS = 0.2
"""In how many of them the bank is moved."""
THERE = "a database"
EVERY_MS = (300, 1_000, 4_000)
"""How often somebody begins something."""
AT_ONCE = 3
CANCELS = 0.35
ASKS_WHOEVER_LEADS = 0.3
"""How often a server is asked that says that it leads, whatever the view says."""
LOOKS = 12
LOOK_MS = 40.0
STAYS_OPEN_MS = (100, 800, 4_000)
AGAIN_MS = 60.0


class BankMover:
    """All who move the bank of one simulation, or take that back."""

    def __init__(self, cluster: WholeCluster) -> None:
        self._cluster = cluster
        self._world = cluster.world
        self._chance = random.Random(f"moves of seed {cluster.world.seed}")
        moves = self._chance.random() < WORLDS or cluster.workload.leaves
        self.moves = moves and not cluster.under_load
        self._every_ms = min(EVERY_MS) if cluster.workload.leaves else self._chance.choice(EVERY_MS)
        self._database = PretendDatabase()
        self._commands: list[OperatorCommand] = []
        self._numbers = 0
        self._takes_back = self._ends = False
        self.opened = 0
        """How often the bank has opened in the database."""
        self.cancelled = 0
        """How often it was told that the servers keep it after all."""

    def arrange(self) -> None:
        """Let them work until it is quiet, if this is a world in which the bank is moved."""
        self.moves = self.moves and isinstance(self._cluster.workload.machine(), Accounts)
        if self.moves:
            self._world.after(2 * self._every_ms * self._chance.random(), self._begin_again)

    def end(self) -> None:
        """Take it back for good, also what wins late."""
        self._ends = True
        self.give_up()

    def give_up(self) -> None:
        """End all commands, take away what is there, and have the servers keep the bank: by a word."""
        if not self.moves:
            return
        for command in self._commands:
            command.kill()
        self._database.drop_schema()
        self._cluster.stays()
        if not self._takes_back:
            self._takes_back = True
            self._reinstate_by_word()

    def _reinstate_by_word(self) -> None:
        """Ask whoever leads, again and again, until the view says it."""
        view = self._cluster.witness.view
        if view is not None and view.retired_for is None and not self._ends:
            self._takes_back = False
            return
        if view is not None and view.retired_for is not None:
            for server in self._leading():
                seen = (view.history, view.epoch)
                server.take(RetireAsked(HeardReply(lambda _: None), None, NAME, seen))
        self._world.after(AGAIN_MS, self._reinstate_by_word)

    def _leading(self) -> list[SimulatedServer]:
        return [one for one in self._cluster.servers.values() if one.replica and one.replica.primary]

    # -- what is begun ---------------------------------------------------------------------------

    def _begin_again(self) -> None:
        if self._ends:
            return
        self._commands = [one for one in self._commands if not one.over]
        if not self._takes_back and len(self._commands) < AT_ONCE:
            self._begin()
        self._world.after(2 * self._every_ms * self._chance.random(), self._begin_again)

    def _begin(self) -> None:
        self._numbers += 1
        attempt = f"attempt {self._numbers}"
        if self._is_stuck() and self._chance.random() < 0.3:
            self._world.note(NAME, "takes the move back by his word")
            self.give_up()
        elif self._chance.random() < CANCELS:
            self._commands.append(
                OperatorCommand(self._world, self._chance, f"{attempt}, to cancel", self._cancel())
            )
        else:
            self._commands.append(OperatorCommand(self._world, self._chance, attempt, self._move(attempt)))

    def _is_stuck(self) -> bool:
        """Whether no command goes on with what is there: another history, or nothing where all is retired."""
        row, view = self._database.row, self._cluster.witness.view
        if view is None or (row is None and view.retired_for is None):
            return False
        return row is None or row.history != view.history

    # -- to the database -------------------------------------------------------------------------

    def _move(self, attempt: str) -> CommandSteps:
        view = yield from self._view()
        row = self._database.row
        if row is None and view.retired_for is not None:
            raise OperationFailed("the servers are retired, and there is nothing of the bank")
        if row is not None and (row.attempt is None or row.history != view.history):
            raise OperationFailed("the bank is open there, or it is another one")
        yield self._think
        if not (yield from self._goes_on(attempt, view)):
            try:
                yield from self._bring_all(attempt, view)
            finally:
                self._database.roll_back(attempt)
        view = yield from self._view()
        if view.retired_for is None:
            yield from self._keep_up(attempt, view)
            yield from self._retire(view)
        yield from self._bring_the_rest(attempt)

    def _goes_on(self, attempt: str, view: View) -> Answered:
        """Go on with what an earlier try has brought, if the servers' journal goes on from there."""
        row = self._database.row
        if row is None or row.attempt is None:
            return False
        before, through = row.attempt, row.through
        server = self._whom_to_ask(view)
        state = yield from self._asked(server, "backup_state", through.action_id)
        if not isinstance(state, dict) or position(state["since"]) != through:
            return False
        self._database.claim(attempt, before)
        self._cluster.stays()
        return True

    def _bring_all(self, attempt: str, view: View) -> Answered:
        server = self._whom_to_ask(view)
        anew = self._database.begin(attempt)
        state = self._answer(server, (yield from self._asked(server, "backup_state", None)))
        now, begins_at = piece_answer(state), position(state["since"])
        records = [*self._cluster.acknowledged_records(0, begins_at.action_id)]
        if begins_at.action_id and (not records or records[-1].position != begins_at):
            raise OperationFailed("what was folded there is not what is known")
        yield from self._records(server, begins_at, now.acknowledged, records)
        view = yield from self._view()
        if not retirement.may_begin(view, anew=anew):
            raise OperationFailed("the servers were retired meanwhile")
        brought = PretendRow(attempt=attempt, history=now.history, begins_at=begins_at, records=records)
        self._database.commit(brought)
        self._cluster.stays()

    def _keep_up(self, attempt: str, view: View) -> Answered:
        at = self._at(attempt)
        server = self._whom_to_ask(view)
        state = yield from self._asked(server, "backup_state", at.action_id)
        now = self._since(server, state, at)
        more: list[Record] = []
        yield from self._records(server, at, now.acknowledged, more)
        self._database.bring_more(attempt, more, opens=False)

    def _retire(self, view: View) -> Answered:
        """Have the view say it; if nobody knows whether it does, look."""
        reply = yield self._order(self._whom_to_ask(view), THERE, None)
        if not isinstance(reply, Handed):
            view = yield from self._view()
            if view.retired_for != THERE:
                raise OperationFailed("they are not retired")

    def _bring_the_rest(self, attempt: str) -> Answered:
        at = self._at(attempt)
        seen = yield from self._view()
        if seen.retired_for is None:
            raise OperationFailed("they were reinstated meanwhile")
        for _ in range(LOOKS):
            server = self._whom_to_ask((yield from self._view()))
            state = yield from self._asked(server, "backup_state", at.action_id)
            if isinstance(state, dict) and retirement.is_frozen(piece_answer(state), seen):
                yield from self._bring_frozen(attempt, server, state, at, seen)
                return
            yield self._look_again
        raise OperationFailed("nobody leads as one that is retired")

    def _bring_frozen(
        self, attempt: str, server: AskedProcess, state: Any, at: Position, seen: View
    ) -> Answered:
        tip = self._since(server, state, at).tip
        rest: list[Record] = []
        now = yield from self._records(server, at, tip.action_id, rest)
        ends_at = rest[-1].position if rest else at
        now = piece_answer(state) if now is None else now
        if now.tip != ends_at or not retirement.is_frozen(now, seen):
            raise OperationFailed("it does not lead any more, retired as it was")
        row = self._database.row
        if row is not None and row.attempt == attempt:
            self._cluster.left([*row.records, *rest], opens=False)
        self._world.note(NAME, "has all that there ever is, up to action id", ends_at.action_id)
        yield self._think
        self._database.bring_more(attempt, rest, opens=True)
        assert self._database.row is not None
        self._world.note(NAME, "has the bank open in the database, up to action id", ends_at.action_id)
        self._cluster.left(self._database.row.records, opens=True)
        self.opened += 1
        self._world.after(self._chance.choice(STAYS_OPEN_MS), self.give_up)

    # -- and not after all -----------------------------------------------------------------------

    def _cancel(self) -> CommandSteps:
        seen = yield from self._view()
        yield self._think
        row = self._database.row
        if row is not None and row.attempt is not None and row.history == seen.history:
            before = row.attempt
            yield self._think
            self._database.drop(before)
            self._cluster.stays()
        elif seen.retired_for is not None:
            raise OperationFailed("the bank is open there, or there is no trace of it")
        while True:
            yield self._think
            now = yield from self._view()
            if now.retired_for is None:
                self.cancelled += 1
                return
            if not retirement.is_the_same(seen, now, reversed(self._cluster.witness.views)):
                raise OperationFailed("the servers were retired meanwhile")
            yield self._order(self._whom_to_ask(now), None, (now.history, now.epoch))

    # -- questions -------------------------------------------------------------------------------

    def _think(self, done: Callable[[object], None]) -> None:
        done(None)

    def _look_again(self, done: Callable[[object], None]) -> None:
        self._world.after(LOOK_MS, lambda: done(None))

    def _view(self) -> Answered:
        def ask(done: Callable[[object], None]) -> None:
            self._cluster.witness.read(NAME, done)

        event = yield ask
        if not isinstance(event, Event) or not isinstance(event, ViewRead) or event.view is None:
            raise Unreached("the witness does not answer, or holds no view")
        return event.view

    def _whom_to_ask(self, view: View) -> AskedProcess:
        servers, leading = self._cluster.servers, self._leading()
        server = servers[view.primary]
        if leading and self._chance.random() < ASKS_WHOEVER_LEADS:
            server = self._chance.choice(leading)
        return AskedProcess(server)

    def _asked(self, server: AskedProcess, method: str, argument: object) -> Answered:
        def ask(done: Callable[[object], None]) -> None:
            call = ServerQuestion(self._cluster, server, method, argument, done)
            self._world.send(NAME, server.name, method, call.arrives)

        return (yield ask)

    def _answer(self, server: AskedProcess, answer: Any) -> Any:
        if isinstance(answer, dict):
            return answer
        raise answer if isinstance(answer, BankError) else Unreached(f"{server.name} does not answer")

    def _since(self, server: AskedProcess, state: Any, at: Position) -> PieceAnswer:
        if position(self._answer(server, state)["since"]) != at:
            raise OperationFailed("it holds another history than what was copied")
        return piece_answer(state)

    def _records(self, server: AskedProcess, at: Position, goal: int, into: list[Record]) -> Answered:
        """Take the records up to the goal; return what the last answer said, None if none was needed."""
        now = None
        for _ in range(LOOKS + goal):
            if at.action_id >= goal:
                return now
            answer = self._answer(server, (yield from self._asked(server, "backup_records", list(at))))
            now, records = piece_answer(answer), records_in(answer, at)
            before: Position | Record = at
            for record in records:
                if not follows(record, before):
                    raise OperationFailed("it does not follow from the one before")
                before = record
            into += records
            at = records[-1].position if records else at
        raise OperationFailed("it is not acknowledged")

    def _at(self, attempt: str) -> Position:
        row = self._database.row
        if row is None or row.attempt != attempt:
            raise OperationFailed("another one works on the bank: only one can")
        return row.through

    def _order(
        self, server: AskedProcess, retired_for: str | None, seen: tuple[str, int] | None
    ) -> CommandStep:
        def order(done: Callable[[object], None]) -> None:
            def heard(reply: Reply) -> None:
                self._world.send(server.name, NAME, reply, lambda: done(reply))

            asked = RetireAsked(HeardReply(heard), retired_for, NAME, seen)
            taken = False

            def arrives() -> None:
                nonlocal taken
                if not taken and server.is_there and not self._ends:
                    taken = True  # A connection does not deliver it once more.
                    server.take(asked)

            what = "be reinstated" if retired_for is None else "be retired"
            self._world.send(NAME, server.name, what, arrives)

        return order
