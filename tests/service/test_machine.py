"""A class as a state machine, on real databases: what a call may do, and what is left of it."""

from __future__ import annotations

import json
import signal
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from bankrmi.errors import BrokenInvariant
from bankrmi.replication.record import unpacked
from bankrmi.service import Service, time_limit, update
from bankrmi.service.calls import Raised, result_of
from tests.service.classes import Inventory, Line
from tests.service.copies import Copy

Make = Callable[..., Copy]


@pytest.fixture
def make(tmp_path: Path) -> Iterator[Make]:
    """Make copies, by name, and close them in the end."""
    with ExitStack() as copies:

        def make(name: str, **how: Any) -> Copy:
            copy = Copy(tmp_path / f"{name}.db", Inventory, **how)
            copies.callback(lambda: copy.journal.close(writes=False))
            return copy

        yield make


@pytest.fixture
def copy(make: Make) -> Copy:
    return make("bank")


def test_a_call_is_done_and_its_result_is_told(copy: Copy) -> None:
    assert copy.call("put", "apple", 3) == 3
    assert copy.call("put", "apple", 4) == 7
    assert copy.ask("get", "apple") == 7
    assert copy.ask("get", "plum") is None
    assert copy.ask("everything") == {"apple": 7, "pear": 5}


def test_arguments_become_what_the_annotations_say(copy: Copy) -> None:
    assert copy.call("put_all", [Line("fig"), Line("kiwi", 9)]) == 2
    assert copy.call("put_all", [{"name": "lime", "count": 2}]) == 1
    assert copy.ask("everything") == {"fig": 1, "kiwi": 9, "lime": 2, "pear": 5}


def test_an_exception_is_an_outcome_and_changes_nothing(copy: Copy) -> None:
    before = copy.state()
    with pytest.raises(Raised) as raised:
        copy.call("take", "pear", 9)
    assert (raised.value.name, raised.value.values) == ("OutOfStock", ("pear", 5))
    assert copy.state() == before
    assert copy.call("take", "pear", 2) == 3


@pytest.mark.parametrize(
    "how",
    [
        *("clock", "chance", "file", "exit", "interrupt", "recursion", "object", "remember", "mute"),
        *("surrogate", "surrogate as a key", "surrogate in words", "surrogate in a statement"),
    ],
)
def test_what_no_update_may_is_an_exception_and_nothing_is_half_done(copy: Copy, how: str) -> None:
    before = copy.state()
    with pytest.raises(Raised) as raised:
        copy.call("misbehave", how)
    assert copy.state() == before, str(raised.value)
    assert copy.call("put", "apple", 1) == 1, "the next one is done as usual"


@pytest.mark.parametrize(
    ("how", "line"),
    [("clock", "use self.now"), ("chance", "use self.random"), ("file", "its arguments and self.db")],
)
def test_what_differs_between_copies_is_refused_with_the_line_and_what_to_use(
    copy: Copy, how: str, line: str
) -> None:
    with pytest.raises(Raised) as raised:
        copy.call("misbehave", how)
    assert raised.value.words.startswith("classes.py, line ")
    assert line in raised.value.words


@pytest.mark.parametrize(
    "statement",
    [
        "COMMIT",
        "ROLLBACK",
        "ROLLBACK TO service",
        "SAVEPOINT mine",
        "DELETE FROM journal",
        "SELECT * FROM requests",
        "UPDATE about SET value = 1",
        "SELECT changes FROM service_undo",
        "CREATE TABLE other (a INTEGER PRIMARY KEY)",
        "DROP TABLE item",
        "ALTER TABLE item RENAME TO thing",
        "PRAGMA journal_mode = DELETE",
        "ATTACH 'x.db' AS other",
        "VACUUM",
        "SELECT random()",
        "SELECT datetime('now')",
        "SELECT CURRENT_TIMESTAMP",
        "INSERT OR ROLLBACK INTO item VALUES ('pear', 1)",
        "SELECT load_extension('x')",
        "SELECT 1; DELETE FROM journal",
        "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n LIMIT 200000) SELECT x FROM n",
        "no SQL at all",
    ],
)
def test_a_statement_that_no_service_may_make_is_an_exception_and_nothing_is_half_done(
    copy: Copy, statement: str
) -> None:
    before = copy.state()
    with pytest.raises(Raised):
        copy.call("misbehave", statement)
    assert copy.state() == before
    assert copy.call("put", "apple", 1) == 1


