from __future__ import annotations

import apsw
import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from bankrmi.errors import BrokenInvariant
from bankrmi.storage import request_index, tables
from bankrmi.storage.database import open_in_memory
from bankrmi.storage.request_index import RequestIndex
from tests.examples import examples

SESSIONS = ("a", "b", "c")


def database() -> apsw.Connection:
    connection = open_in_memory()
    connection.execute(tables.TABLES + tables.SESSIONS)
    return connection


class IndexAgainstADictionary(RuleBasedStateMachine):
    """What was added, removed, written and lost, beside a dictionary in the order of the journal."""

    def __init__(self) -> None:
        super().__init__()
        self.database = database()
        self.index = RequestIndex(self.database)
        self.known: dict[tuple[str, int], int] = {}
        self.written: dict[tuple[str, int], int] = {}
        self.action_id = 0

    def _newest(self, session: str) -> int | None:
        return max([number for name, number in self.known if name == session], default=None)

    @rule(session=st.sampled_from(SESSIONS), further=st.integers(1, 3), operations=st.integers(1, 4))
    def add(self, session: str, further: int, operations: int) -> None:
        self.action_id += operations
        request = session, (self._newest(session) or 0) + further
        self.index.add(*request, self.action_id)
        self.known[request] = self.action_id

    @precondition(lambda self: self.known)
    @rule(data=st.data())
    def remove(self, data: st.DataObject) -> None:
        """A roll-back takes the newest ones, of whatever session."""
        count = data.draw(st.integers(1, len(self.known)))
        newest = list(self.known)[-count:]
        self.index.remove(newest)
        for request in newest:
            del self.known[request]

    @rule()
    def flush(self) -> None:
        self.index.flush()
        self.written = dict(self.known)

    @rule()
    def forget(self) -> None:
        """What the owner added since the last flush is lost, and added again; removals were written."""
        self.index.forget()
        unwritten = {request: at for request, at in self.known.items() if request not in self._table()}
        for request, action_id in unwritten.items():
            self.index.add(*request, action_id)

    def _table(self) -> dict[tuple[str, int], int]:
        rows = self.database.execute("SELECT session, sequence, action_id FROM requests")
        return {(session, number): action_id for session, number, action_id in rows}

    @precondition(lambda self: self.known)
    @rule(data=st.data())
    def older(self, data: st.DataObject) -> None:
        """An older number is a mistake, where the newer one was added or asked for."""
        session, number = data.draw(st.sampled_from(sorted(self.known)))
        newest = self.index.newest(session)
        assert newest is not None
        with pytest.raises(
            BrokenInvariant, match=f"request {session}:{number} is journalled twice, or after"
        ):
            self.index.add(session, number, self.action_id + 1)

    @invariant()
    def every_request_is_found_and_no_other(self) -> None:
        for session in SESSIONS:
            for number in range(1, (self._newest(session) or 0) + 3):
                assert self.index.find(session, number) == self.known.get((session, number))

    @invariant()
    def several_sessions_are_asked_for_together(self) -> None:
        """Without being remembered, so that others ask the disk."""
        follow = [(session, (self._newest(session) or 0) + 1) for session in (*SESSIONS, "nobody")]
        self.index.check(follow)
        for refused in (*self.known, follow[-1]):
            with pytest.raises(
                BrokenInvariant, match=f"request {refused[0]}:{refused[1]} is decided twice, or after"
            ):
                self.index.check([*follow, refused])

    @invariant()
    def the_table_has_nothing_but_requests_of_the_journal(self) -> None:
        assert self._table().items() <= self.known.items()


class Asked(IndexAgainstADictionary):
    """The same, and the newest ones are asked for at each step, so that they are remembered."""

    @invariant()
    def the_newest_of_each_session_is_known(self) -> None:
        for session in SESSIONS:
            assert self.index.newest(session) == self._newest(session)


TestIndex = IndexAgainstADictionary.TestCase
TestIndex.settings = settings(max_examples=examples(30), stateful_step_count=20)
TestIndexAsked = Asked.TestCase
TestIndexAsked.settings = settings(max_examples=examples(30), stateful_step_count=20)


def test_an_older_number_is_a_mistake_as_far_as_is_known_without_reading() -> None:
    connection = database()
    index = RequestIndex(connection)
    index.add("a", 5, 1)
    for number in (5, 4):
        with pytest.raises(
            BrokenInvariant, match=f"request a:{number} is journalled twice, or after a newer"
        ):
            index.add("a", number, 2)
    index.flush()
    with pytest.raises(BrokenInvariant):
        index.add("a", 5, 2)
    index = RequestIndex(connection)
    assert index.newest("a") == 5
    with pytest.raises(BrokenInvariant):
        index.add("a", 5, 2)


def test_what_is_remembered_has_a_bound_and_is_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(request_index, "_REMEMBERED", 3)
    index = RequestIndex(database())
    for number in range(1, 30):
        index.add(f"session{number}", number, number)
        index.flush()
        assert len(index._newest) <= 3
    assert [index.newest(f"session{number}") for number in range(1, 31)] == [*range(1, 30), None]
    index.add("session7", 8, 40)
    assert (index.find("session7", 7), index.find("session7", 8)) == (7, 40)
