"""What happens to two copies, whatever is replicated: one decides, the other is told, later; both crash; it
is taken back.

A state of the model is kept for each action id; what it is, and what is called, the tests say.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any, ClassVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from bankrmi.replication.record import Record, unpacked
from bankrmi.service import Service
from tests.service.copies import Copy

__all__ = ["TwoCopies"]


class TwoCopies(RuleBasedStateMachine):
    """`leads` decides; `follows` is told, later."""

    kind: ClassVar[type[Service]]

    def begin_with(self, state: Any) -> None:
        """Begin with this state of the model."""
        self.folder = tempfile.TemporaryDirectory()
        self.leads, self.follows = (Copy(Path(self.folder.name) / name / "db", self.kind) for name in "ab")
        self.states: list[Any] = [state]  # By action id.
        self.records: list[Record] = []
        self.told = self.committed = 0

    def decided(self, state: Any, method: str, *args: Any) -> Any:
        """Decide a call, after which the model is in this state; return what came of it."""
        record = self.leads.decide(method, *args, commits=False)
        self.records.append(record)
        self.states.append(state)
        return unpacked(record.outcomes)[0]

    @rule()
    def commit(self) -> None:
        self.leads.journal.commit()
        self.committed = len(self.records)

    @precondition(lambda self: self.told < self.committed)
    @rule(count=st.integers(1, 4))
    def tell(self, count: int) -> None:
        some = self.records[self.told : min(self.told + count, self.committed)]
        self.follows.follow(*some)
        self.told += len(some)

    @rule(crashes=st.booleans())
    def start_again(self, crashes: bool) -> None:
        if crashes:
            self.leads.crash()
        else:
            self.leads.restart()
        kept = self.leads.journal.tip.action_id
        assert kept >= self.committed
        del self.records[kept:], self.states[kept + 1 :]

    @rule()
    def follower_starts_again(self) -> None:
        self.follows.crash()

    @rule(back=st.integers(1, 5))
    def take_back(self, back: int) -> None:
        to = max(0, len(self.records) - back)
        self.leads.journal.roll_back(to)
        self.leads.journal.commit()
        if self.told > to:
            self.follows.journal.roll_back(to)
            self.follows.journal.commit()
            self.told = to
        del self.records[to:], self.states[to + 1 :]
        self.committed = to

    def teardown(self) -> None:
        if not hasattr(self, "leads"):
            return
        try:
            self.commit()
            if self.told < len(self.records):
                self.follows.follow(*self.records[self.told :])
            assert self.leads.state() == self.follows.state()
        finally:
            self.leads.journal.close()
            self.follows.journal.close()
            self.folder.cleanup()