def test_statements_of_ours_that_are_known_already_are_refused_to_a_method(copy: Copy) -> None:
    """SQLite looks once at what may be, when a statement is prepared; ours are, and kept."""
    copy.call("put", "apple", 1)
    with pytest.raises(Raised, match="bankrmi's own"):
        copy.call("misbehave", "SELECT action_id, epoch, digest FROM journal ORDER BY action_id DESC LIMIT 1")


def test_a_query_changes_nothing(copy: Copy) -> None:
    before = copy.state()
    with pytest.raises(Raised, match=r"mark it with @bankrmi\.update"):
        copy.ask("change_something")
    assert copy.state() == before


def test_an_error_that_a_method_caught_is_its_own_affair(copy: Copy) -> None:
    assert copy.call("misbehave", "swallow") == "went on"
    assert copy.ask("get", "half") == 1


@pytest.mark.parametrize(("method", "args"), [("spin", ()), ("count_for_ever", ())])
def test_a_call_that_takes_too_long_is_interrupted(
    tmp_path: Path, method: str, args: tuple[float, ...]
) -> None:
    copy = Copy(tmp_path / "bank.db", Inventory, limit_ms=50)
    before = copy.state()
    with pytest.raises(Raised, match="took more than 50 ms") as raised:
        copy.call(method, *args)
    assert raised.value.name == "TimeoutError"
    assert copy.state() == before
    assert copy.call("put", "apple", 1) == 1


@pytest.mark.parametrize(("stands_still", "least_s"), [("_thread_time", 0.15), ("_monotonic", 0.05)])
def test_it_is_work_that_counts_and_who_only_waits_is_interrupted_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stands_still: str, least_s: float
) -> None:
    """While others have the processor, three times as long passes; for ever nobody waits."""
    copy = Copy(tmp_path / "bank.db", Inventory, limit_ms=50)
    monkeypatch.setattr(time_limit, stands_still, lambda: 0.0)
    began = time.monotonic()
    with pytest.raises(Raised, match="took more than 50 ms"):
        copy.call("spin")
    assert time.monotonic() - began >= least_s


