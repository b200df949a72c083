"""Two copies of a service against plain Python: whatever is called, fails, is taken back, or crashes.

The model is a dict and nothing of ours; a state of it is kept for each action id.
"""

from __future__ import annotations

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, invariant, rule

from bankrmi.service import Service, query, update
from bankrmi.service.calls import Raised, result_of
from tests.examples import examples
from tests.service.two_copies import TwoCopies

NAMES = st.sampled_from("abcd")
COUNTS = st.integers(-3, 5)


class Negative(Exception):
    pass


class Stock(Service):
    """Items in boxes; a trigger counts what happens, a foreign key takes items along with their box."""

    def create(self) -> None:
        self.db.execute("CREATE TABLE box (name TEXT PRIMARY KEY NOT NULL) WITHOUT ROWID")
        self.db.execute(
            "CREATE TABLE item (box TEXT NOT NULL REFERENCES box ON DELETE CASCADE, number INTEGER NOT NULL, "
            "count INTEGER NOT NULL CHECK (count < 100), PRIMARY KEY (box, number))"
        )
        self.db.execute("CREATE TABLE tally (name TEXT PRIMARY KEY NOT NULL, count INTEGER NOT NULL)")
        self.db.execute("INSERT INTO tally VALUES ('items', 0)")
        self.db.execute(
            "CREATE TRIGGER counted AFTER INSERT ON item "
            "BEGIN UPDATE tally SET count = count + 1 WHERE name = 'items'; END"
        )
        self.db.execute(
            "CREATE TRIGGER thrown AFTER DELETE ON item "
            "BEGIN UPDATE tally SET count = count - 1 WHERE name = 'items'; END"
        )

    @update(raises=[Negative])
    def put(self, box: str, counts: list[int]) -> int:
        self.db.execute("INSERT OR IGNORE INTO box VALUES (?)", (box,))
        for count in counts:
            number = self.db.execute("SELECT count(*) FROM item WHERE box = ?", (box,)).value
            self.db.execute("INSERT INTO item VALUES (?, ?, ?)", (box, number, count))
            if count < 0:
                raise Negative(box, count)
        return int(self.db.execute("SELECT count(*) FROM item WHERE box = ?", (box,)).value)

    @update
    def throw_away(self, box: str) -> None:
        self.db.execute("DELETE FROM box WHERE name = ?", (box,))

    @update
    def draw(self, box: str) -> str:
        drawn = self.new_id()
        self.db.execute("INSERT OR REPLACE INTO box VALUES (?)", (f"{box}{drawn}",))
        return drawn

    @update
    def nothing(self) -> None:
        pass

    @query
    def boxes(self) -> dict[str, list[int]]:
        boxes: dict[str, list[int]] = {
            str(name): [] for (name,) in self.db.execute("SELECT name FROM box ORDER BY name")
        }
        for box, count in self.db.execute("SELECT box, count FROM item ORDER BY box, number"):
            boxes[box].append(count)
        return boxes

    @query
    def items(self) -> int:
        return int(self.db.execute("SELECT count FROM tally").value)


State = dict[str, list[int]]


class CopiesAgainstADict(TwoCopies):
    """Boxes and what is in them."""

    kind = Stock

    @initialize()
    def begin(self) -> None:
        self.begin_with({})

    @property
    def state(self) -> State:
        return {box: list(counts) for box, counts in self.states[-1].items()}

    @rule(box=NAMES, counts=st.lists(COUNTS, max_size=3))
    def put(self, box: str, counts: list[int]) -> None:
        state = self.state
        if any(count < 0 for count in counts):
            try:
                result_of(self.decided(state, "put", box, counts))
                raise AssertionError("a count below 0 was taken")
            except Raised as raised:
                assert raised.name == "Negative"
            return
        state[box] = [*state.get(box, []), *counts]
        assert result_of(self.decided(state, "put", box, counts)) == len(state[box])

    @rule(box=NAMES)
    def throw_away(self, box: str) -> None:
        state = self.state
        state.pop(box, None)
        self.decided(state, "throw_away", box)

    @rule(box=NAMES)
    def draw(self, box: str) -> None:
        state = self.state
        drawn = result_of(self.decided(state, "draw", box))
        state[f"{box}{drawn}"] = []

    @rule()
    def nothing(self) -> None:
        self.decided(self.state, "nothing")

    @invariant()
    def both_are_what_the_model_says(self) -> None:
        assert self.leads.ask("boxes") == dict(sorted(self.states[-1].items()))
        assert self.leads.ask("items") == sum(map(len, self.states[-1].values()))
        assert self.follows.ask("boxes") == dict(sorted(self.states[self.told].items()))


CopiesAgainstADict.TestCase.settings = settings(
    max_examples=examples(12), stateful_step_count=25, deadline=None
)
TestCopiesAgainstADict = CopiesAgainstADict.TestCase
