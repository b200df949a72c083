"""A restored view, and what was left of the history before it.  Rule V9."""

from __future__ import annotations

from dataclasses import replace

import pytest

from bankrmi.coordination.restore import NoSafeView, SafeView, decide, unchanged
from bankrmi.replication.events import LinkChanged, MessageArrived
from bankrmi.replication.messages import Fence, Holdings, ViewNews
from tests.replication.histories import takes_over_unheard, until_proposed
from tests.replication.scenario import Bank, running


def lose_the_view(bank: Bank) -> None:
    """The witness loses its memory, and all that is on its way is lost too."""
    bank.view = None
    bank.drop()


def decided(bank: Bank) -> SafeView | NoSafeView:
    """Fence every server, as `witness restore` does."""
    for name in bank.replicas:
        bank.take(name, MessageArrived("operator", Fence()))
        bank.deliver(f"{name} reads the view", f"witness -> {name}")
    return decide(list(bank.replicas), answers_of(bank), new_history="restored")


def answers_of(bank: Bank) -> dict[str, Holdings | str]:
    """Ask every server what it holds."""
    return {name: bank.holdings(name) for name in bank.replicas}


def test_to_be_asked_what_one_holds_changes_nothing_and_tells_what_would_be_safe() -> None:
    """A bank that is well without the view stays well; the plan is the one that fencing would give."""
    bank = running("s1", "s2")
    lose_the_view(bank)
    foreseen = decide(["s1", "s2"], answers_of(bank), new_history="restored", foreseen=True)
    assert isinstance(foreseen, SafeView)
    assert bank.mail == []
    bank.withdraw("s1", "c:1", 10)
    bank.deliver_all()
    assert any(line.startswith("s1 answers c:1: done") for line in bank.told())
    after = decided(bank)
    assert isinstance(after, SafeView)
    assert (after.view.primary, after.view.epoch) == (foreseen.view.primary, foreseen.view.epoch)


def test_the_view_that_was_is_given_back_and_everybody_goes_on() -> None:
    """All were fenced for a restore that came to nothing; s3, which was no member, was missing then."""
    bank = running("s1", "s2", "s3")
    bank.crash("s3", wipe=True)
    bank.settle(lambda: bank.view is not None and bank.view.in_sync == {"s1", "s2"})
    bank.deliver_all()
    bank.withdraw("s1", "c:1", 10)
    bank.deliver_all()
    lose_the_view(bank)
    decided(bank)
    assert all(bank.holdings(name).fenced for name in bank.replicas)
    before = unchanged(answers_of(bank))
    assert before is not None
    bank.view = before
    bank.settle(lambda: bank.replicas["s1"].primary is not None)
    bank.told()
    bank.withdraw("s1", "c:2", 10)
    bank.settle(lambda: any(line.startswith("s1 answers c:2: done") for line in bank.trace))
    assert bank.view is not None
    assert (bank.view.history, bank.view.epoch) == (before.history, before.epoch + 1)


def restore(bank: Bank) -> None:
    safe = decided(bank)
    assert isinstance(safe, SafeView), safe
    bank.view = safe.view


def test_late_news_of_an_epoch_that_nobody_acted_in_does_not_pass_for_the_restored_view() -> None:
    """s1 hands over to s2, and dies with the witness's memory before s2 hears of it.

    s2 would else lead the lost history in an epoch as high as the restored one, with a witness that has never
    heard of it; and could not go on without s1.
    """
    bank = running("s1", "s2")
    bank.switch_over("s1", "s2")
    bank.deliver("s1 proposes", "witness -> s1")
    late = bank.find("s1 -> s2: news: epoch 3 is s2's")
    bank.mail.remove(late)
    bank.crash("s1")
    lose_the_view(bank)
    bank.start("s1")
    restore(bank)
    late.arrive()
    bank.link("s1", "s2")
    bank.settle(lambda: bank.view is not None and bank.view.in_sync == {"s1", "s2"})
    adopted = [replica.journal.adopted for replica in bank.replicas.values()]
    assert [one.history for one in adopted if one is not None] == ["restored", "restored"]
    bank.withdraw("s1", "c:1", 10)
    bank.settle(lambda: any("answers c:1: done" in line for line in bank.trace))
    bank.crash("s1", wipe=True)
    bank.take("s2", LinkChanged(server="s1", up=False))
    bank.withdraw("s2", "c:2", 10)
    bank.settle(lambda: any("s2 answers c:2: done" in line for line in bank.trace))