@pytest.mark.parametrize("swallows", [False, True])
def test_a_statement_that_is_interrupted_takes_nothing_of_others_with_it(make: Make, swallows: bool) -> None:
    """SQLite takes back the whole transaction of a statement that writes."""
    copy = make("bank", limit_ms=50)
    copy.decide("put", "apple", 3, commits=False)
    record = copy.decide("fill", swallows, commits=False)
    copy.decide("put", "plum", 4, commits=False)
    copy.journal.commit()
    assert b"TimeoutError" in record.outcomes
    assert copy.ask("everything") == {"apple": 3, "pear": 5, "plum": 4}
    copy.restart()
    assert copy.ask("everything") == {"apple": 3, "pear": 5, "plum": 4}
    assert copy.journal.tip.action_id == 3


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # In Hypothesis' callback.
def test_an_alarm_that_rings_at_the_end_of_a_call_is_heard_by_nobody_else(
    make: Make, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However short the time is, and wherever it ends."""
    copy = make("bank")
    timed_out = 0
    for number in range(600):
        monkeypatch.setattr(copy.machine._runner, "_limit_s", 0.00002 * (1 + number % 60))
        record = copy.decide("put", "apple", 1)
        timed_out += b"TimeoutError" in record.outcomes
        assert signal.getitimer(signal.ITIMER_REAL)[1] == 0, "nothing rings on"
    assert timed_out > 0
    monkeypatch.setattr(copy.machine._runner, "_limit_s", 10.0)
    assert copy.call("put", "apple", 0) == 600 - timed_out


def test_now_and_chance_are_those_of_the_record(make: Make) -> None:
    first, second = make("a"), make("b")
    records = [first.decide("note", "a"), first.decide("note", "a")]
    second.follow(*records)
    assert first.state() == second.state()
    drawn = [row[-1] for row in first.state() if row[0] == "log"]
    assert len(set(drawn)) == 2, "every call draws anew"


def test_copies_that_differ_stop_at_the_action_id_and_say_in_which_table(make: Make) -> None:
    first, second = make("a"), make("b")
    second.journal.database.execute("UPDATE item SET count = 6")
    record = first.decide("put", "pear", 1)
    with pytest.raises(
        BrokenInvariant, match=r"Inventory\.put at action id 1 comes out differently here.*table item"
    ):
        second.follow(record)


def test_who_follows_takes_the_word_for_an_exception(make: Make) -> None:
    """A limit of time, or of memory, is not met alike by all."""
    first, second = make("a", limit_ms=50), make("b")
    second.follow(first.decide("spin"))
    assert first.state() == second.state()


def test_what_was_done_deep_down_is_done_where_the_stack_is_deeper_too(tmp_path: Path) -> None:
    """Whoever may say how deep would stop the other copy else."""

    class Deep(Service):
        def create(self) -> None:
            self.db.execute("CREATE TABLE deep (id INTEGER PRIMARY KEY)")

        @update
        def dig(self, depth: int) -> int:
            return depth if depth == 0 else 1 + Deep.dig(self, depth - 1)

        @update
        def dig_in_vain(self, depth: int) -> str:
            try:
                return str(Deep.dig(self, depth))
            except RecursionError:
                return "too deep"

    first, second = Copy(tmp_path / "a.db", Deep), Copy(tmp_path / "b.db", Deep)
    depths = range(sys.getrecursionlimit() - 300, sys.getrecursionlimit(), 5)
    records = [first.decide(method, depth) for method in ("dig", "dig_in_vain") for depth in depths]

    def follow(deeper: int) -> None:
        if deeper:
            follow(deeper - 1)
        else:
            second.follow(*records)

    follow(60)
    outcomes = [unpacked(record.outcomes)[0] for record in records]
    assert {type(outcome) for outcome in outcomes} == {bytes, tuple}, "some are done, and some are too deep"
    caught = [result_of(outcome) for outcome in outcomes[len(depths) :]]
    assert "too deep" in caught
    assert set(caught) > {"too deep"}
    for copy in (first, second):
        copy.journal.close(writes=False)


def test_what_was_committed_is_there_after_a_crash_and_can_be_taken_back(copy: Copy, tmp_path: Path) -> None:
    opening = copy.state()
    copy.call("put", "apple", 3)
    one = copy.state()
    copy.call("take", "apple", 1)
    copy.call("note", "x")
    with pytest.raises(Raised):
        copy.call("take", "apple", 9)
    copy.call("clear")
    copy.crash()
    assert copy.ask("everything") == {}
    assert len(copy.journal.roll_back(1)) == 4
    copy.journal.commit()
    lines = [json.loads(line) for line in (tmp_path / "rolled-back-1.jsonl").read_text().splitlines()]
    assert [(line["kind"], line["result"]) for line in lines if line["kind"] != "note"] == [
        ("take", 2),
        ("take", "OutOfStock: ('apple', 2)"),
        ("clear", None),
    ]
    assert copy.state() == one
    copy.restart()
    assert copy.state() == one
    copy.journal.roll_back(0)
    assert copy.state() == opening


def test_what_was_not_committed_is_gone_after_a_crash_but_for_what_was_written(copy: Copy) -> None:
    copy.call("put", "apple", 3)
    copy.decide("put", "apple", 4, commits=False)  # Written when the next one comes.
    state = copy.state()
    copy.decide("clear", commits=False)
    copy.crash()
    assert copy.state() == state
    assert copy.journal.tip.action_id == 2


def test_a_retry_finds_what_was_told(copy: Copy) -> None:
    copy.call("put", "apple", 3)
    with pytest.raises(Raised):
        copy.call("take", "pear", 9)
    copy.restart()
    recorded = copy.journal.recorded("s2", 1)
    assert recorded is not None
    assert b"OutOfStock" in recorded.outcomes


def test_python_is_as_it_was_after_an_update(copy: Copy) -> None:
    import random
    import time

    before = time.time, random.random, time.sleep
    copy.call("put", "apple", 1)
    with pytest.raises(Raised):
        copy.call("misbehave", "clock")
    assert (time.time, random.random, time.sleep) == before
    assert sys.getrecursionlimit() > 0
