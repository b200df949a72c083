"""Which view may follow which: every legal change passes, and the illegal ones are told apart."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bankrmi.coordination.succession import Ruling, decided, objection
from bankrmi.replication.view import View
from tests.coordination.views import both, first, forced

TWO = {"s1": "a", "s2": "b"}
THREE = {**TWO, "s3": "c"}


def placed() -> View:
    """Both servers in sync, in a view that says where they live."""
    return replace(both(), servers=TWO)


LEGAL = {
    "V9 first": (None, first()),
    "V3 let in": (first(), both()),
    "V1 take over": (both(), both().taken_over_by("s2", "start-s2")),
    "V2 go on alone": (both(), both().without(frozenset({"s2"}))),
    "V4 start again": (both(), both().started_again("another start")),
    "V5 hand over": (both(), both().handed_over_to("s2", "start-s2")),
    "V7 forced": (both(), forced(both(), server="s3")),
    "restored": (None, forced(None, epoch=9)),
    "V12 the first set": (both(), both().adding("s3", THREE)),
    "V12 add": (placed(), placed().adding("s3", THREE)),
    "V12 remove": (placed(), placed().removing("s2", {"s1": "a"})),
    "V12 move": (placed(), placed().moving("s2", {"s1": "a", "s2": "z"})),
    "V12 carried on": (placed(), placed().taken_over_by("s2", "start-s2")),
    "V8 let in on a new disk": (both(), both().letting_in("s2", "another disk")),
}


@pytest.mark.parametrize("change", LEGAL.values(), ids=LEGAL.keys())
def test_every_change_of_the_rules_is_legal(change: tuple[View | None, View]) -> None:
    assert objection(*change) is None


ILLEGAL = {
    "a first view of epoch 2": (None, both(), "first one has epoch 1"),
    "an epoch left out": (first(), replace(both(), epoch=3), "cannot follow epoch 1"),
    "an epoch again": (both(), both(), "cannot follow epoch 2"),
    "another history": (first(), replace(both(), history="h9"), "begins another history"),
    "a stranger leads": (
        both(),
        replace(forced(both(), server="s3", history="h1"), forced=False),
        "not in sync",
    ),
    "a wiped disk leads": (
        both(),
        replace(both().started_again("x"), incarnations={"s1": "new disk", "s2": "disk-s2"}),
        "not in sync",
    ),
    "a new primary lets in": (
        both(),
        replace(
            both().handed_over_to("s2", "x"),
            in_sync=frozenset({"s2", "s3"}),
            incarnations={"s2": "disk-s2", "s3": "disk-s3"},
        ),
        "only the primary lets",
    ),
    "the set is forgotten": (
        placed(),
        replace(placed().started_again("x"), servers=None),
        "forgets which servers",
    ),
    "a new primary changes the set": (
        placed(),
        replace(placed().taken_over_by("s2", "x"), servers=THREE),
        "only a primary that stays",
    ),
    "two servers at once": (
        placed(),
        replace(placed().started_again("x"), servers={**THREE, "s4": "d"}),
        "more than one server: s3, s4",
    ),
    "a primary moves itself": (
        placed(),
        replace(placed().started_again("x"), servers={**TWO, "s1": "z"}),
        "s1 leads, and moves itself",
    ),
    "moved and in sync": (
        placed(),
        replace(placed().started_again("x"), servers={**TWO, "s2": "z"}),
        "s2 lives elsewhere than before, and is called in sync",
    ),
    "a forced view of the same history": (both(), forced(both(), history="h1"), "a history of its own"),
    "a forced view of a past history": (both(), forced(both(), history="h0"), "a history of its own"),
    "epoch 0": (None, replace(first(), epoch=0), "from 1"),
}


@pytest.mark.parametrize("change", ILLEGAL.values(), ids=ILLEGAL.keys())
def test_what_no_rule_allows_is_refused_and_says_why(change: tuple[View | None, View, str]) -> None:
    current, proposed, words = change
    assert words in (objection(current, proposed, {"h0", "h1"}) or "no objection")


def test_a_proposal_wins_over_the_view_that_it_was_made_for_and_no_other() -> None:
    first = View.first(history="h", server="s1", start_id="s1#1", incarnation="disk")
    second = first.started_again("s1#2")
    assert decided(None, None, first) == Ruling(follows=True, won=True)
    assert decided(first, ("h", 1), second) == Ruling(follows=True, won=True)
    assert decided(second, ("h", 1), second) == Ruling(won=True), "it came twice"
    assert decided(second, ("h", 1), first.started_again("s1#3")) == Ruling()
    assert decided(first, None, first.started_again("s1#2")) == Ruling()
    assert decided(second, ("h", 2), first).objection is not None