def test_a_server_that_was_always_empty_does_not_stand_in_the_way() -> None:
    """It waits for a view like the others, and leads nothing meanwhile; s1 knows that it was no member."""
    bank = running("s1", "s2")
    bank.crash("s2", wipe=True)
    bank.settle(lambda: bank.view is not None and bank.view.in_sync == {"s1"})
    bank.crash("s1")
    bank.start("s1")
    bank.start("s2")
    bank.settle(lambda: bank.replicas["s1"].primary is not None)
    lose_the_view(bank)
    bank.wait(3000)
    restore(bank)


def test_an_empty_server_that_may_have_held_more_does() -> None:
    bank = running("s1", "s2")
    bank.crash("s2", wipe=True)
    bank.crash("s1")
    lose_the_view(bank)
    bank.start("s1")
    bank.start("s2")
    safe = decided(bank)
    assert isinstance(safe, NoSafeView)
    assert "if it lost its disk, it may have held more" in safe.why


@pytest.mark.parametrize("started_again", [False, True])
def test_one_that_was_let_in_unheard_does_too(started_again: bool) -> None:
    """s1 lets s2 in, and never hears so; s2 goes on alone, acknowledges, and loses its disk."""
    bank = running("s1", "s2")
    bank.crash("s2", wipe=True)
    bank.settle(lambda: bank.view is not None and bank.view.in_sync == {"s1"})
    bank.start("s2")
    bank.link("s1", "s2")
    until_proposed(bank, "s1")
    letting_in = leading_again = bank.find("s1 proposes")
    bank.mail.remove(letting_in)
    if started_again:
        bank.crash("s1")
        bank.drop()
        bank.start("s1")
        bank.tick("s1")
        bank.deliver("s1 reads the view", "witness -> s1")
        leading_again = bank.find("s1 proposes")
        bank.drop()
    letting_in.arrive()
    bank.cut("s1", "s2")
    takes_over_unheard(bank, "s2")
    bank.drop()
    bank.withdraw("s2", "c:1", 10)
    assert "s2 answers c:1: done 90 at 1" in bank.told()
    bank.crash("s2", wipe=True)
    lose_the_view(bank)
    if started_again:
        leading_again.arrive()
        bank.deliver("witness -> s1")
    bank.start("s2")
    bank.wait(3000)
    verdict = decided(bank)
    assert isinstance(verdict, NoSafeView), verdict
    assert "if it lost its disk, it may have held more" in verdict.why


def test_one_that_is_about_to_make_a_first_view_is_not_fenced() -> None:
    bank = running("s1", "s2")
    bank.crash("s2", wipe=True)
    bank.settle(lambda: bank.view is not None and bank.view.in_sync == {"s1"})
    bank.settings["s2"] = replace(bank.settings["s2"], first=True)
    bank.start("s2")
    lose_the_view(bank)
    verdict = decided(bank)
    assert isinstance(verdict, NoSafeView)
    assert "s2 has not seen yet" in verdict.why


def test_an_empty_server_believes_only_the_witness() -> None:
    """s2 went on alone and lost its disk; s1 does not know, and says that it leads, with s2 in sync.

    A copy of s1 would hide from the operator that s2 may have held more.
    """
    bank = running("s1", "s2")
    deposed = bank.view
    assert deposed is not None
    takes_over_unheard(bank, "s2")
    bank.crash("s2", wipe=True)
    bank.start("s2")
    bank.told()
    bank.take("s2", MessageArrived("s1", ViewNews(view=deposed)))
    assert bank.told() == ["s2 reads the view", "s2 answers s1: noted"]
    assert bank.replicas["s2"].view is None
