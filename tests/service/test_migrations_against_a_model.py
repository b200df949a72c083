"""Three copies of a class that is changed, against a dict: who leads changes, and what only one holds is
taken back.

Each copy may have old code or new; the one that leads migrates when all have new code. A lead that is lost
takes with it what nobody else was told, migrations too.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from bankrmi.replication.record import Record, unpacked
from bankrmi.service.calls import Raised, result_of
from tests.examples import examples
from tests.service.changed_classes import Broken, Stock1
from tests.service.copies import Copy

NAMES = st.sampled_from(["fig", "kiwi", "pear"])
COPIES = "abc"
State = tuple[int, dict[str, tuple[int, int]]]
"""The version, and of each thing how many there are, and what it costs (10 for each, before version 2)."""


class ChangedWhileItIsLed(RuleBasedStateMachine):
    """`leads` decides; what it has decided is told to the others, or lost with the lead."""

    @initialize()
    def begin(self) -> None:
        self.folder = tempfile.TemporaryDirectory()
        self.copies = {
            name: Copy(Path(self.folder.name) / name / "db", Stock1, clients=name) for name in COPIES
        }
        self.new = dict.fromkeys(COPIES, False)
        self.leads = "a"
        self.states: list[State] = [(1, {})]
        self.records: list[Record] = []
        self.told = dict.fromkeys(COPIES, 0)

    @property
    def leader(self) -> Copy:
        return self.copies[self.leads]

    def decided(self, record: Record, state: State) -> Any:
        self.records.append(record)
        self.states.append(state)
        self.told[self.leads] = len(self.records)
        return unpacked(record.outcomes)[0]

    def all_know(self) -> bool:
        """Whether the newest record is everywhere: nothing is decided after a migration before."""
        return min(self.told.values()) == len(self.records)

    @rule(name=NAMES, count=st.integers(1, 4))
    def put(self, name: str, count: int) -> None:
        if self.records and self.records[-1].session.startswith("~") and not self.all_know():
            return
        version, things = self.states[-1]
        had, _ = things.get(name, (0, 0))
        after = {**things, name: (had + count, 10 * (had + count) if version == 1 else 7)}
        record = self.leader.decide("put", name, count)
        assert result_of(self.decided(record, (version, after))) == had + count

    @rule(name=NAMES)
    def drop(self, name: str) -> None:
        if self.records and self.records[-1].session.startswith("~") and not self.all_know():
            return
        version, things = self.states[-1]
        record = self.leader.decide("drop", name)
        self.decided(record, (version, {one: had for one, had in things.items() if one != name}))

    @precondition(lambda self: all(self.new.values()))
    @rule()
    def migrate(self) -> None:
        if not self.all_know():
            return
        version, things = self.states[-1]
        outcome = self.decided(self.leader.migrate(2), self.states[-1])
        try:
            result_of(outcome)
            assert version == 1
            assert "pear" not in things
            self.states[-1] = 2, things
        except Raised as raised:
            assert version == 2 or ("pear" in things and raised.name == "KeyError")

    @rule(name=st.sampled_from(COPIES), count=st.integers(1, 4))
    def tell(self, name: str, count: int) -> None:
        some = self.records[self.told[name] : self.told[name] + count]
        if some:
            self.copies[name].follow(*some)
            self.told[name] += len(some)

    @rule(name=st.sampled_from(COPIES))
    def start_again(self, name: str) -> None:
        self.copies[name].crash()

    @rule(name=st.sampled_from(COPIES))
    def get_new_code(self, name: str) -> None:
        self.copies[name].change(Broken)
        self.new[name] = True

    @rule(name=st.sampled_from(COPIES))
    def take_over(self, name: str) -> None:
        """What this one was not told is taken back by all others; of a migration that can be one record."""
        to = self.told[name]
        for other, copy in self.copies.items():
            if self.told[other] > to:
                copy.journal.roll_back(to)
                copy.journal.commit()
                self.told[other] = to
        del self.records[to:], self.states[to + 1 :]
        self.leads = name

    @invariant()
    def every_copy_is_what_the_model_says(self) -> None:
        for name, copy in self.copies.items():
            version, things = self.states[self.told[name]]
            assert copy.journal.version == version
            for thing in ("fig", "kiwi", "pear"):
                assert copy.ask("get", thing) == things.get(thing, (0, 0))[0]
                if version == 2:
                    assert copy.ask("price", thing) == things.get(thing, (0, 0))[1]

    def teardown(self) -> None:
        if not hasattr(self, "copies"):
            return
        try:
            for name in COPIES:
                self.tell(name, len(self.records) + 1)
            states = [copy.state() for copy in self.copies.values()]
            assert states[0] == states[1] == states[2]
        finally:
            for copy in self.copies.values():
                copy.journal.close()
            self.folder.cleanup()


ChangedWhileItIsLed.TestCase.settings = settings(
    max_examples=examples(8), stateful_step_count=25, deadline=None
)
TestChangedWhileItIsLed = ChangedWhileItIsLed.TestCase
