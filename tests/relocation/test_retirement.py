"""Which answer is the last of a bank that leaves, and which retirement is taken back.  Rule V14."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bankrmi.backup.fetching import PieceAnswer
from bankrmi.relocation.retirement import is_frozen, is_the_same, may_begin
from bankrmi.replication.record import Position
from bankrmi.replication.view import View

THERE = "bank at 10.0.0.20:5432"
SERVES = View(
    history="h1", epoch=4, primary="s1", start_id="p1", in_sync=frozenset({"s1"}), incarnations={"s1": "d1"}
)
RETIRED = replace(SERVES, epoch=5, retired_for=THERE)
LATER = replace(RETIRED, epoch=6, primary="s1", start_id="p2")
AGAIN = replace(RETIRED, epoch=8)

SAYS = PieceAnswer(
    history="h1", epoch=5, tip=Position(7, 4, b"7"), acknowledged=7, time_us=0, retired_for=THERE
)


def test_the_last_of_it_is_what_a_server_holds_that_leads_a_retired_view() -> None:
    assert is_frozen(SAYS, RETIRED)
    assert is_frozen(replace(SAYS, epoch=6), RETIRED), "whoever leads since then"


@pytest.mark.parametrize(
    ("says", "seen"),
    [
        (replace(SAYS, retired_for=None), RETIRED),
        (replace(SAYS, acknowledged=6), RETIRED),
        (replace(SAYS, epoch=5), AGAIN),
        (replace(SAYS, history="h2"), RETIRED),
        (replace(SAYS, epoch=8, retired_for="bank at 10.0.0.99:5432"), RETIRED),
    ],
    ids=[
        "it-does-not-lead-so",
        "not-all-is-acknowledged",
        "of-a-retirement-before",
        "of-another-history",
        "for-another-database",
    ],
)
def test_anything_else_is_not(says: PieceAnswer, seen: View) -> None:
    assert not is_frozen(says, seen)


def test_a_retirement_is_the_same_as_long_as_each_view_says_it() -> None:
    assert is_the_same(RETIRED, RETIRED, [])
    assert is_the_same(RETIRED, LATER, [LATER, RETIRED, SERVES])


@pytest.mark.parametrize(
    ("seen", "now", "views"),
    [
        (RETIRED, AGAIN, [AGAIN, replace(SERVES, epoch=7), LATER, RETIRED]),
        (RETIRED, AGAIN, [AGAIN, LATER]),
        (SERVES, RETIRED, [RETIRED, SERVES]),
        (RETIRED, replace(SERVES, epoch=6), []),
        (RETIRED, replace(LATER, history="h2"), [replace(LATER, history="h2")]),
    ],
    ids=[
        "reinstated-in-between",
        "what-is-remembered-does-not-reach-so-far",
        "it-was-not-there-when-it-was-looked-for",
        "it-is-over",
        "of-another-history",
    ],
)
def test_else_it_is_another_one(seen: View, now: View, views: list[View]) -> None:
    assert not is_the_same(seen, now, views)


def test_a_move_begins_anew_only_while_the_servers_serve() -> None:
    assert may_begin(SERVES, anew=True)
    assert not may_begin(RETIRED, anew=True)
    assert may_begin(RETIRED, anew=False), "it goes on with what was there before they were retired"
