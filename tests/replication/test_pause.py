"""Automatic takeover is paused, and resumed.  Rule V11."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bankrmi.coordination.succession import objection
from bankrmi.replication.events import LinkChanged
from bankrmi.replication.pause import Pause
from bankrmi.replication.view import View
from tests.replication.histories import comes_back, dies
from tests.replication.scenario import Bank, running

PAUSE = Pause(by="anna", since_us=1, reason="new cables")


def view_of(bank: Bank) -> View:
    assert bank.view is not None
    return bank.view


def paused(*servers: str) -> Bank:
    bank = running(*(servers or ("s1", "s2")))
    bank.pause("s1")
    bank.settle(lambda: view_of(bank).paused is not None)
    bank.deliver_all()
    bank.told()
    return bank


def goes_by(bank: Bank, rounds: int = 200) -> None:
    """Let much time pass, and everything arrive."""
    for _ in range(rounds):
        bank.deliver_all()
        bank.wait(50)
        bank.tick()


def answers(bank: Bank) -> list[str]:
    return [line for line in bank.told() if " answers operator: " in line]


def test_the_view_says_who_paused_it_and_why_and_nothing_else_changes() -> None:
    bank = running("s1", "s2")
    before = view_of(bank)
    bank.pause("s1")
    bank.settle(lambda: view_of(bank) != before)
    bank.deliver_all()
    view = view_of(bank)
    assert view == replace(before, epoch=before.epoch + 1, paused=PAUSE)
    assert view.cause is not None
    assert view.cause.in_words == "paused by anna: nobody takes over by himself"
    assert any("s1 answers operator: handed over" in line for line in answers(bank))
    assert View.from_wire(view.to_wire()) == view


@pytest.mark.parametrize("how", ["refuses", "is silent"])
def test_nobody_takes_over_from_a_primary_that_is_gone(how: str) -> None:
    bank = paused()
    if how == "refuses":
        dies(bank, "s1")
    else:
        bank.cut("s1", "s2")
        del bank.replicas["s1"]
    before = view_of(bank)
    goes_by(bank)
    assert view_of(bank) == before
    assert [line for line in bank.told() if "proposes" in line] == []


def test_the_primary_leads_again_when_it_is_started_and_it_stays_paused() -> None:
    bank = paused()
    dies(bank, "s1")
    goes_by(bank, 20)
    comes_back(bank, "s1")
    bank.settle(lambda: bank.replicas["s1"].primary is not None)
    assert (view_of(bank).primary, view_of(bank).paused) == ("s1", PAUSE)


def test_a_primary_that_is_stopped_hands_nothing_over() -> None:
    bank = paused()
    before = view_of(bank)
    bank.stop("s1")
    bank.deliver_all()
    assert "s1" not in bank.replicas
    assert view_of(bank) == before


def test_the_primary_goes_on_alone_lets_in_and_hands_over_and_it_stays_paused() -> None:
    bank = paused()
    dies(bank, "s2")
    bank.settle(lambda: view_of(bank).in_sync == {"s1"})
    assert view_of(bank).paused == PAUSE
    comes_back(bank, "s2")
    bank.settle(lambda: view_of(bank).in_sync == {"s1", "s2"})
    bank.switch_over("s1", "s2")
    bank.settle(lambda: bank.replicas["s2"].primary is not None)
    assert (view_of(bank).primary, view_of(bank).paused) == ("s2", PAUSE)


def test_an_operator_lets_a_member_take_over_and_it_stays_paused() -> None:
    bank = paused()
    bank.withdraw("s1", "c:1", 10)
    bank.deliver_all()
    dies(bank, "s1")
    goes_by(bank, 20)
    history = view_of(bank).history
    bank.take_over("s2")
    bank.settle(lambda: bank.replicas["s2"].primary is not None)
    view = view_of(bank)
    assert (view.primary, view.paused, view.history, view.forced) == ("s2", PAUSE, history, False)
    assert view.cause is not None
    assert view.cause.in_words == "takeover by anna: s1 was gone"
    assert bank.balances()["s2"] == 90


def test_it_is_resumed_by_the_primary() -> None:
    bank = paused()
    bank.resume("s1")
    bank.settle(lambda: view_of(bank).paused is None)
    dies(bank, "s1")
    bank.settle(lambda: bank.replicas["s2"].primary is not None)


def test_it_is_resumed_by_a_member_that_takes_over_if_the_primary_is_gone() -> None:
    bank = paused()
    dies(bank, "s1")
    goes_by(bank, 20)
    bank.take_over("s2", resumes=True)
    bank.settle(lambda: bank.replicas["s2"].primary is not None)
    assert view_of(bank).paused is None
    cause = view_of(bank).cause
    assert cause is not None
    assert cause.in_words == "resumed by anna, and s1 was gone"


def test_a_member_resumes_nothing_while_the_primary_answers() -> None:
    bank = paused()
    before = view_of(bank)
    bank.wait(1)
    bank.take_over("s2", resumes=True)
    goes_by(bank, 40)
    [told] = answers(bank)
    assert "refused, s1, the primary, answers s2" in told
    assert view_of(bank) == before


def test_what_is_so_already_is_refused() -> None:
    bank = running("s1", "s2")
    bank.resume("s1")
    bank.pause("s2")
    bank.pause("s1")
    bank.settle(lambda: view_of(bank).paused is not None)
    bank.deliver_all()
    bank.pause("s1")
    told = [line.partition("refused, ")[2] for line in answers(bank) if "refused" in line]
    assert told == [
        "automatic takeover is not paused",
        "s2 is not the primary",
        "it is paused already, by anna since 1970-01-01T00:00:00.000Z",
    ]


def test_a_pause_and_a_takeover_at_once_one_of_them_wins() -> None:
    """s2 has proposed to take over when the view is paused: it was made for the view before, and loses."""
    bank = running("s1", "s2")
    bank.cut("s1", "s2")
    bank.wait(1100)
    bank.tick("s2")
    late = bank.find("s2 proposes")
    bank.mail.remove(late)
    bank.view = view_of(bank).paused_by(PAUSE)
    late.arrive()
    bank.deliver("witness -> s2")
    dies(bank, "s1")
    goes_by(bank, 60)
    assert (view_of(bank).primary, view_of(bank).paused) == ("s1", PAUSE)


def test_not_while_a_server_is_connected_that_could_not_read_the_view() -> None:
    bank = running("s1", "s2", "s3")
    start_id = bank.replicas["s2"].start_id
    old = LinkChanged(server="s2", up=True, start_id=start_id, begun_ms=bank.now_ms, protocol=1)
    bank.take("s1", old)
    bank.deliver_all()
    before = view_of(bank)
    bank.pause("s1")
    [told] = answers(bank)
    assert "refused, s2 speaks bankrmi protocol 1, this needs 2: upgrade it first" in told
    assert view_of(bank) == before
    assert before.needs_protocol == 1
    assert before.paused_by(PAUSE).needs_protocol == 2


def test_a_witness_that_does_not_answer_is_told_in_time() -> None:
    bank = running("s1", "s2")
    bank.pause("s1")
    bank.drop("s1 proposes")
    bank.witness_silent("s1", proposal=True)
    for _ in range(60):
        bank.wait(50)
        bank.tick("s1")
        if any(letter.text.startswith("s1 proposes") for letter in bank.mail):
            bank.drop("s1 proposes")
            bank.witness_silent("s1", proposal=True)
        bank.drop("s1 reads")
        for letter in list(bank.mail):
            if "-> s" in letter.text and letter in bank.mail:
                bank.mail.remove(letter)
                letter.arrive()
    [told] = answers(bank)
    assert "the witness did not answer in time, or is too old for it (its log says so), so it may" in told


# -- the second lock ---------------------------------------------------------------------------------


def test_a_pause_begins_and_ends_only_as_the_rules_have_it() -> None:
    alone = View.first(history="h", server="s1", start_id="s1#1", incarnation="d1")
    both = alone.letting_in("s2", "d2")
    held = both.paused_by(PAUSE)
    assert objection(both, held) is None
    assert objection(held, held.paused_by(None)) is None
    assert objection(held, held.taken_over_by("s2", "s2#1")) is None
    assert objection(held, held.taken_over_by("s2", "s2#1").resumed()) is None
    assert objection(both, replace(both.taken_over_by("s2", "s2#1"), paused=PAUSE)) is not None
    assert objection(held, held.handed_over_to("s2", "s2#1").resumed()) is not None
    assert objection(held, held.without(frozenset({"s2"})).resumed()) is not None
    by_force = held.taken_over_by_force("s3", "s3#1", incarnation="d3", history="new")
    assert objection(held, by_force) is None
    assert objection(held, by_force.resumed()) is not None
    more = replace(by_force, in_sync=frozenset({"s2", "s3"}), incarnations={"s2": "d2", "s3": "d3"})
    assert objection(held, more) == "who leads by force is in sync alone"
