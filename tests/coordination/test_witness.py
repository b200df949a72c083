"""The witness: one winner, whoever proposes what; its disk is tested in test_view_store.py."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bankrmi.coordination import view_store
from bankrmi.coordination import witness as witness_module
from bankrmi.coordination.view_store import ViewStore
from bankrmi.coordination.witness import MOST_SERVICES, Witness
from bankrmi.errors import Busy, InvalidRequest
from tests.coordination.views import CRASH, LONGEST, WRITTEN_US, both, first, forced
from tests.examples import examples


def test_before_the_first_view_there_is_none(store: ViewStore) -> None:
    assert store.current("account") is None
    assert Witness(store).read("account") is None


def test_of_two_proposals_from_one_epoch_one_wins_and_the_other_learns_the_view(store: ViewStore) -> None:
    store.propose("account", None, first())
    store.propose("account", ("h1", 1), both())
    taken_over = both().taken_over_by("s2", "start-s2")
    alone = both().without(frozenset({"s2"}))
    assert store.propose("account", ("h1", 2), taken_over) == (True, taken_over)
    assert store.propose("account", ("h1", 2), alone) == (False, taken_over)


def test_a_proposal_that_arrives_twice_has_won_both_times(store: ViewStore) -> None:
    assert store.propose("account", None, first()) == (True, first())
    assert store.propose("account", None, first()) == (True, first())
    assert store.history("account") == [first()]


def test_services_have_views_of_their_own(store: ViewStore) -> None:
    store.propose("account", None, first())
    assert store.current("savings") is None
    assert store.propose("savings", None, first("s2"))[0]


def test_an_impossible_view_is_refused_and_changes_nothing(store: ViewStore) -> None:
    store.propose("account", None, first())
    with pytest.raises(InvalidRequest, match="only a forced takeover"):
        store.propose("account", ("h1", 1), replace(forced(first(), server="s1"), forced=False))
    assert store.history("account") == [first()]


def test_a_restored_view_is_taken_only_while_there_is_none(store: ViewStore) -> None:
    restored = forced(None, epoch=9)
    assert store.propose("account", None, restored) == (True, restored)
    assert store.propose("account", None, forced(None, history="h3", epoch=9)) == (False, restored)


@pytest.mark.parametrize(
    ("expected", "view", "words"),
    [
        (None, None, "not a view"),
        (None, {"epoch": "1"}, "not a view"),
        (None, {**first().to_wire(), "in_sync": []}, "not a view"),
        (None, {**first().to_wire(), "incarnations": {"s2": "x"}}, "not a view"),
        (
            None,
            {**first().to_wire(), "start_id": "x" * 201},
            "not a view: start_id is not a text of 1 to 200",
        ),
        (None, {**first().to_wire(), "epoch": 2**63}, "not a view: epoch is not between"),
        (None, {**first().to_wire(), "history": "\ud800"}, "not a view: history"),
        (["h1", 2**63], first().to_wire(), r"\[history, epoch\]"),
        ("h1", first().to_wire(), r"\[history, epoch\]"),
        (["h1", True], first().to_wire(), r"\[history, epoch\]"),
    ],
)
def test_what_is_not_a_proposal_is_refused(store: ViewStore, expected: Any, view: Any, words: str) -> None:
    with pytest.raises(InvalidRequest, match=words):
        Witness(store).propose("account", expected, view)
    assert store.current("account") is None


def test_plain_values_go_in_and_out_and_a_change_is_told(store: ViewStore) -> None:
    told = []
    witness = Witness(store, on_view=lambda *news: told.append(news))
    written = first().to_wire() | {"written_us": WRITTEN_US}
    assert witness.propose("account", None, first().to_wire()) == {"won": True, "view": written}
    lost = witness.propose("account", None, first("s2").to_wire())
    assert lost == {"won": False, "view": written}
    assert witness.read("account") == written
    assert witness.history("account") == [written]
    assert told == [("account", first())]


def test_what_was_proposed_comes_back_with_its_cause_and_dated_by_the_witness(store: ViewStore) -> None:
    """Whatever date the proposer gave it; and what comes twice has won, whatever its cause says."""
    witness = Witness(store)
    proposed = replace(first().because(CRASH), written_us=12)
    answer = witness.propose("account", None, proposed.to_wire())
    assert (answer["view"]["cause"], answer["view"]["written_us"]) == (CRASH.to_wire(), WRITTEN_US)
    again = witness.propose("account", None, first().because(replace(CRASH, silent_ms=5)).to_wire())
    assert again == {"won": True, "view": answer["view"]}, "the same proposal, made again for another reason"


@pytest.mark.parametrize(
    "cause",
    [
        "crash",
        {"kind": "magic", "by": "s1"},
        {"kind": "crash"},
        {"kind": ["crash"], "by": "s1"},
        {"kind": "crash", "by": "x" * 300},
        {"kind": "crash", "by": "s1", "of": "s1"},
        {"kind": "crash", "by": "s1", "of": ["a b"]},
        {"kind": "crash", "by": "s1", "of": {"s1": {}}},
        7,
        [],
    ],
)
def test_a_cause_that_cannot_be_read_is_unknown_and_never_in_the_way(store: ViewStore, cause: object) -> None:
    """A version to come may know other kinds; a view is taken all the same."""
    witness = Witness(store)
    answer = witness.propose("account", None, first().to_wire() | {"cause": cause, "written_us": "then"})
    assert answer["won"]
    assert (answer["view"]["cause"], answer["view"]["written_us"]) == (None, WRITTEN_US)


def test_details_that_do_not_fit_are_left_out_and_servers_are_few(store: ViewStore) -> None:
    """Whoever proposes decides what is written: no more than this."""
    witness = Witness(store)
    form = CRASH.to_wire() | {
        "of": [f"s{number}" for number in range(9)],
        "address": "x" * 5_000,
        "operator": "two words",
        "silent_ms": -1,
        "more": "x" * 100_000,
    }
    answer = witness.propose("account", None, first().to_wire() | {"cause": form})
    assert answer["view"]["cause"] == {
        "kind": "crash",
        "by": "s2",
        "of": ["s0", "s1", "s2", "s3", "s4"],
    }


def test_a_cause_does_not_make_a_view_too_long(store: ViewStore) -> None:
    """It has bounds of its own: no view that was legal is refused for it."""
    long = "d" * 200
    names = {f"s{number:02}{'n' * 190}": long for number in range(12)}
    view = replace(first(), primary=min(names), in_sync=frozenset(names), incarnations=names)
    assert len(json.dumps(view.to_wire())) < 8 << 10 < len(json.dumps(view.because(LONGEST).to_wire()))
    assert Witness(store).propose("account", None, view.because(LONGEST).to_wire())["won"]


def test_the_history_is_read_backward_too(store: ViewStore) -> None:
    """The newest first, however many there are, and the next ones before the last of these."""
    witness, view = Witness(store, now_s=lambda: 0.0), first()
    store.propose("account", None, view)
    for _ in range(700):
        before, view = view, view.started_again("x" * 150)
        store.propose("account", (before.history, before.epoch), view)
    epochs: list[int] = []
    before_epoch: list[Any] | None = None
    pages = 0
    while page := witness.history_before("account", before_epoch):
        pages += 1
        epochs += [form["epoch"] for form in page]
        before_epoch = [page[-1]["history"], page[-1]["epoch"]]
    assert epochs == list(range(701, 0, -1))
    assert pages > 1
    assert witness.history_before("nobody") == []
    with pytest.raises(InvalidRequest, match="never was"):
        witness.history_before("account", ["h7", 7])


@settings(max_examples=examples(20))
@given(st.lists(st.tuples(st.integers(0, 4), st.sampled_from(["s1", "s2"])), max_size=12))
def test_whatever_is_proposed_each_epoch_has_one_view(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[int, str]]
) -> None:
    """Late, repeated and competing proposals: the history is a chain, and each answer tells its end."""
    store = ViewStore(tmp_path_factory.mktemp("views"))
    store.propose("account", None, first())
    store.propose("account", ("h1", 1), both())
    for back, server in steps:
        history = store.history("account")
        seen = history[max(0, len(history) - 1 - back)]
        if server not in seen.in_sync:
            continue
        stays = server == seen.primary
        proposed = seen.started_again("again") if stays else seen.handed_over_to(server, "handed")
        won, current = store.propose("account", (seen.history, seen.epoch), proposed)
        assert current == store.current("account")
        assert won == (current == proposed)
    epochs = [view.epoch for view in store.history("account")]
    assert epochs == list(range(1, len(epochs) + 1))
    store.close()


# -- whoever wants to know, or to make, very much -------------------------------------------------


def test_a_history_comes_in_pages_that_fit_an_answer(
    store: ViewStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    store.propose("account", None, first())
    monkeypatch.setattr(view_store, "HISTORY_BYTES", 8 << 10)
    for epoch in range(1, 100):
        current = store.current("account")
        assert current is not None
        store.propose("account", ("h1", epoch), current.started_again(f"start-{epoch}"))
    witness, epochs, longest, after = Witness(store), [], 0, None
    while page := witness.history("account", after):
        longest = max(longest, len(json.dumps(page)))
        epochs += [view["epoch"] for view in page]
        after = [page[-1]["history"], page[-1]["epoch"]]
    assert epochs == list(range(1, 101))
    assert longest < 2 * (8 << 10)
    with pytest.raises(InvalidRequest, match="there never was a view of epoch 7 in that history"):
        witness.history("account", ["h7", 7])


@pytest.mark.parametrize("name", ["\ud800", "a\nb", "", "x" * 201, 7, None, ["account"]])
def test_what_is_no_name_is_refused_and_ends_nothing(store: ViewStore, name: Any) -> None:
    witness = Witness(store)
    for ask in (witness.read, witness.history, lambda name: witness.propose(name, None, first().to_wire())):
        with pytest.raises(InvalidRequest, match="not a service name"):
            ask(name)
    for key in ("history", "primary", "start_id", "handed_over_by") if isinstance(name, str) else ():
        with pytest.raises(InvalidRequest, match="not a view"):
            witness.propose("account", None, {**first().to_wire(), key: name})
    with pytest.raises(InvalidRequest, match="not a view"):
        witness.propose("account", None, {**first().to_wire(), "handed_over_by": {"a": 1}})
    assert witness.read("account") is None


@pytest.mark.parametrize("epoch", [0, -1, 2**53 + 1, 2**63, 2**200])
def test_an_epoch_that_no_bank_reaches_is_refused_and_the_next_proposal_wins(
    store: ViewStore, epoch: int
) -> None:
    """Over 2^63 it left a transaction open, and the next proposal ended the process."""
    witness = Witness(store)
    with pytest.raises(InvalidRequest, match="not a view: epoch is not between 1 and"):
        witness.propose("account", None, forced(None, epoch=1).to_wire() | {"epoch": epoch})
    assert witness.propose("account", None, first().to_wire())["won"]


def test_strangers_cannot_fill_the_disk_of_the_witness(
    store: ViewStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not by names, nor by size, nor by number; and the own bank is served whatever they do."""
    monkeypatch.setattr(witness_module, "CHANGES_AT_ONCE", 50)
    now_s = 0.0
    witness = Witness(store, service="account", now_s=lambda: now_s)
    for number in range(MOST_SERVICES):
        assert witness.propose(f"stranger-{number}", None, first().to_wire())["won"]
    with pytest.raises(InvalidRequest, match="keeps the views of 16 services"):
        witness.propose("one-more", None, first().to_wire())
    members = {"s1": "disk", **{f"{number}-{'x' * 150}": "disk" for number in range(60)}}
    big = first().to_wire() | {"in_sync": list(members), "incarnations": members}
    with pytest.raises(InvalidRequest, match="longer than"):
        witness.propose("stranger-0", ["h1", 1], big)
    for epoch in range(1, 50 - MOST_SERVICES + 1):
        witness.propose("stranger-0", ["h1", epoch], first().to_wire() | {"epoch": epoch + 1})
    epoch += 1
    with pytest.raises(Busy, match="too often"):
        witness.propose("stranger-0", ["h1", epoch], first().to_wire() | {"epoch": epoch + 1})
    assert witness.propose("account", None, first().to_wire())["won"]
    assert witness.read("stranger-0")["epoch"] == epoch  # type: ignore[index]
    now_s += 1.0
    assert witness.propose("stranger-0", ["h1", epoch], first().to_wire() | {"epoch": epoch + 1})["won"]
